//! Grantry in this process, with a clock that a test moves, and a provider that answers what the test says.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use grantry::{
    app::{
        App, SecretsMode, Settings,
        access::{Caller, Origin},
        connect::{Back, Callback, ImportedGrant, Outcome, Wish},
        credential::Credential,
        settings::About,
        tokens::HandedOut,
    },
    domain::{
        Error, Name, Secret, Timestamp,
        api_token::TokenKind,
        connection::Connection,
        grant::{Grant, NoToken},
        profile::{Change, ClientId, Draft},
    },
    store::{
        self, Clock, Db, Hold,
        seal::{KeyList, Sealer},
    },
};
use serde_json::{Map, Value, json};

use super::raw::{self, Request};

/// Grantry without a surface.
pub struct InProcess {
    pub app: Arc<App>,
    pub caller: Caller,
    offset: Arc<AtomicI64>,
}

impl InProcess {
    pub fn start(dir: &Path) -> Self {
        let offset = Arc::new(AtomicI64::new(0));
        let clock: Clock = {
            let (offset, machine) = (Arc::clone(&offset), store::system_clock());
            Arc::new(move || Timestamp(machine().0 + offset.load(Ordering::SeqCst)))
        };
        let sealer = Sealer::new(KeyList::generate().unwrap()).unwrap();
        let db = Db::open(dir, Hold::take(dir).unwrap(), sealer, clock).unwrap();
        let settings = Settings {
            public_url: "http://127.0.0.1:1".to_owned(),
            secrets: SecretsMode::Sealed,
            key_file: None,
            keys_can_change: true,
            flow_services: false,
            allow_private: false,
            access_token_life_s: 60,
            most_upload: 1,
            return_urls: Vec::new(),
            proxy_idle: Duration::from_secs(1),
            backups: grantry::app::backups::Schedule { dir: dir.join("backups"), every: None, keep: 1 },
            surroundings: grantry::app::doctor::Surroundings::default(),
            audit_days: 0,
            about: About::default(),
        };
        let run = Credential::generate(TokenKind::Run, 0).unwrap();
        let app = App::start(db, settings, &run).unwrap();
        let caller = app.machine("test");
        Self { app, caller, offset }
    }

    pub fn now(&self) -> Timestamp {
        self.app.db().now()
    }

    /// Moves the clock.
    pub fn set_offset(&self, ms: i64) {
        self.offset.store(ms, Ordering::SeqCst);
    }

    /// Moves the clock on and waits until what is due then was done.
    pub async fn advance(&self, by: Duration) {
        self.offset.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
        self.app.worker().wake();
        let due = async || self.app.db().read(|read| store::grants::due(read, &[], 1)).unwrap().is_empty();
        super::practice::until("what is due is done", Duration::from_secs(30), due).await;
    }

    /// A profile of a provider; answers its id.
    pub async fn profile(&self, slug: &str, client_id: &str, client_secret: &str) -> i64 {
        let draft = Draft {
            name: Name::new(client_id).unwrap(),
            provider: slug.to_owned(),
            client_id: ClientId::new(client_id).unwrap(),
            client_secret: Secret::new(client_secret),
            token: Change::Keep,
            parameters: Change::Keep,
        };
        self.app.create_profile(&self.caller, draft).await.unwrap().id
    }

    /// A connection with this refresh token, which fetches its first access token at once.
    pub async fn import(&self, profile: i64, refresh_token: &str, scopes: Option<&[&str]>) -> i64 {
        let wish = Wish {
            profile_id: Some(profile),
            scopes: scopes.map(|scopes| scopes.iter().map(|scope| (*scope).to_owned()).collect()),
            ..Wish::default()
        };
        let grant = ImportedGrant {
            refresh: Some(Secret::new(refresh_token)),
            access: None,
            expires_at: None,
            scope: None,
            extra: Map::new(),
        };
        self.app.import(&self.caller, wish, grant).await.unwrap().id
    }

    pub async fn token(&self, id: i64, min_ttl_ms: i64) -> Result<HandedOut, NoToken> {
        match self.app.access_token(&self.caller, id, min_ttl_ms).await {
            Ok(given) => Ok(given),
            Err(Error::NoToken { why, .. }) => Err(why),
            Err(other) => panic!("{other:?}"),
        }
    }

    pub async fn refresh(&self, id: i64) -> Grant {
        self.app.refresh_now(&self.caller, id).await.unwrap().1.unwrap()
    }

    /// Connects by a link and this code, as a browser would; to this connection again where there is one.
    pub async fn connect(&self, wish: Wish, code: &str) -> Outcome {
        let link = self.app.make_link(&self.caller, wish).await.unwrap();
        let ticket = Secret::new(link.url.rsplit('/').next().unwrap());
        let opened = self.app.open_link(&ticket, None).await.unwrap();
        let address = url::Url::parse(&opened.redirect).unwrap();
        let state = address.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let parameters = [("state", state.as_str()), ("code", code)];
        let back = Back {
            callback: Callback::OAuth,
            parameters: parameters.map(|(name, value)| (name.to_owned(), Secret::new(value))).into(),
            browser: Some(opened.browser),
        };
        let origin = Origin { request_id: "test".to_owned(), address: std::net::Ipv4Addr::LOCALHOST.into() };
        self.app.come_back(back, origin).await.unwrap().outcome
    }

    pub fn grant(&self, id: i64) -> Grant {
        self.app.connection_detail(&self.caller, id).unwrap().grant.unwrap()
    }

    pub fn connection(&self, id: i64) -> Connection {
        self.app.connection_detail(&self.caller, id).unwrap().connection
    }

    pub fn warnings(&self, id: i64) -> Vec<&'static str> {
        let detail = self.app.connection_detail(&self.caller, id).unwrap();
        detail.warnings.iter().map(|warning| warning.code.as_str()).collect()
    }

    /// The types of the events so far, oldest first.
    pub async fn events(&self) -> Vec<(&'static str, Value)> {
        let mut events = self.app.list_events(&self.caller, None, 100).await.unwrap();
        events.reverse();
        let event =
            |event: grantry::domain::event::Event| (event.kind.as_str(), serde_json::from_str(&event.detail).unwrap());
        events.into_iter().map(event).collect()
    }
}

type Answer = Box<dyn Fn(&Request) -> String + Send + Sync>;

#[derive(Default)]
struct State {
    /// What a refresh token or a code is answered with.
    answers: HashMap<String, Answer>,
    /// What other endpoints answer, by path.
    paths: HashMap<String, Answer>,
    /// What every token request is answered with.
    all: Option<Answer>,
    secret: String,
    lifetime: Value,
    asked: Vec<Request>,
    issued: u64,
}

/// An authorization server of the simplest kind: it takes every refresh token, changes none, and knows one secret.
#[derive(Clone)]
pub struct Stub {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Stub {
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            secret: "PLANTED-secret".to_owned(),
            lifetime: json!(600),
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        let url = raw::serve(move |request| shared.lock().unwrap().answer(&request)).await;
        Self { url, state }
    }

    /// A definition with these further fields.
    pub fn definition(&self, slug: &str, more: &Value) -> String {
        let mut definition = json!({
            "slug": slug,
            "name": slug,
            "token_url": format!("{}/token", self.url),
            "authorize_url": format!("{}/authorize", self.url),
        });
        for (name, value) in more.as_object().unwrap() {
            definition[name] = value.clone();
        }
        definition.to_string()
    }

    /// From now on this path is answered so.
    pub fn answer_path(&self, path: &str, answer: impl Fn(&Request) -> String + Send + Sync + 'static) {
        self.state.lock().unwrap().paths.insert(path.to_owned(), Box::new(answer));
    }

    /// The requests for this path.
    pub fn asked_path(&self, path: &str) -> Vec<Request> {
        let asked = self.state.lock().unwrap().asked.clone();
        asked.into_iter().filter(|request| request.path() == path).collect()
    }

    /// From now on this refresh token, or code, is answered so.
    pub fn answer(&self, refresh_token: &str, answer: impl Fn(&Request) -> String + Send + Sync + 'static) {
        self.state.lock().unwrap().answers.insert(refresh_token.to_owned(), Box::new(answer));
    }

    /// From now on every token request is answered so; `None`: as usual.
    pub fn answer_all(&self, answer: Option<Answer>) {
        self.state.lock().unwrap().all = answer;
    }

    /// What `expires_in` is from now on.
    pub fn set_lifetime(&self, lifetime: Value) {
        self.state.lock().unwrap().lifetime = lifetime;
    }

    /// The token requests with this refresh token.
    pub fn asked(&self, refresh_token: &str) -> Vec<Request> {
        let asked = self.state.lock().unwrap().asked.clone();
        asked.into_iter().filter(|request| request.field("refresh_token") == refresh_token).collect()
    }

    /// The token requests of this grant type.
    pub fn count(&self, grant_type: &str) -> usize {
        self.state.lock().unwrap().asked.iter().filter(|request| request.field("grant_type") == grant_type).count()
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> String {
        self.asked.push(request.clone());
        if let Some(answer) = self.paths.get(&request.path()) {
            return answer(request);
        }
        if let Some(all) = &self.all {
            return all(request);
        }
        if request.field("client_secret") != self.secret {
            return raw::json(401, r#"{"error":"invalid_client"}"#);
        }
        match request.field("grant_type").as_str() {
            "refresh_token" => match self.answers.get(&request.field("refresh_token")) {
                Some(answer) => answer(request),
                None => self.tokens(),
            },
            "client_credentials" => self.tokens(),
            _ => match self.answers.get(&request.field("code")) {
                Some(answer) => answer(request),
                None => raw::json(400, r#"{"error":"invalid_grant"}"#),
            },
        }
    }

    fn tokens(&mut self) -> String {
        self.issued += 1;
        let body = json!({
            "access_token": format!("PLANTED-at-{}", self.issued),
            "token_type": "Bearer",
            "expires_in": self.lifetime,
        });
        raw::json(200, &body.to_string())
    }
}
