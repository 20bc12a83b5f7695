//! Users, how they log in, and how the first of them comes about.

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
        second_factor::State,
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
                    store::sessions::delete_others(tx, id, None)?;
                }
                let detail = serde_json::json!({"role": role.map(Role::as_str), "password": hash.is_some()});
                audit(tx, &caller, Deed::Updated, "user", id, &detail)?;
                store::users::find(tx, id)?.ok_or_else(missing)
            })
            .await
    }

    /// Begins a session for name and password, and the code of the second factor where the user has one.
    ///
    /// That a code is missing or wrong is told to those alone who have the password. A wrong one counts as a wrong password.
    pub async fn log_in(
        &self,
        name: &str,
        password: &Secret,
        code: Option<&Secret>,
        origin: Origin,
    ) -> Result<(User, Credential)> {
        let session = Credential::generate(TokenKind::Session, 0)?;
        let hash = session.hash();
        let mut wrong = Rejection::Bad;
        let user = self
            .check_password(name, password, &origin, async |user, kept| {
                let (kept, origin) = (kept.to_owned(), origin.clone());
                if !user.second_factor {
                    let begin = move |tx: &store::Tx<'_>| begin_session(tx, user, origin, &hash, &kept, None);
                    return self.db.write(begin).await.map(Some);
                }
                let code = code.ok_or(Error::Unauthenticated(Rejection::CodeMissing))?;
                wrong = Rejection::CodeWrong;
                let caller = Caller::of_user(user.clone(), None, origin.clone());
                self.with_code(&caller, user.id, code, move |tx, proof| {
                    begin_session(tx, user, origin, &hash, &kept, Some(proof))
                })
                .await
            })
            .await?;
        Ok((user.ok_or(Error::Unauthenticated(wrong))?, session))
    }

    /// Ends the session; safe to repeat.
    pub async fn log_out(&self, caller: &Caller, session: &Secret) -> Result<()> {
        let Some(session) = Credential::parse(session) else { return Ok(()) };
        let (hash, caller) = (session.hash(), caller.clone());
        self.db
            .write(move |tx| {
                store::sessions::delete(tx, &hash)?;
                let id = caller.user().map_or(0, |user| user.id);
                audit(tx, &caller, Deed::LoggedOut, "user", id, &serde_json::json!({}))
            })
            .await
    }

    /// Changes the caller's own password; the old one has to come with it. The user's other sessions end.
    pub async fn change_own_password(&self, caller: &Caller, old: &Secret, new: &Secret) -> Result<()> {
        let user = caller.in_person()?;
        let by = caller.clone();
        let changed = self
            .check_password(user.name.as_str(), old, caller.origin(), async |user, kept| {
                let (kept, hash) = (kept.to_owned(), self.hasher.hash(new).await?);
                let change = move |tx: &store::Tx<'_>| {
                    // Changed by somebody else meanwhile, the old one is no longer the old one.
                    if !store::users::has_password(tx, user.id, &kept)? {
                        return Ok(None);
                    }
                    store::users::set_password(tx, user.id, &hash)?;
                    store::sessions::delete_others(tx, user.id, by.session())?;
                    audit(tx, &by, Deed::Updated, "user", user.id, &serde_json::json!({"password": true}))?;
                    Ok(Some(()))
                };
                self.db.write(change).await
            })
            .await?;
        changed.ok_or_else(|| Error::invalid("old_password", Why::NotRight))
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
                begin_session(tx, user, origin, &session_hash, &password_hash, None)
            })
            .await?;
        Ok((user, session))
    }
}

/// Begins a session, where the password's hash is still `seen` and the second factor was asked for if there is one.
fn begin_session(
    tx: &store::Tx<'_>,
    user: User,
    origin: Origin,
    hash: &[u8; 32],
    seen: &str,
    proof: Option<&'static str>,
) -> Result<User> {
    let asked = store::second_factors::state(tx, user.id)? != State::On || proof.is_some();
    if !asked || !store::sessions::insert(tx, hash, user.id, seen, &origin.address.to_string())? {
        return Err(Error::Unauthenticated(Rejection::Bad));
    }
    let caller = Caller::of_user(user.clone(), None, origin);
    let detail = proof.map_or_else(|| serde_json::json!({}), |proof| serde_json::json!({"second_factor": proof}));
    audit(tx, &caller, Deed::LoggedIn, "user", user.id, &detail)?;
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
