//! The gateway's place: publishes events, carries commands out in its memory, answers with results.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::{Bus, ConsumerSpec, Outgoing, Start};
use contracts::command::{Action, Command, CommandResult, FailureClass, Outcome};
use contracts::draft::Draft;
use contracts::event::event_id;
use contracts::id::{ChannelId, MessageId, Purpose};
use contracts::status::{GatewayStatus, ShardState};
use contracts::{envelope, stream, subject};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::eventually;
use super::question::{Question, snowflake};

/// A command as it came, with its place in the stream.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) sequence: u64,
    pub(crate) command: Command,
}

impl Sent {
    pub(crate) fn text(&self) -> &str {
        match &self.command.action {
            Action::OpenReply { text }
            | Action::FinishReply { text, .. }
            | Action::Notice { text } => text,
            Action::OpenThread | Action::React { .. } => "",
        }
    }
}

#[derive(Default)]
struct Memory {
    commands: Vec<Sent>,
    drafts: Vec<Draft>,
    /// The message of each (turn, is a notice).
    messages: HashMap<(u64, bool), u64>,
    refuse: HashMap<Purpose, FailureClass>,
}

pub(crate) struct Discord {
    bus: Bus,
    memory: Arc<Mutex<Memory>>,
    answering: watch::Sender<bool>,
}

impl Discord {
    pub(crate) async fn start(bus: &Bus) -> Self {
        let memory = Arc::<Mutex<Memory>>::default();
        let answering = watch::Sender::new(true);
        let spec = ConsumerSpec {
            stream: stream::DISCORD_COMMANDS.name,
            durable: "test-gateway",
            filters: Vec::new(),
            start: Start::All,
            fresh: true,
            ack_wait: Duration::from_mins(1),
            in_flight_max: 1000,
            deliver_max: None,
        };
        let mut deliveries = bus.consume(&spec).await.unwrap();
        let (seen, on, results) = (Arc::clone(&memory), answering.subscribe(), bus.clone());
        tokio::spawn(async move {
            while let Ok(delivery) = deliveries.next().await {
                let command: Command = envelope::decode(&delivery.payload).unwrap();
                let result = carry_out(&seen, delivery.stream_sequence, command);
                let (mut on, results) = (on.clone(), results.clone());
                tokio::spawn(async move {
                    if on.wait_for(|on| *on).await.is_err() {
                        return;
                    }
                    let message = Outgoing {
                        subject: subject::result(result.command),
                        id: Some(format!("result:{}", result.command)),
                        headers: Vec::new(),
                        payload: envelope::encode(&result).into(),
                    };
                    let forever = tokio_util::sync::CancellationToken::new();
                    let stored = results.publish_until_stored(&message, &forever).await;
                    if stored.is_ok() {
                        drop(delivery.ack().await);
                    }
                });
            }
        });
        let mut drafts = bus.subscribe(subject::DRAFTS).await.unwrap();
        let seen = Arc::clone(&memory);
        tokio::spawn(async move {
            while let Some(message) = drafts.next().await {
                let draft = envelope::decode(&message.payload).unwrap();
                seen.lock().unwrap().drafts.push(draft);
            }
        });
        bus.flush().await.unwrap();
        Self { bus: bus.clone(), memory, answering }
    }

    /// Whether results are sent; what is held back meanwhile follows.
    pub(crate) fn answering(&self, on: bool) {
        self.answering.send_replace(on);
    }

    /// Commands of that purpose fail from now on.
    pub(crate) fn refuse(&self, purpose: Purpose, class: FailureClass) {
        self.memory.lock().unwrap().refuse.insert(purpose, class);
    }

    pub(crate) async fn ask(&self, question: &Question) -> u64 {
        let id = event_id("MESSAGE_CREATE", Some(MessageId(question.id)), "", 0);
        self.publish(question, "MESSAGE_CREATE", &id).await
    }

    /// The same message under another event id, as a scan or a lost dedup window would bring it.
    pub(crate) async fn ask_again(&self, question: &Question) -> u64 {
        let id = format!("again:{}", snowflake());
        self.publish(question, "MESSAGE_CREATE", &id).await
    }

    pub(crate) async fn edit(&self, question: &Question, text: &str, edited: &str) -> u64 {
        let mut edited_question = question.clone();
        text.clone_into(&mut edited_question.text);
        edited_question.extra["edited_timestamp"] = json!(edited);
        self.publish(&edited_question, "MESSAGE_UPDATE", &format!("edit:{}", snowflake())).await
    }

    pub(crate) async fn delete(&self, question: &Question) -> u64 {
        self.delete_message(question, question.id).await
    }

    pub(crate) async fn delete_message(&self, place: &Question, message: u64) -> u64 {
        let data = json!({"id": message.to_string(), "channel_id": place.channel.to_string()});
        let frame = json!({"t": "MESSAGE_DELETE", "s": 2, "op": 0, "d": data});
        self.raw(&place.subject("MESSAGE_DELETE"), &frame, place).await
    }

    pub(crate) async fn raw(&self, subject: &str, frame: &Value, question: &Question) -> u64 {
        let payload = serde_json::to_vec(frame).unwrap();
        self.bytes(subject, payload, question, &format!("raw:{}", snowflake())).await
    }

    pub(crate) async fn bytes(
        &self,
        subject: &str,
        payload: Vec<u8>,
        question: &Question,
        id: &str,
    ) -> u64 {
        let message = Outgoing {
            subject: subject.to_owned(),
            id: Some(id.to_owned()),
            headers: question.meta().headers(),
            payload: payload.into(),
        };
        self.bus.publish(&message).await.unwrap().sequence
    }

    async fn publish(&self, question: &Question, kind: &str, id: &str) -> u64 {
        let payload = serde_json::to_vec(&question.frame(kind)).unwrap();
        self.bytes(&question.subject(kind), payload, question, id).await
    }

    pub(crate) async fn say_connected(&self, state: ShardState) {
        let status = GatewayStatus {
            shard: 0,
            shards: 1,
            state,
            latency_ms: Some(40),
            identifies_left: Some(999),
            bot: None,
            sender: true,
            at_unix_ms: 1,
        };
        let payload = envelope::encode(&status);
        self.bus.publish_core(subject::gateway_status(0), payload).await.unwrap();
    }

    /// Every command so far, repetitions included.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.memory.lock().unwrap().commands.clone()
    }

    pub(crate) fn sent_for(&self, turn: u64) -> Vec<Sent> {
        self.sent().into_iter().filter(|sent| sent.command.id.turn.0 == turn).collect()
    }

    pub(crate) fn drafts(&self, turn: u64) -> Vec<Draft> {
        let memory = self.memory.lock().unwrap();
        memory.drafts.iter().filter(|draft| draft.turn.0 == turn).cloned().collect()
    }

    /// Waits for a command of a turn.
    pub(crate) async fn command(&self, turn: u64, purpose: Purpose) -> Sent {
        let found = eventually(async || {
            self.sent_for(turn).into_iter().find(|sent| sent.command.id.purpose == purpose)
        })
        .await;
        found.unwrap_or_else(|| panic!("turn {turn} has sent {:?}", self.sent_for(turn)))
    }

    /// Waits for the final text of a turn.
    pub(crate) async fn finished(&self, turn: u64) -> String {
        self.command(turn, Purpose::Finish).await.text().to_owned()
    }

    /// The final texts of a turn: one, however often its command was repeated.
    pub(crate) fn finals(&self, turn: u64) -> HashSet<(String, String)> {
        self.sent_for(turn)
            .into_iter()
            .filter(|sent| sent.command.id.purpose == Purpose::Finish)
            .map(|sent| (sent.command.id.to_string(), sent.text().to_owned()))
            .collect()
    }

    /// The message in which a turn was answered.
    pub(crate) fn message_of(&self, turn: u64) -> u64 {
        self.memory.lock().unwrap().messages[&(turn, false)]
    }
}

fn carry_out(memory: &Mutex<Memory>, sequence: u64, command: Command) -> CommandResult {
    let mut memory = memory.lock().unwrap();
    let id = command.id;
    let target = command.place.target();
    let question = command.place.question;
    assert_eq!(command.subject(), subject::command(id.purpose, target), "{question}");
    let refused = memory.refuse.get(&id.purpose).copied();
    let outcome = match (refused, id.purpose) {
        (Some(class), _) => {
            Outcome::Failed { class, code: None, reason: "the test says so".to_owned() }
        }
        (None, Purpose::Thread | Purpose::React) => {
            Outcome::Done { channel_id: ChannelId(target.0), messages: Vec::new() }
        }
        (None, purpose) => {
            let notice = purpose == Purpose::Notice;
            let message = *memory.messages.entry((id.turn.0, notice)).or_insert_with(snowflake);
            Outcome::Done { channel_id: ChannelId(target.0), messages: vec![MessageId(message)] }
        }
    };
    memory.commands.push(Sent { sequence, command });
    CommandResult { command: id, outcome }
}
