//! Passwords that were refused, and codes that came too often to be looked at: counted in memory and written to the audit
//! trail a few at a time, so that whoever guesses neither fills the disk nor makes it work.
//!
//! Only for users whom there are: what a stranger types in the place of a name may be a password, and is kept nowhere. A
//! code that was looked at and refused has an entry of its own, as who sends it knows the password (`second_factors.rs`).
//! An entry stands for all that one address tried with one user until then; after it that pair is quiet for a minute. There
//! is room for [`AT_ONCE`] entries, and for one more with each minute. Where that is not enough, one entry stands for all
//! addresses of a user. A power cut may lose the last minute's counts.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{App, access::Origin, attempts::neighbourhood};
use crate::{
    domain::{Result, Timestamp, audit::Deed},
    store,
};

/// So many entries may be written at once.
const AT_ONCE: u32 = 200;
/// As often there is room for one more.
const ONE_MORE: Duration = Duration::from_mins(1);
/// What comes again is counted for so long before it is written again.
const QUIET: Duration = Duration::from_mins(1);
/// What comes within so long is written together.
const GATHER: Duration = Duration::from_secs(1);
/// More addresses than these are not told apart.
const MOST_KEYS: usize = 1_000;

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Refused {
    /// A wrong password.
    Password,
    /// A password that came too soon to be compared.
    PasswordTooSoon,
    /// A code that came too soon to be looked at.
    CodeTooSoon,
}

impl Refused {
    fn deed(self) -> Deed {
        match self {
            Self::Password | Self::PasswordTooSoon => Deed::PasswordRefused,
            Self::CodeTooSoon => Deed::CodeRefused,
        }
    }

    fn why(self) -> &'static str {
        match self {
            Self::Password => "wrong",
            Self::PasswordTooSoon | Self::CodeTooSoon => "too_many",
        }
    }
}

/// What has not been written yet.
#[derive(Default)]
pub(super) struct Refusals(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    by_key: HashMap<Key, Count>,
    /// When there is room for all entries again; each that is written puts it off.
    clear: Option<Instant>,
}

/// Whom it concerns, what it was, and whom the address stands for; `None`: any that were not told apart.
type Key = (i64, Refused, Option<IpAddr>);

struct Count {
    times: u64,
    /// When the first of them was.
    since: Timestamp,
    /// Where the first of them came from.
    origin: Option<Origin>,
    /// Not written before.
    quiet_until: Instant,
}

/// An entry that is to be written.
#[derive(Debug)]
struct Entry {
    user_id: i64,
    refused: Refused,
    times: u64,
    since: Timestamp,
    /// `None`: from several addresses.
    origin: Option<Origin>,
}

impl Refusals {
    /// Counts one; answers whether nobody knows yet that there is something to write.
    fn add(&self, user_id: i64, refused: Refused, origin: &Origin, at: Timestamp, now: Instant) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = waiting.by_key.is_empty();
        let mut key = (user_id, refused, Some(neighbourhood(origin.address)));
        if waiting.by_key.len() >= MOST_KEYS && !waiting.by_key.contains_key(&key) {
            key.2 = None;
        }
        let fresh =
            || Count { times: 0, since: at, origin: key.2.and(Some(origin.clone())), quiet_until: now + GATHER };
        let count = waiting.by_key.entry(key).or_insert_with(fresh);
        if count.times == 0 {
            (count.since, count.origin) = (at, key.2.and(Some(origin.clone())));
        }
        count.times += 1;
        begun
    }

    /// Takes what is to be written now, and answers when to look again; `None`: nothing waits. `last`: whatever waits is
    /// written now or never.
    fn take(&self, now: Instant, last: bool) -> (Vec<Entry>, Option<Duration>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { by_key, clear } = &mut *waiting;
        by_key.retain(|_, count| count.times > 0 || count.quiet_until > now);
        let used = clear.map_or(Duration::ZERO, |clear| clear.saturating_duration_since(now));
        let free = (ONE_MORE * AT_ONCE).saturating_sub(used).as_secs() / ONE_MORE.as_secs();
        let free = usize::try_from(free).unwrap_or(usize::MAX);
        let is_due = |count: &Count| count.times > 0 && (last || count.quiet_until <= now);
        let apart = by_key.values().filter(|count| is_due(count)).count() <= free;
        let mut entries: HashMap<Key, Entry> = HashMap::new();
        for ((user_id, refused, address), count) in by_key.iter_mut().filter(|(_, count)| is_due(count)) {
            let key = (*user_id, *refused, address.filter(|_| apart));
            if entries.len() == free && !entries.contains_key(&key) {
                continue;
            }
            let taken = Entry {
                user_id: *user_id,
                refused: *refused,
                times: std::mem::take(&mut count.times),
                since: count.since,
                origin: count.origin.take(),
            };
            count.quiet_until = now + QUIET;
            match entries.get_mut(&key) {
                None => drop(entries.insert(key, taken)),
                Some(entry) => {
                    entry.times += taken.times;
                    entry.since = entry.since.min(taken.since);
                    entry.origin = None;
                }
            }
        }
        let written = u32::try_from(entries.len()).unwrap_or(AT_ONCE);
        if written > 0 {
            *clear = Some(clear.map_or(now, |clear| clear.max(now)) + ONE_MORE * written);
        }
        let next = by_key.values().map(|count| count.quiet_until.saturating_duration_since(now)).min();
        // What found no room waits for some.
        (entries.into_values().collect(), next.map(|next| next.max(GATHER)))
    }

    /// Puts back what was not written, and the room that it took.
    fn put_back(&self, entries: Vec<Entry>, now: Instant) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = ONE_MORE * u32::try_from(entries.len()).unwrap_or(AT_ONCE);
        waiting.clear = waiting.clear.and_then(|clear| clear.checked_sub(room));
        for entry in entries {
            let address = entry.origin.as_ref().map(|origin| neighbourhood(origin.address));
            let count = waiting.by_key.entry((entry.user_id, entry.refused, address)).or_insert(Count {
                times: 0,
                since: entry.since,
                origin: None,
                quiet_until: now,
            });
            count.times += entry.times;
            count.since = count.since.min(entry.since);
            count.origin = count.origin.take().or(entry.origin);
            count.quiet_until = now + GATHER;
        }
    }
}

impl App {
    /// Counts something that was refused to whoever said to be this user.
    pub(super) fn count_refusal(&self, user_id: i64, refused: Refused, origin: &Origin) {
        if self.refusals.add(user_id, refused, origin, self.db.now(), Instant::now()) {
            self.worker.wake();
        }
    }

    /// Writes what was counted; answers when to look again at the latest.
    pub(super) async fn refusal_round(&self) -> Result<Duration> {
        Ok(self.write_refusals(false).await?.unwrap_or(Duration::MAX))
    }

    /// Writes what was counted and is due; `last`: all of it. What the database does not take is kept for the next time.
    pub(super) async fn write_refusals(&self, last: bool) -> Result<Option<Duration>> {
        let (entries, next) = self.refusals.take(Instant::now(), last);
        if entries.is_empty() {
            return Ok(next);
        }
        let entries = std::sync::Arc::new(entries);
        let work = std::sync::Arc::clone(&entries);
        let written = self
            .db
            .write(move |tx| {
                for entry in work.iter() {
                    // Whoever has gone meanwhile is no user any more.
                    if store::users::find(tx, entry.user_id)?.is_none() {
                        continue;
                    }
                    let seconds = (tx.now().0 - entry.since.0).max(0) / 1000;
                    let mut detail = serde_json::json!({"why": entry.refused.why(), "count": entry.times});
                    if entry.times > 1 {
                        detail["seconds"] = seconds.into();
                    }
                    let (request_id, address) = entry.origin.as_ref().map_or_else(Default::default, |origin| {
                        (origin.request_id.clone(), origin.address.to_string())
                    });
                    let entry = store::audit::Entry {
                        actor: "nobody",
                        deed: entry.refused.deed(),
                        noun: "user",
                        noun_id: &entry.user_id.to_string(),
                        detail: &detail.to_string(),
                        request_id: &request_id,
                        address: &address,
                    };
                    store::audit::insert(tx, &entry)?;
                }
                Ok(())
            })
            .await;
        if written.is_err()
            && let Some(entries) = std::sync::Arc::into_inner(entries)
        {
            self.refusals.put_back(entries, Instant::now());
        }
        written.map(|()| next)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn from(address: u32) -> Origin {
        let address = IpAddr::V4(Ipv4Addr::from_bits(address));
        Origin { request_id: format!("request of {address}"), address }
    }

    #[test]
    fn what_one_address_tries_with_one_user_is_one_entry_a_minute() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(refusals.add(1, Refused::Password, &from(1), Timestamp(5), at(0)));
        assert!(!refusals.add(1, Refused::Password, &from(1), Timestamp(6), at(0)));
        assert_eq!(refusals.take(at(0), false).0.len(), 0, "what comes within a second is written together");
        let (entries, next) = refusals.take(at(1), false);
        assert_eq!(entries.iter().map(|entry| (entry.times, entry.since.0)).collect::<Vec<_>>(), [(2, 5)]);
        assert_eq!(entries[0].origin.as_ref().map(|origin| origin.request_id.as_str()), Some("request of 0.0.0.1"));
        assert_eq!(next, Some(QUIET));
        for second in 2..61 {
            refusals.add(1, Refused::Password, &from(1), Timestamp(7), at(second));
            assert_eq!(refusals.take(at(second), false).0.len(), 0, "quiet");
        }
        // Another user, another address and another reason are others.
        refusals.add(2, Refused::Password, &from(1), Timestamp(8), at(59));
        refusals.add(1, Refused::Password, &from(2), Timestamp(8), at(59));
        refusals.add(1, Refused::PasswordTooSoon, &from(1), Timestamp(8), at(59));
        let mut times: Vec<u64> = refusals.take(at(61), false).0.iter().map(|entry| entry.times).collect();
        times.sort_unstable();
        assert_eq!(times, [1, 1, 1, 59]);
        assert_eq!(refusals.take(at(200), false).1, None, "nothing is kept of it");
    }

    #[test]
    fn a_day_of_guessing_from_everywhere_fits_on_a_few_pages_and_every_guess_is_counted() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let (mut entries, mut guesses, mut counted, mut second_user) = (0, 0, 0, 0);
        for second in 0..DAY {
            let now = start + Duration::from_secs(second);
            for n in 0..4 {
                // An address of its own for each guess, and now and then one at somebody else.
                let user = if second % 3600 == 0 && n == 0 { 2 } else { 1 };
                let address = u32::try_from(second * 4 + n).unwrap_or_default();
                refusals.add(user, Refused::Password, &from(address), Timestamp(0), now);
                guesses += 1;
            }
            let waiting = refusals.0.lock().expect("no panic").by_key.len();
            assert!(waiting <= MOST_KEYS + 2, "{waiting}");
            for entry in refusals.take(now, false).0 {
                entries += 1;
                counted += entry.times;
                second_user += u64::from(entry.user_id == 2) * entry.times;
            }
        }
        for entry in refusals.take(start + Duration::from_secs(DAY + 600), true).0 {
            (entries, counted) = (entries + 1, counted + entry.times);
            second_user += u64::from(entry.user_id == 2) * entry.times;
        }
        assert!(entries <= u64::from(AT_ONCE) + DAY / 60 + 10, "{entries} entries");
        assert_eq!((counted, second_user), (guesses, 24));
    }

    #[test]
    fn what_was_not_written_is_written_later() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        refusals.add(1, Refused::CodeTooSoon, &from(1), Timestamp(5), now);
        let (entries, _) = refusals.take(now, true);
        assert_eq!(entries.len(), 1);
        refusals.put_back(entries, now);
        refusals.add(1, Refused::CodeTooSoon, &from(1), Timestamp(6), now);
        let (entries, _) = refusals.take(now, true);
        assert_eq!((entries[0].times, entries[0].since.0), (2, 5));
        assert!(entries[0].origin.is_some());
    }

    #[test]
    fn a_disk_that_takes_nothing_for_long_uses_up_no_room() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        refusals.add(1, Refused::Password, &from(1), Timestamp(5), start);
        for second in 1..1000 {
            let now = start + Duration::from_secs(second);
            let (entries, _) = refusals.take(now, false);
            assert_eq!(entries.len(), 1, "after {second} seconds");
            refusals.put_back(entries, now);
        }
    }
}
