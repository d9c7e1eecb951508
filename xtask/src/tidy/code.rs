//! Rust source with comments and literals blanked out, so that rules look at code alone.

/// Replaces the insides of comments, strings and characters by spaces; lines stay where they are.
pub(crate) fn only(text: &str) -> String {
    let mut scanner = Scanner { rest: text, out: String::with_capacity(text.len()) };
    while !scanner.rest.is_empty() {
        scanner.step();
    }
    scanner.out
}

/// The part of a source file above its own test module.
pub(crate) fn above_tests(text: &str) -> &str {
    let mut from = 0;
    while let Some(found) = text[from..].find("#[cfg(test)]") {
        let at = from + found;
        let after = text[at + "#[cfg(test)]".len()..].trim_start();
        if after.starts_with("mod ") && after.lines().next().is_some_and(|line| line.ends_with('{'))
        {
            return &text[..at];
        }
        from = at + 1;
    }
    text
}

struct Scanner<'a> {
    rest: &'a str,
    out: String,
}

impl Scanner<'_> {
    fn step(&mut self) {
        if self.rest.starts_with("//") {
            self.blank(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.blank(end_of_comment(self.rest));
        } else if let Some(length) = raw_string(self.rest).filter(|_| self.at_word_start()) {
            self.blank(length);
        } else if self.rest.starts_with('"') {
            self.blank(end_of_quoted(self.rest, '"'));
        } else if let Some(length) = character(self.rest) {
            self.blank(length);
        } else {
            let length = self.rest.chars().next().map_or(0, char::len_utf8);
            self.out.push_str(&self.rest[..length]);
            self.rest = &self.rest[length..];
        }
    }

    fn at_word_start(&self) -> bool {
        !self.out.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_')
    }

    fn blank(&mut self, length: usize) {
        let gone = &self.rest[..length];
        self.out.extend(gone.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }));
        self.rest = &self.rest[length..];
    }
}

fn end_of_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of `r"…"`, `r#"…"#`, `br"…"` and so on at the start of the text.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let opened = text.len() - after.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(text[opened..].find(&close).map_or(text.len(), |at| opened + at + close.len()))
}

fn end_of_quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + letter.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Length of `'x'` or `'\n'` at the start of the text; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if inside.starts_with('\\') {
        return Some(end_of_quoted(text, '\''));
    }
    let letter = inside.chars().next()?.len_utf8();
    inside[letter..].starts_with('\'').then_some(letter + 2)
}

#[cfg(test)]
mod tests {
    use super::{above_tests, only};

    #[test]
    fn comments_and_literals_are_blanked() {
        let source = "a /* x /* y */ z */ b // c\n\"d \\\" e\" f r#\"g \" h\"# 'i' '\\'' &'j k\n";
        let blanked = only(source);
        let left: String = blanked.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(left, "a b f &'j k");
        assert_eq!(blanked.lines().count(), source.lines().count());
    }

    #[test]
    fn a_name_that_ends_in_r_does_not_open_a_raw_string() {
        assert_eq!(only("writer\"x\" y").split_whitespace().last(), Some("y"));
    }

    #[test]
    fn text_that_never_closes_is_blanked_to_its_end() {
        assert_eq!(only("\"never").trim(), "");
        assert_eq!(only("/* never").trim(), "");
        assert_eq!(only("r#\"never\"").trim(), "");
    }

    #[test]
    fn a_test_module_at_the_end_is_left_out() {
        let source = "fn a() {}\n#[cfg(test)]\nfn b() {}\n#[cfg(test)]\nmod tests {\n}\n";
        assert_eq!(above_tests(source), "fn a() {}\n#[cfg(test)]\nfn b() {}\n");
    }
}
