//! Token exchange (RFC 8693) at `/oauth/token`: a token of ours for a provider's, in a standard's words.

use grantry::simulator::{Options, Rotation};
use serde_json::{Value, json};

use crate::support::{
    APPLICATION_FILE, Answer, Caller, MULTIPART, Server, application_body,
    practice::{Practice, until},
};

const SOON: std::time::Duration = std::time::Duration::from_secs(20);

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const FORM: &str = "application/x-www-form-urlencoded";

/// A form with these fields.
fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

async fn post(caller: &Caller, fields: &[(&str, &str)]) -> Answer {
    caller.send_text("POST", "/oauth/token", FORM, form(fields)).await
}

/// Asks for the token of a connection with a token of ours, and with `more`, which goes before the usual.
async fn exchange(caller: &Caller, subject: &str, target: &str, more: &[(&str, &str)]) -> Answer {
    let mut fields = vec![
        ("grant_type", GRANT),
        ("subject_token", subject),
        ("subject_token_type", ACCESS_TOKEN),
        ("audience", target),
    ];
    fields.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    fields.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    post(caller, &fields).await
}

/// RFC 6749 §5.2: the error, and a description in the alphabet of that section.
#[track_caller]
fn failed(answer: &Answer, status: u16, error: &str) -> Value {
    let body = answer.expect(status);
    assert_eq!(body["error"], error, "{body}");
    let description = body["error_description"].as_str().unwrap();
    let fine = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
    assert!(!description.is_empty() && description.chars().all(fine), "{description}");
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    assert!(body.get("access_token").is_none());
    body
}

/// A client application with this scope: its id, its secret and an access token of its own.
async fn application(server: &Server, name: &str, scopes: &[&str]) -> (String, String, String) {
    let admin = server.admin();
    let body = application_body(&json!({"name": name}).to_string(), APPLICATION_FILE.as_bytes());
    let path = "/documents/api/1.2/config/clientApplications";
    let id = admin.send_text("POST", path, MULTIPART, body).await.expect(201)["id"].as_str().unwrap().to_owned();
    admin.put(&format!("/api/client_applications/{id}/scopes"), &json!({"scopes": scopes})).await.expect(200);
    let issue = admin.request("POST", &format!("/api/client_applications/{id}/secret"));
    let secret = admin.send(issue).await.expect(200)["client_secret"].as_str().unwrap().to_owned();
    let fields = [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", &secret)];
    let token = post(&server.anybody(), &fields).await.expect(200)["access_token"].as_str().unwrap().to_owned();
    (id, secret, token)
}

struct Known {
    server: Server,
    practice: Practice,
    admin: Caller,
    connection: i64,
    grant: u64,
}

async fn known() -> Known {
    let practice = Practice::with(Options { rotation: Rotation::Strict, ..Options::default() });
    let server = Server::start().await;
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(connection, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    Known { server, practice, admin, connection, grant }
}

#[tokio::test]
async fn a_token_of_ours_is_exchanged_for_a_providers() {
    let known = known().await;
    let (anybody, target) = (known.server.anybody(), format!("connection:{}", known.connection));
    let (id, secret, own) = application(&known.server, "Program", &["connections:token"]).await;
    let api = known.server.caller(&["connections:token"]).token();
    let direct = known.admin.get(&format!("/api/connections/{}/token", known.connection)).await.expect(200);
    let resource = format!("{}/api/connections/{}", known.server.url, known.connection);
    for (subject, more) in [
        (&api, vec![]),
        (&own, vec![]),
        (&own, vec![("client_id", id.as_str())]),
        (&own, vec![("client_id", id.as_str()), ("client_secret", secret.as_str())]),
        (&api, vec![("client_id", id.as_str()), ("client_secret", secret.as_str())]),
        (&api, vec![("audience", ""), ("resource", resource.as_str())]),
        (&api, vec![("resource", resource.as_str())]),
        (&api, vec![("requested_token_type", ACCESS_TOKEN), ("scope", ""), ("min_ttl", "10")]),
    ] {
        let answer = exchange(&anybody, subject, &target, &more).await;
        let body = answer.expect(200);
        assert_eq!(body["access_token"], direct["access_token"]);
        assert_eq!((&body["issued_token_type"], &body["token_type"]), (&json!(ACCESS_TOKEN), &json!("Bearer")));
        assert!((1..=300).contains(&body["expires_in"].as_i64().unwrap()), "{body}");
        for kept_back in ["refresh_token", "extra", "client_secret"] {
            assert!(body.get(kept_back).is_none(), "{body}");
        }
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    }
    // By Basic, as by the body.
    let basic = known.server.anybody().basic(&id, &secret);
    exchange(&basic, &own, &target, &[]).await.expect(200);
    assert_eq!(known.practice.refreshes().await, 0);
    // Each is a hand-out, told by who it was; what comes within a second is written together.
    let path = format!("/api/connections/{}", known.connection);
    let hand_outs = async || known.admin.get(&path).await.expect(200)["result"]["hand_outs"].clone();
    until("they are written", SOON, async || hand_outs().await["count"] == 10).await;
    let hand_outs = hand_outs().await;
    let by = hand_outs["by"].as_array().unwrap().clone();
    assert!(by.iter().any(|one| one["actor"].as_str().unwrap().starts_with("client_application ")), "{by:?}");
}

#[tokio::test]
async fn a_subject_that_opens_nothing_or_may_not_is_an_invalid_request() {
    let known = known().await;
    let (anybody, target) = (known.server.anybody(), format!("connection:{}", known.connection));
    let (id, secret, own) = application(&known.server, "One", &["connections:token"]).await;
    let (other_id, other_secret, others) = application(&known.server, "Two", &["connections:token"]).await;
    let (_, _, weak) = application(&known.server, "Weak", &["connections:read"]).await;
    let reader = known.server.caller(&["connections:read"]).token();
    let api = known.server.caller(&["connections:token"]).token();
    let mut forged = own.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'a' { 'b' } else { 'a' });
    for subject in ["x", "gry_access_1_x", forged.as_str(), "a\r\nb", secret.as_str(), weak.as_str(), reader.as_str()] {
        failed(&exchange(&anybody, subject, &target, &[]).await, 400, "invalid_request");
    }
    // Another application's token is none of this one's business, whether it shows its secret or only its name.
    for (client, secret) in [(&id, secret.as_str()), (&id, "")] {
        let more = [("client_id", client.as_str()), ("client_secret", secret)];
        failed(&exchange(&anybody, &others, &target, &more).await, 400, "invalid_request");
    }
    exchange(&anybody, &others, &target, &[("client_id", &other_id), ("client_secret", &other_secret)])
        .await
        .expect(200);
    for (field, value) in [
        ("subject_token", ""),
        ("subject_token_type", ""),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),
        ("actor_token", "x"),
        ("actor_token_type", ACCESS_TOKEN),
        ("min_ttl", "-1"),
        ("min_ttl", "1e3"),
        ("min_ttl", "86401"),
        ("min_ttl", "99999999999999999999"),
    ] {
        failed(&exchange(&anybody, &api, &target, &[(field, value)]).await, 400, "invalid_request");
    }
    // A client whose secret is wrong is a wrong client, whatever else it shows.
    let more = [("client_id", id.as_str()), ("client_secret", "PLANTED-wrong")];
    let answer = exchange(&anybody, &own, &target, &more).await;
    failed(&answer, 401, "invalid_client");
    assert!(answer.header("www-authenticate").starts_with("Basic "));
    failed(
        &post(&anybody, &[("grant_type", "password"), ("client_id", &id), ("client_secret", &secret)]).await,
        400,
        "unsupported_grant_type",
    );
    failed(&post(&anybody, &[("subject_token", &own)]).await, 400, "invalid_request");
    // Twice, or in the URL, where logs see it.
    let twice = form(&[("grant_type", GRANT), ("subject_token", &api), ("subject_token", &api)]);
    failed(&anybody.send_text("POST", "/oauth/token", FORM, twice).await, 400, "invalid_request");
    let in_url = format!("/oauth/token?subject_token={api}");
    failed(&anybody.send_text("POST", &in_url, FORM, form(&[("grant_type", GRANT)])).await, 400, "invalid_request");
    // A subject that was good and is revoked is one that opens nothing.
    let revoke = form(&[("token", &own), ("client_id", &id), ("client_secret", &secret)]);
    assert_eq!(anybody.send_text("POST", "/oauth/revoke", FORM, revoke).await.status, 200);
    failed(&exchange(&anybody, &own, &target, &[]).await, 400, "invalid_request");
    assert_eq!(known.practice.refreshes().await, 0);
}

#[tokio::test]
async fn a_target_that_is_none_or_has_no_token_is_an_invalid_target() {
    let known = known().await;
    let anybody = known.server.anybody();
    let api = known.server.caller(&["connections:token"]).token();
    let elsewhere = format!("{}/api/connections/999", known.server.url);
    let target = format!("connection:{}", known.connection);
    for bad in [
        "",
        "connection:999",
        "connection:0",
        "connection:-1",
        "connection:+1",
        "connection:01",
        "connection:1.0",
        "connection:99999999999999999999",
        "connection:",
        "connection:1 OR 1=1",
        "Connection:1",
        "hubspot",
        "https://api.acme.example",
    ] {
        failed(&exchange(&anybody, &api, bad, &[("audience", bad)]).await, 400, "invalid_target");
    }
    for bad in [elsewhere.as_str(), "https://evil.example/api/connections/1", "/api/connections/1"] {
        failed(&exchange(&anybody, &api, &target, &[("audience", ""), ("resource", bad)]).await, 400, "invalid_target");
        // Two that differ, too.
        failed(&exchange(&anybody, &api, &target, &[("resource", bad)]).await, 400, "invalid_target");
    }
    let fields = [("grant_type", GRANT), ("subject_token", &api), ("subject_token_type", ACCESS_TOKEN)];
    let twice = [form(&fields), form(&[("audience", &target), ("audience", &target)])].join("&");
    failed(&anybody.send_text("POST", "/oauth/token", FORM, twice).await, 400, "invalid_target");
    // Longer than any token lives.
    let refused = exchange(&anybody, &api, &target, &[("min_ttl", "3600")]).await;
    assert_eq!(failed(&refused, 400, "invalid_target")["reason"], "token_too_short_lived");
    // The refusals of the hand-out.
    known.practice.control("revoke", json!({"grant": known.grant})).await;
    known.admin.post(&format!("/api/connections/{}/refresh", known.connection), &json!({})).await;
    let refused = exchange(&anybody, &api, &target, &[]).await;
    let body = failed(&refused, 400, "invalid_target");
    assert_eq!(body["reason"], "needs_reauthorization");
    assert!(body["connect_url"].as_str().unwrap().contains("/connect/"), "{body}");
}

#[tokio::test]
async fn a_provider_that_is_out_is_out_for_a_while_and_no_error_of_the_request() {
    let known = known().await;
    let profile = known.practice.profile(&known.admin, "Second", grantry::simulator::CLIENT_SECRET).await;
    known.practice.faults("token", "status:503").await;
    let [(id, _)] = known.practice.connect(&known.admin, profile, 1, true).await[..] else { panic!("one") };
    let api = known.server.caller(&["connections:token"]).token();
    let refused = exchange(&known.server.anybody(), &api, &format!("connection:{id}"), &[]).await;
    let body = failed(&refused, 503, "temporarily_unavailable");
    assert_eq!(body["reason"], "provider_unavailable");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn a_scope_that_the_connection_has_not_is_an_invalid_scope() {
    let known = known().await;
    let (anybody, target) = (known.server.anybody(), format!("connection:{}", known.connection));
    let api = known.server.caller(&["connections:token"]).token();
    // The provider says what it gives with each refresh.
    known.practice.fault("refresh", "scope:read write:all").await;
    known.admin.post(&format!("/api/connections/{}/refresh", known.connection), &json!({})).await.expect(200);
    for (asked, fine) in [
        ("read", true),
        ("write:all read", true),
        ("read admin", false),
        ("rea", false),
        ("READ", false),
        ("read,write:all", false),
    ] {
        let answer = exchange(&anybody, &api, &target, &[("scope", asked)]).await;
        if fine {
            assert_eq!(answer.expect(200)["scope"], "read write:all", "a provider's token cannot be made smaller");
        } else {
            let body = failed(&answer, 400, "invalid_scope");
            assert!(body["error_description"].as_str().unwrap().contains("scope "), "{body}");
        }
    }
}
