//! The practice provider is as strict, as odd and as broken as it is told to be.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use grantry::{
    oauth::catalogue::Entry,
    simulator::{self, CLIENT_ID, CLIENT_SECRET, Like, Options, Rotation, Simulator},
};
use reqwest::{Response, redirect::Policy};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{clean, program};

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

#[tokio::test]
async fn faults_stand_in_the_way_of_an_answer() {
    // What comes of the refreshes is never used, so the first token stays good.
    let practice = Practice::rotating(Rotation::RetrySafe);
    let tokens = practice.tokens().await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", text(&tokens["refresh_token"]))];
    let mut refreshes = 0;
    for (fault, status, marks, processed) in [
        ("status_before:500", 500, "Practice page 500", false),
        ("status:503", 503, "Practice page 503", false),
        ("status_after:500", 500, "Practice page 500", true),
        ("html", 200, "<!doctype html>", false),
        ("html_after", 200, "<!doctype html>", true),
        ("rate_limit:7", 429, "temporarily_unavailable", false),
        ("redirect", 302, "", false),
        ("redirect:307", 307, "", false),
        ("error:temporarily_unavailable", 400, "temporarily_unavailable", false),
        ("invalid_client", 401, "invalid_client", false),
        ("slow_after:1", 200, "sim_rt_", true),
    ] {
        practice.fault("refresh", fault).await;
        let answer = practice.try_post("/token", &form).await.unwrap();
        assert_eq!(answer.status(), status, "{fault}");
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        match status {
            429 => assert_eq!(header("retry-after").as_deref(), Some("7")),
            302 | 307 => assert_eq!(header("location"), Some(practice.url("/elsewhere"))),
            _ => {}
        }
        let body = answer.text().await.unwrap();
        assert!(body.contains(marks), "{fault}: {body}");
        refreshes += u64::from(processed);
        let grant = practice.grant().await;
        assert_eq!((&grant["refreshes"], &grant["alive"]), (&json!(refreshes), &json!(true)), "{fault}");
    }
    for fault in ["drop", "drop_after", "truncate_after"] {
        practice.fault("refresh", fault).await;
        let answer = practice.try_post("/token", &form).await;
        let failed = match answer {
            Ok(answer) => answer.text().await.is_err(),
            Err(_) => true,
        };
        assert!(failed, "{fault}");
    }
    practice.fault("refresh", "slow:300").await;
    let begun = Instant::now();
    assert_eq!(practice.post("/token", &form).await.0, 200);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_big_answer_is_ten_million_bytes_of_json() {
    let practice = Practice::rotating(Rotation::Strict);
    let tokens = practice.tokens().await;
    practice.fault("token", "big").await;
    let (status, big) = practice.refresh(text(&tokens["refresh_token"])).await;
    assert_eq!((status, text(&big["access_token"]).len()), (200, 10_000_007));
    assert_eq!(practice.grant().await["refreshes"], 0);
}

#[tokio::test]
async fn an_answer_says_what_it_is_told_to_say() {
    let practice = Practice::rotating(Rotation::Strict);
    let mut token = practice.tokens().await["refresh_token"].clone();
    for json in ["\"3600\"", "-1", "1e99", "1e999", "null", "\"abc\"", "0"] {
        practice.fault("refresh", &format!("expires_in:{json}")).await;
        let form = [("grant_type", "refresh_token"), ("refresh_token", text(&token))];
        let body = practice.try_post("/token", &form).await.unwrap().text().await.unwrap();
        assert_eq!(body.matches("expires_in").count(), 1);
        assert!(body.contains(&format!("\"expires_in\":{json}}}")), "{body}");
        let body: Value = serde_json::from_str(&body.replace("1e999", "0")).unwrap();
        token = body["refresh_token"].clone();
    }
    practice.control("faults", json!({"on": "refresh", "fault": ["no_refresh_token", "scope:less"]})).await;
    let same = practice.refreshed(text(&token)).await;
    assert_eq!((&same["refresh_token"], &same["scope"]), (&Value::Null, &json!("less")));
    let next = practice.refreshed(text(&token)).await;
    assert_ne!(next["refresh_token"], token, "it was not rotated before");
    practice.fault("refresh", "skew:-86400").await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", text(&next["refresh_token"]))];
    let answer = practice.try_post("/token", &form).await.unwrap();
    let dates: Vec<_> = answer.headers().get_all("date").iter().map(|date| date.to_str().unwrap()).collect();
    assert_eq!(dates.len(), 1);
    let date = jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S GMT", dates[0]).unwrap().to_datetime().unwrap();
    let date = date.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    let off = jiff::Timestamp::now().duration_since(date).as_secs();
    assert!((86_395..86_405).contains(&off), "{off}");
    let code = practice.code(&[]).await;
    practice.fault("code", "no_refresh_token").await;
    let tokens = practice.redeem(&code).await.1;
    assert!(tokens.get("refresh_token").is_none() && tokens.get("access_token").is_some());
}

#[tokio::test]
async fn the_way_back_may_lie_or_bring_an_error() {
    let practice = Practice::rotating(Rotation::None);
    practice.fault("authorize", "wrong_iss").await;
    let way_back = practice.authorized(&[]).await;
    assert_eq!(way_back.iter().filter(|(name, _)| name == "iss").count(), 1);
    assert_eq!(value(&way_back, "iss"), "https://wrong.example");
    practice.fault("authorize", "error:server_error").await;
    let way_back = practice.authorized(&[]).await;
    assert_eq!((value(&way_back, "error"), value(&way_back, "state")), ("server_error".into(), "the state".into()));
    let denied = practice.authorized(&[("auto", "deny")]).await;
    assert_eq!(value(&denied, "error"), "access_denied");
    assert_eq!(value(&denied, "iss"), practice.simulator.url());
    for (name, wrong, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "invalid_request"),
        ("scope", "a\"b", "invalid_scope"),
    ] {
        assert_eq!(value(&practice.authorized(&[(name, wrong)]).await, "error"), error);
    }
}

#[tokio::test]
async fn faults_befall_the_requests_they_are_for_as_often_as_is_said() {
    let practice = Practice::rotating(Rotation::None);
    let tokens = practice.tokens().await;
    let refresh = async || practice.refresh(text(&tokens["refresh_token"])).await.0;
    practice.control("faults", json!({"on": "refresh", "fault": "status:500", "times": 2, "skip": 1})).await;
    practice.control("faults", json!({"on": "code", "fault": "status:502", "times": null})).await;
    assert_eq!([refresh().await, refresh().await, refresh().await, refresh().await], [200, 500, 500, 200]);
    for _ in 0..2 {
        assert_eq!(practice.redeem("x").await.0, 502);
    }
    let list = async || json_of(practice.http.get(practice.url("/control/faults")).send().await.unwrap()).await.1;
    assert_eq!(list().await["faults"], json!([{"on": "code", "fault": ["status:502"], "times": null, "skip": 0}]));
    practice.http.delete(practice.url("/control/faults")).send().await.unwrap();
    assert_eq!(list().await["faults"], json!([]));
    assert_eq!(practice.redeem("x").await.0, 400);
    for on in ["revoke", "introspect", "device_authorization", "device", "client_credentials"] {
        practice.fault(on, "status:500").await;
    }
    let token = [("token", "x")];
    assert_eq!(practice.post("/revoke", &token).await.0, 500);
    assert_eq!(practice.post("/introspect", &token).await.0, 500);
    assert_eq!(practice.post("/device_authorization", &[]).await.0, 500);
    assert_eq!(practice.post("/token", &[("grant_type", DEVICE_CODE)]).await.0, 500);
    assert_eq!(practice.post("/token", &[("grant_type", "client_credentials")]).await.0, 500);
    for (on, path) in [("userinfo", "/userinfo"), ("api", "/api/x"), ("discovery", "/.well-known/openid-configuration")]
    {
        practice.fault(on, "status:500").await;
        let get = practice.http.get(practice.url(path)).bearer_auth(text(&tokens["access_token"]));
        assert_eq!(get.send().await.unwrap().status(), 500, "{on}");
    }
    for wrong in [
        json!({"on": "nowhere", "fault": "hang"}),
        json!({"on": "token", "fault": "explode"}),
        json!({"on": "token", "fault": []}),
        json!({"on": "token", "fault": "hang", "times": 0}),
        json!({"on": "token", "fault": "hang", "often": 1}),
        json!([]),
    ] {
        let answer = practice.http.post(practice.url("/control/faults")).json(&wrong).send().await.unwrap();
        let (status, body) = json_of(answer).await;
        assert!(status == 400 && body["error"].is_string(), "{wrong}: {body}");
    }
}

#[tokio::test]
async fn a_followed_redirect_is_seen() {
    let practice = Practice::rotating(Rotation::None);
    assert_eq!(practice.state().await["requests"]["/elsewhere"], Value::Null);
    practice.http.get(practice.url("/elsewhere")).send().await.unwrap();
    assert_eq!(practice.state().await["requests"]["/elsewhere"], 1);
}

/// Asks for the state until it is as wanted.
async fn wait_until(practice: &Practice, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let state = practice.state().await;
        if wanted(&state) {
            return state;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{state}");
        // The simulator is to get to it in its own time.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn requests_are_held_on_either_side_of_the_processing_until_they_are_released() {
    let practice = Practice::rotating(Rotation::RetrySafe);
    let tokens = practice.tokens().await;
    for (at, refreshes_held, refreshes_after) in [("before", 0, 2), ("after", 4, 4)] {
        practice.control("hold", json!({"at": at})).await;
        let token = text(&tokens["refresh_token"]);
        let release = async {
            let state = wait_until(&practice, |state| state["token"]["held"] == 2).await;
            assert_eq!(state["grants"][0]["refreshes"], refreshes_held, "{at}");
            assert_eq!((&state["token"]["gate"], &state["token"]["under_way"]), (&json!(at), &json!(2)));
            practice.control("release", json!({})).await;
        };
        let (one, two, ()) =
            futures_util::future::join3(practice.refresh(token), practice.refresh(token), release).await;
        assert_eq!((one.0, two.0), (200, 200));
        assert_eq!(practice.grant().await["refreshes"], refreshes_after);
    }
    let state = practice.state().await;
    assert_eq!((&state["token"]["most_at_once"], &state["token"]["under_way"]), (&json!(2), &json!(0)));
    assert_eq!(state["token"]["by_grant_type"], json!({"authorization_code": 1, "refresh_token": 4}));
}

#[tokio::test]
async fn a_request_is_worked_on_even_when_its_client_is_gone() {
    let practice = Practice::rotating(Rotation::Strict);
    let tokens = practice.tokens().await;
    practice.control("hold", json!({"at": "before"})).await;
    let (answer, closed) = raw(&practice, text(&tokens["refresh_token"]));
    assert_eq!((answer.as_str(), closed), ("", false), "the client has gone by now");
    practice.control("release", json!({})).await;
    let state = wait_until(&practice, |state| state["token"]["under_way"] == 0).await;
    assert_eq!(state["grants"][0]["refreshes"], 1);
}

#[tokio::test]
async fn a_throttle_is_kept_and_violations_are_counted() {
    let throttle = "3/3600".parse().unwrap();
    let practice = Practice::with(Options { throttle: Some(throttle), ..Options::default() });
    for _ in 0..3 {
        assert_eq!(practice.refresh("x").await.0, 400);
    }
    for _ in 0..2 {
        let answer = practice.try_post("/token", &[("grant_type", "refresh_token")]).await.unwrap();
        assert_eq!(answer.status(), 429);
        let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((3590..=3600).contains(&wait), "{wait}");
    }
    assert_eq!(practice.state().await["token"]["throttle_violations"], 2);
    practice.http.delete(practice.url("/control/counts")).send().await.unwrap();
    let state = practice.state().await;
    assert_eq!((&state["token"]["throttle_violations"], &state["requests"]), (&json!(0), &json!({})));
    let short = Practice::with(Options { throttle: Some("1/1".parse().unwrap()), ..Options::default() });
    assert_eq!(short.refresh("x").await.0, 400);
    let begun = Instant::now();
    while short.refresh("x").await.0 == 429 {
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
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

#[tokio::test]
async fn like_slack_every_answer_has_status_200() {
    let practice = Practice::with(Options { like: Like::Slack, rotation: Rotation::Strict, ..Options::default() });
    let way_back = practice.authorized(&[("scope", "chat:write,users:read")]).await;
    assert!(!way_back.iter().any(|(name, _)| name == "iss"));
    let code = value(&way_back, "code");
    let (status, tokens) = practice.redeem(&code).await;
    assert_eq!((status, &tokens["ok"], &tokens["token_type"]), (200, &json!(true), &json!("bot")));
    assert_eq!((&tokens["scope"], &tokens["expires_in"]), (&json!("chat:write,users:read"), &json!(300)));
    assert!(text(&tokens["authed_user"]["id"]).starts_with('U') && text(&tokens["team"]["id"]).starts_with('T'));
    let next = practice.refreshed(text(&tokens["refresh_token"])).await;
    assert_ne!(next["refresh_token"], tokens["refresh_token"]);
    let not_ok = |(status, body): Answered, error: &str| {
        assert_eq!((status, &body["ok"], &body["error"]), (200, &json!(false), &json!(error)));
    };
    not_ok(practice.refresh(text(&tokens["refresh_token"])).await, "invalid_refresh_token");
    not_ok(practice.redeem("made-up").await, "invalid_code");
    not_ok(practice.redeem(&code).await, "code_already_used");
    not_ok(practice.post("/token", &[("grant_type", "x")]).await, "invalid_grant_type");
    practice.fault("token", "invalid_client").await;
    not_ok(practice.refresh("x").await, "bad_client_secret");
    practice.fault("token", "error:ratelimited").await;
    not_ok(practice.refresh("x").await, "ratelimited");
    not_ok(practice.userinfo(&tokens["access_token"]).await, "invalid_auth");
    // A person's own token stands elsewhere: below with a code, above with a refresh.
    let code = practice.code(&[("user_scope", "search:read")]).await;
    let (_, tokens) = practice.redeem(&code).await;
    let user = &tokens["authed_user"];
    assert_eq!((tokens.get("access_token"), &user["token_type"]), (None, &json!("user")));
    assert_eq!(practice.userinfo(&user["access_token"]).await.1["user"], "alice");
    let next = practice.refreshed(text(&user["refresh_token"])).await;
    assert_eq!(next["token_type"], "user");
    assert_eq!(practice.userinfo(&next["access_token"]).await.1["ok"], true);
    assert_eq!(practice.post("/revoke", &[("token", text(&next["refresh_token"]))]).await.1["revoked"], true);
}

#[tokio::test]
async fn like_salesforce_nothing_says_when_a_token_expires() {
    let practice = Practice::like(Like::Salesforce);
    let (_, tokens) = practice.redeem(&practice.code(&[("scope", "api refresh_token")]).await).await;
    assert_eq!((tokens.get("expires_in"), &tokens["token_type"]), (None, &json!("Bearer")));
    let issued: i64 = text(&tokens["issued_at"]).parse().unwrap();
    assert!((jiff::Timestamp::now().as_millisecond() - issued).abs() < 20_000);
    assert_eq!(tokens["instance_url"], practice.simulator.url());
    assert!(text(&tokens["id"]).contains("/id/00D") && tokens["signature"].is_string());
    let next = practice.refreshed(text(&tokens["refresh_token"])).await;
    assert_eq!((next.get("refresh_token"), next["issued_at"].is_string()), (None, true));
    let (_, online) = practice.redeem(&practice.code(&[("scope", "api")]).await).await;
    assert_eq!(online.get("refresh_token"), None, "who does not ask for it gets none");
    let failed = practice.refresh("made-up").await;
    refused(&failed, 400, "invalid_grant");
    assert_eq!(failed.1["error_description"], "expired access/refresh token");
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": "other"})).await;
    refused(&practice.refresh("x").await, 400, "invalid_client");
    let form = [("grant_type", "refresh_token"), ("client_id", "nobody"), ("client_secret", "x")];
    let answer = practice.http.post(practice.url("/token")).form(&form).send().await.unwrap();
    refused(&json_of(answer).await, 400, "invalid_client_id");
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})).await;
    for _ in 0..5 {
        practice.redeem(&practice.code(&[("scope", "refresh_token")]).await).await;
    }
    refused(&practice.refresh(text(&tokens["refresh_token"])).await, 400, "invalid_grant");
    assert_eq!(practice.grant().await["ended"], "evicted", "an account has five");
}

#[tokio::test]
async fn like_quickbooks_a_client_shows_itself_by_basic_alone() {
    let practice = Practice::like(Like::QuickBooks);
    let way_back = practice.authorized(&[]).await;
    assert!(value(&way_back, "realmId").bytes().all(|digit| digit.is_ascii_digit()));
    let (_, tokens) = practice.redeem(&value(&way_back, "code")).await;
    assert_eq!((&tokens["token_type"], &tokens["x_refresh_token_expires_in"]), (&json!("bearer"), &json!(8_726_400)));
    assert_eq!((tokens.get("scope"), &tokens["expires_in"]), (None, &json!(300)));
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&tokens["refresh_token"])),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
    ];
    let answer = practice.http.post(practice.url("/token")).form(&form).send().await.unwrap();
    refused(&json_of(answer).await, 401, "invalid_client");
    practice.refreshed(text(&tokens["refresh_token"])).await;
    refused(&practice.refresh("made-up").await, 400, "invalid_grant");
    let revoke = practice.http.post(practice.url("/revoke")).basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
    let revoke = revoke.json(&json!({"token": tokens["refresh_token"]})).send().await.unwrap();
    assert_eq!((revoke.status().as_u16(), &practice.grant().await["ended"]), (200, &json!("client")));
}

#[tokio::test]
async fn like_zoho_errors_have_status_200() {
    let practice = Practice::like(Like::Zoho);
    let way_back = practice.authorized(&[("access_type", "offline"), ("scope", "a.b.READ,c.d.ALL")]).await;
    assert_eq!((value(&way_back, "location"), value(&way_back, "accounts-server")), ("us".into(), practice.url("")));
    let (_, tokens) = practice.redeem(&value(&way_back, "code")).await;
    assert_eq!((&tokens["api_domain"], &tokens["expires_in"]), (&json!(practice.simulator.url()), &json!(300)));
    let next = practice.refreshed(text(&tokens["refresh_token"])).await;
    assert_eq!((next.get("refresh_token"), next["access_token"].is_string()), (None, true));
    refused(&practice.refresh("made-up").await, 200, "invalid_code");
    refused(&practice.redeem("made-up").await, 200, "invalid_code");
    let (_, online) = practice.redeem(&practice.code(&[]).await).await;
    assert_eq!(online.get("refresh_token"), None, "without access_type=offline");
    let ask = practice.http.get(practice.url("/userinfo"));
    let ask = ask.header("authorization", format!("Zoho-oauthtoken {}", text(&next["access_token"])));
    let (status, info) = json_of(ask.send().await.unwrap()).await;
    assert!(status == 200 && info["ZUID"].is_u64() && info["Email"] == "alice@practice.example", "{info}");
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": "other"})).await;
    refused(&practice.refresh("x").await, 200, "invalid_client_secret");
}

#[tokio::test]
async fn like_shopify_scopes_have_commas_and_tokens_expire_where_that_is_asked_for() {
    let practice = Practice::with(Options { like: Like::Shopify, rotation: Rotation::RetrySafe, ..Options::default() });
    let way_back = practice.authorized(&[("scope", "read_orders,read_products")]).await;
    assert_eq!(value(&way_back, "shop"), "alice.myshopify.example");
    let (_, tokens) = practice.redeem(&value(&way_back, "code")).await;
    assert_eq!((&tokens["scope"], tokens.get("token_type")), (&json!("read_orders,read_products"), None));
    assert_eq!((&tokens["expires_in"], &tokens["refresh_token_expires_in"]), (&json!(300), &json!(7_776_000)));
    let next = practice.refreshed(text(&tokens["refresh_token"])).await;
    assert_ne!(next["refresh_token"], tokens["refresh_token"]);
    let ask =
        practice.http.get(practice.url("/api/shop")).header("x-shopify-access-token", text(&next["access_token"]));
    let (status, told) = json_of(ask.send().await.unwrap()).await;
    assert_eq!((status, &told["headers"]["x-shopify-access-token"]), (200, &json!("[redacted]")));
    refused(&practice.refresh("made-up").await, 400, "invalid_grant");
    refused(&practice.redeem("made-up").await, 400, "invalid_request");
    // A new token takes the place of the old, and one that does not expire cannot be refreshed.
    let code = practice.code(&[]).await;
    let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK)];
    let (_, lasting) = practice.post("/token", &[&form[..], &[("code_verifier", VERIFIER)]].concat()).await;
    assert_eq!((lasting.get("expires_in"), lasting.get("refresh_token")), (None, None));
    refused(&practice.refresh(text(&next["refresh_token"])).await, 400, "invalid_grant");
    let ask =
        practice.http.get(practice.url("/userinfo")).header("x-shopify-access-token", text(&lasting["access_token"]));
    assert_eq!(json_of(ask.send().await.unwrap()).await.0, 200);
}

#[test]
fn every_definition_is_one_that_grantry_takes() {
    for (like, _) in Like::ALL {
        for rotation in [Rotation::None, Rotation::Strict, Rotation::Grace(30), Rotation::RetrySafe] {
            for listen in ["127.0.0.1:9090", "[::1]:9090"] {
                let throttle = Some("10/60".parse().unwrap());
                let options =
                    Options { like, rotation, throttle, listen: listen.parse().unwrap(), ..Options::default() };
                let definition = simulator::definition(&options, &simulator::url_of(options.listen));
                let entry =
                    Entry::parse(&definition.to_string()).unwrap_or_else(|error| panic!("{error}: {definition}"));
                assert_eq!(entry.rotates, rotation != Rotation::None);
                assert_eq!(entry.replay_grace_s, (rotation == Rotation::Grace(30)).then_some(30));
            }
        }
    }
}

/// A simulator in a process of its own, which ends with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(program());
    clean(&mut command);
    command.arg("simulate").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn the_command_needs_no_folder_and_says_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let args =
        ["--listen", "127.0.0.1:0", "--json", "--rotation", "grace:30", "--like", "plain", "--fail", "code=html"];
    let mut process =
        Process(command(&args).current_dir(dir.path()).env("GRANTRY_LISTEN", "nonsense").spawn().unwrap());
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&told["client_id"], &told["rotation"]), (&json!(CLIENT_ID), &json!("grace:30")));
    let entry = Entry::parse(&told["provider"].to_string()).unwrap();
    assert_eq!((entry.token_url.unwrap(), entry.replay_grace_s), (format!("{}/token", text(&told["url"])), Some(30)));
    let url = format!("{}/control/faults", text(&told["url"]));
    let faults = json_of(reqwest::get(url).await.unwrap()).await.1;
    assert_eq!(faults["faults"], json!([{"on": "code", "fault": ["html"], "times": null, "skip": 0}]));
    let pid = process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn the_command_tells_people_what_to_do_next() {
    let args = ["--listen", "127.0.0.1:0", "--rotation", "strict", "--access-token-life", "60"];
    let mut process = Process(command(&args).spawn().unwrap());
    let mut told = String::new();
    for line in BufReader::new(process.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        told = format!("{told}{line}\n");
        if line.contains("forgets everything") {
            break;
        }
    }
    for part in ["60 seconds", "--rotation strict --print-provider > practice.json", "grantry provider add", "alice@"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn the_command_prints_a_definition_or_says_what_is_wrong() {
    let run = |args: &[&str]| command(args).output().unwrap();
    let printed = run(&["--print-provider", "--like", "zoho", "--listen", "127.0.0.1:9191"]).stdout;
    let entry = Entry::parse(std::str::from_utf8(&printed).unwrap()).unwrap();
    assert_eq!((entry.slug.as_str(), entry.scope_separator.as_str()), (simulator::SLUG, ","));
    assert_eq!(entry.token_url.as_deref(), Some("http://127.0.0.1:9191/token"));
    for (args, code, part) in [
        (&["--listen", "0.0.0.0:9090"][..], 1, "loopback alone"),
        (&["--listen", "9090"], 1, "such as 127.0.0.1:9090"),
        (&["--print-provider", "--listen", "127.0.0.1:0"], 1, "the port that the simulator will have"),
        (&["--access-token-life", "0"], 1, "from 1 to"),
        (&["--rotation", "sometimes"], 2, "one of none, strict, grace:SECONDS, retry-safe"),
        (&["--like", "nobody"], 2, "one of plain, slack"),
        (&["--fail", "explode"], 2, "is no fault; there are slow:MS"),
        (&["--fail", "moon=hang"], 2, "on: one of token"),
        (&["--throttle", "10"], 2, "REQUESTS/SECONDS"),
    ] {
        let output = run(args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && told.contains(part), "{args:?}: {told}");
    }
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(help.contains("[default: 127.0.0.1:9090]") && help.contains("retry-safe"), "{help}");
}
