//! What happens to a house: processes die, the power fails, somebody takes everything down and up.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{Home, RESIDENTS};
use crate::containers::book::Book;
use crate::containers::conversation::{Question, Talk};

/// Each blow in turn, with one judge over all of them.
pub(super) fn check(book: &mut Book, home: &mut Home<'_>) -> Result<()> {
    let mut talk = home.talk()?;
    for service in RESIDENTS {
        book.hold(&format!("home: kill -9 of {service} costs and doubles no answer"), || {
            let question = talk.ask()?;
            talk.wait_for_first_words(&question)?;
            home.project.kill(service)?;
            talk.wait_for_answer(&question)?;
            talk.expect_one_answer_each()
        })?;
    }
    if home.engine.is_own() {
        book.hold("a_power_cut_ends_with_everything_well_and_each_answer_once", || {
            power_cut(home, &mut talk)
        })?;
    } else {
        book.skip("a_power_cut", "a Docker engine that is not ours to kill");
    }
    book.hold("data_logs_and_history_survive_down_and_up", || down_and_up(home, &mut talk))
}

/// In the middle of one answer and right after another question.
fn power_cut(home: &mut Home<'_>, talk: &mut Talk) -> Result<()> {
    let first = talk.ask()?;
    talk.wait_for_first_words(&first)?;
    let second = talk.ask()?;
    home.engine.cut_power()?;
    home.project.wait_until_well()?;
    for question in [&first, &second] {
        talk.wait_for_answer(question)?;
    }
    let third = talk.ask()?;
    talk.wait_for_answer(&third)?;
    talk.expect_one_answer_each()
}

fn down_and_up(home: &mut Home<'_>, talk: &mut Talk) -> Result<()> {
    let question = talk.ask()?;
    talk.wait_for_answer(&question)?;
    let logs = home.folder.join("logs");
    let before = log_length(&logs)?;
    home.project.down()?;
    ensure!(home.project.containers()?.is_empty(), "see every container gone");
    home.project.up(&[])?;
    // Before the follow-up, whose answer is a second one in the same thread.
    talk.expect_one_answer_each()?;
    remembers(talk, &question)?;
    let after = log_length(&logs)?;
    ensure!(after > before && before > 0, "keep the log: {before} bytes before, {after} after");
    let text = std::fs::read_to_string(logs.join("kotonoha.log")).context("read the log")?;
    ensure!(!text.contains("のことを教えて"), "keep people's words out of the log");
    Ok(())
}

/// The model is told the first question when the second is asked in the same thread.
fn remembers(talk: &Talk, question: &Question) -> Result<()> {
    let request = talk.follow_up(question, "さっき、何をたずねましたか")?;
    let messages = request["body"]["messages"].to_string();
    ensure!(messages.contains(&question.mark), "find the earlier question in the model's request");
    Ok(())
}

fn log_length(folder: &Path) -> Result<u64> {
    let file = folder.join("kotonoha.log");
    Ok(file.metadata().with_context(|| format!("find {}", file.display()))?.len())
}
