//! How one file is wrapped and carried to its target.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use objects::{Envelope, Fault, FaultKind, Object};
use replica::tree::Entry;

use super::{Here, Queue};

impl Queue {
    /// The manifest never changes, so that it is sent where it is missing.
    pub(super) async fn send_manifest(&mut self, here: &Here) -> Result<(), Fault> {
        let path = here.layout.manifest();
        let listed = self.listed.get(&here.database);
        if here.catalogue.entries().is_empty()
            || listed.is_some_and(|listed| listed.objects.contains_key(&path))
        {
            return Ok(());
        }
        self.carry(here, &here.root.join("manifest.json"), path).await
    }

    pub(super) async fn send(&mut self, here: &Here, entry: &Entry) -> Result<(), Fault> {
        let file = entry.path(&here.root);
        match self.carry(here, &file, here.layout.path(entry)).await {
            // Merged or forgotten since we looked: the next look finds what holds it now.
            Err(fault) if fault.kind == FaultKind::Local && !file.exists() => Ok(()),
            result => result,
        }
    }

    /// Wraps a file and puts it there under its name.
    pub(super) async fn carry(
        &mut self,
        here: &Here,
        file: &Path,
        path: String,
    ) -> Result<(), Fault> {
        let sent = match &self.envelope {
            None => self.put(&path, file).await?,
            Some(envelope) => {
                let sealed = self.seal(Arc::clone(envelope), file).await?;
                let result = self.put(&path, &sealed).await;
                drop(tokio::fs::remove_file(&sealed).await);
                result?
            }
        };
        if let Some(listed) = self.listed.get_mut(&here.database) {
            let object = Object { path: path.clone(), size: sent, modified_ms: None };
            listed.objects.insert(path, object);
        }
        self.standing.send_modify(|standing| {
            standing.sent_files += 1;
            standing.sent_bytes += sent;
        });
        self.tell_bytes();
        Ok(())
    }

    pub(super) async fn put(&self, path: &str, file: &Path) -> Result<u64, Fault> {
        let about = tokio::fs::metadata(file).await;
        let size = about.map_err(|error| self.local("put", path, &error))?.len();
        self.target.put_file(path, file).await?;
        Ok(size)
    }

    pub(super) async fn seal(
        &self,
        envelope: Arc<Envelope>,
        file: &Path,
    ) -> Result<PathBuf, Fault> {
        let (from, to) = (file.to_path_buf(), self.limits.staging.join("sealed"));
        let (work_to, folder) = (to.clone(), self.limits.staging.clone());
        let work = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
            envelope.seal_file(&from, &work_to).map_err(|error| error.to_string())
        });
        let name = file.display().to_string();
        match work.await {
            Ok(Ok(_length)) => Ok(to),
            Ok(Err(error)) => Err(self.local("wrap", &name, &error)),
            Err(error) => Err(self.local("wrap", &name, &error)),
        }
    }

    /// What a process that was killed left half wrapped is of no use.
    pub(super) fn clear_staging(&self) {
        match std::fs::remove_dir_all(&self.limits.staging) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %self.limits.staging.display(), "cannot clear up");
            }
            _ => {}
        }
    }
}
