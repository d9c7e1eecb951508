//! The users of the house's broker, made as production makes them, and one more for the stories.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bus::server::NatsServer;
use prepare::Owner;
use prepare::folders::{self, Ground};

use crate::service::Service;

/// Who looks at streams for a story, and the password; may do everything.
pub(crate) const STORY: &str = "story";
/// How long making the streams may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The secrets that `prepare folders` made.
pub(crate) struct Keys {
    secrets: PathBuf,
}

impl Keys {
    /// Prepares a project folder.
    pub(crate) fn make(root: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir(root).context("make the project folder")?;
        let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
        // Services are never root; who tests as root reads the files anyway.
        let owner = Owner { uid: user.as_raw().max(1), gid: group.as_raw().max(1) };
        let report = folders::prepare(&Ground { root: root.to_owned(), owner });
        anyhow::ensure!(report.faults.is_empty(), "prepare the folders: {report}");
        Ok(Self { secrets: root.join("data/secrets") })
    }

    /// nats-server's users, the story's among them.
    pub(crate) fn users(&self) -> anyhow::Result<String> {
        let file = self.secrets.join("nats/users.conf");
        let text = std::fs::read_to_string(file).context("read the users")?;
        let story = format!("users: [\n    {{ user: {STORY}, password: {STORY} }}\n");
        anyhow::ensure!(text.contains("users: [\n"), "the users begin in another way");
        Ok(text.replacen("users: [\n", &story, 1))
    }

    /// Makes the streams as the admin.
    pub(crate) async fn declare(&self, nats: &NatsServer) -> anyhow::Result<()> {
        let password = std::fs::read_to_string(self.secrets.join("init/nats-password"))?;
        let config = nats.config_of("admin", password.trim());
        prepare::streams::prepare(config, PATIENCE).await.context("make the streams")
    }

    /// Tells a service where the broker is and who it is there.
    pub(crate) fn give(&self, service: &mut Service, user: &str, nats: &NatsServer) {
        let password = self.secrets.join(user).join("nats-password");
        service.set("NATS_URL", nats.url());
        service.set("NATS_USER", user);
        service.set("NATS_PASSWORD_FILE", password.display().to_string());
    }
}
