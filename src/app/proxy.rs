//! Requests of callers, passed on to a provider's API: the caller needs no token at all.
//!
//! Each is a hand-out, as somebody uses a token by it, and has a place until its answer has ended. A token that the API
//! turns down is refreshed once, where the request can be sent again: one that had no body.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    App,
    access::Caller,
    metrics::HandOut,
    refresh::{PATIENCE, Wanted},
    registration::Registration,
    tokens::HandedOut,
};
pub use crate::oauth::forward::{Body, Cut, Head, Headers, body_way};
use crate::{
    domain::{Error, Outage, Result, connection::Connection, grant::NoToken, proxy::NotPassed, user::Scope},
    oauth::{catalogue::Resolved, forward::Target},
};

/// A token that is passed on has to be good for so long.
const MIN_TTL_MS: i64 = 30 * 1000;
/// A token that came less than this ago is not the reason why an API says 401.
const FRESH_MS: i64 = 60 * 1000;
/// A refresh that did not help is not repeated for so long, whatever the API says.
const VAIN: Duration = Duration::from_hours(1);
/// So many connections are remembered for that.
const MOST_VAIN: usize = 4096;
/// So many requests are under way at once, …
const MOST: usize = 256;
/// … and of one connection so many: an API that hangs holds up no other.
const MOST_OF_A_CONNECTION: usize = 64;

/// A request for a provider's API.
#[derive(Debug)]
pub struct Request {
    /// Method and fields.
    pub head: Head,
    /// What follows the API's address, as it stood in the request line: empty, or from a slash on.
    pub path: String,
    /// The query, as it stood there.
    pub query: Option<String>,
    /// The body; `None`: it has none.
    pub body: Option<Body>,
}

/// What an API answered.
#[derive(Debug)]
pub struct Passed {
    /// The status.
    pub status: u16,
    /// The fields that are for the caller.
    pub headers: Headers,
    /// How many bytes the body has, or would have; `None`: nobody says.
    pub length: Option<u64>,
    /// The body, as it comes. It is whole when it ends without [`Cut`].
    pub parts: mpsc::Receiver<Result<Bytes, Cut>>,
}

/// The requests that are being passed on.
#[derive(Debug, Default)]
pub(super) struct Forwards {
    /// By connection.
    under_way: Mutex<HashMap<i64, usize>>,
    /// When a refresh did not help, by connection.
    vain: Mutex<HashMap<i64, Instant>>,
}

/// The place of one.
struct Place {
    forwards: Arc<Forwards>,
    id: i64,
}

impl Forwards {
    fn under_way(&self) -> MutexGuard<'_, HashMap<i64, usize>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, id: i64) -> Result<Place> {
        let mut all = self.under_way();
        let many: usize = all.values().sum();
        let of_this = all.get(&id).copied().unwrap_or_default();
        if many >= MOST || of_this >= MOST_OF_A_CONNECTION {
            return Err(Error::unavailable(Outage::Forwards));
        }
        all.insert(id, of_this + 1);
        Ok(Place { forwards: Arc::clone(self), id })
    }

    fn vain(&self) -> MutexGuard<'_, HashMap<i64, Instant>> {
        self.vain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn was_vain(&self, id: i64) -> bool {
        self.vain().get(&id).is_some_and(|at| at.elapsed() < VAIN)
    }

    fn note_vain(&self, id: i64) {
        let mut vain = self.vain();
        if vain.len() >= MOST_VAIN {
            vain.retain(|_, at| at.elapsed() < VAIN);
        }
        if vain.len() < MOST_VAIN {
            vain.insert(id, Instant::now());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.forwards.under_way();
        if let Some(many) = all.get_mut(&self.id) {
            *many -= 1;
            if *many == 0 {
                all.remove(&self.id);
            }
        }
    }
}

impl App {
    /// Passes a request on to the API of a connection's provider. `below` is where that API is to be found here
    /// (`/proxy/7`): redirects are written anew with it.
    ///
    /// `NotPassed` and `NoToken` say why nothing came of it; `Unavailable` when too many are under way.
    pub async fn pass_on(&self, caller: &Caller, id: i64, below: &str, request: Request) -> Result<Passed> {
        caller.need(Scope::ConnectionsToken)?;
        let Request { head, path, query, body } = request;
        head.check(&path)?;
        let place = self.forwards.enter(id)?;
        let used = self.token_to_use(caller, id).await;
        self.metrics.handed_out(used.as_ref().map_or_else(HandOut::of, |_| HandOut::Ok));
        let (connection, given) = used?;
        let (provider, target) = self.target(&connection, &given, &path, query.as_deref())?;
        self.count_hand_out(caller, id);
        let idle = self.settings.proxy_idle;
        let may_go_again = body.is_none();
        let mut answer = self.engine.forward(&provider, &given.access_token, &target, &head, body, idle).await?;
        if answer.status() == 401
            && may_go_again
            && let Some(given) = self.renewed(caller, id, &given).await?
        {
            // What came with the new token may say another address.
            let (provider, target) = self.target(&connection, &given, &path, query.as_deref())?;
            answer = self.engine.forward(&provider, &given.access_token, &target, &head, None, idle).await?;
            if answer.status() == 401 {
                self.forwards.note_vain(id);
            }
        }
        let headers = answer.headers(below)?;
        let (status, length) = (answer.status(), answer.length());
        Ok(Passed { status, headers, length, parts: answer.into_parts(idle, place) })
    }

    /// A token that is good for a while; where the provider's live shorter than that, one that is good for half as long.
    async fn token_to_use(&self, caller: &Caller, id: i64) -> Result<(Connection, HandedOut)> {
        match self.fresh_token(caller, id, MIN_TTL_MS).await {
            Err(Error::NoToken { why: NoToken::TooShortLived { lifetime_s, .. }, .. }) => {
                self.fresh_token(caller, id, lifetime_s.saturating_mul(500)).await
            }
            done => done,
        }
    }

    /// The provider, and where the request goes.
    fn target(
        &self,
        connection: &Connection,
        given: &HandedOut,
        path: &str,
        query: Option<&str>,
    ) -> Result<(Resolved, Target)> {
        let faults_of = |error: Error| match error {
            Error::Invalid(faults) => {
                let paths: Vec<String> = faults.into_iter().map(|fault| fault.path).collect();
                NotPassed::NoAddress(paths.join(", ")).into()
            }
            other => other,
        };
        let provider = self.db.read(|read| Registration::provider_of(read, connection)).map_err(faults_of)?;
        let base = provider.api_base(&given.extra).ok_or(NotPassed::NoApi)?.map_err(faults_of)?;
        let target = Target::below(&base, path, query)?;
        Ok((provider, target))
    }

    /// Another token in the place of one that the API turns down; `None`: there is none to be had, or no reason to believe
    /// that it would help. A grant that turns out to be gone is an error.
    async fn renewed(&self, caller: &Caller, id: i64, used: &HandedOut) -> Result<Option<HandedOut>> {
        let age = self.db.now().0 - used.issued_at.0;
        if age < FRESH_MS || self.forwards.was_vain(id) {
            return Ok(None);
        }
        self.refresh(id, Wanted::Refused(used.version), PATIENCE).await?;
        match self.token_to_use(caller, id).await {
            Ok((_, given)) if given.version != used.version => Ok(Some(given)),
            Err(error @ Error::NoToken { why: NoToken::NeedsReauthorization | NoToken::NotConnected, .. }) => {
                Err(error)
            }
            Ok(_) | Err(Error::NoToken { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
