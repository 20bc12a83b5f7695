//! Links by which somebody connects an account, and the browsers that are on their way to a provider and back.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{
    Read, Tx,
    connections::scopes_of,
    seal::{Column, Purpose, Sealed},
};
use crate::domain::{Result, Secret, Timestamp};

pub(super) const INPUT: Column = Column { purpose: Purpose::Tokens, table: "connect_links", name: "input_sealed" };
pub(super) const VERIFIER: Column =
    Column { purpose: Purpose::Tokens, table: "authorization_requests", name: "verifier" };

/// A link.
#[derive(Debug, Clone)]
pub struct Link {
    /// From 1.
    pub id: i64,
    /// The connection that gets the account.
    pub connection_id: i64,
    /// Whether the connection was made for a link, and goes when it was never connected.
    pub new_connection: bool,
    /// Whether another account than the connection had before may come.
    pub other_account: bool,
    /// Where the browser goes in the end.
    pub return_url: Option<String>,
    /// What to ask for; `None`: what the connection says.
    pub scopes: Option<Vec<String>>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What is kept of a new link.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// The connection that gets the account.
    pub connection_id: i64,
    /// Whether the connection is made for it.
    pub new_connection: bool,
    /// Whether another account than before may come.
    pub other_account: bool,
    /// Where the browser goes in the end.
    pub return_url: Option<&'a str>,
    /// What to ask for.
    pub scopes: Option<&'a [String]>,
    /// Values for the provider's variables in the place of the connection's.
    pub input: Option<&'a Secret>,
    /// When it ends.
    pub expires_at: Timestamp,
}

const SELECT: &str = "SELECT id, connection_id, new_connection, other_account, return_url, scopes, expires_at, hash
    FROM connect_links";

fn link(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link {
        id: row.get(0)?,
        connection_id: row.get(1)?,
        new_connection: row.get(2)?,
        other_account: row.get(3)?,
        return_url: row.get(4)?,
        scopes: row.get::<_, Option<String>>(5)?.as_deref().map(scopes_of),
        expires_at: Timestamp(row.get(6)?),
    })
}

/// Adds a link and answers its id. Its hash follows with [`set_hash`], since its text holds its id. The connection keeps
/// its `most` newest.
pub fn insert(tx: &Tx<'_>, new: &New<'_>, most: u32) -> Result<i64> {
    tx.conn
        .prepare_cached(
            "INSERT INTO connect_links (hash, connection_id, new_connection, other_account, return_url, scopes, created_at,
                expires_at)
             VALUES (x'', ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            new.connection_id,
            new.new_connection,
            new.other_account,
            new.return_url,
            new.scopes.map(|scopes| scopes.join(" ")),
            tx.now.0,
            new.expires_at.0
        ])?;
    let id = tx.conn.last_insert_rowid();
    if let Some(input) = new.input {
        let sealed = tx.sealer.seal(INPUT, &id.to_string(), input)?;
        tx.conn
            .prepare_cached("UPDATE connect_links SET input_key_id = ?2, input_sealed = ?3 WHERE id = ?1")?
            .execute(params![id, sealed.key_id, sealed.bytes])?;
    }
    tx.conn
        .prepare_cached(
            "DELETE FROM connect_links WHERE connection_id = ?1 AND id NOT IN
                (SELECT id FROM connect_links WHERE connection_id = ?1 ORDER BY id DESC LIMIT ?2)",
        )?
        .execute(params![new.connection_id, most])?;
    Ok(id)
}

/// Sets the hash of a link.
pub fn set_hash(tx: &Tx<'_>, id: i64, hash: &[u8; 32]) -> Result<()> {
    tx.conn.prepare_cached("UPDATE connect_links SET hash = ?2 WHERE id = ?1")?.execute(params![id, hash])?;
    Ok(())
}

/// The link with this id that has not ended, with its hash.
pub fn find(read: &Read<'_>, id: i64) -> Result<Option<(Link, Vec<u8>)>> {
    let sql = format!("{SELECT} WHERE id = ?1 AND expires_at > ?2");
    let found = read.conn.prepare_cached(&sql)?.query_row(params![id, read.now.0], |row| Ok((link(row)?, row.get(7)?)));
    Ok(found.optional()?)
}

/// The link with this id, whether or not it has ended: for a browser that began in time.
pub fn find_begun(read: &Read<'_>, id: i64) -> Result<Option<Link>> {
    Ok(read.conn.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?.query_row([id], link).optional()?)
}

/// The values for the provider's variables that came with a link, a JSON object; `None`: the connection's own count.
/// `Internal` when they do not open.
pub fn input(read: &Read<'_>, id: i64) -> Result<Option<Secret>> {
    let sql = "SELECT input_key_id, input_sealed FROM connect_links WHERE id = ?1 AND input_sealed IS NOT NULL";
    let found =
        read.conn.prepare_cached(sql)?.query_row([id], |row| Ok(Sealed { key_id: row.get(0)?, bytes: row.get(1)? }));
    let Some(sealed) = found.optional()? else { return Ok(None) };
    read.sealer.open(INPUT, &id.to_string(), &sealed).map(Some)
}

/// When the last link of a connection ends that somebody could still open; `None`: there is none.
pub fn open_until(read: &Read<'_>, connection_id: i64) -> Result<Option<Timestamp>> {
    let sql = "SELECT max(expires_at) FROM connect_links WHERE connection_id = ?1 AND expires_at > ?2";
    let found = read.conn.prepare_cached(sql)?.query_row(params![connection_id, read.now.0], |row| row.get(0));
    Ok(found.map(|at: Option<i64>| at.map(Timestamp))?)
}

/// Whether the connection was made for a link or a device, and has never been connected.
pub fn is_new(read: &Read<'_>, connection_id: i64) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM connect_links WHERE connection_id = ?1 AND new_connection)
                   OR EXISTS (SELECT 1 FROM device_authorizations WHERE connection_id = ?1 AND new_connection)";
    Ok(read.conn.prepare_cached(sql)?.query_row([connection_id], |row| row.get(0))?)
}

/// Removes a link, with the browsers that are on their way.
pub fn delete(tx: &Tx<'_>, id: i64) -> Result<()> {
    tx.conn.prepare_cached("DELETE FROM connect_links WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Removes all links of a connection, with the browsers that are on their way.
pub fn delete_of_connection(tx: &Tx<'_>, connection_id: i64) -> Result<()> {
    tx.conn.prepare_cached("DELETE FROM connect_links WHERE connection_id = ?1")?.execute([connection_id])?;
    Ok(())
}

/// A browser's way to a provider and back.
#[derive(Debug, Clone)]
pub struct Request {
    /// SHA-256 of the browser's cookie.
    pub browser: Vec<u8>,
    /// The link that it came by.
    pub link_id: i64,
    /// The code verifier (RFC 7636).
    pub verifier: Secret,
}

/// Keeps a browser's way: `state` and `browser` are hashes. A link has the `most` newest. Answers whether the link is still
/// there.
pub fn begin(
    tx: &Tx<'_>,
    link_id: i64,
    state: &[u8; 32],
    browser: &[u8; 32],
    verifier: &Secret,
    expires_at: Timestamp,
    most: u32,
) -> Result<bool> {
    if find(tx, link_id)?.is_none() {
        return Ok(false);
    }
    let sealed = tx.sealer.seal(VERIFIER, &row_of(state), verifier)?;
    tx.conn
        .prepare_cached(
            "INSERT INTO authorization_requests (state, browser, link_id, key_id, verifier, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![state, browser, link_id, sealed.key_id, sealed.bytes, tx.now.0, expires_at.0])?;
    // Two of the same millisecond have no order; the one that has just come stays.
    tx.conn
        .prepare_cached(
            "DELETE FROM authorization_requests WHERE link_id = ?1 AND state NOT IN
                (SELECT state FROM authorization_requests WHERE link_id = ?1
                 ORDER BY state = ?2 DESC, created_at DESC LIMIT ?3)",
        )?
        .execute(params![link_id, state, most])?;
    Ok(true)
}

/// Whether a browser is on its way with this state: a look that spares everybody else a write.
pub fn is_under_way(read: &Read<'_>, state: &[u8; 32]) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM authorization_requests WHERE state = ?1 AND expires_at > ?2)";
    Ok(read.conn.prepare_cached(sql)?.query_row(params![state, read.now.0], |row| row.get(0))?)
}

/// Takes a browser's way off the table: whoever comes with this state again finds nothing. `None`: there is none that has
/// not ended. `Internal` when its verifier does not open.
pub fn take(tx: &Tx<'_>, state: &[u8; 32]) -> Result<Option<Request>> {
    let taken = tx
        .conn
        .prepare_cached(
            "DELETE FROM authorization_requests WHERE state = ?1 AND expires_at > ?2
             RETURNING browser, link_id, key_id, verifier",
        )?
        .query_row(params![state, tx.now.0], |row| {
            Ok((row.get(0)?, row.get(1)?, Sealed { key_id: row.get(2)?, bytes: row.get(3)? }))
        });
    let Some((browser, link_id, sealed)) = taken.optional()? else { return Ok(None) };
    let verifier = tx.sealer.open(VERIFIER, &row_of(state), &sealed)?;
    Ok(Some(Request { browser, link_id, verifier }))
}

/// The row of a state as the seal knows it.
fn row_of(state: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    state.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// How many rows of each kind one sweep takes: the writer has others to serve.
const SWEPT: u32 = 1000;

/// Forgets what has ended: browsers that did not come back, links that nobody can come back by, devices that were done
/// with before `settled`. Answers the connections that were made for those and never connected, which nothing keeps any
/// more; they are still there.
pub fn sweep(tx: &Tx<'_>, settled: Timestamp) -> Result<Vec<i64>> {
    tx.conn
        .prepare_cached(
            "DELETE FROM authorization_requests WHERE state IN
                (SELECT state FROM authorization_requests WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        )?
        .execute(params![tx.now.0, SWEPT])?;
    let mut candidates = Vec::new();
    for sql in [
        "DELETE FROM connect_links WHERE id IN (SELECT id FROM connect_links l WHERE expires_at <= ?1 AND ?3 IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM authorization_requests WHERE link_id = l.id) ORDER BY expires_at LIMIT ?2)
         RETURNING connection_id, new_connection",
        "DELETE FROM device_authorizations WHERE connection_id IN (SELECT connection_id FROM device_authorizations
            WHERE settled_at <= ?3 AND ?1 IS NOT NULL ORDER BY settled_at LIMIT ?2)
         RETURNING connection_id, new_connection",
    ] {
        let mut statement = tx.conn.prepare_cached(sql)?;
        let gone =
            statement.query_map(params![tx.now.0, SWEPT, settled.0], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
        for gone in gone {
            let (connection_id, new) = gone?;
            if new && !candidates.contains(&connection_id) {
                candidates.push(connection_id);
            }
        }
    }
    // What was connected by another way, or has another way open, stays; so does what others were made from.
    let sql = "SELECT EXISTS (SELECT 1 FROM connections c WHERE c.id = ?1 AND c.status IS NULL
                  AND NOT EXISTS (SELECT 1 FROM grants WHERE connection_id = c.id)
                  AND NOT EXISTS (SELECT 1 FROM connect_links WHERE connection_id = c.id)
                  AND NOT EXISTS (SELECT 1 FROM device_authorizations WHERE connection_id = c.id)
                  AND NOT EXISTS (SELECT 1 FROM connections WHERE parent_id = c.id))";
    let mut statement = tx.conn.prepare_cached(sql)?;
    let mut lonely = Vec::new();
    for id in candidates {
        if statement.query_row([id], |row| row.get(0))? {
            lonely.push(id);
        }
    }
    Ok(lonely)
}
