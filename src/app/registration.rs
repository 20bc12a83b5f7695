//! What it takes to speak to a provider for a connection: the app's registration there, with every blank filled in.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{pins, providers};
use crate::{
    domain::{
        Error, Result, Secret, Timestamp, Why,
        connection::Connection,
        grant::Tokens,
        profile::{Profile, RefreshScope, Rotation, SecretKind},
    },
    oauth::{
        catalogue::{ClientAuth, Resolved},
        redact::secret_fields,
        wire::Client,
    },
    store::{self, Read},
};

/// A profile at its provider, for one connection's variables.
#[derive(Debug, Clone)]
pub(super) struct Registration {
    /// The profile.
    pub profile: Profile,
    /// The provider, every template filled.
    pub provider: Resolved,
    /// The live client secrets, the one that worked last first; empty for a public client.
    pub secrets: Vec<LiveSecret>,
    /// Until when the provider is not asked, because it turned the secrets down.
    pub rejected_until: Option<Timestamp>,
    /// What refreshes through the profile were seen to do to refresh tokens.
    pub rotation: Option<Rotation>,
    /// What the `scope` parameter of refresh requests holds.
    pub refresh_scope: RefreshScope,
    /// All secrets of the profile, to be redacted in what the provider answers.
    known: Vec<Secret>,
}

/// A client secret that may be sent.
#[derive(Debug, Clone)]
pub(super) struct LiveSecret {
    /// Which one.
    pub kind: SecretKind,
    /// Since when it is that one: tells whether it is still the same.
    pub since: Timestamp,
    /// The secret.
    pub secret: Secret,
}

impl Registration {
    /// The registration of a profile with these values for its provider's variables.
    pub(super) fn of_profile(read: &Read<'_>, profile_id: i64, variables: &BTreeMap<String, String>) -> Result<Self> {
        let profile = store::profiles::get(read, profile_id)?;
        let provider = resolved(read, &profile, variables)?;
        let mut secrets = Vec::new();
        if provider.client_auth() != ClientAuth::None {
            secrets = store::profiles::live_secrets(read, profile_id)?
                .into_iter()
                .map(|(kind, since, secret)| LiveSecret { kind, since, secret })
                .collect();
            if secrets.is_empty() {
                return Err(Error::invalid("custom_oauth_profile_id", Why::OnlyHashed));
            }
        }
        let rejected_until = store::profiles::rejected_until(read, profile_id)?;
        let rotation = store::profiles::rotation(read, profile_id)?.map(|(rotation, _)| rotation);
        let own_scope = store::profiles::refresh_scope(read, profile_id)?;
        let refresh_scope = own_scope.unwrap_or(provider.entry().refresh_scope);
        let known = known_secrets(read, profile_id);
        Ok(Self { profile, provider, secrets, rejected_until, rotation, refresh_scope, known })
    }

    /// The registration that a connection uses.
    pub(super) fn of_connection(read: &Read<'_>, connection: &Connection) -> Result<Self> {
        Self::of_profile(read, connection.profile_id, &variables(read, connection)?)
    }

    /// The provider of a connection, for what needs no client.
    pub(super) fn provider_of(read: &Read<'_>, connection: &Connection) -> Result<Resolved> {
        let profile = store::profiles::get(read, connection.profile_id)?;
        resolved(read, &profile, &variables(read, connection)?)
    }

    /// The provider of a connection if these were the values for the provider's variables.
    pub(super) fn provider_with(read: &Read<'_>, connection: &Connection, input: &Secret) -> Result<Resolved> {
        let profile = store::profiles::get(read, connection.profile_id)?;
        resolved(read, &profile, &strings(input))
    }

    /// The client as it shows itself with a secret.
    pub(super) fn client(&self, secret: Option<&LiveSecret>) -> Client {
        Client {
            id: self.profile.client_id.as_str().to_owned(),
            secret: secret.map(|live| live.secret.clone()),
            known: self.known.clone(),
        }
    }

    /// The client with each of its live secrets, the one that worked last first; once where it has none.
    pub(super) fn clients(&self) -> Vec<Client> {
        match self.secrets.as_slice() {
            [] => vec![self.client(None)],
            secrets => secrets.iter().map(|live| self.client(Some(live))).collect(),
        }
    }

    /// The client with the secret that worked last.
    pub(super) fn first_client(&self) -> Client {
        self.client(self.secrets.first())
    }
}

/// Every secret of a profile that can be decrypted.
fn known_secrets(read: &Read<'_>, profile_id: i64) -> Vec<Secret> {
    let open = |kind| store::profiles::open_secret(read, profile_id, kind).ok().flatten();
    let texts = [SecretKind::Current, SecretKind::Next, SecretKind::Token].into_iter().filter_map(open);
    let parameters = open(SecretKind::Parameters).map(|text| secret_fields(&object(&text))).unwrap_or_default();
    texts.chain(parameters).collect()
}

/// The secrets of a grant: its tokens, and the kept fields whose names look secret.
pub(super) fn grant_secrets(tokens: &Tokens) -> Vec<Secret> {
    let own = [Some(&tokens.access), tokens.refresh.as_ref(), tokens.previous.as_ref()];
    own.into_iter().flatten().cloned().chain(secret_fields(&object(&tokens.extra))).collect()
}

/// The secrets of the grant that a connection has; empty: it has none, or one that cannot be decrypted.
pub(super) fn connection_secrets(read: &Read<'_>, connection_id: i64) -> Vec<Secret> {
    let found = store::grants::find_with_tokens(read, connection_id).ok().flatten();
    found.map(|(_, tokens)| grant_secrets(&tokens)).unwrap_or_default()
}

/// What was entered with a connection.
fn variables(read: &Read<'_>, connection: &Connection) -> Result<BTreeMap<String, String>> {
    Ok(store::connections::input(read, connection.id)?.as_ref().map(strings).unwrap_or_default())
}

/// A profile's provider with every blank filled in.
fn resolved(read: &Read<'_>, profile: &Profile, variables: &BTreeMap<String, String>) -> Result<Resolved> {
    let entry = providers::find(read, &profile.provider)?.map(|(entry, _)| entry);
    let parameters = pins::parameters(read, profile.id)?;
    let found = pins::in_use(read, profile, entry, parameters)?;
    let (entry, parameters) = found.ok_or_else(|| Error::invalid("provider", Why::NotInList))?;
    // What is said of one account goes before what is said of the app.
    let mut values = parameters.clone();
    // A variable that can lead to any host is the profile's to give: a connection must not say where the secret goes.
    let unbounded = entry.unbounded_variables();
    let bounded = variables.iter().filter(|(name, _)| !unbounded.contains(name.as_str()));
    values.extend(bounded.map(|(name, value)| (name.clone(), value.clone())));
    entry.resolve(&values, &parameters)
}

/// The texts and numbers of a JSON object: what can stand in a URL.
pub(super) fn strings(object: &Secret) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    self::object(object).into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
}

fn object(text: &Secret) -> Map<String, Value> {
    serde_json::from_str(text.expose()).unwrap_or_default()
}
