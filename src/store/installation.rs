//! The one row that says what this database belongs to.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Read, Tx,
    seal::{KeyError, Sealer},
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

/// Refuses a key that is not this database's.
pub(super) fn check_key(connection: &Connection, sealer: &Sealer) -> rusqlite::Result<Result<(), KeyError>> {
    let (expected, fingerprint) = known_key(connection)?;
    let given = sealer.keys();
    if given.active_id() == expected && given.fingerprint()[..] == fingerprint {
        return Ok(Ok(()));
    }
    Ok(Err(KeyError::Other { given: given.active_id().to_owned(), expected }))
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

/// The ids of keys that sealed values of one table need, and how many values each.
pub fn key_ids_in_use(read: &Read<'_>) -> Result<Vec<(&'static str, String, u64)>> {
    let mut found = Vec::new();
    for (table, column) in [
        ("profile_secrets", "key_id"),
        ("connections", "input_key_id"),
        ("grants", "key_id"),
        ("refreshes", "key_id"),
        ("authorization_requests", "key_id"),
        ("device_authorizations", "key_id"),
        ("device_authorizations", "input_key_id"),
        ("connect_links", "input_key_id"),
        ("revocations", "key_id"),
        ("webhooks", "key_id"),
        ("second_factors", "key_id"),
    ] {
        let mut statement = read.conn.prepare(&format!(
            "SELECT {column}, count(*) FROM {table} WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 1"
        ))?;
        let rows = statement.query_map([], |row| Ok((table, row.get(0)?, row.get(1)?)))?;
        found.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(found)
}

/// The schema version, or `None` where there is no database yet.
pub(super) fn schema_version(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let anything: Option<i64> =
        connection.query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |row| row.get(0)).optional()?;
    Ok((version != 0 || anything.is_some()).then_some(version))
}
