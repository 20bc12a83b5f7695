//! Somebody sets the clock of the machine: a token whose end nobody knows any more is not handed out.

use std::path::Path;

use grantry::{
    domain::{
        Name, Secret, connection,
        grant::{GrantType, Tokens},
    },
    simulator::{CLIENT_ID, CLIENT_SECRET, Options, Rotation, SLUG, definition},
    store::{self, grants::Kept},
};
use serde_json::json;

use crate::support::{in_process::InProcess, practice::Practice};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Grantry in this process, and a connection to the practice provider.
async fn clocked(dir: &Path, practice: &Practice) -> (InProcess, i64) {
    let grantry = InProcess::start(dir);
    let (app, caller) = (&grantry.app, &grantry.caller);
    let options = Options { rotation: Rotation::Strict, ..Options::default() };
    app.create_provider(caller, &definition(&options, practice.url()).to_string(), Vec::new()).await.unwrap();
    let draft = connection::Draft {
        name: Name::new("C").unwrap(),
        provider: None,
        profile_id: Some(grantry.profile(SLUG, CLIENT_ID, CLIENT_SECRET).await),
        owner: None,
        external_id: None,
        folder_id: None,
        parent_id: None,
        input: None,
    };
    let connection = app.create_connection(caller, None, draft).await.unwrap().id;
    let made = practice.control("grants", json!({"count": 1})).await["grants"][0].clone();
    let now = grantry.now();
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
        issued_at: now,
        expires_at: Some(now.plus_ms(300_000)),
        refresh_expires_at: None,
        due_at: Some(now.plus_ms(240_000)),
        skew_ms: None,
        stated_lifetime_ms: None,
        short_lived: 0,
        warnings: Vec::new(),
    };
    let stored = app.db().write(move |tx| {
        store::grants::put(tx, connection, &kept)?;
        store::connections::authorize(tx, connection, None, None)
    });
    stored.await.unwrap();
    (grantry, connection)
}

#[tokio::test]
async fn a_clock_that_jumps_by_a_day_either_way_costs_a_refresh_and_no_grant() {
    for jump in [DAY, -DAY] {
        let practice = Practice::rotating(Rotation::Strict);
        let dir = tempfile::tempdir().unwrap();
        let (grantry, connection) = clocked(dir.path(), &practice).await;
        let token = async || {
            let given = grantry.token(connection, 60_000).await.unwrap();
            given.access_token.expose().to_owned()
        };
        let before = token().await;
        assert_eq!(practice.refreshes().await, 0);
        grantry.set_offset(jump);
        let after = token().await;
        assert_ne!(before, after, "{jump}");
        assert_eq!(practice.refreshes().await, 1);
        assert_eq!(token().await, after, "and no more than one");
        // Back again: what came in between is not trusted any more than what came before.
        grantry.set_offset(0);
        let back = token().await;
        assert_eq!(practice.grants().await[0]["alive"], true);
        assert!(jump < 0 || back != after, "a token that came tomorrow has an end that nobody knows");
    }
}
