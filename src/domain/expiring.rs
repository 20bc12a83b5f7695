//! What comes to its end by itself, so that somebody can renew it before.

use super::{Timestamp, grant::Grant, profile::SecretKind};

/// Something that ends.
#[derive(Debug, Clone)]
pub struct Expiring {
    /// What.
    pub what: What,
    /// Why.
    pub why: Cause,
    /// When. What still is in its place has a time that is over.
    pub expires_at: Timestamp,
}

/// What ends.
#[derive(Debug, Clone)]
pub enum What {
    /// A client secret of a profile.
    ClientSecret {
        /// The profile.
        profile_id: i64,
        /// What it is called.
        name: String,
        /// The slug of its provider.
        provider: String,
        /// Which of its secrets.
        kind: SecretKind,
    },
    /// The refresh token of a connection.
    RefreshToken {
        /// The connection.
        connection_id: i64,
        /// What it is called.
        name: String,
        /// Whose account it is.
        owner: Option<String>,
        /// Its id in somebody else's system.
        external_id: Option<String>,
        /// The slug of its provider.
        provider: String,
    },
    /// The access token of a connection that has no refresh token: the account has to be connected again.
    AccessToken {
        /// The connection.
        connection_id: i64,
        /// Its name.
        name: String,
        /// The account's owner.
        owner: Option<String>,
        /// Its id in another system.
        external_id: Option<String>,
        /// The slug of its provider.
        provider: String,
    },
    /// A token for our own API.
    ApiToken {
        /// Its id.
        id: i64,
        /// What it is for.
        name: String,
        /// Whose it is.
        user_id: Option<i64>,
    },
}

/// Why something ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It was given an end.
    Expiry,
    /// A refresh token whose whole life is over, used or not.
    Absolute,
    /// A refresh token that nobody has used for too long.
    Idle,
}

impl Cause {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expiry => "expiry",
            Self::Absolute => "absolute",
            Self::Idle => "idle",
        }
    }
}

/// How long a provider lets a refresh token live, in milliseconds; `None`: as long as it likes, as far as we know.
#[derive(Debug, Clone, Copy, Default)]
pub struct RefreshLife {
    /// Since it was granted.
    pub absolute_ms: Option<i64>,
    /// Since it was last used.
    pub idle_ms: Option<i64>,
}

impl RefreshLife {
    /// Whether there is an end to it.
    pub fn is_limited(&self) -> bool {
        self.absolute_ms.is_some() || self.idle_ms.is_some()
    }
}

/// What counts for the end of a refresh token: the fields of [`Grant`] with the same names.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields of a grant")]
pub struct RefreshTimes {
    pub granted_at: Timestamp,
    pub refresh_issued_at: Option<Timestamp>,
    pub refresh_expires_at: Option<Timestamp>,
    pub due_at: Option<Timestamp>,
    pub failures: u32,
}

impl From<&Grant> for RefreshTimes {
    fn from(grant: &Grant) -> Self {
        Self {
            granted_at: grant.granted_at,
            refresh_issued_at: grant.refresh_issued_at,
            refresh_expires_at: grant.refresh_expires_at,
            due_at: grant.due_at,
            failures: grant.failures,
        }
    }
}

impl RefreshTimes {
    /// When the refresh token ends, and why; `None`: not as far as we know. Its idle life counts only where nothing uses it
    /// before: no refresh is planned in time, or the last ones failed.
    pub fn end(&self, life: RefreshLife) -> Option<(Timestamp, Cause)> {
        let whole = life.absolute_ms.map(|ms| self.granted_at.plus_ms(ms));
        let absolute = self.refresh_expires_at.into_iter().chain(whole).min().map(|at| (at, Cause::Absolute));
        let used_at = self.refresh_issued_at.unwrap_or(self.granted_at);
        let idle = life.idle_ms.map(|ms| used_at.plus_ms(ms)).filter(|end| {
            let in_time = self.due_at.is_some_and(|due| due < *end);
            !in_time || self.failures > 0
        });
        absolute.into_iter().chain(idle.map(|at| (at, Cause::Idle))).min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: RefreshTimes = RefreshTimes {
        granted_at: Timestamp(0),
        refresh_issued_at: Some(Timestamp(50)),
        refresh_expires_at: None,
        due_at: None,
        failures: 0,
    };

    #[test]
    fn a_refresh_token_ends_at_the_first_of_its_ends() {
        let check = |times: RefreshTimes, absolute_ms, idle_ms, expected: Option<(i64, Cause)>| {
            let end = times.end(RefreshLife { absolute_ms, idle_ms });
            assert_eq!(end, expected.map(|(at, why)| (Timestamp(at), why)), "{times:?}");
        };
        check(FRESH, None, None, None);
        check(FRESH, Some(100), None, Some((100, Cause::Absolute)));
        let told = RefreshTimes { refresh_expires_at: Some(Timestamp(70)), ..FRESH };
        check(told, None, None, Some((70, Cause::Absolute)));
        check(told, Some(60), None, Some((60, Cause::Absolute)));
        check(FRESH, None, Some(40), Some((90, Cause::Idle)));
        check(FRESH, Some(100), Some(40), Some((90, Cause::Idle)));
        check(RefreshTimes { refresh_issued_at: None, ..FRESH }, None, Some(40), Some((40, Cause::Idle)));
        let planned = RefreshTimes { due_at: Some(Timestamp(89)), ..FRESH };
        check(planned, Some(100), Some(40), Some((100, Cause::Absolute)));
        check(planned, None, Some(39), Some((89, Cause::Idle)));
        check(RefreshTimes { failures: 1, ..planned }, None, Some(40), Some((90, Cause::Idle)));
        check(FRESH, Some(i64::MAX), Some(i64::MAX), Some((i64::MAX, Cause::Absolute)));
    }
}
