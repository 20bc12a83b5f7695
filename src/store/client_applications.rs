//! Client applications, their files, secrets and access tokens.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Constraint as _, Read, Tx, pages::Marked, profiles::foreign_row, reach};
use crate::domain::{
    Error, Name, Noun, Page, Result, Timestamp, Why,
    client_application::{ClientApplication, File, IssuedSecret},
    reach::Reach,
    user::Scopes,
};

const LIST: Marked = Marked { table: "client_applications", key: "seq" };
const SELECT: &str =
    "SELECT a.id, a.name, a.enabled, a.file_name, a.scopes, a.created_at, a.modified_at, a.connections,
    a.owner FROM client_applications a";

fn application(row: &Row<'_>) -> rusqlite::Result<ClientApplication> {
    Ok(ClientApplication {
        id: row.get(0)?,
        name: Name::new(row.get::<_, String>(1)?).map_err(|_| foreign_row("an application's name"))?,
        enabled: row.get(2)?,
        file_name: row.get(3)?,
        scopes: Scopes::parse(&row.get::<_, String>(4)?).map_err(|_| foreign_row("an application's scopes"))?,
        reach: reach::reach(row.get::<_, Option<String>>(7)?.as_deref(), row.get(8)?)?,
        created_at: Timestamp(row.get(5)?),
        modified_at: Timestamp(row.get(6)?),
    })
}

fn missing(id: &str) -> Error {
    Error::not_found(Noun::ClientApplication, id)
}

/// One page in the order of creation.
pub fn list(read: &Read<'_>, page: Page) -> Result<Vec<ClientApplication>> {
    let Some(first) = LIST.first(read, page)? else { return Ok(Vec::new()) };
    let mut statement = read.conn.prepare_cached(&format!("{SELECT} WHERE a.seq >= ?1 ORDER BY a.seq LIMIT ?2"))?;
    let rows = statement.query_map(params![first, page.limit], application)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many there are.
pub fn count(read: &Read<'_>) -> Result<u64> {
    LIST.total(read)
}

/// The application with this id.
pub fn find(read: &Read<'_>, id: &str) -> Result<Option<ClientApplication>> {
    Ok(read.conn.prepare_cached(&format!("{SELECT} WHERE a.id = ?1"))?.query_row([id], application).optional()?)
}

/// The application with this id, or the error.
pub fn get(read: &Read<'_>, id: &str) -> Result<ClientApplication> {
    find(read, id)?.ok_or_else(|| missing(id))
}

/// The file of an application.
pub fn file(read: &Read<'_>, id: &str) -> Result<File> {
    let sql = "SELECT a.file_name, f.data FROM client_applications a
               JOIN client_application_files f ON f.application = a.seq WHERE a.id = ?1";
    read.conn
        .prepare_cached(sql)?
        .query_row([id], |row| Ok(File { name: row.get(0)?, data: row.get(1)? }))
        .optional()?
        .ok_or_else(|| missing(id))
}

/// Adds an application with its file.
pub fn insert(tx: &Tx<'_>, id: &str, name: &Name, enabled: bool, file: &File) -> Result<()> {
    tx.conn
        .prepare_cached(
            "INSERT INTO client_applications (id, name, name_folded, enabled, file_name, scopes, created_at, modified_at)
             VALUES (?1, ?2, ?3, ?4, ?5, '', ?6, ?6)",
        )?
        .execute(params![id, name.as_str(), name.folded(), enabled, file.name, tx.now.0])
        .or_taken("client_applications.name_folded", || Error::Conflict {
            what: Noun::ClientApplication,
            name: name.to_string(),
        })?;
    tx.conn
        .prepare_cached("INSERT INTO client_application_files (application, data) VALUES (?1, ?2)")?
        .execute(params![tx.conn.last_insert_rowid(), file.data])?;
    Ok(())
}

/// Changes flag, file or both. A disabled application's access tokens are gone, not asleep.
pub fn update(tx: &Tx<'_>, id: &str, enabled: Option<bool>, file: Option<&File>) -> Result<()> {
    let changed = tx
        .conn
        .prepare_cached(
            "UPDATE client_applications SET enabled = coalesce(?2, enabled), file_name = coalesce(?3, file_name),
                modified_at = ?4 WHERE id = ?1",
        )?
        .execute(params![id, enabled, file.map(|file| &file.name), tx.now.0])?;
    if changed == 0 {
        return Err(missing(id));
    }
    if let Some(file) = file {
        tx.conn
            .prepare_cached(
                "UPDATE client_application_files SET data = ?2
                 WHERE application = (SELECT seq FROM client_applications WHERE id = ?1)",
            )?
            .execute(params![id, file.data])?;
    }
    if enabled == Some(false) {
        delete_access_tokens(tx, id)?;
    }
    Ok(())
}

/// Sets what an application's access tokens may do. Those that are out stop, as they may have been for more.
pub fn set_scopes(tx: &Tx<'_>, id: &str, scopes: Scopes) -> Result<()> {
    let changed = tx
        .conn
        .prepare_cached("UPDATE client_applications SET scopes = ?2 WHERE id = ?1")?
        .execute(params![id, scopes.to_string()])?;
    if changed == 0 {
        return Err(missing(id));
    }
    delete_access_tokens(tx, id)
}

/// Sets which connections an application's access tokens may see and use, those that are out included: it is looked up at
/// each of their uses.
pub fn set_reach(tx: &Tx<'_>, id: &str, reach: &Reach) -> Result<()> {
    let changed = tx
        .conn
        .prepare_cached("UPDATE client_applications SET connections = ?2, owner = ?3 WHERE id = ?1")?
        .execute(params![id, reach::column(reach), reach.owner])?;
    if changed == 0 { Err(missing(id)) } else { Ok(()) }
}

/// Removes an application with all that belongs to it.
pub fn delete(tx: &Tx<'_>, id: &str) -> Result<()> {
    match tx.conn.prepare_cached("DELETE FROM client_applications WHERE id = ?1")?.execute([id])? {
        0 => Err(missing(id)),
        _ => Ok(()),
    }
}

/// The live secrets of an application by id.
pub fn secrets(read: &Read<'_>, id: &str) -> Result<Vec<IssuedSecret>> {
    let mut statement = read.conn.prepare_cached(
        "SELECT s.id, s.created_at, s.last_used_at FROM client_application_secrets s
         JOIN client_applications a ON a.seq = s.application WHERE a.id = ?1 ORDER BY s.id",
    )?;
    let rows = statement.query_map([id], |row| {
        Ok(IssuedSecret {
            id: row.get(0)?,
            created_at: Timestamp(row.get(1)?),
            last_used_at: row.get::<_, Option<i64>>(2)?.map(Timestamp),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The hash of one secret of an enabled application.
pub fn secret_hash(read: &Read<'_>, id: &str, secret_id: i64) -> Result<Option<String>> {
    let sql = "SELECT s.hash FROM client_application_secrets s JOIN client_applications a ON a.seq = s.application
               WHERE a.id = ?1 AND s.id = ?2 AND a.enabled";
    Ok(read.conn.prepare_cached(sql)?.query_row(params![id, secret_id], |row| row.get(0)).optional()?)
}

/// The id that the next secret will have. It stands in the secret's text, which is hashed before it is written.
pub fn next_secret_id(read: &Read<'_>) -> Result<i64> {
    let sql = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'client_application_secrets'";
    Ok(read.conn.query_row(sql, [], |row| row.get(0))?)
}

/// Keeps the hash of a secret under an id, in a free slot. Answers `false` when another one has taken the id meanwhile.
pub fn insert_secret(tx: &Tx<'_>, id: &str, secret_id: i64, hash: &str) -> Result<bool> {
    if next_secret_id(tx)? > secret_id {
        return Ok(false);
    }
    let Some(seq) = tx
        .conn
        .prepare_cached("SELECT seq FROM client_applications WHERE id = ?1")?
        .query_row([id], |row| row.get::<_, i64>(0))
        .optional()?
    else {
        return Err(missing(id));
    };
    let slot: Option<i64> = tx
        .conn
        .prepare_cached(
            "SELECT value FROM (SELECT 1 AS value UNION SELECT 2) WHERE value NOT IN
             (SELECT slot FROM client_application_secrets WHERE application = ?1) ORDER BY value LIMIT 1",
        )?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    let slot = slot.ok_or_else(|| {
        Error::invalid("client_secret", Why::TooMany(crate::domain::client_application::MOST_SECRETS))
    })?;
    tx.conn
        .prepare_cached(
            "INSERT INTO client_application_secrets (id, application, slot, hash, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![secret_id, seq, slot, hash, tx.now.0])?;
    Ok(true)
}

/// Puts a hash of a better kind in the place of the one it was made from.
pub fn rehash_secret(tx: &Tx<'_>, secret_id: i64, old: &str, new: &str) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE client_application_secrets SET hash = ?3 WHERE id = ?1 AND hash = ?2")?
        .execute(params![secret_id, old, new])?;
    Ok(())
}

/// Revokes a secret, and with it the access tokens that it fetched.
pub fn delete_secret(tx: &Tx<'_>, id: &str, secret_id: i64) -> Result<()> {
    let sql = "DELETE FROM client_application_secrets WHERE id = ?2
               AND application = (SELECT seq FROM client_applications WHERE id = ?1)";
    match tx.conn.prepare_cached(sql)?.execute(params![id, secret_id])? {
        0 => Err(Error::not_found(Noun::ClientApplicationSecret, secret_id)),
        _ => Ok(()),
    }
}

/// An access token as it is kept, with the application it belongs to.
pub struct AccessToken {
    /// From 1.
    pub id: i64,
    /// SHA-256 of its text.
    pub hash: Vec<u8>,
    /// What it may do.
    pub scopes: Scopes,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it stops.
    pub expires_at: Timestamp,
    /// The application's id.
    pub application: String,
    /// The application's name.
    pub name: String,
    /// Which connections the application may see and use, as of now.
    pub reach: Reach,
}

/// Adds an access token fetched with a secret and answers its id; `None` when the secret has gone, or the application
/// was disabled, since it was checked. Its hash follows with [`set_access_token_hash`].
pub fn insert_access_token(tx: &Tx<'_>, secret_id: i64, scopes: Scopes, expires_at: Timestamp) -> Result<Option<i64>> {
    let sql = "INSERT INTO access_tokens (hash, secret_id, scopes, created_at, expires_at)
               SELECT x'', s.id, ?2, ?3, ?4 FROM client_application_secrets s
               JOIN client_applications a ON a.seq = s.application WHERE s.id = ?1 AND a.enabled";
    let added = tx.conn.prepare_cached(sql)?.execute(params![secret_id, scopes.to_string(), tx.now.0, expires_at.0])?;
    if added == 0 {
        return Ok(None);
    }
    let id = tx.conn.last_insert_rowid();
    tx.conn
        .prepare_cached("UPDATE client_application_secrets SET last_used_at = ?2 WHERE id = ?1")?
        .execute(params![secret_id, tx.now.0])?;
    Ok(Some(id))
}

/// Keeps the hash of an access token's text.
pub fn set_access_token_hash(tx: &Tx<'_>, id: i64, hash: &[u8; 32]) -> Result<()> {
    tx.conn.prepare_cached("UPDATE access_tokens SET hash = ?2 WHERE id = ?1")?.execute(params![id, hash])?;
    Ok(())
}

/// The access token with this id, unless it has expired or its application is disabled.
pub fn find_access_token(read: &Read<'_>, id: i64) -> Result<Option<AccessToken>> {
    let sql = "SELECT t.id, t.hash, t.scopes, t.created_at, t.expires_at, a.id, a.name, a.connections, a.owner
               FROM access_tokens t
               JOIN client_application_secrets s ON s.id = t.secret_id
               JOIN client_applications a ON a.seq = s.application
               WHERE t.id = ?1 AND t.expires_at > ?2 AND a.enabled";
    let found = read.conn.prepare_cached(sql)?.query_row(params![id, read.now.0], |row| {
        Ok(AccessToken {
            id: row.get(0)?,
            hash: row.get(1)?,
            scopes: Scopes::parse(&row.get::<_, String>(2)?).map_err(|_| foreign_row("a token's scopes"))?,
            created_at: Timestamp(row.get(3)?),
            expires_at: Timestamp(row.get(4)?),
            application: row.get(5)?,
            name: row.get(6)?,
            reach: reach::reach(row.get::<_, Option<String>>(7)?.as_deref(), row.get(8)?)?,
        })
    });
    Ok(found.optional()?)
}

/// Revokes one access token of an application. Answers whether there was one.
pub fn delete_access_token(tx: &Tx<'_>, id: i64) -> Result<bool> {
    Ok(tx.conn.prepare_cached("DELETE FROM access_tokens WHERE id = ?1")?.execute([id])? > 0)
}

fn delete_access_tokens(tx: &Tx<'_>, application: &str) -> Result<()> {
    let sql = "DELETE FROM access_tokens WHERE secret_id IN (SELECT s.id FROM client_application_secrets s
               JOIN client_applications a ON a.seq = s.application WHERE a.id = ?1)";
    tx.conn.prepare_cached(sql)?.execute([application])?;
    Ok(())
}

/// Removes access tokens that have expired.
pub fn sweep(tx: &Tx<'_>) -> Result<()> {
    tx.conn.execute("DELETE FROM access_tokens WHERE expires_at <= ?1", [tx.now.0])?;
    Ok(())
}
