//! The audit trail.

use rusqlite::params;

use super::{Read, Tx, changes};
use crate::domain::{Result, audit::Deed};

/// One entry, as it is written.
pub struct Entry<'a> {
    /// Who: `user 1`, `api_token 3`, `client_application 7579…`, `machine`.
    pub actor: &'a str,
    /// What was done.
    pub deed: Deed,
    /// To what kind of thing: `profile`.
    pub noun: &'a str,
    /// To which one.
    pub noun_id: &'a str,
    /// Facts worth keeping, a JSON object as text. Never a secret.
    pub detail: &'a str,
    /// The request.
    pub request_id: &'a str,
    /// Where it came from.
    pub address: &'a str,
}

/// Writes an entry in the transaction of the deed.
pub fn insert(tx: &Tx<'_>, entry: &Entry<'_>) -> Result<()> {
    tx.conn
        .prepare_cached(
            "INSERT INTO audit (at, actor, deed, noun, noun_id, detail, request_id, address)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            tx.now.0,
            entry.actor,
            entry.deed.as_str(),
            entry.noun,
            entry.noun_id,
            entry.detail,
            entry.request_id,
            entry.address
        ])?;
    tx.touched.add(changes::of_noun(entry.noun));
    Ok(())
}

/// How many entries there are.
pub fn count(read: &Read<'_>) -> Result<u64> {
    Ok(read.conn.query_row("SELECT count(*) FROM audit", [], |row| row.get(0))?)
}
