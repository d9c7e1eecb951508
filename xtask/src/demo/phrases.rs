//! What the demo says, in Japanese and English.

use std::time::{SystemTime, UNIX_EPOCH};

use super::conversation::Conversation;
use super::fleet::Fleet;
use super::folder::Folder;
use crate::surroundings;

/// One language's words.
#[derive(Debug)]
pub(crate) struct Phrases {
    pub(crate) building: &'static str,
    pub(crate) starting: &'static str,
    pub(crate) stopping: &'static str,
    pub(crate) done: &'static str,
    /// What the user says first, after the mention, and asks then: the played model draws a word
    /// of its own, any other is told one.
    played: Script,
    told: Script,
    /// Words to tell a model.
    names: [&'static str; 8],
    /// Locale of the guild the conversation takes place in.
    pub(crate) locale: &'static str,
    /// What stands around the word that the played model draws.
    pub(crate) word_marks: (&'static str, char),
    pub(crate) remembered: &'static str,
    /// Channel the conversation takes place in, where there is one of that name.
    pub(crate) channel: &'static str,
    /// Who speaks, where there is somebody of that name.
    pub(crate) user: &'static str,
    labels: Labels,
}

/// Two things a user says; `{word}` stands for a word drawn at run time.
#[derive(Debug)]
struct Script {
    greeting: &'static str,
    question: &'static str,
}

#[derive(Debug)]
struct Labels {
    running: &'static str,
    chat_page: &'static str,
    gateway: &'static str,
    worker: &'static str,
    backup: &'static str,
    copies: &'static str,
    data: &'static str,
    how: &'static str,
    stop: &'static str,
}

const JAPANESE: Phrases = Phrases {
    building: "ビルドしています（初回は数分かかります）…",
    starting: "simulator、nats-server、gateway、conversation-worker、backup-agent を起動しています…\n",
    stopping: "\n止めています…",
    done: "終わりました。",
    played: Script {
        greeting: "こんにちは、はじめまして！",
        question: "さっきの合言葉は何でしたか？",
    },
    told: Script {
        greeting: "こんにちは！うちの猫の名前は{word}といいます。",
        question: "うちの猫の名前は何でしたか？",
    },
    names: ["こむぎ", "あんず", "きなこ", "すだち", "くるみ", "もなか", "ひじき", "おはぎ"],
    locale: "ja",
    word_marks: ("合言葉は「", '」'),
    remembered: "✓ 会話を覚えています。",
    channel: "雑談",
    user: "hana",
    labels: Labels {
        running: "動いています。",
        chat_page: "チャット画面",
        gateway: "gateway の状態",
        worker: "conversation-worker の状態",
        backup: "backup-agent の状態",
        copies: "会話の控え",
        data: "データ",
        how: "話しかけるには、チャット画面を開くか、次のように送ってください",
        stop: "止めるには Ctrl-C",
    },
};

const ENGLISH: Phrases = Phrases {
    building: "Building (this takes some minutes the first time)…",
    starting: "Starting simulator, nats-server, gateway, conversation-worker and backup-agent…\n",
    stopping: "\nStopping…",
    done: "Done.",
    played: Script { greeting: "hello! Nice to meet you.", question: "What was the secret word?" },
    told: Script {
        greeting: "hello! I have a cat. The name of my cat is {word}.",
        question: "What is the name of my cat?",
    },
    names: ["Biscuit", "Pebble", "Clover", "Marble", "Juniper", "Hazel", "Pickle", "Willow"],
    locale: "en-US",
    word_marks: ("secret word is “", '”'),
    remembered: "✓ It remembers the conversation.",
    channel: "english",
    user: "alex",
    labels: Labels {
        running: "Everything is running.",
        chat_page: "chat page",
        gateway: "gateway health",
        worker: "conversation-worker health",
        backup: "backup-agent health",
        copies: "the conversations' copy",
        data: "data",
        how: "To talk to the bot, open the chat page, or send",
        stop: "Ctrl-C stops everything",
    },
};

impl Phrases {
    /// The words in the person's own language, or in English where the model knows no other.
    pub(crate) fn for_person(english_only: bool) -> &'static Self {
        if surroundings::speaks_japanese() && !english_only { &JAPANESE } else { &ENGLISH }
    }

    /// Greeting, question, and the word that was told, if it was not left to the model to draw one.
    pub(crate) fn script(&self, model_draws: bool) -> (String, String, Option<String>) {
        if model_draws {
            return (self.played.greeting.to_owned(), self.played.question.to_owned(), None);
        }
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let drawn = usize::try_from(since_epoch.subsec_millis()).unwrap_or_default();
        let word = self.names[drawn % self.names.len()];
        let greeting = self.told.greeting.replace("{word}", word);
        (greeting, self.told.question.to_owned(), Some(word.to_owned()))
    }

    /// Where everything is and how to go on, for a person at a terminal.
    pub(crate) fn addresses(
        &self,
        fleet: &Fleet,
        folder: &Folder,
        played: &Conversation,
    ) -> String {
        let labels = &self.labels;
        let chat_page = fleet.chat_page();
        let message = serde_json::json!({
            "author_id": played.user_id,
            "content": format!("<@{}> …", fleet.bot_id()),
        });
        format!(
            "\n{running}\n  {}: {chat_page}\n  {}: {}/health\n  {}: {}/health\n  {}: {}/health\n  {}: {}\n  \
             {}: {}\n{how}:\n  curl --json '{message}' {chat_page}control/channels/{channel}/messages\n{stop}",
            labels.chat_page,
            labels.gateway,
            fleet.gateway_address,
            labels.worker,
            fleet.worker_address,
            labels.backup,
            fleet.backup_address,
            labels.data,
            folder.root().display(),
            labels.copies,
            folder.kept("backups/databases/conversations").display(),
            running = labels.running,
            how = labels.how,
            channel = played.channel_id,
            stop = labels.stop,
        )
    }

    /// The word a text tells.
    pub(crate) fn word_in<'a>(&self, text: &'a str) -> Option<&'a str> {
        let (before, after) = self.word_marks;
        let (_, rest) = text.rsplit_once(before)?;
        rest.split_once(after).map(|(word, _)| word).filter(|word| !word.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{ENGLISH, JAPANESE};

    #[test]
    fn the_word_is_found_between_its_marks() {
        assert_eq!(JAPANESE.word_in("はい。合言葉は「朝霧の橋」です。"), Some("朝霧の橋"));
        assert_eq!(ENGLISH.word_in("The secret word is “old moon”."), Some("old moon"));
        assert_eq!(ENGLISH.word_in("There is no such word."), None);
    }
}
