//! The engine thread: refreshes, revocations and whatever else talks to others in the background.
//!
//! It has a runtime of its own, so that what it began is finished whoever asked for it and went away.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use tokio::{
    runtime::{Handle, Runtime},
    sync::{Notify, watch},
};

use super::{App, deliveries};
use crate::domain::Result;

/// It looks at least so often, whatever is due.
const ROUND: Duration = Duration::from_secs(15);
/// Hand-outs are gathered for so long.
const GATHER: Duration = Duration::from_secs(1);
/// After something went wrong.
const REST: Duration = Duration::from_secs(5);
/// Two looks are at least so far apart, so that a long queue does not make it spin.
const BREATH: Duration = Duration::from_millis(20);

/// The engine thread.
pub struct Worker {
    handle: Handle,
    shared: Arc<Shared>,
    runtime: Mutex<Option<Runtime>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    wake: watch::Sender<()>,
    stopping: AtomicBool,
    /// Nobody waits for anything any more.
    gone: AtomicBool,
    under_way: AtomicUsize,
    idle: Notify,
    /// By the clock that no one sets.
    last_round: Mutex<Instant>,
}

/// Counts what is under way, also when it panics or is dropped.
struct UnderWay(Arc<Shared>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        self.0.idle.notify_waiters();
    }
}

impl Worker {
    /// A worker that does not work yet.
    pub(super) fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
            shared: Arc::new(Shared {
                wake: watch::Sender::new(()),
                stopping: AtomicBool::new(false),
                gone: AtomicBool::new(false),
                under_way: AtomicUsize::new(0),
                idle: Notify::new(),
                last_round: Mutex::new(Instant::now()),
            }),
            thread: Mutex::new(None),
        })
    }

    /// Starts the thread.
    pub(super) fn start(&self, app: Weak<App>) -> std::io::Result<()> {
        let Some(runtime) = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        let shared = Arc::clone(&self.shared);
        let work = move || runtime.block_on(shared.rounds(&app));
        let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(work)?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// Does something on the engine thread. It is waited for at the end, for as long as there is time.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.shared.under_way.fetch_add(1, Ordering::SeqCst);
        let under_way = UnderWay(Arc::clone(&self.shared));
        drop(self.handle.spawn(async move {
            let _under_way = under_way;
            work.await;
        }));
    }

    /// Makes it look at what is due now.
    pub fn wake(&self) {
        self.shared.wake.send_replace(());
    }

    /// Whether nothing new is to be begun.
    pub(super) fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::SeqCst)
    }

    /// Whether it has looked within the last three rounds.
    pub fn is_running(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let last_round = self.shared.last_round.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished()) && last_round.elapsed() < 3 * ROUND
    }

    /// Begins nothing more, and waits for what is under way, at most `within`.
    pub(super) async fn finish(&self, within: Duration) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.wake();
        let idle = async {
            loop {
                let changed = self.shared.idle.notified();
                if self.shared.under_way.load(Ordering::SeqCst) == 0 {
                    return;
                }
                // The notice may come between the look and the wait.
                drop(tokio::time::timeout(Duration::from_millis(50), changed).await);
            }
        };
        drop(tokio::time::timeout(within, idle).await);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::SeqCst);
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.wake();
        // The last owner may be a task on the thread itself, which cannot wait for its own end.
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.thread().id() != std::thread::current().id()
        {
            drop(thread.join());
        }
    }
}

impl Shared {
    /// Everything that goes on in the background, each at its own pace: a provider that hangs in one holds up no other.
    async fn rounds(&self, app: &Weak<App>) {
        while let Some(app) = app.upgrade().filter(|_| !self.stopping.load(Ordering::SeqCst)) {
            // A refresh before that could end a grant which the backup does not know to be in use.
            match app.settle_restored().await {
                Ok(()) => {
                    app.resume_refreshes();
                    break;
                }
                Err(error) => tracing::warn!(%error, "the grants of a backup that was put back are not looked at yet"),
            }
            drop(app);
            tokio::time::sleep(REST).await;
        }
        let all = async {
            tokio::join!(
                self.each("refreshing", app, async |app| {
                    *self.last_round.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                    app.refresh_round().await
                }),
                self.each("revoking", app, App::revocation_round),
                self.each("sealing anew", app, App::seal_round),
                self.each("backing up", app, App::backup_round),
                self.each("asking for devices", app, async |app| app.ask_for_devices()),
                self.each("counting", app, async |app| {
                    if !app.hand_outs.is_empty() {
                        // What comes within a second is written together.
                        tokio::time::sleep(GATHER).await;
                        app.write_hand_outs().await?;
                    }
                    Ok(ROUND)
                }),
                self.each("noting refusals", app, App::refusal_round),
                deliveries::carry_on(app.clone()),
            );
        };
        let mut stop = self.wake.subscribe();
        let stopped = async {
            while !self.stopping.load(Ordering::SeqCst) {
                drop(stop.changed().await);
            }
        };
        tokio::select! {
            () = all => {}
            () = stopped => {}
        }
        // What is under way has until the end of `finish`, which waits for it; then the runtime goes.
        while self.under_way.load(Ordering::SeqCst) > 0 && !self.gone.load(Ordering::SeqCst) {
            tokio::time::sleep(BREATH).await;
        }
    }

    /// One kind of work, round for round.
    async fn each(&self, what: &'static str, app: &Weak<App>, round: impl AsyncFn(&App) -> Result<Duration>) {
        let mut woken = self.wake.subscribe();
        loop {
            let Some(app) = app.upgrade() else { return };
            // A database that takes nothing just now, or a mistake of ours: either way it is tried again, not in a hurry.
            let next = match AssertUnwindSafe(round(&app)).catch_unwind().await {
                Ok(Ok(next)) => next,
                Ok(Err(error)) => {
                    tracing::warn!(%error, what, "background work failed");
                    REST
                }
                Err(_) => REST,
            };
            drop(app);
            tokio::time::sleep(BREATH).await;
            drop(tokio::time::timeout(next.clamp(BREATH, ROUND), woken.changed()).await);
        }
    }
}
