//! Questions to the bot, and the judge of its answers, who trusts none of the bot's own ids.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::project::pause;
use crate::demo::Control;
use crate::http::Http;

/// How long an answer may take that a kill interrupts: restarts and new attempts included.
const ANSWERED_WITHIN: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the played model speaks, so that there is a middle to be killed in.
const SPEAKS_MS: u64 = 2_500;
/// What a whole answer ends with.
const END: &str = "おしまい。";

/// A person in a channel of the played Discord.
#[derive(Debug)]
pub(super) struct Talk {
    control: Control,
    bot: String,
    user: String,
    channel: String,
    asked: Vec<Question>,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// The message's id, which is its thread's id too.
    pub(super) id: String,
    /// A word that is in this question only.
    pub(super) mark: String,
}

impl Talk {
    /// With the played Discord at `address` (`host:port`): somebody in its first channel.
    pub(super) fn at(address: &str) -> Result<Self> {
        let control = Control::new(Http::new(), address);
        let world = control.world()?;
        let bot = text(&world["bot"]["id"]).context("find the bot")?;
        let users = world["users"].as_array().context("list the users")?;
        let person = users.iter().find(|user| user["bot"] != true && user["id"] != *bot);
        let user = person.and_then(|user| text(&user["id"])).context("find a person")?;
        let channels = world["guilds"][0]["channels"].as_array().context("list the channels")?;
        let channel = channels.iter().find(|channel| channel["type"] == 0);
        let channel = channel.and_then(|it| text(&it["id"])).context("find a channel")?;
        // Every answer holds its question, so that nobody can mistake one for another.
        let rule = json!({
            "match": "", "total_ms": SPEAKS_MS,
            "reply": format!("「{{{{user}}}}」ですね。ゆっくり考えてみますね。急がなくて、だいじょうぶです。{END}"),
        });
        control.script(&json!({ "replace": true, "rules": [rule] }))?;
        Ok(Self { control, bot, user, channel, asked: Vec::new() })
    }

    /// The token that this Discord takes, and the guild it has.
    pub(super) fn guild(&self) -> Result<String> {
        text(&self.control.world()?["guilds"][0]["id"]).context("find the guild")
    }

    /// Mentions the bot with a question of its own kind.
    pub(super) fn ask(&mut self) -> Result<Question> {
        let mark = format!("q{}x{}", self.asked.len() + 1, self.user);
        let words = format!("<@{}> {mark} のことを教えて", self.bot);
        let id = self.control.say(&self.channel, &self.user, &words)?;
        let question = Question { id, mark };
        self.asked.push(question.clone());
        Ok(question)
    }

    /// Asks again where an earlier question opened a thread; gives the request to the model.
    pub(super) fn follow_up(&self, first: &Question, words: &str) -> Result<Value> {
        let (_, before) = self.control.model_requests(u64::MAX)?;
        self.control.say(&first.id, &self.user, words)?;
        self.until("a request for the follow-up", || {
            let (requests, _) = self.control.model_requests(before)?;
            Ok(requests.into_iter().find(|it| it["body"].to_string().contains(words)))
        })
    }

    /// Waits until the answer has begun to show.
    pub(super) fn wait_for_first_words(&self, question: &Question) -> Result<()> {
        self.until("the first words of an answer", || {
            Ok((!self.answers(question)?.is_empty()).then_some(()))
        })
    }

    /// Waits until the answer is whole.
    pub(super) fn wait_for_answer(&self, question: &Question) -> Result<()> {
        self.until("a whole answer", || {
            let whole = self.answers(question)?.iter().any(|it| is_whole(it, question));
            Ok(whole.then_some(()))
        })
    }

    /// Every question has one answer, whole, and no second one was ever made for it.
    pub(super) fn expect_one_answer_each(&self) -> Result<()> {
        let made = self.control.created_messages()?;
        for question in &self.asked {
            let answers = self.answers(question)?;
            ensure!(
                answers.len() == 1 && is_whole(&answers[0], question),
                "find one whole answer to {}: {answers:?}",
                question.mark
            );
            let ids: BTreeSet<&str> = made
                .iter()
                .filter(|(channel, _)| *channel == question.id)
                .map(|(_, id)| id.as_str())
                .collect();
            ensure!(ids.len() == 1, "see one message made for {}: {ids:?}", question.mark);
        }
        Ok(())
    }

    /// What the bot says in the question's thread; Discord's own mark of a thread says nothing.
    fn answers(&self, question: &Question) -> Result<Vec<String>> {
        let messages = self.control.messages(&question.id)?;
        Ok(messages
            .iter()
            .filter(|message| message["author"]["id"] == *self.bot)
            .filter_map(|message| text(&message["content"]))
            .filter(|content| !content.is_empty())
            .collect())
    }

    fn until<T>(&self, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let started = Instant::now();
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            if started.elapsed() > ANSWERED_WITHIN {
                let shown: Vec<_> = self.asked.iter().map(|it| self.answers(it)).collect();
                bail!("see {what} within {} s: {shown:?}", ANSWERED_WITHIN.as_secs());
            }
            pause(LOOK_EVERY)?;
        }
    }
}

fn is_whole(answer: &str, question: &Question) -> bool {
    answer.contains(&question.mark) && answer.trim_end().ends_with(END)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{Question, is_whole};

    #[test]
    fn an_answer_is_whole_with_its_own_mark_and_its_end() {
        let question = Question { id: "1".to_owned(), mark: "q1x7".to_owned() };
        assert!(is_whole("「q1x7」ですね。おしまい。", &question));
        assert!(!is_whole("「q1x7」ですね。", &question));
        assert!(!is_whole("「q2x7」ですね。おしまい。", &question));
    }
}
