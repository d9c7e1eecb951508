//! The words after `migrate`.

use std::path::PathBuf;

/// How `migrate` is used, a line each.
pub const USAGE: &str = "migrate current                       which revision the database has\n\
    migrate history                       every revision, newest first\n\
    migrate upgrade head|<revision>       apply what is missing\n\
    migrate downgrade -1|<revision>|base  take revisions back\n\
    migrate stamp head|<revision>|base    enter revisions as applied, without running them\n\
    \x20       --database PATH               another file than DATABASE_PATH\n\
    \x20       --json                        one line of JSON instead of text\n\
    \x20       --yes-lose-data               take back what loses people's words";

/// What is to be done, to which file, and how it is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) action: Action,
    pub(super) database: Option<PathBuf>,
    pub(super) json: bool,
    /// Whether people's words may be lost.
    pub(super) yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Current,
    History,
    Upgrade(Target),
    Downgrade(Target),
    Stamp(Target),
}

impl Action {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::History => "history",
            Self::Upgrade(_) => "upgrade",
            Self::Downgrade(_) => "downgrade",
            Self::Stamp(_) => "stamp",
        }
    }
}

/// Where a change is to lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The newest revision that is known.
    Head,
    /// No revision at all.
    Base,
    /// That revision.
    Revision(i64),
    /// So many revisions back.
    Back(usize),
}

pub(super) fn parse(words: &[String]) -> Result<Request, String> {
    let mut plain = Vec::new();
    let (mut database, mut json, mut yes) = (None, false, false);
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--json" => json = true,
            "--yes-lose-data" => yes = true,
            "--database" => {
                let path = words.next().filter(|path| !path.is_empty());
                database = Some(PathBuf::from(path.ok_or("--database needs a path")?));
            }
            _ if word.starts_with("--database=") => {
                database = word.strip_prefix("--database=").map(PathBuf::from);
            }
            _ if word.starts_with("--") => return Err(format!("option {word} is not known")),
            _ => plain.push(word),
        }
    }
    let action = match plain.as_slice() {
        ["current"] => Action::Current,
        ["history"] => Action::History,
        ["upgrade", target] => match target_of(target)? {
            target @ (Target::Head | Target::Revision(_)) => Action::Upgrade(target),
            Target::Base | Target::Back(_) => {
                return Err(format!("upgrade leads to head or a revision, not to {target}"));
            }
        },
        ["downgrade", target] => match target_of(target)? {
            Target::Head => return Err("downgrade leads back, not to head".to_owned()),
            target => Action::Downgrade(target),
        },
        ["stamp", target] => match target_of(target)? {
            Target::Back(_) => return Err(format!("stamp needs a revision, not {target}")),
            target => Action::Stamp(target),
        },
        [verb @ ("upgrade" | "downgrade" | "stamp")] => {
            return Err(format!("{verb} needs to be told where to"));
        }
        [] => return Err("migrate needs to be told what to do".to_owned()),
        [unknown, ..] => {
            return Err(format!("`{unknown}` is not known here, or has words too many"));
        }
    };
    if yes && !matches!(action, Action::Downgrade(_)) {
        return Err("--yes-lose-data belongs to downgrade alone".to_owned());
    }
    Ok(Request { action, database, json, yes })
}

fn target_of(word: &str) -> Result<Target, String> {
    let steps = word.strip_prefix('-').map(str::parse::<usize>);
    match (word, steps) {
        ("head", _) => Ok(Target::Head),
        ("base", _) => Ok(Target::Base),
        (_, Some(Ok(steps))) if steps > 0 => Ok(Target::Back(steps)),
        (_, None) if word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty() => word
            .parse()
            .map(|number| if number == 0 { Target::Base } else { Target::Revision(number) })
            .map_err(|error| format!("{word} is no revision: {error}")),
        _ => Err(format!("`{word}` is no revision; write a number such as 0001, head or base")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Action, Request, Target, parse};

    fn words(line: &str) -> Result<Request, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        parse(&words)
    }

    fn action(line: &str) -> Action {
        words(line).unwrap().action
    }

    #[test]
    fn every_form_of_the_runbook_is_understood() {
        assert_eq!(action("upgrade head"), Action::Upgrade(Target::Head));
        assert_eq!(action("upgrade 0002"), Action::Upgrade(Target::Revision(2)));
        assert_eq!(action("current"), Action::Current);
        assert_eq!(action("history"), Action::History);
        assert_eq!(action("downgrade -1"), Action::Downgrade(Target::Back(1)));
        assert_eq!(action("downgrade 1"), Action::Downgrade(Target::Revision(1)));
        assert_eq!(action("downgrade base"), Action::Downgrade(Target::Base));
        assert_eq!(action("stamp head"), Action::Stamp(Target::Head));
        let all = words("--json downgrade -1 --database /a/b.db --yes-lose-data").unwrap();
        assert_eq!(all.database, Some(PathBuf::from("/a/b.db")));
        assert!(all.json && all.yes);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "up",
            "upgrade",
            "upgrade base",
            "upgrade -1",
            "upgrade +1",
            "downgrade head",
            "downgrade -0",
            "downgrade -x",
            "stamp",
            "stamp -1",
            "stamp 1x",
            "current 1",
            "upgrade head now",
            "--verbose current",
            "current --database",
            "upgrade head --yes-lose-data",
            "upgrade 99999999999999999999",
        ] {
            assert!(words(line).is_err(), "{line} was understood");
        }
    }
}
