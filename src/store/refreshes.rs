//! The refresh journal: what is about to be sent, before it is sent; what came back, before anybody reads it.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{
    Read, Tx,
    seal::{Column, Purpose, Sealed},
};
use crate::domain::{Error, Result, Secret, Timestamp, profile::SecretKind};

pub(super) const ANSWER: Column = Column { purpose: Purpose::Tokens, table: "refreshes", name: "answer" };

/// An open entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The connection.
    pub connection_id: i64,
    /// The version of the grant whose refresh token is sent.
    pub version: i64,
    /// SHA-256 of that token.
    pub fingerprint: [u8; 32],
    /// How often it was sent, this time included.
    pub attempt: u32,
    /// Which client secret goes with it.
    pub secret: SecretKind,
    /// When it was sent first.
    pub begun_at: Timestamp,
    /// When an answer came that is kept.
    pub answered_at: Option<Timestamp>,
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        connection_id: row.get(0)?,
        version: row.get(1)?,
        fingerprint: row.get(2)?,
        attempt: row.get(3)?,
        secret: if row.get::<_, String>(4)? == "next" { SecretKind::Next } else { SecretKind::Current },
        begun_at: Timestamp(row.get(5)?),
        answered_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
    })
}

const SELECT: &str =
    "SELECT connection_id, version, fingerprint, attempt, secret, begun_at, answered_at FROM refreshes";

/// Opens an entry. The same token sent again is one more attempt of the same entry, which began when it began; an answer
/// that came meanwhile is none to the new attempt.
pub fn begin(tx: &Tx<'_>, connection_id: i64, version: i64, fingerprint: &[u8; 32], secret: SecretKind) -> Result<()> {
    tx.conn
        .prepare_cached(
            "INSERT INTO refreshes (connection_id, version, fingerprint, attempt, secret, begun_at)
             VALUES (?1, ?2, ?3, 1, ?4, ?5)
             ON CONFLICT (connection_id) DO UPDATE SET
                attempt = CASE WHEN fingerprint = excluded.fingerprint THEN attempt + 1 ELSE 1 END,
                begun_at = CASE WHEN fingerprint = excluded.fingerprint THEN begun_at ELSE excluded.begun_at END,
                version = excluded.version, fingerprint = excluded.fingerprint, secret = excluded.secret,
                answered_at = NULL, key_id = NULL, answer = NULL",
        )?
        .execute(params![connection_id, version, fingerprint, secret.as_str(), tx.now.0])?;
    Ok(())
}

/// Keeps the answer as it came; answers whether the entry is still there.
pub fn answer(tx: &Tx<'_>, connection_id: i64, fingerprint: &[u8; 32], answer: &Secret) -> Result<bool> {
    let sealed = tx.sealer.seal(ANSWER, &connection_id.to_string(), answer)?;
    let changed = tx
        .conn
        .prepare_cached(
            "UPDATE refreshes SET answered_at = ?3, key_id = ?4, answer = ?5
             WHERE connection_id = ?1 AND fingerprint = ?2",
        )?
        .execute(params![connection_id, fingerprint, tx.now.0, sealed.key_id, sealed.bytes])?;
    Ok(changed == 1)
}

/// Forgets the answer of an entry that stays open: it was read, and did not tell what became of the token.
pub fn forget_answer(tx: &Tx<'_>, connection_id: i64) -> Result<()> {
    let sql = "UPDATE refreshes SET answered_at = NULL, key_id = NULL, answer = NULL WHERE connection_id = ?1";
    tx.conn.prepare_cached(sql)?.execute([connection_id])?;
    Ok(())
}

/// Closes an entry: the grant has what came of it.
pub fn finish(tx: &Tx<'_>, connection_id: i64) -> Result<()> {
    tx.conn.prepare_cached("DELETE FROM refreshes WHERE connection_id = ?1")?.execute([connection_id])?;
    Ok(())
}

/// Closes an entry that has no answer.
pub fn finish_unanswered(tx: &Tx<'_>, connection_id: i64) -> Result<()> {
    let sql = "DELETE FROM refreshes WHERE connection_id = ?1 AND answer IS NULL";
    tx.conn.prepare_cached(sql)?.execute([connection_id])?;
    Ok(())
}

/// The open entry of a connection.
pub fn find(read: &Read<'_>, connection_id: i64) -> Result<Option<Entry>> {
    let sql = format!("{SELECT} WHERE connection_id = ?1");
    Ok(read.conn.prepare_cached(&sql)?.query_row([connection_id], entry).optional()?)
}

/// The connections with an open entry, by id.
pub fn open(read: &Read<'_>) -> Result<Vec<i64>> {
    let mut statement = read.conn.prepare_cached("SELECT connection_id FROM refreshes ORDER BY connection_id")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The answer of an open entry, where one came. `Internal` when it does not open.
pub fn kept_answer(read: &Read<'_>, connection_id: i64) -> Result<Option<Secret>> {
    let sql = "SELECT key_id, answer FROM refreshes WHERE connection_id = ?1 AND answer IS NOT NULL";
    let found = read
        .conn
        .prepare_cached(sql)?
        .query_row([connection_id], |row| Ok(Sealed { key_id: row.get(0)?, bytes: row.get(1)? }));
    let Some(sealed) = found.optional()? else { return Ok(None) };
    read.sealer
        .open(ANSWER, &connection_id.to_string(), &sealed)
        .map(Some)
        .map_err(|_| Error::internal(format_args!("the answer kept for connection {connection_id} does not open")))
}

/// Connections with an answer that was kept and does not open, by id.
pub fn unopenable(read: &Read<'_>) -> Result<Vec<i64>> {
    let sql = "SELECT connection_id, key_id, answer FROM refreshes WHERE answer IS NOT NULL ORDER BY connection_id";
    let mut statement = read.conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let sealed = Sealed { key_id: row.get(1)?, bytes: row.get(2)? };
        if read.sealer.open(ANSWER, &id.to_string(), &sealed).is_err() {
            found.push(id);
        }
    }
    Ok(found)
}
