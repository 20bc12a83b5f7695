//! How a grant ends: here at once, at its provider as soon as that takes it, and seen from every dialect.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use grantry::simulator::{CLIENT_ID, CLIENT_SECRET, Options, Rotation, definition};
use serde_json::{Value, json};

use crate::support::{
    Answer, Caller, Server,
    person::Person,
    practice::{Practice, until},
    raw::{self, Request},
};

const SOON: Duration = Duration::from_secs(20);
const SERVICES: &str = "/Thingworx/Subsystems/WorkflowSubsystem/Services";

/// The database of a running server.
fn database(server: &Server) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(server.data().join("grantry.db")).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    db
}

fn count(server: &Server, sql: &str) -> i64 {
    database(server).query_row(sql, [], |row| row.get(0)).unwrap()
}

async fn detail(admin: &Caller, id: i64) -> Value {
    admin.get(&format!("/api/connections/{id}")).await.expect(200)["result"].clone()
}

async fn disconnect(admin: &Caller, id: i64) {
    admin.post(&format!("/api/connections/{id}/disconnect"), &json!({})).await.expect(200);
}

/// The kinds of the events so far, oldest first.
async fn kinds(admin: &Caller) -> Vec<String> {
    let events = admin.get("/api/events").await.expect(200)["result"].as_array().unwrap().clone();
    events.iter().rev().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

/// The revocations of a connection as (token, attempts, result), oldest first, once none of them waits.
async fn settled(admin: &Caller, id: i64) -> Vec<(String, u64, String)> {
    until("every revocation is settled", SOON, async || {
        let all = detail(admin, id).await["revocations"].clone();
        let all = all.as_array().unwrap();
        !all.is_empty() && all.iter().all(|one| one["settled_at"].is_string())
    })
    .await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = detail(admin, id).await["revocations"].clone();
    let all = all.as_array().unwrap().iter().rev();
    all.map(|one| (text(&one["token"]), one["attempts"].as_u64().unwrap(), text(&one["result"]))).collect()
}

fn owned(all: &[(&str, u64, &str)]) -> Vec<(String, u64, String)> {
    all.iter().map(|(token, attempts, result)| ((*token).to_owned(), *attempts, (*result).to_owned())).collect()
}

/// A provider whose revocation endpoint answers so, and what came there.
struct Provider {
    slug: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Provider {
    async fn answering(admin: &Caller, slug: &str, more: Value, answer: fn(&Request) -> String) -> Self {
        let asked: Arc<Mutex<Vec<Request>>> = Arc::default();
        let noted = Arc::clone(&asked);
        let url = raw::serve(move |request| {
            let answer = answer(&request);
            noted.lock().unwrap().push(request);
            answer
        })
        .await;
        let mut entry = json!({"slug": slug, "name": slug, "token_url": format!("{url}/token")});
        if more.get("revoke_url").is_none() {
            entry["revoke_url"] = format!("{url}/revoke").into();
        }
        for (name, value) in more.as_object().unwrap() {
            if !value.is_null() {
                entry[name] = value.clone();
            }
        }
        admin.post("/api/providers", &entry).await.expect(200);
        Self { slug: slug.to_owned(), asked }
    }

    /// A connection with tokens that begin with `PLANTED`.
    async fn connected(&self, admin: &Caller, name: &str, owner: &str) -> i64 {
        let profiles = admin.get("/api/custom_oauth_profiles").await.expect(200)["result"].clone();
        let known = profiles.as_array().unwrap().iter().find(|p| p["provider"] == *self.slug && p["name"] == name);
        let profile = if let Some(profile) = known {
            profile["id"].clone()
        } else {
            let body = json!({"name": name, "provider": self.slug,
                "data": {"client_id": "the id", "client_secret": "PLANTED_client"}});
            admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].clone()
        };
        let body = json!({"custom_oauth_profile_id": profile, "name": name, "owner": owner,
            "refresh_token": format!("PLANTED_refresh_of_{owner}"), "access_token": format!("PLANTED_access_of_{owner}"),
            "expires_in": 3600});
        admin.post("/api/connections/import", &body).await.expect(200)["result"]["id"].as_i64().unwrap()
    }

    fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

async fn service(admin: &Caller, name: &str, body: &Value) -> Answer {
    admin.post(&format!("{SERVICES}/{name}"), body).await
}

fn said(answer: &Answer) -> String {
    answer.expect(200)["rows"][0]["result"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_refresh_token_is_revoked_first_and_the_access_token_after_it() {
    let server = Server::start().await;
    let admin = server.admin();
    let provider = Provider::answering(&admin, "acme", json!({}), |_| raw::json(200, "{}")).await;
    let mut ids = Vec::new();
    for owner in ["a", "b", "c", "d", "e", "f"] {
        ids.push((provider.connected(&admin, "Acme", owner).await, owner));
    }
    for (id, _) in &ids {
        disconnect(&admin, *id).await;
    }
    for (id, owner) in &ids {
        assert_eq!(
            settled(&admin, *id).await,
            owned(&[("refresh_token", 1, "revoked"), ("access_token", 1, "revoked")])
        );
        let of_this: Vec<Request> =
            provider.asked().into_iter().filter(|asked| asked.field("token").ends_with(&format!("_{owner}"))).collect();
        let told: Vec<(String, String)> =
            of_this.iter().map(|asked| (asked.field("token"), asked.field("token_type_hint"))).collect();
        assert_eq!(
            told,
            [
                (format!("PLANTED_refresh_of_{owner}"), "refresh_token".to_owned()),
                (format!("PLANTED_access_of_{owner}"), "access_token".to_owned())
            ]
        );
        assert!(of_this.iter().all(|asked| asked.is_post() && asked.head.contains(" /revoke ")));
        assert!(of_this.iter().all(|asked| asked.field("client_secret") == "PLANTED_client"));
    }
    // Once more is nothing more.
    let before = provider.asked().len();
    disconnect(&admin, ids[0].0).await;
    assert_eq!(settled(&admin, ids[0].0).await.len(), 2);
    assert_eq!(provider.asked().len(), before);
    assert_eq!(kinds(&admin).await.iter().filter(|kind| *kind == "disconnected").count(), ids.len());
    // Nothing of a request is kept once it has done its work.
    assert_eq!(count(&server, "SELECT count(*) FROM revocations WHERE request IS NOT NULL"), 0);
    assert_eq!(count(&server, "SELECT count(*) FROM audit WHERE deed = 'revoked'"), 12);
}

#[tokio::test]
async fn a_provider_that_is_down_is_asked_again_and_a_kill_forgets_nothing() {
    let mut server = Server::start().await;
    let admin = server.admin();
    let practice = Practice::rotating(Rotation::Strict);
    let profile = practice.introduce(&admin).await;
    let [(id, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    practice.faults("revoke", "status:503").await;
    disconnect(&admin, id).await;
    // Here the tokens are gone with the answer, whatever the provider does.
    assert_eq!(count(&server, "SELECT count(*) FROM grants"), 0);
    let refused = admin.get(&format!("/api/connections/{id}/token")).await;
    assert_eq!(refused.expect(409)["error"], "needs_reauthorization");
    until("both were tried", SOON, async || {
        let all = detail(&admin, id).await["revocations"].clone();
        all.as_array().unwrap().iter().filter(|one| one["result"] == "http_503").count() == 2
    })
    .await;
    let waiting = detail(&admin, id).await;
    assert!(waiting["revocations"].as_array().unwrap().iter().all(|one| one["settled_at"].is_null()), "{waiting}");
    assert_eq!((&waiting["authorization_status"], &waiting["grant"]), (&json!("failed"), &Value::Null));
    assert_eq!(practice.grant(grant).await["alive"], true);
    assert_eq!(
        count(&server, "SELECT count(*) FROM revocations WHERE next_at > created_at AND request IS NOT NULL"),
        2
    );
    practice.mend().await;
    server.kill();
    // As if the time for the next attempt had come.
    database(&server).execute("UPDATE revocations SET next_at = 1", []).unwrap();
    server.kill_and_restart().await;
    let admin = admin.at(&server.url);
    let all = settled(&admin, id).await;
    assert!(all.iter().all(|(_, attempts, result)| *attempts >= 2 && result == "revoked"), "{all:?}");
    assert_eq!(practice.grant(grant).await["ended"], "client");
}

#[tokio::test]
async fn what_was_queued_and_never_tried_is_sent_after_a_kill() {
    let mut server = Server::start().await;
    let admin = server.admin();
    let practice = Practice::rotating(Rotation::None);
    let profile = practice.introduce(&admin).await;
    let [(id, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    practice.faults("revoke", "hang").await;
    disconnect(&admin, id).await;
    until("it is under way", SOON, async || {
        practice.counts().await["requests"]["/revoke"].as_u64().unwrap_or_default() >= 1
    })
    .await;
    server.kill();
    practice.mend().await;
    server.kill_and_restart().await;
    let admin = admin.at(&server.url);
    assert_eq!(
        settled(&admin, id).await,
        owned(&[("refresh_token", 1, "revoked"), ("access_token", 1, "revoked")]),
        "an attempt that nobody could note is none"
    );
    assert_eq!(practice.grant(grant).await["ended"], "client");
}

#[tokio::test]
async fn a_no_is_recorded_and_not_asked_for_again_and_so_is_that_there_is_no_way() {
    let server = Server::start().await;
    let admin = server.admin();
    let no = |_: &Request| raw::json(400, r#"{"error":"unsupported_token_type","error_description":"no"}"#);
    let refuses = Provider::answering(&admin, "refuses", json!({}), no).await;
    let id = refuses.connected(&admin, "No", "alice").await;
    disconnect(&admin, id).await;
    let word = "unsupported_token_type";
    assert_eq!(settled(&admin, id).await, owned(&[("refresh_token", 1, word), ("access_token", 1, word)]));
    let silent = Provider::answering(&admin, "silent", json!({"revoke_url": null}), no).await;
    let id = silent.connected(&admin, "Silent", "alice").await;
    disconnect(&admin, id).await;
    let word = "unsupported";
    assert_eq!(settled(&admin, id).await, owned(&[("refresh_token", 0, word), ("access_token", 0, word)]));
    assert!(silent.asked().is_empty());
    // A provider that says no in a success, as its entry knows.
    let more = json!({"success": {"pointer": "/ok", "equals": true},
        "revoke": {"auth": "token", "tokens": ["access"]}});
    let says = |_: &Request| raw::json(200, r#"{"ok":false,"error":"token_revoked"}"#);
    let odd = Provider::answering(&admin, "odd", more, says).await;
    let id = odd.connected(&admin, "Odd", "alice").await;
    disconnect(&admin, id).await;
    assert_eq!(
        settled(&admin, id).await,
        owned(&[("refresh_token", 0, "unsupported"), ("access_token", 1, "token_revoked")])
    );
    let asked = odd.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), "Bearer PLANTED_access_of_alice");
    assert!(asked[0].body.is_empty(), "{}", asked[0].body);
}

#[tokio::test]
async fn a_revocation_shows_the_other_secret_where_the_first_is_turned_down_and_nowhere_else() {
    let server = Server::start().await;
    let admin = server.admin();
    let auth = json!({"client_auth": "client_secret_post"});
    let only_next = |asked: &Request| match asked.field("client_secret").as_str() {
        "PLANTED_next" => raw::json(200, "{}"),
        _ => raw::json(401, r#"{"error":"invalid_client"}"#),
    };
    let none = |_: &Request| raw::json(401, r#"{"error":"invalid_client"}"#);
    let token = |_: &Request| raw::json(400, r#"{"error":"unsupported_token_type"}"#);
    let public = json!({"client_auth": "client_secret_post", "revoke": {"auth": "client_id", "tokens": ["refresh"]}});
    // Which secrets are shown for each token, and what comes of it.
    let both = vec!["PLANTED_client", "PLANTED_next"];
    let cases = [
        ("only-next", &auth, only_next as fn(&Request) -> String, both.clone(), "revoked"),
        ("none", &auth, none, both, "invalid_client"),
        ("token", &auth, token, vec!["PLANTED_client"], "unsupported_token_type"),
        ("public", &public, none, vec![""], "invalid_client"),
    ];
    for (slug, entry, answer, secrets, result) in cases {
        let entry = entry.clone();
        let provider = Provider::answering(&admin, slug, entry, answer).await;
        let id = provider.connected(&admin, "Two", "alice").await;
        let profile = detail(&admin, id).await["custom_oauth_profile_id"].clone();
        let path = format!("/api/custom_oauth_profiles/{profile}/registration");
        admin.put(&path, &json!({"next_client_secret": "PLANTED_next"})).await.expect(200);
        disconnect(&admin, id).await;
        let came = settled(&admin, id).await;
        assert_eq!(came[0], ("refresh_token".to_owned(), 1, result.to_owned()), "{slug}");
        let shown = |token: &str| -> Vec<String> {
            let of_token = provider.asked().into_iter().filter(|asked| asked.field("token").starts_with(token));
            of_token.map(|asked| asked.field("client_secret")).collect()
        };
        assert_eq!(shown("PLANTED_refresh"), secrets, "{slug}");
        if slug != "public" {
            assert_eq!(came[1], ("access_token".to_owned(), 1, result.to_owned()), "{slug}");
            assert_eq!(shown("PLANTED_access"), secrets, "{slug}");
        }
        // What is said of a secret here judges no secret: tokens are fetched elsewhere.
        let registration = admin.get(&path).await.expect(200)["result"].clone();
        assert_eq!(registration["rejected_at"], Value::Null, "{registration}");
    }
    assert!(!kinds(&admin).await.contains(&"app_secret_rejected".to_owned()));
}

#[tokio::test]
async fn what_comes_back_from_a_revocation_shows_no_secret() {
    let server = Server::start().await;
    let admin = server.admin();
    let echo = |asked: &Request| {
        let said = json!({"error": asked.field("token"), "error_description": asked.body});
        raw::json(400, &said.to_string())
    };
    let provider = Provider::answering(&admin, "echo", json!({}), echo).await;
    let id = provider.connected(&admin, "Echo", "alice").await;
    disconnect(&admin, id).await;
    let all = settled(&admin, id).await;
    assert!(all[0].2.starts_with("http_400") || all[0].2.contains("redacted"), "{all:?}");
}

#[tokio::test]
async fn a_connection_that_is_deleted_is_ended_at_its_provider_too() {
    let server = Server::start().await;
    let admin = server.admin();
    let practice = Practice::rotating(Rotation::None);
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 2, false).await;
    let [(gone, grant), (stays, other)] = connected[..] else { panic!("two") };
    admin.delete(&format!("/api/connections/{gone}")).await.expect(200);
    for call in ["", "/token"] {
        assert_eq!(admin.get(&format!("/api/connections/{gone}{call}")).await.status, 404, "{call}");
    }
    assert_eq!(admin.delete(&format!("/api/connections/{gone}")).await.status, 404);
    until("it is revoked", SOON, async || practice.grant(grant).await["ended"] == "client").await;
    assert_eq!(practice.grant(other).await["alive"], true);
    admin.get(&format!("/api/connections/{stays}/token")).await.expect(200);
    until("nothing waits", SOON, async || {
        count(&server, "SELECT count(*) FROM revocations WHERE settled_at IS NULL") == 0
    })
    .await;
}

/// `shared_accounts_count` and `oem_customers_count` of a profile, seen in the list and alone.
async fn counts(admin: &Caller, profile: i64) -> (u64, u64) {
    let alone = admin.get(&format!("/api/custom_oauth_profiles/{profile}")).await.expect(200)["result"].clone();
    let list = admin.get("/api/custom_oauth_profiles").await.expect(200)["result"].clone();
    let listed = list.as_array().unwrap().iter().find(|listed| listed["id"] == profile).unwrap();
    let of = |value: &Value| {
        (value["shared_accounts_count"].as_u64().unwrap(), value["oem_customers_count"].as_u64().unwrap())
    };
    assert_eq!(of(&alone), of(listed));
    of(&alone)
}

#[tokio::test]
async fn the_counts_of_a_profile_are_right_through_all_of_it_and_hold_its_deletion_up() {
    let server = Server::start().await;
    let admin = server.admin();
    let practice = Practice::rotating(Rotation::None);
    let profile = practice.introduce(&admin).await;
    let path = format!("/api/custom_oauth_profiles/{profile}");
    assert_eq!(counts(&admin, profile).await, (0, 0));
    let customer = json!({"name": "Acme", "notification_email": "a@acme.example", "external_id": "acme"});
    let customer = admin.post("/api/managed_users", &customer).await.expect(200)["id"].as_i64().unwrap();
    let assign = format!("/api/managed_users/Eacme/custom_oauth_profiles/{profile}/assign");
    for _ in 0..2 {
        admin.post(&assign, &json!({})).await.expect(200);
        assert_eq!(counts(&admin, profile).await, (0, 1), "assigned once, however often that is said");
    }
    // A link makes a connection; connecting it makes none more, and neither does reconnecting.
    let link = async |body: Value| admin.post("/api/connect", &body).await.expect(200)["result"].clone();
    let made = link(json!({"custom_oauth_profile_id": profile, "owner": "alice"})).await;
    let first = made["connection_id"].as_i64().unwrap();
    assert_eq!(counts(&admin, profile).await, (1, 1));
    let person = Person::before(&server);
    let page = person.open(made["url"].as_str().unwrap()).await;
    let landed = person.submit(&page.url, &[("account", "alice@practice.example"), ("decision", "approve")]).await;
    assert_eq!(landed.answer.status, 200, "{}", landed.answer.text());
    let again = link(json!({"connection_id": first})).await;
    let page = person.open(again["url"].as_str().unwrap()).await;
    person.submit(&page.url, &[("account", "alice@practice.example"), ("decision", "approve")]).await;
    assert_eq!(counts(&admin, profile).await, (1, 1));
    let imported = practice.connect(&admin, profile, 2, false).await;
    let of_customer = json!({"name": "Of Acme", "provider": "practice"});
    let of_customer = admin.post("/api/managed_users/Eacme/connections", &of_customer).await.expect(200)["id"].clone();
    assert_eq!(counts(&admin, profile).await, (4, 1));
    // A profile in use stays, and the refusal names both counts.
    let refused = admin.delete(&path).await.expect(400);
    assert_eq!(refused["message"], "This profile is in use by 4 connections and 1 customer");
    let refused = admin.delete("/api/managed_users/Eacme").await.expect(400);
    assert_eq!(refused["message"], "This customer is in use by 1 connection");
    // What is disconnected, lost or without tokens still uses the profile.
    disconnect(&admin, imported[0].0).await;
    practice.control("revoke", json!({"grant": imported[1].1})).await;
    admin.post(&format!("/api/connections/{}/refresh", imported[1].0), &json!({})).await;
    assert_eq!(detail(&admin, imported[1].0).await["authorization_status"], "failed");
    let ended = said(&service(&admin, "DeleteOAuthAccessTokens", &json!({"OAuth provider": "Practice"})).await);
    assert!(ended.contains("1 connection must be authorised again"), "{ended}");
    assert_eq!(counts(&admin, profile).await, (4, 1));
    for (n, id) in [json!(first), json!(imported[0].0), json!(imported[1].0)].iter().enumerate() {
        admin.delete(&format!("/api/connections/{id}")).await.expect(200);
        assert_eq!(counts(&admin, profile).await, (3 - n as u64, 1));
    }
    // Seen from the other dialect, it is the same.
    let body = json!({"Connector config name": "practice", "OAuth provider": "Practice"});
    let refused = said(&service(&admin, "DeleteOAuthConfiguration", &body).await);
    assert!(refused.contains("1 connection:") && refused.contains("1 customer:"), "{refused}");
    let unassign = format!("/api/managed_users/{customer}/custom_oauth_profiles/{profile}/unassign");
    admin.delete(&unassign).await.expect(400);
    admin.delete(&format!("{unassign}?force=true")).await.expect(200);
    assert_eq!(counts(&admin, profile).await, (1, 0), "the connection stays with its profile");
    admin.delete(&format!("/api/managed_users/Eacme/connections/{of_customer}")).await.expect(200);
    assert_eq!(counts(&admin, profile).await, (0, 0));
    admin.delete("/api/managed_users/Eacme").await.expect(200);
    admin.delete(&path).await.expect(200);
    assert_eq!(admin.delete(&path).await.status, 404);
    assert_eq!(admin.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_customer_that_goes_takes_its_assignments_along_and_nothing_else() {
    let server = Server::start().await;
    let admin = server.admin();
    let practice = Practice::rotating(Rotation::None);
    let profile = practice.introduce(&admin).await;
    let [(id, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    let customer = json!({"name": "Acme", "notification_email": "a@acme.example", "external_id": "acme"});
    admin.post("/api/managed_users", &customer).await.expect(200);
    let assign = format!("/api/managed_users/Eacme/custom_oauth_profiles/{profile}/assign");
    admin.post(&assign, &json!({})).await.expect(200);
    assert_eq!(counts(&admin, profile).await, (1, 1));
    admin.delete("/api/managed_users/Eacme").await.expect(200);
    assert_eq!(counts(&admin, profile).await, (1, 0));
    admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
    assert_eq!(practice.grant(grant).await["alive"], true);
}

#[tokio::test]
async fn what_is_disconnected_can_be_connected_again_and_keeps_its_id() {
    let server = Server::start().await;
    let admin = server.admin();
    let practice = Practice::rotating(Rotation::Strict);
    let profile = practice.introduce(&admin).await;
    let [(id, _)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    disconnect(&admin, id).await;
    settled(&admin, id).await;
    let refused = admin.get(&format!("/api/connections/{id}/token")).await.expect(409);
    let person = Person::before(&server);
    let page = person.open(refused["connect_url"].as_str().unwrap()).await;
    let landed = person.submit(&page.url, &[("account", "bob@practice.example"), ("decision", "approve")]).await;
    assert_eq!(landed.answer.status, 200, "{}", landed.answer.text());
    admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
    let now = detail(&admin, id).await;
    assert_eq!((&now["authorization_status"], &now["connection_lost_reason"]), (&json!("success"), &Value::Null));
    assert_eq!(kinds(&admin).await, ["connected", "disconnected", "connected"]);
}

// Services 4 and 5 of the Flow dialect, with grants that are some.

#[tokio::test]
async fn service_4_says_what_is_being_revoked_and_what_could_not_be() {
    let server = Server::start().await;
    let admin = server.admin();
    let revocable = Provider::answering(&admin, "revocable", json!({}), |_| raw::json(200, "{}")).await;
    let silent = Provider::answering(&admin, "silent", json!({"revoke_url": null}), |_| raw::json(200, "{}")).await;
    let mut ids = Vec::new();
    for owner in ["alice", "bob"] {
        ids.push(revocable.connected(&admin, "Main", owner).await);
        ids.push(silent.connected(&admin, "Main", owner).await);
    }
    let other = revocable.connected(&admin, "Other", "alice").await;
    let alive = async || {
        let mut alive = Vec::new();
        for id in ids.iter().chain([&other]) {
            if admin.get(&format!("/api/connections/{id}/token")).await.status == 200 {
                alive.push(*id);
            }
        }
        alive
    };
    for blank in ["", " ", "\u{3000}"] {
        let text = said(
            &service(&admin, "DeleteOAuthAccessTokens", &json!({"OAuth provider": "Main", "User Name": blank})).await,
        );
        assert_eq!(text, "Nothing was done: User Name: can't be blank", "a blank user is not everybody");
    }
    assert_eq!(alive().await.len(), 5);
    let of_alice = json!({"OAuth provider": "Main", "User Name": "alice"});
    assert_eq!(
        said(&service(&admin, "DeleteOAuthAccessTokens", &of_alice).await),
        "The access tokens of user alice for the OAuth provider Main of connectors revocable, silent are deleted: 2 \
         connections must be authorised again. 1 grant is being revoked at the provider, 1 grant could not be."
    );
    assert_eq!(alive().await, [ids[2], ids[3], other], "bob's stay, and so does the other configuration's");
    until("both tokens of alice's one", SOON, async || revocable.asked().len() == 2).await;
    assert!(revocable.asked().iter().all(|asked| asked.field("token").ends_with("_of_alice")));
    assert!(silent.asked().is_empty());
    let text = said(&service(&admin, "DeleteOAuthAccessTokens", &json!({"OAuth provider": "Main"})).await);
    assert!(text.contains("of every user") && text.contains("2 connections must be authorised again"), "{text}");
    assert_eq!(alive().await, [other]);
    let only_silent = silent.connected(&admin, "Quiet", "carol").await;
    let text = said(&service(&admin, "DeleteOAuthAccessTokens", &json!({"OAuth provider": "Quiet"})).await);
    assert!(text.ends_with("could not be revoked at the provider: it has no way to, or is not set up."), "{text}");
    assert_eq!(settled(&admin, only_silent).await[0].2, "unsupported");
    // Each is one event, one audit entry for each configuration that was meant.
    assert_eq!(kinds(&admin).await.iter().filter(|kind| *kind == "disconnected").count(), 5);
    assert_eq!(count(&server, "SELECT count(*) FROM audit WHERE deed = 'disconnected' AND noun = 'profile'"), 5);
}

#[tokio::test]
async fn service_5_names_the_connections_that_have_to_be_authorised_again() {
    let server = Server::start().await;
    let admin = server.admin();
    let practice = Practice::rotating(Rotation::Strict);
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 3, false).await;
    let check = async || said(&service(&admin, "ValidateConnector", &json!({"connectorName": "practice"})).await);
    let fine = check().await;
    assert!(fine.starts_with("The connector practice is in order: 1 configuration, 3 connections"), "{fine}");
    assert!(fine.contains("The provider accepts client id and secret of 1 configuration."), "{fine}");
    disconnect(&admin, connected[0].0).await;
    practice.control("revoke", json!({"grant": connected[1].1})).await;
    admin.post(&format!("/api/connections/{}/refresh", connected[1].0), &json!({})).await;
    let ill = check().await;
    assert!(ill.starts_with("The connector practice is not in order:"), "{ill}");
    for n in [0, 1] {
        let line = format!("Practice: the connection \"connection {n}\" of alice must be authorised again");
        assert!(ill.contains(&line), "{ill}");
    }
    assert!(!ill.contains("connection 2"), "{ill}");
    // A secret that the provider turns down is told as what it is.
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": "PLANTED-other"})).await;
    let rejected = check().await;
    assert!(rejected.contains("Practice: ") && rejected.contains("turns down"), "{rejected}");
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})).await;
    for (id, _) in &connected {
        admin.delete(&format!("/api/connections/{id}")).await.expect(200);
    }
    assert!(check().await.contains("in order: 1 configuration, 0 connections"));
}

#[tokio::test]
async fn a_name_that_several_connectors_carry_means_all_of_them() {
    let server = Server::start().await;
    let admin = server.admin();
    let (one, two) = (Practice::rotating(Rotation::None), Practice::rotating(Rotation::None));
    let mut grants = Vec::new();
    for (slug, practice) in [("one", &one), ("two", &two)] {
        let mut entry = definition(&Options::default(), practice.url());
        entry["slug"] = slug.into();
        admin.post("/api/providers", &entry).await.expect(200);
        let body = json!({"name": "Shared", "provider": slug,
            "data": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}});
        let made = admin.post("/api/custom_oauth_profiles", &body).await.expect(200);
        grants.push(practice.connect(&admin, made["result"]["id"].as_i64().unwrap(), 2, false).await);
    }
    let text = said(&service(&admin, "DeleteOAuthAccessTokens", &json!({"OAuth provider": "Shared"})).await);
    assert!(text.contains("of connectors one, two are deleted: 4 connections"), "{text}");
    assert!(text.ends_with("4 grants are being revoked at the provider."), "{text}");
    for (practice, connected) in [(&one, &grants[0]), (&two, &grants[1])] {
        for (id, grant) in connected {
            assert_eq!(admin.get(&format!("/api/connections/{id}/token")).await.status, 409);
            until("it is revoked", SOON, async || practice.grant(*grant).await["ended"] == "client").await;
        }
    }
}
