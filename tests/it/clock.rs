//! Somebody sets the clock of the machine: a token whose end nobody knows any more is not handed out.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use grantry::{
    app::{App, SecretsMode, Settings, access::Caller, credential::Credential, settings::About},
    domain::{
        Name, Secret, Timestamp,
        api_token::TokenKind,
        connection,
        grant::{GrantType, Tokens},
        profile::{Change, ClientId, Draft},
    },
    simulator::{CLIENT_ID, CLIENT_SECRET, Options, Rotation, SLUG, definition},
    store::{
        self, Clock, Db, Hold,
        grants::Kept,
        seal::{KeyList, Sealer},
    },
};
use serde_json::json;

use crate::support::practice::Practice;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Grantry in this process, with a clock that can be set, and a connection to the practice provider.
struct Clocked {
    app: Arc<App>,
    caller: Caller,
    off: Arc<AtomicI64>,
    connection: i64,
}

async fn clocked(dir: &Path, practice: &Practice) -> Clocked {
    let off = Arc::new(AtomicI64::new(0));
    let clock: Clock = {
        let (off, machine) = (Arc::clone(&off), store::system_clock());
        Arc::new(move || Timestamp(machine().0 + off.load(Ordering::SeqCst)))
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
        proxy_idle: std::time::Duration::from_secs(1),
        backups: grantry::app::backups::Schedule { dir: dir.join("backups"), every: None, keep: 1 },
        surroundings: grantry::app::doctor::Surroundings::default(),
        audit_days: 0,
        about: About::default(),
    };
    let run = Credential::generate(TokenKind::Run, 0).unwrap();
    let app = App::start(db.clone(), settings, &run).unwrap();
    let caller = app.machine("test");
    let options = Options { rotation: Rotation::Strict, ..Options::default() };
    app.create_provider(&caller, &definition(&options, practice.url()).to_string()).await.unwrap();
    let draft = Draft {
        name: Name::new("P").unwrap(),
        provider: SLUG.to_owned(),
        client_id: ClientId::new(CLIENT_ID).unwrap(),
        client_secret: Secret::new(CLIENT_SECRET),
        token: Change::Keep,
        parameters: Change::Keep,
    };
    let profile = app.create_profile(&caller, draft).await.unwrap().id;
    let draft = connection::Draft {
        name: Name::new("C").unwrap(),
        provider: None,
        profile_id: Some(profile),
        owner: None,
        external_id: None,
        folder_id: None,
        parent_id: None,
        input: None,
    };
    let connection = app.create_connection(&caller, None, draft).await.unwrap().id;
    let made = practice.control("grants", json!({"count": 1})).await["grants"][0].clone();
    let kept = Kept {
        grant_type: GrantType::Imported,
        tokens: Tokens {
            access: Secret::new(made["access_token"].as_str().unwrap()),
            refresh: Some(Secret::new(made["refresh_token"].as_str().unwrap())),
            previous: None,
            extra: Secret::new("{}"),
        },
        token_type: "Bearer".to_owned(),
        scope: None,
        issued_at: db.now(),
        expires_at: Some(db.now().plus_ms(300_000)),
        refresh_expires_at: None,
        due_at: Some(db.now().plus_ms(240_000)),
        skew_ms: None,
        stated_lifetime_ms: None,
        short_lived: 0,
        warnings: Vec::new(),
    };
    db.write(move |tx| {
        store::grants::put(tx, connection, &kept)?;
        store::connections::authorize(tx, connection, None, None)
    })
    .await
    .unwrap();
    Clocked { app, caller, off, connection }
}

#[tokio::test]
async fn a_clock_that_jumps_by_a_day_either_way_costs_a_refresh_and_no_grant() {
    for jump in [DAY, -DAY] {
        let practice = Practice::rotating(Rotation::Strict);
        let dir = tempfile::tempdir().unwrap();
        let grantry = clocked(dir.path(), &practice).await;
        let token = async || {
            let given = grantry.app.access_token(&grantry.caller, grantry.connection, 60_000).await.unwrap();
            given.access_token.expose().to_owned()
        };
        let before = token().await;
        assert_eq!(practice.refreshes().await, 0);
        grantry.off.store(jump, Ordering::SeqCst);
        let after = token().await;
        assert_ne!(before, after, "{jump}");
        assert_eq!(practice.refreshes().await, 1);
        assert_eq!(token().await, after, "and no more than one");
        // Back again: what came in between is not trusted any more than what came before.
        grantry.off.store(0, Ordering::SeqCst);
        let back = token().await;
        assert_eq!(practice.grants().await[0]["alive"], true);
        assert!(jump < 0 || back != after, "a token that came tomorrow has an end that nobody knows");
    }
}
