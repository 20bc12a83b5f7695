//! What wants somebody's attention, and how much there is of everything: numbers from indexes, and a few examples.

use rusqlite::{Row, params_from_iter, types::Value};

use super::{Read, client_applications, customers, profiles, reach};
use crate::domain::{
    Result, Timestamp,
    overview::{ConnectionCounts, DeadDeliveries, Example, RejectedProfile, Trouble},
    reach::Reach,
    search::Named,
};

/// More rejected profiles are not listed.
const MOST_REJECTED: u32 = 100;
/// So many examples stand for all.
const EXAMPLES: u32 = 5;

/// The profiles that are turned down, those first that were so first.
pub fn rejected(read: &Read<'_>) -> Result<Vec<RejectedProfile>> {
    let mut statement = read.conn.prepare_cached(
        "SELECT p.id, p.name, p.provider, coalesce((SELECT count FROM use_counts WHERE what = 'connections of profile' AND id = p.id), 0),
            p.rejected_at, p.rejected_why
         FROM profiles p WHERE p.rejected_at IS NOT NULL ORDER BY p.rejected_at, p.id LIMIT ?1",
    )?;
    let rows = statement.query_map([MOST_REJECTED], |row| {
        Ok(RejectedProfile {
            profile: Named { id: row.get(0)?, name: row.get(1)?, provider: row.get(2)? },
            connections: row.get(3)?,
            since: Timestamp(row.get(4)?),
            why: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn example(row: &Row<'_>) -> rusqlite::Result<Example> {
    Ok(Example {
        connection: Named { id: row.get(0)?, name: row.get(1)?, provider: row.get(2)? },
        owner: row.get(3)?,
        since: row.get::<_, Option<i64>>(4)?.map(Timestamp),
        reason: row.get(5)?,
    })
}

/// A condition of the connections `c` within reach, and the values for it. Where everything is, nothing is asked: the
/// numbers come from indexes then.
fn within(reach: &Reach) -> (String, Vec<Value>) {
    if reach.is_everything() {
        return ("1".to_owned(), Vec::new());
    }
    (reach::within("c.id", "c.owner", 1), vec![reach::ids(reach).into(), reach.owner.clone().into()])
}

fn trouble(read: &Read<'_>, from: &str, shown: &str, latest_first: &str, reach: &Reach) -> Result<Trouble> {
    let (within, values) = within(reach);
    let count = read
        .conn
        .prepare_cached(&format!("SELECT count(*) FROM {from} AND {within}"))?
        .query_row(params_from_iter(&values), |row| row.get(0))?;
    let mut statement = read.conn.prepare_cached(&format!(
        "SELECT c.id, c.name, c.provider, c.owner, {shown} FROM {from} AND {within}
         ORDER BY {latest_first} LIMIT {EXAMPLES}"
    ))?;
    let rows = statement.query_map(params_from_iter(&values), example)?;
    Ok(Trouble { count, examples: rows.collect::<rusqlite::Result<_>>()? })
}

/// Connections that have to be authorised again, the last first.
pub fn lost(read: &Read<'_>, reach: &Reach) -> Result<Trouble> {
    let from = "connections c WHERE c.status = 'failed'";
    trouble(read, from, "c.lost_at, c.lost_reason", "c.lost_at DESC, c.id DESC", reach)
}

/// Connections of which nobody knows whether our refresh token is the last one, the last first.
pub fn uncertain(read: &Read<'_>, reach: &Reach) -> Result<Trouble> {
    let from = "grants g JOIN connections c ON c.id = g.connection_id
        WHERE g.uncertain_at IS NOT NULL AND c.status = 'success'";
    trouble(read, from, "g.uncertain_at, g.last_result", "g.uncertain_at DESC", reach)
}

/// Webhooks with deliveries that were given up.
pub fn dead_deliveries(read: &Read<'_>) -> Result<Vec<DeadDeliveries>> {
    let mut statement = read.conn.prepare_cached(
        "SELECT w.id, w.url, d.count FROM webhooks w JOIN
            (SELECT webhook_id, count(*) AS count FROM deliveries
             WHERE status = 'dead' AND settled_at IS NOT NULL GROUP BY webhook_id) d ON d.webhook_id = w.id
         ORDER BY w.id",
    )?;
    let rows = statement
        .query_map([], |row| Ok(DeadDeliveries { webhook_id: row.get(0)?, url: row.get(1)?, count: row.get(2)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many connections there are within reach.
pub fn connections(read: &Read<'_>, reach: &Reach) -> Result<ConnectionCounts> {
    let (within, values) = within(reach);
    let sql = format!("SELECT c.status, count(*) FROM connections c WHERE {within} GROUP BY c.status");
    let mut statement = read.conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(&values))?;
    let mut counts = ConnectionCounts::default();
    while let Some(row) = rows.next()? {
        let count = row.get(1)?;
        match row.get_ref(0)?.as_str_or_null().ok().flatten() {
            Some("success") => counts.ok = count,
            Some(_) => counts.lost = count,
            None => counts.never = count,
        }
    }
    Ok(counts)
}

/// How many profiles, customers and client applications there are.
pub fn marked(read: &Read<'_>) -> Result<(u64, u64, u64)> {
    Ok((profiles::count(read)?, customers::count(read)?, client_applications::count(read)?))
}

/// How many API tokens, webhooks and users there are.
pub fn administrative(read: &Read<'_>) -> Result<(u64, u64, u64)> {
    let sql = "SELECT (SELECT count(*) FROM api_tokens), (SELECT count(*) FROM webhooks), (SELECT count(*) FROM users)";
    Ok(read.conn.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?)
}
