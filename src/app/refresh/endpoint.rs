//! How a token endpoint is treated on behalf of one client: no more requests than it allows, and few while it is down.
//! What one client ID causes does not concern another.

use std::{
    collections::{BTreeSet, HashMap},
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _};

use crate::oauth::catalogue::Throttle;

/// The circuit breaker opens after failures of this many grants with no success between them.
const GRANTS_TO_OPEN: usize = 2;
/// While it is open, one request goes out in this time to find out whether the endpoint works again.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// `Retry-After` for this many grants within [`LIMIT_WINDOW`] counts for all grants of the client.
const GRANTS_TO_PAUSE: usize = 3;
const LIMIT_WINDOW: Duration = Duration::from_mins(1);
/// The longest pause that `Retry-After` causes for all grants of a client.
const MAX_PAUSE: Duration = Duration::from_mins(15);
/// During such a pause one caller's request goes out in this time.
const CALLER_INTERVAL: Duration = Duration::from_mins(1);
/// Endpoints that are remembered.
const MAX_ENDPOINTS: usize = 4096;

/// The endpoints that requests were sent to lately, by address and client ID.
#[derive(Default)]
pub(super) struct Endpoints(Mutex<HashMap<(String, String), Arc<Endpoint>>>);

impl Endpoints {
    /// The endpoint at this address as this client uses it.
    pub(super) fn at(&self, url: &str, client_id: &str, throttle: Option<Throttle>) -> Arc<Endpoint> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (url.to_owned(), client_id.to_owned());
        if let Some(found) = all.get(&key)
            && found.allowed == throttle
        {
            return Arc::clone(found);
        }
        if all.len() >= MAX_ENDPOINTS {
            all.retain(|_, endpoint| Arc::strong_count(endpoint) > 1 || endpoint.breaker().is_open());
        }
        if all.len() >= 2 * MAX_ENDPOINTS {
            all.retain(|_, endpoint| Arc::strong_count(endpoint) > 1);
        }
        let endpoint = Arc::new(Endpoint::new(throttle));
        all.insert(key, Arc::clone(&endpoint));
        endpoint
    }

    /// The number of open circuit breakers.
    pub(super) fn count_open(&self) -> usize {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().filter(|endpoint| endpoint.breaker().is_open()).count()
    }
}

/// One token endpoint, for one client.
pub(super) struct Endpoint {
    allowed: Option<Throttle>,
    limiter: Option<DefaultDirectRateLimiter>,
    breaker: Mutex<Breaker>,
}

#[derive(Default)]
struct Breaker {
    /// The grants whose requests failed since the last success.
    failed: BTreeSet<i64>,
    /// When the last request of an open breaker was admitted, or the breaker opened; `None`: it is closed.
    open_since: Option<Instant>,
    /// Grants that were told to wait, with the moment of that.
    limited: Vec<(i64, Instant)>,
    /// Until when all grants of the client wait, and when a caller's request was last let through.
    pause: Option<(Instant, Instant)>,
}

impl Breaker {
    fn is_open(&self) -> bool {
        self.open_since.is_some() || self.pause.is_some_and(|(until, _)| until > Instant::now())
    }
}

impl Endpoint {
    fn new(throttle: Option<Throttle>) -> Self {
        let limiter = throttle.and_then(quota).map(RateLimiter::direct);
        Self { allowed: throttle, limiter, breaker: Mutex::default() }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request may be sent now; if not, how long to wait. `for_caller`: a caller waits for its answer.
    pub(super) fn admit(&self, for_caller: bool) -> Result<(), Duration> {
        let mut breaker = self.breaker();
        let now = Instant::now();
        if let Some((until, asked)) = breaker.pause
            && until > now
        {
            if !for_caller || now - asked < CALLER_INTERVAL {
                return Err(until - now);
            }
            breaker.pause = Some((until, now));
        }
        if let Some(last) = breaker.open_since {
            let next = last + PROBE_INTERVAL;
            if next > now {
                return Err(next - now);
            }
            breaker.open_since = Some(now);
        }
        Ok(())
    }

    /// Waits until its throttle has room.
    pub(super) async fn turn(&self) {
        let Some(limiter) = &self.limiter else { return };
        while let Err(busy) = limiter.check() {
            let wait = busy.wait_time_from(limiter.clock().now());
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }

    /// It gave a readable answer, whatever that said.
    pub(super) fn works(&self) {
        let mut breaker = self.breaker();
        breaker.failed.clear();
        breaker.open_since = None;
    }

    /// A request for this grant got no answer, an unreadable one, or status 5xx.
    pub(super) fn fails(&self, grant: i64) {
        let mut breaker = self.breaker();
        if breaker.failed.len() < GRANTS_TO_OPEN {
            breaker.failed.insert(grant);
        }
        if breaker.open_since.is_none() && breaker.failed.len() >= GRANTS_TO_OPEN {
            breaker.open_since = Some(Instant::now());
        }
    }

    /// An answer for this grant asked to wait (`Retry-After`).
    pub(super) fn limits(&self, grant: i64, retry_after: Duration) {
        let mut breaker = self.breaker();
        let now = Instant::now();
        breaker.limited.retain(|(other, at)| *other != grant && now - *at < LIMIT_WINDOW);
        breaker.limited.push((grant, now));
        if breaker.limited.len() >= GRANTS_TO_PAUSE {
            breaker.limited.clear();
            breaker.pause = Some((now + retry_after.min(MAX_PAUSE), now));
        }
    }
}

/// A tenth of what is allowed may come at once; with the rest evenly spread, no window of that length sees more than
/// what is allowed.
fn quota(throttle: Throttle) -> Option<Quota> {
    let burst = (throttle.requests / 10).max(1);
    let spread = (throttle.requests - burst.min(throttle.requests)).max(1);
    let period = Duration::from_secs(throttle.per_s.into()).checked_div(spread)?;
    Some(Quota::with_period(period)?.allow_burst(NonZeroU32::new(burst)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moves the moments of an open breaker and of a pause back by this.
    fn age(endpoint: &Endpoint, by: Duration) {
        let mut breaker = endpoint.breaker();
        breaker.open_since = breaker.open_since.and_then(|at| at.checked_sub(by));
        breaker.pause = breaker.pause.and_then(|(until, asked)| Some((until.checked_sub(by)?, asked.checked_sub(by)?)));
    }

    #[test]
    fn one_grant_alone_never_opens_the_breaker() {
        let endpoint = Endpoint::new(None);
        for _ in 0..100 {
            endpoint.fails(1);
            assert!(endpoint.admit(false).is_ok());
        }
        endpoint.works();
        endpoint.fails(2);
        assert!(endpoint.admit(true).is_ok(), "a success lies between the two");
    }

    #[test]
    fn an_open_breaker_admits_one_request_in_thirty_seconds() {
        let endpoint = Endpoint::new(None);
        endpoint.fails(1);
        endpoint.fails(2);
        for for_caller in [false, true] {
            assert!(endpoint.admit(for_caller).is_err_and(|wait| wait > Duration::from_secs(29)));
        }
        age(&endpoint, PROBE_INTERVAL);
        assert!(endpoint.admit(false).is_ok());
        assert!(endpoint.admit(true).is_err(), "one, and no other");
        endpoint.fails(3);
        assert!(endpoint.admit(false).is_err());
        endpoint.works();
        assert!(endpoint.admit(false).is_ok() && endpoint.admit(false).is_ok());
    }

    #[test]
    fn retry_after_of_three_grants_within_a_minute_pauses_the_client() {
        let (endpoint, wait) = (Endpoint::new(None), Duration::from_hours(1_000_000));
        for _ in 0..10 {
            endpoint.limits(1, wait);
            endpoint.limits(2, wait);
        }
        assert!(endpoint.admit(false).is_ok());
        endpoint.limits(3, wait);
        for for_caller in [false, true] {
            assert!(endpoint.admit(for_caller).is_err_and(|wait| wait <= MAX_PAUSE));
        }
        age(&endpoint, CALLER_INTERVAL);
        assert!(endpoint.admit(false).is_err());
        assert!(endpoint.admit(true).is_ok(), "one caller finds out");
        assert!(endpoint.admit(true).is_err());
        age(&endpoint, MAX_PAUSE);
        assert!(endpoint.admit(false).is_ok());
    }

    #[test]
    fn clients_of_one_address_do_not_share_a_breaker() {
        let endpoints = Endpoints::default();
        let mine = endpoints.at("https://a.example/t", "mine", None);
        mine.fails(1);
        mine.fails(2);
        assert_eq!(endpoints.count_open(), 1);
        assert!(endpoints.at("https://a.example/t", "mine", None).admit(false).is_err());
        assert!(endpoints.at("https://a.example/t", "other", None).admit(false).is_ok());
    }

    #[test]
    fn no_window_sees_more_than_the_throttle_allows() {
        for (requests, per_s) in [(1, 1), (10, 1), (100, 60), (3, 10)] {
            let quota = quota(Throttle { requests, per_s }).expect("a quota");
            let in_window = u128::from(quota.burst_size().get())
                + Duration::from_secs(per_s.into()).as_nanos() / quota.replenish_interval().as_nanos();
            assert!(in_window <= u128::from(requests.max(2)), "{requests} in {per_s} s: {in_window}");
        }
    }
}
