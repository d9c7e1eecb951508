//! Stock age opens what ours wraps, and ours opens what stock age wraps.

use std::path::Path;
use std::process::Command;

use objects::{Envelope, EnvelopeError};
use secrecy::SecretString;

use crate::conformance::noise;
use crate::peers;

/// More than one chunk of age's.
const LENGTH: usize = 1_000_003;

/// Two key pairs as age-keygen makes them: recipient and the text of the file.
fn keys(keygen: &Path, folder: &Path) -> Vec<(String, SecretString)> {
    let pair = |name: &str| {
        let file = folder.join(name);
        let made = Command::new(keygen).arg("-o").arg(&file).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let text = std::fs::read_to_string(&file).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
        (line.to_owned(), SecretString::from(text.clone()))
    };
    vec![pair("one.key"), pair("two.key")]
}

#[test]
fn stock_age_and_ours_open_what_the_other_wrapped() {
    let Some(age) = peers::wanted("KOTONOHA_AGE", "age", "no age") else { return };
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let keys = keys(&age.with_file_name("age-keygen"), folder);
    let (plain, ours, stock) = (folder.join("plain"), folder.join("ours"), folder.join("stock"));
    std::fs::write(&plain, noise(LENGTH)).unwrap();
    let recipients: Vec<_> = keys.iter().map(|(recipient, _)| recipient.clone()).collect();
    let envelope = Envelope::new(&recipients, &[]).unwrap();
    envelope.seal_file(&plain, &ours).unwrap();
    let mut command = Command::new(&age);
    for recipient in &recipients {
        command.args(["-r", recipient]);
    }
    let sealed = command.arg("-o").arg(&stock).arg(&plain).output().unwrap();
    assert!(sealed.status.success(), "{sealed:?}");
    for (number, name) in ["one.key", "two.key"].into_iter().enumerate() {
        let mut opening = Command::new(&age);
        let opened =
            opening.arg("-d").arg("-i").arg(folder.join(name)).arg(&ours).output().unwrap();
        assert!(opened.status.success(), "{:?}", String::from_utf8_lossy(&opened.stderr));
        assert!(opened.stdout == noise(LENGTH), "stock age read something else");
        let envelope = Envelope::new(&[], &[keys[number].1.clone()]).unwrap();
        let back = folder.join("back");
        assert_eq!(envelope.open_file(&stock, &back).unwrap(), LENGTH as u64);
        assert!(std::fs::read(&back).unwrap() == noise(LENGTH), "ours read something else");
    }
    let (_, stranger) = Envelope::generate();
    let stranger = Envelope::new(&[], &[stranger]).unwrap();
    let error = stranger.open_file(&stock, &folder.join("never")).unwrap_err();
    assert!(matches!(error, EnvelopeError::WrongKey), "{error}");
    assert!(!folder.join("never").exists());
}
