//! The arguments every service takes, and the help that lists its settings.

use std::ffi::OsString;
use std::fmt::Write as _;

use super::{Answer, Command, ServiceInfo};
use crate::settings::{self, Key, Reader};

/// What the process was asked to do.
#[derive(Debug)]
pub(super) enum Action {
    /// Do the service's work.
    Run,
    /// Ask the running service's probe at `path` and exit with its verdict.
    Healthcheck {
        /// The probe's path.
        path: String,
    },
    /// Do a command of the service's own.
    Own {
        /// Does it.
        run: fn(&mut Reader, &[String]) -> Answer,
        /// The words after its name.
        words: Vec<String>,
    },
    /// Print the version.
    Version,
    /// Print the help.
    Help,
}

pub(super) fn parse(
    arguments: impl Iterator<Item = OsString>,
    commands: &[Command],
) -> Result<Action, String> {
    let mut words = Vec::new();
    for argument in arguments {
        let word = argument
            .into_string()
            .map_err(|argument| format!("argument {} is not UTF-8", argument.display()))?;
        words.push(word);
    }
    if words.iter().any(|word| word == "--help" || word == "-h" || word == "help") {
        return Ok(Action::Help);
    }
    let own = words.first().and_then(|word| commands.iter().find(|own| own.name == word));
    if let Some(own) = own {
        return Ok(Action::Own { run: own.run, words: words.split_off(1) });
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["run"] => Ok(Action::Run),
        ["--version" | "-V"] => Ok(Action::Version),
        ["healthcheck"] => Ok(Action::Healthcheck { path: "/health/live".to_owned() }),
        ["healthcheck", path] if path.starts_with('/') && !path.contains(char::is_whitespace) => {
            Ok(Action::Healthcheck { path: (*path).to_owned() })
        }
        ["healthcheck", path] => Err(format!("{path} is not a path such as /health/ready")),
        ["run" | "--version" | "-V", unknown, ..]
        | ["healthcheck", _, unknown, ..]
        | [unknown, ..] => Err(format!("argument {unknown} is not known")),
    }
}

pub(super) fn help<T>(
    service: ServiceInfo,
    commands: &[Command],
    parse: impl Fn(&mut Reader) -> Option<T>,
) -> String {
    let name = service.name;
    let mut own = String::new();
    for line in commands.iter().flat_map(|command| command.usage.lines()) {
        writeln!(own, "       {name} {line}").expect("a string takes any text");
    }
    let mut text = format!(
        "{name} {}\n\n\
         usage: {name} [run]                  do the service's work (the default)\n       \
         {name} healthcheck [PATH]     ask the running service's probe (/health/live); exit 0 or 1\n       \
         {name} --version | --help\n{own}\n\
         Settings come from the environment, or from the TOML file KOTONOHA_CONFIG names\n\
         ([health] listen = \"…\" is HEALTH_LISTEN); the environment wins. A secret can be given as\n\
         <NAME>_FILE, the path of a file that holds it.\n\n",
        service.version
    );
    let keys = settings::keys_of(parse);
    let width = keys.iter().map(|key| key.name.len()).max().unwrap_or_default();
    for key in &keys {
        writeln!(text, "  {:width$}  {}", key.name, describe(key))
            .expect("a string takes any text");
    }
    text
}

fn describe(key: &Key) -> String {
    let value = match &key.default {
        Some(default) if default.is_empty() => "default empty".to_owned(),
        Some(default) => format!("default {default}"),
        None if key.required => "required".to_owned(),
        None => "optional".to_owned(),
    };
    if key.secret { format!("{value}, secret") } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECHO: Command = Command { name: "echo", usage: "echo WORD  say it", run: echo };

    fn echo(_reader: &mut Reader, words: &[String]) -> Answer {
        Answer { out: words.join(" "), complaint: String::new(), code: 0 }
    }

    fn parse_words(words: &[&str]) -> Result<Action, String> {
        parse(words.iter().map(OsString::from), &[ECHO])
    }

    #[test]
    fn without_arguments_the_service_runs() {
        assert!(matches!(parse_words(&[]), Ok(Action::Run)));
        assert!(matches!(parse_words(&["run"]), Ok(Action::Run)));
    }

    #[test]
    fn a_command_of_the_service_s_own_gets_the_words_after_it() {
        let Ok(Action::Own { run, words }) = parse_words(&["echo", "-1", "--json"]) else {
            panic!("the command was not found");
        };
        assert_eq!(run(&mut Reader::new(crate::Source::new(|_| None)), &words).out, "-1 --json");
        assert!(parse_words(&["say", "echo"]).is_err());
    }

    #[test]
    fn a_healthcheck_asks_liveness_unless_told_a_path() {
        let asked = |words: &[&str]| match parse_words(words) {
            Ok(Action::Healthcheck { path }) => Some(path),
            _ => None,
        };
        assert_eq!(asked(&["healthcheck"]).as_deref(), Some("/health/live"));
        assert_eq!(asked(&["healthcheck", "/health/ready"]).as_deref(), Some("/health/ready"));
        assert!(parse_words(&["healthcheck", "ready"]).is_err());
        assert!(parse_words(&["healthcheck", "/a b"]).is_err());
    }

    #[test]
    fn what_is_not_known_is_named() {
        assert!(parse_words(&["--frobnicate"]).unwrap_err().contains("--frobnicate"));
        assert!(parse_words(&["run", "twice"]).unwrap_err().contains("twice"));
        assert!(parse_words(&["healthcheck", "/x", "more"]).unwrap_err().contains("more"));
    }

    #[test]
    fn help_lists_the_service_s_own_settings_and_the_common_ones() {
        let service = ServiceInfo { name: "thing", version: "1.2.3", log: "thing" };
        let text = help(service, &[ECHO], |reader| {
            let token = reader.secret("DISCORD_TOKEN", "get one");
            reader.or("PORT", 5_u16);
            token
        });
        assert!(text.contains("HEALTH_LISTEN"), "{text}");
        assert!(text.contains("thing echo WORD  say it\n"), "{text}");
        assert!(text.contains("0.0.0.0:8080"), "{text}");
        assert!(
            text.lines()
                .any(|line| line.contains("DISCORD_TOKEN") && line.ends_with("required, secret"))
        );
        assert!(text.lines().any(|line| line.contains("PORT") && line.ends_with("default 5")));
    }
}
