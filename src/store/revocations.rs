//! Tokens that are to be revoked at their providers (RFC 7009), until they are.

use rusqlite::params;

use super::{
    Read, Tx,
    seal::{Column, Purpose, Sealed},
};
use crate::domain::{Result, Secret, Timestamp};

pub(super) const REQUEST: Column = Column { purpose: Purpose::Tokens, table: "revocations", name: "request" };

/// A revocation that waits.
#[derive(Debug)]
pub struct Waiting {
    /// From 1.
    pub id: i64,
    /// The connection whose token it is; it may be gone.
    pub connection_id: i64,
    /// How often it was tried.
    pub attempts: u32,
    /// The whole request; `None`: it does not open any more.
    pub request: Option<Secret>,
}

/// What came of the revocation of a token.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// `refresh_token` or `access_token`.
    pub token: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What came of the last attempt, in a word; `None`: not tried yet.
    pub result: Option<String>,
    /// When it was settled; `None`: it will be tried again.
    pub settled_at: Option<Timestamp>,
}

/// Queues the revocation of a token.
pub fn insert(tx: &Tx<'_>, connection_id: i64, token: &str, request: &Secret) -> Result<()> {
    tx.conn
        .prepare_cached(
            "INSERT INTO revocations (connection_id, token, attempts, next_at, created_at) VALUES (?1, ?2, 0, ?3, ?3)",
        )?
        .execute(params![connection_id, token, tx.now.0])?;
    let id = tx.conn.last_insert_rowid();
    let sealed = tx.sealer.seal(REQUEST, &id.to_string(), request)?;
    tx.conn.prepare_cached("UPDATE revocations SET key_id = ?2, request = ?3 WHERE id = ?1")?.execute(params![
        id,
        sealed.key_id,
        sealed.bytes
    ])?;
    Ok(())
}

/// Notes that a token could not be revoked at all: its provider has no way to.
pub fn insert_settled(tx: &Tx<'_>, connection_id: i64, token: &str, result: &str) -> Result<()> {
    tx.conn
        .prepare_cached(
            "INSERT INTO revocations (connection_id, token, attempts, result, created_at, settled_at)
             VALUES (?1, ?2, 0, ?3, ?4, ?4)",
        )?
        .execute(params![connection_id, token, result, tx.now.0])?;
    Ok(())
}

/// Up to `limit` revocations that are to be tried now.
pub fn due(read: &Read<'_>, limit: usize) -> Result<Vec<Waiting>> {
    let mut statement = read.conn.prepare_cached(
        "SELECT id, connection_id, attempts, key_id, request FROM revocations WHERE next_at <= ?1 ORDER BY next_at, id LIMIT ?2",
    )?;
    let mut rows = statement.query(params![read.now.0, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let sealed = Sealed { key_id: row.get(3)?, bytes: row.get(4)? };
        let request = read.sealer.open(REQUEST, &id.to_string(), &sealed).ok();
        found.push(Waiting { id, connection_id: row.get(1)?, attempts: row.get(2)?, request });
    }
    Ok(found)
}

/// When the next one is to be tried.
pub fn next_due(read: &Read<'_>) -> Result<Option<Timestamp>> {
    let sql = "SELECT min(next_at) FROM revocations WHERE next_at IS NOT NULL";
    Ok(read.conn.prepare_cached(sql)?.query_row([], |row| row.get::<_, Option<i64>>(0))?.map(Timestamp))
}

/// Notes what came of an attempt; without `next_at` it is settled, and the request forgotten.
pub fn tried(tx: &Tx<'_>, id: i64, result: &str, next_at: Option<Timestamp>) -> Result<()> {
    tx.conn
        .prepare_cached(
            "UPDATE revocations SET attempts = attempts + 1, result = ?2, next_at = ?3,
                settled_at = CASE WHEN ?3 IS NULL THEN ?4 END,
                key_id = CASE WHEN ?3 IS NOT NULL THEN key_id END, request = CASE WHEN ?3 IS NOT NULL THEN request END
             WHERE id = ?1",
        )?
        .execute(params![id, result, next_at.map(|at| at.0), tx.now.0])?;
    Ok(())
}

/// The last outcomes for a connection, newest first, at most ten.
pub fn of_connection(read: &Read<'_>, connection_id: i64) -> Result<Vec<Outcome>> {
    let mut statement = read.conn.prepare_cached(
        "SELECT token, attempts, result, settled_at FROM revocations WHERE connection_id = ?1 ORDER BY id DESC LIMIT 10",
    )?;
    let rows = statement.query_map([connection_id], |row| {
        Ok(Outcome {
            token: row.get(0)?,
            attempts: row.get(1)?,
            result: row.get(2)?,
            settled_at: row.get::<_, Option<i64>>(3)?.map(Timestamp),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many wait.
pub fn count_waiting(read: &Read<'_>) -> Result<u64> {
    let sql = "SELECT count(*) FROM revocations WHERE next_at IS NOT NULL";
    Ok(read.conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Forgets what was settled before `before`.
pub fn sweep(tx: &Tx<'_>, before: Timestamp) -> Result<()> {
    tx.conn.prepare_cached("DELETE FROM revocations WHERE settled_at < ?1")?.execute([before.0])?;
    Ok(())
}
