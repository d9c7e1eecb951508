//! Splits an answer into Discord messages: never too long, never empty, code fences kept whole.

mod borders;
mod fences;

use borders::Borders;
use fences::{Fence, Fences};

/// The longest message, in code points. Source: Discord's reference, "Create Message".
pub(crate) const MESSAGE_CHARACTERS_MAX: usize = 2_000;
/// What closes a code block at the end of a part.
const CLOSING: &str = "\n```";
/// The longest run of white space that is kept. A longer one could fill a whole message, which
/// Discord would refuse as empty.
const BLANK_RUN_MAX: usize = 64;
/// What stands where there is nothing to say.
const NOTHING: &str = "…";

/// The messages that an answer takes, in order.
pub(crate) fn parts(text: &str) -> Vec<String> {
    let text = condense(text);
    if text.is_empty() {
        return vec![NOTHING.to_owned()];
    }
    split(&text, MESSAGE_CHARACTERS_MAX).into_iter().map(|part| part.shown()).collect()
}

/// The first message of an answer that may still grow.
///
/// Once the answer is longer than a message, its first message stays as it is while more follows.
pub(crate) fn first_part(text: &str) -> String {
    let text = condense(text);
    let first = Splitter::new(&text, MESSAGE_CHARACTERS_MAX).next();
    first.map_or_else(|| NOTHING.to_owned(), |part| part.shown())
}

/// The text as it is split: without white space at its ends, which Discord drops anyway, and
/// without runs of it that could fill a message.
fn condense(text: &str) -> String {
    let mut condensed = String::with_capacity(text.len());
    let mut run = 0;
    for c in text.trim().chars() {
        run = if c.is_whitespace() { run + 1 } else { 0 };
        if run <= BLANK_RUN_MAX {
            condensed.push(c);
        }
    }
    condensed
}

/// A part of a text: a slice of it, and the fences that make it whole on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part<'a> {
    /// The code block that the slice begins inside of.
    reopened: Option<Fence<'a>>,
    /// The slice of the source.
    text: &'a str,
    /// Whether the slice ends inside a code block.
    closed: bool,
}

impl Part<'_> {
    fn shown(&self) -> String {
        let mut shown = String::with_capacity(self.text.len() + 32);
        if let Some(fence) = &self.reopened {
            shown.push_str(&fence.opening());
        }
        shown.push_str(self.text);
        if self.closed {
            let on_own_line = self.text.ends_with('\n');
            shown.push_str(if on_own_line { CLOSING.trim_start() } else { CLOSING });
        }
        shown
    }
}

fn split(text: &str, max: usize) -> Vec<Part<'_>> {
    Splitter::new(text, max).collect()
}

/// Cuts a text part by part.
struct Splitter<'a> {
    text: &'a str,
    fences: Fences<'a>,
    begin: usize,
    max: usize,
}

impl<'a> Splitter<'a> {
    fn new(text: &'a str, max: usize) -> Self {
        Self { text, fences: Fences::of(text), begin: 0, max }
    }
}

impl<'a> Iterator for Splitter<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let rest = &self.text[self.begin..];
        if rest.is_empty() {
            return None;
        }
        let reopened = self.fences.open_at(self.begin);
        let room = self.max - reopened.as_ref().map_or(0, Fence::opening_characters);
        let end = self.end_of_part(rest, room);
        let part = Part { reopened, text: &self.text[self.begin..end], closed: self.is_open(end) };
        self.begin = end;
        Some(part)
    }
}

impl Splitter<'_> {
    fn is_open(&self, position: usize) -> bool {
        self.fences.open_at(position).is_some()
    }

    /// Where the part that begins here ends, with `room` code points for it.
    fn end_of_part(&self, rest: &str, room: usize) -> usize {
        let whole =
            rest.chars().count() + if self.is_open(self.text.len()) { CLOSING.len() } else { 0 };
        if whole <= room {
            return self.text.len();
        }
        // Whether a code block must be closed depends on where the cut falls, so its closing is
        // always allowed for.
        let window: String = rest.chars().take(room - CLOSING.len()).collect();
        let borders = Borders { text: self.text, fences: &self.fences, begin: self.begin };
        borders.best_before(self.begin + window.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FENCE: &str = "```";

    fn lengths(text: &str) -> Vec<usize> {
        parts(text).iter().map(|part| part.chars().count()).collect()
    }

    #[test]
    fn a_short_answer_is_one_message_as_it_is() {
        assert_eq!(parts("こんにちは。"), ["こんにちは。"]);
        assert_eq!(parts("  hi \n"), ["hi"]);
    }

    #[test]
    fn dense_japanese_fills_messages_and_never_exceeds_them() {
        let text = "あ".repeat(5_000);
        let lengths = lengths(&text);
        assert!(lengths.iter().all(|length| *length <= MESSAGE_CHARACTERS_MAX), "{lengths:?}");
        assert_eq!(lengths.len(), 3);
    }

    #[test]
    fn an_early_line_end_does_not_make_a_tiny_first_message() {
        let text = format!("はい。\n{}", "あ".repeat(5_000));
        assert!(lengths(&text)[0] > 1_000);
    }

    #[test]
    fn a_cut_prefers_the_paragraph_then_the_line_then_the_sentence() {
        let sentence = "これは文です。";
        let paragraph = format!("{}\n\n", sentence.repeat(200));
        let text = paragraph.repeat(3);
        assert!(parts(&text)[0].ends_with("。\n\n"));
        let lines = format!("{}\n", "x".repeat(90)).repeat(60);
        assert!(parts(&lines)[0].ends_with('\n'));
        let run_on = sentence.repeat(600);
        assert!(parts(&run_on).iter().all(|part| part.ends_with('。')));
        let english = "This is a sentence. ".repeat(300);
        assert!(parts(&english)[0].ends_with(". "), "{}", parts(&english)[0]);
    }

    #[test]
    fn a_code_block_is_closed_and_reopened_in_its_language() {
        let code = "let x = 1;\n".repeat(400);
        let text = format!("Look:\n```rust\n{code}```\nDone.");
        let parts = parts(&text);
        assert!(parts.len() > 2);
        for part in &parts {
            assert_eq!(part.matches(FENCE).count() % 2, 0, "unbalanced: {part}");
        }
        for part in &parts[1..parts.len() - 1] {
            assert!(part.starts_with("```rust\nlet"), "{part}");
            assert!(part.ends_with(";\n```"), "{part}");
        }
        assert!(parts.last().unwrap().ends_with("Done."));
    }

    #[test]
    fn no_part_is_an_empty_code_block() {
        for before in 1_900..2_000 {
            let text = format!("{}\n```js\n{}\n```\nend", "a".repeat(before), "b".repeat(1_500));
            for part in parts(&text) {
                let inside = part.replace("```js", "").replace(FENCE, "");
                assert!(!inside.trim().is_empty(), "{before}: {part}");
            }
        }
    }

    #[test]
    fn a_family_emoji_and_its_like_are_never_cut() {
        let family = "👨‍👩‍👧‍👦";
        for offset in 0..8 {
            let text = format!("{}{}", "x".repeat(offset), family.repeat(700));
            for part in parts(&text) {
                let whole = part.trim_start_matches('x');
                assert_eq!(whole.replace(family, ""), "", "cut inside an emoji");
            }
        }
        let monster = format!("a{}", "\u{301}".repeat(5_000));
        assert!(lengths(&monster).iter().all(|length| *length <= MESSAGE_CHARACTERS_MAX));
    }

    #[test]
    fn blank_text_still_says_something() {
        assert_eq!(parts(" \n "), [NOTHING]);
        assert_eq!(first_part(""), NOTHING);
        let gap = format!("a{}b", "\n".repeat(9_000));
        assert_eq!(parts(&gap).len(), 1);
    }

    #[test]
    fn a_draft_inside_a_code_block_is_shown_as_code() {
        assert_eq!(first_part("```py\nprint(1)"), "```py\nprint(1)\n```");
    }

    /// Texts made of what answers are made of, with fences in any state.
    fn answer() -> impl Strategy<Value = String> {
        answer_of(0..160)
    }

    fn answer_of(pieces: std::ops::Range<usize>) -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[a-z]{1,80}[.!?]? ",
            4 => "[ぁ-んァ-ヶ亜-腕]{1,80}[。！？、]?",
            2 => Just("\n".to_owned()),
            2 => Just("\n\n".to_owned()),
            1 => Just("```".to_owned()),
            1 => Just("\n```rust\n".to_owned()),
            1 => Just("\n```\n".to_owned()),
            1 => Just("👨‍👩‍👧‍👦🇯🇵é".to_owned()),
            1 => "[\\PC\\s]{1,40}",
            1 => "[ \\t\\n]{1,80}",
        ];
        proptest::collection::vec(piece, pieces).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn every_split_keeps_its_promises(text in answer()) {
            let source = condense(&text);
            let split = split(&source, MESSAGE_CHARACTERS_MAX);
            let joined: String = split.iter().map(|part| part.text).collect();
            prop_assert_eq!(&joined, &source, "parts without their fences are the source");
            for part in &split {
                let shown = part.shown();
                prop_assert!(shown.chars().count() <= MESSAGE_CHARACTERS_MAX);
                prop_assert!(!part.text.trim().is_empty(), "an empty part: {:?}", part);
                prop_assert_eq!(shown.matches(FENCE).count() % 2, 0, "unbalanced: {}", shown);
            }
        }

        #[test]
        fn small_messages_keep_the_length_too(text in answer(), max in 160usize..400) {
            let source = condense(&text);
            let split = split(&source, max);
            prop_assert_eq!(split.iter().map(|part| part.text).collect::<String>(), &source[..]);
            for part in &split {
                prop_assert!(part.shown().chars().count() <= max);
            }
        }

        #[test]
        fn the_first_part_stays_while_the_answer_grows(
            text in answer_of(110..180),
            more in answer(),
        ) {
            // The last characters may still grow together with what follows them.
            let settled = condense(&text).chars().count() > MESSAGE_CHARACTERS_MAX + 100;
            prop_assume!(settled);
            let longer = format!("{text}{more}");
            prop_assert_eq!(first_part(&text), first_part(&longer));
        }
    }
}
