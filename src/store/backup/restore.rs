//! Putting a backup back: only while nobody holds the data folder.
//!
//! A backup does not know which grants were refreshed after it was made, and a provider that changes refresh tokens may end
//! a grant whose used token is sent again. So every grant that refreshes comes back *uncertain*, and the next start clears
//! those whose provider changes nothing (`app/backups.rs`). Where the database that is replaced can still be read it knows
//! better: what it has of the same grants is taken from it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, params};

use super::{
    BackupError, DATABASE, Manifest, Unfit, copy_digested, io_at, known_version, sql_at, stamp, sync_folder, verify,
};
use crate::store::{Hold, database_path, seal::KeyList};

/// What was done.
#[derive(Debug)]
pub struct Restored {
    /// What was put back.
    pub manifest: Manifest,
    /// Where the database that was there is now; `None`: there was none.
    pub replaced: Option<PathBuf>,
    /// Grants whose tokens were taken from that one, as they are newer or the same.
    pub grants_kept: u64,
    /// Grants of which nobody knows whether they were refreshed after the backup.
    pub grants_uncertain: u64,
}

/// Verifies the backup in `folder` and puts it into the data folder that `_hold` holds. What it replaces is laid aside.
pub fn restore(_hold: &Hold, data: &Path, folder: &Path, keys: &KeyList, now: i64) -> Result<Restored, BackupError> {
    let manifest = verify(folder, keys).map_err(BackupError::Unfit)?;
    let path = database_path(data);
    let draft = path.with_extension("restoring.db");
    let draft = Draft(draft);
    draft.clear();
    bring(&folder.join(DATABASE), &draft.0, &manifest)?;
    let there = path.exists();
    let readable = there && settle(&path)?;
    let (mut grants_kept, mut grants_uncertain) = (0, 0);
    if manifest.schema_version == known_version() {
        let old = readable.then_some(path.as_path());
        (grants_kept, grants_uncertain) = doubt(&draft.0, old, keys, now).map_err(sql_at(&draft.0))?;
    }
    fs::File::open(&draft.0).and_then(|file| file.sync_all()).map_err(io_at(&draft.0))?;
    let replaced = if there { Some(lay_aside(&path, now)?) } else { None };
    // One step: at no moment is there no database.
    fs::rename(&draft.0, &path).map_err(io_at(&path))?;
    sync_folder(data)?;
    Ok(Restored { manifest, replaced, grants_kept, grants_uncertain })
}

/// The copy before it is in its place; gone when that did not come to pass.
struct Draft(PathBuf);

impl Draft {
    fn clear(&self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(beside(&self.0, end));
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The file that SQLite keeps beside a database.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Copies the bytes that were verified, and no others.
fn bring(from: &Path, to: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    crate::store::make_private(to).map_err(io_at(to))?;
    let mut source = fs::File::open(from).map_err(io_at(from))?;
    let mut target = fs::OpenOptions::new().write(true).truncate(true).open(to).map_err(io_at(to))?;
    let (_, sha256) = copy_digested(&mut source, &mut target).map_err(io_at(to))?;
    target.sync_all().map_err(io_at(to))?;
    if sha256 == manifest.sha256 { Ok(()) } else { Err(BackupError::Unfit(vec![Unfit::Hash])) }
}

/// Writes the log of the database that is there back into it, so that it is one file; answers whether it can be read. One
/// that is damaged is laid aside as it is.
fn settle(path: &Path) -> Result<bool, BackupError> {
    let settled = Connection::open(path).and_then(|db| {
        let whole: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        let busy: i64 = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(whole == "ok" && busy == 0)
    });
    match settled {
        Ok(readable) => Ok(readable),
        Err(error) if crate::store::is_corrupt(&error) => Ok(false),
        Err(error) => Err(sql_at(path)(error)),
    }
}

/// Links the database to another name, so that it is at both until the new one takes its place.
fn lay_aside(path: &Path, now: i64) -> Result<PathBuf, BackupError> {
    let stamp = stamp(now);
    let free = |n: u32| {
        path.with_extension(if n == 0 { format!("replaced-{stamp}.db") } else { format!("replaced-{stamp}-{n}.db") })
    };
    let aside = (0..1000).map(free).find(|aside| !aside.exists()).unwrap_or_else(|| free(1000));
    let linked = fs::hard_link(path, &aside).or_else(|_| fs::copy(path, &aside).map(drop));
    linked.map_err(io_at(&aside))?;
    // A log that could not be written back belongs to it, and would spoil the new one.
    let log = beside(path, "-wal");
    if log.exists() {
        fs::rename(&log, beside(&aside, "-wal")).map_err(io_at(&log))?;
    }
    let _ = fs::remove_file(beside(path, "-shm"));
    Ok(aside)
}

/// What the replaced database knows of the same grants: the same connection, agreed to at the same moment, and not lost.
const NEWER: &str = "SELECT r.connection_id FROM replaced.grants r
    JOIN replaced.connections rc ON rc.id = r.connection_id JOIN main.connections c ON c.id = r.connection_id
    JOIN main.grants g ON g.connection_id = r.connection_id
    WHERE r.granted_at = g.granted_at AND r.version >= g.version AND r.grant_type = g.grant_type
        AND rc.created_at = c.created_at AND rc.profile_id = c.profile_id AND rc.status = 'success'";

const GRANT_COLUMNS: &str = "version, key_id, sealed, token_type, scope, issued_at, expires_at, refresh_token,
    refresh_issued_at, refresh_expires_at, due_at, uncertain_at, failures, blame, last_attempt_at, last_result,
    last_refreshed_at, skew_ms, lifetime_ms, short_lived, refused_since, failure, warnings";

/// Marks what a copy cannot know, and ends what must not come back: sessions, links to log in with, short-lived tokens.
fn doubt(draft: &Path, old: Option<&Path>, keys: &KeyList, now: i64) -> rusqlite::Result<(u64, u64)> {
    let mut db = Connection::open(draft)?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "secure_delete", true)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    let mut same = false;
    if let Some(old) = old.and_then(Path::to_str) {
        db.execute("ATTACH DATABASE ?1 AS replaced", [old])?;
        same = is_same_installation(&db, keys)?;
    }
    let tx = db.transaction()?;
    tx.execute_batch("CREATE TEMP TABLE newer (connection_id INTEGER PRIMARY KEY)")?;
    let mut kept = 0;
    if same {
        kept = tx.execute(&format!("INSERT INTO newer {NEWER}"), [])?;
        tx.execute_batch(&format!(
            "UPDATE main.grants SET ({GRANT_COLUMNS}) =
                (SELECT {GRANT_COLUMNS} FROM replaced.grants r WHERE r.connection_id = main.grants.connection_id)
                WHERE connection_id IN (SELECT connection_id FROM newer);
             DELETE FROM main.refreshes WHERE connection_id IN (SELECT connection_id FROM newer);
             INSERT INTO main.refreshes SELECT * FROM replaced.refreshes
                WHERE connection_id IN (SELECT connection_id FROM newer);"
        ))?;
    }
    let uncertain = tx.execute(
        "UPDATE main.grants SET uncertain_at = ?1 WHERE refresh_token = 1 AND grant_type <> 'client_credentials'
            AND connection_id NOT IN (SELECT connection_id FROM newer)",
        [now],
    )?;
    tx.execute("UPDATE main.installation SET restored_at = ?1", params![now])?;
    tx.execute_batch(
        "DELETE FROM main.sessions; DELETE FROM main.setup_links; DELETE FROM main.access_tokens;
         DELETE FROM main.authorization_requests; DROP TABLE newer;",
    )?;
    tx.commit()?;
    Ok((kept as u64, uncertain as u64))
}

/// Whether the replaced database has the same schema and keys and is of the same installation.
fn is_same_installation(db: &Connection, keys: &KeyList) -> rusqlite::Result<bool> {
    let version: i64 = db.query_row("PRAGMA replaced.user_version", [], |row| row.get(0))?;
    if version != known_version() {
        return Ok(false);
    }
    let sql = "SELECT r.created_at = m.created_at, r.key_id, r.key_fingerprint
               FROM replaced.installation r, main.installation m";
    let (same, id, fingerprint): (bool, String, Vec<u8>) =
        db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(same && keys.fingerprint_of(&id).is_some_and(|own| own[..] == fingerprint))
}
