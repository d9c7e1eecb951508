//! The words after a command: options with and without a value, and the rest.

/// What was written, read by the options that the command knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    options: Vec<(&'static str, Option<String>)>,
    /// What is no option, in order.
    pub(super) rest: Vec<String>,
}

impl Words {
    /// Reads `words`. A known option that ends in `=` takes a value, after `=` or as the next
    /// word; every command knows `--json`.
    pub(super) fn read(words: &[String], known: &[&'static str]) -> Result<Self, String> {
        let mut read = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if !word.starts_with("--") {
                read.rest.push(word.clone());
                continue;
            }
            let (name, inline) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let plain = |known: &&&'static str| known.trim_end_matches('=') == name;
            let mut all = known.iter().chain(&["--json"]);
            let Some(option) = all.find(|known| plain(known)) else {
                return Err(format!("{name} is not known here; {}", shown(known)));
            };
            let value = match (option.strip_suffix('='), inline) {
                (None, None) => None,
                (None, Some(_)) => return Err(format!("{name} takes no value")),
                (Some(_), Some(value)) => Some(value),
                (Some(_), None) => {
                    Some(words.next().ok_or_else(|| format!("{name} needs a value"))?.clone())
                }
            };
            if read.options.iter().any(|(its, _)| *its == *option) {
                return Err(format!("{name} is given twice"));
            }
            read.options.push((option, value));
        }
        Ok(read)
    }

    /// Whether an option without a value was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(its, _)| *its == name)
    }

    /// The value of an option, named with its `=`.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let option = self.options.iter().find(|(its, _)| *its == name);
        option.and_then(|(_, value)| value.as_deref())
    }

    /// Refuses words that are no options.
    pub(super) fn no_more(&self) -> Result<(), String> {
        match self.rest.first() {
            None => Ok(()),
            Some(word) => Err(format!("{word} is not known here")),
        }
    }
}

fn shown(known: &[&'static str]) -> String {
    let all: Vec<String> = known
        .iter()
        .chain(&["--json"])
        .map(|option| match option.strip_suffix('=') {
            Some(name) => format!("{name} VALUE"),
            None => (*option).to_owned(),
        })
        .collect();
    format!("there are {}", all.join(", "))
}
