//! Profiles: registrations of ours at providers.

use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::{App, access::Caller, audit, pins, providers, reach};
use crate::{
    domain::{
        Error, Noun, Page, Result, Secret, Why,
        audit::Deed,
        profile::{Change, Draft, Parameters, Profile, SecretKind},
        user::Scope,
        version::Expected,
    },
    store::{self, Tx},
};

/// How often a write is tried again when another one got in between.
pub(super) const TRIES: usize = 5;

/// A secret ready to be kept: hashed outside of the transaction; `None`: it is the one that is kept already.
pub(super) type Hashed = Option<String>;

impl App {
    /// One page of profiles by ascending id.
    pub async fn list_profiles(&self, caller: &Caller, page: Page) -> Result<Vec<Profile>> {
        caller.need(Scope::ProfilesRead)?;
        self.db.scan(move |read| store::profiles::list(read, page)).await
    }

    /// Provider and name of all profiles, sorted.
    pub async fn profile_names(&self, caller: &Caller) -> Result<Vec<(String, String)>> {
        caller.need(Scope::ProfilesRead)?;
        self.db.scan(store::profiles::names).await
    }

    /// One profile.
    pub fn get_profile(&self, caller: &Caller, id: i64) -> Result<Profile> {
        caller.need(Scope::ProfilesRead)?;
        self.db.read(|read| store::profiles::get(read, id))
    }

    /// Makes a profile. `Conflict` when its provider has one of that name.
    pub async fn create_profile(&self, caller: &Caller, draft: Draft) -> Result<Profile> {
        caller.need(Scope::ProfilesWrite)?;
        // Looked up before the costly part; the constraint decides.
        self.db.read(|read| {
            check_draft(read, &draft)?;
            match store::profiles::find(read, &draft.provider, draft.name.as_str())? {
                Some(_) => Err(Error::Conflict { what: Noun::Profile, name: draft.name.to_string() }),
                None => Ok(()),
            }
        })?;
        let hash = self.hasher.hash(&draft.client_secret).await?;
        let (caller, seal) = (caller.clone(), self.sealable(&draft.client_secret).is_some());
        self.db
            .write(move |tx| {
                let id = save(tx, &caller, None, &draft, Some(&hash), seal)?;
                store::profiles::get(tx, id)
            })
            .await
    }

    /// Replaces a profile. The same secret again keeps its age. `Changed` when it is not as expected.
    pub async fn replace_profile(
        &self,
        caller: &Caller,
        id: i64,
        expected: &Expected,
        draft: Draft,
    ) -> Result<Profile> {
        caller.need(Scope::ProfilesWrite)?;
        for _ in 0..TRIES {
            self.db.read(|read| {
                expected.check(Noun::Profile, store::profiles::get(read, id)?.updated_at)?;
                check_draft(read, &draft)
            })?;
            let seen = self.kept_hash(id)?;
            let hash = self.hash_unless_kept(id, &draft.client_secret).await?;
            let (caller, draft, expected) = (caller.clone(), draft.clone(), expected.clone());
            let seal = self.sealable(&draft.client_secret).is_some();
            let saved = self
                .db
                .write(move |tx| {
                    expected.check(Noun::Profile, store::profiles::get(tx, id)?.updated_at)?;
                    if hash_of(tx, id)? != seen {
                        return Ok(None);
                    }
                    save(tx, &caller, Some(id), &draft, hash.as_deref(), seal)?;
                    store::profiles::get(tx, id).map(Some)
                })
                .await?;
            if let Some(profile) = saved {
                // What waits for a secret that works tries this one.
                self.worker.wake();
                return Ok(profile);
            }
        }
        Err(Error::unavailable(crate::domain::Outage::Writer))
    }

    /// Removes a profile that no connection uses and no customer has.
    pub async fn delete_profile(&self, caller: &Caller, id: i64, expected: Expected) -> Result<()> {
        caller.need(Scope::ProfilesWrite)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                expected.check(Noun::Profile, store::profiles::get(tx, id)?.updated_at)?;
                remove(tx, &caller, id)
            })
            .await
    }

    /// Removes the profile of this provider and name, if no connection uses it and no customer has it.
    pub async fn delete_profile_by_name(&self, caller: &Caller, provider: &str, name: &str) -> Result<()> {
        caller.need(Scope::ProfilesWrite)?;
        let (caller, provider, name) = (caller.clone(), provider.to_owned(), name.to_owned());
        self.db
            .write(move |tx| {
                let found = store::profiles::find(tx, &provider, &name)?;
                let missing = || Error::not_found(Noun::Profile, format_args!("{provider}/{name}"));
                remove(tx, &caller, found.ok_or_else(missing)?.id)
            })
            .await
    }

    /// Whether `secret` is the client secret of a profile. Opens nothing: the kept hash answers.
    pub async fn verify_secret(&self, caller: &Caller, id: i64, secret: &Secret) -> Result<bool> {
        caller.need(Scope::ProfilesWrite)?;
        let mut matches = false;
        for kind in [SecretKind::Current, SecretKind::Next] {
            let kept = self.db.read(|read| {
                store::profiles::get(read, id)?;
                Ok(store::profiles::secret(read, id, kind)?.and_then(|stored| stored.hash))
            })?;
            let Some(kept) = kept else { continue };
            let verdict = self.hasher.verify(secret, Some(&kept)).await?;
            if let Some(better) = verdict.rehash {
                self.db.note(move |tx| store::profiles::rehash_secret(tx, id, kind, &kept, &better));
            }
            matches |= verdict.matches;
        }
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                audit(tx, &caller, Deed::SecretVerified, "profile", id, &json!({"matches": matches}))?;
                Ok(matches)
            })
            .await
    }

    fn kept_hash(&self, id: i64) -> Result<Hashed> {
        self.db.read(|read| hash_of(read, id))
    }

    async fn hash_unless_kept(&self, id: i64, secret: &Secret) -> Result<Hashed> {
        if self.is_kept_secret(id, secret).await? { Ok(None) } else { self.hasher.hash(secret).await.map(Some) }
    }

    /// Whether `secret` is the current secret of a profile, kept as the configuration wants it. Where the sealed form is
    /// kept this costs a microsecond; where only the hash is, it costs a hash.
    pub(super) async fn is_kept_secret(&self, id: i64, secret: &Secret) -> Result<bool> {
        self.is_kept(id, SecretKind::Current, secret).await
    }

    /// The same of either client secret.
    pub(super) async fn is_kept(&self, id: i64, kind: SecretKind, secret: &Secret) -> Result<bool> {
        // One that does not open any more counts as another one, so that giving it again repairs it.
        let (opened, kept) = self.db.read(|read| {
            let opened = store::profiles::open_secret(read, id, kind).unwrap_or_default();
            Ok((opened, store::profiles::secret(read, id, kind)?.and_then(|stored| stored.hash)))
        })?;
        match (opened, kept) {
            // Kept the other way than configured: it counts as another one, so that it is kept anew.
            (opened, _) if opened.is_some() != self.sealable(secret).is_some() => Ok(false),
            (Some(opened), _) => Ok(opened.expose().as_bytes().ct_eq(secret.expose().as_bytes()).into()),
            (None, Some(kept)) => Ok(self.hasher.verify(secret, Some(&kept)).await?.matches),
            (None, None) => Ok(false),
        }
    }
}

pub(super) fn hash_of(read: &store::Read<'_>, id: i64) -> Result<Hashed> {
    Ok(store::profiles::secret(read, id, SecretKind::Current)?.and_then(|stored| stored.hash))
}

fn check_draft(read: &store::Read<'_>, draft: &Draft) -> Result<()> {
    let provider = providers::need(read, &draft.provider, "provider")?;
    if matches!(draft.token, Change::Set(_)) && !provider.takes_token {
        return Err(Error::invalid("data.token", Why::NotForProvider));
    }
    Ok(())
}

/// Writes a profile with its secrets, new (`id` is `None`) or in the place of another.
pub(super) fn save(
    tx: &Tx<'_>,
    caller: &Caller,
    id: Option<i64>,
    draft: &Draft,
    hash: Option<&str>,
    seal: bool,
) -> Result<i64> {
    let deed = if id.is_some() { Deed::Updated } else { Deed::Created };
    let keeps = |change: &Change<_>| matches!(change, Change::Keep);
    let gives_parameters = !matches!(draft.parameters, Change::Keep);
    let before = id.map(|id| pins::Retained::of(tx, id, !keeps(&draft.token), gives_parameters)).transpose()?;
    let id = if let Some(id) = id {
        reach::all_of_profile(tx, caller, id)?;
        store::profiles::update(tx, id, &draft.provider, &draft.name, &draft.client_id).map(|()| id)?
    } else {
        let by = caller.user().map(|user| user.id);
        store::profiles::insert(tx, &draft.provider, &draft.name, &draft.client_id, by)?
    };
    if let Some(hash) = hash {
        let secret = seal.then_some(&draft.client_secret);
        store::profiles::put_secret(tx, id, SecretKind::Current, Some(hash), secret)?;
        store::profiles::try_again(tx, id)?;
    }
    match &draft.token {
        Change::Keep => {}
        Change::Clear => store::profiles::delete_secret(tx, id, SecretKind::Token)?,
        Change::Set(token) => store::profiles::put_secret(tx, id, SecretKind::Token, None, Some(token))?,
    }
    match &draft.parameters {
        Change::Keep => {}
        Change::Clear => store::profiles::delete_secret(tx, id, SecretKind::Parameters)?,
        Change::Set(parameters) => {
            let text = parameters_text(parameters);
            store::profiles::put_secret(tx, id, SecretKind::Parameters, None, Some(&text))?;
        }
    }
    pins::pin_given(tx, id, &draft.provider, before)?;
    let detail = json!({"provider": draft.provider, "name": draft.name.as_str(), "new_secret": hash.is_some()});
    audit(tx, caller, deed, "profile", id, &detail)?;
    Ok(id)
}

/// The parameters as the one JSON object that is sealed.
pub(super) fn parameters_text(parameters: &Parameters) -> Secret {
    let fields: Vec<String> =
        parameters.iter().map(|(key, value)| format!("{}:{}", json!(key), value.expose())).collect();
    Secret::new(format!("{{{}}}", fields.join(",")))
}

fn remove(tx: &Tx<'_>, caller: &Caller, id: i64) -> Result<()> {
    let profile = store::profiles::get(tx, id)?;
    store::profiles::delete(tx, id).map_err(|error| match error {
        // How many there are, the profile itself tells; which ones, only whoever sees them all.
        Error::InUse { what, mut by } if !caller.reach().is_everything() => {
            by.iter_mut().filter(|by| by.what == Noun::Connection).for_each(|by| by.examples.clear());
            Error::InUse { what, by }
        }
        other => other,
    })?;
    let detail = json!({"provider": profile.provider, "name": profile.name.as_str()});
    audit(tx, caller, Deed::Deleted, "profile", id, &detail)
}
