//! How the app of a profile is registered at its provider, beyond client id and secret: the redirect URI, the secret to
//! come, and when secrets end.
//!
//! Whoever changes a secret at the provider has two for a while. The next one is tried wherever the current one is turned
//! down (`refresh/flight`, `connect`), so it may be given before or after the provider takes it, and be promoted
//! whenever somebody likes.

use serde_json::json;

use super::{App, access::Caller, audit, connect::Callback, profiles::TRIES, providers, reach};
use crate::{
    domain::{
        Error, Outage, Result, Secret, Timestamp, Why,
        audit::Deed,
        profile::{Change, KeptSecret, Profile, RefreshScope, Rejected, Rotation, SecretKind},
        user::Scope,
    },
    store::{self, Read, Tx},
};

/// How an app is registered: all but its secrets.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The profile.
    pub profile: Profile,
    /// Which of our addresses the provider sends browsers back to: `oauth` or `flow`.
    pub callback: String,
    /// That address (RFC 6749 §3.1.2).
    pub redirect_uri: String,
    /// The client secrets, the current one first.
    pub secrets: Vec<KeptSecret>,
    /// That the provider turns them down; `None`: it does not.
    pub rejected: Option<Rejected>,
    /// Whether the provider takes a token of the app's own.
    pub takes_token: bool,
    /// Whether there is one.
    pub has_token: bool,
    /// The names of the further parameters; `None`: they do not open.
    pub parameters: Option<Vec<String>>,
    /// What is known of refresh tokens through this profile.
    pub rotation: RotationFacts,
    /// What the `scope` parameter of refresh requests holds; `None`: as the provider's definition says.
    pub refresh_scope: Option<RefreshScope>,
}

/// Whether refreshing changes the refresh tokens of a profile's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationFacts {
    /// What the provider's definition declares; `None`: nothing.
    pub declared: Option<bool>,
    /// What refreshes were seen to do, and since when that is known.
    pub observed: Option<(Rotation, Timestamp)>,
}

impl RotationFacts {
    /// Whether refresh tokens are treated as changing with each refresh.
    pub fn is_assumed(&self) -> bool {
        Rotation::is_assumed(self.declared, self.observed.map(|(rotation, _)| rotation))
    }
}

/// What is to be changed.
#[derive(Debug)]
pub struct Changes {
    /// Which of our addresses is registered; `None`: as it is.
    pub callback: Option<Callback>,
    /// When the provider stops taking the current secret.
    pub expires_at: Change<Timestamp>,
    /// The secret to come.
    pub next: Change<Secret>,
    /// When the provider stops taking that one.
    pub next_expires_at: Change<Timestamp>,
    /// What the `scope` parameter of refresh requests holds.
    pub refresh_scope: Change<RefreshScope>,
}

impl Changes {
    fn is_nothing(&self) -> bool {
        let kept =
            matches!((&self.expires_at, &self.next, &self.next_expires_at), (Change::Keep, Change::Keep, Change::Keep));
        kept && self.callback.is_none() && matches!(self.refresh_scope, Change::Keep)
    }

    /// Facts for the audit trail, none of them secret.
    fn facts(&self, new_secret: bool) -> serde_json::Value {
        let next = match (&self.next, new_secret) {
            (Change::Set(_), true) => Some("set"),
            (Change::Clear, _) => Some("removed"),
            _ => None,
        };
        let time = |change: &Change<Timestamp>| !matches!(change, Change::Keep);
        json!({
            "callback": self.callback.map(Callback::as_str), "next_secret": next,
            "expiry": time(&self.expires_at), "next_expiry": time(&self.next_expires_at),
            "refresh_scope": match self.refresh_scope {
                Change::Keep => None,
                Change::Clear => Some("default"),
                Change::Set(scope) => Some(scope.as_str()),
            },
        })
    }
}

impl App {
    /// How the app of a profile is registered.
    pub fn registration(&self, caller: &Caller, id: i64) -> Result<Registered> {
        caller.need(Scope::ProfilesRead)?;
        self.registered(id)
    }

    fn registered(&self, id: i64) -> Result<Registered> {
        self.db.read(|read| {
            let profile = store::profiles::get(read, id)?;
            let entry = providers::find(read, &profile.provider)?;
            let declared = entry.as_ref().and_then(|(entry, _)| entry.rotates);
            let takes_token = entry.is_some_and(|(entry, origin)| entry.provider(origin).takes_token);
            let parameters = match store::profiles::open_secret(read, id, SecretKind::Parameters) {
                Ok(object) => Some(object.as_ref().map(names).unwrap_or_default()),
                Err(_) => None,
            };
            Ok(Registered {
                callback: store::profiles::callback(read, id)?,
                redirect_uri: format!("{}{}", self.settings.public_url, store::profiles::callback_path(read, id)?),
                secrets: store::profiles::kept_secrets(read, id)?,
                rejected: store::profiles::rejection(read, id)?,
                takes_token,
                has_token: store::profiles::secret(read, id, SecretKind::Token)?.is_some(),
                parameters,
                rotation: RotationFacts { declared, observed: store::profiles::rotation(read, id)? },
                refresh_scope: store::profiles::refresh_scope(read, id)?,
                profile,
            })
        })
    }

    /// Changes how an app is registered. The same next secret again keeps its age; another one is tried at once where the
    /// provider turns down what there is.
    pub async fn change_registration(&self, caller: &Caller, id: i64, changes: Changes) -> Result<Registered> {
        caller.need(Scope::ProfilesWrite)?;
        if changes.is_nothing() {
            return Err(Error::invalid("", Why::NothingToChange));
        }
        let changes = std::sync::Arc::new(changes);
        for _ in 0..TRIES {
            let seen = self.db.read(|read| {
                store::profiles::get(read, id)?;
                hashes(read, id)
            })?;
            let hash = match &changes.next {
                Change::Set(secret) => self.hash_next(id, secret).await?,
                Change::Keep | Change::Clear => None,
            };
            let seal = matches!(&changes.next, Change::Set(secret) if self.sealable(secret).is_some());
            let (caller, changes) = (caller.clone(), std::sync::Arc::clone(&changes));
            let saved = self.db.write(move |tx| {
                if hashes(tx, id)? != seen {
                    return Ok(false);
                }
                change(tx, &caller, id, &changes, hash.as_deref(), seal).map(|()| true)
            });
            if saved.await? {
                // What waits for a secret that works tries this one.
                self.worker.wake();
                return self.registered(id);
            }
        }
        Err(Error::unavailable(Outage::Writer))
    }

    /// The hash of a next secret; `None`: it is that one already.
    async fn hash_next(&self, id: i64, secret: &Secret) -> Result<Option<String>> {
        if self.is_kept(id, SecretKind::Current, secret).await? {
            return Err(Error::invalid("next_client_secret", Why::Malformed("another secret than the current one")));
        }
        if self.is_kept(id, SecretKind::Next, secret).await? {
            return Ok(None);
        }
        self.hasher.hash(secret).await.map(Some)
    }

    /// Forgets what refreshes through a profile were seen to do to refresh tokens: it is learned anew. For administrators,
    /// as a refresh token that rotates all the same may be sent twice, which ends its grant (RFC 9700 §4.14.2).
    pub async fn reset_rotation(&self, caller: &Caller, id: i64) -> Result<Registered> {
        caller.need(Scope::Admin)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                store::profiles::get(tx, id)?;
                reach::all_of_profile(tx, &caller, id)?;
                let known = store::profiles::rotation(tx, id)?.map(|(rotation, _)| rotation.as_str());
                store::profiles::reset_rotation(tx, id)?;
                audit(tx, &caller, Deed::Updated, "profile", id, &json!({"rotation": "reset", "observed": known}))
            })
            .await?;
        self.registered(id)
    }

    /// Puts the next secret in the place of the current one, which is gone by that. Without one it is an error, so that
    /// whoever repeats it hears that it was done.
    pub async fn promote_secret(&self, caller: &Caller, id: i64) -> Result<Registered> {
        caller.need(Scope::ProfilesWrite)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                store::profiles::get(tx, id)?;
                reach::all_of_profile(tx, &caller, id)?;
                if !store::profiles::promote_secret(tx, id)? {
                    return Err(Error::invalid("next_client_secret", Why::NoNextSecret));
                }
                store::profiles::touch(tx, id)?;
                store::profiles::try_again(tx, id)?;
                audit(tx, &caller, Deed::SecretPromoted, "profile", id, &json!({}))
            })
            .await?;
        self.worker.wake();
        self.registered(id)
    }
}

fn names(object: &Secret) -> Vec<String> {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(object.expose()).unwrap_or_default();
    let mut names: Vec<String> = fields.into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

/// The hashes of both client secrets: tell whether either has changed.
fn hashes(read: &Read<'_>, id: i64) -> Result<[Option<String>; 2]> {
    let hash = |kind| Ok::<_, Error>(store::profiles::secret(read, id, kind)?.and_then(|stored| stored.hash));
    Ok([hash(SecretKind::Current)?, hash(SecretKind::Next)?])
}

fn change(tx: &Tx<'_>, caller: &Caller, id: i64, changes: &Changes, hash: Option<&str>, seal: bool) -> Result<()> {
    reach::all_of_profile(tx, caller, id)?;
    if let Some(callback) = changes.callback {
        store::profiles::set_callback(tx, id, callback.as_str())?;
    }
    match (&changes.next, hash) {
        (Change::Set(secret), Some(hash)) => {
            store::profiles::put_secret(tx, id, SecretKind::Next, Some(hash), seal.then_some(secret))?;
            store::profiles::try_again(tx, id)?;
        }
        (Change::Clear, _) => store::profiles::delete_secret(tx, id, SecretKind::Next)?,
        _ => {}
    }
    match changes.refresh_scope {
        Change::Keep => {}
        Change::Clear => store::profiles::set_refresh_scope(tx, id, None)?,
        Change::Set(scope) => store::profiles::set_refresh_scope(tx, id, Some(scope))?,
    }
    for (kind, expiry) in [(SecretKind::Current, &changes.expires_at), (SecretKind::Next, &changes.next_expires_at)] {
        let at = match expiry {
            Change::Keep => continue,
            Change::Clear => None,
            Change::Set(at) => Some(*at),
        };
        // To take away what is not there is nothing.
        if !store::profiles::set_secret_expiry(tx, id, kind, at)? && at.is_some() {
            return Err(Error::invalid("next_client_secret", Why::NoNextSecret));
        }
    }
    store::profiles::touch(tx, id)?;
    audit(tx, caller, Deed::Updated, "profile", id, &changes.facts(hash.is_some()))
}
