//! A short first conversation: a mention, a reply that streams in, a question that needs memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Voice;
use super::fleet::Fleet;
use super::model::Model;
use super::phrases::Phrases;
use crate::interrupt;

/// How long a whole reply may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(90);
/// A real model's reply counts as whole when it has not grown for so long.
const QUIET_FOR: Duration = Duration::from_secs(4);
/// Pauses between two looks at a growing reply.
const LOOK_EVERY: Duration = Duration::from_millis(30);

/// One question and its answer.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) question: String,
    pub(crate) question_id: String,
    pub(crate) reply: String,
    /// Ids of the messages the reply consists of.
    pub(crate) message_ids: Vec<String>,
    /// The channel or thread in which the reply stands.
    pub(crate) channel_id: String,
    pub(crate) first_text: Duration,
    pub(crate) whole_text: Duration,
    /// Edits by which the reply grew.
    pub(crate) edits: u64,
}

/// What was played.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) user_id: String,
    pub(crate) user_name: String,
    pub(crate) channel_id: String,
    pub(crate) turns: Vec<Turn>,
    /// The word drawn for this conversation.
    pub(crate) word: Option<String>,
    /// Whether the reply to the question held the word.
    pub(crate) remembered: bool,
}

impl Conversation {
    /// Plays it; a reply that does not come, or forgets, is an error when the model is played.
    pub(crate) fn play(fleet: &mut Fleet, voice: Voice, phrases: &Phrases) -> Result<Self> {
        let model_draws = matches!(fleet.model, Model::Played);
        let (greeting, question, told) = phrases.script(model_draws);
        let mut stage = Stage::set(fleet, voice, phrases)?;
        let mention = format!("<@{}> ", stage.fleet.bot_id());
        let first = stage.ask(&stage.channel_id.clone(), &format!("{mention}{greeting}"))?;
        // In the thread that the mention opened, nobody has to mention the bot again.
        let again = if first.channel_id == stage.channel_id { mention.as_str() } else { "" };
        let word = told.or_else(|| phrases.word_in(&first.reply).map(str::to_owned));
        let second = stage.ask(&first.channel_id, &format!("{again}{question}"))?;
        let remembered = word.as_ref().is_some_and(|word| second.reply.contains(word.as_str()));
        if model_draws {
            ensure!(word.is_some(), "find a word in the first reply: {:?}", first.reply);
            ensure!(remembered, "hear the word again: the second reply was {:?}", second.reply);
            stage.expect_history(&first)?;
        }
        if remembered {
            voice.line(phrases.remembered);
        }
        let Stage { user_id, user_name, channel_id, .. } = stage;
        let turns = vec![first, second];
        Ok(Self { user_id, user_name, channel_id, turns, word, remembered })
    }
}

/// Who speaks where.
struct Stage<'a> {
    fleet: &'a mut Fleet,
    voice: Voice,
    user_id: String,
    user_name: String,
    channel_id: String,
    /// Number of the last model request before the current question.
    requests_before: u64,
}

impl<'a> Stage<'a> {
    fn set(fleet: &'a mut Fleet, voice: Voice, phrases: &Phrases) -> Result<Self> {
        let world = fleet.control.world()?;
        let bot = fleet.bot_id().to_owned();
        let users = world["users"].as_array().context("list the users")?;
        let people = || users.iter().filter(|user| user["id"] != *bot && user["bot"] != true);
        let user = people()
            .find(|user| user["name"] == phrases.user)
            .or_else(|| people().next())
            .context("find a user who is not the bot")?;
        let guilds = world["guilds"].as_array().context("list the guilds")?;
        let guild = guilds.iter().find(|guild| guild["preferred_locale"] == phrases.locale);
        let guild = guild.or(guilds.first()).context("find a guild")?;
        let channels = guild["channels"].as_array().context("list the channels")?;
        let texts = || channels.iter().filter(|channel| channel["type"] == 0);
        let channel = texts()
            .find(|channel| channel["name"] == phrases.channel)
            .or_else(|| texts().next())
            .context("find a text channel")?;
        let name = user["global_name"].as_str().or_else(|| user["name"].as_str());
        Ok(Self {
            user_id: user["id"].as_str().unwrap_or_default().to_owned(),
            user_name: name.unwrap_or("?").to_owned(),
            channel_id: channel["id"].as_str().unwrap_or_default().to_owned(),
            requests_before: 0,
            fleet,
            voice,
        })
    }

    /// Says something and shows the reply as it grows, until it is whole.
    fn ask(&mut self, channel: &str, content: &str) -> Result<Turn> {
        self.requests_before = self.fleet.control.model_requests(u64::MAX)?.1;
        let shown = content.replace(&format!("<@{}>", self.fleet.bot_id()), "@bot");
        self.voice.line(&format!("{}: {shown}", self.user_name));
        let question_id = self.fleet.control.say(channel, &self.user_id, content)?;
        let asked = Instant::now();
        let mut growing = Growing::default();
        loop {
            // A mention in a channel is answered there, or in the thread that begins at it.
            for place in [channel, question_id.as_str()] {
                let messages = self.fleet.control.messages(place)?;
                growing.look(place, &messages, (self.fleet.bot_id(), &question_id), asked);
            }
            growing.show(self.voice);
            if self.is_whole(&growing)? {
                break;
            }
            if asked.elapsed() > ANSWERED_WITHIN {
                let so_far = &growing.text;
                let words = self.fleet.last_words();
                bail!("see a whole reply to {content:?}: so far {so_far:?}\n{words}");
            }
            self.fleet.expect_running()?;
            let next = Instant::now() + LOOK_EVERY;
            while Instant::now() < next {
                interrupt::tick()?;
            }
        }
        self.voice.line("\n");
        Ok(growing.into_turn(shown, question_id, asked))
    }

    /// A played model tells what it answered; of another one we only see that it fell silent.
    fn is_whole(&self, growing: &Growing) -> Result<bool> {
        if growing.text.is_empty() {
            return Ok(false);
        }
        if !matches!(self.fleet.model, Model::Played) {
            return Ok(growing.grew_at.is_some_and(|at| at.elapsed() > QUIET_FOR));
        }
        let (requests, _) = self.fleet.control.model_requests(self.requests_before)?;
        Ok(requests.iter().any(|request| {
            let reply = request["reply"].as_str().unwrap_or_default();
            request["outcome"] == "answered" && reply.trim() == growing.text.trim()
        }))
    }

    /// The request for the second reply held the first question and its reply, in order.
    fn expect_history(&self, first: &Turn) -> Result<()> {
        let (requests, _) = self.fleet.control.model_requests(self.requests_before)?;
        let request = requests.last().context("find the model's second request")?;
        let messages = request["body"]["messages"].as_array().context("read its messages")?;
        let words = first.question.trim_start_matches("@bot").trim();
        let of = |role: &str, text: &str| {
            messages.iter().position(|message| {
                let content = message["content"].to_string();
                let text = Value::from(text).to_string();
                message["role"] == role && content.contains(text.trim_matches('"'))
            })
        };
        let asked = of("user", words).context("find the first question in the model's request")?;
        let told = of("assistant", first.reply.trim()).context("find the first reply there")?;
        ensure!(asked < told, "find question before reply in the model's request");
        Ok(())
    }
}

/// A reply while it grows.
#[derive(Debug, Default)]
struct Growing {
    text: String,
    shown: String,
    place: String,
    message_ids: Vec<String>,
    edits: u64,
    first_text: Option<Duration>,
    grew_at: Option<Instant>,
}

impl Growing {
    /// Reads the bot's messages that are younger than the question, if this is the place.
    fn look(
        &mut self,
        place: &str,
        messages: &[Value],
        (bot, question): (&str, &str),
        asked: Instant,
    ) {
        let younger = |id: &str| (id.len(), id) > (question.len(), question);
        let parts: Vec<&Value> = messages
            .iter()
            .filter(|message| message["author"]["id"] == bot)
            .filter(|message| message["id"].as_str().is_some_and(younger))
            // Discord opens a thread with a message of the bot's that says nothing.
            .filter(|message| message["content"] != "")
            .collect();
        let text: Vec<&str> = parts.iter().filter_map(|part| part["content"].as_str()).collect();
        let text = text.join("\n");
        if text.is_empty() {
            return;
        }
        place.clone_into(&mut self.place);
        let ids = parts.iter().filter_map(|part| part["id"].as_str().map(str::to_owned));
        self.message_ids = ids.collect();
        self.edits = parts.iter().filter_map(|part| part["edits"].as_u64()).sum();
        if text != self.text {
            self.first_text.get_or_insert_with(|| asked.elapsed());
            self.grew_at = Some(Instant::now());
            self.text = text;
        }
    }

    /// Shows what is new; a reply that was rewritten is shown again from its start.
    fn show(&mut self, voice: Voice) {
        if self.text == self.shown {
            return;
        }
        match self.text.strip_prefix(self.shown.as_str()) {
            Some(new) if !self.shown.is_empty() => voice.piece(new),
            _ if self.shown.is_empty() => voice.piece(&format!("bot: {}", self.text)),
            _ => voice.piece(&format!("\nbot: {}", self.text)),
        }
        self.shown.clone_from(&self.text);
    }

    fn into_turn(self, question: String, question_id: String, asked: Instant) -> Turn {
        let whole_text = self.grew_at.map_or_else(|| asked.elapsed(), |at| at - asked);
        Turn {
            question,
            question_id,
            reply: self.text,
            message_ids: self.message_ids,
            channel_id: self.place,
            first_text: self.first_text.unwrap_or(whole_text),
            whole_text,
            edits: self.edits,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::Growing;

    #[test]
    fn only_the_bots_younger_messages_are_the_reply() {
        let messages = [
            json!({"id": "9", "author": {"id": "b"}, "content": "an older reply"}),
            json!({"id": "10", "author": {"id": "u"}, "content": "the question"}),
            json!({"id": "11", "author": {"id": "b"}, "content": "one", "edits": 3}),
            json!({"id": "12", "author": {"id": "b"}, "content": "two", "edits": 1}),
            json!({"id": "13", "author": {"id": "u"}, "content": "somebody else"}),
            json!({"id": "14", "author": {"id": "b"}, "content": ""}),
        ];
        let mut growing = Growing::default();
        growing.look("c", &messages, ("b", "10"), Instant::now());
        assert_eq!(growing.text, "one\ntwo");
        assert_eq!((growing.message_ids.len(), growing.edits), (2, 4));
        assert!(growing.first_text.is_some());
    }

    #[test]
    fn a_place_without_a_reply_changes_nothing() {
        let mut growing = Growing::default();
        growing.look(
            "c",
            &[json!({"id": "1", "author": {"id": "b"}})],
            ("b", "10"),
            Instant::now(),
        );
        assert_eq!((growing.text.as_str(), growing.place.as_str()), ("", ""));
    }
}
