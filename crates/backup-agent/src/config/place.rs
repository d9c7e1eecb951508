//! A place is a file or folder to copy, with the name it goes by among the copies.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use chassis::Reader;
use snapshots::Class;

/// The longest name, so that it stays a folder's name with whatever is put behind it.
const NAME_CHARACTERS_MAX: usize = 64;

/// A file or folder under the name of its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// What kind of data it holds, which decides how long its copies are kept.
    pub class: Option<Class>,
    /// Where it lies.
    pub path: PathBuf,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "write it as NAME=PATH, such as conversations=/data/conversation.db";
        let (name, path) = text.split_once('=').ok_or(expected)?;
        let (name, class) = match name.split_once(':') {
            None => (name, None),
            Some((name, class)) => (name, Some(read_class(class.trim())?)),
        };
        let (name, path) = (name.trim(), path.trim());
        let plain = |letter: char| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-' || letter == '_'
        };
        let sound = !name.is_empty()
            && name.len() <= NAME_CHARACTERS_MAX
            && name.chars().all(plain)
            && name.starts_with(|letter: char| letter.is_ascii_alphanumeric());
        if !sound {
            return Err(format!("\"{name}\" is no name: use a-z, 0-9, - and _"));
        }
        if path.is_empty() {
            return Err(expected.to_owned());
        }
        Ok(Self { name: name.to_owned(), class, path: PathBuf::from(path) })
    }
}

fn read_class(text: &str) -> Result<Class, String> {
    Class::named(text).ok_or_else(|| {
        let classes = Class::ALL.map(Class::name).join(", ");
        format!("\"{text}\" is no class of data; there are {classes}")
    })
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = self.class.map(|class| format!(":{}", class.name())).unwrap_or_default();
        write!(formatter, "{}{class}={}", self.name, self.path.display())
    }
}

/// Several places, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places(pub(super) Vec<Place>);

impl Places {
    /// Reads the list that the setting `key` names; two of one name are a fault.
    pub(super) fn read(reader: &mut Reader, key: &str, default: Self) -> Vec<Place> {
        let places = reader.or(key, default).0;
        for (index, place) in places.iter().enumerate() {
            if places[..index].iter().any(|earlier| earlier.name == place.name) {
                let name = &place.name;
                reader.fault(
                    key,
                    (format!("names {name} twice"), format!("に {name} が二回あります")),
                    ("give each its own name", "別々の名前を付けてください"),
                );
            }
        }
        places
    }
}

impl FromStr for Places {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Places {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        formatter.write_str(&items.join(","))
    }
}
