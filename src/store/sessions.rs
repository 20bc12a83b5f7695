//! Sessions of the admin page.
//!
//! A session is found by the SHA-256 of what the browser shows. Its id for people is the beginning of that hash: it names
//! the session and opens nothing.

use rusqlite::{OptionalExtension as _, params};

use super::{Read, Tx};
use crate::domain::{Result, Timestamp, session::Session};

/// The id of a session in SQL: the first eight bytes of its hash.
const ID: &str = "lower(hex(substr(hash, 1, 8)))";

/// Begins a session of a user whose password is still the one of this hash; answers whether it is.
pub fn insert(tx: &Tx<'_>, hash: &[u8; 32], user_id: i64, password_hash: &str, address: &str) -> Result<bool> {
    let sql = "INSERT INTO sessions (hash, user_id, created_at, last_seen_at, address)
               SELECT ?1, id, ?3, ?3, ?5 FROM users WHERE id = ?2 AND password_hash = ?4";
    Ok(tx.conn.prepare_cached(sql)?.execute(params![hash, user_id, tx.now.0, password_hash, address])? > 0)
}

/// A session's user, its beginning and when it was last seen.
pub fn find(read: &Read<'_>, hash: &[u8; 32]) -> Result<Option<(i64, Timestamp, Timestamp)>> {
    let sql = "SELECT user_id, created_at, last_seen_at FROM sessions WHERE hash = ?1";
    let found = read
        .conn
        .prepare_cached(sql)?
        .query_row([hash], |row| Ok((row.get(0)?, Timestamp(row.get(1)?), Timestamp(row.get(2)?))));
    Ok(found.optional()?)
}

/// The sessions of a user that were begun and last seen after these times, the last used first. `current`: the hash of
/// the one that asks.
pub fn of_user(
    read: &Read<'_>,
    user_id: i64,
    begun_after: Timestamp,
    seen_after: Timestamp,
    current: Option<&[u8; 32]>,
) -> Result<Vec<Session>> {
    let mut statement = read.conn.prepare_cached(&format!(
        "SELECT {ID}, created_at, last_seen_at, address, hash IS ?4 FROM sessions
         WHERE user_id = ?1 AND created_at > ?2 AND last_seen_at > ?3 ORDER BY last_seen_at DESC, created_at DESC, hash"
    ))?;
    let rows = statement.query_map(params![user_id, begun_after.0, seen_after.0, current], |row| {
        Ok(Session {
            id: row.get(0)?,
            created_at: Timestamp(row.get(1)?),
            last_seen_at: Timestamp(row.get(2)?),
            address: row.get(3)?,
            current: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Marks a session as seen now.
pub fn see(tx: &Tx<'_>, hash: &[u8; 32]) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE sessions SET last_seen_at = ?2 WHERE hash = ?1")?
        .execute(params![hash, tx.now.0])?;
    Ok(())
}

/// Ends a session.
pub fn delete(tx: &Tx<'_>, hash: &[u8; 32]) -> Result<()> {
    tx.conn.prepare_cached("DELETE FROM sessions WHERE hash = ?1")?.execute([hash])?;
    Ok(())
}

/// Ends the session of a user that has this id; answers whether there was one.
pub fn delete_by_id(tx: &Tx<'_>, user_id: i64, id: &str) -> Result<bool> {
    let sql = format!("DELETE FROM sessions WHERE user_id = ?1 AND {ID} = ?2");
    Ok(tx.conn.prepare_cached(&sql)?.execute(params![user_id, id])? > 0)
}

/// Ends the sessions of a user, but for one; answers how many.
pub fn delete_others(tx: &Tx<'_>, user_id: i64, but: Option<&[u8; 32]>) -> Result<usize> {
    let sql = "DELETE FROM sessions WHERE user_id = ?1 AND hash IS NOT ?2";
    Ok(tx.conn.prepare_cached(sql)?.execute(params![user_id, but])?)
}

/// Removes sessions begun or last seen before these times.
pub fn sweep(tx: &Tx<'_>, begun_before: Timestamp, seen_before: Timestamp) -> Result<()> {
    tx.conn.execute(
        "DELETE FROM sessions WHERE created_at <= ?1 OR last_seen_at <= ?2",
        [begun_before.0, seen_before.0],
    )?;
    Ok(())
}
