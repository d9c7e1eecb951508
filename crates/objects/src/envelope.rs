//! The wrapping of what leaves the house: age, for recipients whose keys need not be here.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor};
use secrecy::{ExposeSecret as _, SecretString};

use crate::side::PART;

/// age seals the plain text in chunks of this size, each longer by a tag (C2SP, age.md, "Payload").
const CHUNK: u64 = 64 * 1024;
const TAG: u64 = 16;
/// What a header is made of: its first line, one stanza for a recipient, and the last line.
const FIRST_LINE: u64 = 22;
const STANZA: u64 = 98;
const LAST_LINE: u64 = 48;
/// The nonce between the header and the payload.
const NONCE: u64 = 16;
/// Some writers of age, ours among them, put a stanza of no meaning and any length in between.
const GREASE: u64 = 256;

/// Wraps for its recipients, and unwraps with its identities if it has any.
///
/// Several recipients mean that each of their keys opens what was sealed: the house's own and one
/// on paper. Without an identity nothing that was sealed can be read here any more, and that is
/// the point: who takes this machine can write to the far side and cannot read it.
#[derive(Clone)]
pub struct Envelope {
    recipients: Vec<Recipient>,
    identities: Vec<Identity>,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recipients: Vec<_> = self.recipients.iter().map(ToString::to_string).collect();
        f.debug_struct("Envelope")
            .field("recipients", &recipients)
            .field("identities", &self.identities.len())
            .finish()
    }
}

/// Something could not be wrapped or unwrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// A recipient that is none.
    #[error("{0:?} is no recipient: it is a public key as age-keygen prints it, age1…")]
    BadRecipient(String),
    /// Text that holds no identity.
    #[error("this is no identity: it is a line AGE-SECRET-KEY-1… as age-keygen writes it")]
    BadIdentity,
    /// Nobody to wrap for.
    #[error("nothing is wrapped for nobody: name at least one recipient, age1…")]
    NoRecipient,
    /// What was found is no age file, or was cut off in its head.
    #[error("this is not wrapped by age, or it is damaged at its beginning")]
    NotSealed,
    /// Wrapped for others.
    #[error("none of the keys here opens this: it was wrapped for other recipients")]
    WrongKey,
    /// The key fits and the content does not: bits flipped, or the end is missing.
    #[error("this was damaged or cut off after it was wrapped: fetch it again from another copy")]
    Damaged,
    /// A file that cannot be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was being done, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the machine said.
        source: io::Error,
    },
    /// A stream that cannot be read or written.
    #[error("the stream that is wrapped or unwrapped failed: {0}")]
    Stream(#[from] io::Error),
}

impl Envelope {
    /// For these recipients (`age1…`) and with these identities, each a text as age-keygen writes
    /// it, comments and all.
    pub fn new(recipients: &[String], identities: &[SecretString]) -> Result<Self, EnvelopeError> {
        let recipients = recipients
            .iter()
            .map(|text| {
                Recipient::from_str(text.trim())
                    .ok()
                    .ok_or_else(|| EnvelopeError::BadRecipient(shown(text)))
            })
            .collect::<Result<_, _>>()?;
        let mut all = Vec::new();
        for text in identities {
            all.extend(identities_in(text)?);
        }
        Ok(Self { recipients, identities: all })
    }

    /// A new pair of keys: the recipient to write down in the settings, and its identity.
    pub fn generate() -> (String, SecretString) {
        let identity = Identity::generate();
        let text = identity.to_string();
        (identity.to_public().to_string(), SecretString::from(text.expose_secret().to_owned()))
    }

    /// Whether what is sealed can be opened here at all.
    pub fn can_open(&self) -> bool {
        !self.identities.is_empty()
    }

    /// Wraps a stream; the sizes of the plain and of the wrapped text do not matter to memory.
    pub fn seal(&self, from: &mut impl Read, to: impl Write) -> Result<u64, EnvelopeError> {
        let recipients = self.recipients.iter().map(|recipient| recipient as _);
        let sealing = Encryptor::with_recipients(recipients)
            .map_err(|error| match error {
                age::EncryptError::Io(error) => EnvelopeError::Stream(error),
                _ => EnvelopeError::NoRecipient,
            })?
            .wrap_output(to);
        let mut sealing = sealing?;
        let length = io::copy(from, &mut sealing)?;
        // Without its last chunk a sealed text is damaged, which is the point of that chunk.
        sealing.finish()?.flush()?;
        Ok(length)
    }

    /// Unwraps a stream. What was written before an error is not to be used.
    pub fn open(&self, from: impl Read, to: &mut impl Write) -> Result<u64, EnvelopeError> {
        let mut opened = self.reader(from)?;
        let mut length = 0;
        let mut piece = vec![0; 64 * 1024];
        loop {
            let read = match opened.read(&mut piece) {
                Ok(0) => return Ok(length),
                Ok(read) => read,
                Err(error) => return Err(damage(error)),
            };
            to.write_all(piece.get(..read).unwrap_or_default())?;
            length += read as u64;
        }
    }

    /// Unwraps a stream as it is read. An error of its `read` with the kind `InvalidData` or
    /// `UnexpectedEof` means damage.
    pub fn reader<R: Read>(&self, from: R) -> Result<impl Read + use<R>, EnvelopeError> {
        let identities = self.identities.iter().map(|identity| identity as _);
        let decryptor = Decryptor::new(BufReader::new(from)).map_err(refused)?;
        decryptor.decrypt(identities).map_err(refused)
    }

    /// Wraps a file into a new one, durably; the time of the plain file goes with it.
    pub fn seal_file(&self, from: &Path, to: &Path) -> Result<u64, EnvelopeError> {
        through(from, to, |reading, writing| self.seal(reading, writing))
    }

    /// Unwraps a file into a new one, durably; the time of the wrapped file goes with it. A
    /// damaged file leaves nothing under the new name.
    pub fn open_file(&self, from: &Path, to: &Path) -> Result<u64, EnvelopeError> {
        through(from, to, |reading, writing| self.open(reading, writing))
    }

    /// How large a plain text of so many bytes may be when it is wrapped: a far object of another
    /// size is not it, or not all of it.
    pub fn sealed_size(&self, plain: u64) -> RangeInclusive<u64> {
        let chunks = plain.div_ceil(CHUNK).max(1);
        let header = FIRST_LINE + STANZA * self.recipients.len() as u64 + LAST_LINE;
        let least = header + NONCE + plain + chunks * TAG;
        least..=least + GREASE
    }
}

/// A recipient as far as it may be shown: somebody may have mistaken the secret for it.
fn shown(text: &str) -> String {
    if text.trim().to_ascii_uppercase().starts_with("AGE-SECRET") {
        return "AGE-SECRET-KEY-…".to_owned();
    }
    text.chars().take(80).collect()
}

fn identities_in(text: &SecretString) -> Result<Vec<Identity>, EnvelopeError> {
    let lines = text.expose_secret().lines().map(str::trim);
    let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let found: Result<Vec<_>, _> =
        keys.map(|line| Identity::from_str(line).ok().ok_or(EnvelopeError::BadIdentity)).collect();
    found.and_then(
        |found| if found.is_empty() { Err(EnvelopeError::BadIdentity) } else { Ok(found) },
    )
}

fn refused(error: DecryptError) -> EnvelopeError {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed => EnvelopeError::WrongKey,
        DecryptError::InvalidMac | DecryptError::DecryptionFailed => EnvelopeError::Damaged,
        DecryptError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            EnvelopeError::Stream(error)
        }
        _ => EnvelopeError::NotSealed,
    }
}

fn damage(error: io::Error) -> EnvelopeError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => EnvelopeError::Damaged,
        _ => EnvelopeError::Stream(error),
    }
}

/// Reads one file and writes another: a passing name, fsync, rename, fsync of the folder.
fn through(
    from: &Path,
    to: &Path,
    work: impl FnOnce(&mut BufReader<File>, &mut BufWriter<File>) -> Result<u64, EnvelopeError>,
) -> Result<u64, EnvelopeError> {
    let fault = |doing: &'static str, path: &Path| {
        let path = path.to_path_buf();
        move |source: io::Error| EnvelopeError::File { doing, path, source }
    };
    let reading = File::open(from).map_err(fault("open", from))?;
    let time =
        reading.metadata().and_then(|about| about.modified()).map_err(fault("look at", from))?;
    let mut name = to.as_os_str().to_owned();
    name.push(PART);
    let part = PathBuf::from(name);
    let written = File::create(&part).map_err(fault("make", &part)).and_then(|file| {
        let mut writing = BufWriter::new(file);
        let length = work(&mut BufReader::new(reading), &mut writing)?;
        let file =
            writing.into_inner().map_err(|error| fault("write", &part)(error.into_error()))?;
        file.set_modified(time).and_then(|()| file.sync_all()).map_err(fault("write", &part))?;
        std::fs::rename(&part, to).map_err(fault("name", to))?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault("keep", folder))?;
        Ok(length)
    });
    if written.is_err() {
        // Of no use to anybody; that it stays is less than the fault itself.
        drop(std::fs::remove_file(&part));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, SecretString) {
        Envelope::generate()
    }

    fn sealed(envelope: &Envelope, plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        envelope.seal(&mut &plain[..], &mut sealed).unwrap();
        sealed
    }

    #[test]
    fn each_of_several_keys_opens_and_another_one_does_not() {
        let (one, two, three) = (pair(), pair(), pair());
        let both = Envelope::new(&[one.0, two.0], &[]).unwrap();
        assert!(!both.can_open());
        let text = sealed(&both, b"words");
        for identity in [one.1, two.1] {
            let mut plain = Vec::new();
            let envelope = Envelope::new(&[], &[identity]).unwrap();
            envelope.open(&text[..], &mut plain).unwrap();
            assert_eq!(plain, b"words");
        }
        let other = Envelope::new(&[], &[three.1]).unwrap();
        let error = other.open(&text[..], &mut Vec::new()).unwrap_err();
        assert!(matches!(error, EnvelopeError::WrongKey), "{error}");
        let error = both.open(&text[..], &mut Vec::new()).unwrap_err();
        assert!(matches!(error, EnvelopeError::WrongKey), "{error}");
    }

    #[test]
    fn the_size_of_what_is_wrapped_is_known_beforehand() {
        let (recipient, other) = (pair().0, pair().0);
        for recipients in [vec![recipient.clone()], vec![recipient, other]] {
            let envelope = Envelope::new(&recipients, &[]).unwrap();
            for plain in [0, 1, 65_535, 65_536, 65_537, 200_000] {
                // The stanza of no meaning is another one each time.
                for _ in 0..20 {
                    let size = sealed(&envelope, &vec![7; plain]).len() as u64;
                    let expected = envelope.sealed_size(plain as u64);
                    assert!(expected.contains(&size), "{plain}: {size} in {expected:?}");
                }
            }
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (recipient, identity) = pair();
        let envelope = Envelope::new(&[recipient], &[identity]).unwrap();
        let text = sealed(&envelope, &[7; 100]);
        for at in 0..text.len() {
            let mut flipped = text.clone();
            flipped[at] ^= 1;
            let result = envelope.open(&flipped[..], &mut Vec::new());
            assert!(result.is_err(), "bit of byte {at}");
            assert!(envelope.open(&text[..at], &mut Vec::new()).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_damaged_file_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let (recipient, identity) = pair();
        let envelope = Envelope::new(&[recipient], &[identity]).unwrap();
        let (plain, text) = (place.path().join("plain"), place.path().join("text"));
        std::fs::write(&plain, vec![1; 200_000]).unwrap();
        envelope.seal_file(&plain, &text).unwrap();
        let length = std::fs::metadata(&text).unwrap().len();
        File::options().write(true).open(&text).unwrap().set_len(length - 1).unwrap();
        let error = envelope.open_file(&text, &place.path().join("back")).unwrap_err();
        assert!(matches!(error, EnvelopeError::Damaged), "{error}");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_no_key_is_said_and_a_secret_is_not_repeated() {
        let (_, identity) = pair();
        let secret = identity.expose_secret().to_owned();
        let said = Envelope::new(std::slice::from_ref(&secret), &[]).unwrap_err().to_string();
        assert!(!said.contains(&secret) && said.contains("no recipient"), "{said}");
        let bad = SecretString::from("# a comment\n".to_owned());
        assert!(matches!(Envelope::new(&[], &[bad]), Err(EnvelopeError::BadIdentity)));
        let nobody = Envelope::new(&[], &[]).unwrap();
        let error = nobody.seal(&mut &b"x"[..], &mut Vec::new()).unwrap_err();
        assert!(matches!(error, EnvelopeError::NoRecipient), "{error}");
    }
}
