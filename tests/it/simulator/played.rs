//! Each fault word, and what a client sees of it on the wire.

use std::io::Read as _;

use grantry::simulator::{CLIENT_ID, CLIENT_SECRET, Like, Options, Rotation, WORDS};
use reqwest::{Response, header::HeaderMap};
use serde_json::{Value, json};

use super::{CALLBACK, DEVICE_CODE, Practice, VERIFIER, json_of, refused, text, value};

/// An answer as it came.
struct Wire {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Wire {
    async fn of(answer: Response) -> Self {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Self { status, headers, body: answer.bytes().await.unwrap().to_vec() }
    }

    fn header(&self, name: &str) -> Option<String> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().unwrap().to_owned();
        assert!(values.next().is_none(), "{name} is there once");
        Some(value)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

async fn refresh(practice: &Practice, token: &str, more: &[(&str, &str)]) -> Wire {
    let form = [&[("grant_type", "refresh_token"), ("refresh_token", token)], more].concat();
    Wire::of(practice.try_post("/token", &form).await.unwrap()).await
}

/// A simulator, and the tokens of a grant whose refresh token stays good.
async fn begin() -> (Practice, Value) {
    let practice = Practice::rotating(Rotation::RetrySafe);
    let tokens = practice.tokens().await;
    (practice, tokens)
}

/// What a client sees of a rule.
struct Played {
    words: Value,
    status: u16,
    media: Option<&'static str>,
    body: &'static str,
    /// Whether the request is processed.
    processed: bool,
}

fn played(words: Value, status: u16, media: impl Into<Option<&'static str>>, body: &'static str) -> Played {
    Played { words, status, media: media.into(), body, processed: false }
}

#[tokio::test]
async fn an_answer_has_the_status_the_body_and_the_type_that_a_rule_names() {
    const JSON: &str = "application/json";
    const TEXT: &str = "text/plain; charset=utf-8";
    let (practice, tokens) = begin().await;
    let after = |played: Played| Played { processed: true, ..played };
    let mut refreshes = 0;
    for case in [
        played(json!("answer:402:{\"error\":\"payment_required\"}"), 402, JSON, "{\"error\":\"payment_required\"}"),
        played(json!("answer:401:{\"message\":\"session ended\"}"), 401, JSON, "{\"message\":\"session ended\"}"),
        played(json!("answer:400:error=invalid_grant&a=b:c"), 400, TEXT, "error=invalid_grant&a=b:c"),
        played(json!(["answer:403:<h1>No</h1>", "type:text/html"]), 403, "text/html", "<h1>No</h1>"),
        played(json!(["answer:400:<error/>", "type:application/xml"]), 400, "application/xml", "<error/>"),
        played(json!("answer:200:[1e999]"), 200, JSON, "[1e999]"),
        played(json!("answer_before:404"), 404, None, ""),
        played(json!("answer:999:ü"), 999, TEXT, "ü"),
        after(played(json!("answer_after:502:"), 502, None, "")),
        after(played(json!("answer_after:200:{\"ok\":false}"), 200, JSON, "{\"ok\":false}")),
        played(json!(["error:invalid_grant", "type:text/json"]), 400, "text/json", "as the fault wants"),
        played(json!("invalid_client"), 401, JSON, "invalid_client"),
        played(json!(["status:503", "type:text/plain"]), 503, "text/plain", "Practice page 503"),
        after(played(json!(["html_after", "type:application/json"]), 200, JSON, "Practice page 200")),
    ] {
        practice.control("faults", json!({"on": "refresh", "fault": case.words})).await;
        let wire = refresh(&practice, text(&tokens["refresh_token"]), &[]).await;
        assert_eq!(wire.status, case.status, "{}", case.words);
        assert_eq!(wire.header("content-type").as_deref(), case.media, "{}", case.words);
        if wire.text() != case.body {
            assert!(wire.text().contains(case.body) && !case.body.is_empty(), "{}: {}", case.words, wire.text());
        }
        refreshes += u64::from(case.processed);
        assert_eq!(practice.grant().await["refreshes"], refreshes, "{}", case.words);
    }
}

#[tokio::test]
async fn header_fields_have_the_text_that_a_rule_names() {
    let (practice, tokens) = begin().await;
    for (word, header, texts) in [
        (
            "retry_after",
            "retry-after",
            &[
                "1000000000",
                "120.5",
                "-1",
                "",
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "Sunday, 06-Nov-94 08:49:37 GMT",
                "Sun Nov  6 08:49:37 1994",
                "soon: or later",
            ][..],
        ),
        ("www_authenticate", "www-authenticate", &["Bearer error=\"invalid_token\"", "Basic realm=\"a, b\""]),
        ("type", "content-type", &["application/json;charset=UTF-16", "text/html", "nonsense", ""]),
        ("date", "date", &["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "yesterday"]),
    ] {
        for header_text in texts {
            let words = [&format!("{word}:{header_text}"), "answer:429:{}"];
            for words in [&words[..1], &words[..]] {
                practice.control("faults", json!({"on": "refresh", "fault": words})).await;
                let wire = refresh(&practice, text(&tokens["refresh_token"]), &[]).await;
                assert_eq!(wire.status, if words.len() == 1 { 200 } else { 429 });
                assert_eq!(wire.header(header).as_deref(), Some(*header_text), "{words:?}");
            }
        }
    }
    // A header field that the answer has already is replaced.
    practice.control("faults", json!({"on": "userinfo", "fault": "www_authenticate:Digest x"})).await;
    let answer = practice.http.get(practice.url("/userinfo")).send().await.unwrap();
    assert_eq!(Wire::of(answer).await.header("www-authenticate").as_deref(), Some("Digest x"));
}

#[tokio::test]
async fn numbers_and_texts_of_a_token_answer_are_those_of_a_rule() {
    let (practice, tokens) = begin().await;
    let get = async |words: Value| {
        practice.control("faults", json!({"on": "refresh", "fault": words})).await;
        let wire = refresh(&practice, text(&tokens["refresh_token"]), &[]).await;
        assert_eq!(wire.status, 200, "{words}");
        wire
    };
    for json in ["0", "-1", "\"0\"", "0.4", "1e999", "\"abc\"", "null", "[]", "18446744073709551616"] {
        for field in ["expires_in", "expires_at", "refresh_expires_in"] {
            // A whole number with a sign is an offset from now.
            if (field, json) != ("expires_at", "-1") {
                let wire = get(json!(format!("{field}:{json}"))).await;
                assert_eq!(wire.text().matches(&format!("\"{field}\":")).count(), 1, "{}", wire.text());
                assert!(wire.text().contains(&format!("\"{field}\":{json}}}")), "{}", wire.text());
            }
        }
    }
    for (offset, seconds) in [("+3600", 3600), ("-3600", -3600), ("+0", 0)] {
        let now = jiff::Timestamp::now().as_second();
        let at = get(json!(format!("expires_at:{offset}"))).await.json()["expires_at"].as_i64().unwrap();
        assert!((0..10).contains(&(at - now - seconds)), "{offset}: {at}");
        let at = get(json!(format!("expires_at:rfc3339:{offset}"))).await.json()["expires_at"].clone();
        let at: jiff::Timestamp = text(&at).parse().unwrap();
        assert!((0..10).contains(&(at.as_second() - now - seconds)), "{offset}: {at}");
    }
    let all = get(json!(["no_expires_in", "expires_at:+60", "no_scope", "token_type:N_A", "refresh_expires_in:0"]));
    let all = all.await.json();
    assert_eq!((all.get("expires_in"), all.get("scope")), (None, None));
    assert_eq!((&all["token_type"], &all["refresh_expires_in"]), (&json!("N_A"), &json!(0)));
    assert!(all["expires_at"].is_i64() && all["refresh_token"].is_string());
    let odd = "\"}, \"access_token\": \"x\u{1}";
    let wire = get(json!([format!("token_type:{odd}"), format!("scope:{odd}")])).await;
    assert_eq!((&wire.json()["token_type"], &wire.json()["scope"]), (&json!(odd), &json!(odd)));
    // An error has none of these fields.
    practice.control("faults", json!({"on": "refresh", "fault": ["expires_in:0", "scope:x"]})).await;
    let wire = refresh(&practice, "made-up", &[]).await;
    assert_eq!((wire.status, wire.json().get("expires_in")), (400, None));
}

#[tokio::test]
async fn the_fields_of_a_rule_reach_every_answer_with_tokens() {
    for like in [Like::Plain, Like::Slack, Like::QuickBooks, Like::Shopify] {
        let practice = Practice::like(like);
        let words = json!(["expires_in:0", "refresh_expires_in:7", "no_refresh_token"]);
        practice.control("faults", json!({"on": "token", "fault": words, "times": null})).await;
        let scope = if like == Like::Slack { ("user_scope", "search:read") } else { ("scope", "read") };
        let tokens = practice.redeem(&practice.code(&[scope]).await).await.1;
        let tokens = if like == Like::Slack { tokens["authed_user"].clone() } else { tokens };
        let name = match like {
            Like::QuickBooks => "x_refresh_token_expires_in",
            _ => "refresh_expires_in",
        };
        assert_eq!((&tokens["expires_in"], &tokens[name]), (&json!(0), &json!(7)), "{like}: {tokens}");
        assert_eq!(tokens.get("refresh_token"), None);
    }
    // Shopify names the lifetime of its refresh tokens in another way, and another refresh is healthy.
    let practice = Practice::like(Like::Shopify);
    practice.fault("code", "refresh_expires_in:7").await;
    let tokens = practice.tokens().await;
    assert_eq!((&tokens["refresh_token_expires_in"], tokens.get("refresh_expires_in")), (&json!(7), None));
    // Client credentials and devices.
    let practice = Practice::rotating(Rotation::None);
    for on in ["client_credentials", "device"] {
        practice.fault(on, "expires_in:\"0\"").await;
    }
    let own = practice.post("/token", &[("grant_type", "client_credentials")]).await.1;
    assert_eq!(own["expires_in"], "0");
    let asked = practice.post("/device_authorization", &[]).await.1;
    let form = [("user_code", text(&asked["user_code"])), ("account", "bob@practice.example"), ("decision", "approve")];
    practice.http.post(practice.url("/device")).form(&form).send().await.unwrap();
    let form = [("grant_type", DEVICE_CODE), ("device_code", text(&asked["device_code"]))];
    assert_eq!(practice.post("/token", &form).await.1["expires_in"], "0");
}

#[tokio::test]
async fn a_device_authorization_has_the_numbers_of_a_rule() {
    let practice = Practice::rotating(Rotation::None);
    for json in ["0", "-1", "\"5\"", "1e999", "null", "0.1"] {
        let words = [format!("interval:{json}"), format!("expires_in:{json}")];
        practice.control("faults", json!({"on": "device_authorization", "fault": words})).await;
        let body = practice.try_post("/device_authorization", &[]).await.unwrap().text().await.unwrap();
        assert!(body.ends_with(&format!("\"interval\":{json},\"expires_in\":{json}}}")), "{body}");
    }
    let words = ["no_interval", "no_expires_in"];
    practice.control("faults", json!({"on": "device_authorization", "fault": words})).await;
    let asked = practice.post("/device_authorization", &[]).await.1;
    assert_eq!((asked.get("interval"), asked.get("expires_in")), (None, None));
    assert!(asked["device_code"].is_string());
}

#[tokio::test]
async fn a_numeric_token_works_like_the_token_that_it_stands_for() {
    let (practice, tokens) = begin().await;
    practice.control("faults", json!({"on": "refresh", "fault": "numeric_token", "times": null})).await;
    let wire = refresh(&practice, text(&tokens["refresh_token"]), &[]).await;
    let token = wire.json()["access_token"].as_u64().unwrap();
    let digits = token.to_string();
    assert!(digits.len() == 18 && wire.text().contains(&format!("\"access_token\":{digits}")), "{}", wire.text());
    let (status, info) = practice.userinfo(&json!(digits)).await;
    assert_eq!((status, &info["email"]), (200, &json!("alice@practice.example")));
    let form = [("token", digits.as_str())];
    assert_eq!(practice.post("/introspect", &form).await.1["active"], true);
    assert_eq!(practice.post("/revoke", &form).await.0, 200);
    assert_eq!(practice.userinfo(&json!(digits)).await.0, 401);
    for made_up in ["100000000000000000", "0", "-1", "18446744073709551616"] {
        assert_eq!(practice.userinfo(&json!(made_up)).await.0, 401, "{made_up}");
    }
}

/// A request to each endpoint; its answer has a body of JSON, apart from that of `authorize`.
async fn ask(practice: &Practice, on: &str, tokens: &Value) -> Wire {
    let (access, refresh) = (text(&tokens["access_token"]), text(&tokens["refresh_token"]));
    let get = |path: &str| practice.http.get(practice.url(path)).bearer_auth(access);
    let answer = match on {
        "refresh" => practice.try_post("/token", &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await,
        "code" => {
            let code = practice.code(&[]).await;
            let form = [("code", code.as_str()), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
            practice.try_post("/token", &[&[("grant_type", "authorization_code")], &form[..]].concat()).await
        }
        "device" => practice.try_post("/token", &[("grant_type", DEVICE_CODE), ("device_code", "sim_dc_0_0_0")]).await,
        "client_credentials" => practice.try_post("/token", &[("grant_type", "client_credentials")]).await,
        "token" => practice.try_post("/token", &[("grant_type", "password")]).await,
        "device_authorization" => practice.try_post("/device_authorization", &[]).await,
        "revoke" => practice.try_post("/revoke", &[("token", "sim_at_1_99_0")]).await,
        "introspect" => practice.try_post("/introspect", &[("token", access)]).await,
        "userinfo" => get("/userinfo").send().await,
        "api" => get("/api/things").send().await,
        "authorize" => practice.http.get(practice.authorize_url(&[])).send().await,
        "discovery" => get("/.well-known/openid-configuration").send().await,
        "jwks" => get("/jwks").send().await,
        _ => panic!("{on}"),
    };
    Wire::of(answer.unwrap()).await
}

const EVERY: [&str; 13] = [
    "token",
    "refresh",
    "code",
    "device",
    "client_credentials",
    "device_authorization",
    "revoke",
    "introspect",
    "userinfo",
    "authorize",
    "api",
    "discovery",
    "jwks",
];

fn decoded(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" | "x-gzip" => flate2::read::GzDecoder::new(body).read_to_end(&mut out),
        "deflate" => flate2::read::ZlibDecoder::new(body).read_to_end(&mut out),
        "deflate-raw" => flate2::read::DeflateDecoder::new(body).read_to_end(&mut out),
        // One uncompressed block: three bytes before it and one behind.
        "br" => {
            out.extend_from_slice(body.get(3..body.len() - 1).unwrap_or_default());
            Ok(0)
        }
        _ => panic!("{coding}"),
    }
    .unwrap();
    out
}

#[tokio::test]
async fn every_endpoint_answers_in_every_coding_with_and_without_its_header() {
    let (practice, tokens) = begin().await;
    for on in EVERY {
        let has_body = !matches!(on, "authorize" | "revoke");
        for codings in ["gzip", "x-gzip", "deflate", "deflate-raw", "br", "gzip,gzip", "deflate,br,gzip"] {
            for word in ["encoding", "bare_encoding"] {
                practice.control("faults", json!({"on": on, "fault": format!("{word}:{codings}")})).await;
                let mut wire = ask(&practice, on, &tokens).await;
                let names = codings.replace("deflate-raw", "deflate").replace(',', ", ");
                let header = (word == "encoding").then_some(names);
                assert_eq!(wire.header("content-encoding"), header, "{on} {codings}");
                if has_body {
                    for coding in codings.rsplit(',') {
                        wire.body = decoded(coding, &wire.body);
                    }
                    assert!(wire.json().is_object(), "{on} {codings}: {}", wire.text());
                }
            }
        }
    }
    // What an error or a page says is encoded like everything else.
    for words in [["error:invalid_grant", "encoding:gzip"], ["answer:500:{}", "bare_encoding:gzip"]] {
        practice.control("faults", json!({"on": "refresh", "fault": words})).await;
        let wire = ask(&practice, "refresh", &tokens).await;
        assert!(decoded("gzip", &wire.body).starts_with(b"{"), "{words:?}");
    }
}

#[tokio::test]
async fn every_endpoint_plays_what_any_endpoint_can_play() {
    let (practice, tokens) = begin().await;
    for on in EVERY {
        for (words, status, header, value) in [
            (json!("answer:418:{}"), 418, "content-type", "application/json"),
            (json!("answer_after:418:{}"), 418, "content-type", "application/json"),
            (json!("status:503"), 503, "content-type", "text/html; charset=utf-8"),
            (json!("html_after"), 200, "content-type", "text/html; charset=utf-8"),
            (json!(["status:429", "retry_after:9"]), 429, "retry-after", "9"),
            (json!("rate_limit:9"), 429, "retry-after", "9"),
            (json!(["answer:401", "www_authenticate:Bearer"]), 401, "www-authenticate", "Bearer"),
            (json!(["status:500", "date:never"]), 500, "date", "never"),
            (json!(["status:500", "many_headers:3"]), 500, "x-practice-3", "3"),
            (json!("bomb"), 200, "content-encoding", "gzip"),
            (json!("bare_bomb_after"), 200, "content-type", "application/json"),
            (json!(["answer:400:{}", "utf16"]), 400, "content-length", "6"),
            (json!("redirect:307"), 307, "location", ""),
        ] {
            practice.control("faults", json!({"on": on, "fault": words})).await;
            let wire = ask(&practice, on, &tokens).await;
            assert_eq!(wire.status, status, "{on} {words}");
            let found = wire.header(header).unwrap_or_else(|| panic!("{on} {words}: {header} is missing"));
            assert!(value.is_empty() || found == value, "{on} {words}: {found}");
        }
        // The rule is used up.
        assert!(ask(&practice, on, &tokens).await.status < 404, "{on}");
    }
}

#[tokio::test]
async fn a_bomb_is_a_small_answer_that_grows() {
    let (practice, tokens) = begin().await;
    for (word, header, refreshes) in
        [("bomb", Some("gzip"), 0), ("bare_bomb", None, 0), ("bomb_after", Some("gzip"), 1)]
    {
        practice.fault("refresh", word).await;
        let wire = refresh(&practice, text(&tokens["refresh_token"]), &[]).await;
        assert_eq!((wire.status, wire.header("content-encoding").as_deref()), (200, header), "{word}");
        assert!(wire.body.len() < 300_000, "{}", wire.body.len());
        let mut begin = vec![0; 2 << 20];
        flate2::read::GzDecoder::new(&wire.body[..]).read_exact(&mut begin).unwrap();
        assert!(begin.starts_with(b"{\"token_type\":\"Bearer\""));
        assert_eq!(practice.grant().await["refreshes"], refreshes, "{word}");
    }
}

#[tokio::test]
async fn a_body_may_be_utf_16() {
    let (practice, tokens) = begin().await;
    for (word, mark, read) in [
        ("utf16", [0xFF, 0xFE], u16::from_le_bytes as fn([u8; 2]) -> u16),
        ("utf16be", [0xFE, 0xFF], u16::from_be_bytes),
    ] {
        practice.fault("refresh", word).await;
        let wire = refresh(&practice, text(&tokens["refresh_token"]), &[]).await;
        assert_eq!(wire.body[..2], mark);
        let units: Vec<u16> = wire.body[2..].chunks(2).map(|pair| read([pair[0], pair[1]])).collect();
        let body: Value = serde_json::from_str(&String::from_utf16(&units).unwrap()).unwrap();
        assert!(body["access_token"].is_string());
    }
    practice.control("faults", json!({"on": "refresh", "fault": ["encoding:gzip", "utf16"]})).await;
    let wire = refresh(&practice, text(&tokens["refresh_token"]), &[]).await;
    assert_eq!(decoded("gzip", &wire.body)[..2], [0xFF, 0xFE], "first the characters, then the coding");
}

#[tokio::test]
async fn an_error_repeats_what_was_sent() {
    let (practice, tokens) = begin().await;
    let token = text(&tokens["refresh_token"]);
    let escaped = |escape: &str| token.replace('_', escape);
    let base64 = {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        STANDARD.encode(token)
    };
    for (form, part) in [
        ("plain", token.to_owned()),
        ("cut", format!("{}…", &token[..token.len().div_ceil(2)])),
        ("percent", escaped("%5F")),
        ("percent_lower", escaped("%5f")),
        ("json", escaped("\\u005f")),
        ("html", escaped("&#95;")),
        ("base64", base64),
    ] {
        practice.fault("refresh", &format!("echo:{form}")).await;
        let wire = refresh(&practice, token, &[]).await;
        let told = wire.json();
        refused(&(wire.status, told.clone()), 400, "invalid_grant");
        let description = text(&told["error_description"]);
        assert!(description.contains(&part), "{form}: {description}");
        assert_eq!(description.contains(token), form == "plain", "{form}: {description}");
    }
    assert_eq!(practice.grant().await["refreshes"], 0);
    // Each kind of request has a value to repeat.
    for (on, part) in [
        ("code", "sim_code_"),
        ("device", "sim_dc_0_0_0"),
        ("client_credentials", CLIENT_SECRET),
        ("device_authorization", CLIENT_SECRET),
        ("revoke", "sim_at_1_99_0"),
        ("introspect", text(&tokens["access_token"])),
    ] {
        practice.fault(on, "echo:plain").await;
        let told = ask(&practice, on, &tokens).await.json();
        assert!(text(&told["error_description"]).contains(part), "{on}: {told}");
    }
    for (name, part) in [
        ("client_secret", CLIENT_SECRET),
        ("grant_type", "refresh_token"),
        ("code_verifier", "there is no code_verifier"),
    ] {
        practice.fault("refresh", &format!("echo:plain:{name}")).await;
        let told = refresh(&practice, token, &[]).await.json();
        assert!(text(&told["error_description"]).contains(part), "{name}: {told}");
    }
    // A secret in the header is found as well.
    practice.fault("refresh", "echo:plain:client_secret").await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    let request = practice.http.post(practice.url("/token")).basic_auth(CLIENT_ID, Some(CLIENT_SECRET)).form(&form);
    let told = json_of(request.send().await.unwrap()).await.1;
    assert!(text(&told["error_description"]).contains(CLIENT_SECRET), "{told}");
    // From the authorization endpoint it comes by the browser.
    practice.fault("authorize", "echo:html:state").await;
    let way_back = practice.authorized(&[]).await;
    assert_eq!(value(&way_back, "error"), "invalid_request");
    assert!(value(&way_back, "error_description").contains("the&#32;state"), "{way_back:?}");
}

#[tokio::test]
async fn the_way_back_brings_the_parameters_of_a_rule() {
    let practice = Practice::rotating(Rotation::None);
    practice.fault("authorize", "back:admin_consent=True&tenant=a%26b").await;
    let way_back = practice.authorized(&[]).await;
    assert_eq!((value(&way_back, "admin_consent"), value(&way_back, "tenant")), ("True".into(), "a&b".into()));
    assert_eq!(value(&way_back, "state"), "the state");
    assert!(!way_back.iter().any(|(name, _)| name == "code" || name == "error"), "{way_back:?}");
    let words = json!(["slow:200", "back:error=access_denied&error_description=no", "wrong_iss"]);
    practice.control("faults", json!({"on": "authorize", "fault": words})).await;
    let begun = std::time::Instant::now();
    let way_back = practice.authorized(&[]).await;
    assert!(begun.elapsed() >= std::time::Duration::from_millis(200));
    assert_eq!(value(&way_back, "error_description"), "no");
    assert_eq!(value(&way_back, "iss"), "https://wrong.example");
    practice.fault("authorize", "back:").await;
    assert_eq!(practice.authorized(&[]).await.len(), 2, "state and issuer");
}

#[tokio::test]
async fn a_refresh_may_need_a_scope_or_refuse_one() {
    let practice = Practice::rotating(Rotation::Strict);
    let mut token = practice.tokens().await["refresh_token"].clone();
    assert_eq!(practice.grant().await["last_refresh_scope"], Value::Null);
    practice.control("faults", json!({"on": "refresh", "fault": "needs_scope", "times": 2})).await;
    let bare = refresh(&practice, text(&token), &[]).await;
    refused(&(bare.status, bare.json()), 400, "invalid_request");
    assert!(bare.text().contains("AADSTS90014"), "{}", bare.text());
    assert_eq!(practice.grant().await["last_refresh_scope"], Value::Null);
    let good = refresh(&practice, text(&token), &[("scope", "read")]).await;
    assert_eq!((good.status, &practice.grant().await["last_refresh_scope"]), (200, &json!("read")));
    token = good.json()["refresh_token"].clone();
    practice.control("faults", json!({"on": "token", "fault": "refuses_scope", "times": null})).await;
    let refused_scope = refresh(&practice, text(&token), &[("scope", "read")]).await;
    refused(&(refused_scope.status, refused_scope.json()), 400, "invalid_scope");
    assert_eq!(refresh(&practice, text(&token), &[]).await.status, 200);
    assert_eq!(practice.grant().await["last_refresh_scope"], Value::Null, "the last one had none");
    // Other grant types have a scope as ever.
    assert_eq!(practice.post("/token", &[("grant_type", "client_credentials"), ("scope", "read")]).await.0, 200);
}

#[tokio::test]
async fn a_bad_access_token_is_answered_with_the_status_of_a_rule() {
    let (practice, tokens) = begin().await;
    for on in ["userinfo", "api"] {
        practice.control("faults", json!({"on": on, "fault": "expired_status:403", "times": null})).await;
        assert_eq!(ask(&practice, on, &tokens).await.status, 200, "a good token is good");
    }
    practice.control("expire", json!({})).await;
    for on in ["userinfo", "api"] {
        assert_eq!(ask(&practice, on, &tokens).await.status, 403, "{on}");
    }
    let none = practice.http.get(practice.url("/userinfo")).send().await.unwrap();
    assert_eq!(none.status(), 401, "a missing token is not an expired one");
}

#[tokio::test]
async fn words_that_no_test_plays_are_not_in_the_table() {
    let played = [include_str!("played.rs"), include_str!("faults.rs"), include_str!("transport.rs")].concat();
    for word in WORDS {
        let used = [":", "\"", "_after", "_before"].iter().any(|end| played.contains(&format!("\"{}{end}", word.name)));
        let named = played.contains(&format!("\"{}\"", word.name));
        assert!(used || named, "{}", word.name);
    }
}

#[tokio::test]
async fn decoy_codes_tell_good_credentials_from_bad_ones() {
    let practice = Practice::rotating(Rotation::None);
    let made_up = ["made-up", "sim_code_1_0_00000000000000000000000000000000", "4/0A b+c=&é", &"x".repeat(5000)];
    for code in made_up {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        for (form, what) in [(&form[..2], "bare"), (&form[..3], "with redirect URI"), (&form[..], "with verifier")] {
            for (secret, status, error) in
                [(CLIENT_SECRET, 400, "invalid_grant"), ("PLANTED-wrong", 401, "invalid_client")]
            {
                let basic = practice.http.post(practice.url("/token")).basic_auth(CLIENT_ID, Some(secret)).form(form);
                refused(&json_of(basic.send().await.unwrap()).await, status, error);
                let body = [form, &[("client_id", CLIENT_ID), ("client_secret", secret)]].concat();
                let post = practice.http.post(practice.url("/token")).form(&body);
                let (told, answer) = json_of(post.send().await.unwrap()).await;
                assert_eq!((told, &answer["error"]), (status, &json!(error)), "{what}");
            }
        }
        let unknown = [&form[..], &[("client_id", "unknown"), ("client_secret", CLIENT_SECRET)]].concat();
        let unknown = practice.http.post(practice.url("/token")).form(&unknown).send().await.unwrap();
        refused(&json_of(unknown).await, 401, "invalid_client");
    }
    assert_eq!(practice.state().await["grants"], json!([]));
}

#[tokio::test]
async fn the_definition_may_leave_the_rotation_out() {
    for rotation in [Rotation::Strict, Rotation::Grace(30), Rotation::RetrySafe] {
        for declares_rotation in [true, false] {
            let options = Options { rotation, declares_rotation, ..Options::default() };
            let definition = grantry::simulator::definition(&options, "http://127.0.0.1:1");
            let stated = ["rotates", "retry_safe", "replay_grace_s"].iter().any(|key| definition.get(key).is_some());
            assert_eq!(stated, declares_rotation, "{definition}");
        }
    }
    // The provider rotates all the same.
    let options = Options { rotation: Rotation::Strict, declares_rotation: false, ..Options::default() };
    let practice = Practice::with(options);
    let tokens = practice.tokens().await;
    assert_ne!(practice.refreshed(text(&tokens["refresh_token"])).await["refresh_token"], tokens["refresh_token"]);
}
