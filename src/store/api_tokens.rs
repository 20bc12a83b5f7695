//! Tokens for our own API.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Constraint as _, Read, Tx, profiles::foreign_row, reach};
use crate::domain::{Error, Name, Noun, Result, Timestamp, api_token::ApiToken, reach::Reach, user::Scopes};

const SELECT: &str = "SELECT id, name, user_id, scopes, addresses, created_at, expires_at, last_used_at, hash,
    connections, owner FROM api_tokens";

fn api_token(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    Ok(ApiToken {
        id: row.get(0)?,
        name: Name::new(row.get::<_, String>(1)?).map_err(|_| foreign_row("a token's name"))?,
        user_id: row.get(2)?,
        scopes: Scopes::parse(&row.get::<_, String>(3)?).map_err(|_| foreign_row("a token's scopes"))?,
        addresses: row.get::<_, String>(4)?.split_ascii_whitespace().map(str::to_owned).collect(),
        reach: reach::reach(row.get::<_, Option<String>>(9)?.as_deref(), row.get(10)?)?,
        created_at: Timestamp(row.get(5)?),
        expires_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
        last_used_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
    })
}

/// All tokens by id.
pub fn list(read: &Read<'_>) -> Result<Vec<ApiToken>> {
    let mut statement = read.conn.prepare_cached(&format!("{SELECT} ORDER BY id"))?;
    let rows = statement.query_map([], api_token)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The token with this id and its hash.
pub fn find(read: &Read<'_>, id: i64) -> Result<Option<(ApiToken, Vec<u8>)>> {
    let sql = format!("{SELECT} WHERE id = ?1");
    let found = read.conn.prepare_cached(&sql)?.query_row([id], |row| Ok((api_token(row)?, row.get(8)?)));
    Ok(found.optional()?)
}

/// What is kept of a new token.
pub struct New<'a> {
    /// Whose it is.
    pub user_id: Option<i64>,
    /// What it is for.
    pub name: &'a Name,
    /// What it may do.
    pub scopes: Scopes,
    /// Networks it may be used from.
    pub addresses: &'a [String],
    /// Which connections it may see and use.
    pub reach: &'a Reach,
    /// When it stops.
    pub expires_at: Option<Timestamp>,
}

/// Adds a token and answers its id. Its hash follows with [`set_hash`], since its text holds its id.
pub fn insert(tx: &Tx<'_>, new: &New<'_>) -> Result<i64> {
    tx.conn
        .prepare_cached(
            "INSERT INTO api_tokens (user_id, name, hash, scopes, addresses, created_at, expires_at, connections, owner)
             VALUES (?1, ?2, x'', ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            new.user_id,
            new.name.as_str(),
            new.scopes.to_string(),
            new.addresses.join(" "),
            tx.now.0,
            new.expires_at.map(|t| t.0),
            reach::column(new.reach),
            new.reach.owner
        ])
        .or_referenced(|| Error::not_found(Noun::User, new.user_id.unwrap_or_default()))?;
    Ok(tx.conn.last_insert_rowid())
}

/// Keeps the hash of a token's text.
pub fn set_hash(tx: &Tx<'_>, id: i64, hash: &[u8; 32]) -> Result<()> {
    tx.conn.prepare_cached("UPDATE api_tokens SET hash = ?2 WHERE id = ?1")?.execute(params![id, hash])?;
    Ok(())
}

/// Marks a token as used now.
pub fn use_now(tx: &Tx<'_>, id: i64) -> Result<()> {
    tx.conn.prepare_cached("UPDATE api_tokens SET last_used_at = ?2 WHERE id = ?1")?.execute(params![id, tx.now.0])?;
    Ok(())
}

/// Removes a token: it stops at once.
pub fn delete(tx: &Tx<'_>, id: i64) -> Result<()> {
    match tx.conn.prepare_cached("DELETE FROM api_tokens WHERE id = ?1")?.execute([id])? {
        0 => Err(Error::not_found(Noun::ApiToken, id)),
        _ => Ok(()),
    }
}
