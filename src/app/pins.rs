//! Where client secrets and grants may go. They are pinned to the origins that the definition of their provider had when
//! they were given. Another definition, or other parameters, count only while they stay on these origins; until an
//! administrator confirms others, the old definition stays in use (RFC 6749 §10.3, RFC 9700 §4.4).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    App,
    access::Caller,
    audit, providers,
    registration::{Registration, strings},
};
use crate::{
    domain::{
        Error, Noun, OriginChange, Rejection, Result, Secret,
        audit::Deed,
        connection::Connection,
        profile::{Profile, SecretKind},
        user::Scope,
    },
    oauth::catalogue::{Destinations, Entry},
    store::{self, Db, Read, Tx},
};

/// What the secrets of a profile were given for.
struct Pin {
    entry: Entry,
    /// The parameters of the profile that decide where the definition leads.
    parameters: BTreeMap<String, String>,
}

impl Pin {
    fn new(entry: Entry, parameters: &BTreeMap<String, String>) -> Self {
        let decides = |name: &String| {
            entry.variables.contains_key(name) || entry.endpoint_parameters.values().any(|parameter| parameter == name)
        };
        let parameters = parameters.iter().filter(|(name, _)| decides(name));
        Self { parameters: parameters.map(|(name, value)| (name.clone(), value.clone())).collect(), entry }
    }

    fn find(read: &Read<'_>, profile_id: i64) -> Result<Option<Self>> {
        let Some(text) = store::profile_pins::find(read, profile_id)? else { return Ok(None) };
        let malformed = |_| Error::internal("a pin is malformed");
        let fields: Map<String, Value> = serde_json::from_str(text.expose()).map_err(malformed)?;
        let text = |name: &str| fields.get(name).map(Value::to_string).unwrap_or_default();
        let parameters = serde_json::from_str(&text("parameters")).map_err(malformed)?;
        Ok(Some(Self { entry: Entry::read(&text("definition"))?, parameters }))
    }

    fn put(&self, tx: &Tx<'_>, profile_id: i64) -> Result<()> {
        let definition: Value = serde_json::from_str(&self.entry.to_json()).map_err(Error::internal)?;
        let text = json!({"definition": definition, "parameters": self.parameters}).to_string();
        store::profile_pins::put(tx, profile_id, &Secret::new(text))
    }

    fn destinations(&self) -> Destinations {
        self.entry.destinations(&self.parameters)
    }
}

/// The definition and the parameters that the secrets of a profile are used with: the present ones where they stay on the
/// pinned origins, and otherwise those that the secrets were given for.
pub(super) fn in_use(
    read: &Read<'_>,
    profile: &Profile,
    entry: Option<Entry>,
    mut parameters: BTreeMap<String, String>,
) -> Result<Option<(Entry, BTreeMap<String, String>)>> {
    let Some(pin) = Pin::find(read, profile.id)? else {
        // Without a pin nothing says where the secrets may go.
        let Some(entry) = entry else { return Ok(None) };
        let new = entry.destinations(&parameters).origins();
        return Err(unconfirmed(&profile.provider, Vec::new(), new, 1, profile.connections));
    };
    if let Some(entry) = entry
        && pin.destinations().cover(&entry.destinations(&parameters))
    {
        return Ok(Some((entry, parameters)));
    }
    parameters.extend(pin.parameters);
    Ok(Some((pin.entry, parameters)))
}

fn unconfirmed(provider: &str, old: Vec<String>, new: Vec<String>, profiles: u64, connections: u64) -> Error {
    Error::OriginChange(Box::new(OriginChange { provider: provider.to_owned(), old, new, profiles, connections }))
}

/// The parameters of a profile; empty where it has none.
pub(super) fn parameters(read: &Read<'_>, profile_id: i64) -> Result<BTreeMap<String, String>> {
    let found = store::profiles::open_secret(read, profile_id, SecretKind::Parameters)?;
    Ok(found.as_ref().map(strings).unwrap_or_default())
}

/// What a profile has that a request does not bring anew, read before the request is stored.
pub(super) struct Retained {
    pin: Option<Pin>,
    /// Whether secrets beside the client secret stay.
    has_secrets: bool,
    profile: Profile,
}

impl Retained {
    /// Reads it. `gives_token` and `gives_parameters`: the request brings them, or removes them.
    pub(super) fn of(read: &Read<'_>, id: i64, gives_token: bool, gives_parameters: bool) -> Result<Self> {
        let has = |kind| Ok::<_, Error>(store::profiles::secret(read, id, kind)?.is_some());
        let has_secrets = has(SecretKind::Next)?
            || (!gives_token && has(SecretKind::Token)?)
            || (!gives_parameters && has(SecretKind::Parameters)?);
        Ok(Self { pin: Pin::find(read, id)?, has_secrets, profile: store::profiles::get(read, id)? })
    }
}

/// Pins a profile whose client secret was just given. What it had before stays where it was: connections, and secrets that
/// were not given anew, move to no other origin.
pub(super) fn pin_given(tx: &Tx<'_>, id: i64, provider: &str, retained: Option<Retained>) -> Result<()> {
    let Some((entry, _)) = providers::find(tx, provider)? else { return Ok(()) };
    let pin = Pin::new(entry, &parameters(tx, id)?);
    if let Some(retained) = retained
        && (retained.has_secrets || retained.profile.connections > 0)
    {
        let old = retained.pin.as_ref().map(Pin::destinations).unwrap_or_default();
        let new = pin.destinations();
        if !old.cover(&new) {
            return Err(unconfirmed(provider, old.origins(), old.missing(&new), 1, retained.profile.connections));
        }
    }
    pin.put(tx, id)
}

/// Refuses values for a provider's variables that would send the grant of a connection to another origin than it was
/// given for: another tenant needs a grant of its own.
pub(super) fn check_input(read: &Read<'_>, connection: &Connection, input: &Secret) -> Result<()> {
    if store::grants::find(read, connection.id)?.is_none() {
        return Ok(());
    }
    let none = BTreeMap::new();
    // Values with which there is no provider at all are refused when they are used.
    let Ok(after) = Registration::provider_with(read, connection, input) else { return Ok(()) };
    let after = after.entry().destinations(&none);
    let before = Registration::provider_of(read, connection).map(|before| before.entry().destinations(&none));
    let before = before.unwrap_or_default();
    if before.cover(&after) {
        return Ok(());
    }
    Err(unconfirmed(&connection.provider, before.origins(), before.missing(&after), 1, 1))
}

/// The profiles of a provider whose secrets stay where they are, as its definition leads to other origins.
#[derive(Debug, Clone, Default)]
struct Moves {
    profiles: Vec<i64>,
    connections: u64,
    old: BTreeSet<String>,
    new: BTreeSet<String>,
}

/// What of a provider waits for a confirmation of `entry`.
fn moves(read: &Read<'_>, slug: &str, entry: &Entry) -> Result<Moves> {
    let mut moves = Moves::default();
    for profile in store::profiles::of_provider(read, slug)? {
        let old = Pin::find(read, profile.id)?.as_ref().map(Pin::destinations).unwrap_or_default();
        let new = entry.destinations(&parameters(read, profile.id).unwrap_or_default());
        if !old.cover(&new) {
            moves.new.extend(old.missing(&new));
            moves.old.extend(old.origins());
            moves.profiles.push(profile.id);
            moves.connections += profile.connections;
        }
    }
    Ok(moves)
}

impl Moves {
    fn change(&self, slug: &str) -> OriginChange {
        OriginChange {
            provider: slug.to_owned(),
            old: self.old.iter().cloned().collect(),
            new: self.new.iter().cloned().collect(),
            profiles: u64::try_from(self.profiles.len()).unwrap_or(u64::MAX),
            connections: self.connections,
        }
    }
}

/// Moves the secrets of a provider's profiles to `entry`, which takes its place in the same transaction. What would go to
/// origins that are neither pinned nor in `confirmed` is an error, and nothing moves.
pub(super) fn follow(tx: &Tx<'_>, caller: &Caller, slug: &str, entry: &Entry, confirmed: &[String]) -> Result<()> {
    let moves = moves(tx, slug, entry)?;
    if !moves.profiles.is_empty() {
        let change = moves.change(slug);
        if !moves.new.iter().all(|origin| confirmed.contains(origin)) {
            return Err(Error::OriginChange(Box::new(change)));
        }
        require_administrator_in_person(caller)?;
        let detail = json!({"old_origins": change.old, "new_origins": change.new,
            "profiles": change.profiles, "connections": change.connections});
        audit(tx, caller, Deed::OriginsConfirmed, "provider", slug, &detail)?;
    }
    for profile in store::profiles::of_provider(tx, slug)? {
        // Parameters that do not open decide nothing: the profile is not used.
        let Ok(parameters) = parameters(tx, profile.id) else { continue };
        Pin::new(entry.clone(), &parameters).put(tx, profile.id)?;
    }
    Ok(())
}

/// Refuses a caller who must not decide where secrets go: that is for administrators in person, and not for a token.
fn require_administrator_in_person(caller: &Caller) -> Result<()> {
    caller.need(Scope::Admin)?;
    super::reach::whole(caller)?;
    if caller.is_machine() || caller.session().is_some() {
        return Ok(());
    }
    Err(Error::Unauthenticated(Rejection::InPerson))
}

/// Pins what was stored before there were pins to the definitions there are. At start, before anything is sent.
pub(super) fn pin_all(db: &Db) -> Result<()> {
    if db.read(store::profile_pins::unpinned)?.is_empty() {
        return Ok(());
    }
    let (done, wait) = std::sync::mpsc::channel();
    db.note(move |tx| {
        let pinned = pin_existing(tx);
        let _ = done.send(pinned.as_ref().err().map(ToString::to_string));
        pinned
    });
    match wait.recv() {
        Ok(None) => Ok(()),
        Ok(Some(why)) => Err(Error::internal(why)),
        Err(_) => Err(Error::internal("the database cannot be written")),
    }
}

fn pin_existing(tx: &Tx<'_>) -> Result<()> {
    for id in store::profile_pins::unpinned(tx)? {
        let profile = store::profiles::get(tx, id)?;
        let Some((entry, _)) = providers::find(tx, &profile.provider)? else { continue };
        if store::profiles::bind_secrets(tx, id)? {
            Pin::new(entry, &parameters(tx, id)?).put(tx, id)?;
        } else {
            tracing::warn!(profile = id, "the secrets of this profile are pinned to no origin, and stay unused");
        }
    }
    Ok(())
}

/// The providers whose definition leads to origins that wait for a confirmation, by slug.
pub(super) fn origin_changes(read: &Read<'_>) -> Result<Vec<OriginChange>> {
    let mut found = Vec::new();
    for slug in store::profiles::providers_in_use(read)? {
        let Some((entry, _)) = providers::find(read, &slug)? else { continue };
        let moves = moves(read, &slug, &entry)?;
        if !moves.profiles.is_empty() {
            found.push(moves.change(&slug));
        }
    }
    Ok(found)
}

impl App {
    /// Confirms the origins that the definition of a provider leads to: client secrets and grants go there from now on.
    /// Each new origin has to be named, so that nothing is confirmed unseen. Returns all origins of the definition.
    pub async fn confirm_origins(&self, caller: &Caller, slug: &str, origins: Vec<String>) -> Result<Vec<String>> {
        require_administrator_in_person(caller)?;
        let (caller, slug) = (caller.clone(), slug.to_owned());
        let origins = self
            .db
            .write(move |tx| {
                let (entry, _) = providers::find(tx, &slug)?.ok_or_else(|| Error::not_found(Noun::Provider, &slug))?;
                follow(tx, &caller, &slug, &entry, &origins)?;
                Ok(entry.destinations(&BTreeMap::new()).origins())
            })
            .await?;
        self.worker.wake();
        Ok(origins)
    }
}
