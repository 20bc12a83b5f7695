//! Devices that wait for somebody to enter a code (RFC 8628): one for each connection at most.

use rusqlite::{OptionalExtension as _, params};

use super::{
    Read, Tx,
    connections::scopes_of,
    seal::{Column, Purpose, Sealed},
};
use crate::domain::{Result, Secret, Timestamp, grant::Blame};

pub(super) const CODE: Column =
    Column { purpose: Purpose::Tokens, table: "device_authorizations", name: "device_code" };
pub(super) const INPUT: Column =
    Column { purpose: Purpose::Tokens, table: "device_authorizations", name: "input_sealed" };

/// One that waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The connection that gets the account.
    pub connection_id: i64,
    /// When it began; tells a later one of the same connection apart.
    pub begun_at: Timestamp,
    /// Whether another account than the connection had before may come.
    pub other_account: bool,
    /// What was asked for; `None`: what the connection says.
    pub scopes: Option<Vec<String>>,
    /// Values for the provider's variables in the place of the connection's.
    pub input: Option<Secret>,
    /// What the token endpoint is asked with.
    pub device_code: Secret,
    /// Between two questions, in seconds.
    pub interval_s: u32,
    /// When the code ends.
    pub expires_at: Timestamp,
}

/// How one stands, without its secrets.
#[derive(Debug, Clone)]
pub struct Standing {
    /// When it began.
    pub begun_at: Timestamp,
    /// When its code ends.
    pub expires_at: Timestamp,
    /// Between two questions, in seconds.
    pub interval_s: u32,
    /// What a person enters.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
    /// How it ended; `None`: it waits. One that ended well is none any more.
    pub ended: Option<Ended>,
}

/// How one ended that did not end well.
#[derive(Debug, Clone)]
pub struct Ended {
    /// In a word: `access_denied`, `expired_token` …
    pub result: String,
    /// Who is to blame; `None`: nobody.
    pub blame: Option<Blame>,
    /// When.
    pub at: Timestamp,
}

/// What is kept of a new one.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// The connection that gets the account.
    pub connection_id: i64,
    /// Whether the connection is made for it.
    pub new_connection: bool,
    /// Whether another account than before may come.
    pub other_account: bool,
    /// What was asked for.
    pub scopes: Option<&'a [String]>,
    /// Values for the provider's variables in the place of the connection's.
    pub input: Option<&'a Secret>,
    /// What the token endpoint is asked with.
    pub device_code: &'a Secret,
    /// What a person enters.
    pub user_code: &'a str,
    /// Where.
    pub verification_uri: &'a str,
    /// The same with the code in it.
    pub verification_uri_complete: Option<&'a str>,
    /// Between two questions, in seconds.
    pub interval_s: u32,
    /// When the code ends.
    pub expires_at: Timestamp,
}

/// Keeps a device that waits, in the place of any before.
pub fn put(tx: &Tx<'_>, new: &New<'_>) -> Result<()> {
    let row = new.connection_id.to_string();
    let code = tx.sealer.seal(CODE, &row, new.device_code)?;
    let input = new.input.map(|input| tx.sealer.seal(INPUT, &row, input)).transpose()?;
    let (input_key_id, input) = input.map(|sealed| (sealed.key_id, sealed.bytes)).unzip();
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO device_authorizations (connection_id, new_connection, other_account, begun_at, scopes,
                input_key_id, input_sealed, key_id, device_code, interval_s, next_at, expires_at, user_code,
                verification_uri, verification_uri_complete)
             VALUES (?1, ?2, ?3,
                coalesce((SELECT max(?4, begun_at + 1) FROM device_authorizations WHERE connection_id = ?1), ?4),
                ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            new.connection_id,
            new.new_connection,
            new.other_account,
            tx.now.0,
            new.scopes.map(|scopes| scopes.join(" ")),
            input_key_id,
            input,
            code.key_id,
            code.bytes,
            new.interval_s,
            tx.now.plus_ms(i64::from(new.interval_s) * 1000).0,
            new.expires_at.0,
            new.user_code,
            new.verification_uri,
            new.verification_uri_complete,
        ])?;
    Ok(())
}

/// Up to `limit` connections whose provider is to be asked now, the most overdue first, each with its profile; none of
/// these profiles.
pub fn due(read: &Read<'_>, busy_profiles: &[i64], limit: usize) -> Result<Vec<(i64, i64)>> {
    let mut statement = read.conn.prepare_cached(
        "SELECT d.connection_id, c.profile_id FROM device_authorizations d JOIN connections c ON c.id = d.connection_id
         WHERE d.next_at <= ?1 AND c.profile_id NOT IN (SELECT value FROM json_each(?2)) ORDER BY d.next_at LIMIT ?3",
    )?;
    let busy = serde_json::json!(busy_profiles).to_string();
    let rows = statement.query_map(params![read.now.0, busy, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// When the next one that is not due yet will be.
pub fn next_due(read: &Read<'_>) -> Result<Option<Timestamp>> {
    let sql = "SELECT min(next_at) FROM device_authorizations WHERE next_at > ?1";
    let next = read.conn.prepare_cached(sql)?.query_row([read.now.0], |row| row.get::<_, Option<i64>>(0))?;
    Ok(next.map(Timestamp))
}

/// The one of a connection, where it waits. `Internal` when its secrets do not open.
pub fn find(read: &Read<'_>, connection_id: i64) -> Result<Option<Waiting>> {
    type Row = (Waiting, Option<Sealed>, Sealed);
    let sql = "SELECT begun_at, other_account, scopes, interval_s, expires_at, input_key_id, input_sealed, key_id,
                  device_code
               FROM device_authorizations WHERE connection_id = ?1 AND next_at IS NOT NULL";
    let found = read.conn.prepare_cached(sql)?.query_row([connection_id], |row| {
        let waiting = Waiting {
            connection_id,
            begun_at: Timestamp(row.get(0)?),
            other_account: row.get(1)?,
            scopes: row.get::<_, Option<String>>(2)?.as_deref().map(scopes_of),
            input: None,
            device_code: Secret::new(""),
            interval_s: row.get(3)?,
            expires_at: Timestamp(row.get(4)?),
        };
        let input: Option<String> = row.get(5)?;
        let input = match input {
            Some(key_id) => Some(Sealed { key_id, bytes: row.get(6)? }),
            None => None,
        };
        Ok::<Row, _>((waiting, input, Sealed { key_id: row.get(7)?, bytes: row.get(8)? }))
    });
    let Some((waiting, input, code)) = found.optional()? else { return Ok(None) };
    let row = connection_id.to_string();
    let input = input.map(|sealed| read.sealer.open(INPUT, &row, &sealed)).transpose()?;
    Ok(Some(Waiting { input, device_code: read.sealer.open(CODE, &row, &code)?, ..waiting }))
}

/// How the one of a connection stands.
pub fn standing(read: &Read<'_>, connection_id: i64) -> Result<Option<Standing>> {
    let sql = "SELECT begun_at, expires_at, interval_s, user_code, verification_uri, verification_uri_complete, result,
                  blame, settled_at
               FROM device_authorizations WHERE connection_id = ?1";
    let found = read.conn.prepare_cached(sql)?.query_row([connection_id], |row| {
        let ended = match row.get::<_, Option<String>>(6)? {
            Some(result) => Some(Ended {
                result,
                blame: row.get::<_, Option<String>>(7)?.as_deref().and_then(Blame::parse),
                at: Timestamp(row.get(8)?),
            }),
            None => None,
        };
        Ok(Standing {
            begun_at: Timestamp(row.get(0)?),
            expires_at: Timestamp(row.get(1)?),
            interval_s: row.get(2)?,
            user_code: row.get(3)?,
            verification_uri: row.get(4)?,
            verification_uri_complete: row.get(5)?,
            ended,
        })
    });
    Ok(found.optional()?)
}

/// Whether the one of a connection that began then still waits.
pub fn waits(read: &Read<'_>, connection_id: i64, begun_at: Timestamp) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM device_authorizations
                  WHERE connection_id = ?1 AND begun_at = ?2 AND next_at IS NOT NULL)";
    Ok(read.conn.prepare_cached(sql)?.query_row(params![connection_id, begun_at.0], |row| row.get(0))?)
}

/// Sets when to ask next, and from now on how often.
pub fn ask_again(
    tx: &Tx<'_>,
    connection_id: i64,
    begun_at: Timestamp,
    interval_s: u32,
    next_at: Timestamp,
) -> Result<()> {
    let sql = "UPDATE device_authorizations SET interval_s = ?3, next_at = ?4
               WHERE connection_id = ?1 AND begun_at = ?2 AND next_at IS NOT NULL";
    tx.conn.prepare_cached(sql)?.execute(params![connection_id, begun_at.0, interval_s, next_at.0])?;
    Ok(())
}

/// Ends one badly, or whichever of the connection waits. Answers whether one did.
pub fn settle(
    tx: &Tx<'_>,
    connection_id: i64,
    begun_at: Option<Timestamp>,
    result: &str,
    blame: Option<Blame>,
) -> Result<bool> {
    let sql = "UPDATE device_authorizations SET next_at = NULL, key_id = NULL, device_code = NULL, input_key_id = NULL,
                  input_sealed = NULL, result = ?3, blame = ?4, settled_at = ?5
               WHERE connection_id = ?1 AND (?2 IS NULL OR begun_at = ?2) AND next_at IS NOT NULL";
    let begun_at = begun_at.map(|at| at.0);
    let blame = blame.map(Blame::as_str);
    Ok(tx.conn.prepare_cached(sql)?.execute(params![connection_id, begun_at, result, blame, tx.now.0])? == 1)
}

/// Ends the one of a connection well, or whichever way: it is gone.
pub fn delete(tx: &Tx<'_>, connection_id: i64) -> Result<()> {
    tx.conn.prepare_cached("DELETE FROM device_authorizations WHERE connection_id = ?1")?.execute([connection_id])?;
    Ok(())
}
