//! A grant: what an account has allowed a client, and what becomes of its tokens under each rotation. No clock, no I/O.
//!
//! Refresh tokens of a grant are numbered in the order in which they were issued (*generations*), and a token tells its
//! number (see `tokens.rs`). So one that was used long ago is known as such without being kept.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::options::Rotation;

/// No more access tokens of one grant are good at once: the oldest goes.
const MOST_ACCESS: usize = 16;
/// No more refresh tokens of one grant are good, or within their grace, at once.
const MOST_REFRESH: usize = 16;

/// Maximum number of token requests of one grant whose times are kept: the oldest goes.
const MAX_TIMES: usize = 1000;

/// Why a grant is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A refresh token was used a second time: the whole family is revoked.
    Reuse,
    /// Its code was used a second time (RFC 6749 §4.1.2).
    CodeReused,
    /// The client revoked it (RFC 7009).
    Client,
    /// The account's owner did, at the provider.
    Owner,
    /// A newer grant of the same account took its place.
    Evicted,
}

impl End {
    /// How it is shown.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Reuse => "reuse",
            Self::CodeReused => "code_reused",
            Self::Client => "client",
            Self::Owner => "owner",
            Self::Evicted => "evicted",
        }
    }
}

/// An access token that was issued and has not expired.
#[derive(Debug)]
struct Access {
    serial: u64,
    /// The refresh token that came with it.
    generation: u64,
    expires: Instant,
}

/// What an account has allowed a client.
#[derive(Debug)]
pub(super) struct Grant {
    pub account: String,
    pub client_id: String,
    pub scopes: Vec<String>,
    /// How it came about: a grant type, or `control`.
    pub made_by: &'static str,
    /// Slack: whether its tokens are the person's own.
    pub of_user: bool,
    /// How often it was refreshed.
    pub refreshes: u64,
    /// How often a refresh token that was used came again, whatever came of it.
    pub repeats: u64,
    pub ended: Option<End>,
    /// When its token requests came in, in milliseconds since the simulator's start; the last [`MAX_TIMES`].
    pub request_times_ms: VecDeque<u64>,
    /// The scope that its last refresh asked for; `None`: it had none.
    pub last_refresh_scope: Option<String>,
    /// Generations that are good, in the order of their issue.
    live: VecDeque<u64>,
    /// Generations that were used, and when they were first.
    used: VecDeque<(u64, Instant)>,
    generations: u64,
    access: VecDeque<Access>,
    serials: u64,
}

impl Grant {
    /// A new grant, with one refresh token if it is to be refreshed.
    pub(super) fn new(
        account: String,
        client_id: String,
        scopes: Vec<String>,
        made_by: &'static str,
        refreshable: bool,
    ) -> Self {
        Self {
            account,
            client_id,
            scopes,
            made_by,
            of_user: false,
            refreshes: 0,
            repeats: 0,
            ended: None,
            request_times_ms: VecDeque::new(),
            last_refresh_scope: None,
            live: if refreshable { VecDeque::from([0]) } else { VecDeque::new() },
            used: VecDeque::new(),
            generations: 1,
            access: VecDeque::new(),
            serials: 0,
        }
    }

    /// Keeps the time of a token request, in milliseconds since the simulator's start.
    pub(super) fn record_request(&mut self, at_ms: u64) {
        bounded(&mut self.request_times_ms, at_ms, MAX_TIMES);
    }

    /// Whether a refresh token is good.
    pub(super) fn is_alive(&self) -> bool {
        self.ended.is_none() && !self.live.is_empty()
    }

    /// The newest refresh token that is good.
    pub(super) fn newest(&self) -> Option<u64> {
        if self.ended.is_some() { None } else { self.live.back().copied() }
    }

    /// Whether this refresh token would do just now.
    pub(super) fn is_good(&self, generation: u64, rotation: Rotation, now: Instant) -> bool {
        self.ended.is_none() && (self.live.contains(&generation) || self.in_grace(generation, rotation, now))
    }

    fn in_grace(&self, generation: u64, rotation: Rotation, now: Instant) -> bool {
        let Rotation::Grace(seconds) = rotation else { return false };
        let within = |since: Instant| now.saturating_duration_since(since) < Duration::from_secs(seconds);
        self.used.iter().any(|(used, since)| *used == generation && within(*since))
    }

    /// Ends it, the first time for good.
    pub(super) fn end(&mut self, why: End) {
        self.ended.get_or_insert(why);
        self.live.clear();
        self.used.clear();
        self.access.clear();
    }

    /// Uses a refresh token: the one to hand out, or `None` where it is refused. `keep`: do not change it this time.
    pub(super) fn refresh(&mut self, presented: u64, rotation: Rotation, keep: bool, now: Instant) -> Option<u64> {
        if self.ended.is_some() {
            return None;
        }
        let live = self.live.contains(&presented);
        if !live {
            self.repeats += 1;
        }
        let next = match rotation {
            Rotation::None => live.then_some(presented),
            Rotation::Strict | Rotation::Grace(_) if live => {
                if keep {
                    Some(presented)
                } else {
                    self.live.retain(|generation| *generation != presented);
                    bounded(&mut self.used, (presented, now), MOST_REFRESH);
                    Some(self.issue(rotation))
                }
            }
            Rotation::Grace(_) if self.in_grace(presented, rotation, now) => {
                // Whoever holds what came of the first use keeps it: nobody is to be harmed within the grace.
                if keep { self.live.back().copied() } else { Some(self.issue(rotation)) }
            }
            Rotation::Strict | Rotation::Grace(_) => {
                self.end(End::Reuse);
                None
            }
            Rotation::RetrySafe if live => {
                self.worked(presented);
                if keep { Some(presented) } else { Some(self.issue(rotation)) }
            }
            Rotation::RetrySafe => None,
        };
        if next.is_some() {
            self.refreshes += 1;
        }
        next
    }

    fn issue(&mut self, rotation: Rotation) -> u64 {
        let generation = self.generations;
        self.generations += 1;
        self.live.push_back(generation);
        if self.live.len() > MOST_REFRESH {
            // Who asks again and again, as all answers get lost, still holds the oldest of a retry-safe family.
            self.live.remove(usize::from(rotation == Rotation::RetrySafe));
        }
        generation
    }

    /// What was issued with this generation, or the token itself, has been used: those before it have had their time.
    fn worked(&mut self, generation: u64) {
        self.live.retain(|other| *other >= generation);
    }

    /// Issues an access token beside the refresh token `generation`; answers its number.
    pub(super) fn issue_access(&mut self, generation: u64, expires: Instant) -> u64 {
        let serial = self.serials;
        self.serials += 1;
        bounded(&mut self.access, Access { serial, generation, expires }, MOST_ACCESS);
        serial
    }

    /// Whether an access token is good, and when it expires.
    pub(super) fn access_expires(&self, serial: u64, now: Instant) -> Option<Instant> {
        let access = self.access.iter().find(|access| access.serial == serial)?;
        (access.expires > now).then_some(access.expires)
    }

    /// Uses an access token: whether it is good.
    pub(super) fn use_access(&mut self, serial: u64, rotation: Rotation, now: Instant) -> bool {
        if self.access_expires(serial, now).is_none() {
            return false;
        }
        let with = self.access.iter().find(|access| access.serial == serial).map(|access| access.generation);
        if let (Rotation::RetrySafe, Some(generation)) = (rotation, with) {
            self.worked(generation);
        }
        true
    }

    /// Ends one access token.
    pub(super) fn end_access(&mut self, serial: u64) {
        self.access.retain(|access| access.serial != serial);
    }

    /// Ends all access tokens; answers how many there were.
    pub(super) fn expire_access(&mut self) -> usize {
        let count = self.access.len();
        self.access.clear();
        count
    }
}

/// Adds an item; the oldest goes where there are `most` already.
fn bounded<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant::new("alice".to_owned(), "practice".to_owned(), Vec::new(), "authorization_code", true)
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn without_rotation_one_token_is_good_for_ever() {
        let (mut grant, now) = (grant(), Instant::now());
        for _ in 0..100 {
            assert_eq!(grant.refresh(0, Rotation::None, false, now), Some(0));
        }
        assert_eq!((grant.refreshes, grant.repeats), (100, 0));
    }

    #[test]
    fn under_strict_rotation_a_second_use_ends_the_family() {
        let (mut grant, now) = (grant(), Instant::now());
        assert_eq!(grant.refresh(0, Rotation::Strict, false, now), Some(1));
        let serial = grant.issue_access(1, after(now, 60));
        assert_eq!(grant.refresh(1, Rotation::Strict, true, now), Some(1), "this time it is kept");
        assert!(grant.use_access(serial, Rotation::Strict, now));
        assert_eq!(grant.refresh(0, Rotation::Strict, false, now), None);
        assert_eq!((grant.ended, grant.repeats), (Some(End::Reuse), 1));
        assert!(!grant.use_access(serial, Rotation::Strict, now));
        assert_eq!(grant.refresh(1, Rotation::Strict, false, now), None);
    }

    #[test]
    fn within_its_grace_a_used_token_does_no_harm() {
        let (mut grant, start) = (grant(), Instant::now());
        let rotation = Rotation::Grace(10);
        assert_eq!(grant.refresh(0, rotation, false, start), Some(1));
        assert_eq!(grant.refresh(0, rotation, false, after(start, 9)), Some(2));
        assert!(grant.is_good(0, rotation, after(start, 9)) && !grant.is_good(0, rotation, after(start, 10)));
        assert_eq!(grant.refresh(1, rotation, false, after(start, 9)), Some(3), "what came first is good too");
        assert_eq!(grant.refresh(2, rotation, false, after(start, 100)), Some(4));
        assert_eq!(grant.refresh(0, rotation, false, after(start, 101)), None);
        assert_eq!(grant.ended, Some(End::Reuse));
    }

    #[test]
    fn a_retry_safe_token_is_good_until_what_came_of_it_is_used() {
        let (mut grant, now) = (grant(), Instant::now());
        let rotation = Rotation::RetrySafe;
        assert_eq!(grant.refresh(0, rotation, false, now), Some(1));
        assert_eq!(grant.refresh(0, rotation, false, now), Some(2), "the answer was lost");
        let serial = grant.issue_access(2, after(now, 60));
        assert!(grant.is_good(0, rotation, now));
        assert!(grant.use_access(serial, rotation, now));
        assert!(!grant.is_good(0, rotation, now) && !grant.is_good(1, rotation, now));
        assert_eq!(grant.refresh(0, rotation, false, now), None);
        assert!(grant.is_alive(), "nothing is revoked");
        assert_eq!(grant.refresh(2, rotation, false, now), Some(3));
        assert_eq!(grant.refresh(3, rotation, false, now), Some(4));
        assert_eq!(grant.refresh(2, rotation, false, now), None, "by the use of its successor");
    }

    #[test]
    fn what_a_grant_keeps_is_bounded() {
        let (mut grant, now) = (grant(), Instant::now());
        for _ in 0..1000 {
            assert!(grant.refresh(0, Rotation::RetrySafe, false, now).is_some(), "its answers all got lost");
            grant.issue_access(0, after(now, 60));
            grant.record_request(1);
            grant.record_request(2);
        }
        assert_eq!(grant.request_times_ms.len(), MAX_TIMES);
        assert!(grant.live.len() <= MOST_REFRESH && grant.access.len() <= MOST_ACCESS);
    }

    #[test]
    fn an_access_token_expires() {
        let (mut grant, now) = (grant(), Instant::now());
        let serial = grant.issue_access(0, after(now, 60));
        assert!(grant.use_access(serial, Rotation::None, after(now, 59)));
        assert!(!grant.use_access(serial, Rotation::None, after(now, 60)));
        assert_eq!(grant.expire_access(), 1);
        assert!(!grant.use_access(serial, Rotation::None, now));
    }
}
