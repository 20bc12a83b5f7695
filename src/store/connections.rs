//! Connections.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{
    Constraint as _, Read, Tx,
    profiles::foreign_row,
    reach,
    seal::{Column, Purpose},
};
use crate::domain::{
    Error, Name, Noun, Result, Secret, Timestamp, Use,
    connection::{Connection, Draft, Filter, Status},
    reach::Reach,
};

pub(super) const INPUT: Column = Column { purpose: Purpose::Tokens, table: "connections", name: "input_sealed" };

const SELECT: &str = "SELECT id, name, provider, profile_id, owner, customer_id, external_id, folder_id, parent_id,
    status, authorized_at, lost_at, lost_reason, created_at, updated_at, account_id, account_label, scopes FROM connections";

fn connection(row: &Row<'_>) -> rusqlite::Result<Connection> {
    Ok(Connection {
        id: row.get(0)?,
        name: Name::new(row.get::<_, String>(1)?).map_err(|_| foreign_row("a connection's name"))?,
        provider: row.get(2)?,
        profile_id: row.get(3)?,
        owner: row.get(4)?,
        customer_id: row.get(5)?,
        external_id: row.get(6)?,
        folder_id: row.get(7)?,
        parent_id: row.get(8)?,
        status: row.get::<_, Option<String>>(9)?.as_deref().and_then(Status::parse),
        authorized_at: row.get::<_, Option<i64>>(10)?.map(Timestamp),
        lost_at: row.get::<_, Option<i64>>(11)?.map(Timestamp),
        lost_reason: row.get(12)?,
        created_at: Timestamp(row.get(13)?),
        updated_at: Timestamp(row.get(14)?),
        account_id: row.get(15)?,
        account_label: row.get(16)?,
        scopes: row.get::<_, Option<String>>(17)?.as_deref().map(scopes_of),
    })
}

/// The scopes of a column: words with spaces between.
pub(super) fn scopes_of(words: &str) -> Vec<String> {
    words.split_ascii_whitespace().map(str::to_owned).collect()
}

/// All connections that pass the filter, by id: for filters that leave few.
pub fn list(read: &Read<'_>, filter: &Filter) -> Result<Vec<Connection>> {
    let mut all = Vec::new();
    each(read, filter, |connection| {
        all.push(connection);
        Ok(())
    })?;
    Ok(all)
}

/// Takes all connections that pass the filter, by id, one by one.
pub fn each(read: &Read<'_>, filter: &Filter, mut take: impl FnMut(Connection) -> Result<()>) -> Result<()> {
    let mut statement = read.conn.prepare_cached(&format!(
        "{SELECT} WHERE (?1 IS NULL OR customer_id = ?1) AND (?2 IS NULL OR external_id = ?2)
         AND (?3 IS NULL OR profile_id = ?3) AND (?4 IS NULL OR parent_id = ?4)
         AND (?5 IS NULL OR folder_id = ?5) AND (?6 OR parent_id IS NULL) AND {}
         ORDER BY id",
        reach::within("id", "owner", 7)
    ))?;
    let rows = statement.query_map(
        params![
            filter.customer_id,
            filter.external_id,
            filter.profile_id,
            filter.parent_id,
            filter.folder_id,
            filter.include_runtime || filter.parent_id.is_some(),
            reach::ids(&filter.reach),
            filter.reach.owner
        ],
        connection,
    )?;
    for row in rows {
        take(row?)?;
    }
    Ok(())
}

/// The connection with this id.
pub fn get(read: &Read<'_>, id: i64) -> Result<Connection> {
    read.conn
        .prepare_cached(&format!("{SELECT} WHERE id = ?1"))?
        .query_row([id], connection)
        .optional()?
        .ok_or_else(|| missing(id))
}

/// The first connection that was made from this one with this external id.
pub fn find_made_from(read: &Read<'_>, parent_id: i64, external_id: &str) -> Result<Option<i64>> {
    let sql = "SELECT id FROM connections WHERE parent_id = ?1 AND external_id = ?2 ORDER BY id LIMIT 1";
    Ok(read.conn.prepare_cached(sql)?.query_row(params![parent_id, external_id], |row| row.get(0)).optional()?)
}

/// Up to `limit` other connections of a profile that are authorized and have values for variables of their own, by id.
pub fn with_input(read: &Read<'_>, profile_id: i64, other_than: i64, limit: usize) -> Result<Vec<i64>> {
    let sql = "SELECT id FROM connections
               WHERE profile_id = ?1 AND id <> ?2 AND status = 'success' AND input_sealed IS NOT NULL LIMIT ?3";
    let mut statement = read.conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![profile_id, other_than, limit], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn missing(id: i64) -> Error {
    Error::not_found(Noun::Connection, id)
}

/// Adds a connection of a profile and answers its id.
pub fn insert(tx: &Tx<'_>, draft: &Draft, provider: &str, profile_id: i64, customer_id: Option<i64>) -> Result<i64> {
    tx.conn
        .prepare_cached(
            "INSERT INTO connections (name, provider, profile_id, owner, customer_id, external_id, folder_id, parent_id,
                created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)",
        )?
        .execute(params![
            draft.name.as_str(),
            provider,
            profile_id,
            draft.owner,
            customer_id,
            draft.external_id,
            draft.folder_id,
            draft.parent_id,
            tx.now.0
        ])
        .or_referenced(|| Error::invalid("parent_id", crate::domain::Why::NoneFits))?;
    let id = tx.conn.last_insert_rowid();
    put_input(tx, id, draft.input.as_ref())?;
    Ok(id)
}

/// Changes name, external id, folder and parent; the input where one is given.
pub fn update(tx: &Tx<'_>, id: i64, draft: &Draft) -> Result<()> {
    tx.conn
        .prepare_cached(
            "UPDATE connections SET name = ?2, external_id = ?3, folder_id = ?4, parent_id = ?5,
                updated_at = max(?6, updated_at + 1)
             WHERE id = ?1",
        )?
        .execute(params![id, draft.name.as_str(), draft.external_id, draft.folder_id, draft.parent_id, tx.now.0])
        .or_referenced(|| Error::invalid("parent_id", crate::domain::Why::NoneFits))?;
    put_input(tx, id, draft.input.as_ref())
}

/// Keeps values for the provider's variables, a JSON object, in the place of those before; without any they stay.
pub fn put_input(tx: &Tx<'_>, id: i64, input: Option<&Secret>) -> Result<()> {
    let Some(input) = input else { return Ok(()) };
    let sealed = tx.sealer.seal(INPUT, &id.to_string(), input)?;
    tx.conn
        .prepare_cached("UPDATE connections SET input_key_id = ?2, input_sealed = ?3 WHERE id = ?1")?
        .execute(params![id, sealed.key_id, sealed.bytes])?;
    Ok(())
}

/// The values entered with a connection, a JSON object. `Internal` when they do not open.
pub fn input(read: &Read<'_>, id: i64) -> Result<Option<Secret>> {
    let sql = "SELECT input_key_id, input_sealed FROM connections WHERE id = ?1 AND input_sealed IS NOT NULL";
    let found = read
        .conn
        .prepare_cached(sql)?
        .query_row([id], |row| Ok(super::seal::Sealed { key_id: row.get(0)?, bytes: row.get(1)? }));
    let Some(sealed) = found.optional()? else { return Ok(None) };
    read.sealer.open(INPUT, &id.to_string(), &sealed).map(Some)
}

/// Sets what a connection asks for; `None`: its provider's default.
pub fn set_scopes(tx: &Tx<'_>, id: i64, scopes: Option<&[String]>) -> Result<()> {
    let sql = "UPDATE connections SET scopes = ?2 WHERE id = ?1";
    tx.conn.prepare_cached(sql)?.execute(params![id, scopes.map(|scopes| scopes.join(" "))])?;
    Ok(())
}

/// Forgets whose account it is: another one may come, and nobody may know which.
pub fn forget_account(tx: &Tx<'_>, id: i64) -> Result<()> {
    let sql = "UPDATE connections SET account_id = NULL, account_label = NULL WHERE id = ?1";
    tx.conn.prepare_cached(sql)?.execute([id])?;
    Ok(())
}

/// Marks a connection as authorised, for this account where it is known.
pub fn authorize(tx: &Tx<'_>, id: i64, account: Option<(&str, Option<&str>)>, scopes: Option<&[String]>) -> Result<()> {
    tx.conn
        .prepare_cached(
            "UPDATE connections SET status = 'success', authorized_at = ?2, lost_at = NULL, lost_reason = NULL,
                updated_at = ?2, account_id = coalesce(?3, account_id),
                account_label = CASE WHEN ?3 IS NULL THEN account_label ELSE ?4 END, scopes = coalesce(?5, scopes)
             WHERE id = ?1",
        )?
        .execute(params![
            id,
            tx.now.0,
            account.map(|(id, _)| id),
            account.and_then(|(_, label)| label),
            scopes.map(|scopes| scopes.join(" "))
        ])?;
    Ok(())
}

/// The connections of a profile that are authorised and within reach, of one owner or of everybody, by id.
pub fn authorized(read: &Read<'_>, profile_id: i64, owner: Option<&str>, reach: &Reach) -> Result<Vec<i64>> {
    let mut statement = read.conn.prepare_cached(&format!(
        "SELECT id FROM connections WHERE profile_id = ?1 AND status = 'success' AND (?2 IS NULL OR owner = ?2) AND {}
         ORDER BY id",
        reach::within("id", "owner", 3)
    ))?;
    let given = params![profile_id, owner, reach::ids(reach), reach.owner];
    let rows = statement.query_map(given, |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether connections out of reach use a profile, or a provider.
pub fn any_beyond(read: &Read<'_>, reach: &Reach, profile_id: Option<i64>, provider: Option<&str>) -> Result<bool> {
    if reach.is_everything() {
        return Ok(false);
    }
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM connections
            WHERE (?1 IS NULL OR profile_id = ?1) AND (?2 IS NULL OR provider = ?2) AND NOT ({}))",
        reach::within("id", "owner", 3)
    );
    let given = params![profile_id, provider, reach::ids(reach), reach.owner];
    Ok(read.conn.prepare_cached(&sql)?.query_row(given, |row| row.get(0))?)
}

/// Removes a connection that no other was made from.
pub fn delete(tx: &Tx<'_>, id: i64) -> Result<()> {
    let gone = tx.conn.prepare_cached("DELETE FROM connections WHERE id = ?1")?.execute([id]);
    if gone.as_ref().is_err_and(super::is_reference) {
        let count = tx
            .conn
            .prepare_cached("SELECT count(*) FROM connections WHERE parent_id = ?1")?
            .query_row([id], |row| row.get(0))?;
        let by = Use { what: Noun::Connection, count, examples: Vec::new() };
        return Err(Error::InUse { what: Noun::Connection, by: vec![by] });
    }
    match gone? {
        0 => Err(missing(id)),
        _ => Ok(()),
    }
}

/// Marks a connection as in need of authorisation.
pub fn lose(tx: &Tx<'_>, id: i64, reason: &str) -> Result<()> {
    tx.conn
        .prepare_cached(
            "UPDATE connections SET status = 'failed', lost_at = ?2, lost_reason = ?3, updated_at = ?2 WHERE id = ?1",
        )?
        .execute(params![id, tx.now.0, reason])?;
    Ok(())
}

/// Connections whose sealed input does not open, by id.
pub fn unopenable(read: &Read<'_>) -> Result<Vec<i64>> {
    let mut statement = read
        .conn
        .prepare("SELECT id, input_key_id, input_sealed FROM connections WHERE input_sealed IS NOT NULL ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let sealed = super::seal::Sealed { key_id: row.get(1)?, bytes: row.get(2)? };
        if read.sealer.open(INPUT, &id.to_string(), &sealed).is_err() {
            found.push(id);
        }
    }
    Ok(found)
}
