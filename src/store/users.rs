//! Users, and the setup links that make the first of them.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Constraint as _, Read, Tx, profiles::foreign_row};
use crate::domain::{
    Error, Name, Noun, Result, Timestamp,
    user::{Role, User},
};

/// The columns of a user `u`.
const COLUMNS: &str = "u.id, u.name, u.email, u.role, u.created_at,
    EXISTS (SELECT 1 FROM second_factors f WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL)";

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get(0)?,
        name: Name::new(row.get::<_, String>(1)?).map_err(|_| foreign_row("a user's name"))?,
        email: row.get(2)?,
        role: Role::parse(&row.get::<_, String>(3)?).ok_or_else(|| foreign_row("a role"))?,
        created_at: Timestamp(row.get(4)?),
        second_factor: row.get(5)?,
    })
}

/// All users by id.
pub fn list(read: &Read<'_>) -> Result<Vec<User>> {
    let mut statement = read.conn.prepare_cached(&format!("SELECT {COLUMNS} FROM users u ORDER BY u.id"))?;
    let rows = statement.query_map([], user)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The user with this id.
pub fn find(read: &Read<'_>, id: i64) -> Result<Option<User>> {
    let sql = format!("SELECT {COLUMNS} FROM users u WHERE u.id = ?1");
    Ok(read.conn.prepare_cached(&sql)?.query_row([id], user).optional()?)
}

/// The user of this name, without regard to case, with the hash of the password.
pub fn find_by_name(read: &Read<'_>, folded: &str) -> Result<Option<(User, String)>> {
    let sql = format!("SELECT {COLUMNS}, u.password_hash FROM users u WHERE u.name_folded = ?1");
    let found = read.conn.prepare_cached(&sql)?.query_row([folded], |row| Ok((user(row)?, row.get(6)?)));
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

/// Changes the password.
pub fn set_password(tx: &Tx<'_>, id: i64, password_hash: &str) -> Result<()> {
    tx.conn.prepare_cached("UPDATE users SET password_hash = ?2, updated_at = ?3 WHERE id = ?1")?.execute(params![
        id,
        password_hash,
        tx.now.0
    ])?;
    Ok(())
}

/// Whether the user's password is still the one of this hash.
pub fn has_password(read: &Read<'_>, id: i64, password_hash: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM users WHERE id = ?1 AND password_hash = ?2";
    Ok(read.conn.prepare_cached(sql)?.exists(params![id, password_hash])?)
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

/// Removes setup links that have expired.
pub fn sweep(tx: &Tx<'_>) -> Result<()> {
    tx.conn.execute("DELETE FROM setup_links WHERE expires_at <= ?1", [tx.now.0])?;
    Ok(())
}
