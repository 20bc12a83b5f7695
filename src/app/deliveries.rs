//! Carries events to webhooks: signed, each until it has arrived or was tried for two days.
//!
//! A delivery is sent at least once: what was sent and not written down before the process ended is sent again, and ids
//! let a receiver drop what it has seen. There is no order. One delivery at a time goes to one webhook, and a few
//! places are kept for those whose last delivery arrived, so that receivers that hang delay nobody else.

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::{App, credential::hex, events, metrics::DeliveryResult};
use crate::{
    domain::{
        Error, Result, Secret, Timestamp,
        webhook::{DeliveryStatus, MOST_DELAY_MS, delay_ms},
    },
    store::{self, deliveries::First},
};

/// How many deliveries are under way at once.
const PLACES: usize = 8;
/// How many of them may go to webhooks whose last delivery did not arrive.
const PLACES_FOR_FAILING: usize = 6;
/// How long a receiver may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// It looks at least so often, whatever the clock does.
const LOOK: Duration = Duration::from_secs(2);
/// After the database said no: what was sent could not be written down, and would be sent again at once.
const PAUSE: Duration = Duration::from_mins(1);
/// How many pings are under way at once.
const PINGS: usize = 2;

/// Places for pings.
#[derive(Debug)]
pub(super) struct Pings(Semaphore);

impl Default for Pings {
    fn default() -> Self {
        Self(Semaphore::new(PINGS))
    }
}

impl Pings {
    /// A place, held until it is dropped.
    pub(super) fn place(&self) -> Result<SemaphorePermit<'_>> {
        self.0.try_acquire().map_err(|_| Error::TooMany { retry_after: DEADLINE })
    }
}

/// What is sent.
#[derive(Debug)]
pub(super) struct Letter {
    delivery_id: i64,
    kind: &'static str,
    body: String,
}

impl Letter {
    /// What a test sends: it has the id 0.
    pub(super) fn ping(now: Timestamp) -> Self {
        let at = events::time(now);
        let body = json!({"id": 0, "type": "ping", "at": at, "connection": null, "profile": null, "detail": {}});
        Self { delivery_id: 0, kind: "ping", body: body.to_string() }
    }
}

/// The header that proves a body: HMAC-SHA256 (RFC 2104) over the time, a dot and the body, under the webhook's secret.
fn signature(secret: &Secret, seconds: i64, body: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).map_err(Error::internal)?;
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    Ok(format!("t={seconds},v1={}", hex(&mac.finalize().into_bytes())))
}

impl App {
    /// Sends a letter: the status where the receiver took it, else what came instead.
    pub(super) async fn post(&self, url: &str, secret: &Secret, letter: &Letter) -> Result<String, String> {
        let signature = signature(secret, self.db.now().0.div_euclid(1000), &letter.body).map_err(|e| e.to_string())?;
        let headers = [
            ("grantry-signature", signature.as_str()),
            ("grantry-event", letter.kind),
            ("grantry-delivery", &letter.delivery_id.to_string()),
        ];
        match self.engine.post_json(url, &headers, letter.body.clone(), DEADLINE).await {
            Ok(status @ 200..=299) => Ok(status.to_string()),
            Ok(status) => Err(status.to_string()),
            Err(reason) => Err(reason),
        }
    }

    /// Tries one delivery, and answers its webhook and whether it arrived.
    async fn attempt(self: Arc<Self>, first: First) -> (i64, bool) {
        match self.try_once(first).await {
            Ok(arrived) => (first.webhook_id, arrived),
            Err(error) => {
                tracing::warn!(%error, delivery = first.id, "a delivery could not be read or written down");
                tokio::time::sleep(PAUSE).await;
                (first.webhook_id, false)
            }
        }
    }

    async fn try_once(&self, first: First) -> Result<bool> {
        let (load, secret) = self.db.read(|read| {
            let load = store::deliveries::find_waiting(read, first.id)?;
            Ok((load, store::webhooks::open_secret(read, first.webhook_id)))
        })?;
        // Removed, or settled, since it was chosen.
        let Some(load) = load else { return Ok(true) };
        let letter = Letter {
            delivery_id: first.id,
            kind: load.event.kind.as_str(),
            body: events::to_json(&load.event)?.to_string(),
        };
        let sent = match secret {
            Ok(secret) => self.post(&load.url, &secret, &letter).await,
            Err(_) => Err("the secret does not open".to_owned()),
        };
        let attempt = load.attempts.saturating_add(1);
        let delay = if sent.is_ok() { None } else { delay_ms(attempt, jitter()?) };
        let (arrived, result) = (sent.is_ok(), sent.unwrap_or_else(|result| result));
        let status = match (arrived, delay) {
            (true, _) => DeliveryStatus::Delivered,
            (false, Some(_)) => DeliveryStatus::Waiting,
            (false, None) => DeliveryStatus::Dead,
        };
        let (webhook, delivery) = (load.webhook_id, first.id);
        match status {
            DeliveryStatus::Delivered => tracing::debug!(webhook, delivery, result, "delivered"),
            DeliveryStatus::Waiting => tracing::info!(webhook, delivery, attempt, result, "not delivered"),
            DeliveryStatus::Dead => tracing::warn!(webhook, delivery, attempt, result, "a delivery is given up"),
        }
        self.metrics.delivery_tried(match status {
            DeliveryStatus::Delivered => DeliveryResult::Delivered,
            DeliveryStatus::Waiting => DeliveryResult::Failed,
            DeliveryStatus::Dead => DeliveryResult::GivenUp,
        });
        let written = self.db.write(move |tx| {
            let next_at = delay.map(|delay| tx.now().plus_ms(delay));
            store::deliveries::tried(tx, delivery, load.attempts, status, next_at, &result)
        });
        written.await?;
        Ok(arrived)
    }
}

/// Carries deliveries until the app is gone; one bug is not the end of it. It may be dropped at any time; what was under way
/// then is sent again later.
pub(super) async fn carry_on(app: Weak<App>) {
    let Some(queued) = app.upgrade().map(|app| app.db.queued()) else { return };
    while AssertUnwindSafe(carry(&app, &queued)).catch_unwind().await.is_err() {
        tokio::time::sleep(PAUSE).await;
    }
}

async fn carry(app: &Weak<App>, queued: &Notify) {
    let mut under_way = FuturesUnordered::new();
    let mut road = Road::default();
    loop {
        let Some(app) = app.upgrade() else { return };
        let wait = match app.db.read(|read| Ok((store::deliveries::first_of_each(read)?, read.now()))) {
            Ok((firsts, now)) => {
                let (go, wait) = road.choose(&firsts, now);
                under_way.extend(go.into_iter().map(|first| Arc::clone(&app).attempt(first)));
                wait
            }
            Err(error) => {
                tracing::warn!(%error, "deliveries cannot be looked at");
                PAUSE
            }
        };
        drop(app);
        tokio::select! {
            Some((webhook, arrived)) = under_way.next(), if !under_way.is_empty() => road.back(webhook, arrived),
            () = queued.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn jitter() -> Result<u16> {
    let mut random = [0; 2];
    getrandom::fill(&mut random).map_err(Error::internal)?;
    Ok(u16::from_be_bytes(random))
}

/// Who is on the way.
#[derive(Debug, Default)]
struct Road {
    /// Webhooks with a delivery under way.
    busy: HashSet<i64>,
    /// Webhooks whose last delivery did not arrive.
    failing: HashSet<i64>,
    /// When each webhook had its last turn, in turns.
    turns: HashMap<i64, u64>,
    turn: u64,
}

impl Road {
    /// Which of the first deliveries go now, and how long to wait for the next one.
    fn choose(&mut self, firsts: &[First], now: Timestamp) -> (Vec<First>, Duration) {
        // Who has nothing left to deliver is forgotten.
        let has_some = |webhook: &i64| firsts.iter().any(|first| first.webhook_id == *webhook);
        self.failing.retain(has_some);
        self.turns.retain(|webhook, _| has_some(webhook));
        let mut wait = LOOK;
        let mut go = Vec::new();
        for first in firsts.iter().filter(|first| !self.busy.contains(&first.webhook_id)) {
            let early = first.next_at.0.saturating_sub(now.0);
            // Further ahead than any delay: the clock has been set back since that was written.
            if early <= 0 || early > MOST_DELAY_MS {
                go.push(*first);
            } else {
                wait = wait.min(Duration::from_millis(early.unsigned_abs()));
            }
        }
        let is_failing = |first: &First| self.failing.contains(&first.webhook_id);
        // In turn: a webhook with thousands of deliveries does not stand before the others. Among those who had none, the
        // delivery that waits longest.
        go.sort_by_key(|first| (is_failing(first), self.turns.get(&first.webhook_id).copied().unwrap_or_default()));
        let (mut free, mut for_failing) = (
            PLACES.saturating_sub(self.busy.len()),
            PLACES_FOR_FAILING.saturating_sub(self.busy.intersection(&self.failing).count()),
        );
        go.retain(|first| {
            let fits = free > 0 && (for_failing > 0 || !is_failing(first));
            if fits {
                free -= 1;
                for_failing -= usize::from(is_failing(first));
            }
            fits
        });
        for first in &go {
            self.turn += 1;
            self.turns.insert(first.webhook_id, self.turn);
            self.busy.insert(first.webhook_id);
        }
        (go, wait)
    }

    /// Notes that a delivery to `webhook` is not under way any more.
    fn back(&mut self, webhook: i64, arrived: bool) {
        self.busy.remove(&webhook);
        if arrived {
            self.failing.remove(&webhook);
        } else {
            self.failing.insert(webhook);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(webhook_id: i64, next_at: i64) -> First {
        First { webhook_id, id: webhook_id * 100, next_at: Timestamp(next_at) }
    }

    fn webhooks(go: &[First]) -> Vec<i64> {
        go.iter().map(|first| first.webhook_id).collect()
    }

    #[test]
    fn one_delivery_at_a_time_goes_to_a_webhook_and_eight_in_all() {
        let mut road = Road::default();
        let all: Vec<First> = (1..=12).map(|webhook| first(webhook, 0)).collect();
        assert_eq!(webhooks(&road.choose(&all, Timestamp(0)).0), (1..=8).collect::<Vec<_>>());
        assert!(road.choose(&all, Timestamp(0)).0.is_empty());
        let mut next = |back| {
            road.back(back, true);
            webhooks(&road.choose(&all, Timestamp(0)).0)
        };
        assert_eq!((next(3), next(4), next(1), next(9), next(2)), (vec![9], vec![10], vec![11], vec![12], vec![1]));
    }

    #[test]
    fn those_that_fail_leave_places_for_those_that_do_not() {
        let mut road = Road::default();
        let failing: Vec<First> = (1..=10).map(|webhook| first(webhook, 0)).collect();
        for webhook in 1..=10 {
            road.back(webhook, false);
        }
        assert_eq!(road.choose(&failing, Timestamp(0)).0.len(), PLACES_FOR_FAILING);
        assert!(road.choose(&failing, Timestamp(0)).0.is_empty(), "two places stay free");
        let mut all = failing.clone();
        all.push(first(11, 0));
        assert_eq!(webhooks(&road.choose(&all, Timestamp(0)).0), [11]);
        road.back(2, false);
        road.back(1, true);
        assert_eq!(
            webhooks(&road.choose(&all, Timestamp(0)).0),
            [1, 7, 8],
            "two of the failing have left their places"
        );
    }

    #[test]
    fn it_waits_for_the_next_one_and_never_long() {
        let mut road = Road::default();
        let wait = |road: &mut Road, at| road.choose(&[first(1, at)], Timestamp(1_000)).1;
        assert_eq!(wait(&mut road, 1_250), Duration::from_millis(250));
        assert_eq!(wait(&mut road, 99_000), LOOK);
        assert_eq!(wait(&mut road, 1_000 + MOST_DELAY_MS), LOOK);
        assert!(!road.choose(&[first(1, i64::MIN)], Timestamp(1_000)).0.is_empty());
        road.back(1, false);
        assert!(!road.choose(&[first(1, 1_001 + MOST_DELAY_MS)], Timestamp(1_000)).0.is_empty(), "a clock set back");
        road.back(1, false);
        assert_eq!(road.choose(&[], Timestamp(0)), (Vec::new(), LOOK));
        assert!(road.failing.is_empty(), "nobody is remembered who has nothing left");
    }

    /// The figures of RFC 4231 §4.3 say that the function is the right one; what is signed is ours.
    #[test]
    fn what_is_signed_is_time_dot_body() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").expect("a key");
        mac.update(b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&mac.finalize().into_bytes()), expected);
        let signed = signature(&Secret::new("PLANTED"), 1_700_000_000, "{}").expect("signs");
        let mut mac = Hmac::<Sha256>::new_from_slice(b"PLANTED").expect("a key");
        mac.update(b"1700000000.{}");
        assert_eq!(signed, format!("t=1700000000,v1={}", hex(&mac.finalize().into_bytes())));
    }
}
