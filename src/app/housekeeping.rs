//! What has to be done from time to time: expired sessions, links and tokens go, and old events and
//! audit entries.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::access::{SESSION_IDLE_MS, SESSION_LIFE_MS};
use crate::{
    domain::Timestamp,
    store::{self, Db},
};

/// How often it looks.
const ROUND: Duration = Duration::from_mins(1);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Events are kept so long.
const EVENTS_MS: i64 = 90 * DAY_MS;
/// How many refreshes a day had is kept so long: a year, and what one compares it with.
const REFRESH_DAYS_MS: i64 = 400 * DAY_MS;
/// What was delivered is kept so long; what could not be is kept as long as its event.
const DELIVERED_MS: i64 = 7 * DAY_MS;

/// A thread that wakes up once a minute.
pub struct Housekeeper {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    stopped: Mutex<bool>,
    changed: Condvar,
    /// By the clock that no one sets: a machine that slept or was given another time is not one that stopped.
    last_round: Mutex<Instant>,
}

impl Housekeeper {
    pub(super) fn start(db: Db, audit_days: u32) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            stopped: Mutex::new(false),
            changed: Condvar::new(),
            last_round: Mutex::new(Instant::now()),
        });
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("housekeeper".to_owned()).spawn(move || shared.rounds(&db, audit_days))?
        };
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Whether it has looked within the last three rounds.
    pub fn is_running(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let last_round = self.shared.last_round.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished()) && last_round.elapsed() < 3 * ROUND
    }

    /// Ends it, and waits for its end.
    pub fn stop(&self) {
        *self.shared.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(thread.join());
        }
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn rounds(&self, db: &Db, audit_days: u32) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopped {
            let now = db.now();
            *self.last_round.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            let (begun, seen) = (Timestamp(now.0 - SESSION_LIFE_MS), Timestamp(now.0 - SESSION_IDLE_MS));
            db.note(move |tx| {
                store::users::sweep(tx)?;
                store::sessions::sweep(tx, begun, seen)?;
                if audit_days > 0 {
                    store::audit::sweep(tx, now.plus_ms(-i64::from(audit_days) * DAY_MS))?;
                }
                store::client_applications::sweep(tx)?;
                super::connect::sweep(tx)?;
                store::revocations::sweep(tx, now.plus_ms(-EVENTS_MS))?;
                store::refresh_results::sweep(tx, now.plus_ms(-REFRESH_DAYS_MS))?;
                store::hand_outs::sweep(tx, now.plus_ms(-EVENTS_MS))?;
                store::events::sweep(tx, now.plus_ms(-EVENTS_MS), now.plus_ms(-DELIVERED_MS))
            });
            stopped = self.changed.wait_timeout(stopped, ROUND).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
