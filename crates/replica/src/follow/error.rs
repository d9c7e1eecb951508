//! What can keep a follower from going on, in words for the operator.

use std::path::PathBuf;

use super::FaultKind;
use crate::gate::Unfit;
use crate::lease::LeaseError;
use crate::source::SourceError;
use crate::tree::TreeError;

/// Why following does not go on for now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The database cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The history cannot be written or read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Somebody else follows it.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// It must not be followed here.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The map of pages cannot be written or read.
    #[error("cannot {action} the map of pages {}: {source}", .path.display())]
    Map {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Writers were at it all the time.
    #[error("{} was written all the time; this is tried again", .0.display())]
    Busy(PathBuf),
    /// The log was taken away.
    #[error("{} was removed or exchanged while it was in use: restart the database's service, or what it commits from now on is lost when it ends", .0.display())]
    LogGone(PathBuf),
    /// The follower has ended.
    #[error("following has ended")]
    Ended,
}

/// What a machine calls it.
pub(super) fn kind_of(error: &FollowError) -> FaultKind {
    let io = match error {
        FollowError::Source(SourceError::Missing(_)) => return FaultKind::Missing,
        FollowError::Source(SourceError::NotWal(_)) => return FaultKind::NotWal,
        FollowError::Source(SourceError::ReadOnly(_)) => return FaultKind::ReadOnly,
        FollowError::Unfit(_) => return FaultKind::Unfit,
        FollowError::LogGone(_) => return FaultKind::LogGone,
        FollowError::Tree(
            TreeError::Io { source, .. } | TreeError::Ltx { source: ltx::Error::Io(source), .. },
        )
        | FollowError::Lease(LeaseError::Io { source, .. })
        | FollowError::Map { source, .. } => source,
        FollowError::Source(_) | FollowError::Busy(_) | FollowError::Ended => {
            return FaultKind::Database;
        }
        FollowError::Tree(_) | FollowError::Lease(_) => return FaultKind::History,
    };
    match io.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => FaultKind::Full,
        std::io::ErrorKind::ReadOnlyFilesystem => FaultKind::ReadOnly,
        _ => FaultKind::History,
    }
}
