//! What goes wrong on the way to a far side, told so that the operator knows what to do.

use std::fmt;

/// The classes of faults, as far as a caller acts differently on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// Nobody answered, the connection broke, or the far side is too busy: it may pass by itself.
    Unreachable,
    /// The far side answered and does not want us: wrong key, wrong host key, no right.
    Refused,
    /// The far side has no room left.
    NoRoom,
    /// There is no such object.
    NotFound,
    /// Something changed while it was carried, or is not what the far side said it is.
    Changed,
    /// The target as it is set up cannot do this: no such bucket or folder, a missing program.
    Unfit,
    /// A file on this side cannot be read or written.
    Local,
}

impl FaultKind {
    /// Whether trying the same again soon may help.
    pub fn may_pass(self) -> bool {
        self == Self::Unreachable
    }

    /// One lower-case word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::NoRoom => "no_room",
            Self::NotFound => "not_found",
            Self::Changed => "changed",
            Self::Unfit => "unfit",
            Self::Local => "local",
        }
    }

    fn says(self) -> &'static str {
        match self {
            Self::Unreachable => "it cannot be reached",
            Self::Refused => "it refused us",
            Self::NoRoom => "it has no room left",
            Self::NotFound => "there is no such object",
            Self::Changed => "what is there is not what was sent or told",
            Self::Unfit => "it cannot do this as it is set up",
            Self::Local => "a file on this side failed",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "it is tried again; look at the network and at the far side if it stays so"
            }
            Self::Refused => "check the account, key or password and its rights there",
            Self::NoRoom => "free or buy space there, or keep fewer copies",
            Self::NotFound => "list the target to see what it holds",
            Self::Changed => "make sure that nothing else writes there, then run a verification",
            Self::Unfit => "check the target's address and what stands behind it",
            Self::Local => "check this machine's disk and the rights of the file",
        }
    }
}

/// Something could not be done on a target.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{doing} {path:?} on target {target:?}: {says} ({detail}); {hint}", says = .kind.says(), hint = .kind.hint())]
pub struct Fault {
    /// The target's name in the settings.
    pub target: String,
    /// What was being done, as a verb: `put`, `get`, `list`.
    pub doing: &'static str,
    /// The object or prefix it was done to.
    pub path: String,
    /// The class of what is wrong.
    pub kind: FaultKind,
    /// What the far side or the machine said, short.
    pub detail: String,
}

/// What a side reports; the target adds who, what and where.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) kind: FaultKind,
    pub(crate) detail: String,
}

/// A far side's words are cut after so many characters: some answer with whole pages.
const DETAIL_LIMIT: usize = 300;

impl Trouble {
    pub(crate) fn new(kind: FaultKind, detail: impl fmt::Display) -> Self {
        let text = detail.to_string();
        let mut detail: String = text
            .chars()
            .map(|char| if char.is_control() { ' ' } else { char })
            .take(DETAIL_LIMIT)
            .collect();
        if detail.len() < text.len() {
            detail.push('…');
        }
        Self { kind, detail }
    }

    /// A fault of a file on this machine, also when that machine's folder is the target.
    pub(crate) fn local(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(FaultKind::Local, format!("{doing} {}: {error}", path.display()))
    }
}

/// Everything an error says down to its cause, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        // Some errors repeat their cause in their own words.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_where_what_and_what_to_do() {
        let fault = Fault {
            target: "garage".to_owned(),
            doing: "put",
            path: "ltx/0/a.ltx".to_owned(),
            kind: FaultKind::NoRoom,
            detail: "507 Insufficient Storage".to_owned(),
        };
        assert_eq!(
            fault.to_string(),
            "put \"ltx/0/a.ltx\" on target \"garage\": it has no room left \
             (507 Insufficient Storage); free or buy space there, or keep fewer copies"
        );
    }

    #[test]
    fn a_far_side_that_answers_with_a_page_is_cut_short() {
        let trouble = Trouble::new(FaultKind::Refused, "x\n".repeat(1000));
        assert!(trouble.detail.chars().count() == DETAIL_LIMIT + 1);
        assert!(!trouble.detail.contains('\n'));
    }
}
