//! How `migrate` tells what it did: for people, or as one line of JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::request::{Action, Request, USAGE};
use super::{Answer, Line, Refusal, Report};
use crate::Schema;

/// The exit code for a command that was asked wrongly (`EX_USAGE` of sysexits.h).
const ASKED_WRONGLY: u8 = 64;
const STOOD_IN_THE_WAY: u8 = 1;

pub(super) fn misunderstood(schema: &Schema, problem: &str) -> Answer {
    let usage = USAGE.replace("migrate ", &format!("{} migrate ", schema.service));
    let complaint = format!("{problem}\n\n{usage}");
    Answer { out: String::new(), complaint, code: ASKED_WRONGLY }
}

pub(super) fn done(request: &Request, path: &Path, report: &Report) -> Answer {
    let out = if request.json {
        format!("{}\n", as_json(request.action, path, report))
    } else {
        as_text(request.action, report)
    };
    Answer { out, complaint: String::new(), code: 0 }
}

pub(super) fn refused(request: &Request, refusal: &Refusal) -> Answer {
    let (english, japanese) = remedies(refusal);
    let code = STOOD_IN_THE_WAY;
    if request.json {
        let lost = match refusal {
            Refusal::Loses(lost) => lost.as_slice(),
            _ => &[],
        };
        let answer = json!({
            "action": request.action.name(),
            "error": refusal.to_string(),
            "remedy": english,
            "remedy_ja": japanese,
            "loses": lost,
        });
        return Answer { out: format!("{answer}\n"), complaint: String::new(), code };
    }
    let complaint = format!("{refusal}\n  remedy: {english}\n  対処: {japanese}");
    Answer { out: String::new(), complaint, code }
}

fn remedies(refusal: &Refusal) -> (String, String) {
    let (english, japanese) = match refusal {
        Refusal::Open(error) => return error.remedies(),
        Refusal::Missing(_) => (
            "the service makes it at its first start, as `migrate upgrade head` does; if there \
             should be one, check DATABASE_PATH",
            "最初の起動か migrate upgrade head で作られます。あるはずなら DATABASE_PATH を確かめてください",
        ),
        Refusal::Unknown(..) => (
            "choose one of these, head or base; a newer revision is known to the release that \
             brought it",
            "この中から、または head か base を選んでください",
        ),
        Refusal::WrongWay(..) => (
            "`migrate upgrade` leads forward, `migrate downgrade` back",
            "進めるのは migrate upgrade、戻すのは migrate downgrade です",
        ),
        Refusal::NoWayBack(_) => (
            "run it with the release that brought this revision, or put back a copy from \
             before-migration/",
            "そのリビジョンを加えたリリースで実行するか、before-migration/ のコピーを戻してください",
        ),
        Refusal::Loses(_) => (
            "if that is meant, say so with --yes-lose-data; a copy is made before and kept in \
             before-migration/ for two weeks",
            "それでよければ --yes-lose-data を付けてください。先にコピーを取り、before-migration/ に二週間残します",
        ),
    };
    (english.to_owned(), japanese.to_owned())
}

fn as_text(action: Action, report: &Report) -> String {
    let mut text = String::new();
    let line = |text: &mut String, sentence: &str| {
        writeln!(text, "{sentence}").expect("a string takes any text");
    };
    for note in &report.notes {
        line(&mut text, &format!("note: {note}"));
    }
    match action {
        Action::Current => line(&mut text, &current(report)),
        Action::History => {
            for revision in &report.history {
                line(&mut text, &history_line(revision, report));
            }
        }
        Action::Upgrade(_) | Action::Downgrade(_) | Action::Stamp(_) => {
            let verb = match action {
                Action::Upgrade(_) => "applied",
                Action::Downgrade(_) => "taken back",
                _ => "entered as applied, without running it",
            };
            if let Some(copy) = &report.copy {
                line(&mut text, &format!("copied before: {}", copy.display()));
            }
            for (version, description) in &report.changed {
                line(&mut text, &format!("{version:04} {description}: {verb}"));
            }
            if report.before == report.after && report.changed.is_empty() {
                line(&mut text, "nothing to do");
            }
            line(&mut text, &current(report));
        }
    }
    text
}

/// The revision as people read it; `base` for none.
fn named(version: i64) -> String {
    if version == 0 { "base".to_owned() } else { format!("{version:04}") }
}

fn current(report: &Report) -> String {
    let at = named(report.after);
    match report.after.cmp(&report.head) {
        std::cmp::Ordering::Equal => format!("{at} (head)"),
        std::cmp::Ordering::Less => format!("{at} (head is {})", named(report.head)),
        std::cmp::Ordering::Greater => {
            format!("{at} (newer than this release, which knows {})", named(report.head))
        }
    }
}

fn history_line(line: &Line, report: &Report) -> String {
    let Line { version, description, applied, known } = line;
    let mut text = format!("{version:04} {description}");
    match applied {
        Some(applied) => {
            write!(text, ", applied {} UTC", applied.installed_on)
                .expect("a string takes any text");
            if let Some(release) = &applied.release {
                write!(text, " by release {release}").expect("a string takes any text");
            }
        }
        None => text.push_str(", not applied"),
    }
    if !known {
        text.push_str(", not known to this release");
    }
    if *version == report.head {
        text.push_str(" (head)");
    }
    text
}

fn as_json(action: Action, path: &Path, report: &Report) -> Value {
    let revision = |(version, description): &(i64, String)| -> Value {
        json!({"revision": version, "description": description})
    };
    let mut value = json!({
        "action": action.name(),
        "database": path.display().to_string(),
        "before": report.before,
        "current": report.after,
        "head": report.head,
        "notes": report.notes,
    });
    match action {
        Action::Current => {}
        Action::History => {
            value["history"] = report.history.iter().map(history_json).collect();
        }
        Action::Upgrade(_) | Action::Downgrade(_) | Action::Stamp(_) => {
            value["changed"] = report.changed.iter().map(revision).collect();
            value["copy"] = json!(report.copy.as_ref().map(|copy| copy.display().to_string()));
        }
    }
    value
}

fn history_json(line: &Line) -> Value {
    json!({
        "revision": line.version,
        "description": line.description,
        "known": line.known,
        "applied": line.applied.as_ref().map(|applied| json!({
            "at_utc": applied.installed_on,
            "release": applied.release,
            "compatible_with": applied.compatible_with,
        })),
    })
}
