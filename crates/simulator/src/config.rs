//! What a simulator is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The world a simulator begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// One guild with a few channels and people, and the bot as its member.
    #[default]
    Demo,
    /// The bot and nothing else.
    Empty,
}

/// Settings of one simulator.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Seed of everything drawn at random (token, session ids).
    pub seed: u64,
    /// The world to begin with.
    pub world: Preset,
    /// When that world was made, in Unix milliseconds: its ids come from it; absent = now.
    pub world_made_at_ms: Option<u64>,
    /// The token the bot must use; drawn from the seed when absent.
    pub bot_token: Option<String>,
    /// Where the line that says the simulator is ready is written, atomically.
    pub ready_file: Option<PathBuf>,
    /// What clients are told to connect to, as `host:port`, where that is not `listen`.
    pub public_address: Option<String>,
    /// How many bytes of ledger are kept before the oldest entries are forgotten.
    pub ledger_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 0,
            world: Preset::default(),
            world_made_at_ms: None,
            bot_token: None,
            ready_file: None,
            public_address: None,
            ledger_bytes_max: 256 * 1024 * 1024,
        }
    }
}
