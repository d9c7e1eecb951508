//! The dev profile: the demo with its doors open to this machine, and logs for people.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::book::Book;
use super::conversation::Talk;
use super::demo::fresh;
use super::project::Project;
use super::shape;
use crate::docker::Docker;
use crate::http::Http;
use crate::suite;
use crate::surroundings::{self, free_port};

/// The doors, as `docs/containers.md` names them: port, and what answers 200 behind it.
const DOORS: [(u16, &str); 4] =
    [(8080, "/health"), (8081, "/health"), (8082, "/health/live"), (8222, "/healthz")];
/// Where the NATS CLI goes.
const NATS: u16 = 4222;

/// Starts it in a folder that holds nothing but the Compose file.
pub(super) fn check(book: &mut Book, docker: &Docker) -> Result<()> {
    if let Some(port) = taken() {
        book.skip("dev", &format!("a port of the dev profile is taken: {port}"));
        return Ok(());
    }
    let workspace = surroundings::workspace()?;
    let folder = suite::target_folder(&workspace)?.join("containers/dev");
    fresh(&folder)?;
    let file = folder.join("compose.yaml");
    std::fs::copy(workspace.join("compose.yaml"), &file).context("copy the Compose file")?;
    let mut project = Project::over(docker, &folder, vec![file], "dev");
    let page = free_port()?.to_string();
    project.set("KOTONOHA_DEMO_PORT", &page);
    if !book.stands("dev_comes_up_without_any_settings", || project.up(&[]))? {
        return project.down();
    }
    let all = project.containers()?;
    book.hold("dev opens its doors on 127.0.0.1 alone", || {
        let doors = ["8080/tcp", "4222/tcp", "8222/tcp"].map(|port| (port, "127.0.0.1"));
        shape::expect_published(&all, &doors)
    })?;
    book.hold("behind_every_door_of_dev_somebody_answers", answered)?;
    book.hold("dev writes its logs for people", || readable(&project))?;
    book.hold("a_conversation_in_dev_ends_with_one_whole_reply", || {
        let mut talk = Talk::at(&format!("127.0.0.1:{page}"))?;
        let question = talk.ask()?;
        talk.wait_for_answer(&question)?;
        talk.expect_one_answer_each()
    })?;
    project.down()
}

/// A port of the profile that somebody else uses.
fn taken() -> Option<u16> {
    let ports = DOORS.into_iter().map(|(port, _)| port).chain([NATS]);
    ports.into_iter().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_err())
}

fn answered() -> Result<()> {
    let http = Http::new();
    for (port, path) in DOORS {
        let answer = http.get(&format!("http://127.0.0.1:{port}{path}"))?;
        ensure!(answer.status == 200, "find {path} of port {port} well: {}", answer.body);
    }
    let mut nats = TcpStream::connect(("127.0.0.1", NATS)).context("reach nats-server")?;
    nats.set_read_timeout(Some(Duration::from_secs(5))).context("wait for nats-server")?;
    let mut greeting = [0; 5];
    nats.read_exact(&mut greeting).context("hear nats-server")?;
    ensure!(&greeting == b"INFO ", "hear nats-server greet on port {NATS}");
    Ok(())
}

fn readable(project: &Project) -> Result<()> {
    let words = ["logs", "--no-color", "--no-log-prefix", "dev-gateway", "dev-conversation-worker"];
    let said = project.compose(&words)?;
    let json = said.lines().find(|line| line.starts_with('{'));
    ensure!(json.is_none(), "read the logs: {}", json.unwrap_or_default());
    ensure!(said.contains("DEBUG"), "see what a developer wants to see: {said}");
    Ok(())
}
