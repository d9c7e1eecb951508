//! The archive for a NAS, followed as its owner does: unpack, start, fill in the keys, talk, and live through the nights.

mod folders;
mod nights;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::book::Book;
use super::cgroup;
use super::conversation::Talk;
use super::demo::fresh;
use super::engine::Engine;
use super::project::{Container, Project, pause};
use super::shape;
use super::stage::Stage;
use crate::external;
use crate::http::Http;
use crate::images::Built;
use crate::suite;
use crate::surroundings::{self, free_port};

/// The services that stay; the preset's other ones run once.
const RESIDENTS: [&str; 4] = ["nats", "gateway", "conversation-worker", "backup-agent"];
/// Anonymous memory of all of them while nothing is said.
const IDLE_BYTES: u64 = 100 * 1024 * 1024;

/// The network on whose side of the machine Discord is played.
const STAGE_NETWORK: &str = "kotonoha-stage";
/// After this long without a message, nothing of the last one is left to be written.
const SETTLED_AFTER: Duration = Duration::from_mins(4);

/// The house under test.
struct Home<'a> {
    folder: PathBuf,
    project: Project,
    engine: &'a mut Engine,
    port: u16,
    stage: Option<Stage>,
}

/// Follows the owner through all of it.
pub(super) fn check(
    book: &mut Book,
    engine: &mut Engine,
    built: &Built,
    idle: Duration,
) -> Result<()> {
    if !surroundings::is_root() {
        book.skip("home", "no right to give folders to other users");
        return Ok(());
    }
    folders::check(book, engine.docker(), built)?;
    let folder = place("home")?;
    let mut home = Home {
        folder: unpack(built, &folder)?,
        project: Project::inside(engine.docker(), &folder.join("kotonoha")),
        engine,
        port: free_port()?,
        stage: None,
    };
    folders::give(&home.folder, 1026, 100, 0o755)?;
    let started = book.stands("the_zip_starts_with_its_keys_still_missing", || home.start())?;
    let open = started
        && book.stands("with_its_keys_it_comes_to_a_whole_reply", || home.open(built, &folder))?;
    if open {
        home.look(book, idle)?;
        nights::check(book, &mut home)?;
    }
    home.close()
}

impl Home<'_> {
    /// First start: no key is there, and the page says which, in both languages.
    fn start(&mut self) -> Result<()> {
        self.write_settings(&[])?;
        self.project.up(&[])?;
        let health = self.health()?;
        ensure!(health["status"] == "unhealthy", "see what is missing on /health: {health}");
        let text = health.to_string();
        for key in ["MODEL_BASE_URL", "MODEL_NAME"] {
            ensure!(text.contains(key), "read {key} on /health: {text}");
        }
        let gateway = self.project.container("gateway")?;
        let address = format!("http://{}:8080/health", gateway.address("_bus")?);
        let text = Http::new().get(&address)?.body.to_string();
        ensure!(text.contains("DISCORD_TOKEN"), "read DISCORD_TOKEN on /health: {text}");
        for it in self.project.containers()? {
            let restarts = it.facts["RestartCount"].as_u64().unwrap_or(0);
            ensure!(restarts == 0, "see {} stay up: it started {restarts} times again", it.service);
        }
        Ok(())
    }

    /// The keys are filled in; Discord is played beside the containers.
    fn open(&mut self, built: &Built, folder: &Path) -> Result<()> {
        // The project's networks come and go, and may change their addresses with each other.
        let docker = self.engine.docker();
        // One that an earlier run left behind; there is mostly none.
        drop(docker.ask(&["network", "rm", STAGE_NETWORK]));
        docker.ask(&["network", "create", STAGE_NETWORK])?;
        let network = docker.inspect("network", STAGE_NETWORK)?;
        let host = network["IPAM"]["Config"][0]["Gateway"].as_str().context("find its gateway")?;
        let stage = Stage::start(&built.context.join("simulator"), host, folder)?;
        let guild = Talk::at(&stage.address)?.guild()?;
        let model = format!("http://{}/model/openai/v1", stage.address);
        let discord = format!("http://{}", stage.address);
        self.write_settings(&[
            ("DISCORD_TOKEN", &stage.token),
            ("DISCORD_ALLOWED_GUILDS", &guild),
            ("DISCORD_API_URL", &discord),
            ("MODEL_BASE_URL", &model),
            ("MODEL_NAME", "simulator-1"),
            ("MODEL_API_KEY", "a-key"),
        ])?;
        let address = stage.address.clone();
        self.stage = Some(stage);
        self.project.up(&[])?;
        let mut talk = Talk::at(&address)?;
        let question = talk.ask()?;
        talk.wait_for_answer(&question)?;
        talk.expect_one_answer_each()?;
        let health = self.health()?;
        ensure!(health["status"] == "healthy", "see the bot healthy: {health}");
        Ok(())
    }

    /// What it looks like while nothing is said.
    fn look(&mut self, book: &mut Book, idle: Duration) -> Result<()> {
        self.project.wait_until_well()?;
        let all = self.project.containers()?;
        for (name, claim) in shape::CLAIMS {
            book.hold(&format!("home: {name}"), || claim(&all))?;
        }
        book.hold("home publishes 8080 and nothing else", || {
            shape::expect_published(&all, &[("8080/tcp", "")])
        })?;
        book.hold("home_keeps_its_secrets_apart", || folders::expect_apart(&all, &self.folder))?;
        self.listen(book, idle)?;
        book.hold("home_needs_no_more_than_100_mb_while_nothing_is_said", || {
            let all = self.project.containers()?;
            let mut sum = 0;
            let mut parts = Vec::new();
            for it in &all {
                let Some(pid) = it.pid() else { continue };
                let bytes = cgroup::anonymous_bytes(pid)?;
                parts.push(format!("{} {:.1}", it.service, mebibytes(bytes)));
                sum += bytes;
            }
            crate::say::aside(&format!("        MiB: {}", parts.join(", ")));
            ensure!(sum <= IDLE_BYTES, "stay within 100 MiB: {}", parts.join(", "));
            Ok(())
        })
    }

    /// Whether nothing is written while nothing is said.
    fn listen(&self, book: &mut Book, idle: Duration) -> Result<()> {
        if idle.is_zero() {
            book.skip("silence", "silence takes minutes to watch");
            return Ok(());
        }
        // What went before is written down by now: nats-server notes where its streams stand up
        // to two minutes after their last message, and the backups merge the last minute once it is
        // over, and with it the sign of life that follows what was said.
        pause(SETTLED_AFTER)?;
        let seconds = idle.as_secs();
        book.hold(&format!("{RESIDENTS:?} write nothing to disk in {seconds} s of silence"), || {
            silent(&self.project, idle)
        })
    }

    /// A conversation partner with a clean sheet.
    fn talk(&self) -> Result<Talk> {
        let stage = self.stage.as_ref().context("find the played Discord")?;
        Talk::at(&stage.address)
    }

    fn health(&self) -> Result<Value> {
        Ok(Http::new().get(&format!("http://127.0.0.1:{}/health", self.port))?.body)
    }

    /// Fills in `.env` as its owner does, line by line, and keeps what else stands there.
    fn write_settings(&self, values: &[(&str, &str)]) -> Result<()> {
        let path = self.folder.join(".env");
        let text = std::fs::read_to_string(&path).context("read .env")?;
        let port = self.port.to_string();
        let mut text = with_setting(&text, "KOTONOHA_PORT", &port);
        for (name, value) in values {
            text = with_setting(&text, name, value);
        }
        std::fs::write(&path, text).context("write .env")
    }

    fn close(mut self) -> Result<()> {
        self.project.down()?;
        if let Some(stage) = &mut self.stage {
            stage.service.stop();
            self.engine.docker().ask(&["network", "rm", STAGE_NETWORK])?;
        }
        Ok(())
    }
}

/// A folder of this chore's own, empty.
fn place(name: &str) -> Result<PathBuf> {
    let workspace = surroundings::workspace()?;
    let folder = suite::target_folder(&workspace)?.join("containers").join(name);
    fresh(&folder)?;
    Ok(folder)
}

/// Unpacks the archive with a program that is not ours, and gives the folder that was in it.
fn unpack(built: &Built, into: &Path) -> Result<PathBuf> {
    let mut python = Command::new("python3");
    python.args(["-m", "zipfile", "-e"]).arg(&built.bundle).arg(into);
    let mut unzip = Command::new("unzip");
    unzip.arg("-q").arg(&built.bundle).arg("-d").arg(into);
    if let Err(first) = external::quiet(&mut python)
        && let Err(second) = external::quiet(&mut unzip)
    {
        bail!("unpack the archive: {first:#}; {second:#}");
    }
    let folder = into.join("kotonoha");
    for part in ["compose.yaml", ".env", "config", "data", "logs", "backups"] {
        ensure!(folder.join(part).exists(), "find {part} in the archive");
    }
    Ok(folder)
}

/// The file with this line in place of the one that sets or shows the same key.
fn with_setting(text: &str, name: &str, value: &str) -> String {
    let is_it = |line: &str| line.split('=').next() == Some(name);
    let mut lines: Vec<String> =
        text.lines().filter(|line| !is_it(line)).map(str::to_owned).collect();
    lines.push(format!("{name}={value}"));
    lines.join("\n") + "\n"
}

/// Counts what the residents have written by the kernel's books.
fn silent(project: &Project, idle: Duration) -> Result<()> {
    let before = written(&project.containers()?)?;
    pause(idle)?;
    let after = written(&project.containers()?)?;
    let changed: Vec<String> = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after)
        .map(|((name, before), (_, after))| {
            format!("{name}: {} bytes", after.saturating_sub(*before))
        })
        .collect();
    ensure!(changed.is_empty(), "write nothing in {} s: {}", idle.as_secs(), changed.join(", "));
    Ok(())
}

fn written(all: &[Container]) -> Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for name in RESIDENTS {
        let container = all.iter().find(|it| it.service == name);
        let pid = container.and_then(Container::pid).with_context(|| format!("see {name} run"))?;
        found.push((name.to_owned(), cgroup::written_bytes(pid)?));
    }
    Ok(found)
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::with_setting;

    #[test]
    fn a_setting_is_written_over_and_the_rest_is_kept() {
        let text = "# Token.\nTOKEN=\nOTHER=1\n";
        assert_eq!(with_setting(text, "TOKEN", "x"), "# Token.\nOTHER=1\nTOKEN=x\n");
        assert_eq!(with_setting(text, "NEW", "y"), "# Token.\nTOKEN=\nOTHER=1\nNEW=y\n");
    }
}
