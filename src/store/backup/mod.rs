//! Backups: a folder each, with a copy of the database and a manifest that says what it is.
//!
//! A backup is written beside the others under a name that begins with a dot, verified there, and renamed: a half one never
//! looks like one. What is sealed stays sealed, and the keys are not in it.
//!
//! Nothing here may turn an error of SQLite's into [`crate::domain::Error`]: a damaged copy is no reason to stop a server.

mod restore;
mod verify;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Db, migrate};
pub use restore::{Restored, restore};
pub use verify::{Unfit, verify};

/// The copy of the database in the folder of a backup.
pub const DATABASE: &str = "grantry.db";
/// The manifest beside it.
pub const MANIFEST: &str = "manifest.json";

/// So many pages are copied in one step: a megabyte, after which others have the disk for a moment.
const STEP_PAGES: i32 = 256;
/// That moment.
const STEP_PAUSE: Duration = Duration::from_millis(1);
/// What a crash left half written is swept after so long; before, another Grantry may be at it.
const STALE: Duration = Duration::from_hours(24);
/// A manifest is no larger.
const MOST_MANIFEST: u64 = 1024 * 1024;

/// Why a backup was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// Somebody asked for it.
    Asked,
    /// Its time had come; these go when there are too many.
    Scheduled,
}

impl Occasion {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Scheduled => "scheduled",
        }
    }
}

/// What a backup is. Times in unix milliseconds. Never a secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// The name that it was given.
    pub name: String,
    /// When.
    pub created_at: i64,
    /// Why.
    pub occasion: Occasion,
    /// When it was last verified; that is done before it counts as one.
    pub verified_at: i64,
    /// Whose it is: when the database was made.
    pub installation: i64,
    /// The version of its schema.
    pub schema_version: i64,
    /// The version of the program that made it.
    pub program_version: String,
    /// The bytes of the copy.
    pub size: u64,
    /// SHA-256 of the copy, in hexadecimal digits.
    pub sha256: String,
    /// The key that was active.
    pub key_id: String,
    /// That key's fingerprint, in hexadecimal digits.
    pub key_fingerprint: String,
    /// Every key that something in it is sealed with.
    pub keys: Vec<String>,
    /// How many there are of each noun.
    pub counts: BTreeMap<String, u64>,
}

/// What stands in the folder of backups.
#[derive(Debug)]
pub struct Entry {
    /// The name: that of its folder.
    pub name: String,
    /// What it is, or why nobody can tell.
    pub manifest: Result<Manifest, Unfit>,
}

/// Why a backup was not made, or not put back. Printed and logged, for people.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The system said no.
    #[error("{path}: {source}")]
    Io {
        /// What was touched.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite said no.
    #[error("{path}: {source}")]
    Sqlite {
        /// The database file.
        path: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The copy is no good.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unfit(Vec<Unfit>),
    /// The server is stopping.
    #[error("the server was told to stop before the backup was whole")]
    Stopped,
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> BackupError {
    let path = path.display().to_string();
    move |source| BackupError::Io { path: path.clone(), source }
}

fn sql_at(path: &Path) -> impl Fn(rusqlite::Error) -> BackupError {
    let path = path.display().to_string();
    move |source| BackupError::Sqlite { path: path.clone(), source }
}

/// Removes what is half when its making ends early.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes a backup in `dir`, while the server goes on; blocks until it is whole and verified. One at a time: see the caller.
pub fn create(db: &Db, dir: &Path, occasion: Occasion, stop: &AtomicBool) -> Result<Manifest, BackupError> {
    make_folder(dir)?;
    sweep(dir);
    let now = db.now().0;
    let name = new_name(now)?;
    let part = Part(dir.join(format!(".{name}.part")));
    make_folder(&part.0)?;
    let copy = part.0.join(DATABASE);
    snapshot(db, &copy, stop)?;
    let manifest = describe(&copy, name, now, occasion)?;
    write_manifest(&part.0, &manifest)?;
    verify(&part.0, &db.sealer().keys()).map_err(BackupError::Unfit)?;
    let whole = dir.join(&manifest.name);
    fs::rename(&part.0, &whole).map_err(io_at(&whole))?;
    sync_folder(dir)?;
    Ok(manifest)
}

/// Names sort by time.
fn new_name(now: i64) -> Result<String, BackupError> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes)
        .map_err(|error| BackupError::Io { path: "random bytes".to_owned(), source: io::Error::other(error) })?;
    Ok(format!("{}-{:04x}", stamp(now), u16::from_be_bytes(bytes)))
}

/// A time as a part of a file's name, UTC: `20261125-034501`.
fn stamp(now: i64) -> String {
    jiff::Timestamp::from_millisecond(now)
        .map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y%m%d-%H%M%S").to_string())
        .unwrap_or_default()
}

/// Copies the database as it is at one moment. A reader of its own holds that moment fast, so that the writer neither waits
/// nor makes the copying begin again.
fn snapshot(db: &Db, to: &Path, stop: &AtomicBool) -> Result<(), BackupError> {
    super::make_private(to).map_err(io_at(to))?;
    let ours = sql_at(db.path());
    let source = db.inner.readers.open().map_err(&ours)?;
    source.execute_batch("BEGIN").map_err(&ours)?;
    source.query_row("SELECT count(*) FROM installation", [], |row| row.get::<_, i64>(0)).map_err(&ours)?;
    let theirs = sql_at(to);
    let mut target = Connection::open(to).map_err(&theirs)?;
    // Synchronised once, when it is whole.
    target.pragma_update(None, "synchronous", "OFF").map_err(&theirs)?;
    let backup = Backup::new(&source, &mut target).map_err(&theirs)?;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(BackupError::Stopped);
        }
        match backup.step(STEP_PAGES).map_err(&theirs)? {
            StepResult::Done => break,
            _ => std::thread::sleep(STEP_PAUSE),
        }
    }
    drop(backup);
    drop(target);
    // Opened again: the copy says that it has a write-ahead log, and is to be one file that needs no other.
    let target = Connection::open(to).map_err(&theirs)?;
    target.pragma_update(None, "journal_mode", "DELETE").map_err(&theirs)?;
    drop(target);
    fs::File::open(to).and_then(|file| file.sync_all()).map_err(io_at(to))
}

/// The nouns that a manifest counts.
const COUNTED: [&str; 10] = [
    "profiles",
    "connections",
    "grants",
    "customers",
    "client_applications",
    "providers",
    "users",
    "api_tokens",
    "webhooks",
    "audit",
];

fn describe(copy: &Path, name: String, now: i64, occasion: Occasion) -> Result<Manifest, BackupError> {
    let fail = sql_at(copy);
    let db = open_to_read(copy).map_err(&fail)?;
    let mut counts = BTreeMap::new();
    for table in COUNTED {
        let count = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).map_err(&fail)?;
        counts.insert(table.to_owned(), count);
    }
    let mut keys: Vec<String> = super::sealed::key_ids(&db).map_err(&fail)?.into_iter().map(|(_, id, _)| id).collect();
    keys.sort();
    keys.dedup();
    let own = "SELECT created_at, key_id, hex(key_fingerprint) FROM installation";
    let (installation, key_id, fingerprint): (i64, String, String) =
        db.query_row(own, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(&fail)?;
    let schema_version = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(&fail)?;
    drop(db);
    let (size, sha256) = digest(copy).map_err(io_at(copy))?;
    Ok(Manifest {
        name,
        created_at: now,
        occasion,
        verified_at: now,
        installation,
        schema_version,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        size,
        sha256,
        key_id,
        key_fingerprint: fingerprint.to_ascii_lowercase(),
        keys,
        counts,
    })
}

/// Opens a copy that is one file, without a right to change it.
fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    use rusqlite::OpenFlags;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "cache_size", -1024)?;
    Ok(db)
}

/// Size and SHA-256 of a file.
fn digest(path: &Path) -> io::Result<(u64, String)> {
    copy_digested(&mut fs::File::open(path)?, &mut io::sink())
}

/// Copies; answers how many bytes, and their SHA-256.
fn copy_digested(from: &mut impl io::Read, to: &mut impl io::Write) -> io::Result<(u64, String)> {
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        to.write_all(&buffer[..n])?;
        size += n as u64;
    }
    Ok((size, hex(&hash.finalize())))
}

/// Bytes as a manifest writes them: two small hexadecimal digits each.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes the manifest in one step.
fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let (path, draft) = (folder.join(MANIFEST), folder.join(".manifest.new"));
    let mut text = serde_json::to_string_pretty(manifest)
        .map_err(|error| BackupError::Io { path: path.display().to_string(), source: error.into() })?;
    text.push('\n');
    let write = || {
        let _ = fs::remove_file(&draft);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    };
    write().map_err(io_at(&path))?;
    sync_folder(folder)
}

/// Reads the manifest in the folder of a backup.
fn read_manifest(folder: &Path) -> Result<Manifest, Unfit> {
    let file = plain_file(folder, MANIFEST).ok_or(Unfit::Missing(MANIFEST))?;
    let mut text = String::new();
    let read = fs::File::open(file).and_then(|file| file.take(MOST_MANIFEST).read_to_string(&mut text));
    read.map_err(|error| Unfit::Manifest(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| Unfit::Manifest(error.to_string()))
}

/// A file in a folder, where it is one and no link to another.
fn plain_file(folder: &Path, name: &str) -> Option<PathBuf> {
    let path = folder.join(name);
    fs::symlink_metadata(&path).is_ok_and(|data| data.is_file()).then_some(path)
}

fn sync_folder(dir: &Path) -> Result<(), BackupError> {
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_at(dir))
}

/// A folder for its owner's eyes only.
fn make_folder(dir: &Path) -> Result<(), BackupError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(io_at(dir))
}

/// Removes what crashes left half written or half removed.
fn sweep(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let half = name.to_str().is_some_and(|name| name.starts_with('.') && name.strip_suffix(".part").is_some());
        let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|at| at.elapsed().ok());
        if half && age.is_some_and(|age| age > STALE) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a text can be the name of a backup: nothing that leads elsewhere.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(plain)
}

/// The folder of the backup of this name.
pub fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    let folder = dir.join(name);
    (is_name(name) && fs::symlink_metadata(&folder).is_ok_and(|data| data.is_dir())).then_some(folder)
}

/// What is in the folder of backups, by name; none where there is no such folder.
pub fn list(dir: &Path) -> Result<Vec<Entry>, BackupError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io_at(dir))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_at(dir))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if let Some(folder) = find(dir, &name) {
            found.push(Entry { manifest: read_manifest(&folder), name });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Removes a backup; one that is half removed does not look like one.
pub fn delete(folder: &Path) -> Result<(), BackupError> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let gone = folder.with_file_name(format!(".{name}.part"));
    let _ = fs::remove_dir_all(&gone);
    fs::rename(folder, &gone).and_then(|()| fs::remove_dir_all(&gone)).map_err(io_at(folder))
}

/// Notes in its manifest that a backup was verified.
pub fn note_verified(folder: &Path, manifest: &Manifest, now: i64) -> Result<(), BackupError> {
    write_manifest(folder, &Manifest { verified_at: now, ..manifest.clone() })
}

/// The two files of a backup, to be sent away: the manifest's bytes, the copy, and its size.
pub fn open_files(folder: &Path) -> Result<(Vec<u8>, fs::File, u64), BackupError> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let manifest = plain_file(folder, MANIFEST).ok_or_else(missing).map_err(io_at(folder))?;
    let copy = plain_file(folder, DATABASE).ok_or_else(missing).map_err(io_at(folder))?;
    let mut bytes = Vec::new();
    fs::File::open(&manifest)
        .and_then(|file| file.take(MOST_MANIFEST).read_to_end(&mut bytes))
        .map_err(io_at(&manifest))?;
    let file = fs::File::open(&copy).map_err(io_at(&copy))?;
    let size = file.metadata().map_err(io_at(&copy))?.len();
    Ok((bytes, file, size))
}

/// The version of the schema that this program makes.
fn known_version() -> i64 {
    migrate::VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for good in ["20261125-034501-3f9a", "mine", "a.b_c"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", ".x.part", "a/b", "../a", "a\\b", "a\0", "ä", "a b", &"x".repeat(101)] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn names_sort_by_time() {
        assert_eq!(stamp(1_795_578_301_000), "20261125-034501");
        assert!(stamp(999_999_999_000) < stamp(1_000_000_001_000));
    }
}
