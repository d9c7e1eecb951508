//! What `prepare` is asked to do.

/// One chore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chore {
    /// Make folders and secrets.
    Folders,
    /// Make streams and buckets.
    Streams,
    /// Ask an HTTP address whether it answers 200.
    Probe(String),
    /// Say the version.
    Version,
    /// Say what can be asked.
    Help,
}

/// What can be asked, and by which settings.
pub const HELP: &str = "\
usage: prepare folders       make and own config/ data/ logs/ backups/, generate secrets (as root)
       prepare streams       make the streams and buckets (as the user admin)
       prepare probe URL     exit 0 where URL answers 200
       prepare --version | --help

settings, from the environment:
  PREPARE_ROOT          the project folder; default /project
  PREPARE_OWNER         uid:gid the services run as; default 1000:1000
  PREPARE_WAIT_SECONDS  how long `streams` waits for nats-server; default 60
  NATS_URL, NATS_USER, NATS_PASSWORD or NATS_PASSWORD_FILE, NATS_CA_FILE   for `streams`

exit codes: 0 done; 64 wrong arguments or settings; 69 nats-server not ready; 73 folders or
secrets not made; 77 nats-server refused us; 1 the probe failed
";

/// Reads the arguments after the program's name.
pub fn parse(words: &[String]) -> Result<Chore, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["folders"] => Ok(Chore::Folders),
        ["streams"] => Ok(Chore::Streams),
        ["probe", url] => Ok(Chore::Probe((*url).to_owned())),
        ["probe"] => Err("probe needs a URL such as http://127.0.0.1:8222/healthz".to_owned()),
        ["--version" | "-V"] => Ok(Chore::Version),
        ["--help" | "-h" | "help"] => Ok(Chore::Help),
        [] => Err("nothing was asked".to_owned()),
        [unknown, ..] => Err(format!("{unknown} is not known, or has too many words after it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Chore, String> {
        parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn each_chore_has_its_word() {
        assert_eq!(read(&["folders"]), Ok(Chore::Folders));
        assert_eq!(read(&["streams"]), Ok(Chore::Streams));
        assert_eq!(read(&["probe", "http://x/"]), Ok(Chore::Probe("http://x/".to_owned())));
        assert_eq!(read(&["-V"]), Ok(Chore::Version));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(read(&[]).is_err() && read(&["probe"]).is_err());
        assert!(read(&["folders", "now"]).unwrap_err().contains("folders"));
        assert!(read(&["fold"]).unwrap_err().contains("fold"));
    }
}
