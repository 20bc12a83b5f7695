//! The check of a profile at its provider: right where it is right, never "fine" where nobody can tell, and nothing of what
//! was sent comes out again.

use std::{
    io::Write as _,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use grantry::{
    domain::{Secret, profile::SecretKind},
    simulator::{CLIENT_ID, CLIENT_SECRET, Like, Options, SLUG},
    store,
};
use serde_json::{Value, json};

use crate::support::{
    Answer, Caller, Server,
    granted::{self, authorize},
    practice::{Practice, until},
    raw::{self, Request, serve},
};

const SECRET: &str = "PLANTED_secret_of_the_app+/&%";
const SOON: Duration = Duration::from_secs(20);

async fn ask(caller: &Caller, id: i64) -> Answer {
    caller.send(caller.request("POST", &format!("/api/custom_oauth_profiles/{id}/check"))).await
}

async fn check(caller: &Caller, id: i64) -> Value {
    ask(caller, id).await.expect(200)["result"].clone()
}

/// The codes of findings that are not `ok`.
fn troubles(checked: &Value) -> Vec<String> {
    let findings = checked["findings"].as_array().unwrap().iter();
    let troubles = findings.filter(|finding| finding["severity"] != "ok");
    troubles.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn message(checked: &Value, code: &str) -> String {
    let found = checked["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == code);
    found.unwrap_or_else(|| panic!("no {code}: {checked:#}"))["message"].as_str().unwrap().to_owned()
}

#[track_caller]
fn verdict(checked: &Value, verdict: &str, troubles_are: &[&str]) {
    assert_eq!(
        (checked["verdict"].as_str().unwrap(), troubles(checked)),
        (verdict, owned(troubles_are)),
        "{checked:#}"
    );
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// The provider that a server at `url` is, with these fields more.
fn definition(url: &str, more: &Value) -> Value {
    let mut entry = json!({"slug": "acme", "name": "Acme", "token_url": format!("{url}/token")});
    let fields = entry.as_object_mut().unwrap();
    for (name, value) in more.as_object().unwrap() {
        fields.insert(name.clone(), value.clone());
    }
    entry
}

/// A profile for a server at `url`; answers its id.
async fn profile_at(admin: &Caller, url: &str, more: &Value) -> i64 {
    admin.post("/api/providers", &definition(url, more)).await.expect(200);
    let body = json!({"name": "App", "provider": "acme", "data": {"client_id": "app-1", "client_secret": SECRET}});
    admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].as_i64().unwrap()
}

/// What the check of a server finds that answers each token request so.
async fn checked_at(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Value {
    let server = Server::start().await;
    let admin = server.admin();
    let url = serve(move |request| if request.is_post() { answer(&request) } else { raw::answer(404, "", "") }).await;
    let id = profile_at(&admin, &url, &json!({})).await;
    check(&admin, id).await
}

/// The secret that a request shows.
fn shown_secret(request: &Request) -> String {
    let basic = request.header("authorization");
    match basic.strip_prefix("Basic ") {
        Some(pair) => {
            let pair = String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap();
            let secret = pair.split_once(':').unwrap().1.to_owned();
            percent_encoding::percent_decode_str(&secret).decode_utf8().unwrap().into_owned()
        }
        None => request.field("client_secret"),
    }
}

#[tokio::test]
async fn what_is_right_is_accepted_and_what_went_over_the_wire_is_shown_without_secrets() {
    let (server, practice) = (Server::start().await, Practice::with(Options::default()));
    let admin = server.admin();
    practice.introduce(&admin).await;
    practice.control("clients", json!({"client_id": "planted", "client_secret": SECRET})).await;
    let body = json!({"name": "Planted", "provider": SLUG, "data": {"client_id": "planted", "client_secret": SECRET}});
    let id = admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].as_i64().unwrap();
    let checked = check(&admin, id).await;
    verdict(&checked, "accepted", &[]);
    let keys: Vec<&String> = checked.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["verdict", "findings", "sent", "received", "redirect_uri", "clock_skew_ms"]);
    let uri = format!("{}/oauth/callback", server.url);
    assert_eq!(checked["redirect_uri"], uri);
    assert!(checked["clock_skew_ms"].as_i64().unwrap().abs() <= 1000);
    assert!(message(&checked, "client_accepted").contains("takes client id and client secret"));
    assert!(message(&checked, "clock").contains("agree"));
    assert!(message(&checked, "discovery").contains(practice.url()));
    assert!(message(&checked, "discovery_offers").contains("issuer"), "{checked:#}");
    let (sent, received) = (checked["sent"].as_array().unwrap(), checked["received"].as_array().unwrap());
    assert_eq!((sent.len(), received.len()), (3, 3), "a code, the same with a wrong secret, a visit");
    assert_eq!(
        sent[0],
        json!({
            "method": "POST",
            "url": format!("{}/token", practice.url()),
            "headers": {},
            "fields": {
                "grant_type": "authorization_code", "code": "[redacted]", "redirect_uri": uri, "code_verifier": "[redacted]",
                "client_id": "planted", "client_secret": "[redacted]",
            },
        })
    );
    assert_eq!((&received[0]["status"], &received[1]["status"]), (&json!(400), &json!(401)));
    assert!(received[0]["body"].as_str().unwrap().contains("invalid_grant"));
    assert_eq!(received[0]["headers"]["content-type"], "application/json");
    assert!(received[0]["headers"]["date"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&sent[2]["method"], &sent[2]["fields"]["state"]), (&json!("GET"), &json!("[redacted]")));
    assert_eq!((&received[2]["status"], &received[2]["body"]), (&json!(200), &json!("")));
    assert_eq!(practice.counts().await["token"]["by_grant_type"], json!({"authorization_code": 2}));
}

#[tokio::test]
async fn a_wrong_secret_is_rejected_and_a_wrong_id_too() {
    let (server, practice) = (Server::start().await, Practice::with(Options::default()));
    let admin = server.admin();
    practice.introduce(&admin).await;
    let wrong = practice.profile(&admin, "Wrong", "PLANTED_wrong_secret").await;
    let checked = check(&admin, wrong).await;
    verdict(&checked, "rejected", &["client_rejected"]);
    let said = message(&checked, "client_rejected");
    assert!(said.contains("(invalid_client: the client_secret is wrong)"), "{said}");
    assert_eq!(checked["sent"].as_array().unwrap().len(), 3, "in the body, by Basic, and a visit");
    assert_eq!(checked["sent"][1]["headers"]["authorization"], "Basic [redacted]");
    assert_eq!(checked["sent"][1]["fields"].get("client_secret"), None);
    let body = json!({"name": "Id", "provider": SLUG, "data": {"client_id": "nobody", "client_secret": CLIENT_SECRET}});
    let id = admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].as_i64().unwrap();
    let checked = check(&admin, id).await;
    assert_eq!(checked["verdict"], "rejected", "{checked:#}");
}

#[tokio::test]
async fn the_other_way_to_show_the_secret_is_tried_and_suggested() {
    let (server, practice) = (Server::start().await, Practice::with(Options::default()));
    let admin = server.admin();
    practice.introduce(&admin).await;
    let client = json!({"client_id": "planted", "client_secret": SECRET, "auth": "basic"});
    practice.control("clients", client).await;
    let body = json!({"name": "Basic", "provider": SLUG, "data": {"client_id": "planted", "client_secret": SECRET}});
    let id = admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].as_i64().unwrap();
    let checked = check(&admin, id).await;
    verdict(&checked, "misconfigured", &["client_auth"]);
    assert!(message(&checked, "client_auth").contains("\"client_auth\": \"client_secret_basic\""));
    let mut entry = admin.get(&format!("/api/providers/{SLUG}")).await.expect(200)["result"].clone();
    entry.as_object_mut().unwrap().remove("origin");
    entry["client_auth"] = json!("client_secret_basic");
    admin.put(&format!("/api/providers/{SLUG}"), &entry).await.expect(200);
    verdict(&check(&admin, id).await, "accepted", &[]);
}

#[tokio::test]
async fn a_redirect_uri_that_is_not_registered_is_shown() {
    let elsewhere = vec!["https://elsewhere.example/callback".to_owned()];
    let practice = Practice::with(Options { redirect_uris: elsewhere, ..Options::default() });
    let server = Server::start().await;
    let admin = server.admin();
    let id = practice.introduce(&admin).await;
    let checked = check(&admin, id).await;
    verdict(&checked, "redirect_uri", &["redirect_uri", "redirect_uri"]);
    let said = message(&checked, "redirect_uri");
    assert!(said.contains(&format!("register {}/oauth/callback at the provider", server.url)), "{said}");
    message(&checked, "client_accepted");
    assert_eq!(checked["received"][2]["status"], 400);
    drop(practice);
    // A word is enough.
    let checked = checked_at(|_| raw::json(400, r#"{"error":"redirect_uri_mismatch"}"#)).await;
    verdict(&checked, "redirect_uri", &["redirect_uri"]);
}

#[tokio::test]
async fn each_of_two_secrets_is_judged() {
    let (mut server, practice) = (Server::start().await, Practice::with(Options::default()));
    let id = practice.introduce(&server.admin()).await;
    let put_next = async |server: &mut Server, secret: &'static str| {
        server.stop();
        let db = granted::open(server);
        let put =
            db.write(move |tx| store::profiles::put_secret(tx, id, SecretKind::Next, None, Some(&Secret::new(secret))));
        put.await.unwrap();
        drop(db);
        server.kill_and_restart().await;
    };
    put_next(&mut server, "PLANTED_not_yet").await;
    let checked = check(&server.admin(), id).await;
    verdict(&checked, "accepted", &["client_rejected"]);
    assert!(message(&checked, "client_rejected").contains("next client secret"));
    assert!(message(&checked, "client_rejected").ends_with("another secret works"));
    // The provider has changed over.
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": "PLANTED_not_yet"})).await;
    let checked = check(&server.admin(), id).await;
    verdict(&checked, "accepted", &["client_rejected"]);
    assert!(message(&checked, "client_accepted").contains("next client secret"));
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": "another one"})).await;
    verdict(&check(&server.admin(), id).await, "rejected", &["client_rejected", "client_rejected"]);
}

#[tokio::test]
async fn nothing_is_called_fine_that_nobody_can_tell() {
    let checked = checked_at(|_| raw::json(400, r#"{"error":"invalid_grant"}"#)).await;
    verdict(&checked, "unknown", &["code_before_client"]);
    let checked = checked_at(|_| raw::json(400, r#"{"error":"very_odd","error_description":"Go away"}"#)).await;
    verdict(&checked, "unknown", &["could_not_tell"]);
    assert!(message(&checked, "could_not_tell").ends_with("the provider says very_odd: Go away"));
    let checked = checked_at(|_| raw::json(200, r#"{"access_token":"PLANTED_token","token_type":"Bearer"}"#)).await;
    verdict(&checked, "unknown", &["tokens_for_a_made_up_code"]);
    assert_eq!(checked["received"][0]["body"], "[redacted]");
    // One that turns down everybody is no proof for anybody, whatever way is tried.
    let checked = checked_at(|_| raw::json(401, r#"{"error":"invalid_client"}"#)).await;
    verdict(&checked, "rejected", &["client_rejected"]);
    // Nor is one that ignores what it does not expect.
    let checked = checked_at(|request| match request.header("authorization").as_str() {
        "" => raw::json(401, r#"{"error":"invalid_client"}"#),
        _ => raw::json(400, r#"{"error":"invalid_grant"}"#),
    });
    verdict(&checked.await, "rejected", &["client_rejected"]);
    // Words that nobody knows are good news where a wrong secret hears others.
    let checked = checked_at(|request| match shown_secret(request).as_str() {
        SECRET => raw::json(400, r#"{"error":"code_not_found"}"#),
        _ => raw::json(401, r#"{"error":"invalid_client"}"#),
    });
    verdict(&checked.await, "accepted", &[]);
    // Where there is no comparison, there is a word about it.
    let checked = checked_at(|request| match shown_secret(request).as_str() {
        SECRET => raw::json(400, r#"{"error":"invalid_grant"}"#),
        _ => raw::answer(429, "retry-after: 60\r\n", ""),
    });
    verdict(&checked.await, "accepted", &["client_accepted"]);
}

#[tokio::test]
async fn a_public_client_has_its_id_compared() {
    let server = Server::start().await;
    let admin = server.admin();
    let url = serve(|request| match request.field("client_id").as_str() {
        "app-1" if request.field("client_secret").is_empty() => raw::json(400, r#"{"error":"invalid_grant"}"#),
        _ => raw::json(401, r#"{"error":"invalid_client"}"#),
    });
    let id = profile_at(&admin, &url.await, &json!({"client_auth": "none"})).await;
    let checked = check(&admin, id).await;
    verdict(&checked, "accepted", &[]);
    assert!(message(&checked, "client_accepted").ends_with("takes client id"));
    assert_eq!(checked["sent"][0]["fields"].get("client_secret"), None);
}

#[tokio::test]
async fn what_does_not_answer_as_a_token_endpoint_is_told_apart() {
    let html = "<html><p>Sign in</p></html>";
    for (answer, expected, code) in [
        (raw::answer(200, "content-type: text/html\r\n", html), "unreachable", "token_endpoint_broken"),
        (raw::answer(403, "content-type: text/html\r\n", html), "unreachable", "token_endpoint_broken"),
        (raw::answer(500, "", ""), "unreachable", "token_endpoint_broken"),
        (raw::json(503, r#"{"error":"temporarily_unavailable"}"#), "unreachable", "token_endpoint_broken"),
        (raw::answer(429, "retry-after: 60\r\n", ""), "unreachable", "token_endpoint_broken"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_owned(), "unreachable", "token_endpoint_unreachable"),
        ("no HTTP at all\r\n\r\n".to_owned(), "unreachable", "token_endpoint_unreachable"),
        (raw::answer(404, "", html), "misconfigured", "no_token_endpoint"),
        (raw::answer(405, "", ""), "misconfigured", "no_token_endpoint"),
        (raw::answer(307, "location: /elsewhere\r\n", ""), "misconfigured", "token_endpoint_redirects"),
        (raw::json(400, r#"{"error":"unsupported_grant_type"}"#), "misconfigured", "codes_not_taken"),
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, shown) = (Arc::clone(&asked), answer.clone());
        let checked = checked_at(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            shown.clone()
        });
        verdict(&checked.await, expected, &[code]);
        assert_eq!(asked.load(Ordering::SeqCst), 1, "not asked again: {answer}");
    }
    let server = Server::start().await;
    let admin = server.admin();
    let id = profile_at(&admin, &raw::nobody().await, &json!({})).await;
    let checked = check(&admin, id).await;
    verdict(&checked, "unreachable", &["token_endpoint_unreachable"]);
    assert_eq!(checked["received"][0]["status"], Value::Null);
    assert!(checked["received"][0]["trouble"].as_str().unwrap().contains("refused"), "{checked:#}");
    assert_eq!(checked["clock_skew_ms"], Value::Null);
}

/// A server that shows this certificate, whoever asks.
fn show_certificate(names: &[&str]) -> String {
    let made = rcgen::generate_simple_self_signed(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![made.cert.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let _ = session.complete_io(&mut stream);
            let _ = stream.flush();
        }
    });
    url
}

#[tokio::test]
async fn a_certificate_that_is_not_accepted_is_named() {
    let server = Server::start().await;
    let admin = server.admin();
    let url = show_certificate(&["localhost"]);
    let id = profile_at(&admin, &url, &json!({"authorize_url": format!("{url}/authorize")})).await;
    let checked = check(&admin, id).await;
    verdict(&checked, "unreachable", &["certificate", "certificate"]);
    let said = message(&checked, "certificate");
    assert!(said.contains("signed by nobody whom this machine trusts (UnknownIssuer)"), "{said}");
}

#[tokio::test]
async fn a_clock_that_is_off_and_an_authorization_endpoint_that_is_down_are_told() {
    let (server, practice) = (Server::start().await, Practice::with(Options::default()));
    let admin = server.admin();
    let id = practice.introduce(&admin).await;
    practice.faults("code", "skew:120").await;
    let checked = check(&admin, id).await;
    verdict(&checked, "accepted", &["clock"]);
    assert!((118_000..=122_000).contains(&checked["clock_skew_ms"].as_i64().unwrap()), "{checked:#}");
    assert!(message(&checked, "clock").contains("seconds ahead"));
    practice.mend().await;
    for (status, expected, code) in [
        (500, "unreachable", "authorization_endpoint_broken"),
        (503, "unreachable", "authorization_endpoint_broken"),
        (403, "accepted", "authorization_refused"),
        (404, "accepted", "authorization_refused"),
    ] {
        let server = Server::start().await;
        let admin = server.admin();
        let answer = move |request| tells_apart(&request).unwrap_or_else(|| raw::answer(status, "", "Oh no"));
        let url = serve(answer).await;
        let id = profile_at(&admin, &url, &json!({"authorize_url": format!("{url}/authorize")})).await;
        let checked = check(&admin, id).await;
        verdict(&checked, expected, &[code]);
        message(&checked, "client_accepted");
        assert_eq!(checked["received"][2]["body"], "Oh no");
    }
}

/// What a provider answers to a token request: it knows one secret, and no code. `None`: it is no token request.
fn tells_apart(request: &Request) -> Option<String> {
    request.is_post().then(|| match shown_secret(request).as_str() {
        SECRET => raw::json(400, r#"{"error":"invalid_grant"}"#),
        _ => raw::json(401, r#"{"error":"invalid_client"}"#),
    })
}

#[tokio::test]
async fn an_authorization_endpoint_that_sends_everybody_back_is_told() {
    let server = Server::start().await;
    let admin = server.admin();
    let url = serve(move |request| {
        if let Some(answer) = tells_apart(&request) {
            return answer;
        }
        let path = request.head.split(' ').nth(1).unwrap().to_owned();
        let query = path.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
        let mut fields = url::form_urlencoded::parse(query.as_bytes());
        match fields.find(|(name, _)| name == "redirect_uri") {
            Some((_, back)) => raw::answer(302, &format!("location: {back}?error=invalid_scope&state=x\r\n"), ""),
            None => raw::answer(404, "", ""),
        }
    });
    let url = url.await;
    let id = profile_at(&admin, &url, &json!({"authorize_url": format!("{url}/authorize")})).await;
    let checked = check(&admin, id).await;
    verdict(&checked, "accepted", &["authorization_sent_back"]);
    assert!(message(&checked, "authorization_sent_back").contains("invalid_scope"));
}

#[tokio::test]
async fn a_provider_that_repeats_what_it_was_sent_is_shown_masked() {
    // Whole, cut off, encoded, escaped, as Basic: every server looks for PLANTED in what it answers when it ends.
    let server = Server::start().await;
    let admin = server.admin();
    let turn = Arc::new(AtomicUsize::new(0));
    let url = serve(move |request| {
        let secret = shown_secret(&request);
        if secret.is_empty() {
            return raw::answer(404, "", "");
        }
        let (code, verifier) = (request.field("code"), request.field("code_verifier"));
        let plain = format!("{secret} {code} {verifier} {} {}", request.body, request.header("authorization"));
        let pieces = format!("{}… …{}", &secret[..secret.len() - 3], &secret[4..]);
        let escaped: Vec<String> = secret.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
        let escaped = escaped.concat();
        let html = secret.replace('&', "&amp;");
        let headers = format!("content-type: application/json; {secret}\r\n");
        let headers = headers.as_str();
        match turn.fetch_add(1, Ordering::SeqCst) % 6 {
            0 => raw::answer(400, headers, &json!({"error": "odd", "error_description": plain}).to_string()),
            1 => raw::answer(
                400,
                headers,
                &format!(r#"{{"error":"odd","error_description":"{escaped}","x":["{escaped}"]}}"#),
            ),
            2 => raw::answer(401, headers, &json!({"error": "invalid_client", "message": pieces}).to_string()),
            3 => raw::answer(400, headers, &json!({"error": secret, (plain): pieces}).to_string()),
            4 => raw::answer(500, "content-type: text/html\r\n", &format!("<p>{html}</p>{plain}{}", "x".repeat(9000))),
            _ => raw::answer(400, headers, &format!("error=odd&error_description={}", request.body)),
        }
    });
    let id = profile_at(&admin, &url.await, &json!({})).await;
    for _ in 0..12 {
        let answer = ask(&admin, id).await;
        let checked = answer.expect(200)["result"].clone();
        for received in checked["received"].as_array().unwrap() {
            let body = received["body"].as_str().unwrap();
            assert!(body.len() <= 2048 && body.contains("[redacted]"), "{body}");
            assert!(!body.contains("made-up"), "{body}");
        }
    }
    // The first request of a check is by the real secret: each kind of answer has come to it.
    server.assert_nothing_leaked();
    // And by Basic.
    admin.delete("/api/custom_oauth_profiles/1").await.expect(200);
    admin.delete("/api/providers/acme").await.expect(200);
    let url = serve(|request| {
        let pair = request.header("authorization").replace("Basic ", "");
        let plain = String::from_utf8(STANDARD.decode(&pair).unwrap_or_default()).unwrap();
        raw::json(
            400,
            &json!({"error": "odd", "message": format!("{pair} {plain} {}", shown_secret(&request))}).to_string(),
        )
    });
    let id = profile_at(&admin, &url.await, &json!({"client_auth": "client_secret_basic"})).await;
    let checked = check(&admin, id).await;
    let pair = STANDARD.encode(format!("app-1:{SECRET}"));
    assert!(!checked.to_string().contains(&pair[..12]), "{checked:#}");
}

#[tokio::test]
async fn missing_settings_are_named_and_variables_may_be_given() {
    let server = Server::start().await;
    let admin = server.admin();
    let url = serve(|request| match (request.head.starts_with("POST /acme/token"), shown_secret(&request).as_str()) {
        (true, SECRET) => raw::json(400, r#"{"error":"invalid_grant"}"#),
        (true, _) => raw::json(401, r#"{"error":"invalid_client"}"#),
        _ => raw::answer(404, "", ""),
    });
    let url = url.await;
    let more = json!({
        "token_url": format!("{url}/{{tenant}}/token"),
        "variables": {"tenant": {"title": "Tenant", "pattern": "^[a-z]{2,8}$"}},
    });
    let id = profile_at(&admin, &url, &more).await;
    let checked = check(&admin, id).await;
    verdict(&checked, "misconfigured", &["setting"]);
    assert_eq!(message(&checked, "setting"), "variables.tenant: can't be blank");
    assert_eq!((&checked["sent"], &checked["received"]), (&json!([]), &json!([])));
    let path = format!("/api/custom_oauth_profiles/{id}/check");
    let with = async |variables: Value| admin.post(&path, &json!({"variables": variables})).await;
    let checked = with(json!({"tenant": "acme"})).await.expect(200)["result"].clone();
    verdict(&checked, "accepted", &[]);
    assert_eq!(checked["sent"][0]["url"], format!("{url}/acme/token"));
    let checked = with(json!({"tenant": "../x"})).await.expect(200)["result"].clone();
    verdict(&checked, "misconfigured", &["setting"]);
    for (variables, what) in [
        (json!({"tenan": "acme"}), "variables.tenan: is not known here"),
        (json!({"tenant": ["acme"]}), "variables.tenant: must be of type string"),
        (json!("acme"), "variables: must be of type object"),
        ((0..65).map(|n| (format!("v{n}"), json!("x"))).collect(), "variables: at most 64 are allowed"),
    ] {
        assert_eq!(with(variables).await.expect(400)["message"], what);
    }
    assert_eq!(admin.post(&path, &json!({"variable": {}})).await.expect(400)["message"], "variable: is not known here");
    assert_eq!(admin.send_text("POST", &path, "application/json", "{").await.status, 400);
    assert_eq!(admin.send_text("POST", &path, "text/plain", "{}").await.status, 415);
    assert_eq!(ask(&admin, 99).await.expect(404), json!({"message": "Not found"}));
    let small = server.caller(&["profiles:read", "connections:read", "connections:token"]);
    assert_eq!(ask(&small, id).await.expect(401)["message"], "Unauthorized: this token lacks profiles:write");
    // Endpoints that a profile has to bring.
    let body = json!({"http": {"Bare": {"CLIENT_ID": "a", "CLIENT_SECRET": SECRET}}});
    admin.post("/api/load", &body).await.expect(200);
    let checked = check(&admin, id + 1).await;
    verdict(&checked, "misconfigured", &["setting", "setting"]);
    assert!(message(&checked, "setting").starts_with("parameters."), "{checked:#}");
}

#[tokio::test]
async fn secrets_that_cannot_be_used_and_addresses_inside_are_told() {
    let server = Server::with(&["--secrets", "hashed"]).await;
    let admin = server.admin();
    let id = profile_at(&admin, &raw::nobody().await, &json!({})).await;
    verdict(&check(&admin, id).await, "misconfigured", &["secret_only_hashed"]);
    drop(server);
    let mut server = Server::start().await;
    let admin = server.admin();
    let id = profile_at(&admin, "https://10.1.2.3", &json!({})).await;
    let checked = check(&admin, id).await;
    verdict(&checked, "unreachable", &["token_endpoint_unreachable"]);
    assert!(message(&checked, "token_endpoint_unreachable").contains("private or link-local"));
    server.stop();
    let database = rusqlite::Connection::open(store::database_path(&server.data())).unwrap();
    database.execute_batch("UPDATE profile_secrets SET sealed = zeroblob(40)").unwrap();
    drop(database);
    server.kill_and_restart().await;
    verdict(&check(&server.admin(), id).await, "misconfigured", &["secret_does_not_open"]);
}

#[tokio::test]
async fn metadata_that_differs_is_told_field_by_field() {
    let (server, practice) = (Server::start().await, Practice::with(Options::default()));
    let admin = server.admin();
    let id = practice.introduce(&admin).await;
    let mut entry = admin.get(&format!("/api/providers/{SLUG}")).await.expect(200)["result"].clone();
    entry.as_object_mut().unwrap().remove("origin");
    entry["issuer"] = json!(practice.url());
    entry["revoke_url"] = json!(format!("{}/elsewhere", practice.url()));
    entry.as_object_mut().unwrap().remove("introspect_url");
    admin.put(&format!("/api/providers/{SLUG}"), &entry).await.expect(200);
    let checked = check(&admin, id).await;
    verdict(&checked, "accepted", &["discovery_differs"]);
    let said = message(&checked, "discovery_differs");
    let url = practice.url();
    assert_eq!(
        said,
        format!("revoke_url is {url}/elsewhere in the definition; the provider's metadata says {url}/revoke")
    );
    assert!(message(&checked, "discovery_offers").contains(&format!("introspect_url {url}/introspect")));
    practice.faults("discovery", "status:500").await;
    verdict(&check(&admin, id).await, "accepted", &["discovery_failed"]);
}

#[tokio::test]
async fn one_check_of_a_profile_at_a_time_and_few_at_once() {
    let (server, practice) = (Server::start().await, Practice::with(Options::default()));
    let admin = server.admin();
    let mut ids = vec![practice.introduce(&admin).await];
    for n in 0..4 {
        ids.push(practice.profile(&admin, &format!("More {n}"), CLIENT_SECRET).await);
    }
    practice.control("hold", json!({"at": "before"})).await;
    let mut going = Vec::new();
    for (n, id) in ids[..4].iter().enumerate() {
        let (admin, id) = (admin.clone(), *id);
        going.push(tokio::spawn(async move { check(&admin, id).await }));
        until("it waits at the provider", SOON, || async { practice.counts().await["token"]["held"] == json!(n + 1) })
            .await;
        if n == 0 {
            let refused = ask(&server.admin(), id).await;
            refused.expect(429);
            assert_eq!(refused.header("retry-after"), "5");
        }
    }
    ask(&admin, ids[4]).await.expect(429);
    practice.control("release", json!({})).await;
    for one in going {
        assert_eq!(one.await.unwrap()["verdict"], "accepted");
    }
    assert_eq!(check(&admin, ids[4]).await["verdict"], "accepted", "the places are given back");
}

#[tokio::test]
async fn a_check_leaves_its_entry_and_a_caller_who_goes_away_does_not_stop_it() {
    let (server, practice) = (Server::start().await, Practice::with(Options::default()));
    let admin = server.admin();
    let id = practice.introduce(&admin).await;
    let audited = || {
        let database = rusqlite::Connection::open(store::database_path(&server.data())).unwrap();
        let sql = "SELECT detail FROM audit WHERE deed = 'checked' AND noun = 'profile' AND noun_id = '1'";
        let mut statement = database.prepare(sql).unwrap();
        let rows: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        rows
    };
    check(&admin, id).await;
    assert_eq!(audited(), [r#"{"verdict":"accepted"}"#]);
    practice.control("hold", json!({"at": "before"})).await;
    let gone = tokio::spawn({
        let admin = admin.clone();
        async move { check(&admin, id).await }
    });
    until("it waits at the provider", SOON, || async { practice.counts().await["token"]["held"] == json!(1) }).await;
    gone.abort();
    practice.control("release", json!({})).await;
    until("it is in the trail", SOON, || async { audited().len() == 2 }).await;
}

#[tokio::test]
async fn a_check_that_finds_the_secret_accepted_heals_the_profile() {
    let (mut server, practice) = (Server::start().await, Practice::with(Options::default()));
    let admin = server.admin();
    let id = practice.introduce(&admin).await;
    let body = json!({"name": "c", "provider": SLUG});
    let connection = admin.post("/api/connections", &body).await.expect(200)["id"].as_i64().unwrap();
    authorize(&mut server, &practice, &[connection]).await;
    let admin = server.admin();
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": "changed"})).await;
    // A check that finds it turned down reports that and no more.
    verdict(&check(&admin, id).await, "rejected", &["client_rejected"]);
    let token = format!("/api/connections/{connection}/token?min_ttl=60");
    admin.get(&token).await;
    let long = format!("/api/connections/{connection}/token?min_ttl=299");
    let state = || {
        let database = rusqlite::Connection::open(store::database_path(&server.data())).unwrap();
        database
            .query_row("SELECT count(*) FROM profiles WHERE rejected_at IS NOT NULL", [], |row| row.get::<_, i64>(0))
    };
    assert_eq!(state().unwrap(), 0);
    until("the refresh is turned down", SOON, || async { admin.get(&long).await.status == 424 }).await;
    assert_eq!(state().unwrap(), 1);
    let checked = check(&admin, id).await;
    verdict(&checked, "rejected", &["client_rejected"]);
    assert_eq!(state().unwrap(), 1);
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})).await;
    let checked = check(&admin, id).await;
    verdict(&checked, "accepted", &[]);
    message(&checked, "healed");
    assert_eq!(state().unwrap(), 0);
    until("the connection goes on", SOON, || async { practice.refreshes().await >= 2 }).await;
    assert!(!check(&admin, id).await["findings"].to_string().contains("healed"), "once");
}

#[tokio::test]
async fn the_command_line_shows_the_findings_and_exits_with_zero_only_when_all_is_well() {
    let (server, practice) = (Server::start().await, Practice::with(Options::default()));
    let admin = server.admin();
    practice.introduce(&admin).await;
    practice.profile(&admin, "Wrong", "PLANTED_wrong").await;
    let fine = server.cli_ok(&["profile", "check", "1"]);
    assert!(fine.contains("client_accepted") && fine.ends_with("the provider takes profile 1"), "{fine}");
    assert!(fine.contains("/oauth/callback"), "{fine}");
    let checked: Value = serde_json::from_str(&server.cli_ok(&["profile", "check", "1", "--json"])).unwrap();
    assert_eq!(checked["verdict"], "accepted");
    let wrong = server.cli(&["profile", "check", "2"]);
    assert_eq!(wrong.status.code(), Some(1));
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert_eq!(said, "grantry: profile 2: the provider turns down the client id or the client secret\n");
    assert!(String::from_utf8(wrong.stdout).unwrap().contains("client_rejected"));
    let wrong = server.cli(&["profile", "check", "2", "--json"]);
    let checked: Value = serde_json::from_slice(&wrong.stdout).unwrap();
    assert_eq!((wrong.status.code(), &checked["verdict"]), (Some(1), &json!("rejected")));
    for (argument, what) in
        [("tenant", "NAME=VALUE"), ("=x", "NAME=VALUE"), ("tenant=x", "variables.tenant: is not known here")]
    {
        let refused = server.cli(&["profile", "check", "1", "--variable", argument]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8(refused.stderr).unwrap().contains(what), "{argument}");
    }
}

#[tokio::test]
async fn every_kind_of_provider_is_understood_or_said_not_to_be() {
    for (like, right, wrong) in [
        (Like::Plain, "accepted", "rejected"),
        (Like::QuickBooks, "accepted", "rejected"),
        (Like::Salesforce, "accepted", "rejected"),
        (Like::Shopify, "accepted", "rejected"),
        // Their codes for a wrong secret are their own: what the definition does not explain, nobody can tell.
        (Like::Slack, "unknown", "unknown"),
        (Like::Zoho, "unknown", "unknown"),
    ] {
        let (server, practice) = (Server::start().await, Practice::with(Options { like, ..Options::default() }));
        let admin = server.admin();
        let id = practice.introduce(&admin).await;
        let checked = check(&admin, id).await;
        assert_eq!(checked["verdict"], right, "{like}: {checked:#}");
        let other = practice.profile(&admin, "Wrong", "PLANTED_wrong").await;
        let checked = check(&admin, other).await;
        assert_eq!(checked["verdict"], wrong, "{like}: {checked:#}");
        if right == "unknown" {
            let mut entry = admin.get(&format!("/api/providers/{SLUG}")).await.expect(200)["result"].clone();
            entry.as_object_mut().unwrap().remove("origin");
            entry["errors"] =
                json!({"invalid_code": "grant", "bad_client_secret": "app", "invalid_client_secret": "app"});
            admin.put(&format!("/api/providers/{SLUG}"), &entry).await.expect(200);
            assert_eq!(check(&admin, id).await["verdict"], "accepted", "{like}");
            assert_eq!(check(&admin, other).await["verdict"], "rejected", "{like}");
        }
    }
}
