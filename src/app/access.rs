//! Who is asking, and what they may do: the one place that makes a [`Caller`] from a credential.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{App, credential::Credential, refusals::Refused};
use crate::{
    domain::{
        Error, Rejection, Result, Secret, Timestamp,
        api_token::TokenKind,
        client_application::ClientApplication,
        reach::Reach,
        user::{Scope, Scopes, User},
        value::Network,
    },
    store,
};

/// A session ends after so long without a request: 30 minutes.
pub const SESSION_IDLE_MS: i64 = 30 * 60 * 1000;
/// A session ends after so long in any case: 12 hours.
pub const SESSION_LIFE_MS: i64 = 12 * 60 * 60 * 1000;
/// "Last used" is kept to the minute, so that a busy token does not write at each request.
const MARK_MS: i64 = 60 * 1000;

/// What a request shows to say who sends it.
#[derive(Debug, Clone)]
pub enum Shown {
    /// A token: `Authorization: Bearer` (RFC 6750 §2.1) or `appKey`.
    Token(Secret),
    /// Name and password (RFC 7617), or any name and a token.
    Basic {
        /// The user's name.
        name: String,
        /// The password, or a token.
        password: Secret,
    },
    /// The cookie of a session.
    Session(Secret),
}

/// Where a request comes from, for the audit trail.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The request's id, as it stands in the answer and the log.
    pub request_id: String,
    /// The peer, or what a trusted proxy says of it.
    pub address: IpAddr,
}

/// Somebody who may ask for something. Only this module makes one.
#[derive(Debug, Clone)]
pub struct Caller {
    who: Who,
    scopes: Scopes,
    reach: Arc<Reach>,
    origin: Origin,
}

#[derive(Debug, Clone)]
enum Who {
    /// In person: with the password, or with the session of this hash.
    User(User, Option<[u8; 32]>),
    ApiToken {
        id: i64,
        name: String,
        user: Option<User>,
    },
    Application {
        id: String,
        name: String,
    },
    Machine,
}

impl Caller {
    /// Turns down a caller that lacks `scope`.
    pub fn need(&self, scope: Scope) -> Result<()> {
        if self.scopes.allow(scope) { Ok(()) } else { Err(Error::Forbidden(scope)) }
    }

    /// What the caller may do.
    pub fn scopes(&self) -> Scopes {
        self.scopes
    }

    /// Which connections there are for the caller.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Where the request comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The user who asks, in person or by a token; `None` for the machine itself and for applications.
    pub fn user(&self) -> Option<&User> {
        match &self.who {
            Who::User(user, _) => Some(user),
            Who::ApiToken { user, .. } => user.as_ref(),
            Who::Application { .. } | Who::Machine => None,
        }
    }

    /// The user who asks, where it is the user in person and no token.
    pub fn in_person(&self) -> Result<&User> {
        match &self.who {
            Who::User(user, _) => Ok(user),
            _ => Err(Error::Unauthenticated(Rejection::InPerson)),
        }
    }

    /// Whether nobody asks but the machine: the command line beside the data folder.
    pub fn is_machine(&self) -> bool {
        matches!(self.who, Who::Machine)
    }

    /// The hash of the session that asks.
    pub(super) fn session(&self) -> Option<&[u8; 32]> {
        match &self.who {
            Who::User(_, session) => session.as_ref(),
            _ => None,
        }
    }

    /// The client application that asks.
    pub fn application(&self) -> Option<&str> {
        match &self.who {
            Who::Application { id, .. } => Some(id),
            _ => None,
        }
    }

    /// What the caller is called.
    pub fn name(&self) -> &str {
        match &self.who {
            Who::User(user, _) => user.name.as_str(),
            Who::ApiToken { name, user, .. } => user.as_ref().map_or(name, |user| user.name.as_str()),
            Who::Application { name, .. } => name,
            Who::Machine => "machine",
        }
    }

    /// The caller in the audit trail.
    pub fn actor(&self) -> String {
        match &self.who {
            Who::User(user, _) => format!("user {}", user.id),
            Who::ApiToken { id, .. } => format!("api_token {id}"),
            Who::Application { id, .. } => format!("client_application {id}"),
            Who::Machine => "machine".to_owned(),
        }
    }

    /// The caller that a user is who has just shown the password, or who comes with the session of this hash.
    pub(super) fn of_user(user: User, session: Option<[u8; 32]>, origin: Origin) -> Self {
        Self { scopes: user.role.scopes(), who: Who::User(user, session), reach: Arc::default(), origin }
    }

    /// The caller that an application is at the token endpoint.
    pub(super) fn of_application(application: ClientApplication, origin: Origin) -> Self {
        let ClientApplication { id, name, reach, .. } = application;
        let who = Who::Application { id, name: name.to_string() };
        Self { scopes: Scopes::default(), who, reach: Arc::new(reach), origin }
    }

    /// Nobody but the machine: first run, and what is done to it.
    pub(super) fn of_machine(origin: Origin) -> Self {
        Self { scopes: Scopes::ALL, who: Who::Machine, reach: Arc::default(), origin }
    }
}

const BAD: Error = Error::Unauthenticated(Rejection::Bad);

impl App {
    /// Makes a caller from what a request shows.
    ///
    /// `Unauthenticated` says no more than whether there was a credential; `TooMany` stops guessing at passwords;
    /// `Unavailable` when the hashing queue is full.
    pub async fn authenticate(&self, shown: Option<Shown>, origin: Origin) -> Result<Caller> {
        match shown {
            None => Err(Error::Unauthenticated(Rejection::Missing)),
            Some(Shown::Token(text)) => self.by_token(&Credential::parse(&text).ok_or(BAD)?, origin),
            Some(Shown::Session(text)) => self.by_session(&Credential::parse(&text).ok_or(BAD)?, origin),
            Some(Shown::Basic { name, password }) => {
                if let Some(token) = Credential::parse(&password) {
                    return self.by_token(&token, origin);
                }
                let user = self.by_password(&name, &password, &origin).await?;
                // Told to nobody but whoever has the password.
                if user.second_factor {
                    return Err(Error::Unauthenticated(Rejection::SecondFactor));
                }
                Ok(Caller::of_user(user, None, origin))
            }
        }
    }

    fn by_token(&self, token: &Credential, origin: Origin) -> Result<Caller> {
        match token.kind {
            TokenKind::Api => self.by_api_token(token, origin),
            TokenKind::Access => {
                let found = self.db.read(|read| store::client_applications::find_access_token(read, token.id))?;
                let found = found.filter(|found| token.is(&found.hash)).ok_or(BAD)?;
                let who = Who::Application { id: found.application, name: found.name };
                Ok(Caller { who, scopes: found.scopes, reach: Arc::new(found.reach), origin })
            }
            TokenKind::Run if token.is(&self.run) && origin.address.is_loopback() => Ok(Caller::of_machine(origin)),
            _ => Err(BAD),
        }
    }

    fn by_api_token(&self, token: &Credential, origin: Origin) -> Result<Caller> {
        let (found, user, now) = self.db.read(|read| {
            let Some((found, hash)) = store::api_tokens::find(read, token.id)? else { return Err(BAD) };
            if !token.is(&hash) {
                return Err(BAD);
            }
            let user = found.user_id.map(|id| store::users::find(read, id)).transpose()?.flatten();
            Ok((found, user, read.now()))
        })?;
        let expired = found.expires_at.is_some_and(|at| at <= now);
        let allowed = found.addresses.is_empty()
            || found.addresses.iter().filter_map(|text| Network::parse(text)).any(|net| net.contains(origin.address));
        if expired || !allowed || (found.user_id.is_some() && user.is_none()) {
            return Err(BAD);
        }
        if found.last_used_at.is_none_or(|at| now.0 - at.0 >= MARK_MS) {
            let id = found.id;
            self.db.note(move |tx| store::api_tokens::use_now(tx, id));
        }
        let scopes = user.as_ref().map_or(found.scopes, |user| found.scopes.and(user.role.scopes()));
        let who = Who::ApiToken { id: found.id, name: found.name.to_string(), user };
        Ok(Caller { who, scopes, reach: Arc::new(found.reach), origin })
    }

    /// Makes a caller of what a request has shown, once more, while it is still being answered: nobody has come back, so a
    /// session that rests goes on resting.
    pub(super) async fn look_again(&self, shown: &Shown, origin: &Origin) -> Result<Caller> {
        match shown {
            Shown::Session(text) => {
                let session = Credential::parse(text).ok_or(BAD)?;
                let (user, ..) = self.session(&session)?;
                Ok(Caller::of_user(user, Some(session.hash()), origin.clone()))
            }
            other => self.authenticate(Some(other.clone()), origin.clone()).await,
        }
    }

    fn by_session(&self, session: &Credential, origin: Origin) -> Result<Caller> {
        let (user, seen, now) = self.session(session)?;
        let hash = session.hash();
        if now.0 - seen.0 >= MARK_MS {
            self.db.note(move |tx| store::sessions::see(tx, &hash));
        }
        Ok(Caller::of_user(user, Some(hash), origin))
    }

    /// The user of a session that is good, when it was last seen, and what time it is.
    fn session(&self, session: &Credential) -> Result<(User, Timestamp, Timestamp)> {
        let hash = session.hash();
        self.db.read(|read| {
            let (user_id, begun, seen) = store::sessions::find(read, &hash)?.ok_or(BAD)?;
            let now = read.now();
            if now.0 - begun.0 >= SESSION_LIFE_MS || now.0 - seen.0 >= SESSION_IDLE_MS {
                return Err(BAD);
            }
            Ok((store::users::find(read, user_id)?.ok_or(BAD)?, seen, now))
        })
    }

    /// The user of this name and password.
    pub(super) async fn by_password(&self, name: &str, password: &Secret, origin: &Origin) -> Result<User> {
        self.check_password(name, password, origin, async |user, _| Ok(Some(user))).await?.ok_or(BAD)
    }

    /// Does `then` with the user of this name and password, and the hash that this is the password of. `None`: the password
    /// is wrong, or `then` says that what comes with it is; both are charged as guesses. A password of a user that was
    /// refused stands in the audit trail.
    pub(super) async fn check_password<T>(
        &self,
        name: &str,
        password: &Secret,
        origin: &Origin,
        then: impl AsyncFnOnce(User, &str) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let folded: String = name.to_lowercase().chars().take(255).collect();
        let admitted = AtomicBool::new(false);
        let compare = async {
            admitted.store(true, Ordering::Relaxed);
            let found = self.db.read(|read| store::users::find_by_name(read, &folded))?;
            let (user, kept) = found.unzip();
            let verdict = self.hasher.verify(password, kept.as_deref()).await?;
            let Some((user, kept)) = user.zip(kept) else { return Ok(None) };
            if !verdict.matches {
                self.count_refusal(user.id, Refused::Password, origin);
                return Ok(None);
            }
            let id = user.id;
            let done = then(user, &kept).await;
            // Afterwards: what `then` writes may depend on the hash that was compared.
            if let Some(better) = verdict.rehash {
                self.db.note(move |tx| store::users::rehash(tx, id, &kept, &better));
            }
            done
        };
        let compared = self.attempts.guard(&folded, origin.address, compare).await;
        if matches!(compared, Err(Error::TooMany { .. }))
            && !admitted.load(Ordering::Relaxed)
            && let Some((user, _)) = self.db.read(|read| store::users::find_by_name(read, &folded))?
        {
            self.count_refusal(user.id, Refused::PasswordTooSoon, origin);
        }
        compared
    }

    /// Whoever asks, with the right to have a link made for a connection that the caller may use.
    pub(super) fn link_maker(caller: &Caller) -> Caller {
        Caller { scopes: Scopes::of(&[Scope::ConnectionsWrite]), ..caller.clone() }
    }

    /// The machine itself: what the first run does, without anybody having logged in.
    pub fn machine(&self, request_id: &str) -> Caller {
        Caller::of_machine(Origin { request_id: request_id.to_owned(), address: IpAddr::from([127, 0, 0, 1]) })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::Ipv4Addr,
        sync::{
            Arc,
            atomic::{AtomicI64, Ordering},
        },
    };

    use futures_util::future::join_all;

    use super::*;
    use crate::{
        app::{SecretsMode, Settings, settings::About, users::Draft},
        domain::{Name, user::Role},
        store::{
            Clock, Db, Hold,
            seal::{KeyList, Sealer},
        },
    };

    const MINUTE: i64 = 60 * 1000;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

    /// Grantry with one user, and what it takes for the time.
    async fn app_with_ann(dir: &std::path::Path) -> (Arc<App>, Arc<AtomicI64>) {
        let now = Arc::new(AtomicI64::new(1_700_000_000_000));
        let clock: Clock = {
            let now = Arc::clone(&now);
            Arc::new(move || Timestamp(now.load(Ordering::SeqCst)))
        };
        let sealer = Sealer::new(KeyList::generate().expect("a key")).expect("a sealer");
        let db = Db::open(dir, Hold::take(dir).expect("ours"), sealer, clock).expect("a database");
        let settings = Settings {
            public_url: String::new(),
            secrets: SecretsMode::Sealed,
            key_file: None,
            keys_can_change: true,
            flow_services: false,
            allow_private: false,
            access_token_life_s: 60,
            most_upload: 1,
            return_urls: Vec::new(),
            proxy_idle: std::time::Duration::from_secs(1),
            backups: crate::app::backups::Schedule { dir: dir.join("backups"), every: None, keep: 1 },
            surroundings: crate::app::doctor::Surroundings::default(),
            audit_days: 0,
            about: About::default(),
        };
        let run = Credential::generate(TokenKind::Run, 0).expect("random bytes");
        let app = App::start(db, settings, &run).expect("starts");
        let draft = Draft {
            name: Name::new("ann").expect("a name"),
            email: "ann@example.com".to_owned(),
            role: Role::Viewer,
            password: Secret::new("PLANTED correct horse"),
        };
        app.create_user(&app.machine("test"), draft).await.expect("made");
        (app, now)
    }

    #[tokio::test]
    async fn a_session_ends_when_it_rests_too_long_and_in_any_case_after_its_life() {
        let dir = tempfile::tempdir().expect("a folder");
        let (app, now) = app_with_ann(dir.path()).await;
        let origin = Origin { request_id: String::new(), address: IpAddr::from([127, 0, 0, 1]) };
        let log_in = async || {
            let password = Secret::new("PLANTED correct horse");
            app.log_in("ann", &password, None, origin.clone()).await.expect("logs in").1.text().clone()
        };
        let after = async |minutes: i64, session: &Secret| {
            now.fetch_add(minutes * MINUTE, Ordering::SeqCst);
            let seen = app.authenticate(Some(Shown::Session(session.clone())), origin.clone()).await.is_ok();
            // "Last seen" is written behind the answer; a write that is waited for comes after it.
            app.db.write(|_| Ok(())).await.expect("writes");
            seen
        };
        let idle = log_in().await;
        assert!(after(29, &idle).await && after(29, &idle).await, "each request gives it 30 minutes more");
        assert!(!after(30, &idle).await);
        let busy = log_in().await;
        for _ in 0..35 {
            assert!(after(20, &busy).await);
        }
        assert!(!after(20, &busy).await, "12 hours are its life");
    }

    #[tokio::test]
    async fn of_many_guesses_at_once_no_more_are_compared_than_one_after_the_other() {
        let dir = tempfile::tempdir().expect("a folder");
        let (app, _) = app_with_ann(dir.path()).await;
        let guess = Secret::new("PLANTED guess");
        let [here, elsewhere] = [HERE, ELSEWHERE].map(|address| Origin { request_id: String::new(), address });
        let answers = join_all((0..80).map(|_| app.by_password("Ann", &guess, &here))).await;
        let compared = answers.iter().filter(|answer| matches!(answer, Err(Error::Unauthenticated(_)))).count();
        let held_up = answers.iter().filter(|answer| matches!(answer, Err(Error::TooMany { .. }))).count();
        assert_eq!((compared, held_up), (5, 75));
        let right = Secret::new("PLANTED correct horse");
        assert!(matches!(app.by_password("ann", &right, &here).await, Err(Error::TooMany { .. })));
        app.by_password("ann", &right, &elsewhere).await.expect("nobody locks out an owner who is elsewhere");
    }
}
