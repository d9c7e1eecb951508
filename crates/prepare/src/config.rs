//! What may be set for `prepare`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bus::BusConfig;
use chassis::{Common, ExposeSecret as _, Reader};

use crate::folder::Owner;
use crate::folders::Ground;

const WAIT_DEFAULT: Duration = Duration::from_mins(1);

/// The settings of every chore.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where folders are made, and for whom.
    pub ground: Ground,
    /// How nats-server is reached.
    pub bus: BusConfig,
    /// How long nats-server is waited for.
    pub wait: Duration,
}

impl Config {
    /// Reads the settings.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let nats = Common::read(reader).nats;
        let root = reader.path_or("PREPARE_ROOT", "/project");
        let owner = reader.or("PREPARE_OWNER", Written(Owner { uid: 1000, gid: 1000 })).0;
        let wait = reader.duration_seconds("PREPARE_WAIT_SECONDS", WAIT_DEFAULT);
        let bus = BusConfig {
            url: nats.url,
            service: "prepare".to_owned(),
            user: nats.user,
            password: nats.password.map(|password| password.expose_secret().to_owned()),
            ca_file: nats.ca_file,
        };
        Some(Self { ground: Ground { root, owner }, bus, wait })
    }
}

/// An owner as it is written: `uid:gid`.
struct Written(Owner);

impl FromStr for Written {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "write two numbers such as 1000:1000";
        let (user, group) = text.split_once(':').ok_or(EXPECTED)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_unparsed| EXPECTED);
        let owner = Owner { uid: number(user)?, gid: number(group)? };
        if owner.uid == 0 { Err("services do not run as root") } else { Ok(Self(owner)) }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.0.uid, self.0.gid)
    }
}
