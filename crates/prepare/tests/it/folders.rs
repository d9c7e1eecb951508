//! Folders and secrets, in folders of every kind.

use std::path::Path;

use prepare::Owner;
use prepare::folders::{self, Ground};
use prepare::report::Report;

/// As the person who runs the tests: what root alone can do is tried apart.
fn ourselves(root: &Path) -> Ground {
    let owner = Owner {
        uid: rustix::process::getuid().as_raw().max(1),
        gid: rustix::process::getgid().as_raw().max(1),
    };
    Ground { root: root.to_owned(), owner }
}

fn prepared(root: &Path) -> Report {
    folders::prepare(&ourselves(root))
}

#[test]
fn everything_is_made_once_and_left_alone_afterwards() {
    let root = tempfile::tempdir().unwrap();
    let first = prepared(root.path());
    assert!(first.faults.is_empty() && first.warnings.is_empty(), "{first}");
    for name in ["config/personas/ja.md", "data/nats", "data/secrets/nats/users.conf", "logs"] {
        assert!(root.path().join(name).exists(), "{name}");
    }
    let password = root.path().join("data/secrets/gateway/nats-password");
    let before = std::fs::read_to_string(&password).unwrap();
    let second = prepared(root.path());
    assert!(second.done.is_empty() && second.faults.is_empty(), "{second}");
    assert_eq!(std::fs::read_to_string(&password).unwrap(), before);
}
