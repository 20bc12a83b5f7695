//! Secrets in every encoding and at every length, and text without secrets.

use std::time::{Duration, Instant};

use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    domain::Timestamp,
    oauth::{
        catalogue::{ClientAuth, Entry, RequestFormat},
        request::Method,
        wire::Ask,
    },
};

/// With a character of each kind that an encoder changes.
const SECRET: &str = "PLANTED s&c/r\"t+é<1>'%=~_-.z";

fn redactor(secrets: &[&str]) -> Redactor {
    Redactor::new(&secrets.iter().map(|secret| Secret::new(*secret)).collect::<Vec<_>>())
}

/// Encodes a text character by character, so that the form of a piece is a piece of the form.
type Encoder = fn(&str) -> String;

fn each(text: &str, one: impl Fn(char) -> String) -> String {
    text.chars().map(one).collect()
}

fn each_byte(text: &str, one: impl Fn(u8) -> String) -> String {
    text.bytes().map(one).collect()
}

fn each_unit(text: &str, one: impl Fn(u16) -> String) -> String {
    text.encode_utf16().map(one).collect()
}

fn json_units(text: &str) -> String {
    each_unit(text, |unit| format!("\\u{unit:04x}"))
}

const ENCODERS: &[(&str, Encoder)] = &[
    ("plain", |text| text.to_owned()),
    ("percent, upper case", |text| percent(text, NON_ALPHANUMERIC)),
    ("percent, lower case", |text| String::from_utf8(with_lower_hex(&percent(text, COMPONENT))).expect("ASCII")),
    ("percent, every byte", |text| each_byte(text, |byte| format!("%{byte:02x}"))),
    ("percent, twice", |text| percent(&percent(text, COMPONENT), COMPONENT)),
    ("ECMAScript escape", |text| each_unit(text, |unit| format!("%u{unit:04X}"))),
    ("form", form),
    ("JSON", json),
    ("JSON of PHP", |text| json(text).replace('/', "\\/")),
    ("JSON, every unit, lower case", json_units),
    ("JSON, every unit, upper case", |text| each_unit(text, |unit| format!("\\u{unit:04X}"))),
    ("JSON in JSON", |text| json(&json(text))),
    ("JSON of JSON units", |text| json(&json_units(text))),
    ("JavaScript bytes", |text| each_byte(text, |byte| format!("\\x{byte:02x}"))),
    ("HTML by name", html),
    ("HTML by decimal number", |text| each(text, |c| format!("&#{};", u32::from(c)))),
    ("HTML by hexadecimal number", |text| each(text, |c| format!("&#x{:x};", u32::from(c)))),
    ("HTML by padded number", |text| each(text, |c| format!("&#X{:06X};", u32::from(c)))),
    ("HTML by every name", |text| {
        each(text, |c| match REFERENCES.iter().find(|(_, byte)| char::from(*byte) == c) {
            Some((name, _)) => format!("&{name};"),
            None => c.to_string(),
        })
    }),
    ("HTML twice", |text| html(&html(text))),
    ("percent-encoded JSON", |text| percent(&json(text), COMPONENT)),
    ("percent-encoded JSON units", |text| percent(&json_units(text), COMPONENT)),
    ("JSON of a form", |text| json(&form(text))),
    ("HTML of JSON units", |text| html(&json_units(text))),
    ("one character in a line", |text| each(text, |c| format!("{c}\r\n"))),
];

/// The shortest pieces of a secret that must not be seen, each of at least 8 bytes.
fn pieces(secret: &str) -> impl Iterator<Item = &str> {
    secret.char_indices().filter_map(|(from, _)| {
        let length = secret[from..].char_indices().map(|(at, c)| at + c.len_utf8()).find(|length| *length >= PIECE)?;
        Some(&secret[from..from + length])
    })
}

/// Whether a piece of a secret is in a redacted text in the form that an encoder makes of it.
fn survives<'a>(shown: &str, secret: &'a str, encode: Encoder) -> Option<&'a str> {
    let shown = shown.replace(REDACTED, "\u{0}");
    pieces(secret).find(|piece| shown.contains(&encode(piece)))
}

/// Whether a piece of a secret is in a base64 text at any of its alignments.
fn survives_in_base64<'a>(shown: &str, secret: &'a str) -> Option<&'a str> {
    let shown = shown.replace(REDACTED, "\u{0}");
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_".contains(c);
    shown.split(|c| !is_base64(c)).find_map(|run| {
        let run: String = run.replace('-', "+").replace('_', "/");
        (0..run.len().min(4)).find_map(|from| {
            let whole = (run.len() - from) / 4 * 4;
            let bytes = STANDARD_NO_PAD.decode(&run[from..from + whole]).ok()?;
            pieces(secret).find(|piece| bytes.windows(piece.len()).any(|window| window == piece.as_bytes()))
        })
    })
}

#[test]
fn secrets_are_replaced_whole_and_in_pieces() {
    let redactor = redactor(&["PLANTED s&c/r\"t+é", "short", "abc"]);
    for (text, shown) in [
        ("is PLANTED s&c/r\"t+é good?", "is [redacted] good?"),
        ("PLANTED+s%26c%2Fr%22t%2B%C3%A9", "[redacted]"),
        ("PLANTED%20s%26c%2fr%22t%2b%c3%a9", "[redacted]"),
        ("<b>PLANTED s&amp;c/r&quot;t+é</b>", "<b>[redacted]</b>"),
        (r#"{"a": "\u0050LANTED s&c\/r\"t+\u00e9"}x"#, r#"{"a": "[redacted]"}x"#),
        ("begins with PLANTED s", "begins with [redacted]"),
        ("in the middle: TED s&c/r", "in the middle: [redacted]"),
        ("too little: PLANTED", "too little: PLANTED"),
        ("a shortshorter one", "a [redacted]er one"),
        ("%73hort, &#115;hort, c2hvcnQ=", "[redacted], [redacted], [redacted]="),
        ("shor, hort, abc", "shor, hort, abc"),
        ("é🜁 100 % \\ & &amp; %41 \u{0}", "é🜁 100 % \\ & &amp; %41 \u{0}"),
        ("nothing", "nothing"),
        ("", ""),
    ] {
        assert_eq!(redactor.text(text), shown);
    }
    assert_eq!(redactor.own_text("PLANTED s is a piece, short is whole"), "PLANTED s is a piece, [redacted] is whole");
}

#[test]
fn each_form_of_a_secret_is_replaced_at_each_length() {
    let redactor = redactor(&[SECRET]);
    for (name, encode) in ENCODERS {
        for piece in pieces(SECRET).chain([SECRET, &SECRET[..10], &SECRET[5..15]]) {
            let form = encode(piece);
            for text in [form.clone(), format!("before {form} after"), format!("{form}…"), format!("{form}{form}")] {
                let shown = redactor.text(&text);
                assert_eq!(survives(&shown, SECRET, *encode), None, "{name}: {text} → {shown}");
                assert!(shown.contains(REDACTED), "{name}: {text} → {shown}");
                assert!(shown.len() <= "before  after".len() + REDACTED.len() + 8, "{name}: {text} → {shown}");
            }
        }
    }
}

#[test]
fn base64_is_found_at_each_alignment() {
    let redactor = redactor(&[SECRET]);
    for before in ["", "i", "id", "id:", "id:-", "an id:"] {
        for after in ["", "x", "xy", ":more"] {
            let text = format!("{before}{SECRET}{after}");
            for form in [STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                let shown = redactor.text(&format!("\"{form}\""));
                assert_eq!(survives_in_base64(&shown, SECRET), None, "{form} → {shown}");
                assert!(shown.len() < REDACTED.len() + 24, "{form} → {shown}");
                let escaped = percent(&form, NON_ALPHANUMERIC);
                let shown = redactor.text(&escaped);
                let decoded = percent_decode_str(&shown).decode_utf8().expect("text");
                assert_eq!(survives_in_base64(&decoded, SECRET), None, "{escaped} → {shown}");
                // In the middle of a longer piece.
                assert_eq!(survives_in_base64(&redactor.text(&form[4..form.len() - 3]), SECRET), None);
            }
        }
    }
    // What is in base64 may be encoded as well.
    for inner in [form(SECRET), json(SECRET), html(SECRET), percent(SECRET, COMPONENT)] {
        let shown = redactor.text(&STANDARD.encode(format!("{{\"a\":\"{inner}\"}}")));
        assert_eq!(survives_in_base64(&shown, &inner), None, "{inner} → {shown}");
    }
}

#[test]
fn json_is_redacted_by_name_and_value() {
    let redactor = redactor(&["PLANTED-secret-1", "12345678901", "4711"]);
    for (body, shown) in [
        (
            r#"{"error":"x","\u0050LANTED-secret-1":["\u0050LANTED\u002dsecret-1", "\n"]}"#,
            r#"{"error":"x","[redacted]":["[redacted]","\n"]}"#,
        ),
        (r#"{"a": "PLANTED-secret-1"}"#, r#"{"a":"[redacted]"}"#),
        (r#"{"a":"{\"b\":\"\\u0050LANTED-secret-1\"}"}"#, r#"{"a":"{\"b\":\"[redacted]\"}"}"#),
        (r#"[12345678901, 47, {"n":4711}, true, null]"#, r#"["[redacted]",47,{"n":"[redacted]"},true,null]"#),
        ("{\"a\":\"PLANTED-secret-1", "{\"a\":\"[redacted]"),
        ("error=PLANTED-secret-1&x=1", "error=[redacted]&x=1"),
    ] {
        assert_eq!(redactor.body(body), shown);
    }
}

#[test]
fn words_of_the_protocols_keep_their_meaning() {
    let redactor =
        redactor(&["my-invalid_grant-client_secret-error_description", "invalid_grant", "PLANTED own code x"]);
    let body = r#"{"error":"invalid_grant","error_description":"no invalid_grant","client_secret":"x"}"#;
    assert_eq!(
        redactor.body(body),
        r#"{"error":"invalid_grant","error_description":"no [redacted]","client_secret":"x"}"#
    );
    let json = r#"{"slug":"a","name":"A","token_url":"https://a.example/t","errors":{"PLANTED own code":"grant"},
        "authorize_params":{"api_key":"PLANTED_key","token_access_type":"PLANTED_type"},
        "token_params":{"password":"PLANTED_password"}}"#;
    let provider = provider(json);
    let redactor = Redactor::for_provider(&provider, &[Secret::new("PLANTED own code x")]);
    assert_eq!(redactor.text("PLANTED own code"), "PLANTED own code");
    assert_eq!(redactor.text("PLANTED own code!"), "[redacted]!");
    assert_eq!(redactor.text("ANTED_key ANTED_password ANTED_type"), "[redacted] [redacted] ANTED_type");
}

fn provider(json: &str) -> Resolved {
    let none = std::collections::BTreeMap::new();
    Entry::parse(json).expect("an entry").resolve(&none, &none).expect("resolved")
}

#[test]
fn a_redactor_knows_all_that_a_request_carries() {
    let provider =
        |more: &str| provider(&format!(r#"{{"slug":"a","name":"A","token_url":"https://a.example/t"{more}}}"#));
    let client = Client {
        id: "the public id of the app".to_owned(),
        secret: Some(Secret::new("PLANTED_secret_1")),
        known: vec![Secret::new("PLANTED_secret_2"), Secret::new("PLANTED_before_1")],
    };
    let code = Ask::AuthorizationCode {
        code: Secret::new("PLANTED_code_123"),
        verifier: Some(Secret::new("PLANTED_verifier")),
        redirect_uri: "https://grantry.example/oauth/callback".to_owned(),
    };
    let basic = provider(r#","client_auth":"client_secret_basic","token_params":{"audience":"https://api.example"}"#);
    let request = basic.token_request(&client, &code);
    let redactor = Redactor::for_request(&basic, &client, &request);
    let pair = STANDARD.encode("the%20public%20id%20of%20the%20app:PLANTED_secret_1");
    for secret in ["_secret_1", "_secret_2", "_before_1", "_code_123", "_verifier", &pair, &pair[5..30]] {
        assert_eq!(redactor.text(secret), REDACTED);
    }
    for public in [client.id.as_str(), "https://grantry.example/oauth/callback", "https://api.example", "Basic"] {
        assert_eq!(redactor.text(public), public);
    }
    let post = provider(r#","refresh_params":{"access_key":"PLANTED_key_1"},"request_format":"json""#);
    for (ask, secret) in [
        (Ask::DeviceCode { device_code: Secret::new("PLANTED_device_1") }, "_device_1"),
        (Ask::Refresh { refresh_token: Secret::new("PLANTED_grant_12"), scopes: Vec::new() }, "_grant_12"),
        (Ask::ClientCredentials { scopes: vec!["read.the.whole".to_owned()] }, "ANTED_key_1"),
    ] {
        let request = post.token_request(&client, &ask);
        let redactor = Redactor::for_request(&post, &client, &request);
        assert_eq!(redactor.text(secret), REDACTED, "{ask:?}");
        assert_eq!(redactor.text("read.the.whole refresh_token"), "read.the.whole refresh_token", "{ask:?}");
    }
}

#[test]
fn a_request_is_searched_for_secrets() {
    let mut request = Request::new(Method::Post, "https://a.example/t?api_key=K%2B1&tenant=acme", RequestFormat::Form);
    request.field("client_id", "id");
    request.field("token_type_hint", "refresh_token");
    request.field("token", "T");
    let all = |request: &Request| {
        let secrets = request_secrets(request, is_secret_name);
        secrets.iter().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(all(&request), ["T", "K+1"]);
    for (value, secrets) in [("Bearer A", ["A", "A"]), ("A", ["A", "A"]), ("Token is A", ["is A", "A"])] {
        request.authorization = Some(("Authorization".to_owned(), Secret::new(value)));
        assert_eq!(all(&request)[1..3], secrets, "{value}");
    }
    let client = Client { id: "id".to_owned(), secret: Some(Secret::new("S")), known: Vec::new() };
    let mut request = Request::new(Method::Post, "https://a.example/t", RequestFormat::Json);
    request.authenticate(&client, ClientAuth::ClientSecretPost);
    assert_eq!(all(&request), ["S"]);
}

#[test]
fn names_of_secrets_are_told_from_names_of_their_kinds() {
    for secret in
        ["client_secret", "API-Key", "subject_token", "X-Auth-Token", "password", "client_assertion", "code", "state"]
    {
        assert!(is_secret_name(secret), "{secret}");
    }
    for public in [
        "token_type",
        "token_type_hint",
        "token_access_type",
        "requested_token_type",
        "client_id",
        "scope",
        "audience",
        "encoder",
    ] {
        assert!(!is_secret_name(public), "{public}");
    }
    let fields =
        json!({"id_token": "I", "team": {"bot_token": "B", "name": "N", "keys": [{"key": 7}, "x"]}, "ok": true});
    let found = secret_fields(fields.as_object().expect("an object"));
    assert_eq!(found.iter().map(Secret::expose).collect::<Vec<_>>(), ["I", "B", "7"]);
}

#[test]
fn a_whole_answer_and_the_reason_for_none_are_redacted() {
    let redactor = redactor(&["PLANTED_secret", "timeout"]);
    let raw = RawAnswer {
        status: 400,
        content_type: Some("text/html; x=PLANTED_secret".to_owned()),
        date: Some(Timestamp(1)),
        retry_after: Some(Duration::from_secs(2)),
        received_at: Timestamp(3),
        body: Secret::new("<p>PLANTED_secret</p>"),
    };
    let Sent::Answered(raw) = redactor.sent(Sent::Answered(raw)) else { panic!("an answer") };
    assert_eq!(raw.content_type.as_deref(), Some("text/html; x=[redacted]"));
    assert_eq!(raw.body.expose(), "<p>[redacted]</p>");
    assert_eq!((raw.status, raw.date, raw.received_at), (400, Some(Timestamp(1)), Timestamp(3)));
    let long = "x".repeat(1000);
    for (reason, shown) in [
        (transport::TIMEOUT, transport::TIMEOUT.to_owned()),
        (transport::TOO_LARGE, transport::TOO_LARGE.to_owned()),
        ("no PLANTED_secret,\r\nno host", "no [redacted],  no host".to_owned()),
        (&long, format!("{}…", "x".repeat(MAX_REASON))),
    ] {
        for sent in [Sent::NotSent(reason.to_owned()), Sent::Unclear(reason.to_owned())] {
            match redactor.sent(sent) {
                Sent::NotSent(text) | Sent::Unclear(text) => assert_eq!(text, shown),
                Sent::Answered(_) => panic!("no answer came"),
            }
        }
    }
}

#[test]
fn tokens_of_an_answer_are_found() {
    let tokens = |body: &str| {
        let raw = RawAnswer {
            status: 200,
            content_type: None,
            date: None,
            retry_after: None,
            received_at: Timestamp(0),
            body: Secret::new(body),
        };
        tokens_of(&raw).iter().map(|token| token.expose().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(tokens(r#"{"data":[{"access_token":"a"},{"id_token":1}],"refresh_token":["is missing"]}"#), ["a", "1"]);
    assert_eq!(tokens("access_token=a&refresh_token=b&token_type=c"), ["a", "b"]);
    assert_eq!(tokens("<html>"), [""; 0]);
}

#[test]
fn a_cut_is_marked_and_ends_between_characters() {
    assert_eq!(cut("abcdef", 6), "abcdef");
    assert_eq!(cut("ééé", 5), "é…");
    assert_eq!(one_line("a\r\nb", 4), "a  b");
    assert_eq!(one_line("éé éé", 3), "éé…");
}

#[test]
fn a_text_of_the_maximum_length_is_redacted_in_time() {
    let (secret, token) = ("PLANTED_secret&1".to_owned(), "PLANTED_token-".repeat(300));
    let redactor = redactor(&[&secret, &token, "PLANT"]);
    for unit in [&*secret, "%2525252525&amp;amp; \\\\\\\\ P%4cANTED_s%65cret&#38;1 "] {
        let text = unit.repeat(1024 * 1024 / unit.len());
        let begun = Instant::now();
        let shown = redactor.text(&text);
        assert!(begun.elapsed() < Duration::from_secs(20), "{unit}: {:?}", begun.elapsed());
        assert!(!shown.contains("PLANT") && !shown.contains("ANTED_s"), "{unit}");
    }
}

proptest! {
    #[test]
    fn no_piece_of_a_secret_survives_in_any_form(
        secret in "[ -~]{8,40}|[!-~é🜁]{8,30}|[%&\\\\#;xu0-9a-f+=/-]{8,24}|[A-Za-z0-9._~+/-]{8,80}",
        // An escape that begins before the secret may change the first byte of an encoded one.
        before in "([ -~é]{0,5}[ \"'(:=>é])?",
        after in "[ -~é]{0,6}",
        from in any::<prop::sample::Index>(),
        encoder in any::<prop::sample::Index>(),
    ) {
        let redactor = redactor(&[&secret]);
        let all: Vec<&str> = pieces(&secret).collect();
        let from = from.index(all.len());
        let (name, encode) = ENCODERS[encoder.index(ENCODERS.len())];
        let start = all[from].as_ptr() as usize - secret.as_ptr() as usize;
        for part in [&secret[..], &secret[start..], &secret[..start + all[from].len()], all[from]] {
            let text = format!("{before}{}{after}", encode(part));
            let shown = redactor.text(&text);
            prop_assert_eq!(survives(&shown, &secret, encode), None, "{}: {} → {}", name, text, shown);
        }
    }

    #[test]
    fn no_piece_of_a_secret_survives_in_base64(
        secret in "[ -~]{8,60}",
        before in "[ -~]{0,6}",
        after in "[ -~]{0,6}",
    ) {
        let redactor = redactor(&[&secret]);
        let inner = format!("{before}{secret}{after}");
        for text in [STANDARD.encode(&inner), URL_SAFE_NO_PAD.encode(&inner)] {
            let shown = redactor.text(&text);
            prop_assert_eq!(survives_in_base64(&shown, &secret), None, "{} → {}", text, shown);
        }
    }

    #[test]
    fn no_whole_secret_survives_whatever_its_length(secret in "[ -~é🜁]{4,40}", parts in prop::collection::vec("[ -~é]{0,9}", 0..4)) {
        let redactor = redactor(&[&secret]);
        let text = parts.join(&secret);
        let shown = redactor.text(&text).replace(REDACTED, "\u{0}");
        prop_assert!(PROTOCOL_WORDS.contains(&text.as_str()) || !shown.contains(&secret), "{}", shown);
    }

    #[test]
    fn text_without_a_secret_stays_as_it_is(text in "[a-z %&;\\\\\n\"{}:é]{0,200}", secret in "[A-Z0-9]{8,40}") {
        prop_assert_eq!(redactor(&[&secret]).text(&text), text);
    }

    #[test]
    fn any_text_is_redacted_without_a_panic(text in any::<Vec<u8>>(), secret in "\\PC{0,20}") {
        let text = String::from_utf8_lossy(&text).into_owned();
        let redactor = redactor(&[&secret]);
        let _ = (redactor.text(&text), redactor.body(&text), redactor.own_text(&text));
        let _ = redactor.text(&format!("\\u{{D83D}}{text}\\uD83D\\u0041{secret}&#x110000;&;%u%"));
    }
}
