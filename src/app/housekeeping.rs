//! What has to be done from time to time: expired sessions, links and tokens go.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::access::{SESSION_IDLE_MS, SESSION_LIFE_MS};
use crate::{
    domain::Timestamp,
    store::{self, Db},
};

/// How often it looks.
const ROUND: Duration = Duration::from_mins(1);

/// A thread that wakes up once a minute.
pub struct Housekeeper {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    db: Db,
}

struct Shared {
    stopped: Mutex<bool>,
    changed: Condvar,
    last_round: AtomicI64,
}

impl Housekeeper {
    pub(super) fn start(db: Db) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            stopped: Mutex::new(false),
            changed: Condvar::new(),
            last_round: AtomicI64::new(db.now().0),
        });
        let thread = {
            let (shared, db) = (Arc::clone(&shared), db.clone());
            std::thread::Builder::new().name("housekeeper".to_owned()).spawn(move || shared.rounds(&db))?
        };
        Ok(Self { shared, thread: Mutex::new(Some(thread)), db })
    }

    /// Whether it has looked within the last three rounds.
    pub fn is_running(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let age = self.db.now().0 - self.shared.last_round.load(Ordering::Relaxed);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
            && u128::try_from(age).unwrap_or(0) < 3 * ROUND.as_millis()
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
    fn rounds(&self, db: &Db) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopped {
            let now = db.now();
            self.last_round.store(now.0, Ordering::Relaxed);
            let (begun, seen) = (Timestamp(now.0 - SESSION_LIFE_MS), Timestamp(now.0 - SESSION_IDLE_MS));
            db.note(move |tx| {
                store::users::sweep(tx, begun, seen)?;
                store::client_applications::sweep(tx)
            });
            stopped = self.changed.wait_timeout(stopped, ROUND).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
