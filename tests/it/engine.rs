//! The client engine against servers that misbehave: each is a socket of its own that says exactly what it is told to.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use grantry::{
    domain::{Error, Secret, Timestamp, Why, grant::Blame},
    oauth::{
        Engine,
        catalogue::{Entry, Resolved},
        device::DevicePoll,
        revoke::{RevocationOutcome, RevocationRequest, TokenHint},
        wire::{Answer, Ask, Client, Refusal, Sent, StatedLifetime},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

pub(crate) const LONG: Duration = Duration::from_secs(20);

/// What a server does once it has read a request.
#[derive(Clone)]
pub(crate) enum Then {
    /// Says this and closes.
    Say(Vec<u8>),
    /// Says this and then nothing more, without closing.
    SayAndHang(Vec<u8>),
    /// Says one byte after another, without an end.
    Drip,
    /// Ends the connection as a crash would.
    Reset,
}

/// A server that keeps what it was asked.
pub(crate) struct Peer {
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// A server that does the same whatever it is asked.
    pub async fn that(then: Then) -> Self {
        Self::with(move |_| then.clone()).await
    }

    /// A server that answers 200 with this JSON.
    pub async fn saying(body: &str) -> Self {
        Self::that(Then::Say(answer("200 OK", "application/json", body))).await
    }

    pub async fn with(then: impl Fn(&str) -> Then + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (noted, then) = (Arc::clone(&asked), Arc::new(then));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&noted), Arc::clone(&then)));
            }
        });
        Self { url, asked, task }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A provider whose endpoints are all here: the token endpoint at `/token`, and with these further fields.
    pub fn provider(&self, more: &str) -> Resolved {
        let more = more.replace("PEER", &self.url);
        provider(&format!(r#"{{"slug":"a","name":"A","token_url":"{}/token"{more}}}"#, self.url))
    }
}

async fn converse(mut stream: TcpStream, noted: Arc<Mutex<Vec<String>>>, then: Arc<impl Fn(&str) -> Then>) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(n) => request.extend_from_slice(&chunk[..n]),
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    noted.lock().unwrap().push(text.clone());
    match then(&text) {
        Then::Say(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Then::SayAndHang(bytes) => {
            let _ = stream.write_all(&bytes).await;
            // Ends when the other side has gone.
            let _ = stream.read(&mut chunk).await;
        }
        Then::Drip => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Then::Reset => stream.set_zero_linger().unwrap(),
    }
}

fn answer(status: &str, media_type: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

pub(crate) fn provider(json: &str) -> Resolved {
    let entry = Entry::parse(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    entry.resolve(&BTreeMap::new(), &BTreeMap::new()).unwrap()
}

pub(crate) fn engine() -> Engine {
    Engine::new(false)
}

pub(crate) fn client() -> Client {
    Client { id: "the_id".to_owned(), secret: Some(Secret::new("PLANTED_secret")), known: Vec::new() }
}

pub(crate) fn refresh() -> Ask {
    Ask::Refresh { refresh_token: Secret::new("PLANTED_refresh"), scopes: Vec::new() }
}

pub(crate) fn now() -> Timestamp {
    Timestamp(1_767_225_600_000)
}

async fn sent(engine: &Engine, provider: &Resolved, deadline: Duration) -> Sent {
    engine.token(provider, &client(), &refresh(), deadline, now).await
}

async fn ask(peer: &Peer) -> Answer {
    let provider = peer.provider("");
    match sent(&engine(), &provider, LONG).await {
        Sent::Answered(raw) => provider.read(&raw),
        other => panic!("{other:?}"),
    }
}

fn refused(answer: Answer) -> Refusal {
    match answer {
        Answer::Refused(refusal) => refusal,
        Answer::Tokens(tokens) => panic!("{tokens:?}"),
    }
}

#[tokio::test]
async fn a_refresh_is_sent_once_and_its_answer_is_read() {
    let body = r#"{"access_token":"PLANTED_access","refresh_token":"PLANTED_next","expires_in":"3600"}"#;
    let head = "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:07 GMT\r\nconnection: close\r\n\r\n";
    let peer = Peer::that(Then::Say(format!("{head}{body}").into_bytes())).await;
    let provider = peer.provider("");
    let Sent::Answered(raw) = sent(&engine(), &provider, LONG).await else { panic!("no answer") };
    assert_eq!((raw.status, raw.received_at, raw.skew_ms()), (200, now(), Some(7000)));
    assert!(!format!("{raw:?}").contains("PLANTED"));
    let Answer::Tokens(tokens) = provider.read(&raw) else { panic!("no tokens") };
    assert_eq!(tokens.access.expose(), "PLANTED_access");
    assert_eq!(tokens.refresh.unwrap().expose(), "PLANTED_next");
    assert_eq!(tokens.lifetime, StatedLifetime::Until(now().plus_ms(3_600_000)));
    let asked = peer.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("POST /token HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(asked[0].contains("\r\naccept: application/json\r\n"), "{}", asked[0]);
    assert!(asked[0].contains("\r\naccept-encoding: identity\r\n"), "{}", asked[0]);
    assert!(
        asked[0].ends_with(
            "\r\n\r\ngrant_type=refresh_token&refresh_token=PLANTED_refresh&client_id=the_id&client_secret=PLANTED_secret"
        ),
        "{}",
        asked[0]
    );
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = Peer::saying(r#"{"access_token":"A"}"#).await;
    let head =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/token\r\ncontent-length: 0\r\n\r\n", elsewhere.url);
    let peer = Peer::that(Then::Say(head.into_bytes())).await;
    let refusal = refused(ask(&peer).await);
    assert_eq!((refusal.blame, refusal.word().as_str(), refusal.unclear), (Blame::Provider, "redirect", false));
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn an_answer_of_ten_megabytes_is_not_read_to_its_end() {
    let body = format!(r#"{{"access_token":"{}"}}"#, "x".repeat(10 * 1024 * 1024));
    let peer = Peer::saying(&body).await;
    let Sent::Unclear(why) = sent(&engine(), &peer.provider(""), LONG).await else { panic!("read") };
    assert_eq!(why, "too large");
}

#[tokio::test]
async fn an_answer_that_never_ends_is_given_up_at_the_deadline() {
    let deadline = Duration::from_millis(300);
    for then in [
        Then::SayAndHang(Vec::new()),
        Then::SayAndHang(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access".to_vec()),
        Then::Drip,
    ] {
        let peer = Peer::that(then).await;
        let begun = Instant::now();
        let Sent::Unclear(why) = sent(&engine(), &peer.provider(""), deadline).await else { panic!("an answer") };
        assert_eq!(why, "timeout");
        assert!(begun.elapsed() < LONG);
        assert_eq!(peer.asked().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_leaves_open_what_was_done() {
    for then in [
        Then::Reset,
        Then::Say(Vec::new()),
        Then::Say(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access".to_vec()),
        Then::Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{}".to_vec()),
        Then::Say(b"SSH-2.0-nothing\r\n\r\n".to_vec()),
    ] {
        let peer = Peer::that(then).await;
        let Sent::Unclear(why) = sent(&engine(), &peer.provider(""), LONG).await else { panic!("not unclear") };
        assert!(!why.contains(&peer.url) && !why.contains("PLANTED"), "{why}");
        assert_eq!(peer.asked().len(), 1, "a refresh token is sent once");
    }
}

#[tokio::test]
async fn a_request_that_nobody_took_is_known_not_to_be_sent() {
    // Closed again at once, so nobody listens there.
    let gone = format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let not_sent = async |json: String| match sent(&engine(), &provider(&json), LONG).await {
        Sent::NotSent(why) => why,
        other => panic!("{json}: {other:?}"),
    };
    let at = |url: &str| format!(r#"{{"slug":"a","name":"A","token_url":"{url}/token"}}"#);
    let why = not_sent(at(&gone)).await;
    assert!(why.to_lowercase().contains("refused"), "{why}");
    // TLS with somebody who has none, and hangs up.
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    let hanging_up = tokio::spawn(async move { while plain.accept().await.is_ok() {} });
    not_sent(at(&format!("https://{address}"))).await;
    hanging_up.abort();
}

#[tokio::test]
async fn nothing_is_asked_of_an_address_that_leads_inside() {
    for inside in ["https://10.0.0.1", "https://169.254.169.254", "https://[fe80::1]", "https://192.168.0.1:8443"] {
        let provider = provider(&format!(r#"{{"slug":"a","name":"A","token_url":"{inside}/token"}}"#));
        let Sent::NotSent(why) = sent(&engine(), &provider, LONG).await else { panic!("{inside}") };
        assert!(why.contains("private"), "{why}");
        let refusal = Refusal::of_sent(&Sent::NotSent(why));
        assert_eq!((refusal.blame, refusal.word().as_str(), refusal.unclear), (Blame::Network, "unreachable", false));
    }
}

#[tokio::test]
async fn a_page_instead_of_an_answer_is_the_providers_fault() {
    let page = |status: &str| Then::Say(answer(status, "text/html", "<!doctype html><p>access_token=x</p>"));
    let refusal = refused(ask(&Peer::that(page("200 OK")).await).await);
    assert_eq!((refusal.blame, refusal.word().as_str(), refusal.unclear), (Blame::Provider, "unreadable_body", true));
    let refusal = refused(ask(&Peer::that(page("502 Bad Gateway")).await).await);
    assert_eq!((refusal.blame, refusal.word().as_str(), refusal.unclear), (Blame::Provider, "http_502", true));
    // JSON under another name is JSON.
    let named = answer("200 OK", "text/plain", r#"{"access_token":"A"}"#);
    assert!(matches!(ask(&Peer::that(Then::Say(named)).await).await, Answer::Tokens(_)));
}

#[tokio::test]
async fn odd_characters_in_credentials_arrive_as_they_are() {
    let peer = Peer::saying("{}").await;
    let provider = peer.provider(r#","client_auth":"client_secret_basic""#);
    let secret = Secret::new("PLANTED%2B+ü&=/\"");
    let client = Client { id: "a:b c".to_owned(), secret: Some(secret), known: Vec::new() };
    engine().token(&provider, &client, &refresh(), LONG, now).await;
    let asked = peer.asked().remove(0);
    let header = asked.lines().find_map(|line| line.strip_prefix("authorization: Basic ")).unwrap();
    let pair = String::from_utf8(STANDARD.decode(header).unwrap()).unwrap();
    let (id, secret) = pair.split_once(':').unwrap();
    let decoded =
        |text: &str| url::form_urlencoded::parse(format!("x={text}").as_bytes()).next().unwrap().1.into_owned();
    assert_eq!((decoded(id), decoded(secret)), ("a:b c".to_owned(), "PLANTED%2B+ü&=/\"".to_owned()));
    assert!(!asked.contains("client_secret"), "{asked}");
}

#[tokio::test]
async fn what_we_sent_does_not_come_back_in_a_refusal() {
    for media_type in ["application/json", "text/html"] {
        let body = r#"{"error":"invalid_grant","error_description":"PLANTED_refresh of PLANTED_secret is over"}"#;
        let peer = Peer::that(Then::Say(answer("400 Bad Request", media_type, body))).await;
        let provider = peer.provider("");
        let Sent::Answered(raw) = sent(&engine(), &provider, LONG).await else { panic!("no answer") };
        assert!(!raw.body.expose().contains("PLANTED"), "{}", raw.body.expose());
        let refusal = refused(provider.read(&raw));
        assert_eq!(refusal.blame, Blame::Grant);
        assert_eq!(refusal.description.as_deref(), Some("[redacted] of [redacted] is over"));
    }
}

#[test]
fn an_engine_outlives_the_runtimes_that_use_it() {
    let engine = Arc::new(engine());
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // Keeps the connection open, so that the next runtime finds it in the pool.
    let body = r#"{"access_token":"A"}"#;
    let peer = server.block_on(Peer::that(Then::SayAndHang(answer("200 OK", "application/json", body))));
    let provider = peer.provider("");
    for _ in 0..3 {
        let (engine, provider) = (Arc::clone(&engine), provider.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Spawned, so it must be Send.
        let task = runtime.spawn(async move { sent(&engine, &provider, LONG).await });
        assert!(matches!(runtime.block_on(task).unwrap(), Sent::Answered(_)));
    }
    assert_eq!(peer.asked().len(), 3);
    server.block_on(async { drop(peer) });
}

#[tokio::test]
async fn a_revocation_can_be_kept_and_sent_by_somebody_else() {
    let peer = Peer::that(Then::Say(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec())).await;
    let token = Secret::new("PLANTED_token");
    let provider = peer.provider(r#","revoke_url":"PEER/revoke","client_auth":"client_secret_basic""#);
    let request = provider.revocation(&client(), &token, TokenHint::Refresh).unwrap();
    assert!(!format!("{request:?}").contains("PLANTED"));
    let request = RevocationRequest::from_secret(&request.to_secret()).unwrap();
    let sent = engine().revoke(&request, LONG, now).await;
    assert_eq!(request.outcome(&sent), RevocationOutcome::Revoked);
    let asked = peer.asked().remove(0);
    assert!(asked.starts_with("POST /revoke ") && asked.contains("\r\nauthorization: Basic "), "{asked}");
    assert!(asked.ends_with("\r\n\r\ntoken=PLANTED_token&token_type_hint=refresh_token"), "{asked}");
    assert!(peer.provider("").revocation(&client(), &token, TokenHint::Access).is_none());
    assert!(RevocationRequest::from_secret(&Secret::new("PLANTED")).is_err());
}

#[tokio::test]
async fn a_kept_revocation_knows_the_clients_other_secret_and_shows_it_only_to_who_turns_the_client_down() {
    let peer = Peer::that(Then::Say(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec())).await;
    let token = Secret::new("PLANTED_token");
    let provider = peer.provider(r#","revoke_url":"PEER/revoke","client_auth":"client_secret_post""#);
    let request = |client: &Client| provider.revocation(client, &token, TokenHint::Refresh);
    let other = Client { secret: Some(Secret::new("PLANTED_other")), ..client() };
    let refused = |error: &str| RevocationOutcome::Refused(error.to_owned());
    let both = request(&client()).unwrap().or(request(&other));
    let kept = RevocationRequest::from_secret(&both.to_secret()).unwrap();
    let next = kept.after(&refused("invalid_client")).unwrap();
    engine().revoke(next, LONG, now).await;
    assert!(peer.asked().remove(0).contains("client_secret=PLANTED_other"));
    assert!(next.after(&refused("invalid_client")).is_none(), "there are two");
    for outcome in [refused("http_401"), refused("unauthorized_client"), RevocationOutcome::Revoked] {
        assert!(kept.after(&outcome).is_none(), "{outcome:?}");
    }
    // The same secret twice is one, and what was kept without another has none.
    assert!(request(&client()).unwrap().or(request(&client())).after(&refused("invalid_client")).is_none());
    let alone = RevocationRequest::from_secret(&request(&client()).unwrap().to_secret()).unwrap();
    assert!(alone.after(&refused("invalid_client")).is_none());
}

#[tokio::test]
async fn a_revocation_is_written_as_the_provider_wants_it() {
    let peer = Peer::saying(r#"{"ok":false,"error":"token_revoked"}"#).await;
    let token = Secret::new("PLANTED_token");
    let asked = async |more: &str| {
        let provider = peer.provider(more);
        let request = provider.revocation(&client(), &token, TokenHint::Access).unwrap();
        let sent = engine().revoke(&request, LONG, now).await;
        (peer.asked().pop().unwrap(), request.outcome(&sent))
    };
    let (delete, outcome) = asked(
        r#","revoke_url":"PEER/apps/{client_id}/token","revoke":{"method":"DELETE","format":"json",
        "auth":"client_secret_basic","token_param":"access_token","tokens":["access"]}"#,
    )
    .await;
    assert!(delete.starts_with("DELETE /apps/the_id/token "), "{delete}");
    assert!(delete.ends_with("\r\n\r\n{\"access_token\":\"PLANTED_token\"}"), "{delete}");
    assert_eq!(outcome, RevocationOutcome::Revoked);
    let (header, outcome) =
        asked(r#","revoke_url":"PEER/revoke","revoke":{"auth":"token"},"success":{"pointer":"/ok","equals":true}"#)
            .await;
    assert!(header.contains("\r\nauthorization: Bearer PLANTED_token\r\n"), "{header}");
    assert!(header.ends_with("\r\n\r\n"), "{header}");
    assert_eq!(outcome, RevocationOutcome::Refused("token_revoked".to_owned()));
    let (bare, _) = asked(r#","revoke_url":"PEER/revoke","revoke":{"auth":"none"}"#).await;
    assert!(bare.ends_with("\r\n\r\ntoken=PLANTED_token"), "{bare}");
    let provider = peer.provider(r#","revoke_url":"PEER/revoke","revoke":{"tokens":["refresh"]}"#);
    assert!(provider.revocation(&client(), &token, TokenHint::Access).is_none());
}

#[tokio::test]
async fn a_revocation_that_may_work_later_is_told_from_one_that_never_will() {
    let token = Secret::new("PLANTED_token");
    let outcome = async |then: Then| {
        let peer = Peer::that(then).await;
        let provider = peer.provider(r#","revoke_url":"PEER/revoke""#);
        let request = provider.revocation(&client(), &token, TokenHint::Access).unwrap();
        request.outcome(&engine().revoke(&request, Duration::from_secs(2), now).await)
    };
    let say = |head: &str| Then::Say(format!("HTTP/1.1 {head}\r\n\r\n").into_bytes());
    let again = |error: &str, seconds: Option<u64>| RevocationOutcome::Again {
        error: error.to_owned(),
        retry_after: seconds.map(Duration::from_secs),
    };
    assert_eq!(outcome(say("204 No Content")).await, RevocationOutcome::Revoked);
    assert_eq!(outcome(say("503 Busy\r\nretry-after: 7")).await, again("http_503", Some(7)));
    assert_eq!(outcome(say("429 Busy")).await, again("http_429", None));
    assert_eq!(outcome(Then::Reset).await, again("cut_off", None));
    assert_eq!(outcome(say("404 Gone")).await, RevocationOutcome::Refused("http_404".to_owned()));
    let refusal = answer("400 Bad Request", "application/json", r#"{"error":"unsupported_token_type"}"#);
    assert_eq!(outcome(Then::Say(refusal)).await, RevocationOutcome::Refused("unsupported_token_type".to_owned()));
}

#[tokio::test]
async fn the_account_behind_a_token_is_asked_for_or_was_told_before() {
    let token = Secret::new("PLANTED_access");
    let extra = serde_json::json!({"workspace": "w1", "name": "Acme\r\nInc"});
    let whose = async |peer: &Peer, more: &str| {
        engine().user_info(&peer.provider(more), &client(), &token, extra.as_object().unwrap(), LONG).await
    };
    let peer = Peer::saying(r#"{"data":{"id":42,"email":"a@acme.example"}}"#).await;
    let at = r#","userinfo":{"url":"PEER/me","id":"/data/id","label":"/data/email"}"#;
    let account = whose(&peer, at).await.unwrap().unwrap();
    assert_eq!((account.id.as_str(), account.label.as_deref()), ("42", Some("a@acme.example")));
    assert!(peer.asked()[0].contains("\r\nauthorization: Bearer PLANTED_access\r\n"));
    let own =
        r#","api":{"base_url":"PEER","header":"X-Token","scheme":""},"userinfo":{"url":"PEER/me","id":"/data/id"}"#;
    whose(&peer, own).await.unwrap().unwrap();
    assert!(peer.asked()[1].to_lowercase().contains("\r\nx-token: planted_access\r\n"), "{}", peer.asked()[1]);
    let scheme = r#","userinfo":{"url":"PEER/me","id":"/data/id","scheme":"OAuth"}"#;
    whose(&peer, scheme).await.unwrap().unwrap();
    assert!(peer.asked()[2].contains("\r\nauthorization: OAuth PLANTED_access\r\n"));
    let told = whose(&peer, r#","userinfo":{"id":"/workspace","label":"/name"}"#).await.unwrap().unwrap();
    assert_eq!((told.id.as_str(), told.label.as_deref()), ("w1", Some("Acme  Inc")));
    assert_eq!(whose(&peer, "").await, Ok(None));
    assert_eq!(whose(&peer, r#","userinfo":{"url":"PEER/me","id":"/none"}"#).await.unwrap_err().word(), "no_account");
    let refusing = Peer::that(Then::Say(answer("401 Unauthorized", "text/html", "<html>"))).await;
    let refusal = whose(&refusing, at).await.unwrap_err();
    assert_eq!((refusal.blame, refusal.word().as_str()), (Blame::Provider, "http_401"));
}

#[tokio::test]
async fn whether_a_token_is_active_is_asked_where_that_can_be_asked() {
    let token = Secret::new("PLANTED_access");
    for (body, active) in [
        (r#"{"active":true}"#, Some(true)),
        (r#"{"active":false}"#, Some(false)),
        (r#"{"active":"yes"}"#, None),
        ("x", None),
    ] {
        let peer = Peer::saying(body).await;
        let provider = peer.provider(r#","introspect_url":"PEER/introspect""#);
        assert_eq!(engine().introspect(&provider, &client(), &token, LONG).await, active, "{body}");
        assert_eq!(engine().introspect(&peer.provider(""), &client(), &token, LONG).await, None);
    }
}

#[tokio::test]
async fn a_device_gets_its_codes_and_asks_until_somebody_has_agreed() {
    let peer = Peer::saying(
        r#"{"device_code":"PLANTED_device","user_code":"WDJB-MJHT","verification_url":"https://a.example/device",
        "expires_in":"1800","interval":0}"#,
    )
    .await;
    let provider = peer.provider(r#","device_url":"PEER/device","default_scopes":["a","b"]"#);
    let codes = engine().device_authorization(&provider, &client(), &[], LONG, now).await.unwrap();
    assert!(!format!("{codes:?}").contains("PLANTED"));
    assert_eq!((codes.user_code.as_str(), codes.verification_uri.as_str()), ("WDJB-MJHT", "https://a.example/device"));
    assert_eq!((codes.expires_at, codes.interval_s), (now().plus_ms(1_800_000), 5));
    assert!(peer.asked()[0].ends_with("\r\n\r\nclient_id=the_id&scope=a+b&client_secret=PLANTED_secret"));
    let ask = Ask::DeviceCode { device_code: codes.device_code };
    let poll = async |status: &str, body: &str| {
        let peer = Peer::that(Then::Say(answer(status, "application/json", body))).await;
        let provider = peer.provider("");
        match engine().token(&provider, &client(), &ask, LONG, now).await {
            Sent::Answered(raw) => DevicePoll::of(provider.read(&raw)),
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(poll("400 Wait", r#"{"error":"authorization_pending"}"#).await, DevicePoll::Pending));
    assert!(matches!(poll("400 Wait", r#"{"error":"slow_down"}"#).await, DevicePoll::SlowDown));
    assert!(matches!(poll("503 Busy", "").await, DevicePoll::Again(_)));
    assert!(matches!(poll("500 Oh", "<html>").await, DevicePoll::Again(_)));
    assert!(matches!(poll("200 OK", r#"{"access_token":"A"}"#).await, DevicePoll::Done(_)));
    for over in ["access_denied", "expired_token", "invalid_grant", "invalid_client"] {
        match poll("400 No", &format!(r#"{{"error":"{over}"}}"#)).await {
            DevicePoll::Over(refusal) => assert_eq!(refusal.word(), over),
            other => panic!("{other:?}"),
        }
    }
    for (body, error) in [
        (r#"{"error":"unauthorized_client","error_description":"PLANTED_secret"}"#, "unauthorized_client"),
        (r#"{"device_code":"d","user_code":"u","verification_uri":"javascript:alert(1)"}"#, "verification_uri"),
        ("<html>", "unreadable_body"),
    ] {
        let peer = Peer::saying(body).await;
        let provider = peer.provider(r#","device_url":"PEER/device""#);
        let refusal = engine().device_authorization(&provider, &client(), &[], LONG, now).await.unwrap_err();
        assert_eq!(refusal.word(), error);
        assert!(!format!("{refusal:?}").contains("PLANTED"));
    }
    let refusal = engine().device_authorization(&peer.provider(""), &client(), &[], LONG, now).await.unwrap_err();
    assert_eq!(refusal.word(), "unsupported");
}

/// A server with a discovery document at this path, in which `ISSUER` is its own address with `issuer` behind it.
async fn issuer(path: &'static str, document: &'static str) -> Peer {
    let own = Arc::new(Mutex::new(String::new()));
    let url = Arc::clone(&own);
    let peer = Peer::with(move |request| {
        let document = document.replace("ISSUER", &own.lock().unwrap());
        let found = request.starts_with(&format!("GET {path} "));
        Then::Say(if found {
            answer("200 OK", "application/json", &document)
        } else {
            answer("404 No", "text/html", "")
        })
    })
    .await;
    url.lock().unwrap().clone_from(&peer.url);
    peer
}

#[tokio::test]
async fn an_issuer_is_asked_by_either_standards_path() {
    let document = r#"{"issuer":"ISSUER/t","authorization_endpoint":"ISSUER/a","token_endpoint":"ISSUER/token",
        "userinfo_endpoint":"ISSUER/me","revocation_endpoint":"ISSUER/revoke","scopes_supported":["email","openid","x"],
        "authorization_response_iss_parameter_supported":true,"token_endpoint_auth_methods_supported":["client_secret_post"],
        "code_challenge_methods_supported":["plain","S256"]}"#;
    for path in ["/t/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/t"] {
        let peer = issuer(path, document).await;
        for slash in ["", "/"] {
            let found = engine().discover(&format!("{}/t{slash}", peer.url), LONG).await.unwrap();
            assert_eq!(found.issuer, format!("{}/t", peer.url));
            let given = serde_json::json!({"slug": "a", "name": "A", "issuer": "x", "client_auth": "none"});
            let entry = found.entry(given.as_object().unwrap().clone()).unwrap();
            let wanted = r#"{"slug":"a","name":"A","issuer":"URL/t","iss_in_callback":true,"authorize_url":"URL/a",
                "token_url":"URL/token","revoke_url":"URL/revoke","userinfo":{"url":"URL/me","id":"/sub","label":"/email"},
                "client_auth":"none","default_scopes":["openid","email"]}"#;
            assert_eq!(entry, Entry::parse(&wanted.replace("URL", &peer.url)).unwrap());
        }
    }
}

#[tokio::test]
async fn an_issuer_that_says_something_else_is_not_believed() {
    let path = "/.well-known/openid-configuration";
    for (document, said) in [
        (r#"{"issuer":"https://evil.example","token_endpoint":"ISSUER/token"}"#, "another issuer"),
        (r#"{"issuer":"ISSUER/x","token_endpoint":"ISSUER/token"}"#, "another issuer"),
        (r#"{"token_endpoint":"ISSUER/token"}"#, "no issuer"),
        (r#"{"issuer":"ISSUER"}"#, "token_endpoint"),
        (r#"{"issuer":"ISSUER","token_endpoint":"http://a.example/t"}"#, "token_endpoint"),
        (
            r#"{"issuer":"ISSUER","token_endpoint":"ISSUER/t","token_endpoint_auth_methods_supported":["private_key_jwt"]}"#,
            "client secrets",
        ),
        ("[]", "JSON object"),
        ("<html>", "JSON object"),
    ] {
        let peer = issuer(path, document).await;
        match engine().discover(&peer.url, LONG).await {
            Err(Error::Invalid(faults)) => {
                assert_eq!(faults[0].path, "issuer");
                let Why::NotDiscovered(why) = &faults[0].why else { panic!("{faults:?}") };
                assert!(why.contains(said), "{document}: {why}");
            }
            other => panic!("{document}: {other:?}"),
        }
    }
    for address in ["http://a.example", "https://10.0.0.1", "https://a.example?x=1", "nonsense"] {
        match engine().discover(address, LONG).await {
            Err(Error::Invalid(faults)) => assert_eq!(faults[0].path, "issuer", "{address}"),
            other => panic!("{address}: {other:?}"),
        }
    }
    let slow = Peer::that(Then::SayAndHang(Vec::new())).await;
    assert!(engine().discover(&slow.url, Duration::from_millis(300)).await.is_err());
}
