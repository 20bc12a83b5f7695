//! Events on their way to webhooks.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{
    Read, Tx,
    events::{self, ABOUT, BEHIND, COLUMNS},
    profiles::foreign_row,
};
use crate::domain::{
    Error, Noun, Result, Timestamp, Why,
    event::{Event, EventKind},
    webhook::{Delivery, DeliveryStatus},
};

/// The delivery of a webhook that is to be tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct First {
    /// The webhook.
    pub webhook_id: i64,
    /// The delivery.
    pub id: i64,
    /// When.
    pub next_at: Timestamp,
}

/// The first waiting delivery of each enabled webhook, by time: one step in an index for each webhook, however many wait.
pub fn first_of_each(read: &Read<'_>) -> Result<Vec<First>> {
    let mut statement = read.conn.prepare_cached(
        "SELECT w.id, d.id, d.next_at FROM webhooks w JOIN deliveries d ON d.id =
            (SELECT f.id FROM deliveries f WHERE f.webhook_id = w.id AND f.next_at IS NOT NULL
             ORDER BY f.next_at, f.id LIMIT 1)
         WHERE w.enabled = 1 ORDER BY d.next_at, d.id",
    )?;
    let rows = statement
        .query_map([], |row| Ok(First { webhook_id: row.get(0)?, id: row.get(1)?, next_at: Timestamp(row.get(2)?) }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What is to be delivered, and where.
#[derive(Debug)]
pub struct Load {
    /// The webhook.
    pub webhook_id: i64,
    /// Its address.
    pub url: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The event, with what it is about as that is now.
    pub event: Event,
}

/// What the delivery with this id takes along; `None`: it does not wait any more.
pub fn find_waiting(read: &Read<'_>, id: i64) -> Result<Option<Load>> {
    let sql = format!(
        "SELECT {COLUMNS}, w.id, w.url, d.attempts FROM deliveries d JOIN webhooks w ON w.id = d.webhook_id
         JOIN events e ON e.id = d.event_id {ABOUT} WHERE d.id = ?1 AND d.status = 'waiting'"
    );
    let found = read.conn.prepare_cached(&sql)?.query_row([id], |row| {
        Ok(Load {
            webhook_id: row.get(BEHIND)?,
            url: row.get(BEHIND + 1)?,
            attempts: row.get(BEHIND + 2)?,
            event: events::event(row)?,
        })
    });
    Ok(found.optional()?)
}

/// Notes what came of an attempt, unless somebody else has changed the delivery since it was read with `attempts`.
/// `next_at`: when to try again; without it the delivery is settled with `status`.
pub fn tried(
    tx: &Tx<'_>,
    id: i64,
    attempts: u32,
    status: DeliveryStatus,
    next_at: Option<Timestamp>,
    result: &str,
) -> Result<()> {
    tx.conn
        .prepare_cached(
            "UPDATE deliveries SET attempts = attempts + 1, status = ?3, next_at = ?4, result = ?5,
                settled_at = CASE WHEN ?4 IS NULL THEN ?6 END
             WHERE id = ?1 AND attempts = ?2 AND status = 'waiting'",
        )?
        .execute(params![id, attempts, status.as_str(), next_at.map(|at| at.0), result, tx.now.0])?;
    Ok(())
}

const SELECT: &str = "SELECT d.id, d.event_id, e.kind, d.status, d.attempts, d.next_at, d.result, d.settled_at
    FROM deliveries d JOIN events e ON e.id = d.event_id";

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let (kind, status): (String, String) = (row.get(2)?, row.get(3)?);
    Ok(Delivery {
        id: row.get(0)?,
        event_id: row.get(1)?,
        kind: EventKind::parse(&kind).ok_or_else(|| foreign_row("an event's kind"))?,
        status: DeliveryStatus::parse(&status).ok_or_else(|| foreign_row("a delivery's status"))?,
        attempts: row.get(4)?,
        next_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        result: row.get(6)?,
        settled_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
    })
}

/// Up to `limit` deliveries to a webhook, newest first; `before`: only those with a smaller id.
pub fn list(
    read: &Read<'_>,
    webhook_id: i64,
    status: Option<DeliveryStatus>,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Delivery>> {
    let mut statement = read.conn.prepare_cached(&format!(
        "{SELECT} WHERE d.webhook_id = ?1 AND d.id < ?2 AND (?3 IS NULL OR d.status = ?3) ORDER BY d.id DESC LIMIT ?4"
    ))?;
    let status = status.map(DeliveryStatus::as_str);
    let rows = statement.query_map(params![webhook_id, before.unwrap_or(i64::MAX), status, limit], delivery)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Lets a delivery be tried now; one that was given up begins anew. What has arrived stays so.
pub fn retry(tx: &Tx<'_>, webhook_id: i64, id: i64) -> Result<Delivery> {
    let get = || {
        let sql = format!("{SELECT} WHERE d.webhook_id = ?1 AND d.id = ?2");
        tx.conn
            .prepare_cached(&sql)?
            .query_row([webhook_id, id], delivery)
            .optional()?
            .ok_or_else(|| Error::not_found(Noun::Delivery, id))
    };
    if get()?.status == DeliveryStatus::Delivered {
        let open = [DeliveryStatus::Waiting, DeliveryStatus::Dead].map(|status| status.as_str().to_owned());
        return Err(Error::invalid("status", Why::NotOneOf(open.to_vec())));
    }
    tx.conn
        .prepare_cached(
            "UPDATE deliveries SET attempts = CASE status WHEN 'dead' THEN 0 ELSE attempts END, status = 'waiting',
                next_at = ?2, settled_at = NULL WHERE id = ?1",
        )?
        .execute(params![id, tx.now.0])?;
    tx.queued.set(true);
    get()
}

/// How many deliveries wait, and how many were given up.
pub fn count(read: &Read<'_>) -> Result<(u64, u64)> {
    let sql = "SELECT (SELECT count(*) FROM deliveries WHERE next_at IS NOT NULL),
        (SELECT count(*) FROM deliveries WHERE status = 'dead' AND settled_at IS NOT NULL)";
    Ok(read.conn.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
}
