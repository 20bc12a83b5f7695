//! What came of refreshes: the last ones of each connection, and how many of each day. A refresh writes it in the
//! transaction of its result, so it costs little: a row here, a number there, and the oldest row goes.

use rusqlite::params;

use super::{Read, Tx, profiles::foreign_row};
use crate::domain::{
    Result, Timestamp,
    grant::Blame,
    history::{RefreshDay, RefreshResult},
};

/// So many results of each connection are kept.
pub const KEPT: i64 = 50;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Notes what came of a refresh: `None` worked, else who is to blame and what it came to, in a word.
pub(super) fn note(tx: &Tx<'_>, connection_id: i64, failed: Option<(Blame, &str)>) -> Result<()> {
    let (blame, result) = failed.map(|(blame, result)| (blame.as_str(), result)).unzip();
    let seq: i64 = tx
        .conn
        .prepare_cached(
            "INSERT INTO refresh_results (connection_id, seq, at, blame, result)
             SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4 FROM refresh_results WHERE connection_id = ?1
             RETURNING seq",
        )?
        .query_row(params![connection_id, tx.now.0, blame, result], |row| row.get(0))?;
    if seq > KEPT {
        tx.conn
            .prepare_cached("DELETE FROM refresh_results WHERE connection_id = ?1 AND seq <= ?2")?
            .execute([connection_id, seq - KEPT])?;
    }
    let sql = match failed.map(|(blame, _)| blame) {
        None => "INSERT INTO refresh_days (day, ok) VALUES (?1, 1) ON CONFLICT (day) DO UPDATE SET ok = ok + 1",
        Some(Blame::App) => {
            "INSERT INTO refresh_days (day, failed_app) VALUES (?1, 1)
             ON CONFLICT (day) DO UPDATE SET failed_app = failed_app + 1"
        }
        Some(Blame::Grant) => {
            "INSERT INTO refresh_days (day, failed_grant) VALUES (?1, 1)
             ON CONFLICT (day) DO UPDATE SET failed_grant = failed_grant + 1"
        }
        Some(Blame::Provider) => {
            "INSERT INTO refresh_days (day, failed_provider) VALUES (?1, 1)
             ON CONFLICT (day) DO UPDATE SET failed_provider = failed_provider + 1"
        }
        Some(Blame::Network) => {
            "INSERT INTO refresh_days (day, failed_network) VALUES (?1, 1)
             ON CONFLICT (day) DO UPDATE SET failed_network = failed_network + 1"
        }
    };
    tx.conn.prepare_cached(sql)?.execute([tx.now.0.div_euclid(DAY_MS)])?;
    Ok(())
}

/// What is kept of a connection, newest first.
pub fn of_connection(read: &Read<'_>, connection_id: i64) -> Result<Vec<RefreshResult>> {
    let mut statement = read.conn.prepare_cached(
        "SELECT seq, at, blame, result FROM refresh_results WHERE connection_id = ?1 ORDER BY seq DESC",
    )?;
    let rows = statement.query_map([connection_id], |row| {
        let blame = row.get::<_, Option<String>>(2)?;
        let blame = blame.map(|word| Blame::parse(&word).ok_or_else(|| foreign_row("a blame"))).transpose()?;
        let failed = blame.zip(row.get::<_, Option<String>>(3)?);
        Ok(RefreshResult { seq: row.get(0)?, at: Timestamp(row.get(1)?), failed })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The last `count` days up to now, oldest first; one without a refresh is there too.
pub fn days(read: &Read<'_>, count: i64) -> Result<Vec<RefreshDay>> {
    let today = read.now.0.div_euclid(DAY_MS);
    let first = today - count + 1;
    let mut days: Vec<RefreshDay> =
        (first..=today).map(|day| RefreshDay { begins_at: Timestamp(day * DAY_MS), ok: 0, failed: [0; 4] }).collect();
    let mut statement = read.conn.prepare_cached(
        "SELECT day - ?1, ok, failed_app, failed_grant, failed_provider, failed_network FROM refresh_days
         WHERE day BETWEEN ?1 AND ?2",
    )?;
    let mut rows = statement.query([first, today])?;
    while let Some(row) = rows.next()? {
        if let Some(day) = days.get_mut(row.get::<_, usize>(0)?) {
            day.ok = row.get(1)?;
            day.failed = [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
        }
    }
    Ok(days)
}

/// Forgets days that ended before then.
pub fn sweep(tx: &Tx<'_>, before: Timestamp) -> Result<()> {
    let sql = "DELETE FROM refresh_days WHERE day < ?1";
    tx.conn.prepare_cached(sql)?.execute([before.0.div_euclid(DAY_MS)])?;
    Ok(())
}
