//! Reconnecting never makes it worse: a refresh token that stays away is no reason to drop the one there is, an account that
//! cannot be verified is no other account, and only what is proven to belong to another account is revoked.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use grantry::{
    app::connect::{Outcome, Wish},
    domain::connection::Status,
};
use serde_json::json;

use crate::support::{
    in_process::{InProcess, Stub},
    practice::until,
    raw::{self, Request, answer, json},
};

/// A provider with user info and revocation, where the access token `PLANTED-at-NAME` is NAME's.
async fn provider() -> Stub {
    let stub = Stub::start().await;
    stub.answer_path("/me", |request: &Request| {
        let token = request.header("authorization");
        let name = token.rsplit('-').next().unwrap_or_default().to_owned();
        json(200, &json!({"id": name, "name": name}).to_string())
    });
    stub.answer_path("/revoke", |_: &Request| answer(200, "", ""));
    stub
}

fn definition(stub: &Stub, slug: &str) -> String {
    let userinfo = json!({"url": format!("{}/me", stub.url), "id": "/id", "label": "/name"});
    stub.definition(slug, &json!({"userinfo": userinfo, "revoke_url": format!("{}/revoke", stub.url)}))
}

/// Answers a code with tokens for an account; `refresh`: whether with a refresh token.
fn give(stub: &Stub, code: &str, account: &str, refresh: bool) {
    let mut body = json!({"access_token": format!("PLANTED-{code}-{account}"), "expires_in": 600});
    if refresh {
        body["refresh_token"] = format!("PLANTED-rt-{account}").into();
    }
    stub.answer(code, move |_: &Request| json(200, &body.to_string()));
}

fn again(id: i64) -> Wish {
    Wish { connection_id: Some(id), ..Wish::default() }
}

async fn connected(grantry: &InProcess, stub: &Stub, profile: i64, account: &str) -> i64 {
    let code = format!("code-{account}");
    give(stub, &code, account, true);
    match grantry.connect(Wish { profile_id: Some(profile), ..Wish::default() }, &code).await {
        Outcome::Connected { connection_id, .. } => connection_id,
        other => panic!("{other:?}"),
    }
}

async fn access(grantry: &InProcess, id: i64) -> String {
    grantry.token(id, 0).await.unwrap().access_token.expose().to_owned()
}

#[tokio::test]
async fn a_reconnect_without_a_refresh_token_keeps_the_one_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let (grantry, stub) = (InProcess::start(dir.path()), provider().await);
    grantry.app.create_provider(&grantry.caller, &definition(&stub, "with"), Vec::new()).await.unwrap();
    grantry.app.create_provider(&grantry.caller, &stub.definition("without", &json!({})), Vec::new()).await.unwrap();
    // With user info that tells the same account, and at a provider without any.
    for (slug, warnings) in [("with", vec!["refresh_token_kept"]), ("without", vec!["refresh_token_kept"])] {
        let profile = grantry.profile(slug, slug, "PLANTED-secret").await;
        let id = connected(&grantry, &stub, profile, "zoe").await;
        let granted_at = grantry.grant(id).granted_at;
        grantry.advance(Duration::from_secs(5)).await;
        give(&stub, "again", "zoe", false);
        assert!(matches!(grantry.connect(again(id), "again").await, Outcome::Connected { .. }));
        assert_eq!(access(&grantry, id).await, "PLANTED-again-zoe", "{slug}");
        let grant = grantry.grant(id);
        assert!(grant.refreshable && grant.granted_at == granted_at, "{slug}: {grant:?}");
        assert_eq!(grantry.warnings(id), warnings, "{slug}");
        grantry.refresh(id).await;
        assert_eq!(grantry.grant(id).last_result.as_deref(), Some("refreshed"), "{slug}");
        assert!(grantry.warnings(id).is_empty(), "{slug}: it has worked");
        assert_eq!(stub.asked("PLANTED-rt-zoe").last().unwrap().field("grant_type"), "refresh_token");
    }
    assert!(stub.asked_path("/revoke").is_empty());
}

#[tokio::test]
async fn a_grant_that_is_gone_gives_no_refresh_token_to_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let (grantry, stub) = (InProcess::start(dir.path()), provider().await);
    grantry.app.create_provider(&grantry.caller, &definition(&stub, "with"), Vec::new()).await.unwrap();
    let profile = grantry.profile("with", "app", "PLANTED-secret").await;
    let id = connected(&grantry, &stub, profile, "zoe").await;
    stub.answer("PLANTED-rt-zoe", |_: &Request| json(400, r#"{"error":"invalid_grant"}"#));
    grantry.refresh(id).await;
    assert_eq!(grantry.connection(id).status, Some(Status::Failed));
    give(&stub, "again", "zoe", false);
    assert!(matches!(grantry.connect(again(id), "again").await, Outcome::Connected { .. }));
    assert!(!grantry.grant(id).refreshable);
    assert_eq!(grantry.warnings(id), ["not_refreshable"]);
    let expiring = grantry.app.list_expiring(&grantry.caller, Duration::from_hours(1)).await.unwrap().0;
    assert_eq!(expiring.len(), 1, "{expiring:?}");
}

#[tokio::test]
async fn user_info_that_fails_is_no_other_account_and_revokes_nothing() {
    type Failure = (&'static str, fn(&Request) -> String);
    let failures: [Failure; 6] = [
        ("401", |_| answer(401, "", "")),
        ("403", |_| json(403, r#"{"error":"insufficient_scope"}"#)),
        ("500", |_| answer(500, "", "")),
        ("429", |_| answer(429, "retry-after: 1000000\r\n", "")),
        ("page", |_| answer(200, "content-type: text/html\r\n", "<html>")),
        ("no id", |_| json(200, "{}")),
    ];
    for (what, failure) in failures {
        let dir = tempfile::tempdir().unwrap();
        let (grantry, stub) = (InProcess::start(dir.path()), provider().await);
        grantry.app.create_provider(&grantry.caller, &definition(&stub, "fails"), Vec::new()).await.unwrap();
        let profile = grantry.profile("fails", "app", "PLANTED-secret").await;
        let id = connected(&grantry, &stub, profile, "zoe").await;
        stub.answer_path("/me", failure);
        give(&stub, "again", "zoe", false);
        let outcome = grantry.connect(again(id), "again").await;
        assert!(matches!(outcome, Outcome::Connected { .. }), "{what}: {outcome:?}");
        assert_eq!(grantry.warnings(id), ["refresh_token_kept", "account_unverified"], "{what}");
        let connection = grantry.connection(id);
        assert_eq!(connection.account_id.as_deref(), Some("zoe"), "{what}: what was known stays");
        assert!(grantry.grant(id).refreshable, "{what}");
        assert!(stub.asked_path("/me").len() <= 4, "{what}");
        let event = grantry.events().await.into_iter().filter(|(kind, _)| *kind == "warning").collect::<Vec<_>>();
        assert!(event.iter().any(|(_, detail)| detail["code"] == "account_unverified"), "{what}: {event:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(stub.asked_path("/revoke").is_empty(), "{what}");
    }
}

#[tokio::test]
async fn user_info_that_is_out_for_a_moment_is_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let (grantry, stub) = (InProcess::start(dir.path()), provider().await);
    grantry.app.create_provider(&grantry.caller, &definition(&stub, "blinks"), Vec::new()).await.unwrap();
    let profile = grantry.profile("blinks", "app", "PLANTED-secret").await;
    let asked = std::sync::atomic::AtomicU64::new(0);
    stub.answer_path("/me", move |_: &Request| {
        if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2 {
            return answer(503, "", "");
        }
        json(200, r#"{"id":"zoe","name":"zoe"}"#)
    });
    let id = connected(&grantry, &stub, profile, "zoe").await;
    assert_eq!(grantry.connection(id).account_id.as_deref(), Some("zoe"));
    assert!(grantry.warnings(id).is_empty());
}

#[tokio::test]
async fn tokens_of_another_account_are_revoked_unless_another_connection_works_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (grantry, stub) = (InProcess::start(dir.path()), provider().await);
    grantry.app.create_provider(&grantry.caller, &definition(&stub, "two"), Vec::new()).await.unwrap();
    let profile = grantry.profile("two", "app", "PLANTED-secret").await;
    let zoe = connected(&grantry, &stub, profile, "zoe").await;
    let yan = connected(&grantry, &stub, profile, "yan").await;
    give(&stub, "yans", "yan", true);
    let outcome = grantry.connect(again(zoe), "yans").await;
    assert!(
        matches!(&outcome, Outcome::OtherAccount { before, now } if before == "zoe" && now == "yan"),
        "{outcome:?}"
    );
    assert_eq!(access(&grantry, zoe).await, "PLANTED-code-zoe-zoe");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(stub.asked_path("/revoke").is_empty(), "the second connection works with that account");
    grantry.refresh(yan).await;
    assert_eq!(grantry.grant(yan).last_result.as_deref(), Some("refreshed"));
    give(&stub, "xus", "xu", true);
    assert!(matches!(grantry.connect(again(zoe), "xus").await, Outcome::OtherAccount { .. }));
    until("what is proven to be another account's is revoked", Duration::from_secs(10), async || {
        stub.asked_path("/revoke").len() == 2
    })
    .await;
    let tokens: Vec<String> = stub.asked_path("/revoke").iter().map(|request| request.field("token")).collect();
    assert_eq!(tokens, ["PLANTED-rt-xu", "PLANTED-xus-xu"]);
}

/// The refresh token that a request carries is used up; its answer waits until it is let go.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refresh_under_way_while_its_account_reconnects_without_a_refresh_token_is_not_lost() {
    let (letting_go, held) = std::sync::mpsc::channel::<()>();
    let (held, arrived) = (Mutex::new(held), Arc::new(AtomicBool::new(false)));
    let told = Arc::clone(&arrived);
    let url = raw::serve(move |request: Request| {
        if request.path() == "/me" {
            return json(200, r#"{"id":"zoe","name":"Zoe"}"#);
        }
        match (request.field("grant_type").as_str(), request.field("code").as_str()) {
            ("refresh_token", _) if request.field("refresh_token") == "PLANTED-rt-1" => {
                told.store(true, Ordering::SeqCst);
                tokio::task::block_in_place(|| held.lock().unwrap().recv().unwrap());
                json(200, r#"{"access_token":"PLANTED-at-2","refresh_token":"PLANTED-rt-2","expires_in":600}"#)
            }
            ("refresh_token", _) => json(200, r#"{"access_token":"PLANTED-at-3","expires_in":600}"#),
            (_, "first") => {
                json(200, r#"{"access_token":"PLANTED-at-1","refresh_token":"PLANTED-rt-1","expires_in":600}"#)
            }
            _ => json(200, r#"{"access_token":"PLANTED-at-again","expires_in":600}"#),
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let grantry = Arc::new(InProcess::start(dir.path()));
    let definition = json!({"slug": "rotates", "name": "rotates", "rotates": true,
        "token_url": format!("{url}/token"), "authorize_url": format!("{url}/authorize"),
        "userinfo": {"url": format!("{url}/me"), "id": "/id", "label": "/name"}});
    grantry.app.create_provider(&grantry.caller, &definition.to_string(), Vec::new()).await.unwrap();
    let profile = grantry.profile("rotates", "app", "PLANTED-secret").await;
    let new = Wish { profile_id: Some(profile), ..Wish::default() };
    let Outcome::Connected { connection_id: id, .. } = grantry.connect(new, "first").await else {
        panic!("not connected")
    };
    let refreshing = {
        let grantry = Arc::clone(&grantry);
        tokio::spawn(async move { grantry.refresh(id).await })
    };
    until("the refresh is at the provider", Duration::from_secs(20), async || arrived.load(Ordering::SeqCst)).await;
    assert!(matches!(grantry.connect(again(id), "again").await, Outcome::Connected { .. }));
    letting_go.send(()).unwrap();
    refreshing.await.unwrap();
    // The reconnect kept the refresh token that the answer has replaced: only the new one works from now on.
    assert_eq!(access(&grantry, id).await, "PLANTED-at-2");
    assert_eq!(grantry.refresh(id).await.last_result.as_deref(), Some("refreshed"));
    assert_eq!(access(&grantry, id).await, "PLANTED-at-3");
}
