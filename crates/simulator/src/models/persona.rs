//! The gentle demo persona: what is answered when nothing was scripted.
//!
//! Its answers carry a word drawn at run time. It keeps no memory of its own: asked for the
//! word, it reads the assistant messages of the request and nothing else, so a right answer
//! proves that the history was sent.

use std::collections::HashSet;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::models::request::ChatRequest;
use crate::models::words::{English, Japanese, Phrases};

/// Draws words and writes answers.
pub(super) struct Persona {
    random: StdRng,
    drawn: HashSet<String>,
}

impl Persona {
    /// A persona whose draws follow `random`.
    pub(super) fn new(random: StdRng) -> Self {
        Self { random, drawn: HashSet::new() }
    }

    /// The answer to a request, in the language of its last user text.
    pub(super) fn answer(&mut self, request: &ChatRequest) -> String {
        let text = request.last_user_text();
        if is_japanese(text) {
            self.write::<Japanese>(request, text)
        } else {
            self.write::<English>(request, text)
        }
    }

    /// A word that this process has not drawn before.
    pub(super) fn word(&mut self, japanese: bool) -> String {
        let (first, joint, second) = if japanese { Japanese::WORD } else { English::WORD };
        let mut draw = |list: &[&'static str]| list.choose(&mut self.random).copied().unwrap_or("");
        let mut word = format!("{}{joint}{}", draw(first), draw(second));
        while !self.drawn.insert(word.clone()) {
            word = format!("{word}{}", self.random.random_range(2..10));
        }
        word
    }

    fn write<L: Phrases>(&mut self, request: &ChatRequest, text: &str) -> String {
        if L::asks_for_word(text) {
            return match request.texts_of("assistant").find_map(find_word) {
                Some(word) => self.pick(L::REMEMBERED).replace("{word}", &word),
                None => self.pick(L::FORGOTTEN).to_owned(),
            };
        }
        let word = self.word(L::JAPANESE);
        if L::wants_long(text) {
            return self.long_story::<L>(&word);
        }
        let opening = self.pick(L::openings(text));
        let closing = self.pick(L::CLOSINGS).replace("{word}", &word);
        format!("{opening}{}{closing}", L::GAP)
    }

    /// Several thousand characters with a code fence in the middle, longer than one message.
    fn long_story<L: Phrases>(&mut self, word: &str) -> String {
        let mut story = String::from(L::STORY_START);
        for chapter in 1..=L::STORY_CHAPTERS {
            let heading = L::STORY_HEADING.replace("{n}", &chapter.to_string());
            story.extend(["\n\n**", &heading, "**\n"]);
            for _ in 0..L::STORY_SENTENCES {
                story.push_str(self.pick(L::STORY));
            }
            if chapter == L::STORY_CHAPTERS / 2 {
                story.push_str("\n\n```rust\n");
                for line in 1..=40 {
                    let note = self.pick(L::STORY_NOTES);
                    let line = line.to_string();
                    story.extend(["    lamp.light(", &line, "); // ", note, "\n"]);
                }
                story.push_str("```");
            }
        }
        let closing = self.pick(L::CLOSINGS).replace("{word}", word);
        format!("{story}\n\n{closing}")
    }

    fn pick(&mut self, list: &'static [&'static str]) -> &'static str {
        list.choose(&mut self.random).copied().unwrap_or_default()
    }
}

/// Whether a text holds kana or kanji.
pub(super) fn is_japanese(text: &str) -> bool {
    text.chars().any(|character| {
        matches!(character, '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ff66}'..='\u{ff9d}')
    })
}

/// The last word a text tells, in either language's way of telling it.
fn find_word(text: &str) -> Option<String> {
    let after = |marker: &str, close: char| {
        let start = text.rfind(marker)? + marker.len();
        let end = text[start..].find(close)?;
        Some((start, text[start..start + end].to_owned()))
    };
    let japanese = after("合言葉は「", '」');
    let english = after("secret word is “", '”');
    let (_, word) = japanese.into_iter().chain(english).max_by_key(|(start, _)| *start)?;
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use serde_json::json;

    use super::*;
    use crate::models::request::parse;

    fn persona() -> Persona {
        Persona::new(StdRng::seed_from_u64(7))
    }

    fn request(messages: &[(&str, &str)]) -> ChatRequest {
        let messages: Vec<_> = messages
            .iter()
            .map(|(role, content)| json!({"role": role, "content": content}))
            .collect();
        let body = json!({"model": "m", "messages": messages}).to_string();
        parse(body.as_bytes(), true).unwrap()
    }

    #[test]
    fn the_word_is_answered_only_from_the_history_of_the_request() {
        let mut persona = persona();
        for (hello, question) in [("こんにちは", "今の合言葉は？"), ("Hello", "What was the word?")]
        {
            let first = persona.answer(&request(&[("user", hello)]));
            let word = find_word(&first).expect("the first answer tells a word");
            let told = persona.answer(&request(&[
                ("user", hello),
                ("assistant", &first),
                ("user", question),
            ]));
            assert!(told.contains(&word), "{told}");
            let untold = persona.answer(&request(&[("user", hello), ("user", question)]));
            assert!(!untold.contains(&word), "{untold}");
            assert_eq!(find_word(&untold), None, "{untold}");
        }
    }

    #[test]
    fn the_newest_word_of_the_history_is_the_one_that_counts() {
        let mut persona = persona();
        let answer = persona.answer(&request(&[
            ("assistant", "合言葉は「古い月」です。"),
            ("assistant", "The secret word is “new moon”."),
            ("user", "合言葉は何でしたか？"),
        ]));
        assert!(answer.contains("new moon") && !answer.contains("古い月"), "{answer}");
    }

    #[test]
    fn an_answer_is_in_the_language_of_the_question() {
        let mut persona = persona();
        assert!(is_japanese(&persona.answer(&request(&[("user", "おはよう")]))));
        assert!(!is_japanese(&persona.answer(&request(&[("user", "Good morning")]))));
    }

    #[test]
    fn a_long_story_is_longer_than_two_messages_and_closes_its_fence() {
        let mut persona = persona();
        for wish in ["長い話をして", "Tell me a long story"] {
            let story = persona.answer(&request(&[("user", wish)]));
            assert!((4_500..12_000).contains(&story.chars().count()), "{}", story.chars().count());
            assert_eq!(story.matches("```").count(), 2);
            assert!(find_word(&story).is_some());
        }
    }

    #[test]
    fn words_do_not_repeat() {
        let mut persona = persona();
        let words: HashSet<String> = (0..3_000).map(|_| persona.word(true)).collect();
        assert_eq!(words.len(), 3_000);
    }
}
