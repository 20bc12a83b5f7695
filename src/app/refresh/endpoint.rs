//! How a token endpoint is treated: not asked more often than it allows, and left alone while it is down.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _};

use crate::oauth::catalogue::Throttle;

/// After so many failures in a row an endpoint is left alone.
const TRIPS_AT: u32 = 5;
/// For how long at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// A provider that asks for a longer rest than this gets this.
const LONGEST_REST: Duration = Duration::from_hours(1);
/// More endpoints than these are not remembered.
const MOST: usize = 4096;

/// The endpoints that were asked lately.
#[derive(Default)]
pub(super) struct Endpoints(Mutex<HashMap<String, Arc<Endpoint>>>);

impl Endpoints {
    /// The endpoint at this address.
    pub(super) fn at(&self, url: &str, throttle: Option<Throttle>) -> Arc<Endpoint> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.get(url)
            && found.allowed == throttle
        {
            return Arc::clone(found);
        }
        if all.len() >= MOST {
            all.retain(|_, endpoint| Arc::strong_count(endpoint) > 1);
        }
        let endpoint = Arc::new(Endpoint::new(throttle));
        all.insert(url.to_owned(), Arc::clone(&endpoint));
        endpoint
    }

    /// How many are left alone just now.
    pub(super) fn count_open(&self) -> usize {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        all.values().filter(|endpoint| endpoint.breaker().until.is_some_and(|until| until > now)).count()
    }
}

/// One token endpoint.
pub(super) struct Endpoint {
    allowed: Option<Throttle>,
    limiter: Option<DefaultDirectRateLimiter>,
    breaker: Mutex<Breaker>,
}

#[derive(Default)]
struct Breaker {
    failures: u32,
    until: Option<Instant>,
    /// One request is on its way to see whether it works again.
    trial: bool,
}

impl Endpoint {
    fn new(throttle: Option<Throttle>) -> Self {
        let limiter = throttle.and_then(quota).map(RateLimiter::direct);
        Self { allowed: throttle, limiter, breaker: Mutex::default() }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it may be asked; if not, how long to leave it alone.
    pub(super) fn admit(&self) -> Result<(), Duration> {
        let mut breaker = self.breaker();
        let Some(until) = breaker.until else { return Ok(()) };
        let now = Instant::now();
        if until > now {
            return Err(until - now);
        }
        if breaker.trial {
            return Err(Duration::from_secs(2));
        }
        breaker.trial = true;
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

    /// It answered, whatever it said.
    pub(super) fn works(&self) {
        *self.breaker() = Breaker::default();
    }

    /// It was admitted and not asked after all.
    pub(super) fn not_asked(&self) {
        self.breaker().trial = false;
    }

    /// It did not answer, or that it cannot just now; perhaps it said for how long.
    pub(super) fn fails(&self, retry_after: Option<Duration>) {
        let mut breaker = self.breaker();
        if breaker.until.is_some_and(|until| until > Instant::now()) {
            // It was asked before that was known: no news.
            return;
        }
        breaker.failures = breaker.failures.saturating_add(1);
        breaker.trial = false;
        let pause = match retry_after {
            Some(wanted) => Some(wanted.min(LONGEST_REST)),
            None if breaker.failures >= TRIPS_AT => {
                let doublings = (breaker.failures - TRIPS_AT).min(10);
                Some((FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE))
            }
            None => None,
        };
        if let Some(pause) = pause {
            breaker.until = Some(Instant::now() + pause);
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

    #[test]
    fn an_endpoint_that_fails_is_left_alone_and_tried_by_one() {
        let endpoint = Endpoint::new(None);
        for _ in 0..TRIPS_AT - 1 {
            endpoint.fails(None);
            assert!(endpoint.admit().is_ok());
        }
        endpoint.fails(None);
        assert!(endpoint.admit().is_err());
        endpoint.breaker().until = Some(Instant::now());
        assert!(endpoint.admit().is_ok(), "one goes and sees");
        assert!(endpoint.admit().is_err(), "and only one");
        endpoint.works();
        assert!(endpoint.admit().is_ok() && endpoint.admit().is_ok());
        endpoint.fails(Some(Duration::from_secs(7)));
        assert!(endpoint.admit().is_err_and(|pause| pause > Duration::from_secs(6)), "it said so itself");
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
