//! The command line of the `simulator` binary.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::{Config, Preset, Simulator, healthcheck};

/// Exit code for wrong settings, such as a port that is taken.
const EXIT_USAGE: u8 = 64;

/// Discord and the model providers on loopback, with a page to chat in.
#[derive(Debug, Parser)]
#[command(name = "simulator", about, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Option<Chore>,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What clients are told to connect to, as `host:port`, where that is not `--listen`.
    #[arg(long)]
    public_address: Option<String>,
    /// File that the ready line is written to, atomically, once requests are served.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// Token the bot must use; drawn from the seed when absent.
    #[arg(long)]
    bot_token: Option<String>,
    /// Seed of everything drawn at random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The world to begin with.
    #[arg(long, value_enum, default_value_t = World::Demo)]
    world: World,
    /// When that world was made, in Unix milliseconds; its ids stay the same from start to start
    /// then. Absent = now.
    #[arg(long, value_name = "MS")]
    made_at: Option<u64>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Chore {
    /// Ask a running simulator whether it lives; exit 0 or 1.
    Healthcheck {
        /// Where it listens.
        #[arg(default_value = "127.0.0.1:8080")]
        address: SocketAddr,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum World {
    Demo,
    Empty,
}

/// Runs until SIGINT or SIGTERM.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Chore::Healthcheck { address }) = arguments.chore {
        return healthcheck::ask(address);
    }
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "failed to start the runtime");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("failed to run the simulator: {error:#}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let config = Config {
        listen: arguments.listen,
        public_address: arguments.public_address,
        ready_file: arguments.ready_file,
        bot_token: arguments.bot_token,
        seed: arguments.seed,
        world: match arguments.world {
            World::Demo => Preset::Demo,
            World::Empty => Preset::Empty,
        },
        world_made_at_ms: arguments.made_at,
        ..Config::default()
    };
    let running = Simulator::start(config).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", running.ready_line())?;
    stdout.flush()?;
    stop_signal().await?;
    running.stop().await
}

async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt,
        _ = terminate.recv() => Ok(()),
    }
}
