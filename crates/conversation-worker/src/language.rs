//! The language to answer in, from the guild's locale and the words themselves.

/// A language we have a persona and texts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// 日本語
    Japanese,
    /// English
    English,
}

impl Language {
    /// The word that stands for it in file names and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Japanese => "ja",
            Self::English => "en",
        }
    }

    /// The language of that word; Japanese where it is unknown.
    pub fn named(word: &str) -> Self {
        if word == "en" { Self::English } else { Self::Japanese }
    }
}

/// Fewer Latin letters than these tell nothing: "ok", "w", ":D".
const LETTERS_MIN: usize = 4;

/// The language for a turn.
///
/// Words win over the locale where they are plainly Japanese: a guild that never chose a locale
/// has Discord's default, `en-US`, whatever is spoken there.
pub fn choose<'a>(locale: Option<&str>, texts: impl Iterator<Item = &'a str>) -> Language {
    let locale = locale.filter(|locale| !locale.is_empty());
    if locale.is_some_and(|locale| locale.starts_with("ja")) {
        return Language::Japanese;
    }
    let (mut kana, mut ideographs, mut letters) = (0_usize, 0_usize, 0_usize);
    for c in texts.flat_map(plain) {
        match c {
            '\u{3040}'..='\u{30ff}' | '\u{ff66}'..='\u{ff9f}' => kana += 1,
            '\u{3400}'..='\u{9fff}' => ideographs += 1,
            'a'..='z' | 'A'..='Z' => letters += 1,
            _ => {}
        }
    }
    if kana > 0 {
        Language::Japanese
    } else if locale.is_some() || (letters >= LETTERS_MIN && letters > ideographs) {
        Language::English
    } else {
        Language::Japanese
    }
}

/// The characters of a text without what no language can be told from: mentions, emoji codes and
/// addresses.
fn plain(text: &str) -> impl Iterator<Item = char> {
    text.split_whitespace()
        .filter(|word| !word.starts_with('<') && !word.contains("://"))
        .flat_map(str::chars)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(locale: Option<&str>, text: &str) -> Language {
        choose(locale, std::iter::once(text))
    }

    #[test]
    fn the_guilds_locale_decides_where_the_words_do_not() {
        assert_eq!(chosen(Some("ja"), "hello there everyone"), Language::Japanese);
        assert_eq!(chosen(Some("en-US"), "hello there"), Language::English);
        assert_eq!(chosen(Some("fr"), "bonjour"), Language::English);
        assert_eq!(chosen(Some("en-US"), "<@1>"), Language::English);
    }

    #[test]
    fn japanese_words_are_answered_in_japanese_in_a_guild_that_never_chose_a_locale() {
        assert_eq!(chosen(Some("en-US"), "<@1> こんにちは"), Language::Japanese);
    }

    #[test]
    fn without_a_locale_the_words_decide_and_japanese_is_the_default() {
        assert_eq!(chosen(None, "How are you today?"), Language::English);
        assert_eq!(chosen(None, "元気ですか"), Language::Japanese);
        assert_eq!(chosen(None, "ok"), Language::Japanese);
        assert_eq!(chosen(None, "<@123> https://example.com/path"), Language::Japanese);
        assert_eq!(chosen(None, ""), Language::Japanese);
    }
}
