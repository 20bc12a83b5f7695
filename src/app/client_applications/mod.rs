//! Client applications: programs that use us, their files, their credentials.

mod file;

use std::net::IpAddr;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    App,
    access::{Caller, Origin},
    audit,
    audit::note_hourly,
    credential::{Credential, hex},
    reach,
};
use crate::{
    domain::{
        Error, Fault, Name, Noun, Outage, Page, Result, Secret, Timestamp, Why,
        api_token::TokenKind,
        audit::Deed,
        client_application::{ClientApplication, File, IssuedSecret},
        reach::Changes,
        user::{Scope, Scopes},
        value::check_text,
    },
    store,
};

/// So many large files may be on their way in at once: each is held in memory until it is written.
pub(super) const MOST_UPLOADS: usize = 8;
/// The longest file name, in characters.
const MOST_FILE_NAME: usize = 255;

/// What is asked to be changed.
#[derive(Debug, Default)]
pub struct Change {
    /// The name as the request gives it: it may only be the one that is kept.
    pub name: Option<Name>,
    /// The flag.
    pub enabled: Option<bool>,
    /// The file.
    pub file: Option<File>,
}

/// An access token just issued (RFC 6749 §5.1).
pub struct Issued {
    /// The token, shown once.
    pub token: Secret,
    /// What it may do.
    pub scopes: Scopes,
    /// For how many seconds.
    pub expires_in: u32,
}

/// Why the token endpoint says no (RFC 6749 §5.2).
#[derive(Debug)]
pub enum Refusal {
    /// `invalid_client`: unknown, disabled, or the secret is wrong.
    InvalidClient,
    /// `invalid_scope`: this is not granted.
    InvalidScope(String),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// What is told of a token that is alive (RFC 7662 §2.2).
#[derive(Debug)]
pub struct Introspection {
    /// The application's id.
    pub client_id: String,
    /// What it may do.
    pub scopes: Scopes,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it stops.
    pub expires_at: Timestamp,
}

impl App {
    /// One page in the order of creation, and how many there are in all.
    pub async fn list_client_applications(&self, caller: &Caller, page: Page) -> Result<(Vec<ClientApplication>, u64)> {
        caller.need(Scope::ApplicationsRead)?;
        self.db
            .scan(move |read| {
                Ok((store::client_applications::list(read, page)?, store::client_applications::count(read)?))
            })
            .await
    }

    /// One application.
    pub fn get_client_application(&self, caller: &Caller, id: &str) -> Result<ClientApplication> {
        caller.need(Scope::ApplicationsRead)?;
        self.db.read(|read| store::client_applications::get(read, id))
    }

    /// Turns down an id that names nothing, before anybody sends a file for it.
    pub fn expect_client_application(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.need(Scope::ApplicationsWrite)?;
        self.db.read(|read| store::client_applications::get(read, id)).map(drop)
    }

    /// A place among the large uploads, to be held until the file is written. `Unavailable` when all are taken.
    pub fn take_upload_place(&self) -> Result<OwnedSemaphorePermit> {
        self.uploads.clone().try_acquire_owned().map_err(|_| Error::unavailable(Outage::Uploads))
    }

    /// The file of an application, byte for byte, with the SHA-256 of its bytes in hexadecimal digits.
    pub async fn client_application_file(&self, caller: &Caller, id: &str) -> Result<(File, String)> {
        caller.need(Scope::ApplicationsRead)?;
        self.stored_file(id).await
    }

    /// The file of the application that asks: its own it may always read. To anybody else there is no such thing.
    pub async fn own_client_application_file(&self, caller: &Caller) -> Result<(File, String)> {
        let id = caller.application().ok_or_else(|| Error::not_found(Noun::ClientApplication, "self"))?;
        self.stored_file(id).await
    }

    async fn stored_file(&self, id: &str) -> Result<(File, String)> {
        let id = id.to_owned();
        self.db
            .scan(move |read| {
                let file = store::client_applications::file(read, &id)?;
                let digest = hex(&Sha256::digest(&file.data));
                Ok((file, digest))
            })
            .await
    }

    /// Makes an application, without any scope and without a secret. A file that breaks the rules is told before a name
    /// that is taken, as only the database knows of the name.
    pub async fn create_client_application(
        &self,
        caller: &Caller,
        name: Name,
        enabled: bool,
        file: File,
    ) -> Result<ClientApplication> {
        caller.need(Scope::ApplicationsWrite)?;
        let file = check(file).await?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let id = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
                store::client_applications::insert(tx, &id, &name, enabled, &file)?;
                let detail = json!({"name": name.as_str(), "enabled": enabled});
                audit(tx, &caller, Deed::Created, "client_application", &id, &detail)?;
                store::client_applications::get(tx, &id)
            })
            .await
    }

    /// Changes flag, file or both; the name stays.
    pub async fn update_client_application(
        &self,
        caller: &Caller,
        id: &str,
        change: Change,
    ) -> Result<ClientApplication> {
        caller.need(Scope::ApplicationsWrite)?;
        let known = self.db.read(|read| store::client_applications::get(read, id))?;
        if change.name.as_ref().is_some_and(|name| *name != known.name) {
            return Err(Error::invalid("name", Why::Fixed));
        }
        if change.enabled.is_none() && change.file.is_none() {
            return Err(Error::invalid("", Why::NothingToChange));
        }
        let file = match change.file {
            Some(file) => Some(check(file).await?),
            None => None,
        };
        let (caller, id) = (caller.clone(), id.to_owned());
        self.db
            .write(move |tx| {
                store::client_applications::update(tx, &id, change.enabled, file.as_ref())?;
                let detail = json!({"enabled": change.enabled, "file": file.is_some()});
                audit(tx, &caller, Deed::Updated, "client_application", &id, &detail)?;
                store::client_applications::get(tx, &id)
            })
            .await
    }

    /// Removes an application with its file, secrets and tokens.
    pub async fn delete_client_application(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.need(Scope::ApplicationsWrite)?;
        let (caller, id) = (caller.clone(), id.to_owned());
        self.db
            .write(move |tx| {
                store::client_applications::delete(tx, &id)?;
                audit(tx, &caller, Deed::Deleted, "client_application", &id, &json!({}))
            })
            .await
    }

    /// Sets what the application's access tokens may do, and to which connections. Other scopes stop the tokens that are out;
    /// another reach is theirs from now on. `scopes` is `None` where they stay.
    pub async fn grant(
        &self,
        caller: &Caller,
        id: &str,
        scopes: Option<Scopes>,
        changes: Changes,
    ) -> Result<ClientApplication> {
        caller.need(Scope::ApplicationsWrite)?;
        let (caller, id) = (caller.clone(), id.to_owned());
        self.db
            .write(move |tx| {
                let known = store::client_applications::get(tx, &id)?;
                let granted = scopes.unwrap_or(known.scopes);
                if let Some(more) = granted.iter().find(|scope| !caller.scopes().allow(*scope)) {
                    return Err(Error::Forbidden(more));
                }
                let wanted = known.reach.clone().changed(changes);
                if wanted != known.reach {
                    reach::check(tx, &caller, &wanted)?;
                    store::client_applications::set_reach(tx, &id, &wanted)?;
                }
                reach::give(&caller, &wanted)?;
                if let Some(scopes) = scopes {
                    store::client_applications::set_scopes(tx, &id, scopes)?;
                }
                let detail = json!({
                    "scopes": granted.to_string(), "connections": wanted.connections, "owner": wanted.owner
                });
                audit(tx, &caller, Deed::Updated, "client_application", &id, &detail)?;
                store::client_applications::get(tx, &id)
            })
            .await
    }

    /// What is known of the live secrets of an application: never the secrets.
    pub fn list_client_application_secrets(&self, caller: &Caller, id: &str) -> Result<Vec<IssuedSecret>> {
        caller.need(Scope::ApplicationsRead)?;
        self.db.read(|read| {
            store::client_applications::get(read, id)?;
            store::client_applications::secrets(read, id)
        })
    }

    /// Issues a secret, beside the one there may be. Its text is in the answer and nowhere else.
    pub async fn issue_client_application_secret(&self, caller: &Caller, id: &str) -> Result<(IssuedSecret, Secret)> {
        caller.need(Scope::ApplicationsWrite)?;
        loop {
            let secret_id = self.db.read(|read| {
                store::client_applications::get(read, id)?;
                store::client_applications::next_secret_id(read)
            })?;
            let secret = Credential::generate(TokenKind::Secret, secret_id)?;
            let hash = self.hasher.hash(secret.text()).await?;
            let (caller, id) = (caller.clone(), id.to_owned());
            let issued = self
                .db
                .write(move |tx| {
                    // Whoever holds the secret may what the application may: nobody hands out more than they have.
                    let application = store::client_applications::get(tx, &id)?;
                    reach::give(&caller, &application.reach)?;
                    if let Some(more) = application.scopes.iter().find(|scope| !caller.scopes().allow(*scope)) {
                        return Err(Error::Forbidden(more));
                    }
                    if !store::client_applications::insert_secret(tx, &id, secret_id, &hash)? {
                        return Ok(None);
                    }
                    let detail = json!({"secret": secret_id});
                    audit(tx, &caller, Deed::SecretIssued, "client_application", &id, &detail)?;
                    Ok(Some(IssuedSecret { id: secret_id, created_at: tx.now(), last_used_at: None }))
                })
                .await?;
            if let Some(issued) = issued {
                return Ok((issued, secret.text().clone()));
            }
        }
    }

    /// Revokes a secret, and the access tokens that it fetched.
    pub async fn revoke_client_application_secret(&self, caller: &Caller, id: &str, secret_id: i64) -> Result<()> {
        caller.need(Scope::ApplicationsWrite)?;
        let (caller, id) = (caller.clone(), id.to_owned());
        self.db
            .write(move |tx| {
                store::client_applications::delete_secret(tx, &id, secret_id)?;
                let detail = json!({"secret": secret_id});
                audit(tx, &caller, Deed::SecretRevoked, "client_application", &id, &detail)
            })
            .await
    }

    /// Client credentials grant (RFC 6749 §4.4): an access token for id and secret. `scope` as in the request; none
    /// asks for all that is granted. Guessing from where the request comes from is slowed.
    pub async fn issue_access_token(
        &self,
        client_id: &str,
        secret: &Secret,
        scope: Option<&str>,
        origin: Origin,
    ) -> Result<Issued, Refusal> {
        let (application, secret_id) = self.authenticate_application(client_id, secret, origin.address).await?;
        let wanted = match scope.map(str::trim).filter(|scope| !scope.is_empty()) {
            None => None,
            Some(scope) => Some(Scopes::parse(scope).map_err(Refusal::InvalidScope)?),
        };
        let life = self.settings.access_token_life_s;
        self.db
            .write(move |tx| {
                // What is granted is read here and not before: it may have been taken away since.
                let Some(now) = store::client_applications::find(tx, &application.id)? else {
                    return Ok(Err(Refusal::InvalidClient));
                };
                let scopes = wanted.unwrap_or(now.scopes);
                if let Some(more) = scopes.iter().find(|scope| !now.scopes.allow(*scope)) {
                    return Ok(Err(Refusal::InvalidScope(more.to_string())));
                }
                let expires_at = tx.now().plus_ms(i64::from(life) * 1000);
                let Some(id) = store::client_applications::insert_access_token(tx, secret_id, scopes, expires_at)?
                else {
                    return Ok(Err(Refusal::InvalidClient));
                };
                let token = Credential::generate(TokenKind::Access, id)?;
                store::client_applications::set_access_token_hash(tx, id, &token.hash())?;
                let detail = json!({"scopes": scopes.to_string(), "secret": secret_id});
                let (id, caller) = (now.id.clone(), Caller::of_application(now, origin));
                note_hourly(tx, &caller, Deed::TokenIssued, "client_application", &id, &detail)?;
                Ok(Ok(Issued { token: token.text().clone(), scopes, expires_in: life }))
            })
            .await?
    }

    /// Introspection (RFC 7662) by an application of its own tokens, or by a caller that may see applications. `None`:
    /// not alive, or not the asker's business.
    pub fn introspect(&self, asker: &Caller, token: &Secret) -> Result<Option<Introspection>> {
        let Some(token) = Credential::parse(token).filter(|token| token.kind == TokenKind::Access) else {
            return Ok(None);
        };
        let found = self.db.read(|read| store::client_applications::find_access_token(read, token.id))?;
        Ok(found.filter(|found| token.is(&found.hash) && may_see(asker, &found.application)).map(|found| {
            Introspection {
                client_id: found.application,
                scopes: found.scopes,
                issued_at: found.created_at,
                expires_at: found.expires_at,
            }
        }))
    }

    /// Revocation (RFC 7009): the token stops. One that is unknown, or not the asker's, is none of an error.
    pub async fn revoke(&self, asker: &Caller, token: &Secret) -> Result<()> {
        let Some(token) = Credential::parse(token).filter(|token| token.kind == TokenKind::Access) else {
            return Ok(());
        };
        let asker = asker.clone();
        self.db
            .write(move |tx| {
                let found = store::client_applications::find_access_token(tx, token.id)?;
                if let Some(found) = found.filter(|found| token.is(&found.hash) && may_see(&asker, &found.application))
                {
                    store::client_applications::delete_access_token(tx, found.id)?;
                    let noun = "client_application";
                    note_hourly(tx, &asker, Deed::TokenRevoked, noun, &found.application, &json!({}))?;
                }
                Ok(())
            })
            .await
    }

    /// The caller that an application is which shows id and secret; it may do nothing but ask about its own tokens.
    pub async fn application_caller(
        &self,
        client_id: &str,
        secret: &Secret,
        origin: Origin,
    ) -> Result<Caller, Refusal> {
        let (application, _) = self.authenticate_application(client_id, secret, origin.address).await?;
        Ok(Caller::of_application(application, origin))
    }

    /// Wrong secrets are slowed by id and address together and by address alone, apart from the logins of people: who
    /// guesses elsewhere keeps no program out. A secret that was right before is compared in any case, so that one who
    /// guesses behind the same address does not keep it out either.
    async fn authenticate_application(
        &self,
        id: &str,
        secret: &Secret,
        address: IpAddr,
    ) -> Result<(ClientApplication, i64), Refusal> {
        let shown = Credential::parse(secret).filter(|c| c.kind == TokenKind::Secret);
        let secret_id = shown.as_ref().map_or(0, |c| c.id);
        let known: String = id.chars().take(32).collect();
        let compare = async {
            let (application, kept) = self.db.read(|read| {
                Ok((
                    store::client_applications::find(read, id)?,
                    store::client_applications::secret_hash(read, id, secret_id)?,
                ))
            })?;
            let verdict = self.hasher.verify(secret, kept.as_deref()).await?;
            if let (Some(better), Some(kept)) = (verdict.rehash, kept) {
                self.db.note(move |tx| store::client_applications::rehash_secret(tx, secret_id, &kept, &better));
            }
            Ok(application.filter(|_| verdict.matches))
        };
        let recognised = shown.as_ref().is_some_and(|shown| self.recognised.knows(shown));
        let application =
            if recognised { compare.await? } else { self.application_attempts.guard(&known, address, compare).await? };
        match (&application, &shown) {
            (Some(_), Some(shown)) => self.recognised.note(shown),
            // Shown again, it is a guess like any other.
            (None, Some(shown)) if recognised => self.recognised.forget(shown),
            _ => {}
        }
        Ok((application.ok_or(Refusal::InvalidClient)?, secret_id))
    }
}

fn may_see(asker: &Caller, application: &str) -> bool {
    asker.application() == Some(application) || asker.need(Scope::ApplicationsRead).is_ok()
}

/// Checks a file where it holds up nobody.
async fn check(file: File) -> Result<File> {
    let named = check_text(&file.name, MOST_FILE_NAME).map_err(|why| Fault::new("filename", why));
    let (file, checked) = tokio::task::spawn_blocking(move || {
        let checked = file::check(&file.data);
        (file, checked)
    })
    .await
    .map_err(Error::internal)?;
    match (named, checked) {
        (Ok(()), checked) => checked.map(|()| file),
        (Err(fault), Err(Error::Invalid(mut faults))) => {
            faults.insert(0, fault);
            Err(Error::Invalid(faults))
        }
        (Err(fault), _) => Err(Error::Invalid(vec![fault])),
    }
}
