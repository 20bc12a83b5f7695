//! When a grant is refreshed. The numbers of a provider move that time; they never make Grantry send more than a polite
//! client would: a wrong number makes the result worse, not the load.

use crate::{
    domain::{
        Result, Timestamp,
        grant::{Grant, MIN_REFRESH_INTERVAL_MS},
    },
    oauth::{catalogue::Resolved, wire::StatedLifetime},
};

use super::flight::random_below;

/// The longest interval between two attempts that nothing else asks for: 30 minutes.
pub(super) const MAX_BACKOFF_MS: i64 = 30 * 60 * 1000;
/// A grant whose lifetime is unknown is refreshed this often: once a day.
pub(in crate::app) const UNKNOWN_LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;
/// Between a fifth and a quarter of the lifetime before the access token expires, so that grants of one moment spread.
const AHEAD_PERCENT: (i64, i64) = (20, 25);
/// At least this long before, where half of the lifetime is longer.
const MIN_AHEAD_MS: i64 = 60 * 1000;
/// `Retry-After` binds a connection without a valid access token for at most this long: 15 minutes.
const MAX_WAIT_WITHOUT_TOKEN_MS: i64 = 15 * 60 * 1000;

/// How long an access token is valid, and what follows from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) struct Validity {
    /// When the access token expires; `None`: unknown.
    pub expires_at: Option<Timestamp>,
    /// The lifetime that the provider last stated for this grant, in milliseconds.
    pub stated_lifetime_ms: Option<i64>,
    /// Successive answers whose token lives shorter than [`MIN_REFRESH_INTERVAL_MS`].
    pub short_lived: u32,
}

impl Validity {
    /// The validity of a token that came at `received_at`. What the answer states goes first if it is positive, then what
    /// was last stated for this grant (`before`), then the provider's default.
    pub(in crate::app) fn of(
        provider: &Resolved,
        stated: &StatedLifetime,
        received_at: Timestamp,
        before: Option<&Grant>,
    ) -> Self {
        let stated_lifetime_ms = match stated {
            StatedLifetime::Until(at) => Some(at.0.saturating_sub(received_at.0)),
            StatedLifetime::Absent | StatedLifetime::Invalid(_) => before.and_then(|grant| grant.stated_lifetime_ms),
        };
        let lifetime_ms = stated_lifetime_ms.or_else(|| provider.default_lifetime_ms());
        let successive = before.map_or(0, |grant| grant.short_lived).saturating_add(1);
        Self {
            expires_at: lifetime_ms.map(|lifetime_ms| received_at.plus_ms(lifetime_ms)),
            stated_lifetime_ms,
            short_lived: if lifetime_ms.is_some_and(|ms| ms < MIN_REFRESH_INTERVAL_MS) { successive } else { 0 },
        }
    }

    /// The lifetime of an access token that came at `received_at`, in milliseconds; `None`: unknown.
    pub(in crate::app) fn lifetime_ms(&self, received_at: Timestamp) -> Option<i64> {
        self.expires_at.map(|end| end.0.saturating_sub(received_at.0))
    }

    /// When to refresh a grant whose access token came at `received_at`; `None`: never. `refreshed`: by a refresh, so that
    /// the next one keeps its distance.
    pub(in crate::app) fn due_at(
        &self,
        provider: &Resolved,
        received_at: Timestamp,
        refreshable: bool,
        refreshed: bool,
    ) -> Result<Option<Timestamp>> {
        let due = due_at(provider, received_at, self.expires_at, refreshable)?;
        if !refreshable || !refreshed {
            return Ok(due);
        }
        // Doubled while tokens stay short-lived.
        let doublings = self.short_lived.saturating_sub(1).min(20);
        let interval = (MIN_REFRESH_INTERVAL_MS << doublings).min(MAX_BACKOFF_MS);
        Ok(due.map(|due| due.max(received_at.plus_ms(interval))))
    }
}

/// When to refresh a grant whose access token came at `issued_at`: ahead of its expiry, and often enough that the refresh
/// token does not expire unused. Without a refresh token: when the access token expires, to notice it.
pub(in crate::app) fn due_at(
    provider: &Resolved,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
    refreshable: bool,
) -> Result<Option<Timestamp>> {
    if !refreshable {
        return Ok(expires_at);
    }
    let percent = AHEAD_PERCENT.0 * 100 + random_below((AHEAD_PERCENT.1 - AHEAD_PERCENT.0) * 100)?;
    let part = |lifetime: i64| lifetime / 10_000 * percent + lifetime % 10_000 * percent / 10_000;
    let before_end = match expires_at {
        None => issued_at.plus_ms(UNKNOWN_LIFETIME_MS - part(UNKNOWN_LIFETIME_MS) / 10),
        Some(end) => {
            let lifetime = (end.0 - issued_at.0).max(0);
            end.plus_ms(-part(lifetime).max((lifetime / 2).min(MIN_AHEAD_MS)))
        }
    };
    let unused = provider.entry().refresh_token_idle_s.map(|idle| {
        let idle = i64::try_from(idle).unwrap_or(i64::MAX / 4000).min(i64::MAX / 4000);
        issued_at.plus_ms(idle * 800)
    });
    Ok(Some(unused.map_or(before_end, |unused| unused.min(before_end))))
}

/// When to try again after a failure: after 30 seconds, doubled with each failure in a row up to 30 minutes, and not before
/// the provider wants it. `retry_after_ms` counts in full while the access token is valid, and for 15 minutes at most after
/// it expired.
pub(super) fn retry_at(grant: &Grant, now: Timestamp, retry_after_ms: Option<i64>) -> Result<Timestamp> {
    let backoff = (MIN_REFRESH_INTERVAL_MS << grant.failures.min(20)).min(MAX_BACKOFF_MS);
    let limit = match grant.expires_at {
        None => i64::MAX,
        Some(end) => (end.0.max(now.0) - now.0).saturating_add(MAX_WAIT_WITHOUT_TOKEN_MS),
    };
    let wanted = retry_after_ms.map_or(backoff, |wanted| wanted.min(limit).max(backoff));
    // Grants that failed together are not tried again together.
    let spread = wanted.saturating_add(random_below(wanted / 4 + 1)?);
    Ok(now.plus_ms(spread.min(limit.max(backoff + backoff / 4))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{domain::grant::GrantType, oauth::catalogue::Entry};

    const HERE: Timestamp = Timestamp(1_700_000_000_000);

    fn provider(more: &str) -> Resolved {
        let json = format!(r#"{{"slug":"a","name":"A","token_url":"https://a.example/t"{more}}}"#);
        let entry = Entry::parse(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
        entry.resolve(&BTreeMap::new(), &BTreeMap::new()).expect("no variables")
    }

    fn grant() -> Grant {
        Grant {
            connection_id: 1,
            grant_type: GrantType::AuthorizationCode,
            version: 1,
            token_type: "Bearer".to_owned(),
            scope: None,
            granted_at: HERE,
            issued_at: HERE,
            expires_at: None,
            refreshable: true,
            refresh_issued_at: None,
            refresh_expires_at: None,
            due_at: None,
            uncertain_at: None,
            failures: 0,
            blame: None,
            last_attempt_at: None,
            last_result: None,
            last_refreshed_at: None,
            skew_ms: None,
            handed_out: 0,
            handed_out_at: None,
            stated_lifetime_ms: None,
            short_lived: 0,
            refused_since: None,
            failure: None,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn validity_comes_from_the_answer_then_from_the_grant_then_from_the_definition() {
        let until = |ms| StatedLifetime::Until(HERE.plus_ms(ms));
        let (absent, invalid) = (StatedLifetime::Absent, StatedLifetime::Invalid("0".to_owned()));
        let known = Grant { stated_lifetime_ms: Some(7_200_000), ..grant() };
        let with_default = provider(r#","default_lifetime_s":60"#);
        for (provider, stated, before, expires, lifetime) in [
            (&provider(""), &absent, None, None, None),
            (&provider(""), &invalid, Some(&grant()), None, None),
            (&with_default, &invalid, Some(&grant()), Some(60_000), None),
            (&with_default, &absent, Some(&known), Some(7_200_000), Some(7_200_000)),
            (&with_default, &until(5_000), Some(&known), Some(5_000), Some(5_000)),
        ] {
            let validity = Validity::of(provider, stated, HERE, before);
            assert_eq!(validity.expires_at, expires.map(|ms| HERE.plus_ms(ms)), "{stated:?}");
            assert_eq!(validity.stated_lifetime_ms, lifetime, "{stated:?}");
        }
    }

    #[test]
    fn an_unknown_lifetime_is_refreshed_once_a_day() {
        for _ in 0..50 {
            let due = due_at(&provider(""), HERE, None, true).expect("random").expect("due");
            assert!((due.0 - HERE.0) > UNKNOWN_LIFETIME_MS * 9 / 10 && (due.0 - HERE.0) <= UNKNOWN_LIFETIME_MS);
        }
        assert_eq!(due_at(&provider(""), HERE, None, false).expect("random"), None);
    }

    /// Plays a provider that answers each refresh with the next of `lifetimes`, in virtual time; answers when refreshes
    /// were sent.
    fn play(provider: &Resolved, lifetimes: &[StatedLifetime], until_ms: i64) -> Vec<i64> {
        let (mut now, mut sent, mut grant) = (HERE, Vec::new(), grant());
        for stated in lifetimes.iter().cycle() {
            let moved = match stated {
                StatedLifetime::Until(at) => StatedLifetime::Until(now.plus_ms(at.0)),
                other => other.clone(),
            };
            let validity = Validity::of(provider, &moved, now, Some(&grant));
            let due = validity.due_at(provider, now, true, true).expect("random").expect("due");
            grant = Grant {
                issued_at: now,
                stated_lifetime_ms: validity.stated_lifetime_ms,
                short_lived: validity.short_lived,
                ..grant
            };
            now = due;
            if now.0 - HERE.0 > until_ms {
                return sent;
            }
            sent.push(now.0 - HERE.0);
        }
        sent
    }

    #[test]
    fn short_lived_tokens_double_the_interval_up_to_the_backoff() {
        let sent = play(&provider(""), &[StatedLifetime::Until(Timestamp(1))], 4 * 60 * 60 * 1000);
        let minutes: Vec<i64> = sent.iter().map(|ms| ms / 30_000).collect();
        assert_eq!(minutes[..6], [1, 3, 7, 15, 31, 63]);
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] <= MAX_BACKOFF_MS));
    }

    proptest! {
        #[test]
        fn no_lifetimes_make_two_refreshes_come_within_the_least_interval(
            lifetimes in prop::collection::vec(
                prop_oneof![
                    Just(StatedLifetime::Absent),
                    Just(StatedLifetime::Invalid("-1".to_owned())),
                    (1_i64..600_000).prop_map(|ms| StatedLifetime::Until(Timestamp(ms))),
                    (1_i64..100).prop_map(|ms| StatedLifetime::Until(Timestamp(ms))),
                ],
                1..8,
            ),
            default in prop_oneof![Just(""), Just(r#","default_lifetime_s":1"#), Just(r#","refresh_token_idle_s":1"#)],
        ) {
            let sent = play(&provider(default), &lifetimes, 60 * 60 * 1000);
            for pair in sent.windows(2) {
                prop_assert!(pair[1] - pair[0] >= MIN_REFRESH_INTERVAL_MS, "{:?}", sent);
            }
        }

        #[test]
        fn no_retry_after_holds_up_a_connection_without_a_token_for_long(
            retry_after in prop::option::of(0_i64..i64::MAX / 2),
            failures in 0_u32..100,
            expires in prop::option::of(-1_000_000_i64..1_000_000),
        ) {
            let grant = Grant { failures, expires_at: expires.map(|ms| HERE.plus_ms(ms)), ..grant() };
            let at = retry_at(&grant, HERE, retry_after).expect("random");
            prop_assert!(at.0 - HERE.0 >= MIN_REFRESH_INTERVAL_MS);
            if let Some(end) = expires {
                prop_assert!(at.0 - HERE.0 <= (end.max(0) + MAX_WAIT_WITHOUT_TOKEN_MS).max(MAX_BACKOFF_MS * 5 / 4));
            }
        }
    }
}
