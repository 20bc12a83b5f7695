//! Users, their sessions, and how the first of them comes about.

use super::{
    App,
    access::{Caller, Origin},
    audit,
    credential::Credential,
    reach,
};
use crate::{
    domain::{
        Error, Name, Noun, Rejection, Result, Secret, Timestamp, Why,
        api_token::TokenKind,
        audit::Deed,
        user::{Role, Scope, User},
    },
    store,
};

/// How long a setup link works: 30 minutes.
pub const SETUP_LINK_MS: i64 = 30 * 60 * 1000;
/// A password has at least so many characters (NIST SP 800-63B §3.1.1.2 asks for 8, or 15 where it stands alone).
pub const LEAST_PASSWORD: usize = 12;

/// What is asked for when a user is made.
#[derive(Debug)]
pub struct Draft {
    /// Unique without regard to case.
    pub name: Name,
    /// Where to write to.
    pub email: String,
    /// What the user may do.
    pub role: Role,
    /// At least [`LEAST_PASSWORD`] characters.
    pub password: Secret,
}

/// Checks a password that somebody chooses.
pub fn password(text: &str) -> Result<Secret, Why> {
    let secret = Secret::given(text)?;
    if text.chars().count() < LEAST_PASSWORD { Err(Why::TooShort(LEAST_PASSWORD)) } else { Ok(secret) }
}

impl App {
    /// All users.
    pub fn list_users(&self, caller: &Caller) -> Result<Vec<User>> {
        caller.need(Scope::Admin)?;
        self.db.read(store::users::list)
    }

    /// Makes a user.
    pub async fn create_user(&self, caller: &Caller, draft: Draft) -> Result<User> {
        caller.need(Scope::Admin)?;
        reach::whole(caller)?;
        let hash = self.hasher.hash(&draft.password).await?;
        let caller = caller.clone();
        self.db.write(move |tx| insert(tx, &caller, &draft, &hash)).await
    }

    /// Removes a user, with sessions and API tokens. The last administrator stays.
    pub async fn delete_user(&self, caller: &Caller, id: i64) -> Result<()> {
        caller.need(Scope::Admin)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let user = store::users::find(tx, id)?.ok_or_else(|| Error::not_found(Noun::User, id))?;
                store::users::delete(tx, id)?;
                keep_an_admin(tx, &user, "id")?;
                audit(tx, &caller, Deed::Deleted, "user", id, &serde_json::json!({}))
            })
            .await
    }

    /// Changes role, password or both. The last administrator stays one; a new password ends the user's sessions.
    pub async fn update_user(
        &self,
        caller: &Caller,
        id: i64,
        role: Option<Role>,
        password: Option<Secret>,
    ) -> Result<User> {
        caller.need(Scope::Admin)?;
        reach::whole(caller)?;
        if role.is_none() && password.is_none() {
            return Err(Error::invalid("", Why::NothingToChange));
        }
        let hash = match &password {
            Some(password) => Some(self.hasher.hash(password).await?),
            None => None,
        };
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let missing = || Error::not_found(Noun::User, id);
                let user = store::users::find(tx, id)?.ok_or_else(missing)?;
                if let Some(role) = role {
                    store::users::set_role(tx, id, role)?;
                    keep_an_admin(tx, &user, "role")?;
                }
                if let Some(hash) = &hash {
                    store::users::set_password(tx, id, hash)?;
                }
                let detail = serde_json::json!({"role": role.map(Role::as_str), "password": hash.is_some()});
                audit(tx, &caller, Deed::Updated, "user", id, &detail)?;
                store::users::find(tx, id)?.ok_or_else(missing)
            })
            .await
    }

    /// Begins a session for name and password.
    pub async fn log_in(&self, name: &str, password: &Secret, origin: Origin) -> Result<(User, Credential)> {
        // What is compared takes a while; a password that is changed meanwhile opens no session.
        let before = self.db.read(|read| store::users::find_by_name(read, &name.to_lowercase()))?;
        let user = self.by_password(name, password, origin.address).await?;
        let seen = before.map(|(_, hash)| hash).unwrap_or_default();
        let session = Credential::generate(TokenKind::Session, 0)?;
        let hash = session.hash();
        let user = self.db.write(move |tx| begin_session(tx, user, origin, &hash, &seen)).await?;
        Ok((user, session))
    }

    /// Ends the session; safe to repeat.
    pub async fn log_out(&self, caller: &Caller, session: &Secret) -> Result<()> {
        let Some(session) = Credential::parse(session) else { return Ok(()) };
        let (hash, caller) = (session.hash(), caller.clone());
        self.db
            .write(move |tx| {
                store::users::delete_session(tx, &hash)?;
                let id = caller.user().map_or(0, |user| user.id);
                audit(tx, &caller, Deed::LoggedOut, "user", id, &serde_json::json!({}))
            })
            .await
    }

    /// How many administrators there are.
    pub fn count_admins(&self) -> Result<u64> {
        self.db.read(store::users::count_admins)
    }

    /// Makes a one-time link for a new administrator, and when it ends; links that were made before stop working.
    pub async fn make_setup_link(&self, caller: &Caller) -> Result<(String, Timestamp)> {
        caller.need(Scope::Admin)?;
        reach::whole(caller)?;
        let link = Credential::generate(TokenKind::Setup, 0)?;
        let (hash, caller) = (link.hash(), caller.clone());
        let expires_at = self
            .db
            .write(move |tx| {
                let expires_at = tx.now().plus_ms(SETUP_LINK_MS);
                store::users::insert_setup_link(tx, &hash, expires_at)?;
                audit(tx, &caller, Deed::SetupLinkMade, "user", 0, &serde_json::json!({}))?;
                Ok(expires_at)
            })
            .await?;
        // Behind the #, so that it is in no request line and no log.
        Ok((format!("{}/#/setup/{}", self.settings.public_url, link.text().expose()), expires_at))
    }

    /// Makes an administrator with the credential of a setup link, which is used up by it, and begins a session.
    pub async fn set_up(&self, link: &Secret, draft: Draft, origin: Origin) -> Result<(User, Credential)> {
        let bad = Error::Unauthenticated(Rejection::Bad);
        let Some(link) = Credential::parse(link).filter(|link| link.kind == TokenKind::Setup) else { return Err(bad) };
        let hash = link.hash();
        // Looked at first, so that hashing cannot be had for nothing.
        if !self.db.read(|read| store::users::has_setup_link(read, &hash))? {
            return Err(bad);
        }
        let password_hash = self.hasher.hash(&draft.password).await?;
        let session = Credential::generate(TokenKind::Session, 0)?;
        let session_hash = session.hash();
        let caller = Caller::of_machine(origin.clone());
        let user = self
            .db
            .write(move |tx| {
                if !store::users::take_setup_link(tx, &hash)? {
                    return Err(Error::Unauthenticated(Rejection::Bad));
                }
                let user = insert(tx, &caller, &draft, &password_hash)?;
                begin_session(tx, user, origin, &session_hash, &password_hash)
            })
            .await?;
        Ok((user, session))
    }
}

/// Begins a session, where the password's hash is still `seen`.
fn begin_session(tx: &store::Tx<'_>, user: User, origin: Origin, hash: &[u8; 32], seen: &str) -> Result<User> {
    if !store::users::insert_session(tx, hash, user.id, seen)? {
        return Err(Error::Unauthenticated(Rejection::Bad));
    }
    let caller = Caller::of_user(user.clone(), origin);
    audit(tx, &caller, Deed::LoggedIn, "user", user.id, &serde_json::json!({}))?;
    Ok(user)
}

fn insert(tx: &store::Tx<'_>, caller: &Caller, draft: &Draft, hash: &str) -> Result<User> {
    let id = store::users::insert(tx, &draft.name, &draft.email, draft.role, hash)?;
    audit(tx, caller, Deed::Created, "user", id, &serde_json::json!({"role": draft.role.as_str()}))?;
    store::users::find(tx, id)?.ok_or_else(|| Error::not_found(Noun::User, id))
}

/// Undoes what would leave nobody to administer, where `changed` was the last one who could.
fn keep_an_admin(tx: &store::Tx<'_>, changed: &User, path: &str) -> Result<()> {
    if changed.role == Role::Admin && store::users::count_admins(tx)? == 0 {
        return Err(Error::invalid(path, Why::LastAdmin));
    }
    Ok(())
}
