//! Connecting by a code that somebody enters elsewhere (RFC 8628).

use std::time::Duration;

use futures_util::future::join_all;
use grantry::simulator::{CLIENT_ID, Options, SLUG};
use serde_json::{Value, json};

use crate::support::{
    Caller, Server, clean,
    practice::{Practice, until},
    program,
};

const SOON: Duration = Duration::from_secs(20);
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A provider that may be asked every second.
fn practice() -> Practice {
    Practice::with(Options { device_interval_s: 1, ..Options::default() })
}

async fn begin(admin: &Caller, body: Value) -> Value {
    admin.post("/api/connect/device", &body).await.expect(200)["result"].clone()
}

async fn detail(admin: &Caller, id: &Value) -> Value {
    admin.get(&format!("/api/connections/{id}")).await.expect(200)["result"].clone()
}

/// Somebody enters a code at the provider.
async fn decide(practice: &Practice, code: &Value, decision: &str, account: &str) -> u16 {
    let account = format!("{account}@practice.example");
    let form = [("user_code", code.as_str().unwrap()), ("decision", decision), ("account", &account)];
    let request = reqwest::Client::builder().no_proxy().build().unwrap().post(format!("{}/device", practice.url()));
    request.form(&form).send().await.unwrap().status().as_u16()
}

async fn until_connected(admin: &Caller, id: &Value) {
    until("it is connected", SOON, async || detail(admin, id).await["authorization_status"] == "success").await;
}

async fn until_ended(admin: &Caller, id: &Value) -> Value {
    until("it has ended", SOON, async || detail(admin, id).await["device"]["status"] == "ended").await;
    detail(admin, id).await["device"].clone()
}

async fn questions(practice: &Practice) -> u64 {
    practice.counts().await["token"]["by_grant_type"][GRANT_TYPE].as_u64().unwrap_or_default()
}

/// Changes what a server that is stopped has of its devices.
fn change(server: &mut Server, sql: &str) {
    server.stop();
    let db = rusqlite::Connection::open(server.data().join("grantry.db")).unwrap();
    assert_eq!(db.execute(sql, []).unwrap(), 1, "{sql}");
}

#[tokio::test]
async fn a_code_entered_elsewhere_connects_an_account() {
    let server = Server::start().await;
    let (practice, admin) = (practice(), server.admin());
    let profile = practice.introduce(&admin).await;
    let begun =
        begin(&admin, json!({"custom_oauth_profile_id": profile, "name": "television", "owner": "alice"})).await;
    let (id, code) = (&begun["connection_id"], &begun["user_code"]);
    assert_eq!(begun["verification_uri"], format!("{}/device", practice.url()));
    assert_eq!(
        begun["verification_uri_complete"],
        format!("{}/device?user_code={}", practice.url(), code.as_str().unwrap())
    );
    assert_eq!((&begun["interval"], &begun["warnings"]), (&json!(1), &json!([])));
    let waiting = detail(&admin, id).await;
    assert_eq!((&waiting["authorization_status"], &waiting["owner"]), (&Value::Null, &json!("alice")));
    assert_eq!((&waiting["device"]["status"], &waiting["device"]["user_code"]), (&json!("waiting"), code));
    assert!(waiting["device"].get("device_code").is_none(), "that one stays with us");
    until("it asks", SOON, async || questions(&practice).await >= 2).await;
    assert_eq!(decide(&practice, code, "approve", "alice").await, 200);
    until_connected(&admin, id).await;
    let done = detail(&admin, id).await;
    assert_eq!((&done["grant"]["type"], &done["device"]), (&json!("device_code"), &Value::Null));
    assert_eq!(done["account"]["label"], "alice@practice.example");
    let token = admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
    assert_eq!(token["token_type"], "Bearer");
    let events = admin.get("/api/events").await.expect(200);
    let text = events.to_string();
    assert!(text.contains("\"connected\"") && text.contains("device_code"), "{text}");
    let asked = questions(&practice).await;
    admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await.expect(200);
    assert_eq!(questions(&practice).await, asked, "nobody asks any more");
}

#[tokio::test]
async fn a_provider_that_wants_to_be_asked_less_often_is() {
    let server = Server::start().await;
    let (practice, admin) = (practice(), server.admin());
    let profile = practice.introduce(&admin).await;
    practice.fault("device", "error:slow_down").await;
    let begun = begin(&admin, json!({"custom_oauth_profile_id": profile})).await;
    let id = &begun["connection_id"];
    until("it goes slower", SOON, async || detail(&admin, id).await["device"]["interval"] == 6).await;
    decide(&practice, &begun["user_code"], "approve", "alice").await;
    let before = questions(&practice).await;
    until_connected(&admin, id).await;
    assert_eq!(questions(&practice).await, before + 1, "once, after six seconds");
}

#[tokio::test]
async fn a_provider_that_is_down_is_asked_until_it_is_up_again() {
    let server = Server::start().await;
    let (practice, admin) = (practice(), server.admin());
    let profile = practice.introduce(&admin).await;
    practice.control("faults", json!({"on": "device", "fault": "status:503", "times": 1})).await;
    practice.control("faults", json!({"on": "device", "fault": "drop", "times": 1})).await;
    let begun = begin(&admin, json!({"custom_oauth_profile_id": profile})).await;
    let id = &begun["connection_id"];
    until("it asks less often", SOON, async || detail(&admin, id).await["device"]["interval"] == 4).await;
    assert_eq!(detail(&admin, id).await["device"]["status"], "waiting");
    decide(&practice, &begun["user_code"], "approve", "alice").await;
    until_connected(&admin, id).await;
}

#[tokio::test]
async fn whoever_says_no_connects_nothing_and_the_connection_goes() {
    let mut server = Server::start().await;
    let (practice, admin) = (practice(), server.admin());
    let profile = practice.introduce(&admin).await;
    let begun = begin(&admin, json!({"custom_oauth_profile_id": profile})).await;
    let id = &begun["connection_id"];
    decide(&practice, &begun["user_code"], "deny", "alice").await;
    let ended = until_ended(&admin, id).await;
    assert_eq!((&ended["result"], &ended["blame"]), (&json!("access_denied"), &json!("grant")));
    assert_eq!(ended.get("user_code"), None);
    assert_eq!(detail(&admin, id).await["authorization_status"], Value::Null);
    // A quarter of an hour later.
    change(&mut server, "UPDATE device_authorizations SET settled_at = settled_at - 900001");
    let server = Server::on(server.dir(), &[], &[]).await;
    let admin = admin.at(&server.url);
    until("it is gone", SOON, async || admin.get(&format!("/api/connections/{id}")).await.status == 404).await;
}

#[tokio::test]
async fn a_code_that_ended_is_asked_for_once_more_and_then_no_more() {
    let mut server = Server::start().await;
    let (practice, admin) = (practice(), server.admin());
    let profile = practice.introduce(&admin).await;
    let [(known, _)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    let fresh = begin(&admin, json!({"custom_oauth_profile_id": profile})).await["connection_id"].clone();
    practice.fault("device", "error:expired_token").await;
    let ended = until_ended(&admin, &fresh).await;
    assert_eq!((&ended["result"], &ended["blame"]), (&json!("expired_token"), &json!("grant")), "the provider says so");
    // By our clock, while the provider is down.
    practice.faults("device", "status:503").await;
    let known = json!(known);
    begin(&admin, json!({"connection_id": known})).await;
    change(&mut server, "UPDATE device_authorizations SET expires_at = 1 WHERE next_at IS NOT NULL");
    let server = Server::on(server.dir(), &[], &[]).await;
    let admin = admin.at(&server.url);
    let ended = until_ended(&admin, &known).await;
    assert_eq!((&ended["result"], &ended["blame"]), (&json!("expired_token"), &json!("provider")));
    assert_eq!(detail(&admin, &known).await["authorization_status"], "success", "what was there stays");
    // And who agreed in the last second has not done so in vain.
    practice.mend().await;
    let begun = begin(&admin, json!({"connection_id": known, "other_account": true})).await;
    let mut server = server;
    change(&mut server, "UPDATE device_authorizations SET expires_at = 1 WHERE next_at IS NOT NULL");
    decide(&practice, &begun["user_code"], "approve", "bob").await;
    let server = Server::on(server.dir(), &[], &[]).await;
    let admin = admin.at(&server.url);
    until("bob", SOON, async || detail(&admin, &known).await["account"]["label"] == "bob@practice.example").await;
}

#[tokio::test]
async fn a_restart_goes_on_where_the_last_run_was() {
    let mut server = Server::start().await;
    let (practice, admin) = (practice(), server.admin());
    let profile = practice.introduce(&admin).await;
    let begun = begin(&admin, json!({"custom_oauth_profile_id": profile})).await;
    server.kill();
    decide(&practice, &begun["user_code"], "approve", "alice").await;
    let server = Server::on(server.dir(), &[], &[]).await;
    until_connected(&admin.at(&server.url), &begun["connection_id"]).await;
}

#[tokio::test]
async fn what_would_stop_the_person_is_an_error_and_nothing_is_made() {
    let server = Server::start().await;
    let (practice, admin) = (practice(), server.admin());
    let profile = practice.introduce(&admin).await;
    let path = format!("/api/providers/{SLUG}");
    let entry = admin.get(&path).await.expect(200)["result"].clone();
    let body = json!({"custom_oauth_profile_id": profile});
    let new = async || admin.post("/api/connect/device", &body).await;
    practice.fault("device_authorization", "error:invalid_scope").await;
    let refused = new().await.expect(400);
    assert!(refused["errors"]["scopes"][0].as_str().unwrap().contains("invalid_scope"), "{refused}");
    practice.fault("device_authorization", "invalid_client").await;
    assert_eq!(new().await.expect(424)["error"], "app_secret_rejected");
    practice.fault("device_authorization", "status:503").await;
    let refused = new().await;
    assert_eq!(refused.expect(503)["error"], "provider_unavailable");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    let mut without: Value = entry.clone();
    for field in ["device_url", "origin"] {
        without.as_object_mut().unwrap().remove(field);
    }
    admin.put(&path, &without).await.expect(200);
    let asked = practice.counts().await["requests"]["/device_authorization"].clone();
    let refused = new().await.expect(400);
    assert_eq!(refused["errors"], json!({"provider": ["has no endpoint for devices (device_url): connect by a link"]}));
    assert_eq!(practice.counts().await["requests"]["/device_authorization"], asked, "nobody was asked");
    for (body, field) in [
        (json!({"custom_oauth_profile_id": 999}), "custom_oauth_profile_id"),
        (json!({"custom_oauth_profile_id": profile, "scopes": ["a b"]}), "scopes[0]"),
        (json!({"custom_oauth_profile_id": profile, "return_url": "https://app.example/"}), "return_url"),
        (json!({}), "provider"),
    ] {
        let refused = admin.post("/api/connect/device", &body).await.expect(400);
        assert!(refused["errors"].get(field).is_some(), "{body}: {refused}");
    }
    assert_eq!(admin.post("/api/connect/device", &json!({"connection_id": 999})).await.status, 404);
    assert_eq!(admin.get("/api/connections").await.expect(200), json!([]));
}

#[tokio::test]
async fn a_turned_down_secret_ends_it_and_says_who_is_to_blame() {
    let server = Server::start().await;
    let (practice, admin) = (practice(), server.admin());
    let profile = practice.introduce(&admin).await;
    let begun = begin(&admin, json!({"custom_oauth_profile_id": profile})).await;
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": "PLANTED-other"})).await;
    let ended = until_ended(&admin, &begun["connection_id"]).await;
    assert_eq!((&ended["result"], &ended["blame"]), (&json!("invalid_client"), &json!("app")));
}

#[tokio::test]
async fn of_two_for_the_same_connection_the_later_one_counts() {
    let server = Server::start().await;
    let (practice, admin) = (practice(), server.admin());
    let profile = practice.introduce(&admin).await;
    let first = begin(&admin, json!({"custom_oauth_profile_id": profile})).await;
    let id = &first["connection_id"];
    let body = json!({"connection_id": id});
    let more = join_all((0..4).map(|_| begin(&admin, body.clone()))).await;
    let now = detail(&admin, id).await["device"]["user_code"].clone();
    for old in std::iter::once(&first).chain(&more).filter(|begun| begun["user_code"] != now) {
        decide(&practice, &old["user_code"], "approve", "bob").await;
    }
    until("it asks", SOON, async || questions(&practice).await >= 2).await;
    assert_eq!(detail(&admin, id).await["authorization_status"], Value::Null, "nobody asks with the others");
    decide(&practice, &now, "approve", "alice").await;
    until_connected(&admin, id).await;
    assert_eq!(detail(&admin, id).await["account"]["label"], "alice@practice.example");
    assert_eq!(practice.grants().await.len(), 1);
}

#[tokio::test]
async fn what_comes_when_nobody_wants_it_any_more_is_ended_at_the_provider() {
    let server = Server::start().await;
    let (practice, admin) = (practice(), server.admin());
    let profile = practice.introduce(&admin).await;
    for end in ["disconnect", "delete"] {
        let begun = begin(&admin, json!({"custom_oauth_profile_id": profile})).await;
        let id = &begun["connection_id"];
        decide(&practice, &begun["user_code"], "approve", "alice").await;
        practice.control("hold", json!({"at": "after"})).await;
        until("the tokens are on their way", SOON, async || {
            practice.counts().await["token"]["held"].as_u64().unwrap_or_default() >= 1
        })
        .await;
        let path = format!("/api/connections/{id}");
        if end == "delete" {
            admin.delete(&path).await.expect(200);
        } else {
            admin.post(&format!("{path}/disconnect"), &json!({})).await.expect(200);
        }
        practice.control("release", json!({})).await;
        until("they are revoked", SOON, async || {
            practice.grants().await.iter().all(|grant| grant["ended"] == "client")
        })
        .await;
        if end == "disconnect" {
            let now = detail(&admin, id).await;
            assert_eq!((&now["grant"], &now["device"]["result"]), (&Value::Null, &json!("disconnected")));
        }
    }
    assert_eq!(practice.grants().await.len(), 2);
}

#[tokio::test]
async fn another_account_is_refused_unless_somebody_says_so() {
    let server = Server::start().await;
    let (practice, admin) = (practice(), server.admin());
    let profile = practice.introduce(&admin).await;
    let first = begin(&admin, json!({"custom_oauth_profile_id": profile})).await;
    let id = &first["connection_id"];
    decide(&practice, &first["user_code"], "approve", "alice").await;
    until_connected(&admin, id).await;
    let again = begin(&admin, json!({"connection_id": id})).await;
    assert_eq!(again["connection_id"], *id);
    decide(&practice, &again["user_code"], "approve", "bob").await;
    assert_eq!(until_ended(&admin, id).await["result"], "other_account");
    assert_eq!(detail(&admin, id).await["account"]["label"], "alice@practice.example");
    let wanted = begin(&admin, json!({"connection_id": id, "other_account": true})).await;
    decide(&practice, &wanted["user_code"], "approve", "bob").await;
    until("bob", SOON, async || detail(&admin, id).await["account"]["label"] == "bob@practice.example").await;
}

#[tokio::test]
async fn the_command_line_prints_the_code_and_waits() {
    let server = Server::start().await;
    let (practice, admin) = (practice(), server.admin());
    practice.introduce(&admin).await;
    for (decision, code) in [("approve", 0), ("deny", 1)] {
        let mut command = std::process::Command::new(program());
        clean(&mut command);
        let child = tokio::process::Command::from(command)
            .args(["connect", SLUG, "--device", "--name", decision, "--data"])
            .arg(server.data())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        until("a code", SOON, async || admin.get("/api/connections").await.text().contains(decision)).await;
        let all = admin.get("/api/connections").await.expect(200);
        let id = all.as_array().unwrap().iter().find(|one| one["name"] == decision).unwrap()["id"].clone();
        let shown = detail(&admin, &id).await["device"]["user_code"].clone();
        decide(&practice, &shown, decision, "alice").await;
        let output = child.wait_with_output().await.unwrap();
        let (out, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{out}{said}");
        let enter = format!("Enter the code {} at {}/device", shown.as_str().unwrap(), practice.url());
        assert!(said.contains(&enter), "{said}");
        if code == 0 {
            assert_eq!(out.trim(), format!("connection {id} is connected to alice@practice.example"));
        } else {
            assert!(said.contains("the user denied the request"), "{said}");
        }
    }
}
