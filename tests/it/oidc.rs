//! The whole way of a grant at an authorization server that is not ours, and as strict as they come: it demands S256, names
//! itself in the callback, rotates refresh tokens, and ends a grant whose old token comes again.

use std::{cell::RefCell, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    Caller, Server,
    oidc::{Oidc, SECRET},
    person::Person,
    practice::until,
};

const SOON: Duration = Duration::from_secs(20);
const SUITE: &str = "an authorization server that is not ours";

/// Makes the server's issuer known, and a profile for one of its clients; answers the profile's id. `more` goes into the
/// definition.
async fn introduce(admin: &Caller, oidc: &Oidc, client: &str, more: Value) -> i64 {
    let mut definition = json!({"slug": client, "name": format!("The {client} client"), "issuer": oidc.issuer});
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    admin.post("/api/providers", &definition).await.expect(200);
    let data = json!({"client_id": client, "client_secret": SECRET});
    let body = json!({"name": client, "provider": client, "data": data});
    admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].as_i64().unwrap()
}

/// A link for a new connection: its id and where it leads.
async fn link(admin: &Caller, profile: i64) -> (i64, String) {
    let body = json!({"custom_oauth_profile_id": profile, "owner": "alice", "name": "an account"});
    let link = admin.post("/api/connect", &body).await.expect(200)["result"].clone();
    (link["connection_id"].as_i64().unwrap(), link["url"].as_str().unwrap().to_owned())
}

/// Connects an account through real redirects; answers the connection's id.
async fn connect(server: &Server, oidc: &Oidc, admin: &Caller, profile: i64, login: &str) -> i64 {
    let (id, url) = link(admin, profile).await;
    let landed = oidc.consent(&Person::before(server), &url, login, "approve").await;
    assert_eq!(landed.status, 200, "{}", landed.text());
    assert!(landed.text().contains(&format!("{login}@oidc.example")), "{}", landed.text());
    id
}

/// An access token that works now.
async fn token(admin: &Caller, id: i64) -> String {
    let answer = admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
    assert_eq!(answer["token_type"], "Bearer");
    answer["access_token"].as_str().unwrap().to_owned()
}

async fn detail(admin: &Caller, id: i64) -> Value {
    let answer = admin.get(&format!("/api/connections/{id}")).await.expect(200);
    if answer["result"].is_object() { answer["result"].clone() } else { answer }
}

async fn refresh(admin: &Caller, id: i64) {
    admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await.expect(200);
}

/// Nothing was refused at the token endpoint, and no grant was taken back.
async fn assert_spotless(oidc: &Oidc) {
    let blots = ["grant.error", "grant.revoked", "server_error", "authorization.error"];
    let events = oidc.events().await;
    let blotted: Vec<&Value> = events.iter().filter(|event| blots.iter().any(|blot| event["event"] == *blot)).collect();
    assert!(blotted.is_empty(), "{blotted:?}");
}

#[tokio::test]
async fn an_issuer_is_all_that_has_to_be_said_of_a_provider() {
    let server = Server::start().await;
    let Some(oidc) = Oidc::start(SUITE, &server, 300) else { return };
    let admin = server.admin();
    let profile = introduce(&admin, &oidc, "basic", json!({})).await;
    let entry = admin.get("/api/providers/basic").await.expect(200)["result"].clone();
    assert_eq!(entry["token_url"], format!("{}/token", oidc.issuer));
    assert_eq!(entry["authorize_url"], format!("{}/auth", oidc.issuer));
    assert_eq!(entry["revoke_url"], format!("{}/token/revocation", oidc.issuer));
    assert_eq!(entry["device_url"], format!("{}/device/auth", oidc.issuer));
    assert_eq!(entry["client_auth"], "client_secret_basic");
    assert_eq!(entry["iss_in_callback"], true);
    assert_eq!(entry["default_scopes"], json!(["openid", "profile", "email", "offline_access"]));
    // Without it there is no refresh token (OpenID Connect Core §11).
    assert_eq!(entry["authorize_params"], json!({"prompt": "consent"}));

    let check = format!("/api/custom_oauth_profiles/{profile}/check");
    let found = admin.post(&check, &json!({})).await.expect(200);
    assert_eq!(found["result"]["verdict"], "accepted", "{found}");
    let wrong = json!({"name": "wrong", "provider": "basic", "data": {"client_id": "basic", "client_secret": "no"}});
    let wrong = admin.post("/api/custom_oauth_profiles", &wrong).await.expect(200)["result"]["id"].clone();
    let found = admin.post(&format!("/api/custom_oauth_profiles/{wrong}/check"), &json!({})).await.expect(200);
    assert_eq!(found["result"]["verdict"], "rejected", "{found}");
}

#[tokio::test]
async fn a_grant_goes_through_rotation_many_callers_and_power_cuts_and_no_old_token_is_ever_sent_again() {
    let mut server = Server::start().await;
    let Some(oidc) = Oidc::start(SUITE, &server, 300) else { return };
    let mut admin = server.admin();
    let profile = introduce(&admin, &oidc, "basic", json!({})).await;
    let id = connect(&server, &oidc, &admin, profile, "alice").await;
    let detail_then = detail(&admin, id).await;
    assert_eq!(detail_then["account"], json!({"id": "id-of-alice", "label": "alice@oidc.example"}));
    assert_eq!(detail_then["authorization_status"], "success");
    let code = oidc.events().await.into_iter().find(|event| event["grant_type"] == "authorization_code").unwrap();
    assert_eq!((&code["basic"], &code["verifier"]), (&json!(true), &json!(true)), "{code}");

    let mut seen = vec![token(&admin, id).await];
    let mut refreshes = 0;
    for round in 0..4 {
        if round % 2 == 0 {
            refresh(&admin, id).await;
        } else {
            // All at once: who comes while one is under way shares it.
            let path = format!("/api/connections/{id}/refresh");
            let answers = join_all((0..8).map(|_| async { admin.post(&path, &json!({})).await.status })).await;
            assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
        }
        refreshes = oidc.count("refresh_token.consumed").await;
        let now = token(&admin, id).await;
        assert!(!seen.contains(&now), "the token is another after a refresh");
        let said = oidc.introspect("basic", &now).await;
        assert_eq!((&said["active"], &said["sub"]), (&json!(true), &json!("alice")), "{said}");
        seen.push(now);
        server.kill_and_restart().await;
        admin = admin.at(&server.url);
    }
    assert_eq!(token(&admin, id).await, *seen.last().unwrap(), "a restart refreshes nothing that is good");
    refresh(&admin, id).await;
    assert_eq!(oidc.count("refresh_token.consumed").await, refreshes + 1);
    let still = detail(&admin, id).await;
    assert_eq!(still["authorization_status"], "success");
    assert_eq!(still["account"], detail_then["account"]);
    assert_spotless(&oidc).await;
    let log = server.log();
    assert!(seen.iter().all(|token| !log.contains(token)), "an access token is in the log");
}

#[tokio::test]
async fn clients_that_show_themselves_in_the_body_or_not_at_all_connect_and_refresh_too() {
    let server = Server::start().await;
    let Some(oidc) = Oidc::start(SUITE, &server, 300) else { return };
    let admin = server.admin();
    for (client, auth) in [("post", "client_secret_post"), ("public", "none")] {
        let profile = introduce(&admin, &oidc, client, json!({"client_auth": auth})).await;
        let id = connect(&server, &oidc, &admin, profile, "bob").await;
        let first = token(&admin, id).await;
        refresh(&admin, id).await;
        assert_ne!(token(&admin, id).await, first, "{client}");
    }
    assert_spotless(&oidc).await;
    let events = oidc.events().await;
    assert!(events.iter().filter(|event| event["route"] == "token").all(|event| event["basic"] == false));
}

#[tokio::test]
async fn tokens_that_live_for_seconds_are_good_for_as_long_as_was_asked_or_refused() {
    let server = Server::start().await;
    let Some(oidc) = Oidc::start(SUITE, &server, 6) else { return };
    let admin = server.admin();
    let profile = introduce(&admin, &oidc, "basic", json!({})).await;
    let id = connect(&server, &oidc, &admin, profile, "alice").await;
    let path = format!("/api/connections/{id}/token?min_ttl=4");
    let given = RefCell::new((0, 0));
    // Callers cause one refresh a minute and no more: between two of them the answer says when to come again.
    until("a token that is good for four seconds, then none", SOON, async || {
        let answer = admin.get(&path).await;
        let body = answer.json();
        if answer.status == 200 {
            assert!(body["expires_in"].as_i64().unwrap() >= 4, "{body}");
            assert_eq!(oidc.introspect("basic", body["access_token"].as_str().unwrap()).await["active"], true);
            given.borrow_mut().0 += 1;
        } else {
            assert_eq!((answer.status, &body["error"]), (409, &json!("token_too_short_lived")), "{body}");
            given.borrow_mut().1 += 1;
        }
        let (good, refused) = *given.borrow();
        good > 0 && refused > 2
    })
    .await;
    let refreshes = || async {
        let events = oidc.events().await;
        events
            .iter()
            .filter(|event| event["event"] == "grant.success" && event["grant_type"] == "refresh_token")
            .count()
    };
    assert!(refreshes().await <= 1, "{:?}", oidc.events().await);
    // An administrator's refresh is always sent.
    refresh(&admin, id).await;
    let answer = admin.get(&path).await.expect(200);
    assert_eq!(oidc.introspect("basic", answer["access_token"].as_str().unwrap()).await["active"], true);
    assert_spotless(&oidc).await;
}

#[tokio::test]
async fn whoever_says_no_connects_nothing() {
    let server = Server::start().await;
    let Some(oidc) = Oidc::start(SUITE, &server, 300) else { return };
    let admin = server.admin();
    let profile = introduce(&admin, &oidc, "basic", json!({})).await;
    let (id, url) = link(&admin, profile).await;
    let person = Person::before(&server);
    let landed = oidc.consent(&person, &url, "alice", "deny").await;
    assert!(landed.text().contains("access_denied"), "{}", landed.text());
    assert_ne!(detail(&admin, id).await["authorization_status"], "success");
    assert_eq!(admin.get(&format!("/api/connections/{id}/token")).await.status, 409);
    // The link still works, for who thinks better of it.
    let landed = oidc.consent(&person, &url, "alice", "approve").await;
    assert_eq!(landed.status, 200, "{}", landed.text());
    token(&admin, id).await;
}

#[tokio::test]
async fn an_app_connects_by_its_own_credentials() {
    let server = Server::start().await;
    let Some(oidc) = Oidc::start(SUITE, &server, 300) else { return };
    let admin = server.admin();
    let profile = introduce(&admin, &oidc, "machine", json!({})).await;
    let body = json!({"custom_oauth_profile_id": profile, "name": "the machine", "scopes": ["read", "write"]});
    let made = admin.post("/api/connect/client_credentials", &body).await.expect(200);
    let id = made["result"]["connection_id"].as_i64().or_else(|| made["result"]["id"].as_i64()).unwrap();
    let first = token(&admin, id).await;
    let said = oidc.introspect("machine", &first).await;
    assert_eq!((&said["active"], &said["scope"]), (&json!(true), &json!("read write")), "{said}");
    refresh(&admin, id).await;
    let second = token(&admin, id).await;
    assert_ne!(second, first);
    assert_eq!(oidc.introspect("machine", &second).await["scope"], "read write", "it asks for the same again");
    assert_spotless(&oidc).await;
}

#[tokio::test]
async fn a_device_connects_when_its_code_is_typed() {
    let server = Server::start().await;
    let Some(oidc) = Oidc::start(SUITE, &server, 300) else { return };
    let admin = server.admin();
    let profile = introduce(&admin, &oidc, "device", json!({})).await;
    let body = json!({"custom_oauth_profile_id": profile, "name": "a television"});
    let begun = admin.post("/api/connect/device", &body).await.expect(200)["result"].clone();
    let id = begun["connection_id"].as_i64().unwrap();
    assert_eq!(begun["verification_uri"], format!("{}/device", oidc.issuer));
    oidc.confirm_device(&Person::before(&server), begun["user_code"].as_str().unwrap(), "carol").await;
    until("the device's tokens", SOON, async || detail(&admin, id).await["authorization_status"] == "success").await;
    assert_eq!(detail(&admin, id).await["account"]["label"], "carol@oidc.example");
    let first = token(&admin, id).await;
    refresh(&admin, id).await;
    assert_ne!(token(&admin, id).await, first);
    let refused: Vec<Value> = oidc.events().await.into_iter().filter(|event| event["event"] == "grant.error").collect();
    assert!(refused.iter().all(|event| event["error"] == "authorization_pending"), "{refused:?}");
}

#[tokio::test]
async fn what_is_disconnected_is_revoked_there() {
    let server = Server::start().await;
    let Some(oidc) = Oidc::start(SUITE, &server, 300) else { return };
    let admin = server.admin();
    let profile = introduce(&admin, &oidc, "basic", json!({})).await;
    let id = connect(&server, &oidc, &admin, profile, "alice").await;
    let stays = connect(&server, &oidc, &admin, profile, "bob").await;
    let (gone, kept) = (token(&admin, id).await, token(&admin, stays).await);
    assert_eq!(oidc.introspect("basic", &gone).await["active"], true);
    admin.post(&format!("/api/connections/{id}/disconnect"), &json!({})).await.expect(200);
    assert_eq!(admin.get(&format!("/api/connections/{id}/token")).await.status, 409);
    until("the revocation", SOON, async || oidc.introspect("basic", &gone).await["active"] == false).await;
    assert_eq!(oidc.introspect("basic", &kept).await["active"], true, "another account's grant is left alone");
    until("the answer to it", SOON, async || {
        let revocations = detail(&admin, id).await["revocations"].clone();
        let revocations = revocations.as_array().unwrap();
        !revocations.is_empty() && revocations.iter().all(|revocation| revocation["status"] != "waiting")
    })
    .await;
    assert_eq!(oidc.count("refresh_token.destroyed").await, 1);
    assert_eq!(oidc.count("revocation.error").await, 0);
    refresh(&admin, stays).await;
}
