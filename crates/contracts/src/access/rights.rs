//! The rights that follow from a role: subjects, to the last token.

use super::{Duty, ROLES, Role};
use crate::stream::{BUCKETS, STREAMS, Storage};

/// What tells how full streams are and how far consumers have come.
const WATCHING: [&str; 7] = [
    "INFO",
    "STREAM.NAMES",
    "STREAM.LIST",
    "STREAM.INFO.*",
    "CONSUMER.NAMES.*",
    "CONSUMER.LIST.*",
    "CONSUMER.INFO.*.*",
];
/// The name of the stream under a bucket begins like this (ADR-8 of nats.io).
const BUCKET_PREFIX: &str = "KV_";

/// The subjects a user may publish on and subscribe to; a denial wins over a permission.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// May publish on these.
    pub publish: Vec<String>,
    /// May not publish on these, whatever is allowed.
    pub publish_not: Vec<String>,
    /// May subscribe to these.
    pub subscribe: Vec<String>,
}

impl Rights {
    /// Whether a message may be published on `subject`.
    pub fn may_publish(&self, subject: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| covers(pattern, subject));
        any(&self.publish) && !any(&self.publish_not)
    }

    /// Whether all that `subject` (perhaps with wildcards) means may be listened to.
    pub fn may_subscribe(&self, subject: &str) -> bool {
        self.subscribe.iter().any(|pattern| covers(pattern, subject))
    }
}

impl Role {
    /// The prefix of the inboxes in which it gets its answers, and nobody else.
    pub fn inbox(&self) -> String {
        format!("_INBOX_{}", self.user)
    }

    /// The streams that must be there before it can do its work; buckets are in
    /// [`Role::buckets`].
    pub fn streams(&self) -> Vec<&'static str> {
        let kept = |pattern: &&str| {
            STREAMS
                .iter()
                .find(|stream| stream.subjects.iter().any(|kept| covers(kept, pattern)))
                .map(|stream| stream.name)
        };
        let worked_on = self.duties.iter().filter_map(|duty| match duty {
            Duty::Erase(stream) | Duty::Look(stream) => Some(*stream),
            _ => None,
        });
        let mut names: Vec<&str> = self
            .publishes
            .iter()
            .filter_map(kept)
            .chain(self.reads.iter().map(|durable| durable.stream))
            .chain(worked_on)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What it may publish and subscribe, exactly.
    pub fn rights(&self) -> Rights {
        let mut rights = Rights {
            publish: owned(self.publishes),
            publish_not: Vec::new(),
            subscribe: owned(self.hears),
        };
        rights.subscribe.push(format!("{}.>", self.inbox()));
        for stream in self.streams() {
            rights.publish.push(api(&format!("STREAM.INFO.{stream}")));
        }
        for durable in self.reads {
            rights.publish.extend(consuming(durable.stream, durable.name));
        }
        for bucket in self.buckets {
            rights.publish.extend(keeping(bucket));
        }
        for duty in self.duties {
            rights.publish.extend(duty.rights());
            if *duty == Duty::Inspect {
                rights.publish_not = disturbing_services();
            }
        }
        rights.publish.sort_unstable();
        rights.publish.dedup();
        let all = rights.publish.clone();
        let wider = |right: &str| all.iter().any(|other| other != right && covers(other, right));
        rights.publish.retain(|right| !wider(right));
        rights
    }
}

impl Duty {
    /// What may be published for it.
    fn rights(self) -> Vec<String> {
        match self {
            Self::Declare => declared()
                .iter()
                .flat_map(|stream| {
                    ["INFO", "CREATE", "UPDATE"].map(|verb| api(&format!("STREAM.{verb}.{stream}")))
                })
                // What the server can do is asked before a bucket is made.
                .chain([api("INFO")])
                .collect(),
            Self::Erase(stream) => vec![api(&format!("STREAM.MSG.DELETE.{stream}"))],
            Self::Copy => on_file()
                .iter()
                .flat_map(|stream| {
                    [
                        api(&format!("STREAM.INFO.{stream}")),
                        api(&format!("STREAM.SNAPSHOT.{stream}")),
                        // The server paces a snapshot by answers to its pieces.
                        format!("$JS.SNAPSHOT.ACK.{stream}.>"),
                    ]
                })
                .collect(),
            Self::Watch => WATCHING.map(api).into(),
            Self::Look(stream) => {
                vec![api(&format!("DIRECT.GET.{stream}")), api(&format!("DIRECT.GET.{stream}.>"))]
            }
            Self::Inspect => {
                let mut rights: Vec<String> = WATCHING.map(api).into();
                for stream in declared() {
                    let words = ["STREAM.MSG.GET.", "DIRECT.GET."];
                    rights.extend(words.map(|words| api(&format!("{words}{stream}"))));
                    rights.push(api(&format!("DIRECT.GET.{stream}.>")));
                    rights.extend(consuming(&stream, "*"));
                }
                rights
            }
        }
    }
}

/// To make, empty, move or take from a service's consumer is to disturb the service; to ask how
/// far it has come is not.
fn disturbing_services() -> Vec<String> {
    let durables = ROLES.iter().flat_map(|role| role.reads);
    let mut rights: Vec<String> =
        durables.flat_map(|durable| consuming(durable.stream, durable.name)).collect();
    rights.retain(|right| !covers(&api("CONSUMER.INFO.*.*"), right));
    rights
}

/// Making, asking, pulling from, acknowledging and deleting a consumer.
fn consuming(stream: &str, name: &str) -> Vec<String> {
    let mut rights = vec![
        // With a single filter the subject ends in it.
        api(&format!("CONSUMER.CREATE.{stream}.{name}")),
        api(&format!("CONSUMER.CREATE.{stream}.{name}.>")),
    ];
    for verb in ["INFO", "DELETE", "MSG.NEXT"] {
        rights.push(api(&format!("CONSUMER.{verb}.{stream}.{name}")));
    }
    rights.push(format!("$JS.ACK.{stream}.{name}.>"));
    // Newer servers name domain and account first (ADR-15, version 2).
    rights.push(format!("$JS.ACK.*.*.{stream}.{name}.>"));
    rights
}

/// Reading, writing and watching a bucket's keys.
fn keeping(bucket: &str) -> Vec<String> {
    let stream = bucket_stream(bucket);
    let mut rights = vec![
        format!("$KV.{bucket}.>"),
        api(&format!("STREAM.INFO.{stream}")),
        // A key is read directly; the newest of all, where it has no subject of its own.
        api(&format!("DIRECT.GET.{stream}.>")),
        // A watch answers the server's flow control.
        format!("$JS.FC.{stream}.>"),
    ];
    // A watch is a consumer that the server names.
    rights.push(api(&format!("CONSUMER.CREATE.{stream}")));
    for verb in ["DELETE", "INFO"] {
        rights.push(api(&format!("CONSUMER.{verb}.{stream}.*")));
    }
    rights
}

/// The stream under a bucket.
pub fn bucket_stream(bucket: &str) -> String {
    format!("{BUCKET_PREFIX}{bucket}")
}

/// Every stream there is to be, those under the buckets included.
pub fn declared() -> Vec<String> {
    let buckets = BUCKETS.iter().map(|bucket| bucket_stream(bucket.name));
    STREAMS.iter().map(|stream| stream.name.to_owned()).chain(buckets).collect()
}

/// Those of them that outlive the server.
fn on_file() -> Vec<String> {
    let streams = STREAMS.iter().filter(|stream| stream.storage == Storage::File);
    let buckets = BUCKETS.iter().filter(|bucket| bucket.storage == Storage::File);
    streams
        .map(|stream| stream.name.to_owned())
        .chain(buckets.map(|bucket| bucket_stream(bucket.name)))
        .collect()
}

fn api(words: &str) -> String {
    format!("$JS.API.{words}")
}

fn owned(subjects: &[&str]) -> Vec<String> {
    subjects.iter().map(|subject| (*subject).to_owned()).collect()
}

/// Whether everything that `subject` means, wildcards of its own included, lies in `pattern`.
///
/// `*` stands for one token, `>` at the end for one or more (nats.io, "Subject-Based Messaging").
pub fn covers(pattern: &str, subject: &str) -> bool {
    let mut wanted = subject.split('.');
    let mut tokens = pattern.split('.');
    loop {
        match (tokens.next(), wanted.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(_), Some(">") | None) | (None, Some(_)) => return false,
            (Some(token), Some(word)) if token == "*" || token == word => {}
            (Some(_), Some(_)) => return false,
        }
    }
}
