//! The practice provider is as strict, as odd and as broken as it is told to be.

use std::{
    io::{Read as _, Write as _},
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

/// The beginning of an answer, read from the socket until it ends, or nothing has come for a while.
fn raw(practice: &Practice, refresh_token: &str) -> (String, bool) {
    let body = format!(
        "grant_type=refresh_token&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&refresh_token={refresh_token}"
    );
    let mut socket = TcpStream::connect(practice.simulator.address()).unwrap();
    let length = body.len();
    write!(
        socket,
        "POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut read = Vec::new();
    let mut buffer = [0; 8 * 1024];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return (String::from_utf8_lossy(&read).into_owned(), true),
            Ok(some) => read.extend_from_slice(&buffer[..some]),
            Err(_) => return (String::from_utf8_lossy(&read).into_owned(), false),
        }
    }
}

#[tokio::test]
async fn a_dropped_answer_is_a_closed_connection_without_a_byte() {
    let practice = Practice::rotating(Rotation::Strict);
    let tokens = practice.tokens().await;
    let token = text(&tokens["refresh_token"]);
    practice.fault("refresh", "drop_before").await;
    assert_eq!(raw(&practice, token), (String::new(), true));
    assert_eq!(practice.grant().await["refreshes"], 0);
    practice.fault("refresh", "drop_after").await;
    assert_eq!(raw(&practice, token), (String::new(), true));
    let grant = practice.grant().await;
    assert_eq!((&grant["refreshes"], &grant["alive"]), (&json!(1), &json!(true)), "it has rotated");
    assert!(practice.try_post("/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await.is_ok());
    assert_eq!(practice.grant().await["family_revoked"], true);
}

#[tokio::test]
async fn an_answer_is_cut_off_or_never_ends() {
    let practice = Practice::rotating(Rotation::Strict);
    let tokens = practice.tokens().await;
    practice.fault("refresh", "truncate_after").await;
    let (answer, closed) = raw(&practice, text(&tokens["refresh_token"]));
    assert!(closed);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let said = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    assert!(!body.is_empty() && said.unwrap_or(0) > body.len(), "{answer}");
    assert_eq!(practice.grant().await["refreshes"], 1);

    let practice = Practice::rotating(Rotation::Strict);
    let tokens = practice.tokens().await;
    for (fault, refreshes) in [("never_finish", 0), ("never_finish_after", 1)] {
        practice.fault("refresh", fault).await;
        let (answer, closed) = raw(&practice, text(&tokens["refresh_token"]));
        assert!(!closed && answer.starts_with("HTTP/1.1 200") && answer.contains("sim_at_"), "{answer}");
        assert_eq!(practice.grant().await["refreshes"], refreshes, "{fault}");
    }
    practice.fault("token", "hang").await;
    assert_eq!(raw(&practice, "x"), (String::new(), false));
}
