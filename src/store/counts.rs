//! Numbers of what there is, for whoever watches the server.

use rusqlite::params;

use super::{Read, deliveries};
use crate::domain::Result;

/// What the database holds, counted.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Connections by state, each of [`STATES`].
    pub connections: Vec<(&'static str, u64)>,
    /// Grants that are to be refreshed at some time.
    pub refreshes_scheduled: u64,
    /// Those of them whose time has come.
    pub refreshes_due: u64,
    /// Those of them whose time came more than a minute ago.
    pub refreshes_overdue: u64,
    /// Revocations that wait.
    pub revocations_waiting: u64,
    /// Deliveries that wait.
    pub deliveries_waiting: u64,
    /// Deliveries that were given up and are still kept.
    pub deliveries_dead: u64,
}

/// The states of a connection, each told from those before it: nobody has connected it; its grant is gone or was ended; it
/// is not known whether our refresh token is the last one; the app's secret is turned down; its last refresh failed; its
/// access token has ended; all is well.
pub const STATES: [&str; 7] =
    ["not_connected", "needs_reauthorization", "uncertain", "app_secret_rejected", "failing", "expired", "good"];

/// A refresh is late after so long.
const LATE_MS: i64 = 60 * 1000;

/// Counts. It looks at every connection.
pub fn all(read: &Read<'_>) -> Result<Counts> {
    let now = read.now.0;
    let mut statement = read.conn.prepare_cached(
        "SELECT CASE WHEN c.status = 'failed' THEN 1 WHEN g.connection_id IS NULL THEN 0
                WHEN g.uncertain_at IS NOT NULL THEN 2 WHEN g.blame = 'app' THEN 3 WHEN g.failures > 0 THEN 4
                WHEN g.expires_at <= ?1 THEN 5 ELSE 6 END AS state, count(*)
         FROM connections c LEFT JOIN grants g ON g.connection_id = c.id GROUP BY state",
    )?;
    let mut connections: Vec<(&'static str, u64)> = STATES.map(|state| (state, 0)).to_vec();
    let rows = statement.query_map([now], |row| Ok((row.get::<_, usize>(0)?, row.get(1)?)))?;
    for row in rows {
        let (state, count) = row?;
        if let Some(place) = connections.get_mut(state) {
            place.1 = count;
        }
    }
    let sql = "SELECT count(*), count(*) FILTER (WHERE due_at <= ?1), count(*) FILTER (WHERE due_at < ?2)
        FROM grants WHERE due_at IS NOT NULL";
    let (refreshes_scheduled, refreshes_due, refreshes_overdue) = read
        .conn
        .prepare_cached(sql)?
        .query_row(params![now, now.saturating_sub(LATE_MS)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let sql = "SELECT count(*) FROM revocations WHERE next_at IS NOT NULL";
    let revocations_waiting = read.conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    let (deliveries_waiting, deliveries_dead) = deliveries::count(read)?;
    Ok(Counts {
        connections,
        refreshes_scheduled,
        refreshes_due,
        refreshes_overdue,
        revocations_waiting,
        deliveries_waiting,
        deliveries_dead,
    })
}
