//! The demo profile: one command without any settings, and somebody can talk to the bot.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::book::Book;
use super::conversation::Talk;
use super::project::Project;
use super::shape;
use crate::docker::Docker;
use crate::http::Http;
use crate::suite;
use crate::surroundings::{self, free_port};

/// Services of the demo whose death the conversation must survive. What plays Discord is no part
/// of the bot: when it dies, its world begins anew, so it comes last.
const MORTAL: [&str; 3] = ["demo-gateway", "demo-conversation-worker", "demo-nats"];

/// Starts it in a folder that holds nothing but the Compose file.
pub(super) fn check(book: &mut Book, docker: &Docker) -> Result<()> {
    let workspace = surroundings::workspace()?;
    let folder = suite::target_folder(&workspace)?.join("containers/demo");
    fresh(&folder)?;
    let file = folder.join("compose.yaml");
    std::fs::copy(workspace.join("compose.yaml"), &file).context("copy the Compose file")?;
    let mut project = Project::over(docker, &folder, vec![file], "demo");
    let port = free_port()?.to_string();
    project.set("KOTONOHA_DEMO_PORT", &port);
    if !book.stands("demo_comes_up_without_any_settings", || project.up(&[]))? {
        return project.down();
    }
    let all = project.containers()?;
    for (name, claim) in shape::CLAIMS {
        book.hold(&format!("demo: {name}"), || claim(&all))?;
    }
    book.hold("demo publishes its chat page on 127.0.0.1 and nothing else", || {
        shape::expect_published(&all, &[("8080/tcp", "127.0.0.1")])
    })?;
    let address = format!("127.0.0.1:{port}");
    book.hold("the_chat_page_is_there", || {
        ensure!(Http::new().is_ok(&format!("http://{address}/")), "open http://{address}/");
        Ok(())
    })?;
    talk(book, &project, &address)?;
    project.down()
}

fn talk(book: &mut Book, project: &Project, address: &str) -> Result<()> {
    let mut talk = Talk::at(address)?;
    let spoken = book.stands("a_conversation_in_the_demo_ends_with_one_whole_reply", || {
        let question = talk.ask()?;
        talk.wait_for_answer(&question)?;
        talk.expect_one_answer_each()
    })?;
    if !spoken {
        return Ok(());
    }
    for service in MORTAL {
        book.hold(&format!("kill -9 of {service} costs and doubles no answer"), || {
            let question = talk.ask()?;
            talk.wait_for_first_words(&question)?;
            project.kill(service)?;
            talk.wait_for_answer(&question)?;
            talk.expect_one_answer_each()
        })?;
    }
    book.hold("kill -9 of the simulator ends with everything well and a new conversation", || {
        project.kill("simulator")?;
        project.wait_until_well()?;
        let mut talk = Talk::at(address)?;
        let question = talk.ask()?;
        talk.wait_for_answer(&question)?;
        talk.expect_one_answer_each()
    })
}

/// A folder with nothing in it.
pub(super) fn fresh(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| {
                format!("empty {}: what containers wrote there needs root", folder.display())
            });
        }
        _ => {}
    }
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))
}
