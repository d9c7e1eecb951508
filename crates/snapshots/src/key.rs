//! A repository's key files: the master key, sealed by a password.
//!
//! The engine would derive the sealing key with 128 MiB of memory, more than a small machine
//! gives a backup; restic itself takes at most 60 MB. Passwords here are generated and long, so
//! that the cost of guessing lies in them and not in the derivation.
//! (Format: restic's design document, "Keys, Encryption and MAC".)

use aes256ctr_poly1305aes::aead::{self, AeadInPlace};
use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Key};
use rand::Rng;
use rustic_core::Id;
use rustic_core::repofile::{KeyFile, MasterKey};
use secrecy::{ExposeSecret, SecretString};

use crate::store::sha256;

/// scrypt's cost: 32 MiB, as stock restic chooses on an ordinary machine.
const SCRYPT_N: u32 = 1 << 15;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 1;
/// Bytes of salt in a key file, as restic has them.
const SALT_BYTES: usize = 64;

/// Seals the master key for a password: the key file and the id it has to be stored under.
pub(crate) fn seal(
    master: &MasterKey,
    password: &SecretString,
    host: &str,
) -> Result<(Id, Vec<u8>), String> {
    let mut salt = vec![0; SALT_BYTES];
    rand::rng().fill_bytes(&mut salt);
    let mut file = KeyFile {
        hostname: Some(host.to_owned()),
        username: Some("kotonoha".to_owned()),
        created: Some(jiff::Zoned::now()),
        kdf: "scrypt".to_owned(),
        n: SCRYPT_N,
        r: SCRYPT_R,
        p: SCRYPT_P,
        data: Vec::new(),
        salt,
    };
    let derived = file.kdf_key(&password.expose_secret()).map_err(|error| error.display_log())?;
    let (encrypt, k, r) = derived.to_keys();
    let mut key = Key::default();
    key[..32].copy_from_slice(&encrypt);
    key[32..48].copy_from_slice(&k);
    key[48..].copy_from_slice(&r);
    let plain = serde_json::to_vec(master).map_err(|error| error.to_string())?;
    file.data = encrypt_whole(&key, &plain)?;
    let content = serde_json::to_vec(&file).map_err(|error| error.to_string())?;
    Ok((sha256(&content), content))
}

/// Nonce, ciphertext and tag, one after the other.
fn encrypt_whole(key: &Key, plain: &[u8]) -> Result<Vec<u8>, String> {
    let mut nonce = aead::Nonce::<Aes256CtrPoly1305Aes>::default();
    rand::rng().fill_bytes(&mut nonce);
    let mut sealed = nonce.to_vec();
    sealed.extend_from_slice(plain);
    let tag = Aes256CtrPoly1305Aes::new(key)
        .encrypt_in_place_detached(&nonce, &[], &mut sealed[nonce.len()..])
        .map_err(|error| error.to_string())?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}
