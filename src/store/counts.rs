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

/// Whether the counts that triggers keep are those of the rows; `false`: a table was changed behind them.
pub fn are_kept(read: &Read<'_>) -> Result<bool> {
    let sql = "SELECT NOT EXISTS (
        SELECT what, id, count FROM use_counts WHERE count > 0
        EXCEPT SELECT * FROM (
            SELECT 'connections of profile', profile_id, count(*) FROM connections GROUP BY profile_id
            UNION ALL SELECT 'assignments of profile', profile_id, count(*) FROM assignments GROUP BY profile_id
            UNION ALL SELECT 'connections of customer', customer_id, count(*) FROM connections
                WHERE customer_id IS NOT NULL GROUP BY customer_id))
      AND (SELECT count(*) FROM use_counts WHERE count > 0) =
        (SELECT count(DISTINCT profile_id) + count(DISTINCT customer_id) FROM connections)
        + (SELECT count(DISTINCT profile_id) FROM assignments)";
    Ok(read.conn.prepare(sql)?.query_row([], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        domain::Timestamp,
        store::{migrate::SCHEMA, profiles, seal},
    };

    fn database() -> rusqlite::Connection {
        let db = rusqlite::Connection::open_in_memory().expect("a database");
        db.execute_batch(SCHEMA).expect("the schema");
        db.execute_batch(
            "PRAGMA foreign_keys = ON;
             INSERT INTO profiles (id, provider, name, client_id, created_at, updated_at)
                VALUES (1, 'p', 'one', 'c', 0, 0), (2, 'p', 'two', 'c', 0, 0);
             INSERT INTO profile_secrets (profile_id, kind, hash, created_at) VALUES (1, 'current', 'h', 0), (2, 'current', 'h', 0);
             INSERT INTO customers (id, name, notification_email, created_at, updated_at)
                VALUES (1, 'one', 'a@acme.example', 0, 0), (2, 'two', 'a@acme.example', 0, 0);",
        )
        .expect("rows");
        db
    }

    fn reading<T>(db: &rusqlite::Connection, f: impl FnOnce(&Read<'_>) -> Result<T>) -> T {
        let sealer = seal::Sealer::new(seal::KeyList::generate().expect("random bytes")).expect("sub-keys");
        f(&Read { conn: db, sealer: &sealer, now: Timestamp(0) }).expect("read")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// However connections and assignments come, change and go, the kept counts are those of the rows.
        #[test]
        fn kept_counts_are_exact(steps in prop::collection::vec((0..5_u8, 1..9_i64, 1..3_i64, 0..3_i64), 1..60)) {
            let db = database();
            for (step, id, profile, customer) in steps {
                let customer = (customer > 0).then_some(customer);
                let _ = match step {
                    0 | 1 => db.execute(
                        "INSERT INTO connections (id, name, provider, profile_id, customer_id, created_at, updated_at)
                         VALUES (?1, 'n', 'p', ?2, ?3, 0, 0)",
                        (id, profile, customer),
                    ),
                    2 => db.execute("DELETE FROM connections WHERE id = ?1", [id]),
                    3 => db.execute(
                        "UPDATE connections SET profile_id = ?2, customer_id = ?3 WHERE id = ?1",
                        (id, profile, customer),
                    ),
                    _ => db.execute(
                        "INSERT INTO assignments VALUES (?1, 'p', ?2, 0) ON CONFLICT DO UPDATE SET profile_id = excluded.profile_id",
                        (customer.unwrap_or(1), profile),
                    ),
                };
            }
            prop_assert!(reading(&db, are_kept));
            for id in [1, 2] {
                let sql = "SELECT (SELECT count(*) FROM connections WHERE profile_id = ?1),
                    (SELECT count(*) FROM assignments WHERE profile_id = ?1)";
                let counted: (u64, u64) = db.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?))).expect("counted");
                let profile = reading(&db, |read| profiles::get(read, id));
                prop_assert_eq!((profile.connections, profile.customers), counted);
            }
            let changed = db.execute("UPDATE use_counts SET count = count + 1", []).expect("changed");
            prop_assert!(changed == 0 || !reading(&db, are_kept), "a count that is off is found");
        }
    }

    /// The steps of SQLite's virtual machine for one profile are the same with 20 connections and with 20,000.
    #[test]
    fn reading_a_profile_costs_the_same_however_many_connections_it_has() {
        let steps = |connections: i64| {
            let db = database();
            db.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                 INSERT INTO connections (name, provider, profile_id, customer_id, account_id, created_at, updated_at)
                 SELECT 'n', 'p', 1, 1, 'account ' || i, 0, 0 FROM n",
                [connections],
            )
            .expect("connections");
            let mut profile = db.prepare(profiles::SELECT).expect("prepared");
            assert!(profile.query([]).expect("asked").next().expect("a row").is_some());
            let sql = "SELECT count(*) FROM connections c JOIN grants g ON g.connection_id = c.id
               WHERE c.profile_id = 1 AND c.account_id = 'account 7' AND c.status = 'success'";
            let mut account = db.prepare(sql).expect("prepared");
            account.query_row([], |_| Ok(())).expect("counted");
            [&profile, &account].map(|statement| statement.get_status(rusqlite::StatementStatus::VmStep))
        };
        assert_eq!(steps(20), steps(20_000));
    }
}
