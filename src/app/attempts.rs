//! Failed attempts at passwords and secrets: who guesses is sent away, who is right is never charged.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::credential::Credential;
use crate::domain::{Error, Result};

/// How many failures may come at once, and how fast they wear off.
#[derive(Clone, Copy)]
struct Quota {
    most: u32,
    each: Duration,
    /// Whether attempts under way take their places before they have failed.
    reserves: bool,
}

/// One who guesses: five wrong passwords for one account from one address, then one each twelve seconds. A password may
/// be weak, so here not even guesses at the same moment may exceed it.
const PAIR: Quota = Quota { most: 5, each: Duration::from_secs(12), reserves: true };
/// Many who guess at one account from many addresses: a hundred, then a hundred a minute. Twenty addresses must spend
/// all that they have before an owner elsewhere is held up, so one address never locks anybody out; and 144,000 guesses a
/// day get nowhere with passwords of twelve characters.
const ACCOUNT: Quota = Quota { most: 100, each: Duration::from_millis(600), reserves: true };
/// One who knows a password and guesses at the code behind it, from however many addresses: ten, then six an hour. A code
/// is one of a million, and three are good at a time, so 144 guesses a day hit once in six years. Nobody comes here without
/// the password, so no stranger holds an owner up.
const CODES: Quota = Quota { most: 10, each: Duration::from_mins(10), reserves: true };
/// One who guesses at many accounts: thirty, then thirty a minute. Many people may sit behind an address and come at
/// once, so those under way are not counted; as many as fail are paid for afterwards, one by one.
const ADDRESS: Quota = Quota { most: 30, each: Duration::from_secs(2), reserves: false };
/// More keys than these are not remembered at a time, of each sort.
const MOST_KEYS: usize = 10_000;
/// Full keys are looked through at most so often: each look costs as much as there are keys.
const CLEANING: Duration = Duration::from_secs(1);
/// Told to those for whom there is no room.
const CROWDED: Duration = Duration::from_secs(10);
/// Told to those who are held up by attempts that may yet turn out right.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// Failed attempts by account and address, by account and by address. Only failures count, so a script that logs in each
/// minute is not held up. Nobody waits in here: who comes too early is sent away.
pub(super) struct Attempts {
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
    kept: Mutex<Kept>,
}

struct Kept {
    pairs: Cells<(Arc<str>, IpAddr)>,
    accounts: Option<Cells<Arc<str>>>,
    addresses: Cells<IpAddr>,
}

/// The failures of each key. Keys without any are forgotten when there are too many.
struct Cells<K> {
    quota: Quota,
    by_key: HashMap<K, Cell>,
    cleaned: Option<Instant>,
}

struct Cell {
    /// When all failures have worn off; each puts it off by the quota's `each`.
    clear: Instant,
    /// Attempts under way.
    held: u32,
}

/// An attempt under way. Dropped, it counts as failed, since a guess that its sender gave up on may have been compared.
struct Attempt<'a> {
    attempts: &'a Attempts,
    pair: (Arc<str>, IpAddr),
    failed: bool,
}

impl Attempts {
    /// For the passwords of people.
    pub(super) fn at_passwords() -> Self {
        Self::new(Some(ACCOUNT), Box::new(Instant::now))
    }

    /// For the secrets of applications: nobody guesses 256 random bits, from however many addresses, so guesses from
    /// elsewhere never hold a program up.
    pub(super) fn at_secrets() -> Self {
        Self::new(None, Box::new(Instant::now))
    }

    /// For the codes of second factors, behind a right password.
    pub(super) fn at_codes() -> Self {
        Self::new(Some(CODES), Box::new(Instant::now))
    }

    fn new(account: Option<Quota>, clock: Box<dyn Fn() -> Instant + Send + Sync>) -> Self {
        let kept = Kept { pairs: Cells::new(PAIR), accounts: account.map(Cells::new), addresses: Cells::new(ADDRESS) };
        Self { clock, kept: Mutex::new(kept) }
    }

    /// Runs `compare` where one more guess is allowed. What it says is charged when it is `None`: the guess was wrong.
    /// A right one costs nothing, and neither does an error: nothing was compared.
    pub(super) async fn guard<T>(
        &self,
        account: &str,
        address: IpAddr,
        compare: impl Future<Output = Result<Option<T>>>,
    ) -> Result<Option<T>> {
        let attempt = self.admit(account, address)?;
        let compared = compare.await;
        if !matches!(compared, Ok(None)) {
            attempt.give_back();
        }
        compared
    }

    fn admit(&self, account: &str, address: IpAddr) -> Result<Attempt<'_>> {
        let pair = (Arc::<str>::from(account), neighbourhood(address));
        let now = (self.clock)();
        let mut kept = self.lock();
        kept.pairs.admit(&pair, now)?;
        if let Some(accounts) = &mut kept.accounts {
            accounts.admit(&pair.0, now)?;
        }
        kept.addresses.admit(&pair.1, now)?;
        kept.pairs.hold(pair.clone(), now);
        if let Some(accounts) = &mut kept.accounts {
            accounts.hold(Arc::clone(&pair.0), now);
        }
        kept.addresses.hold(pair.1, now);
        Ok(Attempt { attempts: self, pair, failed: true })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    fn give_back(mut self) {
        self.failed = false;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let now = (self.attempts.clock)();
        let mut kept = self.attempts.lock();
        kept.pairs.settle(&self.pair, self.failed, now);
        if let Some(accounts) = &mut kept.accounts {
            accounts.settle(&self.pair.0, self.failed, now);
        }
        kept.addresses.settle(&self.pair.1, self.failed, now);
    }
}

impl<K: Hash + Eq> Cells<K> {
    fn new(quota: Quota) -> Self {
        Self { quota, by_key: HashMap::new(), cleaned: None }
    }

    /// Whether one more attempt may begin.
    fn admit(&mut self, key: &K, now: Instant) -> Result<()> {
        let Some(cell) = self.by_key.get(key) else {
            return if self.has_room(now) { Ok(()) } else { Err(Error::TooMany { retry_after: CROWDED }) };
        };
        let Quota { most, each, reserves } = self.quota;
        let (failed, free) = (cell.clear.saturating_duration_since(now), each * (most - 1));
        let late = failed.saturating_sub(free);
        if !late.is_zero() {
            return Err(Error::TooMany { retry_after: late });
        }
        if reserves && failed + each * cell.held > free {
            return Err(Error::TooMany { retry_after: UNDER_WAY });
        }
        Ok(())
    }

    /// Room for a new key. Under attack there may be none, and then newcomers are turned away rather than kept: memory
    /// has an end, and forgetting somebody who guesses would give the guesses back.
    fn has_room(&mut self, now: Instant) -> bool {
        let rested = self.cleaned.is_none_or(|at| now.saturating_duration_since(at) >= CLEANING);
        if self.by_key.len() >= MOST_KEYS && rested {
            self.by_key.retain(|_, cell| cell.held > 0 || cell.clear > now);
            self.cleaned = Some(now);
        }
        self.by_key.len() < MOST_KEYS
    }

    fn hold(&mut self, key: K, now: Instant) {
        self.by_key.entry(key).or_insert(Cell { clear: now, held: 0 }).held += 1;
    }

    fn settle(&mut self, key: &K, failed: bool, now: Instant) {
        let Some(cell) = self.by_key.get_mut(key) else { return };
        cell.held = cell.held.saturating_sub(1);
        if failed {
            cell.clear = cell.clear.max(now) + self.quota.each;
        } else if cell.held == 0 && cell.clear <= now {
            self.by_key.remove(key);
        }
    }
}

/// Whom an address stands for: one customer has a whole /64 of IPv6 and would otherwise never run out of addresses.
pub(super) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

/// Secrets of client applications that were right since the start, as SHA-256 of their 256 random bits. Being here
/// admits to the comparison with the kept hash and to nothing else.
#[derive(Default)]
pub(super) struct Recognised(Mutex<HashMap<i64, [u8; 32]>>);

impl Recognised {
    pub(super) fn knows(&self, secret: &Credential) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&secret.id).is_some_and(|digest| secret.is(digest))
    }

    pub(super) fn note(&self, secret: &Credential) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Secrets come and go; starting over costs a program nothing while nobody guesses.
        if known.len() >= MOST_KEYS {
            known.clear();
        }
        known.insert(secret.id, secret.hash());
    }

    /// It was right once and is no longer: revoked, or its application disabled.
    pub(super) fn forget(&self, secret: &Credential) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&secret.id);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::Ipv4Addr,
        sync::atomic::{AtomicI64, Ordering},
    };

    use futures_util::FutureExt as _;

    use super::*;

    const MINUTE: i64 = 60 * 1000;
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

    /// Attempts whose time goes by in milliseconds as the test says.
    fn attempts() -> (Attempts, Arc<AtomicI64>) {
        let (start, gone) = (Instant::now(), Arc::new(AtomicI64::new(0)));
        let clock = {
            let gone = Arc::clone(&gone);
            move || start + Duration::from_millis(gone.load(Ordering::SeqCst).unsigned_abs())
        };
        (Attempts::new(Some(ACCOUNT), Box::new(clock)), gone)
    }

    fn fail(attempts: &Attempts, account: &str, address: IpAddr) {
        drop(attempts.admit(account, address).unwrap_or_else(|why| panic!("{account} from {address}: {why}")));
    }

    /// How long one is sent away; zero: not at all.
    fn wait(attempts: &Attempts, account: &str, address: IpAddr) -> Duration {
        match attempts.admit(account, address) {
            Ok(attempt) => {
                attempt.give_back();
                Duration::ZERO
            }
            Err(Error::TooMany { retry_after }) => retry_after,
            Err(other) => panic!("{other}"),
        }
    }

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))
    }

    #[test]
    fn five_guesses_are_free_and_then_one_each_twelve_seconds() {
        let (attempts, gone) = attempts();
        for _ in 0..5 {
            fail(&attempts, "alice", HERE);
        }
        assert_eq!(wait(&attempts, "alice", HERE), Duration::from_secs(12));
        assert_eq!(wait(&attempts, "bob", HERE), Duration::ZERO, "another account");
        assert_eq!(wait(&attempts, "alice", ELSEWHERE), Duration::ZERO, "another address");
        gone.fetch_add(11_999, Ordering::SeqCst);
        assert_eq!(wait(&attempts, "alice", HERE), Duration::from_millis(1));
        gone.fetch_add(1, Ordering::SeqCst);
        fail(&attempts, "alice", HERE);
        assert_eq!(wait(&attempts, "alice", HERE), Duration::from_secs(12));
        gone.fetch_add(MINUTE, Ordering::SeqCst);
        let held: Vec<_> = (0..5).map(|_| attempts.admit("alice", HERE).expect("all five again")).collect();
        assert_eq!(wait(&attempts, "alice", HERE), UNDER_WAY);
        drop(held);
        assert_eq!(wait(&attempts, "alice", HERE), Duration::from_secs(12));
    }

    #[tokio::test]
    async fn a_right_password_costs_nothing_and_neither_does_what_was_not_compared() {
        let (attempts, _) = attempts();
        let full = || Error::unavailable(crate::domain::Outage::Hashing);
        for _ in 0..200 {
            let right = attempts.guard("alice", HERE, async { Ok(Some(())) }).await;
            assert!(matches!(right, Ok(Some(()))));
            let full = attempts.guard("alice", HERE, async { Err::<Option<()>, _>(full()) }).await;
            assert!(matches!(full, Err(Error::Unavailable { .. })));
        }
        assert!(attempts.lock().pairs.by_key.is_empty(), "nothing is kept of them");
        for _ in 0..5 {
            let given_up = attempts.guard("alice", HERE, std::future::pending::<Result<Option<()>>>());
            assert!(given_up.now_or_never().is_none());
        }
        assert_eq!(wait(&attempts, "alice", HERE), Duration::from_secs(12), "given up, they may have been compared");
    }

    #[test]
    fn an_address_has_thirty_guesses_and_pays_for_those_at_once_afterwards() {
        let (attempts, gone) = attempts();
        let held: Vec<_> = (0..40).map(|n| attempts.admit(&n.to_string(), HERE).expect("each another's")).collect();
        drop(held);
        assert_eq!(wait(&attempts, "alice", HERE), Duration::from_secs(2 * 11));
        assert_eq!(wait(&attempts, "alice", ELSEWHERE), Duration::ZERO);
        gone.fetch_add(22_000, Ordering::SeqCst);
        assert_eq!(wait(&attempts, "alice", HERE), Duration::ZERO);
    }

    #[test]
    fn one_account_has_a_hundred_guesses_from_everywhere_and_secrets_have_no_such_end() {
        let (attempts, _) = attempts();
        let secrets = Attempts::at_secrets();
        for n in 0..100 {
            fail(&attempts, "alice", address(n));
            fail(&secrets, "alice", address(n));
        }
        assert_eq!(wait(&attempts, "alice", HERE), Duration::from_millis(600));
        assert_eq!(wait(&attempts, "bob", HERE), Duration::ZERO);
        assert_eq!(wait(&secrets, "alice", HERE), Duration::ZERO);
    }

    #[test]
    fn a_whole_64_of_addresses_counts_as_one() {
        let (attempts, _) = attempts();
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        for n in 0..5 {
            fail(&attempts, "alice", address(&format!("2001:db8::{n}:1")));
        }
        assert_ne!(wait(&attempts, "alice", address("2001:db8::ffff:0:0:1")), Duration::ZERO);
        assert_eq!(wait(&attempts, "alice", address("2001:db8:0:1::1")), Duration::ZERO);
        assert_eq!(neighbourhood(address("::ffff:192.0.2.1")), HERE);
    }

    #[test]
    fn made_up_names_and_addresses_fill_no_more_than_their_room() {
        let (attempts, gone) = attempts();
        fail(&attempts, "alice", HERE);
        let mut turned_away = 0;
        for n in 0..50_000 {
            match attempts.admit(&format!("user{n}"), address(n)) {
                Ok(attempt) => drop(attempt),
                Err(Error::TooMany { retry_after }) => {
                    assert!(retry_after >= Duration::from_secs(1));
                    turned_away += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        let sizes = || {
            let kept = attempts.lock();
            let accounts = kept.accounts.as_ref().map_or(0, |accounts| accounts.by_key.len());
            [kept.pairs.by_key.len(), accounts, kept.addresses.by_key.len()]
        };
        assert!(sizes().iter().all(|size| *size <= MOST_KEYS), "{:?}", sizes());
        assert_eq!(turned_away, 50_001 - MOST_KEYS);
        assert_eq!(wait(&attempts, "alice", HERE), Duration::ZERO, "who is known stays");
        gone.fetch_add(MINUTE, Ordering::SeqCst);
        fail(&attempts, "newcomer", ELSEWHERE);
        assert_eq!(sizes()[0], 1, "what has worn off made room");
    }
}
