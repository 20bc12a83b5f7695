//! Sealing: AES-256-GCM (NIST SP 800-38D) under sub-keys (HKDF-SHA-256, RFC 5869) of a key that is not in the database.
//!
//! The associated data is table, column, row and key id: a value moved to another row does not open. Nonces are 96
//! random bits, so a sub-key should seal far fewer than 2^32 values; a server of this kind stays below by orders of
//! magnitude. There is no default key and no plaintext form.

use std::{
    fmt,
    io::Write as _,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::{Error, Result, Secret};

const NONCE: usize = 12;
const FORMAT: u8 = 1;

/// What a sub-key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// What an operator enters: client secrets, app tokens, parameters.
    ClientSecrets,
    /// What providers hand out: access and refresh tokens, and the values entered with an account; and what we sign with.
    Tokens,
    /// What the codes of users' second factors are made from.
    SecondFactors,
}

/// A sealed column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Which sub-key seals it.
    pub purpose: Purpose,
    /// Its table.
    pub table: &'static str,
    /// Its name.
    pub name: &'static str,
}

/// A sealed value, with the id of the key that opens it.
pub struct Sealed {
    /// The key's id.
    pub key_id: String,
    /// Format byte, nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// Why the keys cannot be used. Printed at start, for people; never says a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is a database, but no key.
    #[error(
        "the key file {0} is missing. Without it the sealed secrets of this database cannot be opened: put it back from where you keep its copy"
    )]
    Missing(String),
    /// The file cannot be read.
    #[error("the key file {path} cannot be read: {source}")]
    Unreadable {
        /// The file, or the variable.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("the key file {path} cannot be written: {source}")]
    Unwritable {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file does not have the form of a key file.
    #[error("the key file {path}, line {line}: {what}")]
    Malformed {
        /// The file, or the variable.
        path: String,
        /// From 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The key is not this database's.
    #[error(
        "the active key is {given}, but this database was sealed with {expected}: start with the key file that belongs to it"
    )]
    Other {
        /// Id of the key that was given.
        given: String,
        /// Id of the key that the database knows.
        expected: String,
    },
}

#[derive(Clone)]
struct Key {
    id: String,
    secret: Zeroizing<[u8; 32]>,
}

/// The keys there are; the active one seals, all of them open.
#[derive(Clone)]
pub struct KeyList {
    keys: Vec<Key>,
    active: usize,
}

impl fmt::Debug for KeyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

/// The text of a key file: comments, blank lines, and lines `active|old <id> <32 bytes in base64url>`.
impl KeyList {
    /// A list of one new key.
    pub fn generate() -> Result<Self> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret).map_err(Error::internal)?;
        let mut id = [0; 4];
        getrandom::fill(&mut id).map_err(Error::internal)?;
        let id = format!("k{:08x}", u32::from_be_bytes(id));
        Ok(Self { keys: vec![Key { id, secret }], active: 0 })
    }

    /// Reads the text of a key file; `path` is for the error.
    pub fn parse(text: &str, path: &str) -> Result<Self, KeyError> {
        let mut list = Self { keys: Vec::new(), active: usize::MAX };
        for (n, line) in text.lines().enumerate() {
            let fault = |what| KeyError::Malformed { path: path.to_owned(), line: n + 1, what };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_ascii_whitespace();
            let (Some(state), Some(id), Some(secret), None) = (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(fault("a line has three words: active or old, the key's id, the key"));
            };
            if !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') || id.len() > 32 {
                return Err(fault("an id has up to 32 letters, digits and hyphens"));
            }
            if list.keys.iter().any(|key| key.id == id) {
                return Err(fault("two keys have the same id"));
            }
            let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(secret).unwrap_or_default());
            let mut secret = Zeroizing::new([0; 32]);
            if bytes.len() != secret.len() {
                return Err(fault("a key is 32 bytes in base64url, 43 characters"));
            }
            secret.copy_from_slice(&bytes);
            match state {
                "active" if list.active == usize::MAX => list.active = list.keys.len(),
                "active" => return Err(fault("only one key can be active")),
                "old" => {}
                _ => return Err(fault("a line begins with active or old")),
            }
            list.keys.push(Key { id: id.to_owned(), secret });
        }
        if list.active == usize::MAX {
            return Err(KeyError::Malformed {
                path: path.to_owned(),
                line: text.lines().count() + 1,
                what: "no key is active",
            });
        }
        Ok(list)
    }

    /// Reads a key file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let shown = path.display().to_string();
        match std::fs::read_to_string(path).map(Zeroizing::new) {
            Ok(text) => Self::parse(&text, &shown),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Err(KeyError::Missing(shown)),
            Err(source) => Err(KeyError::Unreadable { path: shown, source }),
        }
    }

    /// The text of a key file with these keys.
    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::from(
            "# The key of this Grantry. Whoever has it and the database can read every secret in it; without it nobody can.\n\
             # Keep a copy where you do not keep the database's copies.\n",
        ));
        for (n, key) in self.keys.iter().enumerate() {
            let state = if n == self.active { "active" } else { "old" };
            let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(*key.secret));
            text.extend([state, " ", &key.id, " ", &secret, "\n"]);
        }
        text
    }

    /// Writes a new key file, mode 0600, and makes sure that it is on the disk before anything is sealed with it.
    pub fn save_new(&self, path: &Path) -> Result<(), KeyError> {
        self.write_new(path)
            .and_then(|()| sync_folder_of(path))
            .map_err(|source| KeyError::Unreadable { path: path.display().to_string(), source })
    }

    /// Writes the key file anew, in one step: whoever reads it sees the keys before or these. Where the path is a link, the
    /// file that it leads to.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let write = || {
            let path = std::fs::canonicalize(path)?;
            let mut draft = path.as_os_str().to_owned();
            draft.push(".new");
            let draft = Path::new(&draft);
            // What a crash left of an earlier time.
            let _ = std::fs::remove_file(draft);
            let done = self.write_new(draft).and_then(|()| std::fs::rename(draft, &path));
            if done.is_err() {
                let _ = std::fs::remove_file(draft);
            }
            done.and_then(|()| sync_folder_of(&path))
        };
        write().map_err(|source| KeyError::Unwritable { path: path.display().to_string(), source })
    }

    fn write_new(&self, path: &Path) -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.write_all(self.text().as_bytes())?;
        file.sync_all()
    }

    /// These keys, all of them old, and a new one that is active.
    pub fn rotated(&self) -> Result<Self> {
        let mut new = Self::generate()?;
        if self.keys.iter().any(|key| key.id == new.keys[0].id) {
            return Err(Error::internal("two keys with one id, by a chance of one in four thousand million"));
        }
        let mut keys = self.keys.clone();
        keys.append(&mut new.keys);
        Ok(Self { active: keys.len() - 1, keys })
    }

    /// These keys without an old one. `None` where there is no such key, or it is the active one.
    pub fn without(&self, id: &str) -> Option<Self> {
        let gone = self.keys.iter().position(|key| key.id == id).filter(|n| *n != self.active)?;
        let mut keys = self.keys.clone();
        keys.remove(gone);
        Some(Self { keys, active: self.active - usize::from(gone < self.active) })
    }

    /// Whether every key of `other` is among these.
    pub fn has_all_of(&self, other: &Self) -> bool {
        other.keys.iter().all(|key| self.fingerprint_of(&key.id) == other.fingerprint_of(&key.id))
    }

    /// The ids, and whether each is the active one.
    pub fn ids(&self) -> impl Iterator<Item = (&str, bool)> {
        self.keys.iter().enumerate().map(|(n, key)| (key.id.as_str(), n == self.active))
    }

    /// The active key's id.
    pub fn active_id(&self) -> &str {
        &self.keys[self.active].id
    }

    /// A public fingerprint of the active key: 16 bytes derived from it, which say nothing about it.
    pub fn fingerprint(&self) -> [u8; 16] {
        self.fingerprint_of(&self.keys[self.active].id).unwrap_or_default()
    }

    /// The fingerprint of the key with this id.
    pub fn fingerprint_of(&self, id: &str) -> Option<[u8; 16]> {
        let key = self.keys.iter().find(|key| key.id == id)?;
        let mut out = [0; 16];
        Hkdf::<Sha256>::new(None, &*key.secret).expand(b"grantry fingerprint 1", &mut out).ok()?;
        Some(out)
    }
}

/// Opens and closes sealed values.
pub struct Sealer(RwLock<Arc<Ring>>);

/// Keys and what is derived from them. One ring is replaced by another as a whole.
struct Ring {
    keys: Arc<KeyList>,
    ciphers: Vec<(usize, Purpose, Aes256Gcm)>,
}

impl Ring {
    fn new(keys: KeyList) -> Result<Arc<Self>> {
        let mut ciphers = Vec::new();
        for (n, key) in keys.keys.iter().enumerate() {
            for (purpose, info) in [
                (Purpose::ClientSecrets, "grantry seal 1 client secrets"),
                (Purpose::Tokens, "grantry seal 1 tokens"),
                (Purpose::SecondFactors, "grantry seal 1 second factors"),
            ] {
                let mut sub_key = Zeroizing::new([0; 32]);
                Hkdf::<Sha256>::new(None, &*key.secret)
                    .expand(info.as_bytes(), &mut *sub_key)
                    .map_err(Error::internal)?;
                let cipher = Aes256Gcm::new_from_slice(&*sub_key).map_err(Error::internal)?;
                ciphers.push((n, purpose, cipher));
            }
        }
        Ok(Arc::new(Self { keys: Arc::new(keys), ciphers }))
    }

    fn cipher(&self, key_id: &str, purpose: Purpose) -> Option<&Aes256Gcm> {
        let key = self.keys.keys.iter().position(|key| key.id == key_id)?;
        self.ciphers.iter().find(|(n, p, _)| *n == key && *p == purpose).map(|(_, _, cipher)| cipher)
    }
}

impl Sealer {
    /// Derives the sub-keys of `keys`.
    pub fn new(keys: KeyList) -> Result<Self> {
        Ok(Self(RwLock::new(Ring::new(keys)?)))
    }

    fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The keys.
    pub fn keys(&self) -> Arc<KeyList> {
        Arc::clone(&self.ring().keys)
    }

    /// Takes other keys from now on. In the writer thread alone, so that no write seals with two.
    pub(super) fn replace(&self, keys: KeyList) -> Result<()> {
        let ring = Ring::new(keys)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }

    /// Seals `secret` for one row of a column.
    pub fn seal(&self, column: Column, row: &str, secret: &Secret) -> Result<Sealed> {
        let ring = self.ring();
        let key_id = ring.keys.active_id();
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(Error::internal)?;
        let aad = associated_data(column, row, key_id);
        let payload = Payload { msg: secret.expose().as_bytes(), aad: &aad };
        let sealed = ring
            .cipher(key_id, column.purpose)
            .and_then(|cipher| cipher.encrypt(&nonce.into(), payload).ok())
            .ok_or_else(|| Error::internal("sealing failed"))?;
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(Sealed { key_id: key_id.to_owned(), bytes })
    }

    /// Opens what was sealed for this row of this column.
    pub fn open(&self, column: Column, row: &str, sealed: &Sealed) -> Result<Secret> {
        self.try_open(column, row, sealed).ok_or_else(|| {
            Error::internal(format_args!(
                "the value in {}.{} of row {row} does not open with key {}",
                column.table, column.name, sealed.key_id
            ))
        })
    }

    fn try_open(&self, column: Column, row: &str, sealed: &Sealed) -> Option<Secret> {
        let (format, rest) = sealed.bytes.split_first()?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE)?;
        if *format != FORMAT {
            return None;
        }
        let aad = associated_data(column, row, &sealed.key_id);
        let nonce = <[u8; NONCE]>::try_from(nonce).ok()?;
        let ring = self.ring();
        let cipher = ring.cipher(&sealed.key_id, column.purpose)?;
        let opened = cipher.decrypt(&nonce.into(), Payload { msg: ciphertext, aad: &aad }).ok()?;
        String::from_utf8(opened).ok().map(Secret::new)
    }
}

fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |dir| std::fs::File::open(dir)?.sync_all())
}

/// Lengths before each part, so that no two places share a text.
fn associated_data(column: Column, row: &str, key_id: &str) -> Vec<u8> {
    let mut aad = Vec::new();
    for part in [column.table, column.name, row, key_id] {
        aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
        aad.extend_from_slice(part.as_bytes());
    }
    aad
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Column = Column { purpose: Purpose::ClientSecrets, table: "profile_secrets", name: "sealed" };

    fn sealer() -> Sealer {
        Sealer::new(KeyList::generate().expect("random bytes")).expect("sub-keys")
    }

    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let sealer = sealer();
        let sealed = sealer.seal(HERE, "1/current", &Secret::new("PLANTED")).expect("seals");
        assert_eq!(sealer.open(HERE, "1/current", &sealed).expect("opens").expose(), "PLANTED");
        assert!(sealer.open(HERE, "2/current", &sealed).is_err(), "another row");
        assert!(sealer.open(Column { name: "other", ..HERE }, "1/current", &sealed).is_err(), "another column");
        assert!(
            sealer.open(Column { purpose: Purpose::Tokens, ..HERE }, "1/current", &sealed).is_err(),
            "another purpose"
        );
        let mut bent = Sealed { key_id: sealed.key_id.clone(), bytes: sealed.bytes.clone() };
        bent.bytes[NONCE + 1] ^= 1;
        assert!(sealer.open(HERE, "1/current", &bent).is_err(), "a flipped bit");
        for cut in [0, 1, NONCE, sealed.bytes.len() - 1] {
            let cut = Sealed { key_id: sealed.key_id.clone(), bytes: sealed.bytes[..cut].to_vec() };
            assert!(sealer.open(HERE, "1/current", &cut).is_err(), "cut off");
        }
    }

    #[test]
    fn the_same_value_seals_differently_each_time() {
        let sealer = sealer();
        let one = sealer.seal(HERE, "1", &Secret::new("x")).expect("seals");
        let two = sealer.seal(HERE, "1", &Secret::new("x")).expect("seals");
        assert_ne!(one.bytes, two.bytes);
    }

    #[test]
    fn a_rotated_list_opens_what_was_sealed_before_and_seals_with_the_new_key() {
        let before = KeyList::generate().expect("random bytes");
        let after = before.rotated().expect("random bytes");
        assert!(after.has_all_of(&before) && !before.has_all_of(&after));
        assert_ne!(after.active_id(), before.active_id());
        let dir = tempfile::tempdir().expect("a folder");
        let (path, link) = (dir.path().join("keys"), dir.path().join("link"));
        before.save_new(&path).expect("written");
        assert!(before.save_new(&path).is_err(), "nothing is overwritten");
        #[cfg(unix)]
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        after.save(&link).expect("written");
        let read = KeyList::load(&path).expect("read");
        assert!(read.has_all_of(&after) && read.active_id() == after.active_id());
        let old = before.active_id().to_owned();
        let less = read.without(&old).expect("an old key");
        assert_eq!((less.active_id(), less.ids().count()), (after.active_id(), 1));
        assert!(less.without(after.active_id()).is_none() && less.without(&old).is_none());
    }

    #[test]
    fn key_files_say_what_is_wrong_with_them_and_where() {
        let key = URL_SAFE_NO_PAD.encode([7; 32]);
        for (text, line) in [
            (String::new(), 1),
            (format!("# c\nactive k1 {key}\nactive k2 {key}"), 3),
            (format!("active k1 {key}\nold k1 {key}"), 2),
            ("active k1 short".to_owned(), 1),
            (format!("spare k1 {key}"), 1),
            (format!("active k1 {key} more"), 1),
        ] {
            match KeyList::parse(&text, "keys") {
                Err(KeyError::Malformed { line: found, .. }) => assert_eq!(found, line, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        let list = KeyList::parse(&format!("old k1 {key}\nactive k2 {key}\n"), "keys").expect("fine");
        assert_eq!(list.active_id(), "k2");
        assert_eq!(format!("{list:?}"), r#"["k1", "k2"]"#);
    }
}
