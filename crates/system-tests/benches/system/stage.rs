//! The house in which turns are timed: people and channels, questions sent, answers found again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use simulator::ledger::Kind;
use simulator::world::entity::channel_type;
use simulator::world::id::Id;
use simulator::world::mentions::AllowedMentions;
use simulator::world::messages::NewMessage;
use system_tests::{House, Options};

use crate::figures::Samples;
use crate::pace::{self, Pace, between_ms, now_us};

const PEOPLE: usize = 50;
const CHANNELS: usize = 100;
/// What the model answers, in chunks of [`CHUNK_CHARS`]; nothing in it needs rendering.
const ANSWER: &str = "The light comes low over the water and the boats turn gold for a while, \
                      then the bridge goes dark before the river does.";
const CHUNK_CHARS: usize = 6;
/// Caps that no load reaches.
const NO_CAP: &str = "100000000";
/// Model calls that the worker may have under way: more than any load brings.
const CALLS_MAX: &str = "4000";
/// What a route may be asked in a second when the simulator's own limits are off.
const REQUESTS_PER_SECOND: &str = "100000";
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// One question, from the moment it was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub(crate) id: Id,
    /// Where the answer is looked for.
    pub(crate) answered_in: Id,
    pub(crate) sent_us: u64,
}

/// When what happened to a question, in microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) sent: u64,
    pub(crate) asked: u64,
    pub(crate) first_token: u64,
    pub(crate) first_text: u64,
    pub(crate) last_token: u64,
    pub(crate) whole: u64,
}

/// What a round of questions came to.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) times: Vec<Times>,
    /// How late the generator was, in milliseconds.
    pub(crate) late: Samples,
    pub(crate) incomplete: usize,
    /// Requests that Discord's stand-in took, and those it refused with 429.
    pub(crate) requests: usize,
    pub(crate) limited: usize,
    /// From the first question to the last whole answer.
    pub(crate) seconds: f64,
}

/// The house, full of people.
pub(crate) struct Stage {
    pub(crate) house: House,
    pub(crate) guild: Id,
    pub(crate) people: Vec<Id>,
    pub(crate) channels: Vec<Id>,
    sent: usize,
}

impl Stage {
    /// Builds it; with `limits` Discord's usual limits hold on both sides.
    pub(crate) async fn build(
        limits: bool,
        worker: Vec<(&'static str, String)>,
    ) -> anyhow::Result<Self> {
        let mut options = Options { worker, ..Options::default() };
        for key in ["TURNS_PER_USER_PER_DAY", "TURNS_PER_GUILD_PER_DAY"] {
            options.worker.push((key, NO_CAP.to_owned()));
        }
        options.worker.push(("MODEL_CALLS_MAX", CALLS_MAX.to_owned()));
        if !limits {
            options.gateway.push(("DISCORD_REQUESTS_PER_SECOND", REQUESTS_PER_SECOND.to_owned()));
        }
        let house = House::build(options).await?;
        house.discord.post("limits", json!({"enabled": limits})).await?;
        let guild: Id = house.guild.parse()?;
        let (people, channels) = house.simulator().with(|core| {
            let people: Vec<Id> = (0..PEOPLE)
                .map(|n| {
                    let name = format!("person{n}");
                    let id = core.world.create_user(&name, Some(&name), false);
                    core.world.add_member(guild, id);
                    id
                })
                .collect();
            let channels: Vec<Id> = (0..CHANNELS)
                .map(|n| core.world.create_channel(guild, &format!("c{n}"), channel_type::TEXT))
                .collect();
            (people, channels)
        });
        Ok(Self { house, guild, people, channels, sent: 0 })
    }

    /// Starts the services and waits until they are ready.
    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        self.house.gateway.start().await?;
        self.house.worker.start().await?;
        self.house.gateway.ready().await?;
        self.house.worker.ready().await
    }

    /// Makes the model take so long for each answer whose question is marked so.
    pub(crate) async fn script(&self, durations_ms: &[u64]) -> anyhow::Result<()> {
        let rules: Vec<Value> = durations_ms
            .iter()
            .map(|total_ms| {
                let first_ms = (total_ms / 10).min(500);
                json!({
                    "match": mark(*total_ms), "reply": ANSWER, "chunk_chars": CHUNK_CHARS,
                    "first_token_ms": first_ms, "total_ms": total_ms,
                })
            })
            .collect();
        self.house.discord.script(json!({"replace": true, "rules": rules})).await
    }

    /// One question in a place, from someone, at once.
    pub(crate) fn ask(&mut self, place: Id, model_ms: u64) -> anyhow::Result<(usize, Question)> {
        let number = self.sent;
        self.sent += 1;
        let person = self.people[number % PEOPLE];
        let sent = send(self.house.simulator(), (place, person), &content(number, model_ms));
        let (id, sent_us) = sent.context("the question is sent")?;
        Ok((number, Question { id, answered_in: place, sent_us }))
    }

    /// Asks at this pace, waits until all is answered, and reads what happened when.
    pub(crate) async fn round(
        &mut self,
        pace: Pace,
        model_ms: u64,
        patience: Duration,
    ) -> anyhow::Result<Round> {
        let state = self.house.simulator().clone();
        state.ledger().clear();
        let asked: Arc<Mutex<HashMap<usize, Question>>> = Arc::default();
        let (kept, sender, first) = (Arc::clone(&asked), state.clone(), self.sent);
        let (people, channels) = (self.people.clone(), self.channels.clone());
        self.sent += pace.count;
        let begun = Instant::now();
        let late = pace::open_loop(pace, move |index| {
            let number = first + index;
            let from = (channels[number % CHANNELS], people[number % PEOPLE]);
            if let Some((id, sent_us)) = send(&sender, from, &content(number, model_ms)) {
                let question = Question { id, answered_in: id, sent_us };
                kept.lock().unwrap_or_else(PoisonError::into_inner).insert(number, question);
            }
        })
        .await?;
        let asked = std::mem::take(&mut *asked.lock().unwrap_or_else(PoisonError::into_inner));
        anyhow::ensure!(asked.len() == pace.count, "every question is sent");
        tokio::time::sleep(Duration::from_millis(model_ms)).await;
        let mut open: Vec<Question> = asked.values().copied().collect();
        let deadline = Instant::now() + patience;
        while !open.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
            open.retain(|question| !self.is_answered(question.answered_in));
        }
        let mut round = self.read(&asked);
        round.late = late;
        round.incomplete = pace.count - round.times.len();
        let end_us = round.times.iter().map(|times| times.whole).max().unwrap_or_default();
        let first_us = asked.values().map(|question| question.sent_us).min().unwrap_or_default();
        round.seconds = between_ms(first_us, end_us) / 1e3;
        if round.seconds == 0.0 {
            round.seconds = begun.elapsed().as_secs_f64();
        }
        Ok(round)
    }

    /// Whether the newest message of a place is the whole answer.
    pub(crate) fn is_answered(&self, place: Id) -> bool {
        self.house.simulator().with(|core| {
            let channel = core.world.channels.get(&place);
            let newest = channel.and_then(|channel| channel.messages.values().next_back());
            newest.is_some_and(|newest| newest.content.trim() == ANSWER)
        })
    }

    /// Reads the ledger: the times of all questions that were answered whole.
    pub(crate) fn read(&self, asked: &HashMap<usize, Question>) -> Round {
        let ledger = self.house.simulator().ledger();
        let mut times: HashMap<usize, Times> = asked
            .iter()
            .map(|(number, question)| {
                (*number, Times { sent: question.sent_us, ..Times::default() })
            })
            .collect();
        for entry in ledger.entries(Kind::Model, 0) {
            let number = number_in(&entry["body"].to_string());
            let Some(times) = number.and_then(|number| times.get_mut(&number)) else { continue };
            times.asked = entry["started_at_us"].as_u64().unwrap_or_default();
            times.first_token = entry["first_text_at_us"].as_u64().unwrap_or_default();
            times.last_token = entry["last_text_at_us"].as_u64().unwrap_or_default();
        }
        let by_id: HashMap<String, usize> =
            asked.iter().map(|(number, question)| (question.id.to_string(), *number)).collect();
        let mut round = Round::default();
        for entry in ledger.entries(Kind::Rest, 0) {
            round.requests += 1;
            round.limited += usize::from(entry["status"] == 429);
            let Some(number) = question_of(&entry["response"], &by_id) else { continue };
            let Some(times) = times.get_mut(&number) else { continue };
            let at = entry["at_us"].as_u64().unwrap_or_default();
            if times.first_text == 0 {
                times.first_text = at;
            }
            let text = entry["response"]["content"].as_str().unwrap_or_default();
            if times.whole == 0 && text.trim() == ANSWER {
                times.whole = at;
            }
        }
        round.times = times.into_values().filter(|times| times.whole > 0).collect();
        round
    }
}

/// Which question a message of the bot answers: the one it refers to, or the one whose thread it
/// stands in. What is no message with text answers none.
fn question_of(message: &Value, by_id: &HashMap<String, usize>) -> Option<usize> {
    message["content"].as_str().filter(|text| !text.is_empty())?;
    let referred = message["message_reference"]["message_id"].as_str();
    let place = message["channel_id"].as_str();
    referred.into_iter().chain(place).find_map(|id| by_id.get(id).copied())
}

fn send(state: &simulator::State, (place, person): (Id, Id), content: &str) -> Option<(Id, u64)> {
    state.with(|core| {
        let text = format!("<@{}> {content}", core.world.bot_id);
        let channel = core.world.channels.get(&place)?;
        let mentions =
            core.world.mentions(channel, (person, &text), &AllowedMentions::default(), None);
        let new = NewMessage { content: text, mentions, ..NewMessage::default() };
        let id = core.world.send(place, person, new)?;
        // The dispatch leaves as soon as this closure ends.
        Some((id, now_us()))
    })
}

fn content(number: usize, model_ms: u64) -> String {
    format!("{} #n{number}# How does the evening light fall on the old bridge?", mark(model_ms))
}

fn mark(model_ms: u64) -> String {
    format!("[{model_ms} ms]")
}

/// The number of the last question in a model request: earlier ones are its history.
fn number_in(body: &str) -> Option<usize> {
    let (_, rest) = body.rsplit_once("#n")?;
    rest.split('#').next()?.parse().ok()
}
