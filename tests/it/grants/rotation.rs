//! Whether refresh tokens change is unknown until a refresh shows it, and unknown is treated as if they did.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use grantry::domain::{connection::Status, profile::Rotation};
use serde_json::{Value, json};

use crate::support::{
    in_process::{InProcess, Stub},
    raw::{Request, answer, json},
};

/// Ways in which an answer is lost after the provider has worked.
fn losses() -> Vec<(&'static str, String)> {
    vec![
        ("connection closed", String::new()),
        ("cut off", "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"access_token\":\"PLANTED".to_owned()),
        ("500", answer(500, "", "")),
        ("page", answer(200, "content-type: text/html\r\n", "<html>")),
        ("empty object", json(200, "{}")),
        ("unreadable coding", answer(200, "content-encoding: gzip\r\n", "\u{1f}\u{8b}PLANTED")),
    ]
}

/// A provider that changes the refresh token at each refresh and takes each once: a second use ends the family.
fn strict(stub: &Stub, name: &str) -> impl Fn(usize) -> String + use<> {
    let name = name.to_owned();
    let ended = Arc::new(AtomicU64::new(0));
    for generation in 0..20_usize {
        let (own, ended) = (name.clone(), Arc::clone(&ended));
        let used = AtomicU64::new(0);
        stub.answer(&format!("PLANTED-{name}-{generation}"), move |_: &Request| {
            if used.fetch_add(1, Ordering::SeqCst) > 0 {
                ended.store(1, Ordering::SeqCst);
            }
            if ended.load(Ordering::SeqCst) > 0 {
                return json(400, r#"{"error":"invalid_grant","error_description":"reuse detected"}"#);
            }
            let body = json!({
                "access_token": format!("PLANTED-at-{own}-{generation}"),
                "refresh_token": format!("PLANTED-{own}-{}", generation + 1),
                "expires_in": 600,
            });
            json(200, &body.to_string())
        });
    }
    move |generation| format!("PLANTED-{name}-{generation}")
}

#[tokio::test]
async fn an_undeclared_provider_that_rotates_loses_no_access_token_to_a_lost_answer() {
    for (loss, text) in losses() {
        let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
        let grantry = InProcess::start(dir.path());
        grantry.app.create_provider(&grantry.caller, &stub.definition("mute", &json!({})), Vec::new()).await.unwrap();
        let profile = grantry.profile("mute", "app", "PLANTED-secret").await;
        // The first grant of a profile, and the second one.
        for name in ["first", "second"] {
            let token = strict(&stub, name);
            let id = grantry.import(profile, &token(0), None).await;
            let before = grantry.token(id, 0).await.unwrap();
            let (lost, rest) = (text.clone(), token(1));
            stub.answer(&rest, move |_: &Request| lost.clone());
            grantry.refresh(id).await;
            assert_eq!(stub.asked(&rest).len(), 1, "{loss}, {name}: a token that may be used up is sent once");
            let grant = grantry.grant(id);
            assert!(grant.uncertain_at.is_some(), "{loss}, {name}");
            let after = grantry.token(id, 0).await.unwrap();
            assert_eq!(before.access_token.expose(), after.access_token.expose(), "{loss}, {name}");
            // By hand it is always sent; the provider says that the token was used.
            stub.answer(&rest, |_: &Request| json(400, r#"{"error":"invalid_grant"}"#));
            grantry.refresh(id).await;
            assert_eq!(grantry.connection(id).status, Some(Status::Success), "{loss}, {name}");
            assert!(grantry.grant(id).uncertain_at.is_some(), "{loss}, {name}");
            assert!(grantry.token(id, 0).await.is_ok(), "{loss}, {name}: served until it expires");
            grantry.advance(Duration::from_secs(700)).await;
            assert!(grantry.token(id, 0).await.is_err(), "{loss}, {name}");
            let connection = grantry.connection(id);
            assert_eq!(connection.status, Some(Status::Failed), "{loss}, {name}");
            assert!(connection.lost_reason.unwrap().contains("an earlier refresh was lost"), "{loss}, {name}");
        }
    }
}

#[tokio::test]
async fn a_provider_that_keeps_refresh_tokens_recovers_by_itself_in_both_states_of_knowledge() {
    for (loss, text) in losses() {
        let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
        let grantry = InProcess::start(dir.path());
        grantry.app.create_provider(&grantry.caller, &stub.definition("stays", &json!({})), Vec::new()).await.unwrap();
        let profile = grantry.profile("stays", "app", "PLANTED-secret").await;
        for known in [false, true] {
            let token = format!("PLANTED-rt-{known}");
            let id = grantry.import(profile, &token, None).await;
            if !known {
                grantry.app.reset_rotation(&grantry.caller, profile).await.unwrap();
            }
            let (lost, count) = (text.clone(), AtomicU64::new(0));
            let fresh = r#"{"access_token":"PLANTED-fresh","expires_in":600}"#;
            stub.answer(&token, move |_: &Request| {
                if count.fetch_add(1, Ordering::SeqCst) == 0 { lost.clone() } else { json(200, fresh) }
            });
            grantry.refresh(id).await;
            grantry.advance(Duration::from_secs(560)).await;
            grantry.advance(Duration::from_mins(2)).await;
            assert_eq!(grantry.token(id, 0).await.unwrap().access_token.expose(), "PLANTED-fresh", "{loss} {known}");
            assert!(grantry.grant(id).uncertain_at.is_none(), "{loss} {known}");
        }
    }
}

#[tokio::test]
async fn what_refreshes_show_is_kept_per_profile_and_lifted_by_an_administrator() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
    let grantry = InProcess::start(dir.path());
    let observed = |profile: i64| {
        let facts = grantry.app.registration(&grantry.caller, profile).unwrap().rotation;
        (facts.observed.map(|(rotation, _)| rotation), facts.is_assumed())
    };
    for (slug, definition) in
        [("unknown", json!({})), ("declared", json!({"rotates": true})), ("denied", json!({"rotates": false}))]
    {
        grantry.app.create_provider(&grantry.caller, &stub.definition(slug, &definition), Vec::new()).await.unwrap();
    }
    let other = grantry.profile("unknown", "other app", "PLANTED-secret").await;
    let profile = grantry.profile("unknown", "app", "PLANTED-secret").await;
    assert_eq!(observed(profile), (None, true));
    let id = grantry.import(profile, "PLANTED-stays", None).await;
    assert_eq!(observed(profile), (Some(Rotation::Stays), false));
    // A rotation that comes later overrides, and an answer without one does not lift it.
    stub.answer("PLANTED-stays", |_: &Request| {
        json(200, r#"{"access_token":"PLANTED-x","refresh_token":"PLANTED-next","expires_in":600}"#)
    });
    grantry.refresh(id).await;
    assert_eq!(observed(profile), (Some(Rotation::Rotates), true));
    grantry.refresh(id).await;
    assert_eq!(grantry.grant(id).last_result.as_deref(), Some("refreshed"));
    assert_eq!(observed(profile), (Some(Rotation::Rotates), true));
    assert_eq!(observed(other), (None, true), "another profile learns by itself");
    grantry.app.reset_rotation(&grantry.caller, profile).await.unwrap();
    assert_eq!(observed(profile), (None, true));
    grantry.refresh(id).await;
    assert_eq!(observed(profile), (Some(Rotation::Stays), false));
    let declared = grantry.profile("declared", "app", "PLANTED-secret").await;
    grantry.import(declared, "PLANTED-same", None).await;
    assert_eq!(observed(declared), (Some(Rotation::Stays), true), "a declaration stands");
    let denied = grantry.profile("denied", "app", "PLANTED-secret").await;
    assert_eq!(observed(denied), (None, false));
    stub.answer("PLANTED-changes", |_: &Request| {
        json(200, r#"{"access_token":"PLANTED-x","refresh_token":"PLANTED-changed","expires_in":600}"#)
    });
    grantry.import(denied, "PLANTED-changes", None).await;
    assert_eq!(observed(denied), (Some(Rotation::Rotates), true), "unless a rotation is seen");
}

#[tokio::test]
async fn refresh_requests_carry_the_scopes_that_the_definition_or_the_profile_wants() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
    let grantry = InProcess::start(dir.path());
    let mut n = 0;
    for (definition, own, granted, wanted) in [
        (json!({}), None, Some("a b"), Value::Null),
        (json!({"refresh_scope": "none"}), None, Some("a b"), Value::Null),
        (json!({"refresh_scope": "granted"}), None, Some("a x"), json!("a x")),
        (json!({"refresh_scope": "granted"}), None, None, json!("a b")),
        (json!({"refresh_scope": "requested"}), None, Some("a x"), json!("a")),
        (json!({"refresh_scope": "requested"}), None, None, json!("a b")),
        (json!({"refresh_scope": "granted", "scope_separator": ","}), None, Some("a,x"), json!("a,x")),
        (json!({"refresh_scope": "granted"}), Some("none"), Some("a x"), Value::Null),
        (json!({}), Some("granted"), Some("a x"), json!("a x")),
    ] {
        n += 1;
        let slug = format!("scopes{n}");
        grantry.app.create_provider(&grantry.caller, &stub.definition(&slug, &definition), Vec::new()).await.unwrap();
        let profile = grantry.profile(&slug, &slug, "PLANTED-secret").await;
        if let Some(own) = own {
            let scope = grantry::domain::profile::RefreshScope::parse(own);
            grantry
                .app
                .db()
                .write(move |tx| grantry::store::profiles::set_refresh_scope(tx, profile, scope))
                .await
                .unwrap();
        }
        let token = format!("PLANTED-rt-{n}");
        let mut body = json!({"access_token": "PLANTED-at", "expires_in": 600});
        if let Some(granted) = granted {
            body["scope"] = granted.into();
        }
        stub.answer(&token, move |_: &Request| json(200, &body.to_string()));
        let id = grantry.import(profile, &token, Some(&["a", "b"])).await;
        grantry.refresh(id).await;
        let sent = stub.asked(&token).pop().unwrap().field("scope");
        assert_eq!(sent, wanted.as_str().unwrap_or_default(), "{definition} {own:?} {granted:?}");
    }
}
