//! Who is who in a prompt: one stable, harmless name for each person.

use std::collections::HashMap;

use contracts::id::UserId;

/// What encloses our own words in a prompt. People's texts never hold these characters.
pub const OPEN: char = '⟦';
/// See [`OPEN`].
pub const CLOSE: char = '⟧';

const NAME_CHARACTERS_MAX: usize = 40;

/// The names of the people in one prompt.
#[derive(Debug, Default)]
pub struct Speakers {
    names: HashMap<UserId, String>,
    taken: HashMap<String, usize>,
}

impl Speakers {
    /// The name of a person: the one under which they were first met, told apart from others who
    /// call themselves the same.
    pub fn name(&mut self, user: UserId, called: &str, someone: &str) -> String {
        if let Some(name) = self.names.get(&user) {
            return name.clone();
        }
        let mut base: String = clean_line(called).chars().take(NAME_CHARACTERS_MAX).collect();
        base = base.trim().to_owned();
        if base.is_empty() {
            someone.clone_into(&mut base);
        }
        let mut name = base.clone();
        // "Aki (2)" may be somebody's chosen name, so the number goes on until it is free.
        let mut number = 1;
        while self.taken.contains_key(&name.to_lowercase()) {
            number += 1;
            name = format!("{base} ({number})");
        }
        self.taken.insert(name.to_lowercase(), number);
        self.names.insert(user, name.clone());
        name
    }

    /// The name of a person who has spoken in this prompt.
    pub fn known(&self, user: UserId) -> Option<&str> {
        self.names.get(&user).map(String::as_str)
    }
}

/// A text without the characters that enclose our own words.
pub fn neutralised(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            OPEN => Some('['),
            CLOSE => Some(']'),
            '\n' | '\t' => Some(c),
            c if c.is_control() || reorders(c) => None,
            c => Some(c),
        })
        .collect()
}

/// A text as one harmless line: no line breaks, no control or direction marks, no delimiters.
pub fn clean_line(text: &str) -> String {
    let broken = |c: char| matches!(c, '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let spaced: String = text.chars().map(|c| if broken(c) { ' ' } else { c }).collect();
    let line: String = neutralised(&spaced).chars().filter(|c| !is_invisible(*c)).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Characters that turn the direction of what follows, which can make one name look like another.
fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}' | '\u{180e}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}
