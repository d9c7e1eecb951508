//! What a person can do when no nats-server could be had.

use super::{OLDEST, VARIABLE};
use crate::surroundings::{System, system};

/// How to install a nats-server on this system, in a few lines.
pub(crate) fn text() -> String {
    format!(
        "To go on, do one of these:\n  - {}\n  - unpack a release of \
         github.com/nats-io/nats-server ({OLDEST} or newer) and set {VARIABLE} to its nats-server",
        for_system(system())
    )
}

fn for_system(system: System) -> &'static str {
    match system {
        System::Debian | System::DebianLike => {
            "apt-get install python3-venv, then run this again (this system's own nats-server \
             package is likely too old)"
        }
        System::Fedora => "dnf install python3-pip, then run this again",
        System::Arch => "pacman -S nats-server, or pacman -S python-pip and run this again",
        System::Alpine => "apk add nats-server, or apk add py3-pip and run this again",
        System::MacOs => "brew install nats-server",
        System::Other => "install Python 3 with pip, then run this again",
    }
}
