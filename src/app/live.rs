//! What changes while somebody looks: a stream of beats for each who does. A stream holds two numbers and a place; what
//! it has not told yet it works out when it may speak again, so that a slow listener costs what a quick one costs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    App,
    access::{Caller, Origin, Shown},
};
use crate::domain::{
    Error, Outage, Result,
    live::{Changes, Topic, changed},
};

/// Changes are told no more often than this; those that come together are told together.
const PAUSE: Duration = Duration::from_millis(500);
/// So often a stream shows that it is alive, and looks whether its listener may still listen.
pub const ALIVE: Duration = Duration::from_secs(15);
/// So many streams there are at most.
const MOST: usize = 256;
/// So many of one caller.
pub const MOST_OF_ONE: usize = 16;

/// All streams that are open.
pub struct Live {
    open: Arc<Mutex<HashMap<String, usize>>>,
    stopped: watch::Sender<bool>,
}

impl Default for Live {
    fn default() -> Self {
        Self { open: Arc::default(), stopped: watch::Sender::new(false) }
    }
}

/// A stream's place among those that are open; given back when it ends, however it ends.
struct Place {
    open: Arc<Mutex<HashMap<String, usize>>>,
    who: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.who);
            }
        }
    }
}

impl Live {
    fn place(&self, who: String) -> Result<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(&who).is_some_and(|count| *count >= MOST_OF_ONE) {
            return Err(Error::TooMany { retry_after: ALIVE });
        }
        if open.values().sum::<usize>() >= MOST {
            return Err(Error::Unavailable { why: Outage::Streams, retry_after: ALIVE });
        }
        *open.entry(who.clone()).or_default() += 1;
        Ok(Place { open: Arc::clone(&self.open), who })
    }

    /// Ends all streams, and begins none any more.
    pub fn stop(&self) {
        self.stopped.send_replace(true);
    }
}

/// What a stream has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beat {
    /// It has begun.
    Hello,
    /// These have changed.
    Changed(Vec<Topic>),
    /// Nothing, but it is alive.
    Alive,
}

/// One listener's stream.
pub struct Stream {
    app: Arc<App>,
    caller: Caller,
    shown: Shown,
    origin: Origin,
    changes: watch::Receiver<Changes>,
    stopped: watch::Receiver<bool>,
    told: Changes,
    greeted: bool,
    /// Whether there may be something to tell.
    pending: bool,
    /// Not before.
    speaks_at: Instant,
    alive_at: Instant,
    _place: Place,
}

impl App {
    /// The streams that are open.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Begins a stream for a caller who has shown this. `TooMany` when it has a few already, `Unavailable` when others
    /// have all there are.
    pub fn listen(self: &Arc<Self>, caller: &Caller, shown: Shown, origin: Origin) -> Result<Stream> {
        let stopped = self.live.stopped.subscribe();
        if *stopped.borrow() {
            return Err(Error::unavailable(Outage::Stopping));
        }
        let place = self.live.place(caller.actor())?;
        let mut changes = self.db.changes();
        let told = *changes.borrow_and_update();
        Ok(Stream {
            app: Arc::clone(self),
            caller: caller.clone(),
            shown,
            origin,
            changes,
            stopped,
            told,
            greeted: false,
            pending: false,
            speaks_at: Instant::now(),
            alive_at: Instant::now() + ALIVE,
            _place: place,
        })
    }
}

/// Until all streams are to end.
async fn ended(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|stopped| *stopped).await);
}

impl Stream {
    /// What is to be told next, as soon as there is something; `None`: the stream is over.
    pub async fn next(&mut self) -> Option<Beat> {
        if !self.greeted {
            self.greeted = true;
            return Some(Beat::Hello);
        }
        loop {
            tokio::select! {
                biased;
                () = ended(&mut self.stopped) => return None,
                () = sleep_until(self.alive_at) => {
                    self.alive_at = Instant::now() + ALIVE;
                    return self.may_still_listen().await.then_some(Beat::Alive);
                }
                () = sleep_until(self.speaks_at), if self.pending => {
                    self.pending = false;
                    let now = *self.changes.borrow_and_update();
                    let changed = changed(&self.told, &now);
                    self.told = now;
                    let scopes = self.caller.scopes();
                    let topics = Topic::ALL.into_iter().filter(|topic| changed.has(*topic) && scopes.allow(topic.scope()));
                    let topics: Vec<Topic> = topics.collect();
                    if !topics.is_empty() {
                        self.speaks_at = Instant::now() + PAUSE;
                        return Some(Beat::Changed(topics));
                    }
                }
                changed = self.changes.changed(), if !self.pending => {
                    // The writer has gone: so will everything.
                    if changed.is_err() {
                        return None;
                    }
                    self.pending = true;
                }
            }
        }
    }

    /// Whether the credential is still good, and for what. An outage ends nothing.
    async fn may_still_listen(&mut self) -> bool {
        match self.app.look_again(&self.shown, &self.origin).await {
            Ok(caller) => {
                self.caller = caller;
                true
            }
            Err(Error::Unauthenticated(_)) => false,
            Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_places_and_each_comes_back() {
        let live = Live::default();
        let mut places: Vec<Place> =
            (0..MOST_OF_ONE).map(|_| live.place("user 1".to_owned()).expect("a place")).collect();
        assert!(matches!(live.place("user 1".to_owned()), Err(Error::TooMany { .. })));
        places.extend((MOST_OF_ONE..MOST).map(|n| live.place(format!("api_token {n}")).expect("a place")));
        assert!(matches!(live.place("user 2".to_owned()), Err(Error::Unavailable { .. })));
        places.remove(0);
        places.push(live.place("user 1".to_owned()).expect("one came back"));
        drop(places);
        assert!(live.open.lock().expect("whole").is_empty());
    }
}
