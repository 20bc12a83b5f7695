//! Webhooks, and what their deliveries are signed with.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{
    Read, Tx,
    profiles::foreign_row,
    seal::{Column, Purpose, Sealed},
};
use crate::domain::{
    Error, Noun, Result, Secret, Timestamp,
    event::EventKind,
    webhook::{Draft, Webhook},
};

pub(super) const SECRET: Column = Column { purpose: Purpose::Tokens, table: "webhooks", name: "secret" };

const SELECT: &str = "SELECT w.id, w.url, w.kinds, w.enabled, w.created_at, w.updated_at,
    (SELECT count(*) FROM deliveries d WHERE d.webhook_id = w.id AND d.next_at IS NOT NULL),
    (SELECT count(*) FROM deliveries d WHERE d.webhook_id = w.id AND d.status = 'dead')
    FROM webhooks w";

fn webhook(row: &Row<'_>) -> rusqlite::Result<Webhook> {
    let kinds: Option<Vec<EventKind>> = row.get::<_, String>(2)?.split_whitespace().map(EventKind::parse).collect();
    Ok(Webhook {
        id: row.get(0)?,
        url: row.get(1)?,
        kinds: kinds.ok_or_else(|| foreign_row("a webhook's list of events"))?,
        enabled: row.get(3)?,
        created_at: Timestamp(row.get(4)?),
        updated_at: Timestamp(row.get(5)?),
        waiting: row.get(6)?,
        dead: row.get(7)?,
    })
}

fn words(kinds: &[EventKind]) -> String {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" ")
}

/// All webhooks by id.
pub fn list(read: &Read<'_>) -> Result<Vec<Webhook>> {
    let mut statement = read.conn.prepare_cached(&format!("{SELECT} ORDER BY w.id"))?;
    let rows = statement.query_map([], webhook)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many there are.
pub fn count(read: &Read<'_>) -> Result<usize> {
    Ok(read.conn.query_row("SELECT count(*) FROM webhooks", [], |row| row.get(0))?)
}

/// The webhook with this id.
pub fn get(read: &Read<'_>, id: i64) -> Result<Webhook> {
    let sql = format!("{SELECT} WHERE w.id = ?1");
    read.conn.prepare_cached(&sql)?.query_row([id], webhook).optional()?.ok_or_else(|| missing(id))
}

fn missing(id: i64) -> Error {
    Error::not_found(Noun::Webhook, id)
}

/// Adds a webhook and answers its id. Its secret follows with [`put_secret`], since its text holds the id.
pub fn insert(tx: &Tx<'_>, draft: &Draft) -> Result<i64> {
    tx.conn
        .prepare_cached(
            "INSERT INTO webhooks (url, kinds, enabled, key_id, secret, created_at, updated_at)
             VALUES (?1, ?2, ?3, '', x'', ?4, ?4)",
        )?
        .execute(params![draft.url, words(&draft.kinds), draft.enabled, tx.now.0])?;
    Ok(tx.conn.last_insert_rowid())
}

/// Changes a webhook.
pub fn update(tx: &Tx<'_>, id: i64, draft: &Draft) -> Result<()> {
    let changed = tx
        .conn
        .prepare_cached("UPDATE webhooks SET url = ?2, kinds = ?3, enabled = ?4, updated_at = ?5 WHERE id = ?1")?
        .execute(params![id, draft.url, words(&draft.kinds), draft.enabled, tx.now.0])?;
    // What waited for it to be switched on may go.
    tx.queued.set(true);
    if changed == 0 { Err(missing(id)) } else { Ok(()) }
}

/// Removes a webhook, with all that is on its way there.
pub fn delete(tx: &Tx<'_>, id: i64) -> Result<()> {
    match tx.conn.prepare_cached("DELETE FROM webhooks WHERE id = ?1")?.execute([id])? {
        0 => Err(missing(id)),
        _ => Ok(()),
    }
}

/// Keeps what the deliveries of a webhook are signed with from now on.
pub fn put_secret(tx: &Tx<'_>, id: i64, secret: &Secret) -> Result<()> {
    let sealed = tx.sealer.seal(SECRET, &id.to_string(), secret)?;
    let changed = tx
        .conn
        .prepare_cached("UPDATE webhooks SET key_id = ?2, secret = ?3, updated_at = ?4 WHERE id = ?1")?
        .execute(params![id, sealed.key_id, sealed.bytes, tx.now.0])?;
    if changed == 0 { Err(missing(id)) } else { Ok(()) }
}

/// Opens the secret of a webhook.
pub fn open_secret(read: &Read<'_>, id: i64) -> Result<Secret> {
    let sealed = read.conn.prepare_cached("SELECT key_id, secret FROM webhooks WHERE id = ?1")?.query_row([id], sealed);
    read.sealer.open(SECRET, &id.to_string(), &sealed.optional()?.ok_or_else(|| missing(id))?)
}

fn sealed(row: &Row<'_>) -> rusqlite::Result<Sealed> {
    Ok(Sealed { key_id: row.get(0)?, bytes: row.get(1)? })
}
