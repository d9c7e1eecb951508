//! The prompt: persona, what was said before as far as it fits, and what is to be answered.

use contracts::id::{TurnId, UserId};
use llm::estimate::{self, Correction};
use llm::window::{self, Room};
use llm::{Message, Role};

use crate::language::Language;
use crate::speakers::{CLOSE, OPEN, Speakers, clean_line, neutralised};
use crate::store::{History, PastTurn};
use crate::texts::{self, Labels};
use crate::turn::Heard;

/// A quoted or forwarded text is context, not the question.
const QUOTE_CHARACTERS_MAX: usize = 1000;
/// Below this a question makes no sense any more.
const QUESTION_CHARACTERS_MIN: usize = 200;

/// How much a prompt may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The model's whole window, in tokens.
    pub context_tokens: u64,
    /// Kept free for the answer, in tokens.
    pub output_tokens: u64,
}

/// What a prompt is made of.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    /// Who the bot is.
    pub persona: &'a str,
    /// The language of our own words in it.
    pub language: Language,
    /// What was said before.
    pub history: &'a History,
    /// The turn with which the last prompt began, if it is known.
    pub begin_with: Option<TurnId>,
    /// What is to be answered.
    pub asked: &'a [Heard],
}

/// A prompt, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The system text.
    pub system: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// The turn with which it begins; none = with the question itself.
    pub begins_with: Option<TurnId>,
    /// Its tokens, estimated without any correction.
    pub tokens: u64,
}

/// Builds the prompt: the same material gives the same prompt.
pub fn build(material: &Material<'_>, limits: Limits, correction: &Correction) -> Prompt {
    let labels = texts::labels(material.language);
    let rules = texts::reading_rules(material.language);
    let system = format!("{}\n\n{rules}", material.persona.trim());
    let room = Room {
        window: limits.context_tokens,
        reserve_output: limits.output_tokens,
        system: correction.reserved(estimate::system_tokens(&system)),
    };
    let mut writer = Writer { speakers: Speakers::default(), labels, quote_own: false };
    let turns = material.history.turns();
    let last_start = turns.iter().position(|turn| Some(turn.id) == material.begin_with);
    // What the last prompt had left out stays out, so only its people's names are needed.
    let (left_out, turns) = turns.split_at(last_start.unwrap_or(0));
    for turn in left_out {
        writer.meet(turn);
    }
    let past: Vec<Vec<Message>> = turns.iter().map(|turn| writer.past(turn)).collect();
    writer.quote_own = left_out.is_empty() && past.is_empty();
    let asked = writer.question(material.asked, &room, correction);
    let mut tokens: Vec<u64> =
        past.iter().map(|turn| correction.reserved(tokens_of(turn))).collect();
    tokens.push(correction.reserved(tokens_of(std::slice::from_ref(&asked))));
    let kept = match last_start {
        Some(_) => window::fit_from(&tokens, 0, &room).turns,
        None => window::fit(&tokens, &room).turns,
    };
    let mut messages = Vec::new();
    for message in past.into_iter().skip(kept.start).flatten() {
        push(&mut messages, message);
    }
    push(&mut messages, asked);
    // Several wires want a person to speak first.
    while messages.first().is_some_and(|first| first.role == Role::Assistant) {
        messages.remove(0);
    }
    let tokens = estimate::system_tokens(&system) + tokens_of(&messages);
    let begins_with = turns.get(kept.start).map(|turn| turn.id);
    Prompt { system, messages, begins_with, tokens }
}

fn tokens_of(messages: &[Message]) -> u64 {
    messages.iter().map(estimate::message_tokens).sum()
}

/// Adds a message; what one side says in a row becomes one, since many models are made for speakers
/// that take turns. Each person's words keep their own header.
fn push(messages: &mut Vec<Message>, message: Message) {
    match messages.last_mut() {
        Some(last) if last.role == message.role => {
            let text = format!("{}\n\n{}", last.text(), message.text());
            *last = match message.role {
                Role::Assistant => Message::assistant(text),
                _ => Message::user(text),
            };
        }
        _ => messages.push(message),
    }
}

struct Writer {
    speakers: Speakers,
    labels: Labels,
    /// Whether the bot's own message that is answered must be quoted: it is not in the history.
    quote_own: bool,
}

impl Writer {
    /// Gives the people of a turn their names, as if it were written down.
    fn meet(&mut self, turn: &PastTurn) {
        for heard in &turn.messages {
            self.speakers.name(heard.author, &heard.author_name, self.labels.someone);
        }
    }

    fn past(&mut self, turn: &PastTurn) -> Vec<Message> {
        let mut messages = Vec::new();
        if !turn.messages.is_empty() {
            messages.push(Message::user(self.said(&turn.messages, usize::MAX)));
        }
        messages.extend(turn.reply.as_ref().map(|text| Message::assistant(text.clone())));
        messages
    }

    /// What is to be answered, shortened until it fits by itself.
    fn question(&mut self, asked: &[Heard], room: &Room, correction: &Correction) -> Message {
        let mut characters_max = usize::MAX;
        loop {
            let message = Message::user(self.said(asked, characters_max));
            let tokens = correction.reserved(estimate::message_tokens(&message));
            if tokens <= room.for_turns() || characters_max <= QUESTION_CHARACTERS_MIN {
                return message;
            }
            let longest = asked.iter().map(|heard| heard.content.chars().count()).max();
            let longest = longest.unwrap_or_default().min(characters_max);
            characters_max = (longest / 2).max(QUESTION_CHARACTERS_MIN);
        }
    }

    fn said(&mut self, messages: &[Heard], characters_max: usize) -> String {
        let blocks: Vec<String> =
            messages.iter().map(|heard| self.block(heard, messages, characters_max)).collect();
        blocks.join("\n\n")
    }

    fn block(&mut self, heard: &Heard, together: &[Heard], characters_max: usize) -> String {
        let name = self.speakers.name(heard.author, &heard.author_name, self.labels.someone);
        let mut lines = vec![format!("{OPEN}{name}{CLOSE}")];
        if let Some(quote) = self.quote(heard, together) {
            lines.push(quote);
        }
        if !heard.forwarded.is_empty() {
            lines.push(own_line(self.labels.forwards, &heard.forwarded));
        }
        if !heard.attachments.is_empty() {
            let names = heard.attachments.lines().collect::<Vec<_>>().join(", ");
            lines.push(own_line(self.labels.files, &names));
        }
        let text = self.words(&heard.content, heard.bot);
        if text.is_empty() {
            if lines.len() == 1 {
                lines.push(format!("{OPEN}{}{CLOSE}", self.labels.called));
            }
        } else {
            lines.push(self.shortened(&text, characters_max));
        }
        lines.join("\n")
    }

    /// The message that is answered, where the prompt does not hold it anyway.
    fn quote(&self, heard: &Heard, together: &[Heard]) -> Option<String> {
        let shown = together.iter().any(|other| Some(other.id) == heard.reference);
        if heard.reference_content.is_empty()
            || shown
            || (heard.reference_is_own && !self.quote_own)
        {
            return None;
        }
        let name = if heard.reference_is_own {
            self.labels.you.to_owned()
        } else {
            clean_line(&heard.reference_name)
        };
        let label = format!("{} {name}", self.labels.answers);
        Some(own_line(&label, &self.words(&heard.reference_content, heard.bot)))
    }

    /// A text without the bot's own mention, others by name, and nothing that looks like ours.
    fn words(&self, content: &str, bot: Option<UserId>) -> String {
        let mut text = neutralised(content);
        if let Some(bot) = bot {
            text = text.replace(&format!("<@{bot}>"), "").replace(&format!("<@!{bot}>"), "");
        }
        let mut named = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find("<@") {
            let (before, mention) = rest.split_at(at);
            named.push_str(before);
            let digits = mention[2..].trim_start_matches('!');
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            let user =
                digits[..end].parse().ok().and_then(|user| self.speakers.known(UserId(user)));
            match user {
                Some(name) if digits[end..].starts_with('>') => {
                    named.push('@');
                    named.push_str(name);
                    rest = &digits[end + 1..];
                }
                _ => {
                    named.push_str("<@");
                    rest = &mention[2..];
                }
            }
        }
        named.push_str(rest);
        named.trim().to_owned()
    }

    /// The beginning and the end of a text that is too long: a question often stands last.
    fn shortened(&self, text: &str, characters_max: usize) -> String {
        let count = text.chars().count();
        if count <= characters_max {
            return text.to_owned();
        }
        let half = characters_max / 2;
        let start: String = text.chars().take(half).collect();
        let end: String = text.chars().skip(count - half).collect();
        format!("{start}\n{OPEN}{}{CLOSE}\n{end}", self.labels.shortened)
    }
}

/// A line of our own about what somebody sent.
fn own_line(label: &str, text: &str) -> String {
    let text: String = clean_line(text).chars().take(QUOTE_CHARACTERS_MAX).collect();
    format!("{OPEN}{label}: {text}{CLOSE}")
}
