//! The practice provider is as strict, as odd and as broken as it is told to be.

mod command;
mod faults;
mod like;
mod played;
mod rules;
mod transport;

use std::{
    io::Write as _,
    net::TcpStream,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use grantry::simulator::{CLIENT_ID, CLIENT_SECRET, Like, Options, Rotation, Simulator};
use reqwest::{Response, redirect::Policy};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const VERIFIER: &str = "a-proof-key-of-at-least-forty-three-characters";
const CALLBACK: &str = "http://127.0.0.1:7777/callback";
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A simulator, and somebody who speaks to it.
struct Practice {
    simulator: Simulator,
    http: reqwest::Client,
    like: Like,
}

/// Status and JSON of an answer.
type Answered = (u16, Value);

async fn json_of(answer: Response) -> Answered {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

impl Practice {
    fn with(options: Options) -> Self {
        let like = options.like;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            // What hangs fails the test rather than the run.
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Self { simulator: Simulator::start(options).unwrap(), http, like }
    }

    fn rotating(rotation: Rotation) -> Self {
        Self::with(Options { rotation, ..Options::default() })
    }

    fn like(like: Like) -> Self {
        Self::with(Options { like, ..Options::default() })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.url())
    }

    async fn try_post(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Result<Response> {
        let mut form = form.to_vec();
        let mut request = self.http.post(self.url(path));
        if self.like == Like::QuickBooks {
            request = request.basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
        } else {
            form.extend([("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)]);
        }
        request.form(&form).send().await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answered {
        json_of(self.try_post(path, form).await.unwrap()).await
    }

    async fn control(&self, call: &str, body: Value) -> Value {
        let answer = self.http.post(self.url(&format!("/control/{call}"))).json(&body).send().await.unwrap();
        let (status, body) = json_of(answer).await;
        assert_eq!(status, 200, "{call}: {body}");
        body
    }

    async fn fault(&self, on: &str, fault: &str) {
        self.control("faults", json!({"on": on, "fault": fault})).await;
    }

    async fn state(&self) -> Value {
        json_of(self.http.get(self.url("/control/state")).send().await.unwrap()).await.1
    }

    async fn grant(&self) -> Value {
        self.state().await["grants"][0].clone()
    }

    /// The address of an authorization request that needs no page.
    fn authorize_url(&self, more: &[(&str, &str)]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", CALLBACK),
            ("state", "the state"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("login_hint", "alice"),
            ("auto", "1"),
        ];
        pairs.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        pairs.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.url(&format!("/authorize?{query}"))
    }

    /// What the way back from an authorization brings.
    async fn authorized(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let answer = self.http.get(self.authorize_url(more)).send().await.unwrap();
        back(&answer)
    }

    async fn code(&self, more: &[(&str, &str)]) -> String {
        value(&self.authorized(more).await, "code")
    }

    async fn redeem(&self, code: &str) -> Answered {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("expiring", "1"),
        ];
        self.post("/token", &form).await
    }

    /// The tokens of a new grant.
    async fn tokens(&self) -> Value {
        let (status, tokens) = self.redeem(&self.code(&[]).await).await;
        assert_eq!(status, 200, "{tokens}");
        tokens
    }

    async fn refresh(&self, token: &str) -> Answered {
        self.post("/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    async fn refreshed(&self, token: &str) -> Value {
        let (status, tokens) = self.refresh(token).await;
        assert_eq!(status, 200, "{tokens}");
        tokens
    }

    async fn userinfo(&self, token: &Value) -> Answered {
        let request = self.http.get(self.url("/userinfo")).bearer_auth(text(token));
        json_of(request.send().await.unwrap()).await
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn back(answer: &Response) -> Vec<(String, String)> {
    let location = answer.headers()["location"].to_str().unwrap();
    assert!(location.starts_with(CALLBACK), "{location}");
    url::Url::parse(location).unwrap().query_pairs().into_owned().collect()
}

fn value(pairs: &[(String, String)], name: &str) -> String {
    pairs.iter().find(|(other, _)| other == name).unwrap_or_else(|| panic!("{name} in {pairs:?}")).1.clone()
}

fn refused(answered: &Answered, status: u16, error: &str) {
    assert_eq!((answered.0, &answered.1["error"]), (status, &json!(error)), "{}", answered.1);
}

#[tokio::test]
async fn a_code_becomes_tokens_that_work() {
    let practice = Practice::rotating(Rotation::None);
    let way_back = practice.authorized(&[("scope", "read write")]).await;
    assert_eq!(value(&way_back, "state"), "the state");
    assert_eq!(value(&way_back, "iss"), practice.simulator.url());
    let (status, tokens) = practice.redeem(&value(&way_back, "code")).await;
    assert_eq!(status, 200, "{tokens}");
    assert!(text(&tokens["access_token"]).starts_with("sim_at_"));
    assert!(text(&tokens["refresh_token"]).starts_with("sim_rt_"));
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(300)));
    assert_eq!(tokens["scope"], "read write");
    let (status, info) = practice.userinfo(&tokens["access_token"]).await;
    assert_eq!(
        (status, &info["email"], &info["name"]),
        (200, &json!("alice@practice.example"), &json!("Alice Practice"))
    );
    assert_eq!(practice.userinfo(&json!("sim_at_1_0_00")).await.0, 401);
}

#[tokio::test]
async fn without_rotation_the_refresh_token_stays() {
    let practice = Practice::rotating(Rotation::None);
    let tokens = practice.tokens().await;
    for _ in 0..3 {
        assert_eq!(practice.refreshed(text(&tokens["refresh_token"])).await["refresh_token"], tokens["refresh_token"]);
    }
    assert_eq!(practice.grant().await["refreshes"], 3);
}

#[tokio::test]
async fn under_strict_rotation_a_used_token_revokes_the_family() {
    let practice = Practice::rotating(Rotation::Strict);
    let first = practice.tokens().await;
    let second = practice.refreshed(text(&first["refresh_token"])).await;
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    let before = practice.grant().await;
    assert_eq!((&before["alive"], &before["family_revoked"]), (&json!(true), &json!(false)));
    refused(&practice.refresh(text(&first["refresh_token"])).await, 400, "invalid_grant");
    refused(&practice.refresh(text(&second["refresh_token"])).await, 400, "invalid_grant");
    assert_eq!(practice.userinfo(&second["access_token"]).await.0, 401, "every token of the grant");
    let after = practice.grant().await;
    assert_eq!(
        (&after["alive"], &after["family_revoked"], &after["ended"]),
        (&json!(false), &json!(true), &json!("reuse"))
    );
    assert_eq!((&after["refreshes"], &after["current_refresh_fingerprint"]), (&json!(1), &Value::Null));
}

#[tokio::test]
async fn within_its_grace_a_used_token_gives_tokens_that_work() {
    let practice = Practice::rotating(Rotation::Grace(3600));
    let first = practice.tokens().await;
    let second = practice.refreshed(text(&first["refresh_token"])).await;
    let third = practice.refreshed(text(&first["refresh_token"])).await;
    for tokens in [&second, &third] {
        assert_eq!(practice.userinfo(&tokens["access_token"]).await.0, 200);
        practice.refreshed(text(&tokens["refresh_token"])).await;
    }
    assert_eq!(practice.grant().await["family_revoked"], false);
    // No grace at all is strict.
    let practice = Practice::rotating(Rotation::Grace(0));
    let first = practice.tokens().await;
    practice.refreshed(text(&first["refresh_token"])).await;
    refused(&practice.refresh(text(&first["refresh_token"])).await, 400, "invalid_grant");
    assert_eq!(practice.grant().await["family_revoked"], true);
}

#[tokio::test]
async fn a_retry_safe_token_lasts_until_what_came_of_it_is_used() {
    for by_refresh in [true, false] {
        let practice = Practice::rotating(Rotation::RetrySafe);
        let first = practice.tokens().await;
        practice.refreshed(text(&first["refresh_token"])).await;
        let second = practice.refreshed(text(&first["refresh_token"])).await;
        if by_refresh {
            practice.refreshed(text(&second["refresh_token"])).await;
        } else {
            assert_eq!(practice.userinfo(&second["access_token"]).await.0, 200);
        }
        refused(&practice.refresh(text(&first["refresh_token"])).await, 400, "invalid_grant");
        let grant = practice.grant().await;
        assert_eq!((&grant["alive"], &grant["family_revoked"]), (&json!(true), &json!(false)));
        practice.refreshed(text(&second["refresh_token"])).await;
    }
}

#[tokio::test]
async fn the_client_is_looked_at_first_and_then_the_code() {
    let practice = Practice::rotating(Rotation::None);
    let made_up = [("grant_type", "authorization_code"), ("code", "made-up"), ("redirect_uri", CALLBACK)];
    refused(&practice.post("/token", &made_up).await, 400, "invalid_grant");
    let send = async |secret: &str| {
        let request = practice.http.post(practice.url("/token")).basic_auth(CLIENT_ID, Some(secret));
        request.form(&made_up).send().await.unwrap()
    };
    refused(&json_of(send(CLIENT_SECRET).await).await, 400, "invalid_grant");
    let wrong = send("wrong").await;
    assert!(wrong.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    refused(&json_of(wrong).await, 401, "invalid_client");
    let in_body = [("client_id", CLIENT_ID), ("client_secret", "wrong")];
    let wrong = practice.http.post(practice.url("/token")).form(&[&made_up[..], &in_body[..]].concat());
    let wrong = wrong.send().await.unwrap();
    assert!(!wrong.headers().contains_key("www-authenticate"));
    refused(&json_of(wrong).await, 401, "invalid_client");
    let json = json!({"grant_type": "authorization_code", "code": "made-up", "redirect_uri": CALLBACK,
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET});
    let json = practice.http.post(practice.url("/token")).json(&json).send().await.unwrap();
    refused(&json_of(json).await, 400, "invalid_grant");
    refused(&practice.post("/token", &[("grant_type", "password")]).await, 400, "unsupported_grant_type");
    refused(&practice.post("/token", &[("a", "1"), ("a", "2")]).await, 400, "invalid_request");
}

#[tokio::test]
async fn a_code_needs_its_redirect_uri_and_its_proof_key() {
    let practice = Practice::rotating(Rotation::None);
    let code = practice.code(&[]).await;
    let redeem = async |uri: &str, verifier: &str| {
        let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", uri)];
        practice.post("/token", &[&form[..], &[("code_verifier", verifier)]].concat()).await
    };
    let other = redeem("http://127.0.0.1:7777/other", VERIFIER).await;
    refused(&other, 400, "invalid_grant");
    assert!(text(&other.1["error_description"]).contains("redirect_uri"), "{}", other.1);
    refused(&redeem("https://evil.example/", VERIFIER).await, 400, "invalid_grant");
    let wrong = redeem(CALLBACK, "another-proof-key-of-more-than-forty-three-characters").await;
    refused(&wrong, 400, "invalid_grant");
    assert!(text(&wrong.1["error_description"]).contains("code_verifier"), "{}", wrong.1);
    refused(&redeem(CALLBACK, "").await, 400, "invalid_grant");
    refused(&redeem(CALLBACK, "too-short").await, 400, "invalid_request");
    assert_eq!(redeem(CALLBACK, VERIFIER).await.0, 200);
    // A verifier for a request that had no challenge is a request that was tampered with.
    let bare = practice.code(&[("code_challenge", ""), ("code_challenge_method", "")]).await;
    refused(&practice.redeem(&bare).await, 400, "invalid_grant");
    let plain = practice.authorized(&[("code_challenge_method", "plain")]).await;
    assert_eq!(value(&plain, "error"), "invalid_request");
}

#[tokio::test]
async fn a_code_that_comes_twice_revokes_its_grant() {
    let practice = Practice::rotating(Rotation::None);
    let code = practice.code(&[]).await;
    let tokens = practice.redeem(&code).await.1;
    refused(&practice.redeem(&code).await, 400, "invalid_grant");
    assert_eq!(practice.userinfo(&tokens["access_token"]).await.0, 401);
    refused(&practice.refresh(text(&tokens["refresh_token"])).await, 400, "invalid_grant");
    assert_eq!(practice.grant().await["ended"], "code_reused");
}

#[tokio::test]
async fn a_device_is_connected_by_its_code() {
    let practice = Practice::with(Options { device_interval_s: 3600, ..Options::default() });
    let (status, asked) = practice.post("/device_authorization", &[("scope", "read")]).await;
    assert_eq!((status, &asked["interval"], &asked["expires_in"]), (200, &json!(3600), &json!(600)));
    assert_eq!(asked["verification_uri"], practice.url("/device"));
    let poll = async |device: &Value| {
        practice.post("/token", &[("grant_type", DEVICE_CODE), ("device_code", text(device))]).await
    };
    refused(&poll(&asked["device_code"]).await, 400, "authorization_pending");
    refused(&poll(&asked["device_code"]).await, 400, "slow_down");
    refused(&poll(&json!("sim_dc_0_0_00")).await, 400, "invalid_grant");
    let code = text(&asked["user_code"]);
    let page = practice.http.get(practice.url("/device")).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("name=\"user_code\""));
    let page = practice.http.get(text(&asked["verification_uri_complete"])).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains(code) && page.contains("id=\"approve\"") && page.contains("id=\"deny\""), "{page}");
    let decide = async |code: &str, decision: &str| {
        let form = [("user_code", code), ("account", "bob@practice.example"), ("decision", decision)];
        practice.http.post(practice.url("/device")).form(&form).send().await.unwrap().status().as_u16()
    };
    assert_eq!(decide("XXXX-XXXX", "approve").await, 404);
    assert_eq!(decide(code, "perhaps").await, 400);
    // As people type it.
    assert_eq!(decide(&code.to_lowercase().replace('-', " "), "approve").await, 200);
    let (status, tokens) = poll(&asked["device_code"]).await;
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(practice.userinfo(&tokens["access_token"]).await.1["email"], "bob@practice.example");
    refused(&poll(&asked["device_code"]).await, 400, "invalid_grant");
    let denied = practice.post("/device_authorization", &[]).await.1;
    assert_eq!(decide(text(&denied["user_code"]), "deny").await, 200);
    refused(&poll(&denied["device_code"]).await, 400, "access_denied");
}

#[tokio::test]
async fn a_client_has_tokens_of_its_own() {
    let practice = Practice::rotating(Rotation::None);
    let (status, tokens) = practice.post("/token", &[("grant_type", "client_credentials"), ("scope", "read")]).await;
    assert_eq!((status, tokens.get("refresh_token"), &tokens["scope"]), (200, None, &json!("read")));
    assert_eq!(practice.userinfo(&tokens["access_token"]).await.1["email"], CLIENT_ID);
    practice.post("/token", &[("grant_type", "client_credentials")]).await;
    assert_eq!(practice.state().await["grants"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn tokens_are_revoked_and_looked_at() {
    let practice = Practice::rotating(Rotation::None);
    let tokens = practice.tokens().await;
    let (access, refresh) = (text(&tokens["access_token"]), text(&tokens["refresh_token"]));
    let look = async |token: &str| practice.post("/introspect", &[("token", token)]).await.1;
    let active = look(access).await;
    assert_eq!((&active["active"], &active["username"]), (&json!(true), &json!("alice@practice.example")));
    let left = active["exp"].as_i64().unwrap() - jiff::Timestamp::now().as_second();
    assert!((290..=300).contains(&left), "{left}");
    assert_eq!(look(refresh).await["active"], true);
    assert_eq!(look("made-up").await, json!({"active": false}));
    assert_eq!(practice.post("/revoke", &[("token", "made-up")]).await.0, 200);
    assert_eq!(practice.post("/revoke", &[("token", access)]).await.0, 200);
    assert_eq!((&look(access).await["active"], &look(refresh).await["active"]), (&json!(false), &json!(true)));
    let more = practice.refreshed(refresh).await;
    assert_eq!(practice.post("/revoke", &[("token", refresh)]).await.0, 200);
    assert_eq!(look(text(&more["access_token"])).await["active"], false);
    refused(&practice.refresh(refresh).await, 400, "invalid_grant");
    assert_eq!(practice.grant().await["ended"], "client");
    // Other people's tokens are nobody's.
    practice.control("clients", json!({"client_id": "other", "client_secret": "another-secret"})).await;
    let tokens = practice.tokens().await;
    let form = [("token", text(&tokens["refresh_token"])), ("client_id", "other"), ("client_secret", "another-secret")];
    let revoke = practice.http.post(practice.url("/revoke")).form(&form).send().await.unwrap();
    assert_eq!(revoke.status(), 200);
    practice.refreshed(text(&tokens["refresh_token"])).await;
}

#[tokio::test]
async fn clients_are_added_and_changed() {
    let practice = Practice::rotating(Rotation::None);
    let tokens = practice.tokens().await;
    let refresh = text(&tokens["refresh_token"]);
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": "changed"})).await;
    refused(&practice.refresh(refresh).await, 401, "invalid_client");
    let mended = json!({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "auth": "basic"});
    practice.control("clients", mended).await;
    refused(&practice.refresh(refresh).await, 401, "invalid_client");
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})).await;
    practice.refreshed(refresh).await;
    // A public client shows no secret, and needs a proof key.
    practice.control("clients", json!({"client_id": "public", "client_secret": null})).await;
    let public = [("client_id", "public")];
    let bare = [("client_id", "public"), ("code_challenge", ""), ("code_challenge_method", "")];
    assert_eq!(value(&practice.authorized(&bare).await, "error"), "invalid_request");
    let code = practice.code(&public).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("client_id", "public"),
    ];
    let answer = practice.http.post(practice.url("/token")).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn nobody_is_sent_to_where_the_client_is_not() {
    let uris = vec!["https://app.example/callback".to_owned()];
    let restricted = Practice::with(Options { redirect_uris: uris, ..Options::default() });
    let open = Practice::rotating(Rotation::None);
    let status = async |practice: &Practice, more: &[(&str, &str)]| {
        let answer = practice.http.get(practice.authorize_url(more)).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.headers().contains_key("location"), answer.text().await.unwrap())
    };
    assert_eq!(status(&restricted, &[("redirect_uri", "https://app.example/callback")]).await.0, 303);
    let (refused, moved, page) = status(&restricted, &[]).await;
    assert!(refused == 400 && !moved && page.contains("redirect_uri_mismatch"), "{page}");
    for uri in
        ["https://evil.example/", "http://127.0.0.1.evil.example/", "javascript:alert(1)", "http://localhost/#x", ""]
    {
        let (refused, moved, page) = status(&open, &[("redirect_uri", uri)]).await;
        assert!(refused == 400 && !moved, "{uri}: {page}");
    }
    for uri in ["http://localhost:1/a", "http://[::1]:1/b?c=d", "https://127.0.0.2/"] {
        assert_eq!(status(&open, &[("redirect_uri", uri)]).await.0, 303, "{uri}");
    }
    let (_, _, page) = status(&open, &[("redirect_uri", "https://x/<script>")]).await;
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
    assert_eq!(status(&open, &[("client_id", "nobody")]).await.0, 400);
}

#[tokio::test]
async fn the_consent_page_works_without_script() {
    let practice = Practice::rotating(Rotation::None);
    let url = practice.authorize_url(&[("auto", ""), ("login_hint", "carol"), ("scope", "write <b>")]);
    let answer = practice.http.get(&url).send().await.unwrap();
    assert!(answer.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let page = answer.text().await.unwrap();
    assert!(!page.contains("<script"), "{page}");
    for part in [
        "id=\"approve\"",
        "id=\"deny\"",
        "<code>write</code>",
        "<code>&lt;b&gt;</code>",
        "value=\"alice@practice.example\">",
        "value=\"bob@practice.example\">",
        "value=\"carol@practice.example\" checked>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let action = page.split("action=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    let send = async |form: &[(&str, &str)]| practice.http.post(practice.url(&action)).form(form).send().await.unwrap();
    let denied = send(&[("account", "bob@practice.example"), ("decision", "deny")]).await;
    assert_eq!(value(&back(&denied), "error"), "access_denied");
    for wrong in [&[("decision", "approve")][..], &[("account", "x@evil.example"), ("decision", "approve")], &[]] {
        assert_eq!(send(wrong).await.status(), 400);
    }
    let approved = send(&[("account", "bob@practice.example"), ("decision", "approve")]).await;
    assert_eq!(approved.status(), 303);
    let tokens = practice.redeem(&value(&back(&approved), "code")).await.1;
    assert_eq!(practice.userinfo(&tokens["access_token"]).await.1["email"], "bob@practice.example");
}

#[tokio::test]
async fn the_api_tells_what_reached_it() {
    let practice = Practice::rotating(Rotation::None);
    let tokens = practice.tokens().await;
    let token = text(&tokens["access_token"]);
    let get = async |path: &str| practice.http.get(practice.url(path)).bearer_auth(token).send().await.unwrap();
    let request = practice.http.put(practice.url("/api/v1/things?a=1&b=%20")).bearer_auth(token).header("x-odd", "é");
    let (status, told) = json_of(request.body("x".repeat(100_000)).send().await.unwrap()).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(
        (&told["method"], &told["path"], &told["query"]),
        (&json!("PUT"), &json!("/api/v1/things"), &json!("a=1&b=%20"))
    );
    assert_eq!((&told["body_length"], &told["account"]), (&json!(100_000), &json!("alice@practice.example")));
    assert_eq!(told["headers"]["authorization"], "[redacted]");
    assert!(!told.to_string().contains(token));
    assert_eq!(get("/api").await.status(), 200);
    let bare = practice.http.get(practice.url("/api/x")).send().await.unwrap();
    assert_eq!(bare.status(), 401);
    assert_eq!(bare.headers()["www-authenticate"], "Bearer realm=\"simulator\"");
    let lines = get("/api/stream?chunks=3").await.text().await.unwrap();
    assert_eq!(lines, "{\"chunk\":0}\n{\"chunk\":1}\n{\"chunk\":2}\n");
    let moved = get("/api/redirect?to=https://evil.example/x").await;
    assert_eq!(
        (moved.status().as_u16(), &moved.headers()["location"]),
        (302, &"https://evil.example/x".parse().unwrap())
    );
    assert_eq!(get("/api/redirect").await.status(), 400);
    assert_eq!(get("/api/big?mb=3").await.bytes().await.unwrap().len(), 3_000_000);
    assert_eq!(practice.control("expire", json!({"grant": 1})).await["expired"], 1);
    assert_eq!(get("/api/x").await.status(), 401);
    let more = practice.refreshed(text(&tokens["refresh_token"])).await;
    assert_eq!(practice.control("expire", json!({"grant": null})).await["expired"], 1);
    assert_eq!(practice.userinfo(&more["access_token"]).await.0, 401);
    practice.control("revoke", json!({"grant": 1})).await;
    refused(&practice.refresh(text(&tokens["refresh_token"])).await, 400, "invalid_grant");
    assert_eq!(practice.grant().await["ended"], "owner");
}

#[tokio::test]
async fn an_access_token_lives_as_long_as_is_said() {
    let practice = Practice::with(Options { access_token_life_s: 1, ..Options::default() });
    let tokens = practice.tokens().await;
    assert_eq!(tokens["expires_in"], 1);
    let begun = Instant::now();
    while practice.userinfo(&tokens["access_token"]).await.0 == 200 {
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn metadata_names_what_is_there() {
    let practice = Practice::rotating(Rotation::None);
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let document = json_of(practice.http.get(practice.url(path)).send().await.unwrap()).await.1;
        assert_eq!(document["issuer"], practice.simulator.url());
        assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
        for (name, url) in document.as_object().unwrap().iter().filter(|(name, _)| name.ends_with("_endpoint")) {
            let there = practice.http.get(text(url)).send().await.unwrap().status();
            assert_ne!(there, 404, "{name}");
        }
    }
}

#[tokio::test]
async fn a_state_never_has_a_token() {
    let practice = Practice::rotating(Rotation::Strict);
    let tokens = practice.tokens().await;
    let state = practice.state().await;
    assert!(!state.to_string().contains("sim_"), "{state}");
    let digest = Sha256::digest(text(&tokens["refresh_token"]));
    let hex = digest.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let grant = &state["grants"][0];
    assert_eq!((&grant["id"], text(&grant["current_refresh_fingerprint"])), (&json!(1), &hex[..16]));
    assert_eq!(practice.http.get(practice.url("/control/state?grants=false")).send().await.unwrap().status(), 200);
    let one = practice.http.get(practice.url("/control/state?grant=2")).send().await.unwrap();
    assert_eq!(json_of(one).await.1["grants"], json!([]));
}

#[tokio::test]
async fn other_sites_and_other_hosts_have_no_business_here() {
    let practice = Practice::rotating(Rotation::None);
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
        let request = practice.http.post(practice.url("/control/release")).header("sec-fetch-site", site);
        assert_eq!(request.send().await.unwrap().status(), status, "{site}");
    }
    for (host, status) in
        [("evil.example", 421), ("127.0.0.1.evil.example:80", 421), ("localhost:1", 200), ("[::1]", 200)]
    {
        let request = practice.http.get(practice.url("/control/state")).header("host", host);
        assert_eq!(request.send().await.unwrap().status(), status, "{host}");
    }
    let outside = Options { listen: "0.0.0.0:0".parse().unwrap(), ..Options::default() };
    assert!(Simulator::start(outside).unwrap_err().to_string().contains("loopback"));
}

#[tokio::test]
async fn twenty_thousand_grants_are_no_burden() {
    let practice = Practice::rotating(Rotation::Strict);
    let made = practice.control("grants", json!({"count": 20_000})).await;
    let grants = made["grants"].as_array().unwrap();
    assert_eq!((grants.len(), text(&grants[19_999]["account"])), (20_000, "user-20000@practice.example"));
    practice.refreshed(text(&grants[0]["refresh_token"])).await;
    assert_eq!(practice.userinfo(&grants[19_999]["access_token"]).await.0, 200);
    let grant = async |id: u64| {
        let url = practice.url(&format!("/control/state?grant={id}"));
        json_of(practice.http.get(url).send().await.unwrap()).await.1
    };
    assert_eq!(grant(1).await["grants_alive"], 20_000);
    // Beyond fifty thousand the oldest goes.
    for _ in 0..2 {
        practice.control("grants", json!({"count": 20_000})).await;
    }
    assert_eq!((&grant(10_000).await["grants"], &grant(10_001).await["grants_alive"]), (&json!([]), &json!(50_000)));
    assert_eq!(grant(10_001).await["grants"][0]["alive"], true);
    refused(&practice.refresh(text(&grants[1]["refresh_token"])).await, 400, "invalid_grant");
}

#[test]
fn a_simulator_stops_whatever_is_under_way() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let mut sockets: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(simulator.address()).unwrap()).collect();
    for socket in &mut sockets {
        let hold = "POST /control/hold HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n{\"at\":\"before\"}";
        socket.write_all(hold.as_bytes()).unwrap();
    }
    let begun = Instant::now();
    let address = simulator.address();
    simulator.stop();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(TcpStream::connect(address).is_err(), "nobody is there any more");
}
