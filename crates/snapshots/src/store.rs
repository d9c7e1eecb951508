//! Where a repository lies, and the watch kept over every byte that comes from there.

mod far;
mod folder;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use rustic_core::{FileType, Id, WriteBackend};

use far::Far;
pub(crate) use folder::Local;
pub(crate) use watch::{Damage, Watch, sha256};

/// Where a repository lies.
#[derive(Debug, Clone)]
pub enum Place {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A far side.
    Far {
        /// Which.
        target: objects::Target,
        /// The folder there, without slashes at its ends; empty for the far side's root.
        folder: String,
        /// What drives the far side. Repositories there are never used from its own threads.
        runtime: tokio::runtime::Handle,
    },
}

impl Place {
    /// The backend that reads and writes there.
    pub(crate) fn backend(&self) -> Arc<dyn WriteBackend> {
        match self {
            Self::Folder(path) => Arc::new(Local::new(path.clone())),
            Self::Far { target, folder, runtime } => {
                Arc::new(Far::new(target.clone(), folder, runtime.clone()))
            }
        }
    }
}

/// What a stored file is called inside a repository, e.g. `data/4f/4f3a…`.
pub(crate) fn file_name(kind: FileType, id: &Id) -> String {
    let hex = id.to_hex();
    match kind {
        FileType::Config => "config".to_owned(),
        FileType::Pack => format!("data/{}/{}", &hex[..2], hex.as_str()),
        other => format!("{}/{}", other.dirname(), hex.as_str()),
    }
}
