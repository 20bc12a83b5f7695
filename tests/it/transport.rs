//! The HTTP transport of the client engine: every valid answer of a provider is read, however it is coded, dated or late.

use std::{
    io::{Read as _, Write as _},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use grantry::{
    domain::{Secret, grant::Blame},
    oauth::{
        Engine,
        catalogue::Resolved,
        device::DevicePoll,
        forward::{Head, Target},
        revoke::{RevocationOutcome, TokenHint},
        trial::{Seen, Told},
        wire::{Answer, Ask, RawAnswer, Refusal, Sent},
    },
    simulator::Rotation,
};
use proptest::prelude::*;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    engine::{LONG, Peer, Then, client, engine, now, provider, refresh},
    support::{
        Server,
        practice::{Practice, until},
    },
};

/// Formats of compressed data.
#[derive(Debug, Clone, Copy)]
enum Format {
    Gzip,
    Zlib,
    Deflate,
}

/// Each format with the values of `Content-Encoding` with which it is sent.
const CODINGS: [(Format, &[Option<&str>]); 3] = [
    (Format::Gzip, &[None, Some("gzip"), Some("X-GZip"), Some("identity"), Some(" gzip "), Some("identity, gzip")]),
    (Format::Zlib, &[None, Some("deflate"), Some("identity")]),
    (Format::Deflate, &[Some("deflate"), Some("Deflate ")]),
];

fn compressed(format: Format, body: &[u8]) -> Vec<u8> {
    macro_rules! written {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }};
    }
    match format {
        Format::Gzip => written!(GzEncoder),
        Format::Zlib => written!(ZlibEncoder),
        Format::Deflate => written!(DeflateEncoder),
    }
}

/// An answer with these bytes as its body; `fields` end with CRLF.
fn answer(status: &str, fields: &str, body: &[u8]) -> Then {
    let head = format!("HTTP/1.1 {status}\r\n{fields}content-length: {}\r\n\r\n", body.len());
    Then::Say([head.as_bytes(), body].concat())
}

fn coding(value: Option<&str>) -> String {
    value.map_or_else(String::new, |value| format!("content-encoding: {value}\r\n"))
}

/// A server that answers every request with this body, in which `PEER` is its own address, after `encode`.
async fn encoding(
    status: &'static str,
    fields: String,
    body: String,
    encode: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
) -> Peer {
    let url = Arc::new(OnceLock::new());
    let own: Arc<OnceLock<String>> = Arc::clone(&url);
    let peer = Peer::with(move |_| {
        let body = body.replace("PEER", own.get().unwrap());
        answer(status, &fields, &encode(body.as_bytes()))
    })
    .await;
    url.set(peer.url.clone()).unwrap();
    peer
}

/// Endpoints that the engine reads, with an answer of each that is understood.
#[derive(Debug, Clone, Copy)]
enum Endpoint {
    Refresh,
    Code,
    ClientCredentials,
    DevicePoll,
    Refused,
    Device,
    UserInfo,
    Introspection,
    Revocation,
    Discovery,
    CodeProbe,
    Page,
}

const ENDPOINTS: [Endpoint; 12] = [
    Endpoint::Refresh,
    Endpoint::Code,
    Endpoint::ClientCredentials,
    Endpoint::DevicePoll,
    Endpoint::Refused,
    Endpoint::Device,
    Endpoint::UserInfo,
    Endpoint::Introspection,
    Endpoint::Revocation,
    Endpoint::Discovery,
    Endpoint::CodeProbe,
    Endpoint::Page,
];

impl Endpoint {
    fn status(self) -> &'static str {
        match self {
            Self::Refused | Self::CodeProbe | Self::Page => "400 Bad Request",
            _ => "200 OK",
        }
    }

    fn body(self, text: &str) -> String {
        match self {
            Self::Refresh | Self::Code | Self::ClientCredentials | Self::DevicePoll => {
                json!({"access_token": format!("PLANTED_{text}"), "refresh_token": "PLANTED_next", "expires_in": 60})
            }
            Self::Refused | Self::CodeProbe => json!({"error": "invalid_grant", "error_description": text}),
            Self::Device => json!({
                "device_code": format!("PLANTED_{text}"),
                "user_code": "AB-CD",
                "verification_uri": "https://a.example/device",
                "expires_in": 60,
            }),
            Self::UserInfo => json!({"id": format!("id_{text}")}),
            Self::Introspection => json!({"active": true, "scope": text}),
            Self::Revocation => json!({"ok": true, "more": text}),
            Self::Discovery => json!({"issuer": "PEER", "token_endpoint": format!("PEER/{text}")}),
            Self::Page => return format!("<!doctype html><p>The redirect URI is unknown.</p>{text}"),
        }
        .to_string()
    }

    /// Asks the endpoint and panics if the body of [`Self::body`] is not understood.
    async fn check(self, peer: &Peer, text: &str) {
        let engine = engine();
        let secret = || Secret::new("PLANTED_sent");
        let provider = peer.provider(
            r#","authorize_url":"PEER/authorize","device_url":"PEER/device","introspect_url":"PEER/introspect",
            "revoke_url":"PEER/revoke","userinfo":{"url":"PEER/me","id":"/id"}"#,
        );
        let token = async |ask: Ask| answered(engine.token(&provider, &client(), &ask, LONG, now).await);
        match self {
            Self::Refresh => assert_eq!(access(&provider, &token(refresh()).await), format!("PLANTED_{text}")),
            Self::Code => {
                let ask =
                    Ask::AuthorizationCode { code: secret(), verifier: None, redirect_uri: "https://a.example".into() };
                assert_eq!(access(&provider, &token(ask).await), format!("PLANTED_{text}"));
            }
            Self::ClientCredentials => {
                let ask = Ask::ClientCredentials { scopes: Vec::new() };
                assert_eq!(access(&provider, &token(ask).await), format!("PLANTED_{text}"));
            }
            Self::DevicePoll => {
                let raw = token(Ask::DeviceCode { device_code: secret() }).await;
                assert!(matches!(DevicePoll::of(provider.read(&raw)), DevicePoll::Done(_)));
            }
            Self::Refused => match provider.read(&token(refresh()).await) {
                Answer::Refused(refusal) => {
                    assert_eq!((refusal.blame, refusal.word().as_str()), (Blame::Grant, "invalid_grant"));
                    assert_eq!(refusal.description.as_deref(), Some(text));
                }
                Answer::Tokens(tokens) => panic!("{tokens:?}"),
            },
            Self::Device => {
                let codes = engine.device_authorization(&provider, &client(), &[], LONG, now).await.unwrap();
                assert_eq!(codes.device_code.expose(), format!("PLANTED_{text}"));
            }
            Self::UserInfo => {
                let account =
                    engine.user_info(&provider, &client(), &secret(), &serde_json::Map::new(), LONG).await.unwrap();
                assert_eq!(account.unwrap().id, format!("id_{text}"));
            }
            Self::Introspection => {
                assert_eq!(engine.introspect(&provider, &client(), &secret(), LONG).await, Some(true));
            }
            Self::Revocation => {
                let provider = peer.provider(r#","revoke_url":"PEER/r","success":{"pointer":"/ok","equals":true}"#);
                let request = provider.revocation(&client(), &secret(), TokenHint::Access).unwrap();
                let sent = engine.revoke(&request, LONG, now).await;
                assert_eq!(request.outcome(&sent), RevocationOutcome::Revoked);
            }
            Self::Discovery => {
                let found = engine.discover(&peer.url, LONG).await.unwrap();
                assert_eq!(found.token_url, format!("{}/{text}", peer.url));
            }
            Self::CodeProbe => {
                let trial = engine.try_code(&provider, &client(), "https://a.example/cb", LONG, now).await.unwrap();
                assert_eq!((trial.told, trial.error.as_str()), (Told::NoSuchCode, "invalid_grant"));
                assert_eq!(trial.exchange.received.body, self.body(text));
            }
            Self::Page => {
                let visit = engine.visit(&provider, &client(), "https://a.example/cb", LONG).await.unwrap().unwrap();
                assert_eq!(visit.seen, Seen::NotThere(400));
                assert_eq!(visit.exchange.received.body, self.body(text));
            }
        }
    }
}

fn answered(sent: Sent) -> RawAnswer {
    match sent {
        Sent::Answered(raw) => raw,
        other => panic!("{other:?}"),
    }
}

fn access(provider: &Resolved, raw: &RawAnswer) -> String {
    match provider.read(raw) {
        Answer::Tokens(tokens) => tokens.access.expose().to_owned(),
        Answer::Refused(refusal) => panic!("{refusal:?}"),
    }
}

/// What an answer to a refresh means that has these header fields and this body.
async fn refreshed(status: &'static str, fields: &str, body: &[u8]) -> (Sent, Peer) {
    let peer = Peer::that(answer(status, fields, body)).await;
    let sent = engine().token(&peer.provider(""), &client(), &refresh(), LONG, now).await;
    (sent, peer)
}

/// An answer that was not read: its [`Refusal`].
fn unclear(sent: &Sent) -> Refusal {
    assert!(matches!(sent, Sent::Unclear(_)), "{sent:?}");
    let refusal = Refusal::of_sent(sent);
    assert!(refusal.unclear);
    refusal
}

#[tokio::test]
async fn every_endpoint_reads_every_content_coding() {
    for endpoint in ENDPOINTS {
        for (format, codings) in CODINGS {
            for value in codings {
                let encode = move |body: &[u8]| compressed(format, body);
                let peer = encoding(endpoint.status(), coding(*value), endpoint.body("x"), encode).await;
                endpoint.check(&peer, "x").await;
            }
        }
        // A proxy has decoded the body and kept the field.
        for value in ["gzip", "deflate", "br", "gzip, gzip"] {
            let peer = encoding(endpoint.status(), coding(Some(value)), endpoint.body("x"), <[u8]>::to_vec).await;
            endpoint.check(&peer, "x").await;
        }
        for little in [true, false] {
            let utf16 = move |body: &[u8]| {
                let units = std::str::from_utf8(body).unwrap().encode_utf16();
                let bytes = units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() });
                let mark = if little { [0xff, 0xfe] } else { [0xfe, 0xff] };
                mark.into_iter().chain(bytes).collect::<Vec<u8>>()
            };
            let peer = encoding(endpoint.status(), String::new(), endpoint.body("x"), utf16).await;
            endpoint.check(&peer, "x").await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_body_is_read_in_any_coding_at_any_endpoint(
        endpoint in prop::sample::select(ENDPOINTS.to_vec()),
        (format, value) in prop::sample::select(CODINGS.to_vec()).prop_flat_map(|(format, codings)| {
            (Just(format), prop::sample::select(codings.to_vec()))
        }),
        is_compressed in any::<bool>(),
        text in "[A-Za-z0-9_-]{1,200}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let encode = move |body: &[u8]| if is_compressed { compressed(format, body) } else { body.to_vec() };
            let peer = encoding(endpoint.status(), coding(value), endpoint.body(&text), encode).await;
            endpoint.check(&peer, &text).await;
        });
    }
}

#[tokio::test]
async fn a_body_that_exceeds_the_limit_after_decoding_is_refused() {
    for (format, codings) in CODINGS {
        let bomb = compressed(format, &vec![b' '; 16 * 1024 * 1024]);
        for value in codings {
            let (sent, _) = refreshed("200 OK", &coding(*value), &bomb).await;
            let refusal = unclear(&sent);
            assert_eq!((refusal.blame, refusal.word().as_str()), (Blame::Network, "too_large"), "{value:?}");
        }
        // The limit is 1 MiB.
        let body = |length: usize| format!(r#"{{"access_token":"PLANTED_access"{}}}"#, " ".repeat(length - 33));
        let value = codings[codings.len() - 1];
        let (sent, peer) = refreshed("200 OK", &coding(value), &compressed(format, body(1 << 20).as_bytes())).await;
        assert_eq!(access(&peer.provider(""), &answered(sent)), "PLANTED_access");
        let (sent, _) = refreshed("200 OK", &coding(value), &compressed(format, body((1 << 20) + 1).as_bytes())).await;
        assert_eq!(unclear(&sent).word(), "too_large");
    }
    // The limit applies to what is received as well.
    let large = [&compressed(Format::Gzip, b"{}")[..], &vec![0; 1 << 20]].concat();
    let (sent, _) = refreshed("200 OK", &coding(Some("gzip")), &large).await;
    assert_eq!(unclear(&sent).word(), "too_large");
}

#[tokio::test]
async fn codings_that_cannot_be_decoded_are_attributed_to_the_provider_by_name() {
    let gzip = compressed(Format::Gzip, br#"{"access_token":"PLANTED_access"}"#);
    let twice = compressed(Format::Gzip, &gzip);
    let corrupt = "the content coding could not be decoded";
    let long = "x".repeat(99);
    for (value, body, error, description) in [
        (Some("br"), &b"\x0b\x02\x80{}\n\x03"[..], "unsupported_coding", "unsupported content coding: br"),
        (Some("zstd"), b"\x28\xb5\x2f\xfd", "unsupported_coding", "unsupported content coding: zstd"),
        (Some("gzip,gzip"), &twice, "unsupported_coding", "unsupported content coding: gzip, gzip"),
        (Some("br, gzip"), &gzip, "unsupported_coding", "unsupported content coding: br, gzip"),
        (Some("gzip"), &twice, "unsupported_coding", "unsupported content coding: gzip, gzip"),
        (Some("b\u{fc}"), &gzip, "unsupported_coding", "unsupported content coding: b??"),
        (Some(&long), &gzip, "unsupported_coding", &format!("unsupported content coding: {}", "x".repeat(40))),
        (Some("gzip"), b"\x1f\x8b\x08\x00", "undecodable", corrupt),
        (None, b"\x1f\x8b\x08\x00", "undecodable", corrupt),
        (Some("gzip"), &gzip[..gzip.len() - 1], "undecodable", corrupt),
        (Some("deflate"), b"\xff\xff\xff", "undecodable", corrupt),
    ] {
        let (sent, peer) = refreshed("200 OK", &coding(value), body).await;
        let refusal = unclear(&sent);
        assert_eq!((refusal.blame, refusal.word().as_str()), (Blame::Provider, error), "{value:?}");
        assert_eq!(refusal.description.as_deref(), Some(description), "{value:?}");
        assert_eq!(peer.asked().len(), 1);
        // A status that says no counts without the body, and the wait that it names as well.
        for (status, blame, error) in [
            ("302 Found", Blame::Provider, "redirect"),
            ("401 Unauthorized", Blame::Provider, "http_401"),
            ("429 Too Many Requests", Blame::Provider, "rate_limited"),
            ("503 Service Unavailable", Blame::Provider, "http_503"),
        ] {
            let (sent, peer) = refreshed(status, &format!("{}retry-after: 7\r\n", coding(value)), body).await;
            let Answer::Refused(refusal) = peer.provider("").read(&answered(sent)) else { panic!("{status}") };
            assert_eq!((refusal.blame, refusal.word().as_str()), (blame, error), "{status}");
            assert_eq!(refusal.retry_after, Some(Duration::from_secs(7)), "{status}");
        }
    }
}

#[tokio::test]
async fn up_to_256_header_fields_are_read_and_more_are_named() {
    let body = br#"{"access_token":"PLANTED_access"}"#;
    for count in [101, 255] {
        let fields = "x-field: x\r\n".repeat(count);
        let (sent, peer) = refreshed("200 OK", &fields, body).await;
        assert_eq!(access(&peer.provider(""), &answered(sent)), "PLANTED_access", "{count}");
    }
    let many = "x-field: x\r\n".repeat(300);
    let large = format!("x-large: {}\r\n", "x".repeat(1 << 20));
    for fields in [many, large] {
        let (sent, _) = refreshed("200 OK", &fields, body).await;
        let refusal = unclear(&sent);
        assert_eq!((refusal.blame, refusal.word().as_str()), (Blame::Provider, "too_many_headers"));
        let description = refusal.description.unwrap();
        assert!(description.contains("more than 256 header fields"), "{description}");
    }
}

#[tokio::test]
async fn numeric_tokens_are_taken_as_sent_or_refused() {
    let body = br#"{"access_token":12345678901234567890,"refresh_token":42}"#;
    let (sent, peer) = refreshed("200 OK", "", body).await;
    let Answer::Tokens(tokens) = peer.provider("").read(&answered(sent)) else { panic!("no tokens") };
    assert_eq!((tokens.access.expose(), tokens.refresh.unwrap().expose()), ("12345678901234567890", "42"));
    for body in [r#"{"access_token":123456789012345678901234567890}"#, r#"{"access_token":"a","refresh_token":1e9}"#] {
        let (sent, peer) = refreshed("200 OK", "", body.as_bytes()).await;
        let Answer::Refused(refusal) = peer.provider("").read(&answered(sent)) else { panic!("{body}") };
        assert_eq!((refusal.word().as_str(), refusal.unclear), ("malformed_token", true), "{body}");
    }
}

#[tokio::test]
async fn dates_of_all_three_forms_are_read() {
    let dates = ["Thu, 01 Jan 2026 00:00:10 GMT", "Thursday, 01-Jan-26 00:00:10 GMT", "Thu Jan  1 00:00:10 2026"];
    let waits = [
        ("Thu, 01 Jan 2026 00:01:10 GMT", Some(60)),
        ("Thursday, 01-Jan-26 00:01:10 GMT", Some(60)),
        ("Thu Jan  1 00:01:10 2026", Some(60)),
        ("Thu, 01 Jan 2015 00:01:10 GMT", Some(0)),
        ("Thursday, 01-Jan-15 00:01:10 GMT", Some(0)),
        ("120.5", Some(121)),
        ("-7", Some(0)),
        ("1000000000", Some(86400)),
        ("soon", None),
    ];
    for date in dates {
        for (wait, seconds) in waits {
            let fields = format!("date: {date}\r\nretry-after: {wait}\r\n");
            let (sent, _) = refreshed("429 Too Many Requests", &fields, b"{}").await;
            let raw = answered(sent);
            assert_eq!(raw.date, Some(now().plus_ms(10_000)), "{date}");
            assert_eq!(raw.retry_after, seconds.map(Duration::from_secs), "{date} {wait}");
        }
    }
}

/// A server that answers on kept connections, and resets each at its second request if `resets`. It counts connections.
async fn keeping(resets: bool, body: &'static str) -> (String, Arc<AtomicUsize>) {
    async fn converse(mut stream: TcpStream, resets: bool, body: &str) {
        let mut is_first = true;
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut chunk).await {
            request.extend_from_slice(&chunk[..length]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let Some((head, sent)) = text.split_once("\r\n\r\n") else { continue };
            let field = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok();
            if sent.len() < head.lines().find_map(field).unwrap_or(0) {
                continue;
            }
            if resets && !is_first {
                stream.set_zero_linger().unwrap();
                return;
            }
            request.clear();
            is_first = false;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(converse(stream, resets, body));
        }
    });
    (url, connections)
}

#[tokio::test]
async fn every_token_request_has_a_connection_of_its_own() {
    let body = r#"{"access_token":"PLANTED_access","refresh_token":"PLANTED_next","id":"1"}"#;
    let secret = || Secret::new("PLANTED_sent");
    let code =
        || Ask::AuthorizationCode { code: secret(), verifier: None, redirect_uri: "https://a.example/cb".to_owned() };
    let asks = [
        code(),
        code(),
        refresh(),
        refresh(),
        Ask::DeviceCode { device_code: secret() },
        Ask::DeviceCode { device_code: secret() },
        Ask::ClientCredentials { scopes: Vec::new() },
        Ask::ClientCredentials { scopes: Vec::new() },
    ];
    for engine in [engine(), Engine::new(true)] {
        let (url, connections) = keeping(true, body).await;
        let provider = provider(&format!(
            r#"{{"slug":"a","name":"A","token_url":"{url}/token","userinfo":{{"url":"{url}/me","id":"/id"}}}}"#
        ));
        for (number, ask) in asks.iter().enumerate() {
            let sent = engine.token(&provider, &client(), ask, LONG, now).await;
            assert_eq!(access(&provider, &answered(sent)), "PLANTED_access", "{number}");
            assert_eq!(connections.load(Ordering::SeqCst), number + 1);
            // A kept connection to the same server is not used for the next token request either.
            if number == 0 {
                engine.user_info(&provider, &client(), &secret(), &serde_json::Map::new(), LONG).await.unwrap();
                connections.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}

#[tokio::test]
async fn requests_that_can_be_repeated_share_a_connection() {
    let (url, connections) = keeping(false, r#"{"id":"1"}"#).await;
    let provider = provider(&format!(
        r#"{{"slug":"a","name":"A","token_url":"{url}/token","userinfo":{{"url":"{url}/me","id":"/id"}}}}"#
    ));
    let engine = engine();
    for _ in 0..3 {
        let account =
            engine.user_info(&provider, &client(), &Secret::new("PLANTED_a"), &serde_json::Map::new(), LONG).await;
        assert_eq!(account.unwrap().unwrap().id, "1");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_page_that_never_ends_is_used_as_far_as_it_came() {
    let page = "<p>The redirect URI is unknown.</p>".repeat(100);
    let stored = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
        encoder.write_all(page.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    for (field, body) in [("", page.as_bytes()), ("content-encoding: gzip\r\n", &stored)] {
        let head = format!("HTTP/1.1 400 Bad Request\r\n{field}content-length: 9999\r\n\r\n");
        let peer = Peer::that(Then::SayAndHang([head.as_bytes(), &body[..2000]].concat())).await;
        let provider = peer.provider(r#","authorize_url":"PEER/authorize""#);
        let deadline = Duration::from_millis(500);
        let visit = engine().visit(&provider, &client(), "https://a.example/cb", deadline).await.unwrap().unwrap();
        assert_eq!(visit.seen, Seen::NotThere(400), "{field}");
    }
    let silent = Peer::that(Then::SayAndHang(Vec::new())).await;
    let provider = silent.provider(r#","authorize_url":"PEER/authorize""#);
    let visit = engine().visit(&provider, &client(), "https://a.example/cb", Duration::from_millis(200)).await;
    assert_eq!(visit.unwrap().unwrap().seen, Seen::Unreachable("timeout".to_owned()));
}

#[tokio::test]
async fn proxied_data_that_arrived_while_the_thread_was_blocked_is_passed_on() {
    const IDLE: Duration = Duration::from_millis(300);
    /// Blocks the only thread of the runtime for longer than that.
    async fn block() {
        // The request is sent and the timer runs.
        tokio::time::sleep(Duration::from_millis(50)).await;
        std::thread::sleep(Duration::from_millis(500));
    }
    for _ in 0..4 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let (go_on, told) = std::sync::mpsc::channel();
        let api = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            std::thread::sleep(Duration::from_millis(150));
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nfirst").unwrap();
            told.recv().unwrap();
            std::thread::sleep(Duration::from_millis(150));
            stream.write_all(b"second").unwrap();
        });
        let provider = provider(r#"{"slug":"a","name":"A","token_url":"https://a.example/token"}"#);
        let target = Target::below(&base.parse().unwrap(), "/x", None).unwrap();
        let head = Head { method: "GET".to_owned(), headers: Vec::new() };
        let (engine, token) = (engine(), Secret::new("PLANTED_access"));
        let (answer, ()) = tokio::join!(engine.forward(&provider, &token, &target, &head, None, IDLE), block());
        let mut parts = answer.unwrap().into_parts(IDLE, ());
        assert_eq!(parts.recv().await.unwrap().unwrap(), "first");
        go_on.send(()).unwrap();
        let (part, ()) = tokio::join!(parts.recv(), block());
        assert_eq!(part.unwrap().unwrap(), "second");
        assert!(parts.recv().await.is_none());
        api.join().unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_arrived_while_the_process_was_stopped_is_used() {
    if std::env::var_os("GRANTRY_LONG_TESTS").is_none_or(|value| value != "1") {
        // Not `println!`: the harness keeps that of a test that passes to itself.
        let _ = std::io::stderr().write_all(b"\nskipped: set GRANTRY_LONG_TESTS=1\n");
        return;
    }
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(id, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    let path = format!("/api/connections/{id}");
    let before = admin.get(&format!("{path}/token")).await.expect(200)["access_token"].clone();
    practice.control("hold", json!({"at": "after"})).await;
    let refresh_path = format!("{path}/refresh");
    let asking = async { admin.post(&refresh_path, &json!({})).await };
    let stopping = async {
        until("the refresh is at the provider", Duration::from_secs(20), async || practice.refreshes().await == 1)
            .await;
        let pid = server.pid().to_string();
        let signal = |name: &str| {
            assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success(), "{name}");
        };
        signal("-STOP");
        practice.control("release", json!({})).await;
        tokio::time::sleep(Duration::from_secs(65)).await;
        signal("-CONT");
    };
    tokio::join!(asking, stopping);
    until("the new token is served", Duration::from_secs(20), async || {
        let answer = admin.get(&format!("{path}/token")).await;
        answer.status == 200 && answer.json()["access_token"] != before
    })
    .await;
    assert_eq!(practice.refreshes().await, 1, "the used token is not sent again");
    assert_eq!(practice.grant(grant).await["alive"], true);
    let detail = admin.get(&path).await.expect(200)["result"].clone();
    assert_eq!(detail["authorization_status"], "success", "{detail}");
    assert_eq!(detail["grant"]["last_refresh"]["ok"], true, "{detail}");
}
