//! What happened to connections and profiles, and for whom it is to be carried out.

use rusqlite::{Row, params};
use serde_json::Value;

use super::{Read, Tx, profiles::foreign_row, reach};
use crate::domain::{
    Result, Timestamp,
    event::{ConnectionInEvent, Event, EventKind, ProfileInEvent},
    reach::Reach,
};

/// The columns of an event `e`, with what it is about as that is now.
pub(super) const COLUMNS: &str = "e.id, e.at, e.kind, e.detail, e.connection_id, c.name, c.owner, c.external_id,
    c.provider, e.profile_id, p.name, p.provider";

/// What [`COLUMNS`] are read from, behind an event `e`.
pub(super) const ABOUT: &str =
    "LEFT JOIN connections c ON c.id = e.connection_id LEFT JOIN profiles p ON p.id = e.profile_id";

/// The number of [`COLUMNS`]: what is selected behind them begins here.
pub(super) const BEHIND: usize = 12;

pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let (connection, profile): (Option<i64>, Option<i64>) = (row.get(4)?, row.get(9)?);
    let kind = EventKind::parse(&row.get::<_, String>(2)?).ok_or_else(|| foreign_row("an event's kind"))?;
    let about_connection = |id| {
        let (name, owner, external_id, provider) = (row.get(5)?, row.get(6)?, row.get(7)?, row.get(8)?);
        Ok::<_, rusqlite::Error>(ConnectionInEvent { id, name, owner, external_id, provider })
    };
    let about_profile =
        |id| Ok::<_, rusqlite::Error>(ProfileInEvent { id, name: row.get(10)?, provider: row.get(11)? });
    Ok(Event {
        id: row.get(0)?,
        at: Timestamp(row.get(1)?),
        kind,
        connection: connection.map(about_connection).transpose()?,
        profile: profile.map(about_profile).transpose()?,
        detail: row.get(3)?,
    })
}

/// Writes an event in the transaction of what happened, and queues it for every enabled webhook that wants its kind.
/// `detail` is an object without a secret. Answers the event's id.
pub fn insert(
    tx: &Tx<'_>,
    kind: EventKind,
    connection_id: Option<i64>,
    profile_id: Option<i64>,
    detail: &Value,
) -> Result<i64> {
    tx.conn
        .prepare_cached("INSERT INTO events (at, kind, connection_id, profile_id, detail) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![tx.now.0, kind.as_str(), connection_id, profile_id, detail.to_string()])?;
    let id = tx.conn.last_insert_rowid();
    let queued = tx
        .conn
        .prepare_cached(
            "INSERT INTO deliveries (webhook_id, event_id, status, attempts, next_at)
             SELECT id, ?1, 'waiting', 0, ?2 FROM webhooks
             WHERE enabled = 1 AND (kinds = '' OR instr(' ' || kinds || ' ', ' ' || ?3 || ' ') > 0) ORDER BY id",
        )?
        .execute(params![id, tx.now.0, kind.as_str()])?;
    if queued > 0 {
        tx.queued.set(true);
    }
    Ok(id)
}

/// Up to `limit` events, newest first; `before`: only those with a smaller id. Of connections only those within reach: whose
/// a connection was that is gone, nobody knows.
pub fn list(read: &Read<'_>, before: Option<i64>, limit: u32, reach: &Reach) -> Result<Vec<Event>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events e {ABOUT} WHERE e.id < ?1 AND (e.connection_id IS NULL OR ({}))
         ORDER BY e.id DESC LIMIT ?2",
        reach::within("e.connection_id", "c.owner", 3)
    );
    let mut statement = read.conn.prepare_cached(&sql)?;
    let given = params![before.unwrap_or(i64::MAX), limit, reach::ids(reach), reach.owner];
    let rows = statement.query_map(given, event)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Up to `limit` events of one connection, newest first.
pub fn of_connection(read: &Read<'_>, connection_id: i64, limit: u32) -> Result<Vec<Event>> {
    let sql = format!("SELECT {COLUMNS} FROM events e {ABOUT} WHERE e.connection_id = ?1 ORDER BY e.id DESC LIMIT ?2");
    let mut statement = read.conn.prepare_cached(&sql)?;
    let rows = statement.query_map(params![connection_id, limit], event)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many rows of each kind one sweep takes: the writer has others to serve.
const SWEPT: u32 = 1000;

/// Forgets events from before `events`, with their deliveries, and what was delivered before `delivered`; the rest of
/// many at the next time.
pub fn sweep(tx: &Tx<'_>, events: Timestamp, delivered: Timestamp) -> Result<()> {
    tx.conn
        .prepare_cached("DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < ?1 ORDER BY at LIMIT ?2)")?
        .execute(params![events.0, SWEPT])?;
    tx.conn
        .prepare_cached(
            "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries
                WHERE status = 'delivered' AND settled_at < ?1 ORDER BY settled_at LIMIT ?2)",
        )?
        .execute(params![delivered.0, SWEPT])?;
    Ok(())
}
