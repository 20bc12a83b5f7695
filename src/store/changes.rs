//! Which nouns a commit has changed, for those who look. SQLite tells of each row that it writes, so that nothing has to
//! be thought of where it is written; of the tables that it does not tell of (those without a row id), the audit trail does.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use rusqlite::Connection;
use tokio::sync::watch;

use crate::domain::live::{Changes, Topic, Topics};

/// What the transaction under way has changed.
#[derive(Clone, Default)]
pub(super) struct Touched(Arc<AtomicU16>);

impl Touched {
    /// Notes what is written through this connection.
    pub(super) fn watch(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let touched = self.clone();
        connection.update_hook(Some(move |_, _: &str, table: &str, _| touched.add(of_table(table))))
    }

    pub(super) fn add(&self, topics: Topics) {
        self.0.fetch_or(topics.0, Ordering::Relaxed);
    }

    /// What was noted so far.
    pub(super) fn get(&self) -> Topics {
        Topics(self.0.load(Ordering::Relaxed))
    }

    /// Forgets what was noted behind `topics`.
    pub(super) fn back_to(&self, topics: Topics) {
        self.0.store(topics.0, Ordering::Relaxed);
    }
}

/// Tells what a commit has changed.
pub(super) fn tell(changes: &watch::Sender<Changes>, topics: Topics) {
    if topics == Topics::default() {
        return;
    }
    changes.send_modify(|changes| {
        for (count, _) in changes.iter_mut().zip(Topic::ALL).filter(|(_, topic)| topics.has(*topic)) {
            *count = count.wrapping_add(1);
        }
    });
}

fn of_table(table: &str) -> Topics {
    Topics::of(match table {
        "connections" | "grants" | "device_authorizations" => &[Topic::Connections],
        "profiles" => &[Topic::Profiles],
        "customers" => &[Topic::Customers],
        "client_applications" | "client_application_secrets" => &[Topic::ClientApplications],
        "events" => &[Topic::Events],
        "webhooks" | "deliveries" => &[Topic::Webhooks],
        "api_tokens" => &[Topic::ApiTokens],
        "users" => &[Topic::Users],
        "audit" => &[Topic::Audit],
        _ => &[],
    })
}

/// What a deed to a noun of the audit trail changes.
pub(super) fn of_noun(noun: &str) -> Topics {
    Topics::of(match noun {
        "connection" => &[Topic::Connections],
        // Assigning one changes the customer who has it.
        "profile" => &[Topic::Profiles, Topic::Customers],
        "customer" => &[Topic::Customers],
        "provider" => &[Topic::Providers],
        "user" | "session" | "sessions" => &[Topic::Users],
        _ => &[],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate::SCHEMA;

    #[test]
    fn a_row_that_is_written_names_its_noun_and_one_that_nobody_shows_names_none() {
        let mut db = Connection::open_in_memory().expect("a database");
        db.execute_batch(SCHEMA).expect("the schema");
        let touched = Touched::default();
        touched.watch(&mut db).expect("watched");
        db.execute("INSERT INTO customers VALUES (1, 'c', 'c@acme.example', NULL, 0, 0)", []).expect("inserted");
        assert_eq!(touched.get(), Topics::of(&[Topic::Customers]));
        touched.back_to(Topics::default());
        db.execute("INSERT INTO refresh_days (day) VALUES (1)", []).expect("inserted");
        assert_eq!(touched.get(), Topics::default());
    }
}
