//! The audit trail.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Read, Tx, changes};
use crate::domain::{
    Result, Timestamp,
    audit::{Deed, Entry as Found, Filter},
};

/// One entry, as it is written.
pub struct Entry<'a> {
    /// Who: `user 1`, `api_token 3`, `client_application 7579…`, `machine`.
    pub actor: &'a str,
    /// What was done.
    pub deed: Deed,
    /// To what kind of thing: `profile`.
    pub noun: &'a str,
    /// To which one.
    pub noun_id: &'a str,
    /// Facts worth keeping, a JSON object as text. Never a secret.
    pub detail: &'a str,
    /// The request.
    pub request_id: &'a str,
    /// Where it came from.
    pub address: &'a str,
}

/// Writes an entry in the transaction of the deed.
pub fn insert(tx: &Tx<'_>, entry: &Entry<'_>) -> Result<()> {
    tx.conn
        .prepare_cached(
            "INSERT INTO audit (at, actor, deed, noun, noun_id, detail, request_id, address)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            tx.now.0,
            entry.actor,
            entry.deed.as_str(),
            entry.noun,
            entry.noun_id,
            entry.detail,
            entry.request_id,
            entry.address
        ])?;
    tx.touched.add(changes::of_noun(entry.noun));
    Ok(())
}

/// The columns of an entry, newest first: the time, and where two have the same, the id.
const SELECT: &str = "SELECT id, at, actor, deed, noun, noun_id, detail, request_id, address FROM audit";
const ORDER: &str = "ORDER BY at DESC, id DESC";

fn entry(row: &Row<'_>) -> rusqlite::Result<Found> {
    Ok(Found {
        id: row.get(0)?,
        at: Timestamp(row.get(1)?),
        actor: row.get(2)?,
        actor_name: None,
        deed: row.get(3)?,
        noun: row.get(4)?,
        noun_id: row.get(5)?,
        detail: row.get(6)?,
        request_id: row.get(7)?,
        address: row.get(8)?,
    })
}

/// A part of the trail.
pub struct Part {
    /// The entries that were found, newest first.
    pub entries: Vec<Found>,
    /// Where it goes on: the id of the last entry that was looked at; `None`: there are no more.
    pub next: Option<i64>,
}

/// Up to `limit` entries that meet the filter, newest first; `before`: only those behind the entry with this id. No more than
/// `examined` entries are looked at, so a filter that hardly any meets may find nothing and still go on.
pub fn list(read: &Read<'_>, filter: &Filter, before: Option<i64>, limit: usize, examined: usize) -> Result<Part> {
    // One index leads, by what sets the most apart; the rest of the filter is looked at entry for entry.
    let (lead, noun_id) = match filter {
        Filter { noun: Some(noun), noun_id: Some(id), .. } => {
            (Some(("noun = ?1 AND noun_id = ?2", noun.as_str())), id.as_str())
        }
        Filter { actor: Some(actor), .. } => (Some(("actor = ?1 AND ?2 = ''", actor.as_str())), ""),
        Filter { deed: Some(deed), .. } => (Some(("deed = ?1 AND ?2 = ''", deed.as_str())), ""),
        _ => (None, ""),
    };
    let (lead, led) = lead.unwrap_or(("?1 = '' AND ?2 = ''", ""));
    let until = filter.until.map_or(i64::MAX, |at| at.0);
    let (at, id) = match before {
        None => (i64::MAX, i64::MAX),
        Some(before) => match behind(read, before)? {
            Some(place) => place,
            None => return Ok(Part { entries: Vec::new(), next: None }),
        },
    };
    let sql = format!("{SELECT} WHERE {lead} AND at >= ?3 AND at < ?4 AND (at, id) < (?5, ?6) {ORDER}");
    let mut statement = read.conn.prepare_cached(&sql)?;
    let since = filter.since.map_or(i64::MIN, |at| at.0);
    let rows = statement.query_map(params![led, noun_id, since, until, at, id], entry)?;
    let text = filter.text.as_ref().map(|text| text.to_lowercase());
    let mut entries = Vec::new();
    let mut last = None;
    for (looked_at, row) in rows.enumerate() {
        if entries.len() == limit || looked_at == examined {
            return Ok(Part { entries, next: last });
        }
        let row = row?;
        last = Some(row.id);
        if meets(&row, filter, text.as_deref()) {
            entries.push(row);
        }
    }
    Ok(Part { entries, next: None })
}

/// Whether an entry meets the parts of a filter that have no time.
fn meets(entry: &Found, filter: &Filter, text: Option<&str>) -> bool {
    let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
    let has = |text: &str| {
        [&entry.actor, &entry.noun_id, &entry.detail, &entry.request_id, &entry.address]
            .into_iter()
            .any(|found| found.to_lowercase().contains(text))
    };
    is(&filter.actor, &entry.actor)
        && is(&filter.noun, &entry.noun)
        && is(&filter.noun_id, &entry.noun_id)
        && filter.deed.is_none_or(|deed| deed.as_str() == entry.deed)
        && text.is_none_or(has)
}

/// The place in the order behind the entry with this id; where that has gone, behind the nearest one before it. `None`:
/// nothing can be there.
fn behind(read: &Read<'_>, id: i64) -> Result<Option<(i64, i64)>> {
    let place = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let sql = "SELECT at, id FROM audit WHERE id <= ?1 ORDER BY id DESC LIMIT 1";
    let found = read.conn.prepare_cached(sql)?.query_row([id], place).optional()?;
    // One that is there is not to come again, one that is nearest has not come yet.
    Ok(found.map(|(at, found)| if found == id { (at, id) } else { (at, found.saturating_add(1)) }))
}

/// Whether there is such an entry of this caller, from this address, since then.
pub fn is_noted(tx: &Tx<'_>, entry: &Entry<'_>, since: Timestamp) -> Result<bool> {
    let sql = "SELECT 1 FROM audit WHERE noun = ?1 AND noun_id = ?2 AND at >= ?3 AND deed = ?4 AND actor = ?5 AND address = ?6";
    let values = params![entry.noun, entry.noun_id, since.0, entry.deed.as_str(), entry.actor, entry.address];
    Ok(tx.conn.prepare_cached(sql)?.exists(values)?)
}

/// What an actor is called now.
pub fn actor_name(read: &Read<'_>, actor: &str) -> Result<Option<String>> {
    let Some((kind, id)) = actor.split_once(' ') else { return Ok(None) };
    let sql = match kind {
        "user" => "SELECT name FROM users WHERE id = CAST(?1 AS INTEGER)",
        "api_token" => "SELECT name FROM api_tokens WHERE id = CAST(?1 AS INTEGER)",
        "client_application" => "SELECT name FROM client_applications WHERE id = ?1",
        _ => return Ok(None),
    };
    Ok(read.conn.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?)
}

/// How many entries one sweep takes: the writer has others to serve.
const SWEPT: u32 = 1000;

/// Forgets entries from before; the rest of many at the next time.
pub fn sweep(tx: &Tx<'_>, before: Timestamp) -> Result<()> {
    tx.conn
        .prepare_cached("DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ?1 ORDER BY at LIMIT ?2)")?
        .execute(params![before.0, SWEPT])?;
    Ok(())
}

/// How many entries there are.
pub fn count(read: &Read<'_>) -> Result<u64> {
    Ok(read.conn.query_row("SELECT count(*) FROM audit", [], |row| row.get(0))?)
}
