//! The one row that says what this database belongs to.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Read, Tx,
    seal::{KeyError, KeyList, Sealer},
};
use crate::domain::{Result, Timestamp};

/// Writes the row of a new database.
pub(super) fn create(connection: &Connection, sealer: &Sealer, now: i64) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO installation (id, created_at, key_id, key_fingerprint) VALUES (1, ?1, ?2, ?3)",
        params![now, sealer.keys().active_id(), sealer.keys().fingerprint()],
    )?;
    Ok(())
}

/// Refuses keys that are not this database's. Where its key is among them and another one is active, somebody has begun to
/// rotate: what is sealed is to be sealed anew.
pub(super) fn check_key(connection: &Connection, sealer: &Sealer, now: i64) -> rusqlite::Result<Result<(), KeyError>> {
    let (expected, fingerprint) = known_key(connection)?;
    let given = sealer.keys();
    if given.fingerprint_of(&expected).is_some_and(|own| own[..] == fingerprint) {
        if given.active_id() != expected {
            set_key(connection, &given, now)?;
        }
        return Ok(Ok(()));
    }
    Ok(Err(KeyError::Other { given: given.active_id().to_owned(), expected }))
}

fn set_key(connection: &Connection, keys: &KeyList, now: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE installation SET key_id = ?1, key_fingerprint = ?2, rotating_at = coalesce(rotating_at, ?3)";
    connection.execute(sql, params![keys.active_id(), keys.fingerprint(), now]).map(drop)
}

/// Since when values are being sealed anew; `None`: all of them are sealed with the active key.
pub fn rotating_at(read: &Read<'_>) -> Result<Option<Timestamp>> {
    let at: Option<i64> = read.conn.query_row("SELECT rotating_at FROM installation", [], |row| row.get(0))?;
    Ok(at.map(Timestamp))
}

/// From now on the database belongs to the active key, and what is sealed is to be sealed anew.
pub fn begin_rotation(tx: &Tx<'_>) -> Result<()> {
    Ok(set_key(tx.conn, &tx.sealer.keys(), tx.now.0)?)
}

/// Everything that opens is sealed with the active key.
pub fn finish_rotation(tx: &Tx<'_>) -> Result<()> {
    tx.conn.execute("UPDATE installation SET rotating_at = NULL", [])?;
    Ok(())
}

/// What SQLite says of the structure of the database; empty where it is in order. Reads all of it.
pub fn quick_check(read: &Read<'_>) -> Result<Vec<String>> {
    let mut statement = read.conn.prepare("PRAGMA quick_check(5)")?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

fn known_key(connection: &Connection) -> rusqlite::Result<(String, Vec<u8>)> {
    connection.query_row("SELECT key_id, key_fingerprint FROM installation", [], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The id and fingerprint of the key that the database is sealed with.
pub fn key(read: &Read<'_>) -> Result<(String, Vec<u8>)> {
    Ok(known_key(read.conn)?)
}

/// When the database was made.
pub fn created_at(read: &Read<'_>) -> Result<Timestamp> {
    Ok(Timestamp(read.conn.query_row("SELECT created_at FROM installation", [], |row| row.get(0))?))
}

/// A write that changes nothing, but reaches the disk as every write does.
pub(super) fn touch(tx: &Tx<'_>) -> Result<()> {
    // An update to the same value would not even touch the page.
    tx.conn.prepare_cached("INSERT INTO setup_links (hash, created_at, expires_at) VALUES (x'', 0, 0)")?.execute([])?;
    tx.conn.prepare_cached("DELETE FROM setup_links WHERE hash = x''")?.execute([])?;
    Ok(())
}

/// Since when this is a backup whose grants nobody has looked at; `None`: it is none, or somebody has.
pub fn restored_at(read: &Read<'_>) -> Result<Option<Timestamp>> {
    let at: Option<i64> = read.conn.query_row("SELECT restored_at FROM installation", [], |row| row.get(0))?;
    Ok(at.map(Timestamp))
}

/// Somebody has looked at them.
pub fn settle_restored(tx: &Tx<'_>) -> Result<()> {
    tx.conn.execute("UPDATE installation SET restored_at = NULL", [])?;
    Ok(())
}

/// The schema version, or `None` where there is no database yet.
pub(super) fn schema_version(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let anything: Option<i64> =
        connection.query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |row| row.get(0)).optional()?;
    Ok((version != 0 || anything.is_some()).then_some(version))
}
