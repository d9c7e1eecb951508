//! From arguments and settings to an exit code and plain words.

use std::io::{self, Write as _};
use std::process::ExitCode;

use bus::BusError;
use chassis::{Reader, Source};

use crate::arguments::{self, Chore, HELP};
use crate::config::Config;
use crate::streams::StreamsError;
use crate::{folders, probe, streams};

/// Wrong arguments or settings (sysexits.h, `EX_USAGE`).
const USAGE: u8 = 64;
/// nats-server is not there (`EX_UNAVAILABLE`).
const UNAVAILABLE: u8 = 69;
/// Folders or secrets could not be made (`EX_CANTCREAT`).
const NOT_MADE: u8 = 73;
/// nats-server does not let us (`EX_NOPERM`).
const NOT_ALLOWED: u8 = 77;

/// Does what the arguments ask.
pub fn main(words: &[String], source: Source) -> ExitCode {
    let chore = match arguments::parse(words) {
        Ok(Chore::Help) => return say(HELP, 0),
        Ok(Chore::Version) => {
            return say(concat!("prepare ", env!("CARGO_PKG_VERSION"), "\n"), 0);
        }
        Ok(chore) => chore,
        Err(problem) => return say(&format!("prepare: {problem}\n\n{HELP}"), USAGE),
    };
    let mut reader = Reader::new(source);
    let config = Config::read(&mut reader);
    match (chore, reader.finish(config)) {
        (Chore::Probe(url), _) => in_runtime(probe(&url)),
        (_, Err(faults)) => say(&format!("prepare: {faults}\n"), USAGE),
        (Chore::Folders, Ok(config)) => make_folders(&config),
        (_, Ok(config)) => in_runtime(make_streams(config)),
    }
}

fn make_folders(config: &Config) -> ExitCode {
    let report = folders::prepare(&config.ground);
    say(&format!("{report}\n"), if report.faults.is_empty() { 0 } else { NOT_MADE })
}

async fn make_streams(config: Config) -> ExitCode {
    chassis::lifecycle::install_crypto_provider();
    match streams::prepare(config.bus, config.wait).await {
        Ok(()) => say("streams and buckets are there / ストリームの準備ができました\n", 0),
        Err(error @ StreamsError::NotReady { .. }) => say(
            &format!(
                "prepare: {error}\n     remedy: start nats-server, or correct NATS_URL, NATS_USER \
                 and NATS_PASSWORD\n     対処: nats-server を動かすか、NATS_URL、NATS_USER、\
                 NATS_PASSWORD を確かめてください\n"
            ),
            UNAVAILABLE,
        ),
        Err(StreamsError::Refused(error @ BusError::Settings(_))) => {
            say(&format!("prepare: {error}\n"), USAGE)
        }
        Err(error) => say(
            &format!(
                "prepare: {error}\n     remedy: give the streams the space they ask for \
                 (max_file_store), and run as the user admin\n     対処: ディスクの空き\
                 （max_file_store）と、NATS_USER=admin を確かめてください\n"
            ),
            NOT_ALLOWED,
        ),
    }
}

async fn probe(url: &str) -> ExitCode {
    match probe::ask(url).await {
        Ok(body) => say(&format!("{}\n", body.trim_end()), 0),
        Err(problem) => say(&format!("unhealthy: {problem}\n"), 1),
    }
}

fn in_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => say(&format!("prepare: no runtime: {error}\n"), 1),
    }
}

/// Writes the words to standard output; `code` becomes the exit code.
fn say(text: &str, code: u8) -> ExitCode {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::from(code),
        // Nobody listens; the exit code still says how it went.
        Err(_closed) => ExitCode::from(code.max(1)),
    }
}
