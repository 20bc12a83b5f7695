//! Client applications: programs that use us, their files, their credentials.

mod file;

use serde_json::json;

use super::{
    App,
    access::{Caller, Origin},
    audit,
    credential::Credential,
};
use crate::{
    domain::{
        Error, Name, Page, Result, Secret, Timestamp, Why,
        api_token::TokenKind,
        audit::Deed,
        client_application::{ClientApplication, File, IssuedSecret},
        user::{Scope, Scopes},
    },
    store,
};

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

    /// The file of an application, byte for byte. An application may read its own.
    pub async fn client_application_file(&self, caller: &Caller, id: &str) -> Result<File> {
        if caller.application() != Some(id) {
            caller.need(Scope::ApplicationsRead)?;
        }
        let id = id.to_owned();
        self.db.scan(move |read| store::client_applications::file(read, &id)).await
    }

    /// Makes an application. The name is looked up first, so that a taken one is told before a file is read.
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
    pub async fn update_client_application(&self, caller: &Caller, id: &str, change: Change) -> Result<ClientApplication> {
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

    /// Sets what the application's access tokens may do; tokens that are out stop.
    pub async fn grant_scopes(&self, caller: &Caller, id: &str, scopes: Scopes) -> Result<ClientApplication> {
        caller.need(Scope::ApplicationsWrite)?;
        if let Some(more) = scopes.iter().find(|scope| !caller.scopes().allow(*scope)) {
            return Err(Error::Forbidden(more));
        }
        let (caller, id) = (caller.clone(), id.to_owned());
        self.db
            .write(move |tx| {
                store::client_applications::set_scopes(tx, &id, scopes)?;
                let detail = json!({"scopes": scopes.to_string()});
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

    /// Client credentials grant (RFC 6749 §4.4): an access token for id and secret. `scope` as in the request; none asks
    /// for all that is granted.
    pub async fn issue_access_token(&self, client_id: &str, secret: &Secret, scope: Option<&str>) -> Result<Issued, Refusal> {
        let (application, secret_id) = self.authenticate_application(client_id, secret).await?;
        let granted = application.scopes;
        let scopes = match scope.map(str::trim).filter(|scope| !scope.is_empty()) {
            None => granted,
            Some(scope) => Scopes::parse(scope).map_err(Refusal::InvalidScope)?,
        };
        if let Some(more) = scopes.iter().find(|scope| !granted.allow(*scope)) {
            return Err(Refusal::InvalidScope(more.to_string()));
        }
        let life = self.settings.access_token_life_s;
        let token = self
            .db
            .write(move |tx| {
                let expires_at = tx.now().plus_ms(i64::from(life) * 1000);
                let Some(id) = store::client_applications::insert_access_token(tx, secret_id, scopes, expires_at)? else {
                    return Ok(None);
                };
                let token = Credential::generate(TokenKind::Access, id)?;
                store::client_applications::set_access_token_hash(tx, id, &token.hash())?;
                Ok(Some(token.text().clone()))
            })
            .await?
            .ok_or(Refusal::InvalidClient)?;
        Ok(Issued { token, scopes, expires_in: life })
    }

    /// Introspection (RFC 7662) by an application of its own tokens, or by a caller that may see applications. `None`:
    /// not alive, or not the asker's business.
    pub fn introspect(&self, asker: &Caller, token: &Secret) -> Result<Option<Introspection>> {
        let Some(token) = Credential::parse(token).filter(|token| token.kind == TokenKind::Access) else { return Ok(None) };
        let found = self.db.read(|read| store::client_applications::find_access_token(read, token.id))?;
        Ok(found
            .filter(|found| token.is(&found.hash) && may_see(asker, &found.application))
            .map(|found| Introspection {
                client_id: found.application,
                scopes: found.scopes,
                issued_at: found.created_at,
                expires_at: found.expires_at,
            }))
    }

    /// Revocation (RFC 7009): the token stops. One that is unknown, or not the asker's, is none of an error.
    pub async fn revoke(&self, asker: &Caller, token: &Secret) -> Result<()> {
        let Some(token) = Credential::parse(token).filter(|token| token.kind == TokenKind::Access) else { return Ok(()) };
        let asker = asker.clone();
        self.db
            .write(move |tx| {
                let found = store::client_applications::find_access_token(tx, token.id)?;
                if let Some(found) = found.filter(|found| token.is(&found.hash) && may_see(&asker, &found.application)) {
                    store::client_applications::delete_access_token(tx, found.id)?;
                }
                Ok(())
            })
            .await
    }

    /// The caller that an application is which shows id and secret; it may do nothing but ask about its own tokens.
    pub async fn application_caller(&self, client_id: &str, secret: &Secret, origin: Origin) -> Result<Caller, Refusal> {
        let (application, _) = self.authenticate_application(client_id, secret).await?;
        Ok(Caller::of_application(application.id, application.name.to_string(), origin))
    }

    async fn authenticate_application(&self, id: &str, secret: &Secret) -> Result<(ClientApplication, i64), Refusal> {
        let secret_id = Credential::parse(secret).filter(|c| c.kind == TokenKind::Secret).map_or(0, |c| c.id);
        let (application, kept) = self.db.read(|read| {
            Ok((store::client_applications::find(read, id)?, store::client_applications::secret_hash(read, id, secret_id)?))
        })?;
        let verdict = self.hasher.verify(secret, kept.as_deref()).await?;
        if let (Some(better), Some(kept)) = (verdict.rehash, kept) {
            self.db.note(move |tx| store::client_applications::rehash_secret(tx, secret_id, &kept, &better));
        }
        match application {
            Some(application) if verdict.matches => Ok((application, secret_id)),
            _ => Err(Refusal::InvalidClient),
        }
    }
}

fn may_see(asker: &Caller, application: &str) -> bool {
    asker.application() == Some(application) || asker.need(Scope::ApplicationsRead).is_ok()
}

/// Checks a file where it holds up nobody.
async fn check(file: File) -> Result<File> {
    tokio::task::spawn_blocking(move || file::check(&file.data).map(|()| file)).await.map_err(Error::internal)?
}

