//! The targets elsewhere, as the owner sets them.

use std::path::Path;
use std::time::Duration;

use chassis::{Reader, SecretString};
use objects::{Location, RcloneProgram, Settings};

/// How often a target is looked at where nothing is set.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(10);

/// The targets elsewhere and what is common to them.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    /// The targets (`BACKUP_TARGETS`, secrets from `BACKUP_TARGETS_DIR`).
    pub targets: Vec<Settings>,
    /// For whom what leaves is wrapped besides the key on the recovery sheet
    /// (`BACKUP_RECIPIENTS`).
    pub recipients: Vec<String>,
    /// What opens it again, if it is here at all (`BACKUP_IDENTITY`): only then can what lies there
    /// be verified to its last byte.
    pub identity: Option<SecretString>,
    /// How often each target is looked at (`BACKUP_TARGETS_INTERVAL_S`).
    pub interval: Duration,
}

impl Elsewhere {
    /// Reads the settings. `state` is the agent's own folder, which keeps the host keys of SSH
    /// servers.
    pub fn read(reader: &mut Reader, state: &Path) -> Self {
        let folder = reader.path_or("BACKUP_TARGETS_DIR", "secrets/targets");
        let program = reader.path_or("BACKUP_RCLONE", "rclone");
        let named: Vec<String> = reader.list("BACKUP_TARGETS");
        let mut targets: Vec<Settings> = Vec::new();
        for text in named {
            match target(&text) {
                Ok((name, _)) if targets.iter().any(|other| other.name == name) => fault(
                    reader,
                    &format!("names {name} twice"),
                    &format!("に {name} が二回あります"),
                ),
                Ok((name, location)) => {
                    let mut settings = Settings::new(&name, location);
                    settings.state_folder = Some(state.join("host-keys"));
                    let config = Some(folder.join("rclone.conf"));
                    settings.rclone = RcloneProgram { program: program.clone(), config };
                    secrets(reader, &folder, &mut settings);
                    targets.push(settings);
                }
                Err(problem) => {
                    fault(reader, &problem, &format!("の書き方が違います({problem})"));
                }
            }
        }
        Self {
            targets,
            recipients: reader.list("BACKUP_RECIPIENTS"),
            identity: reader.optional_secret("BACKUP_IDENTITY"),
            interval: reader.duration_seconds("BACKUP_TARGETS_INTERVAL_S", INTERVAL_DEFAULT),
        }
    }
}

/// One `NAME=ADDRESS`.
fn target(text: &str) -> Result<(String, Location), String> {
    let (name, address) = text.split_once('=').ok_or(
        "holds an item without a name: write NAME=ADDRESS, such as nas=sftp://me@host/path",
    )?;
    let name = name.trim();
    let plain =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("names a target \"{name}\": use a-z, 0-9 and -"));
    }
    let location = address.parse::<Location>().map_err(|error| format!("({name}): {error}"))?;
    Ok((name.to_owned(), location))
}

/// What lies beside: `NAME.account`, `NAME.password`, `NAME.key` and `NAME.ca.pem`.
fn secrets(reader: &mut Reader, folder: &Path, settings: &mut Settings) {
    let name = settings.name.clone();
    let mut text = |ending: &str| -> Option<String> {
        let file = folder.join(format!("{name}.{ending}"));
        match std::fs::read_to_string(&file) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                unreadable(reader, &file, &error);
                None
            }
        }
    };
    let line = |text: String| text.trim_end_matches(['\n', '\r']).to_owned();
    settings.account = text("account").map(line);
    settings.password = text("password").map(|text| SecretString::from(line(text)));
    settings.private_key = text("key").map(SecretString::from);
    settings.extra_ca_pem = text("ca.pem").map(String::into_bytes);
}

fn unreadable(reader: &mut Reader, file: &Path, error: &std::io::Error) {
    let file = file.display();
    reader.fault(
        "BACKUP_TARGETS_DIR",
        (
            format!("holds {file}, which cannot be read: {error}"),
            format!("の {file} が読めません: {error}"),
        ),
        (
            "give the agent's user the right to read it",
            "エージェントのユーザーが読めるようにしてください",
        ),
    );
}

fn fault(reader: &mut Reader, problem: &str, problem_japanese: &str) {
    reader.fault(
        "BACKUP_TARGETS",
        (problem.to_owned(), problem_japanese.to_owned()),
        (
            "write NAME=ADDRESS, several with commas between: \
             nas=sftp://me@host/volume1/backup, cloud=s3://bucket/prefix?endpoint=https://s3.example.com",
            "「名前=アドレス」をカンマで区切って書いてください。例: \
             nas=sftp://me@host/volume1/backup, cloud=s3://bucket/prefix?endpoint=https://s3.example.com",
        ),
    );
}

#[cfg(test)]
mod tests {
    use chassis::{ExposeSecret as _, Source};

    use super::*;

    fn read(targets: &str, folder: &Path) -> Result<Elsewhere, String> {
        let (targets, folder) = (targets.to_owned(), folder.display().to_string());
        let source = Source::new(move |key| match key {
            "BACKUP_TARGETS" => Some(targets.clone()),
            "BACKUP_TARGETS_DIR" => Some(folder.clone()),
            _ => None,
        });
        let mut reader = Reader::new(source);
        let elsewhere = Elsewhere::read(&mut reader, Path::new("state"));
        reader.finish(Some(elsewhere)).map_err(|faults| faults.to_string())
    }

    #[test]
    fn secrets_lie_beside_and_belong_to_one_target_each() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cloud.account"), "KEYID\n").unwrap();
        std::fs::write(folder.path().join("cloud.password"), "hidden\n").unwrap();
        let text = "usb=file:///mnt/usb, cloud=s3://bucket/x?region=eu-central-1";
        let elsewhere = read(text, folder.path()).unwrap();
        let [usb, cloud] = elsewhere.targets.as_slice() else { panic!("{elsewhere:?}") };
        assert_eq!((usb.name.as_str(), usb.account.as_deref()), ("usb", None));
        assert_eq!(cloud.account.as_deref(), Some("KEYID"));
        assert_eq!(cloud.password.as_ref().unwrap().expose_secret(), "hidden");
        assert!(!format!("{elsewhere:?}").contains("hidden"));
    }

    #[test]
    fn what_is_wrong_is_said_for_each_target() {
        let folder = tempfile::tempdir().unwrap();
        for (text, said) in [
            ("file:///mnt/usb", "without a name"),
            ("Usb=file:///mnt/usb", "use a-z"),
            ("usb=ftp://host", "nothing here speaks"),
            ("a=file:///x, a=file:///y", "names a twice"),
        ] {
            let faults = read(text, folder.path()).unwrap_err();
            assert!(faults.contains(said), "{text}: {faults}");
        }
        assert!(read("", folder.path()).unwrap().targets.is_empty());
    }
}
