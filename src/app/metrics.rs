//! What this server counts, for whoever watches it. Counters alone: no name, id, address or token has a place here.

use std::sync::atomic::{AtomicU64, Ordering};

use super::App;
use crate::{
    domain::{
        Error, Result,
        grant::{Blame, NoToken},
    },
    store,
};

/// What came of asking for an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOut {
    /// It was handed out.
    Ok,
    /// There is no grant.
    NotConnected,
    /// The grant is gone.
    NeedsReauthorization,
    /// The provider turns the app's secret down.
    AppSecretRejected,
    /// The provider, or the way to it, is out.
    ProviderUnavailable,
    /// No token lives as long as the caller needs one.
    TooShortLived,
    /// The caller may not, or named nothing that is there.
    Refused,
    /// We could not: the database takes nothing, or a mistake of ours.
    Failed,
}

impl HandOut {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::NotConnected,
        Self::NeedsReauthorization,
        Self::AppSecretRejected,
        Self::ProviderUnavailable,
        Self::TooShortLived,
        Self::Refused,
        Self::Failed,
    ];

    /// What an error amounts to.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::NoToken { why, .. } => match why {
                NoToken::NotConnected => Self::NotConnected,
                NoToken::NeedsReauthorization => Self::NeedsReauthorization,
                NoToken::AppSecretRejected => Self::AppSecretRejected,
                NoToken::ProviderUnavailable { .. } => Self::ProviderUnavailable,
                NoToken::TooShortLived { .. } => Self::TooShortLived,
            },
            Error::Unavailable { .. } | Error::Internal(_) => Self::Failed,
            _ => Self::Refused,
        }
    }

    /// The word; where the caller was told one, that.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotConnected => "not_connected",
            Self::NeedsReauthorization => "needs_reauthorization",
            Self::AppSecretRejected => "app_secret_rejected",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::TooShortLived => "token_too_short_lived",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What came of an attempt to deliver an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryResult {
    /// It arrived.
    Delivered,
    /// It did not, and will be tried again.
    Failed,
    /// It did not, and will not be tried again.
    GivenUp,
}

impl DeliveryResult {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::GivenUp];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        }
    }
}

/// A part of the HTTP interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// `/api`.
    Api,
    /// `/Thingworx`.
    Flow,
    /// `/documents`.
    Documents,
    /// `/oauth`.
    OAuth,
    /// The rest.
    Site,
}

impl Surface {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Api, Self::Flow, Self::Documents, Self::OAuth, Self::Site];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Flow => "flow",
            Self::Documents => "documents",
            Self::OAuth => "oauth",
            Self::Site => "site",
        }
    }
}

/// The blames that a refresh can have; `None`: it worked.
pub const BLAMES: [Option<Blame>; 5] =
    [None, Some(Blame::App), Some(Blame::Grant), Some(Blame::Provider), Some(Blame::Network)];

/// The classes of a status: 1xx to 5xx.
const CLASSES: usize = 5;

/// The counters. They begin at 0 with the process.
#[derive(Debug, Default)]
pub struct Metrics {
    refreshes: [AtomicU64; BLAMES.len()],
    hand_outs: [AtomicU64; HandOut::ALL.len()],
    deliveries: [AtomicU64; DeliveryResult::ALL.len()],
    requests: [[AtomicU64; CLASSES]; Surface::ALL.len()],
    breakers_open: AtomicU64,
}

/// The counter of `item`, which stands in `all`.
fn at<'a, T: PartialEq, C>(counters: &'a [C], all: &[T], item: &T) -> Option<&'a C> {
    counters.get(all.iter().position(|other| other == item)?)
}

fn add(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn read(counter: Option<&AtomicU64>) -> u64 {
    counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
}

impl Metrics {
    /// Counts a refresh: `None` worked, else who is to blame.
    pub fn refresh_done(&self, blame: Option<Blame>) {
        add(at(&self.refreshes, &BLAMES, &blame));
    }

    /// Counts a caller who asked for an access token.
    pub fn handed_out(&self, result: HandOut) {
        add(at(&self.hand_outs, &HandOut::ALL, &result));
    }

    /// Counts an attempt to deliver an event.
    pub fn delivery_tried(&self, result: DeliveryResult) {
        add(at(&self.deliveries, &DeliveryResult::ALL, &result));
    }

    /// Counts a request that was answered with this status.
    pub fn request_answered(&self, surface: Surface, status: u16) {
        let class = usize::from(status / 100).clamp(1, CLASSES) - 1;
        add(at(&self.requests, &Surface::ALL, &surface).and_then(|classes| classes.get(class)));
    }

    /// Says how many circuit breakers are open.
    pub fn set_breakers_open(&self, count: u64) {
        self.breakers_open.store(count, Ordering::Relaxed);
    }

    /// How many refreshes had this outcome.
    pub fn refreshes(&self, blame: Option<Blame>) -> u64 {
        read(at(&self.refreshes, &BLAMES, &blame))
    }

    /// How many callers who asked for an access token had this outcome.
    pub fn hand_outs(&self, result: HandOut) -> u64 {
        read(at(&self.hand_outs, &HandOut::ALL, &result))
    }

    /// How many attempts to deliver had this outcome.
    pub fn deliveries(&self, result: DeliveryResult) -> u64 {
        read(at(&self.deliveries, &DeliveryResult::ALL, &result))
    }

    /// How many requests to a surface were answered with a status of each class: `2xx` and how many.
    pub fn requests(&self, surface: Surface) -> impl Iterator<Item = (&'static str, u64)> {
        const NAMES: [&str; CLASSES] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let classes = at(&self.requests, &Surface::ALL, &surface);
        NAMES.into_iter().enumerate().map(move |(n, name)| (name, read(classes.and_then(|classes| classes.get(n)))))
    }

    /// How many circuit breakers are open.
    pub fn breakers_open(&self) -> u64 {
        self.breakers_open.load(Ordering::Relaxed)
    }
}

pub use store::{counts::Counts, sqlite_version};

impl App {
    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Counts what the database holds. It looks at every connection: to be asked every few seconds at most. For whoever may
    /// see numbers and nothing else, so it asks for no caller.
    pub async fn count(&self) -> Result<Counts> {
        self.db.scan(store::counts::all).await
    }

    /// How many writes wait for the writer.
    pub fn writes_waiting(&self) -> usize {
        self.db.writes_waiting()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Noun, Outage, user::Scope};

    #[test]
    fn each_outcome_has_a_counter_of_its_own() {
        let metrics = Metrics::default();
        for (n, blame) in BLAMES.into_iter().enumerate() {
            (0..=n).for_each(|_| metrics.refresh_done(blame));
        }
        for (n, result) in HandOut::ALL.into_iter().enumerate() {
            (0..=n).for_each(|_| metrics.handed_out(result));
        }
        for (n, result) in DeliveryResult::ALL.into_iter().enumerate() {
            (0..=n).for_each(|_| metrics.delivery_tried(result));
        }
        let refused = [Error::not_found(Noun::Connection, 1), Error::Forbidden(Scope::ConnectionsToken)];
        assert!(refused.iter().all(|error| HandOut::of(error) == HandOut::Refused));
        assert_eq!(HandOut::of(&Error::unavailable(Outage::Storage)), HandOut::Failed);
        let too_short =
            Error::NoToken { why: NoToken::TooShortLived { lifetime_s: 1, retry_after_s: 0 }, connect_url: None };
        assert_eq!(HandOut::of(&too_short), HandOut::TooShortLived);
        assert_eq!(BLAMES.map(|blame| metrics.refreshes(blame)), [1, 2, 3, 4, 5]);
        assert_eq!(HandOut::ALL.map(|result| metrics.hand_outs(result)), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(DeliveryResult::ALL.map(|result| metrics.deliveries(result)), [1, 2, 3]);
        for status in [99, 200, 204, 404, 500, 599, 600] {
            metrics.request_answered(Surface::OAuth, status);
        }
        let counted: Vec<u64> = metrics.requests(Surface::OAuth).map(|(_, count)| count).collect();
        assert_eq!(counted, [1, 2, 0, 1, 3]);
        assert!(metrics.requests(Surface::Api).all(|(_, count)| count == 0));
    }
}
