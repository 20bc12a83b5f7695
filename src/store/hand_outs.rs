//! How often which caller was handed the token of which connection, by the hour.

use rusqlite::params;

use super::{Read, Tx};
use crate::domain::{Result, Timestamp};

/// Adds to the count of an hour; answers whether it is the first of that hour. A connection that is gone counts nothing.
pub fn add(tx: &Tx<'_>, connection_id: i64, actor: &str, hour: Timestamp, count: u64, last: Timestamp) -> Result<bool> {
    let marked = tx
        .conn
        .prepare_cached("UPDATE grants SET handed_out = handed_out + ?2, handed_out_at = ?3 WHERE connection_id = ?1")?
        .execute(params![connection_id, count, last.0])?;
    if marked == 0 {
        return Ok(false);
    }
    let known = tx
        .conn
        .prepare_cached(
            "UPDATE hand_outs SET count = count + ?4 WHERE connection_id = ?1 AND actor = ?2 AND hour = ?3",
        )?
        .execute(params![connection_id, actor, hour.0, count])?;
    if known == 0 {
        tx.conn
            .prepare_cached("INSERT INTO hand_outs (connection_id, actor, hour, count) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![connection_id, actor, hour.0, count])?;
    }
    Ok(known == 0)
}

/// The callers of a connection, hours and counts, newest first, at most a hundred.
pub fn of_connection(read: &Read<'_>, connection_id: i64) -> Result<Vec<(String, Timestamp, u64)>> {
    let mut statement = read.conn.prepare_cached(
        "SELECT actor, hour, count FROM hand_outs WHERE connection_id = ?1 ORDER BY hour DESC, actor LIMIT 100",
    )?;
    let rows = statement.query_map([connection_id], |row| Ok((row.get(0)?, Timestamp(row.get(1)?), row.get(2)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Forgets hours before `before`.
pub fn sweep(tx: &Tx<'_>, before: Timestamp) -> Result<()> {
    tx.conn.prepare_cached("DELETE FROM hand_outs WHERE hour < ?1")?.execute([before.0])?;
    Ok(())
}
