//! Users, their sessions, and the setup links that make the first of them.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Constraint as _, Read, Tx, profiles::foreign_row};
use crate::domain::{
    Error, Name, Noun, Result, Timestamp,
    user::{Role, User},
};

const SELECT: &str = "SELECT id, name, email, role, created_at FROM users";

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get(0)?,
        name: Name::new(row.get::<_, String>(1)?).map_err(|_| foreign_row("a user's name"))?,
        email: row.get(2)?,
        role: Role::parse(&row.get::<_, String>(3)?).ok_or_else(|| foreign_row("a role"))?,
        created_at: Timestamp(row.get(4)?),
    })
}

/// All users by id.
pub fn list(read: &Read<'_>) -> Result<Vec<User>> {
    let mut statement = read.conn.prepare_cached(&format!("{SELECT} ORDER BY id"))?;
    let rows = statement.query_map([], user)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The user with this id.
pub fn find(read: &Read<'_>, id: i64) -> Result<Option<User>> {
    Ok(read.conn.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?.query_row([id], user).optional()?)
}

/// The user of this name, without regard to case, with the hash of the password.
pub fn find_by_name(read: &Read<'_>, folded: &str) -> Result<Option<(User, String)>> {
    let sql = "SELECT id, name, email, role, created_at, password_hash FROM users WHERE name_folded = ?1";
    let found = read.conn.prepare_cached(sql)?.query_row([folded], |row| Ok((user(row)?, row.get(5)?)));
    Ok(found.optional()?)
}

/// How many administrators there are.
pub fn count_admins(read: &Read<'_>) -> Result<u64> {
    Ok(read.conn.query_row("SELECT count(*) FROM users WHERE role = 'admin'", [], |row| row.get(0))?)
}

/// Adds a user and answers the id.
pub fn insert(tx: &Tx<'_>, name: &Name, email: &str, role: Role, password_hash: &str) -> Result<i64> {
    tx.conn
        .prepare_cached(
            "INSERT INTO users (name, name_folded, email, role, password_hash, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        )?
        .execute(params![name.as_str(), name.folded(), email, role.as_str(), password_hash, tx.now.0])
        .or_taken("users.name_folded", || Error::Conflict { what: Noun::User, name: name.to_string() })?;
    Ok(tx.conn.last_insert_rowid())
}

/// Changes the password and ends all sessions of a user.
pub fn set_password(tx: &Tx<'_>, id: i64, password_hash: &str) -> Result<()> {
    tx.conn.prepare_cached("UPDATE users SET password_hash = ?2, updated_at = ?3 WHERE id = ?1")?.execute(params![
        id,
        password_hash,
        tx.now.0
    ])?;
    tx.conn.prepare_cached("DELETE FROM sessions WHERE user_id = ?1")?.execute([id])?;
    Ok(())
}

/// Puts a hash of a better kind in the place of the one it was made from.
pub fn rehash(tx: &Tx<'_>, id: i64, old: &str, new: &str) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2")?
        .execute(params![id, old, new])?;
    Ok(())
}

/// Changes the role of a user.
pub fn set_role(tx: &Tx<'_>, id: i64, role: Role) -> Result<()> {
    tx.conn.prepare_cached("UPDATE users SET role = ?2, updated_at = ?3 WHERE id = ?1")?.execute(params![
        id,
        role.as_str(),
        tx.now.0
    ])?;
    Ok(())
}

/// Removes a user, with sessions and API tokens.
pub fn delete(tx: &Tx<'_>, id: i64) -> Result<()> {
    match tx.conn.prepare_cached("DELETE FROM users WHERE id = ?1")?.execute([id])? {
        0 => Err(Error::not_found(Noun::User, id)),
        _ => Ok(()),
    }
}

/// Begins a session of a user whose password is still the one of this hash; answers whether it is.
pub fn insert_session(tx: &Tx<'_>, hash: &[u8; 32], user_id: i64, password_hash: &str) -> Result<bool> {
    let sql = "INSERT INTO sessions (hash, user_id, created_at, last_seen_at)
               SELECT ?1, id, ?3, ?3 FROM users WHERE id = ?2 AND password_hash = ?4";
    Ok(tx.conn.prepare_cached(sql)?.execute(params![hash, user_id, tx.now.0, password_hash])? > 0)
}

/// A session's user, its beginning and when it was last seen.
pub fn find_session(read: &Read<'_>, hash: &[u8; 32]) -> Result<Option<(i64, Timestamp, Timestamp)>> {
    let sql = "SELECT user_id, created_at, last_seen_at FROM sessions WHERE hash = ?1";
    let found = read
        .conn
        .prepare_cached(sql)?
        .query_row([hash], |row| Ok((row.get(0)?, Timestamp(row.get(1)?), Timestamp(row.get(2)?))));
    Ok(found.optional()?)
}

/// Marks a session as seen now.
pub fn see_session(tx: &Tx<'_>, hash: &[u8; 32]) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE sessions SET last_seen_at = ?2 WHERE hash = ?1")?
        .execute(params![hash, tx.now.0])?;
    Ok(())
}

/// Ends a session.
pub fn delete_session(tx: &Tx<'_>, hash: &[u8; 32]) -> Result<()> {
    tx.conn.prepare_cached("DELETE FROM sessions WHERE hash = ?1")?.execute([hash])?;
    Ok(())
}

/// Keeps a setup link; those that were made before stop working.
pub fn insert_setup_link(tx: &Tx<'_>, hash: &[u8; 32], expires_at: Timestamp) -> Result<()> {
    tx.conn.prepare_cached("DELETE FROM setup_links")?.execute([])?;
    tx.conn
        .prepare_cached("INSERT INTO setup_links (hash, created_at, expires_at) VALUES (?1, ?2, ?3)")?
        .execute(params![hash, tx.now.0, expires_at.0])?;
    Ok(())
}

/// Uses a setup link up. Answers whether it was good.
pub fn take_setup_link(tx: &Tx<'_>, hash: &[u8; 32]) -> Result<bool> {
    let gone = tx
        .conn
        .prepare_cached("DELETE FROM setup_links WHERE hash = ?1 AND expires_at > ?2")?
        .execute(params![hash, tx.now.0])?;
    Ok(gone > 0)
}

/// Whether a setup link is good, without using it up.
pub fn has_setup_link(read: &Read<'_>, hash: &[u8; 32]) -> Result<bool> {
    let sql = "SELECT 1 FROM setup_links WHERE hash = ?1 AND expires_at > ?2";
    Ok(read.conn.prepare_cached(sql)?.exists(params![hash, read.now.0])?)
}

/// Removes what has expired: setup links, and sessions begun or last seen before these times.
pub fn sweep(tx: &Tx<'_>, begun_before: Timestamp, seen_before: Timestamp) -> Result<()> {
    tx.conn.execute("DELETE FROM setup_links WHERE expires_at <= ?1", [tx.now.0])?;
    tx.conn.execute(
        "DELETE FROM sessions WHERE created_at <= ?1 OR last_seen_at <= ?2",
        [begun_before.0, seen_before.0],
    )?;
    Ok(())
}
