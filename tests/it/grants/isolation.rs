//! One account's answer concerns that account: neither another account of the same app nor another app at the same endpoint.

use std::time::Duration;

use grantry::{
    app::connect::{ImportedGrant, Wish},
    domain::{Secret, connection::Status, grant::Blame},
};
use serde_json::{Map, json};

use crate::support::{
    in_process::{InProcess, Stub},
    raw::{self, Request, answer, json},
};

const HTML: &str = "<html><h1>No</h1></html>";

/// What one account is answered with.
fn answers() -> Vec<(&'static str, String)> {
    let page = |status| answer(status, "content-type: text/html\r\n", HTML);
    let wait = |status, seconds: &str| answer(status, &format!("retry-after: {seconds}\r\n"), "");
    vec![
        ("402 own code", json(402, r#"{"error":"payment_required"}"#)),
        ("400 own code", json(400, r#"{"error":"their_own"}"#)),
        ("400 nothing", answer(400, "", "")),
        ("400 page", page(400)),
        ("400 invalid_request", json(400, r#"{"error":"invalid_request"}"#)),
        ("400 unauthorized_client", json(400, r#"{"error":"unauthorized_client"}"#)),
        ("400 access_denied", json(400, r#"{"error":"access_denied"}"#)),
        ("400 invalid_client", json(400, r#"{"error":"invalid_client"}"#)),
        ("401 invalid_client", json(401, r#"{"error":"invalid_client"}"#)),
        ("401 nothing", answer(401, "", "")),
        ("401 page", page(401)),
        ("401 message", json(401, r#"{"message":"session ended"}"#)),
        ("401 own code", json(401, r#"{"error":"token_expired"}"#)),
        ("401 unauthorized", json(401, r#"{"error":"unauthorized"}"#)),
        ("403 nothing", answer(403, "", "")),
        ("403 page", page(403)),
        ("403 own code", json(403, r#"{"error":"their_own"}"#)),
        ("403 access_denied", json(403, r#"{"error":"access_denied"}"#)),
        ("404 page", page(404)),
        ("429", wait(429, "1000000")),
        ("429 nothing", answer(429, "", "")),
        ("500", page(500)),
        ("500 json", json(500, r#"{"error":"server_error"}"#)),
        ("503", wait(503, "1000000")),
        ("200 page", page(200)),
        ("200 empty object", json(200, "{}")),
        ("200 cut off", json(200, r#"{"access_token":"PLANTED-abcdef"#)),
        ("302", answer(302, "location: https://elsewhere.example/\r\n", "")),
    ]
}

#[tokio::test]
async fn one_accounts_answer_leaves_every_other_account_served() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
    let grantry = InProcess::start(dir.path());
    grantry.app.create_provider(&grantry.caller, &stub.definition("shared", &json!({})), Vec::new()).await.unwrap();
    stub.set_lifetime(json!(100));
    let mut all = Vec::new();
    for (n, (name, text)) in answers().into_iter().enumerate() {
        let profile = grantry.profile("shared", &format!("app {n}"), "PLANTED-secret").await;
        let broken = grantry.import(profile, &format!("PLANTED-broken-{n}"), None).await;
        let healthy = grantry.import(profile, &format!("PLANTED-healthy-{n}"), None).await;
        stub.answer(&format!("PLANTED-broken-{n}"), move |_: &Request| text.clone());
        all.push((name, broken, healthy));
    }
    // Twelve minutes, without a refresh by hand for the healthy ones.
    for step in 0..24 {
        grantry.advance(Duration::from_secs(30)).await;
        for (name, broken, healthy) in &all {
            let _ = grantry.token(*broken, 10_000).await;
            if step % 4 == 0 {
                grantry.refresh(*broken).await;
            }
            let given = grantry.token(*healthy, 10_000).await;
            assert!(given.is_ok(), "{name}, step {step}: {given:?}");
        }
    }
    for (name, broken, _) in &all {
        let connection = grantry.connection(*broken);
        assert_eq!(connection.status, Some(Status::Success), "{name}: {:?}", connection.lost_reason);
        let grant = grantry.grant(*broken);
        assert!(matches!(grant.blame, Some(Blame::Provider)), "{name}: {grant:?}");
        assert!(grant.failure.is_some(), "{name}");
    }
    let kinds: Vec<&str> = grantry.events().await.into_iter().map(|(kind, _)| kind).collect();
    assert!(!kinds.contains(&"app_secret_rejected") && !kinds.contains(&"needs_reauthorization"), "{kinds:?}");
}

#[tokio::test]
async fn a_grant_that_is_refused_for_an_hour_while_the_client_is_accepted_needs_reauthorization() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
    let grantry = InProcess::start(dir.path());
    grantry.app.create_provider(&grantry.caller, &stub.definition("dead", &json!({})), Vec::new()).await.unwrap();
    let ambiguous = [
        "400 own code",
        "400 page",
        "400 unauthorized_client",
        "400 access_denied",
        "401 nothing",
        "401 message",
        "401 own code",
        "403 page",
        "403 own code",
    ];
    let others = ["402 own code", "400 invalid_request", "404 page", "429", "500", "200 page"];
    let mut all = Vec::new();
    for (n, (name, text)) in answers().into_iter().enumerate() {
        if !ambiguous.contains(&name) && !others.contains(&name) {
            continue;
        }
        let profile = grantry.profile("dead", &format!("app {n}"), "PLANTED-secret").await;
        let id = grantry.import(profile, &format!("PLANTED-rt-{n}"), None).await;
        stub.answer(&format!("PLANTED-rt-{n}"), move |_: &Request| text.clone());
        grantry.refresh(id).await;
        all.push((name, id));
    }
    grantry.advance(Duration::from_mins(30)).await;
    for (name, id) in &all {
        grantry.refresh(*id).await;
        assert_eq!(grantry.connection(*id).status, Some(Status::Success), "{name}: half an hour is too short");
    }
    grantry.advance(Duration::from_mins(31)).await;
    for (name, id) in &all {
        grantry.refresh(*id).await;
        let connection = grantry.connection(*id);
        let wanted = if ambiguous.contains(name) { Status::Failed } else { Status::Success };
        assert_eq!(connection.status, Some(wanted), "{name}");
        if wanted == Status::Failed {
            let reason = connection.lost_reason.unwrap();
            assert!(reason.contains("refuses this grant"), "{name}: {reason}");
        }
    }
}

/// Ways to reject a client, the made-up code included, and a wrong one from a right one told apart or not.
#[tokio::test]
async fn a_secret_that_is_wrong_for_every_account_is_found_out_within_one_refresh_and_loses_no_grant() {
    for rejection in [
        json(401, r#"{"error":"invalid_client"}"#),
        json(400, r#"{"error":"invalid_client"}"#),
        json(200, r#"{"error":"invalid_client"}"#),
        json(400, r#"{"error":"unauthorized_client"}"#),
        answer(401, "", ""),
        answer(401, "content-type: text/html\r\n", HTML),
        json(401, r#"{"message":"bad credentials"}"#),
    ] {
        let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
        let grantry = InProcess::start(dir.path());
        grantry.app.create_provider(&grantry.caller, &stub.definition("wrong", &json!({})), Vec::new()).await.unwrap();
        let profile = grantry.profile("wrong", "app", "PLANTED-secret").await;
        let ids = [grantry.import(profile, "PLANTED-a", None).await, grantry.import(profile, "PLANTED-b", None).await];
        let text = rejection.clone();
        stub.answer_all(Some(Box::new(move |_| text.clone())));
        // Where the answer is the same for a client that does not exist, a second account makes the proof.
        for id in ids {
            grantry.refresh(id).await;
        }
        let kinds: Vec<&str> = grantry.events().await.into_iter().map(|(kind, _)| kind).collect();
        assert!(kinds.contains(&"app_secret_rejected"), "{rejection}: {kinds:?}");
        for id in ids {
            assert_eq!(grantry.connection(id).status, Some(Status::Success), "{rejection}");
        }
        stub.answer_all(None);
        for id in ids {
            grantry.refresh(id).await;
            assert_eq!(grantry.grant(id).last_result.as_deref(), Some("refreshed"), "{rejection}");
        }
        let kinds: Vec<&str> = grantry.events().await.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds.last(), Some(&"healed"), "{rejection}");
    }
}

/// A connection at this tenant of a provider whose token endpoint differs by tenant.
async fn at_tenant(grantry: &InProcess, profile: i64, tenant: &str) -> i64 {
    let wish = Wish {
        profile_id: Some(profile),
        variables: Some(Secret::new(json!({"tenant": tenant}).to_string())),
        ..Wish::default()
    };
    let grant = ImportedGrant {
        refresh: Some(Secret::new(format!("PLANTED-{tenant}"))),
        access: None,
        expires_at: None,
        scope: None,
        extra: Map::new(),
    };
    grantry.app.import(&grantry.caller, wish, grant).await.unwrap().id
}

#[tokio::test]
async fn a_tenant_that_rejects_the_client_says_nothing_of_the_client_while_another_tenant_accepts_it() {
    for other_accepts in [true, false] {
        let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
        let grantry = InProcess::start(dir.path());
        let token_url = format!("{}/{{tenant}}/token", stub.url);
        let variables = json!({"tenant": {"title": "Tenant", "pattern": "^[a-z]+$"}});
        let definition = stub.definition("tenants", &json!({"token_url": token_url, "variables": variables}));
        grantry.app.create_provider(&grantry.caller, &definition, Vec::new()).await.unwrap();
        let profile = grantry.profile("tenants", "app", "PLANTED-secret").await;
        let (closed, open) = (at_tenant(&grantry, profile, "closed").await, at_tenant(&grantry, profile, "open").await);
        // This tenant has removed the app: every request of the client gets the same answer, whatever it carries.
        let removed = |_: &Request| raw::json(401, r#"{"error":"invalid_client"}"#);
        stub.answer_path("/closed/token", removed);
        if !other_accepts {
            stub.answer_path("/open/token", removed);
        }
        grantry.refresh(closed).await;
        let kinds: Vec<&str> = grantry.events().await.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds.contains(&"app_secret_rejected"), !other_accepts, "{kinds:?}");
        assert_eq!(grantry.connection(closed).status, Some(Status::Success), "no grant is lost by it");
        grantry.refresh(open).await;
        let last = grantry.grant(open).last_result;
        assert_eq!(last.as_deref() == Some("refreshed"), other_accepts, "{last:?}");
    }
}
