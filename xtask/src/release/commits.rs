//! What commits say about themselves: `type(scope)!: subject`, a body, and trailers.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::version::Step;
use crate::external;

/// Stand between the fields of a commit and between commits: no message holds them.
const FIELD: char = '\u{1f}';
const END: char = '\u{1e}';

/// Scopes that only those who work on the project notice.
const WORKSHOP: [&str; 3] = ["ci", "system-tests", "xtask"];

/// Where a change stands in the release notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heading {
    Features,
    Improvements,
    Fixes,
}

/// One commit, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// The first characters of its hash.
    pub(crate) hash: String,
    /// The first line as it was written.
    pub(crate) subject: String,
    /// Where it stands in the notes, and with which words; `None` when people do not notice it.
    pub(crate) note: Option<(Heading, String)>,
    /// How far it moves the version; `None` when people do not notice it.
    pub(crate) step: Option<Step>,
    /// Whether the subject has the agreed form.
    pub(crate) understood: bool,
    /// `Known-issue:` trailers.
    pub(crate) known_issues: Vec<String>,
    /// `Upgrade:` trailers, and what a breaking change asks for.
    pub(crate) upgrade_steps: Vec<String>,
}

/// Every commit since a tag, oldest first; every commit there is without one. Merges are left out.
pub(crate) fn since(root: &Path, tag: Option<&str>) -> Result<Vec<Commit>> {
    let mut log = Command::new("git");
    log.args(["log", "--no-merges", "--reverse", "--format=%h%x1f%s%x1f%b%x1e"]);
    log.arg(tag.map_or_else(|| "HEAD".to_owned(), |tag| format!("{tag}..HEAD")));
    let told = external::quiet(log.current_dir(root)).context("read the commits")?;
    Ok(told.split(END).filter_map(|record| read(record.trim_start())).collect())
}

fn read(record: &str) -> Option<Commit> {
    let mut fields = record.splitn(3, FIELD);
    let [hash, subject, body] = [fields.next()?, fields.next()?, fields.next()?];
    Some(parse(hash, subject, body))
}

fn parse(hash: &str, subject: &str, body: &str) -> Commit {
    let form = form(subject);
    let breaking = trailers(body, &["BREAKING CHANGE", "BREAKING-CHANGE"]);
    let marked = form.as_ref().is_some_and(|form| form.marked);
    let own_words = trailers(body, &["Release-note"]).pop();
    let kind = form.as_ref().map_or("", |form| form.kind);
    let inside = form.as_ref().is_some_and(|form| WORKSHOP.contains(&form.scope));
    let step = match kind {
        _ if inside => None,
        _ if marked || !breaking.is_empty() => Some(Step::Major),
        "feat" => Some(Step::Minor),
        "fix" | "perf" | "revert" => Some(Step::Patch),
        _ => own_words.as_ref().map(|_| Step::Patch),
    };
    let text =
        own_words.unwrap_or_else(|| capital(form.as_ref().map_or(subject, |form| form.text)));
    let heading = match kind {
        "feat" => Heading::Features,
        "fix" => Heading::Fixes,
        _ => Heading::Improvements,
    };
    let wanted = step.is_some() && text != "none";
    let mut upgrade_steps = breaking;
    upgrade_steps.extend(trailers(body, &["Upgrade"]));
    Commit {
        hash: hash.to_owned(),
        subject: subject.to_owned(),
        note: wanted.then(|| (heading, numbered(&text, subject, body))),
        step,
        understood: form.is_some(),
        known_issues: trailers(body, &["Known-issue"]),
        upgrade_steps,
    }
}

/// The parts of a subject of the agreed form.
struct Form<'a> {
    kind: &'a str,
    /// Empty when there is none.
    scope: &'a str,
    marked: bool,
    text: &'a str,
}

fn form(subject: &str) -> Option<Form<'_>> {
    let (head, text) = subject.split_once(": ")?;
    let (head, marked) = head.strip_suffix('!').map_or((head, false), |head| (head, true));
    let (kind, scope) = match head.split_once('(') {
        Some((kind, scope)) => (kind, scope.strip_suffix(')').filter(|scope| !scope.is_empty())?),
        None => (head, ""),
    };
    let word = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase());
    (word && !text.trim().is_empty()).then_some(Form { kind, scope, marked, text: text.trim() })
}

/// The values of a trailer; a line that begins with a space goes on with the one before.
fn trailers(body: &str, keys: &[&str]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut inside = false;
    for line in body.lines() {
        let value = keys.iter().find_map(|key| line.strip_prefix(key)?.strip_prefix(": "));
        match (value, found.last_mut()) {
            (Some(value), _) => {
                found.push(value.trim().to_owned());
                inside = true;
            }
            (None, Some(last)) if inside && line.starts_with(' ') => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => inside = false,
        }
    }
    found
}

/// The words with the number of the issue, when there is one: in the words, the subject or a trailer.
fn numbered(text: &str, subject: &str, body: &str) -> String {
    if issue(text).is_some() {
        return text.to_owned();
    }
    let trailer = || {
        trailers(body, &["Refs", "Closes", "Fixes"])
            .iter()
            .find_map(|value| issue(&format!("({value})")).map(str::to_owned))
    };
    match issue(subject).map(str::to_owned).or_else(trailer) {
        Some(number) => format!("{text} ({number})"),
        None => text.to_owned(),
    }
}

/// `#123` from a text that ends with `(#123)`.
fn issue(text: &str) -> Option<&str> {
    let number = text.trim_end().strip_suffix(')')?.rsplit_once('(')?.1;
    let digits = number.strip_prefix('#')?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::{Heading, parse};
    use crate::release::version::Step;

    #[test]
    fn types_decide_the_heading_and_the_step() {
        for (subject, heading, step) in [
            ("feat(gateway): open threads (#123)", Heading::Features, Step::Minor),
            ("fix: keep what was said", Heading::Fixes, Step::Patch),
            ("perf(bus): ask less", Heading::Improvements, Step::Patch),
            ("feat(gateway)!: ask for a token", Heading::Features, Step::Major),
        ] {
            let commit = parse("abc", subject, "");
            assert_eq!(commit.note.map(|(heading, _)| heading), Some(heading), "{subject}");
            assert_eq!(commit.step, Some(step), "{subject}");
        }
    }

    #[test]
    fn what_people_do_not_notice_is_no_note() {
        for subject in [
            "chore: lock",
            "docs(a): say more",
            "test: wait less",
            "feat(xtask): play",
            "words without form",
        ] {
            let commit = parse("abc", subject, "why");
            assert_eq!((commit.note, commit.step), (None, None), "{subject}");
        }
        assert!(!parse("abc", "words without form", "").understood);
        assert!(!parse("abc", "feat(): nothing in brackets", "").understood);
    }

    #[test]
    fn trailers_bring_own_words_known_problems_and_steps() {
        let body = "Why it was done.\n\nRelease-note: 会話を\n  スレッドで続けられます\nRefs: #7\n\
            Known-issue: 長い返事が遅い (#129)\nUpgrade: `.env` に `A` を書く\nBREAKING CHANGE: 古い設定は読めません";
        let commit = parse("abc", "refactor(gateway): move", body);
        let (heading, text) = commit.note.unwrap();
        assert_eq!(
            (heading, text.as_str()),
            (Heading::Improvements, "会話を スレッドで続けられます (#7)")
        );
        assert_eq!(commit.step, Some(Step::Major));
        assert_eq!(commit.known_issues, ["長い返事が遅い (#129)"]);
        assert_eq!(commit.upgrade_steps, ["古い設定は読めません", "`.env` に `A` を書く"]);
        assert_eq!(parse("abc", "fix: x", "Release-note: none").note, None);
    }

    #[test]
    fn a_number_stands_once() {
        let words = |subject: &str, body: &str| parse("a", subject, body).note.unwrap().1;
        assert_eq!(words("feat: open threads (#123)", "Closes: #9"), "Open threads (#123)");
        assert_eq!(words("fix: mend it (#5)", "Release-note: 直しました"), "直しました (#5)");
        assert_eq!(words("fix: mend (see above)", ""), "Mend (see above)");
    }
}
