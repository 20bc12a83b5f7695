//! Everything a running simulator knows, behind one lock. It is never held while something is awaited.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    context::RequestContext,
    faults::{self, On, Rule},
    grants::{End, Grant},
    options::{CLIENT_ID, CLIENT_SECRET, Like, Options},
    plan::Plan,
    request::Auth,
    tokens::{Kind, Mint, fingerprint},
};

/// Beyond these the oldest goes.
const MOST_GRANTS: usize = 50_000;
const MOST_CODES: usize = 20_000;
const MOST_DEVICES: usize = 10_000;
const MAX_NUMERIC_TOKENS: usize = 1000;
/// Maximum length of a scope in the state, in characters.
const MAX_SCOPE_SHOWN: usize = 1000;
/// Beyond these no more are taken.
pub(super) const MOST_CLIENTS: usize = 1000;
pub(super) const MOST_RULES: usize = 1000;

/// How long a code is good.
pub(super) const CODE_LIFE: Duration = Duration::from_mins(10);
/// How long a device's request is good.
pub(super) const DEVICE_LIFE: Duration = Duration::from_mins(10);

/// A client that is registered.
#[derive(Debug)]
pub(super) struct Client {
    /// `None`: a public client.
    pub secret: Option<String>,
    /// Empty: any on loopback.
    pub redirect_uris: Vec<String>,
    /// The one way to show the secret; `None`: as the provider that is played has it.
    pub auth: Option<Auth>,
}

/// An authorization code.
#[derive(Debug)]
pub(super) struct Code {
    pub client_id: String,
    pub redirect_uri: String,
    /// The code challenge, S256.
    pub challenge: Option<String>,
    pub scopes: Vec<String>,
    pub account: String,
    /// Whether a refresh token is to come of it.
    pub refreshable: bool,
    /// Slack: whether the person's own token was asked for.
    pub of_user: bool,
    pub expires: Instant,
    /// The grant that came of it.
    pub spent: Option<u64>,
}

/// What a person said to a device's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing yet.
    Open,
    /// Yes, for this account.
    Approved(String),
    /// No.
    Denied,
    /// Tokens were handed out.
    Spent,
}

/// A device's request (RFC 8628).
#[derive(Debug)]
pub(super) struct Device {
    pub client_id: String,
    pub scopes: Vec<String>,
    pub user_code: String,
    pub decision: Decision,
    pub expires: Instant,
    /// Seconds to wait between polls.
    pub interval_s: u64,
    pub last_poll: Option<Instant>,
}

/// Where requests to the token endpoint wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Nowhere.
    Open,
    /// Before they are processed.
    Before,
    /// After that, before they are answered.
    After,
}

/// What changes.
#[derive(Debug, Default)]
pub(super) struct State {
    pub clients: BTreeMap<String, Client>,
    grants: BTreeMap<u64, Grant>,
    /// Grants by client and account, oldest first.
    by_account: HashMap<(String, String), VecDeque<u64>>,
    next_grant: u64,
    pub codes: BTreeMap<u64, Code>,
    next_code: u64,
    pub devices: BTreeMap<u64, Device>,
    next_device: u64,
    /// Access tokens that were issued as numbers, and the grant and serial number behind each.
    numeric_tokens: VecDeque<(u64, (u64, u64))>,
    pub rules: Vec<Rule>,
    /// Requests by endpoint.
    endpoints: BTreeMap<String, u64>,
    /// Requests to the token endpoint by grant type.
    grant_types: BTreeMap<String, u64>,
    /// When the last requests to the token endpoint came that the throttle let pass.
    passed: VecDeque<Instant>,
    violations: u64,
    under_way: u64,
    most_at_once: u64,
    held: u64,
}

/// What a running simulator is.
pub(super) struct Shared {
    /// Its address, without a slash at the end.
    pub url: String,
    pub options: Options,
    pub mint: Mint,
    started: Instant,
    state: Mutex<State>,
    gate: watch::Sender<Gate>,
}

/// How many grants one account may have through one client; `None`: any number.
pub(super) fn grant_cap(like: Like) -> Option<usize> {
    match like {
        Like::Salesforce => Some(5),
        Like::Zoho => Some(20),
        Like::Shopify => Some(1),
        Like::Plain | Like::Slack | Like::QuickBooks => None,
    }
}

impl Shared {
    /// A simulator that nobody has spoken to.
    pub(super) fn new(url: String, options: Options) -> std::io::Result<Self> {
        let practice =
            Client { secret: Some(CLIENT_SECRET.to_owned()), redirect_uris: options.redirect_uris.clone(), auth: None };
        let state = State {
            clients: BTreeMap::from([(CLIENT_ID.to_owned(), practice)]),
            rules: options.faults.clone(),
            next_grant: 1,
            ..State::default()
        };
        Ok(Self {
            url,
            options,
            mint: Mint::new()?,
            started: Instant::now(),
            state: Mutex::new(state),
            gate: watch::Sender::new(Gate::Open),
        })
    }

    /// The state, for as long as it takes to look and change.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What befalls the next request of one of these kinds.
    pub(super) fn plan(&self, on: &[On], context: &RequestContext) -> Plan {
        let faults = faults::take(&mut self.state().rules, on, context.grant, context.client.as_deref());
        Plan::new(faults, context)
    }

    /// Milliseconds since the simulator's start.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Keeps the time, and of a refresh the scope, of a token request that has come in.
    pub(super) fn record_token_request(&self, context: &RequestContext, is_refresh: bool) {
        let at_ms = self.now_ms();
        let mut state = self.state();
        let Some(grant) = context.grant.and_then(|id| state.grant(id)) else { return };
        grant.record_request(at_ms);
        if is_refresh {
            grant.last_refresh_scope = context.scope().map(|scope| scope.chars().take(MAX_SCOPE_SHOWN).collect());
        }
    }

    /// A number that works like this access token of ours.
    pub(super) fn numeric_alias(&self, token: &str) -> Option<u64> {
        let numbers = self.mint.read(Kind::Access, token)?;
        let number = self.mint.numeric(numbers);
        let mut state = self.state();
        if state.numeric_tokens.len() >= MAX_NUMERIC_TOKENS {
            state.numeric_tokens.pop_front();
        }
        state.numeric_tokens.push_back((number, numbers));
        Some(number)
    }

    /// Sets the gate.
    pub(super) fn set_gate(&self, gate: Gate) {
        self.gate.send_replace(gate);
    }

    /// Waits for as long as the gate is closed at this place.
    pub(super) async fn pass(&self, place: Gate) {
        let mut gate = self.gate.subscribe();
        if *gate.borrow_and_update() != place {
            return;
        }
        self.state().held += 1;
        // It cannot fail: what would have to be gone for that is ourselves.
        let _ = gate.wait_for(|gate| *gate != place).await;
        self.state().held -= 1;
    }

    /// Counts a request to the token endpoint as under way, until what is answered is dropped.
    pub(super) fn under_way(&self) -> UnderWay<'_> {
        let mut state = self.state();
        state.under_way += 1;
        state.most_at_once = state.most_at_once.max(state.under_way);
        UnderWay(self)
    }

    /// Whether the throttle lets a request to the token endpoint pass, or how many seconds to wait.
    pub(super) fn throttle(&self, now: Instant) -> Result<(), u64> {
        let Some(throttle) = self.options.throttle else { return Ok(()) };
        let window = Duration::from_secs(throttle.per_s);
        let mut state = self.state();
        while state.passed.front().is_some_and(|at| now.saturating_duration_since(*at) >= window) {
            state.passed.pop_front();
        }
        if state.passed.len() < throttle.requests {
            state.passed.push_back(now);
            return Ok(());
        }
        state.violations += 1;
        let since = state.passed.front().map(|at| now.saturating_duration_since(*at)).unwrap_or_default();
        let wait = window.saturating_sub(since);
        Err(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    }

    /// The counters, and the grants: all of them, one, or none.
    pub(super) fn shown(&self, which: Which) -> Value {
        let gate = match *self.gate.borrow() {
            Gate::Open => "open",
            Gate::Before => "before",
            Gate::After => "after",
        };
        let state = self.state();
        let grants: Vec<Value> = match which {
            Which::All => state.grants.iter().map(|(id, grant)| self.shown_grant(*id, grant)).collect(),
            Which::One(id) => state.grants.get(&id).map(|grant| self.shown_grant(id, grant)).into_iter().collect(),
            Which::None => Vec::new(),
        };
        json!({
            "requests": state.endpoints,
            "token": {
                "by_grant_type": state.grant_types,
                "under_way": state.under_way,
                "most_at_once": state.most_at_once,
                "held": state.held,
                "gate": gate,
                "throttle_violations": state.violations,
            },
            "now_ms": self.now_ms(),
            "grants_alive": state.grants.values().filter(|grant| grant.is_alive()).count(),
            "grants": grants,
        })
    }

    fn shown_grant(&self, id: u64, grant: &Grant) -> Value {
        let newest = grant.newest().map(|generation| self.mint.make(Kind::Refresh, (id, generation)));
        json!({
            "id": id,
            "account": grant.account,
            "client_id": grant.client_id,
            "scope": grant.scopes.join(" "),
            "made_by": grant.made_by,
            "alive": grant.is_alive(),
            "family_revoked": grant.ended == Some(End::Reuse),
            "ended": grant.ended.map(End::word),
            "refreshes": grant.refreshes,
            "repeats": grant.repeats,
            "refresh_times_ms": grant.request_times_ms,
            "last_refresh_scope": grant.last_refresh_scope,
            "current_refresh_fingerprint": newest.map(|token| fingerprint(&token)),
        })
    }
}

/// Which grants are shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    All,
    One(u64),
    None,
}

/// A request to the token endpoint that is under way.
pub(super) struct UnderWay<'a>(&'a Shared);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
    }
}

impl State {
    /// Counts a request.
    pub(super) fn count(&mut self, endpoint: &str) {
        count(&mut self.endpoints, endpoint);
    }

    /// Counts a request to the token endpoint.
    pub(super) fn count_grant_type(&mut self, grant_type: &str) {
        count(&mut self.grant_types, grant_type);
    }

    /// Sets the counters to zero.
    pub(super) fn forget_counts(&mut self) {
        self.endpoints.clear();
        self.grant_types.clear();
        self.violations = 0;
        self.most_at_once = self.under_way;
    }

    /// The grant of this number.
    pub(super) fn grant(&mut self, id: u64) -> Option<&mut Grant> {
        self.grants.get_mut(&id)
    }

    /// The numbers of an access token, which may have been issued as a number.
    pub(super) fn read_access(&self, mint: &Mint, token: &str) -> Option<(u64, u64)> {
        mint.read(Kind::Access, token).or_else(|| {
            let number: u64 = token.parse().ok()?;
            self.numeric_tokens.iter().find(|(other, _)| *other == number).map(|(_, numbers)| *numbers)
        })
    }

    /// The grant that a client has for itself, if it has one.
    pub(super) fn own_grant_id(&self, client_id: &str) -> Option<u64> {
        let key = (client_id.to_owned(), client_id.to_owned());
        let there = self.by_account.get(&key).and_then(|ids| ids.back()).copied();
        there.filter(|id| self.grants.get(id).is_some_and(|grant| grant.ended.is_none()))
    }

    /// All grants.
    pub(super) fn grants(&mut self) -> impl Iterator<Item = &mut Grant> {
        self.grants.values_mut()
    }

    /// The grant that a client has for itself (RFC 6749 §4.4).
    pub(super) fn own_grant(&mut self, client_id: &str) -> u64 {
        self.own_grant_id(client_id).unwrap_or_else(|| {
            let made_by = "client_credentials";
            self.add_grant(Grant::new(client_id.to_owned(), client_id.to_owned(), Vec::new(), made_by, false), None)
        })
    }

    /// Keeps a new grant. Where its account has too many through its client, the oldest ends.
    pub(super) fn add_grant(&mut self, grant: Grant, cap: Option<usize>) -> u64 {
        let id = self.next_grant;
        self.next_grant += 1;
        let of_account = self.by_account.entry((grant.client_id.clone(), grant.account.clone())).or_default();
        while cap.is_some_and(|cap| of_account.len() >= cap) {
            if let Some(evicted) = of_account.pop_front().and_then(|oldest| self.grants.get_mut(&oldest)) {
                evicted.end(End::Evicted);
            }
        }
        of_account.push_back(id);
        self.grants.insert(id, grant);
        if self.grants.len() > MOST_GRANTS
            && let Some((oldest, grant)) = self.grants.pop_first()
        {
            let key = (grant.client_id, grant.account);
            if let Some(of_account) = self.by_account.get_mut(&key) {
                of_account.retain(|id| *id != oldest);
                if of_account.is_empty() {
                    self.by_account.remove(&key);
                }
            }
        }
        id
    }

    /// Keeps a code; answers its number.
    pub(super) fn add_code(&mut self, code: Code) -> u64 {
        let id = self.next_code;
        self.next_code += 1;
        self.codes.insert(id, code);
        if self.codes.len() > MOST_CODES {
            self.codes.pop_first();
        }
        id
    }

    /// The number that the next device's request gets.
    pub(super) fn next_device(&self) -> u64 {
        self.next_device
    }

    /// Keeps a device's request.
    pub(super) fn add_device(&mut self, device: Device) {
        self.devices.insert(self.next_device, device);
        self.next_device += 1;
        if self.devices.len() > MOST_DEVICES {
            self.devices.pop_first();
        }
    }
}

/// No more names than these are counted one by one: they come from outside.
const MOST_COUNTED: usize = 100;

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    let known = counts.len() < MOST_COUNTED || counts.contains_key(name);
    let name = if known { name } else { "others" };
    let name: String = name.chars().take(100).collect();
    *counts.entry(name).or_default() += 1;
}
