//! The operator's own providers, as JSON texts in the form of the catalogue.

use rusqlite::{OptionalExtension as _, params};

use super::{Constraint as _, Read, Tx};
use crate::domain::{Error, Noun, Result, Timestamp, Use};

/// All definitions by slug.
pub fn list(read: &Read<'_>) -> Result<Vec<String>> {
    let mut statement = read.conn.prepare_cached("SELECT definition FROM providers ORDER BY slug")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// All slugs.
pub fn slugs(read: &Read<'_>) -> Result<Vec<String>> {
    let mut statement = read.conn.prepare_cached("SELECT slug FROM providers")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The definition of this slug.
pub fn find(read: &Read<'_>, slug: &str) -> Result<Option<String>> {
    let sql = "SELECT definition FROM providers WHERE slug = ?1";
    Ok(read.conn.prepare_cached(sql)?.query_row([slug], |row| row.get(0)).optional()?)
}

/// When the definition of this slug was last changed.
pub fn updated_at(read: &Read<'_>, slug: &str) -> Result<Option<Timestamp>> {
    let sql = "SELECT updated_at FROM providers WHERE slug = ?1";
    Ok(read.conn.prepare_cached(sql)?.query_row([slug], |row| row.get(0)).optional()?.map(Timestamp))
}

/// Adds a definition.
pub fn insert(tx: &Tx<'_>, slug: &str, definition: &str) -> Result<()> {
    tx.conn
        .prepare_cached("INSERT INTO providers (slug, definition, created_at, updated_at) VALUES (?1, ?2, ?3, ?3)")?
        .execute(params![slug, definition, tx.now.0])
        .or_taken("providers.slug", || Error::Conflict { what: Noun::Provider, name: slug.to_owned() })?;
    Ok(())
}

/// Replaces a definition.
pub fn update(tx: &Tx<'_>, slug: &str, definition: &str) -> Result<()> {
    let changed = tx
        .conn
        .prepare_cached("UPDATE providers SET definition = ?2, updated_at = max(?3, updated_at + 1) WHERE slug = ?1")?
        .execute(params![slug, definition, tx.now.0])?;
    if changed == 0 { Err(Error::not_found(Noun::Provider, slug)) } else { Ok(()) }
}

/// Removes a definition.
pub fn delete(tx: &Tx<'_>, slug: &str) -> Result<()> {
    match tx.conn.prepare_cached("DELETE FROM providers WHERE slug = ?1")?.execute([slug])? {
        0 => Err(Error::not_found(Noun::Provider, slug)),
        _ => Ok(()),
    }
}

/// The profiles that need a provider.
pub fn uses(read: &Read<'_>, slug: &str) -> Result<Use> {
    let count = read
        .conn
        .prepare_cached("SELECT count(*) FROM profiles WHERE provider = ?1")?
        .query_row([slug], |row| row.get(0))?;
    let mut statement =
        read.conn.prepare_cached("SELECT name, '' FROM profiles WHERE provider = ?1 ORDER BY id LIMIT 20")?;
    let rows = statement.query_map([slug], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Use { what: Noun::Profile, count, examples: rows.collect::<rusqlite::Result<_>>()? })
}
