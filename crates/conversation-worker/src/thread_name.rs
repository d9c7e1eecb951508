//! The name of a thread, from the question that opens it.

use crate::language::Language;
use crate::speakers;

/// Longer names are cut off in Discord's list of threads anyway.
const CHARACTERS_MAX: usize = 50;

/// A name of 1 to 50 characters: the question's first sentence, or who asked.
pub fn from_question(content: &str, author: &str, language: Language) -> String {
    let words: Vec<&str> = content.split_whitespace().filter(|word| !is_markup(word)).collect();
    let line = speakers::clean_line(&words.join(" "));
    let sentence_end = line
        .char_indices()
        .find(|(_, c)| matches!(c, '。' | '！' | '？' | '!' | '?' | '\n'))
        .map_or(line.len(), |(at, c)| at + c.len_utf8());
    let name = shortened(line[..sentence_end].trim());
    if !name.is_empty() {
        return name;
    }
    let author = shortened(&speakers::clean_line(author));
    match (language, author.is_empty()) {
        (Language::Japanese, true) => "おはなし".to_owned(),
        (Language::Japanese, false) => shortened(&format!("{author}さんとのおはなし")),
        (Language::English, true) => "A talk".to_owned(),
        (Language::English, false) => shortened(&format!("A talk with {author}")),
    }
}

/// Mentions and custom emoji, which a thread's name shows as bare ids.
fn is_markup(word: &str) -> bool {
    word.starts_with('<') && word.ends_with('>')
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= CHARACTERS_MAX {
        return text.to_owned();
    }
    let start: String = text.chars().take(CHARACTERS_MAX - 1).collect();
    format!("{}…", start.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_thread_is_named_after_the_first_sentence_of_its_question() {
        let name = |text| from_question(text, "Aki", Language::Japanese);
        assert_eq!(name("<@123> こんにちは。元気ですか？"), "こんにちは。");
        assert_eq!(name("<@123>"), "Akiさんとのおはなし");
        assert_eq!(from_question("<@!9>", "\n", Language::English), "A talk");
    }

    proptest! {
        #[test]
        fn a_name_always_fits_discord(text in "\\PC*", author in "\\PC*") {
            for language in [Language::Japanese, Language::English] {
                let name = from_question(&text, &author, language);
                prop_assert!((1..=100).contains(&name.chars().count()), "{name:?}");
                prop_assert!(!name.contains('\n'));
                prop_assert!(!name.trim().is_empty());
            }
        }
    }
}
