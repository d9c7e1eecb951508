//! How the bus is for one service, with words for the people who look after it.

/// What to do where streams or buckets are missing, in English and Japanese.
pub(crate) const RUN_INIT: (&str, &str) =
    ("run `prepare streams` (in Compose: start `init`)", "`init` をもう一度動かしてください");

/// How the bus is for one service, all told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The server is not reached; why, where that is known.
    NotReached(Option<String>),
    /// The server is reached, and what it has is not known yet.
    Looking,
    /// These streams and buckets are not there.
    Missing(Vec<String>),
    /// Everything is there, and nothing that is published is stored.
    StoresNothing,
    /// All is well.
    Well,
}

/// What is wrong and what to do about it, each in English and Japanese.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What is wrong.
    pub reason: (String, String),
    /// What to do.
    pub remedy: (&'static str, &'static str),
}

impl Standing {
    /// What is wrong and what to do; none where all is well.
    pub fn explanation(&self) -> Option<Explanation> {
        let (english, japanese, remedy) = match self {
            Self::Well => return None,
            Self::StoresNothing => (
                "nats-server stores nothing that is published; it is held here".to_owned(),
                "nats-server が保存できません。手元で待たせています".to_owned(),
                (
                    "free disk space where nats-server keeps its streams, then restart it",
                    "nats-server の保存先の空きを増やし、再起動してください",
                ),
            ),
            Self::Missing(names) => (
                format!("not there yet on nats-server: {}", names.join(", ")),
                format!("nats-server にまだありません: {}", names.join("、")),
                RUN_INIT,
            ),
            Self::Looking => (
                "nats-server has not said yet what it has".to_owned(),
                "nats-server の中身を確かめています".to_owned(),
                ("wait a moment", "少しお待ちください"),
            ),
            Self::NotReached(why) => (
                why.as_ref().map_or_else(
                    || "nats-server is not reached".to_owned(),
                    |why| format!("nats-server is not reached: {why}"),
                ),
                why.as_ref().map_or_else(
                    || "nats-server に接続できません".to_owned(),
                    |why| format!("nats-server に接続できません（{why}）"),
                ),
                (
                    "start nats-server, or correct NATS_URL",
                    "nats-server を起動するか、NATS_URL を確認してください",
                ),
            ),
        };
        Some(Explanation { reason: (english, japanese), remedy })
    }
}
