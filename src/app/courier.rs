//! The thread in which deliveries are carried.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Weak},
    thread::JoinHandle,
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::sync::Notify;

use super::{
    App,
    deliveries::{Outbox, carry},
};

/// After a panic it begins anew, not at once.
const REST: Duration = Duration::from_secs(5);

/// The thread; it ends when this is dropped.
pub struct Courier {
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Courier {
    /// Starts it.
    pub fn start(app: &Arc<App>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let (app, outbox) = (Arc::downgrade(app), Arc::clone(&app.outbox));
        let thread = std::thread::Builder::new().name("courier".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = run(app, outbox) => {}
                    () = stopped.notified() => {}
                }
            });
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Carries deliveries until the app is gone; one bug is not the end of it.
async fn run(app: Weak<App>, outbox: Arc<Outbox>) {
    while AssertUnwindSafe(carry(app.clone(), Arc::clone(&outbox))).catch_unwind().await.is_err() {
        tokio::time::sleep(REST).await;
    }
}
