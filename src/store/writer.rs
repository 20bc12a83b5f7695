//! The one writer thread.
//!
//! It drains its bounded queue into one transaction, gives each item a savepoint of its own, commits once with
//! `synchronous=FULL`, and only then answers: durable, and still thousands of writes a second, since one `fsync` serves
//! the whole group.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::{Notify, oneshot, watch};

use super::{
    Clock, Read, Tx,
    changes::{self, Touched},
    seal::Sealer,
};
use crate::domain::{
    Error, Outage, Result,
    live::{Changes, Topics},
};

/// How many items may wait. A longer queue would only hide that the disk cannot keep up.
const QUEUE: usize = 1024;
/// How many items share a commit.
const GROUP: usize = 64;
/// After so long without work the log is written back into the database.
const IDLE: Duration = Duration::from_secs(2);
const DAY: Duration = Duration::from_hours(24);

pub(super) struct Writer {
    queue: Option<SyncSender<Box<dyn Item>>>,
    /// How many items are in the queue.
    waiting: Arc<AtomicUsize>,
    queued: Arc<Notify>,
    changes: watch::Receiver<Changes>,
    thread: Option<JoinHandle<()>>,
}

/// One caller's work, with its answer inside until the commit decides.
trait Item: Send {
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    fn undone(&mut self, error: Error);
    fn answer(self: Box<Self>);
}

struct Work<F, T> {
    closure: Option<F>,
    /// `None` until it has run.
    result: Option<Result<T>>,
    caller: Option<oneshot::Sender<Result<T>>>,
}

impl<F, T> Item for Work<F, T>
where
    F: FnOnce(&Tx<'_>) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> bool {
        let Some(work) = self.closure.take() else { return false };
        let result = catch_unwind(AssertUnwindSafe(|| work(tx)))
            .unwrap_or_else(|_| Err(Error::internal("a panic inside a transaction")));
        let fine = result.is_ok();
        self.result = Some(result);
        fine
    }

    fn undone(&mut self, error: Error) {
        // Its own error stands; a success, or what never ran, went down with the transaction.
        if !matches!(self.result, Some(Err(_))) {
            self.result = Some(Err(error));
        }
    }

    fn answer(self: Box<Self>) {
        let result = self.result.unwrap_or_else(|| Err(Error::unavailable(Outage::Storage)));
        match self.caller {
            // The caller may have gone away; its work is done all the same.
            Some(caller) => drop(caller.send(result)),
            None => {
                if let Err(error) = result {
                    tracing::warn!(%error, "a mark was not written");
                }
            }
        }
    }
}

impl Writer {
    pub(super) fn start(mut connection: Connection, sealer: Arc<Sealer>, clock: Clock) -> std::io::Result<Self> {
        let (queue, items) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let queued = Arc::new(Notify::new());
        let (told, changes) = watch::channel(Changes::default());
        let touched = Touched::default();
        touched.watch(&mut connection).map_err(std::io::Error::other)?;
        let (taken, notify) = (Arc::clone(&waiting), Arc::clone(&queued));
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
            Loop { connection, sealer, clock, dirty: false, queued: notify, optimized: Instant::now(), touched, told }
                .run(&items, &taken);
        })?;
        Ok(Self { queue: Some(queue), waiting, queued, changes, thread: Some(thread) })
    }

    pub(super) async fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (caller, answer) = oneshot::channel();
        self.queue(work, Some(caller))?;
        answer.await.unwrap_or(Err(Error::unavailable(Outage::Stopping)))
    }

    pub(super) fn note(&self, work: impl FnOnce(&Tx<'_>) -> Result<()> + Send + 'static) {
        // Under such load that the queue is full, a mark is what can best be missed.
        drop(self.queue(work, None));
    }

    pub(super) fn queued(&self) -> Arc<Notify> {
        Arc::clone(&self.queued)
    }

    pub(super) fn changes(&self) -> watch::Receiver<Changes> {
        self.changes.clone()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn queue<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
        caller: Option<oneshot::Sender<Result<T>>>,
    ) -> Result<()> {
        let item = Work { closure: Some(work), result: None, caller };
        let queue = self.queue.as_ref().ok_or(Error::unavailable(Outage::Stopping))?;
        // Counted before it is there, or the writer might take it before it counts.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        queue.try_send(Box::new(item)).map_err(|error| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => Error::unavailable(Outage::Writer),
                TrySendError::Disconnected(_) => Error::unavailable(Outage::Stopping),
            }
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Loop {
    connection: Connection,
    sealer: Arc<Sealer>,
    clock: Clock,
    dirty: bool,
    queued: Arc<Notify>,
    optimized: Instant,
    touched: Touched,
    told: watch::Sender<Changes>,
}

impl Loop {
    fn run(mut self, items: &Receiver<Box<dyn Item>>, waiting: &AtomicUsize) {
        loop {
            match items.recv_timeout(IDLE) {
                Ok(first) => {
                    let mut group = vec![first];
                    while group.len() < GROUP {
                        let Ok(next) = items.try_recv() else { break };
                        group.push(next);
                    }
                    waiting.fetch_sub(group.len(), Ordering::Relaxed);
                    self.commit(&mut group);
                    group.into_iter().for_each(Item::answer);
                }
                Err(RecvTimeoutError::Timeout) => self.rest(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.checkpoint();
    }

    /// Runs the group in one transaction. Whatever goes wrong with the transaction goes wrong for all of them.
    fn commit(&mut self, group: &mut [Box<dyn Item>]) {
        let (mut queued, mut write_back) = (false, false);
        self.touched.back_to(Topics::default());
        let done = self.connection.execute_batch("BEGIN IMMEDIATE").and_then(|()| {
            for item in group.iter_mut() {
                self.connection.execute_batch("SAVEPOINT item")?;
                let read = Read { conn: &self.connection, sealer: &self.sealer, now: (self.clock)() };
                let tx = Tx { read, queued: Cell::new(false), write_back: Cell::new(false), touched: &self.touched };
                let before = self.touched.get();
                let fine = item.run(&tx);
                queued |= fine && tx.queued.get();
                write_back |= fine && tx.write_back.get();
                if !fine {
                    self.touched.back_to(before);
                }
                if self.connection.is_autocommit() {
                    // A full disk or an I/O error makes SQLite roll back the whole transaction by itself.
                    return Err(rusqlite::Error::SqliteFailure(
                        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
                        Some("the transaction was rolled back".to_owned()),
                    ));
                }
                self.connection.execute_batch(if fine { "RELEASE item" } else { "ROLLBACK TO item; RELEASE item" })?;
            }
            self.connection.execute_batch("COMMIT")
        });
        if done.is_ok() {
            // What is told is there for whoever looks.
            changes::tell(&self.told, self.touched.get());
        }
        if let Err(error) = done {
            if !self.connection.is_autocommit() {
                drop(self.connection.execute_batch("ROLLBACK"));
            }
            let message = error.to_string();
            let outage = matches!(Error::from(error), Error::Unavailable { .. });
            for item in group.iter_mut() {
                item.undone(if outage {
                    Error::unavailable(Outage::Storage)
                } else {
                    Error::internal(format_args!("SQLite: {message}"))
                });
            }
        }
        if queued {
            // After the commit; where that failed, somebody looks in vain.
            self.queued.notify_one();
        }
        self.dirty = !(write_back && self.checkpoint());
    }

    fn rest(&mut self) {
        if self.dirty {
            self.dirty = !self.checkpoint();
        }
        if self.optimized.elapsed() > DAY {
            self.optimized = Instant::now();
            if let Err(error) = self.connection.execute_batch("PRAGMA optimize") {
                tracing::warn!(%error, "PRAGMA optimize");
            }
        }
    }

    /// Writes the log back into the database without waiting for readers; answers whether all of it was.
    fn checkpoint(&self) -> bool {
        let run = |mode: &str| {
            let sql = format!("PRAGMA wal_checkpoint({mode})");
            self.connection.query_row(&sql, [], |row| {
                Ok(row.get::<_, i64>(0)? == 0 && row.get::<_, i64>(1)? == row.get::<_, i64>(2)?)
            })
        };
        // Only a log that is written back whole is cut, and a reader that still needs it is not waited for.
        let done = run("PASSIVE").and_then(|whole| {
            if !whole {
                return Ok(false);
            }
            self.connection.busy_timeout(Duration::ZERO)?;
            let cut = run("TRUNCATE");
            self.connection.busy_timeout(super::BUSY)?;
            Ok(cut.unwrap_or(false))
        });
        done.unwrap_or_else(|error| {
            tracing::warn!(%error, "the log could not be written back; it will be tried again");
            false
        })
    }
}
