//! What should be known of a connection although its token is served: on the connection, beside the token, as an event.

use std::time::Duration;

use grantry::{
    app::connect::{Outcome, Wish},
    domain::connection::Status,
};
use serde_json::{Value, json};

use crate::support::{
    in_process::{InProcess, Stub},
    practice::until,
    raw::{Request, json},
};

#[tokio::test]
async fn a_warning_holds_since_it_began_has_one_event_and_ends() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
    let grantry = InProcess::start(dir.path());
    grantry.app.create_provider(&grantry.caller, &stub.definition("less", &json!({})), Vec::new()).await.unwrap();
    let profile = grantry.profile("less", "app", "PLANTED-secret").await;
    let answer = |scope: Value| {
        stub.answer("PLANTED-rt", move |_: &Request| {
            json(200, &json!({"access_token": "PLANTED-at", "expires_in": 600, "scope": scope}).to_string())
        });
    };
    answer(json!("contacts.read"));
    let scopes = ["contacts.read", "contacts.write", "offline_access"];
    let id = grantry.import(profile, "PLANTED-rt", Some(&scopes)).await;
    assert_eq!(grantry.warnings(id), ["missing_scopes"]);
    let first = grantry.token(id, 0).await.unwrap().warnings;
    assert_eq!(first[0].params, r#"{"scopes":["contacts.write"]}"#);
    grantry.advance(Duration::from_secs(500)).await;
    let later = grantry.token(id, 0).await.unwrap().warnings;
    assert_eq!(first, later, "the same warning, since the same moment");
    // An answer without a scope says nothing new; one with all of them ends the warning.
    answer(Value::Null);
    grantry.refresh(id).await;
    assert_eq!(grantry.warnings(id), ["missing_scopes"]);
    answer(json!(["contacts.write", "contacts.read"]));
    grantry.refresh(id).await;
    assert!(grantry.warnings(id).is_empty());
    answer(json!("contacts.write"));
    grantry.refresh(id).await;
    let events: Vec<(&str, Value)> =
        grantry.events().await.into_iter().filter(|(kind, _)| *kind == "warning").collect();
    let missing = |scope: &str| ("warning", json!({"code": "missing_scopes", "params": {"scopes": [scope]}}));
    assert_eq!(events, [missing("contacts.write"), missing("contacts.read")]);
}

#[tokio::test]
async fn a_connection_that_is_refused_again_and_again_says_so_once() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
    let grantry = InProcess::start(dir.path());
    grantry.app.create_provider(&grantry.caller, &stub.definition("refuses", &json!({})), Vec::new()).await.unwrap();
    let profile = grantry.profile("refuses", "app", "PLANTED-secret").await;
    let id = grantry.import(profile, "PLANTED-rt", None).await;
    stub.answer("PLANTED-rt", |_: &Request| json(402, r#"{"error":"payment_required"}"#));
    for _ in 0..5 {
        grantry.refresh(id).await;
    }
    assert_eq!(grantry.warnings(id), ["refresh_failing"]);
    let facts: Value = serde_json::from_str(&grantry.grant(id).failure.unwrap()).unwrap();
    assert_eq!(facts["reason"], "provider_error");
    assert_eq!((&facts["provider_error"], &facts["http_status"]), (&json!("payment_required"), &json!(402)));
    let events = grantry.events().await;
    assert_eq!(events.iter().filter(|(kind, _)| *kind == "warning").count(), 1, "{events:?}");
    stub.answer("PLANTED-rt", |_: &Request| json(200, r#"{"access_token":"PLANTED-at","expires_in":600}"#));
    grantry.refresh(id).await;
    assert!(grantry.warnings(id).is_empty() && grantry.grant(id).failure.is_none());
}

/// Tokens without a refresh token, for fewer scopes than were asked for, whatever they are asked with.
fn give_less(stub: &Stub) {
    stub.answer_path("/device", |_: &Request| {
        let codes = json!({"device_code": "PLANTED-dc", "user_code": "AB-CD", "verification_uri": "https://p.example/d",
            "expires_in": 600, "interval": 1});
        json(200, &codes.to_string())
    });
    stub.answer_all(Some(Box::new(|_: &Request| {
        json(200, r#"{"access_token":"PLANTED-at","expires_in":1800,"scope":"contacts.read"}"#)
    })));
}

#[tokio::test]
async fn each_way_to_connect_says_what_was_not_granted_and_what_cannot_be_refreshed() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
    let grantry = InProcess::start(dir.path());
    let more = json!({"device_url": format!("{}/device", stub.url)});
    grantry.app.create_provider(&grantry.caller, &stub.definition("less", &more), Vec::new()).await.unwrap();
    let profile = grantry.profile("less", "app", "PLANTED-secret").await;
    give_less(&stub);
    let wish = || Wish {
        profile_id: Some(profile),
        scopes: Some(vec!["contacts.read".to_owned(), "contacts.write".to_owned()]),
        ..Wish::default()
    };
    let Outcome::Connected { connection_id: by_link, .. } = grantry.connect(wish(), "code").await else {
        panic!("not connected")
    };
    let by_device = grantry.app.connect_device(&grantry.caller, wish()).await.unwrap().connection_id;
    until("the device is connected", Duration::from_secs(30), async || {
        grantry.connection(by_device).status == Some(Status::Success)
    })
    .await;
    let by_credentials = grantry.app.connect_by_client_credentials(&grantry.caller, wish()).await.unwrap().id;
    for (id, warnings) in [
        (by_link, &["missing_scopes", "not_refreshable"][..]),
        (by_device, &["missing_scopes", "not_refreshable"][..]),
        (by_credentials, &["missing_scopes"][..]),
    ] {
        let mut found = grantry.warnings(id);
        found.sort_unstable();
        assert_eq!(found, warnings, "connection {id}");
        let beside = grantry.token(id, 0).await.unwrap().warnings;
        let missing = beside.iter().find(|warning| warning.code.as_str() == "missing_scopes").unwrap();
        assert_eq!(missing.params, r#"{"scopes":["contacts.write"]}"#, "connection {id}");
    }
    let expiring = grantry.app.list_expiring(&grantry.caller, Duration::from_hours(1)).await.unwrap().0;
    assert_eq!(expiring.len(), 2, "{expiring:?}");
    let events = grantry.events().await;
    assert_eq!(events.iter().filter(|(kind, _)| *kind == "warning").count(), 5, "{events:?}");
}
