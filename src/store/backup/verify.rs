//! Whether a backup is what its manifest says, and can be put back with the keys there are.

use std::path::Path;

use super::{DATABASE, MANIFEST, Manifest, digest, hex, known_version, open_to_read, plain_file, read_manifest};
use crate::store::seal::KeyList;

/// What is wrong with a backup. Printed, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A file of it is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The manifest cannot be read.
    #[error("{MANIFEST} cannot be read: {0}")]
    Manifest(String),
    /// The copy cannot be read.
    #[error("{DATABASE} cannot be read: {0}")]
    Unreadable(String),
    /// The copy is not as long as it was.
    #[error("{DATABASE} has {found} bytes and had {expected}: it was cut off or changed")]
    Size {
        /// By the manifest.
        expected: u64,
        /// Now.
        found: u64,
    },
    /// The copy is not what it was.
    #[error("{DATABASE} was changed or damaged: its SHA-256 is another")]
    Hash,
    /// It is damaged inside.
    #[error("{DATABASE} is damaged ({0})")]
    Damaged(String),
    /// Something in it refers to what is not there.
    #[error("{0} references in {DATABASE} lead nowhere")]
    References(u64),
    /// It is not one of ours.
    #[error("{DATABASE} is no database of Grantry's")]
    NotOurs,
    /// It is of a later program.
    #[error("it has schema version {found}, and this program knows versions up to {known}: use a newer Grantry")]
    Newer {
        /// Its version.
        found: i64,
        /// The program's.
        known: i64,
    },
    /// It was sealed with keys that are not here.
    #[error(
        "it is sealed with the key {0}, which is not among the keys there are: put the key file that belongs to it back"
    )]
    OtherKey(String),
}

impl Unfit {
    /// A word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing",
            Self::Manifest(_) => "manifest",
            Self::Unreadable(_) => "unreadable",
            Self::Size { .. } => "size",
            Self::Hash => "hash",
            Self::Damaged(_) => "damaged",
            Self::References(_) => "references",
            Self::NotOurs => "not_ours",
            Self::Newer { .. } => "newer",
            Self::OtherKey(_) => "other_key",
        }
    }
}

/// Looks at a backup from end to end: size, hash, structure, references, schema, keys. Blocks; reads every byte.
pub fn verify(folder: &Path, keys: &KeyList) -> Result<Manifest, Vec<Unfit>> {
    let one = |fault| vec![fault];
    let manifest = read_manifest(folder).map_err(one)?;
    let path = plain_file(folder, DATABASE).ok_or_else(|| one(Unfit::Missing(DATABASE)))?;
    let (size, sha256) = digest(&path).map_err(|error| one(Unfit::Unreadable(error.to_string())))?;
    // What is not the file that was written is not even opened.
    if size != manifest.size {
        return Err(one(Unfit::Size { expected: manifest.size, found: size }));
    }
    if sha256 != manifest.sha256 {
        return Err(one(Unfit::Hash));
    }
    match look_inside(&path, keys) {
        Err(error) => Err(one(Unfit::Damaged(error.to_string()))),
        Ok(mut faults) => {
            let known: Vec<&str> = keys.ids().map(|(id, _)| id).collect();
            let missing = manifest.keys.iter().filter(|id| !known.contains(&id.as_str()) && **id != manifest.key_id);
            faults.extend(missing.cloned().map(Unfit::OtherKey));
            if faults.is_empty() { Ok(manifest) } else { Err(faults) }
        }
    }
}

fn look_inside(path: &Path, keys: &KeyList) -> rusqlite::Result<Vec<Unfit>> {
    let db = open_to_read(path)?;
    let report = db
        .prepare("PRAGMA quick_check(5)")?
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    if report != ["ok"] {
        return Ok(vec![Unfit::Damaged(report.join("; "))]);
    }
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = known_version();
    if version > known {
        return Ok(vec![Unfit::Newer { found: version, known }]);
    }
    let own = db.query_row("SELECT key_id, key_fingerprint FROM installation", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))
    });
    let Ok((key_id, fingerprint)) = own else { return Ok(vec![Unfit::NotOurs]) };
    if version < 1 {
        return Ok(vec![Unfit::NotOurs]);
    }
    let mut faults = Vec::new();
    let broken: u64 = db.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))?;
    if broken > 0 {
        faults.push(Unfit::References(broken));
    }
    if keys.fingerprint_of(&key_id).map(|own| hex(&own)) != Some(hex(&fingerprint)) {
        faults.push(Unfit::OtherKey(key_id));
    }
    Ok(faults)
}
