//! A provider that repeats secrets in whatever form: no piece of them is stored, shown, sent or logged.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use grantry::{
    domain::Secret,
    oauth::{Engine, catalogue::Entry, wire::Client},
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::support::{
    Caller, Server,
    person::Person,
    practice::until,
    raw::{self, Request},
    receiver::{Receiver, Reply},
};

const SOON: Duration = Duration::from_secs(20);

/// Secrets with the characters that encoders change.
const CLIENT_SECRET: &str = "PLANTED&cs/9f3Kq+Zx1\"T7=mW2";
const NEXT_SECRET: &str = "PLANTED<ns>4hV8%41'Lp6~yB0-dR";
const REFRESH_TOKEN: &str = "PLANTED_rt:1//0gQ8s&V5yB3nH6?w";
const CODE: &str = "PLANTED.co/4P0AX4#+Xf7w9Qk2Jm";
const DEVICE_CODE: &str = "PLANTED-dc-Gm6&zX2/Tq9+vN4s";
/// A secret that could be an error code.
const ACCESS_TOKEN: &str = "PLANTED_at_8Kd2Wm5Rj7Yc3Pv6";

/// The length of a piece that must be nowhere, in bytes.
const PIECE: usize = 10;

fn form(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn percent(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn percent_of_every_byte(text: &str) -> String {
    text.as_bytes().iter().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat()
}

fn json_units(text: &str) -> String {
    let units: Vec<String> = text.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    units.concat()
}

/// What a provider makes of a secret.
type Form = fn(&str) -> String;

const FORMS: &[(&str, Form)] = &[
    ("whole", |secret| secret.to_owned()),
    ("first 10 bytes", |secret| secret[..10].to_owned()),
    ("middle 10 bytes", |secret| secret[8..18].to_owned()),
    ("truncated", |secret| format!("{}…", &secret[..20])),
    ("percent-encoded, upper case", percent),
    ("percent-encoded, lower case", percent_of_every_byte),
    ("form-encoded", form),
    ("JSON escapes", json_units),
    ("HTML names", |secret| {
        let text = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        text.replace('/', "&sol;").replace('+', "&plus;").replace('=', "&equals;")
    }),
    ("HTML numbers", |secret| {
        let number = |(at, c): (usize, char)| {
            if at % 2 == 0 { format!("&#{};", u32::from(c)) } else { format!("&#x{:X};", u32::from(c)) }
        };
        secret.chars().enumerate().map(number).collect()
    }),
    ("base64", |secret| STANDARD.encode(secret)),
    ("base64url in a longer text", |secret| URL_SAFE_NO_PAD.encode(format!("{{\"t\":\"{secret}\",\"n\":1}}"))),
    ("percent-encoded JSON", |secret| percent(&json_units(secret))),
    ("JSON in JSON", |secret| json!({"t": json!({"t": secret}).to_string()}).to_string()),
];

/// Where in an answer the provider writes a text.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    /// `error_description` (RFC 6749 §5.2), in which the text may contain JSON escapes.
    Description,
    /// Names and values of nested JSON.
    Nested,
    /// A page, and header fields.
    Page,
    /// A form.
    Form,
    /// The error code.
    Code,
}

const PLACES: [Place; 5] = [Place::Description, Place::Nested, Place::Page, Place::Form, Place::Code];

/// An answer with status 400 that has this text in this place.
fn refusal(place: Place, text: &str) -> String {
    match place {
        Place::Description => {
            let is_escaped = text.contains("\\u");
            let quoted = if is_escaped { format!("\"{text}\"") } else { Value::from(text).to_string() };
            raw::json(400, &format!(r#"{{"error":"invalid_grant","error_description":{quoted}}}"#))
        }
        Place::Nested => {
            let error = json!({"code": "invalid_grant", "message": text, (text): [text]});
            raw::json(400, &json!({"error": error, "errors": [{"message": text}]}).to_string())
        }
        Place::Page => {
            let plain: String = text.chars().filter(char::is_ascii).collect();
            let head = format!("content-type: text/html; x={plain}\r\nwww-authenticate: Bearer error=\"{plain}\"\r\n");
            raw::answer(400, &head, &format!("<html><p>{text}</p></html>"))
        }
        Place::Form => {
            let body = format!("error=invalid_grant&error_description={}", form(text));
            raw::answer(400, "content-type: application/x-www-form-urlencoded\r\n", &body)
        }
        Place::Code => raw::json(400, &json!({"error": text.split(' ').next_back()}).to_string()),
    }
}

/// What the provider does with the next requests.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    /// Accepts everything.
    Accept,
    /// Rejects at the authorization endpoint.
    RejectInBrowser,
    /// Rejects at every other endpoint.
    Reject,
}

struct Behavior {
    mode: Mode,
    form: Form,
    place: Place,
    /// States and code verifiers that came.
    seen: Vec<String>,
}

#[derive(Clone)]
struct Provider(Arc<Mutex<Behavior>>);

impl Provider {
    async fn start() -> (Self, String) {
        let behavior = Behavior { mode: Mode::Accept, form: FORMS[0].1, place: Place::Description, seen: Vec::new() };
        let provider = Self(Arc::new(Mutex::new(behavior)));
        let answering = provider.clone();
        let url = raw::serve(move |request| answering.0.lock().unwrap().answer(&request)).await;
        (provider, url)
    }

    fn will(&self, mode: Mode, form: Form, place: Place) {
        let mut behavior = self.0.lock().unwrap();
        (behavior.mode, behavior.form, behavior.place) = (mode, form, place);
    }

    fn seen(&self) -> Vec<String> {
        self.0.lock().unwrap().seen.clone()
    }
}

impl Behavior {
    fn answer(&mut self, request: &Request) -> String {
        let target = request.head.split(' ').nth(1).unwrap_or_default();
        let url = url::Url::parse(&format!("http://provider.example{target}")).unwrap();
        match url.path() {
            "/authorize" => return self.authorize(&url.query_pairs().into_owned().collect()),
            // Accepts no access token, and says so with status 200.
            "/me" => return raw::json(200, &json!({"ok": false, "error": ACCESS_TOKEN}).to_string()),
            _ => {}
        }
        let verifier = request.field("code_verifier");
        if !verifier.is_empty() {
            self.seen.push(verifier.clone());
        }
        if self.mode == Mode::Reject {
            let secrets = [CLIENT_SECRET, NEXT_SECRET, REFRESH_TOKEN, CODE, DEVICE_CODE, &verifier, ACCESS_TOKEN];
            // Only what belongs to this request and its grant.
            let is_known = |secret: &&&str| match **secret {
                CODE => request.field("code") == CODE,
                DEVICE_CODE => request.field("device_code") == DEVICE_CODE,
                REFRESH_TOKEN | ACCESS_TOKEN => request.body.contains("refresh_token") || url.path() == "/revoke",
                secret => !secret.is_empty(),
            };
            let echoed: Vec<String> = secrets.iter().filter(is_known).map(|secret| (self.form)(secret)).collect();
            return refusal(self.place, &echoed.join(" "));
        }
        let body = match url.path() {
            "/device" => json!({"device_code": DEVICE_CODE, "user_code": "ABCD-1234", "interval": 1,
                "verification_uri": "https://provider.example/device", "expires_in": 600}),
            _ => json!({"ok": true, "access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN, "expires_in": 3600}),
        };
        raw::json(200, &body.to_string())
    }

    fn authorize(&mut self, parameters: &BTreeMap<String, String>) -> String {
        let state = &parameters["state"];
        self.seen.push(state.clone());
        let mut back = url::Url::parse(&parameters["redirect_uri"]).unwrap();
        back.query_pairs_mut().append_pair("state", state).append_pair("code", CODE);
        if self.mode == Mode::RejectInBrowser {
            let text = [state, CODE, CLIENT_SECRET, NEXT_SECRET].map(|secret| (self.form)(secret)).join(" ");
            let error = if self.place == Place::Code { text.as_str() } else { "access_denied" };
            back.query_pairs_mut().append_pair("error", error).append_pair("error_description", &text);
        }
        raw::answer(302, &format!("location: {back}\r\n"), "")
    }
}

/// Looks for pieces of secrets, and of every form of them.
struct Search(HashSet<Vec<u8>>);

impl Search {
    fn new(secrets: &[String]) -> Self {
        let forms = FORMS.iter().filter(|(name, _)| !name.contains("longer text") && *name != "JSON in JSON");
        let forms = forms.flat_map(|(_, form)| secrets.iter().map(|secret| form(secret)));
        // In base64, each alignment has other letters.
        let aligned = secrets.iter().flat_map(|secret| {
            ["", "x", "xx"].map(|before| {
                let letters = STANDARD.encode(format!("{before}{secret}"));
                letters[4..letters.len() - 4].to_owned()
            })
        });
        let texts: Vec<String> = forms.chain(aligned).collect();
        Self(texts.iter().flat_map(|text| text.as_bytes().windows(PIECE)).map(<[u8]>::to_vec).collect())
    }

    /// The text around a piece, where there is one.
    fn find(&self, bytes: &[u8]) -> Option<String> {
        let at = bytes.windows(PIECE).position(|window| self.0.contains(window))?;
        let around = &bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())];
        Some(String::from_utf8_lossy(around).into_owned())
    }

    /// Searches a text as it is, and as its reader decodes it.
    #[track_caller]
    fn assert_nothing_in(&self, place: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let decoded = [
            percent_decode(bytes).collect(),
            text.replace("\\\\", "\\").replace("\\\"", "\"").into_bytes(),
            text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").into_bytes(),
        ];
        for bytes in [bytes].into_iter().chain(decoded.iter().map(Vec::as_slice)) {
            if let Some(found) = self.find(bytes) {
                panic!("a piece of a secret in {place}: {found}");
            }
        }
    }
}

async fn profile(admin: &Caller, url: &str, client_auth: &str) -> i64 {
    let entry = json!({"slug": "acme", "name": "Acme", "authorize_url": format!("{url}/authorize"),
        "token_url": format!("{url}/token"), "revoke_url": format!("{url}/revoke"), "device_url": format!("{url}/device"),
        "userinfo": {"url": format!("{url}/me"), "id": "/sub"}, "success": {"pointer": "/ok", "equals": true},
        "client_auth": client_auth});
    admin.post("/api/providers", &entry).await.expect(200);
    let body =
        json!({"name": "Acme", "provider": "acme", "data": {"client_id": "app-1", "client_secret": CLIENT_SECRET}});
    let id = admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].as_i64().unwrap();
    let next = json!({"next_client_secret": NEXT_SECRET});
    admin.put(&format!("/api/custom_oauth_profiles/{id}/registration"), &next).await.expect(200);
    id
}

/// Imports a grant whose tokens are valid for an hour.
async fn import(admin: &Caller, profile: i64) -> i64 {
    let grant = json!({"custom_oauth_profile_id": profile, "refresh_token": REFRESH_TOKEN, "access_token": ACCESS_TOKEN,
        "expires_in": 3600});
    admin.post("/api/connections/import", &grant).await.expect(200)["result"]["id"].as_i64().unwrap()
}

/// Connects by a browser, and answers the page on which that ends.
async fn connect(server: &Server, admin: &Caller, profile: i64) -> String {
    let link = admin.post("/api/connect", &json!({"custom_oauth_profile_id": profile})).await.expect(200);
    Person::before(server).open(link["result"]["url"].as_str().unwrap()).await.answer.text()
}

#[tokio::test]
async fn no_piece_of_a_secret_that_a_provider_repeats_is_stored_shown_sent_or_logged() {
    repeat_everything("client_secret_post").await;
}

#[tokio::test]
async fn no_piece_of_a_secret_in_http_basic_is_stored_shown_sent_or_logged() {
    repeat_everything("client_secret_basic").await;
}

/// Lets the provider repeat secrets in the answer to each kind of request, in each form and place, and searches everything.
async fn repeat_everything(client_auth: &str) {
    let mut server = Server::with(&["--log-level", "trace"]).await;
    let admin = server.admin();
    let ((provider, url), receiver) = (Provider::start().await, Receiver::start(Reply::Status(204)).await);
    admin.post("/api/webhooks", &json!({"url": receiver.url})).await.expect(200);
    let profile = profile(&admin, &url, client_auth).await;
    let mut shown: Vec<(String, String)> = Vec::new();
    let mut lost = 0;
    for (name, form) in FORMS {
        for place in PLACES {
            let case = format!("{client_auth}, {name}, {place:?}");
            provider.will(Mode::Accept, *form, place);
            let id = import(&admin, profile).await;
            let path = format!("/api/connections/{id}");
            provider.will(Mode::Reject, *form, place);
            let refreshed = admin.post(&format!("{path}/refresh"), &json!({})).await;
            let detail = admin.get(&path).await.expect(200);
            assert_eq!(detail["result"]["grant"]["last_refresh"]["ok"], false, "{case}: {detail}");
            lost += usize::from(detail["result"]["authorization_status"] != "success");
            for (what, text) in [("refresh", refreshed.text()), ("connection", detail.to_string())] {
                shown.push((format!("{case}: {what}"), text));
            }
        }
        // The other requests: a code, the browser itself, a device, a revocation, an import that fetches a token.
        for (mode, what) in [(Mode::Reject, "page of a code"), (Mode::RejectInBrowser, "page of the browser")] {
            for place in [Place::Description, Place::Code] {
                provider.will(mode, *form, place);
                let page = connect(&server, &admin, profile).await;
                assert!(page.contains("Not connected"), "{name}, {place:?}: {page}");
                shown.push((format!("{client_auth}, {name}, {place:?}: {what}"), page));
            }
        }
        provider.will(Mode::Reject, *form, Place::Description);
        let begun = admin.post("/api/connect/device", &json!({"custom_oauth_profile_id": profile})).await;
        assert!(begun.status >= 400, "{}", begun.text());
        shown.push((format!("{client_auth}, {name}: device"), begun.text()));
        let imported = json!({"custom_oauth_profile_id": profile, "refresh_token": REFRESH_TOKEN});
        let imported = admin.post("/api/connections/import", &imported).await;
        assert!(imported.status >= 400, "{}", imported.text());
        shown.push((format!("{client_auth}, {name}: import"), imported.text()));
        provider.will(Mode::Accept, *form, Place::Code);
        let id = import(&admin, profile).await;
        provider.will(Mode::Reject, *form, Place::Code);
        let path = format!("/api/connections/{id}");
        admin.post(&format!("{path}/disconnect"), &json!({})).await.expect(200);
        until("the revocations are settled", SOON, async || {
            let all = admin.get(&path).await.expect(200)["result"]["revocations"].clone();
            all.as_array().unwrap().iter().all(|one| one["settled_at"].is_string())
        })
        .await;
        shown.push((format!("{client_auth}, {name}: revocation"), admin.get(&path).await.text()));
    }
    assert!(lost >= FORMS.len() * 3, "{lost}: the description is what a lost connection shows");
    // A device that waits, whose question is refused.
    provider.will(Mode::Accept, FORMS[0].1, Place::Description);
    let begun = admin.post("/api/connect/device", &json!({"custom_oauth_profile_id": profile})).await.expect(200);
    provider.will(Mode::Reject, FORMS[0].1, Place::Description);
    let path = format!("/api/connections/{}", begun["result"]["connection_id"]);
    until("the device has ended", SOON, async || {
        admin.get(&path).await.expect(200)["result"]["device"]["status"] == "ended"
    })
    .await;
    // A connection whose user info is refused, which the log tells.
    provider.will(Mode::Accept, FORMS[0].1, Place::Description);
    shown.push((client_auth.to_owned(), connect(&server, &admin, profile).await));
    let check = format!("/api/custom_oauth_profiles/{profile}/check");
    provider.will(Mode::Reject, FORMS[6].1, Place::Description);
    shown.push((check.clone(), admin.post(&check, &json!({})).await.text()));
    for path in [
        "/api/connections",
        "/api/events",
        "/api/search/events",
        "/api/search/connections",
        "/api/overview",
        "/api/expiring",
        path.as_str(),
    ] {
        let answer = admin.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        shown.push((path.to_owned(), answer.text()));
    }
    until("the webhooks are delivered", SOON, async || receiver.received().len() >= lost).await;
    for sent in receiver.received() {
        shown.push(("a webhook".to_owned(), format!("{sent:?}")));
    }
    server.stop();
    let all = [CLIENT_SECRET, NEXT_SECRET, REFRESH_TOKEN, CODE, DEVICE_CODE, ACCESS_TOKEN].map(str::to_owned);
    let seen = provider.seen();
    assert!(seen.len() >= FORMS.len() * 2, "states and verifiers");
    let search = Search::new(&[&all[..], &seen].concat());
    for (place, text) in &shown {
        search.assert_nothing_in(place, text.as_bytes());
    }
    let redacted = shown.iter().filter(|(_, text)| text.contains("[redacted]")).count();
    assert!(redacted > FORMS.len() * 6, "{redacted} of {}", shown.len());
    search.assert_nothing_in("the log", server.log().as_bytes());
    search.assert_nothing_in("the output", server.printed().as_bytes());
    for entry in fs::read_dir(server.data()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            search.assert_nothing_in(&path.display().to_string(), &fs::read(&path).unwrap());
        }
    }
}

#[tokio::test]
async fn tokens_of_a_successful_answer_are_kept_as_they_came() {
    // Each token contains the secrets of its request, and what looks like an escape.
    let token = |number: usize| format!("{CLIENT_SECRET} {REFRESH_TOKEN}%41&amp;\\u0041 {number}");
    let server = Server::start().await;
    let admin = server.admin();
    let asked: Arc<Mutex<Vec<Request>>> = Arc::default();
    let noted = Arc::clone(&asked);
    let url = raw::serve(move |request| {
        let mut asked = noted.lock().unwrap();
        asked.push(request);
        let (access, refresh) = (token(asked.len()), format!("{} next", token(asked.len())));
        raw::json(
            200,
            &json!({"ok": true, "access_token": access, "refresh_token": refresh, "expires_in": 3600}).to_string(),
        )
    })
    .await;
    let profile = profile(&admin, &url, "client_secret_post").await;
    let id = import(&admin, profile).await;
    for number in 1..=2 {
        admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await.expect(200);
        let given = admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
        assert_eq!(given["access_token"], token(number));
    }
    assert_eq!(asked.lock().unwrap()[1].field("refresh_token"), format!("{} next", token(1)));
}

#[tokio::test]
async fn refused_user_info_names_no_secret() {
    let entry = |url: &str| {
        let entry = json!({"slug": "a", "name": "A", "token_url": format!("{url}/token"),
            "userinfo": {"url": format!("{url}/me"), "id": "/sub"}, "success": {"pointer": "/ok", "equals": true}});
        let none = BTreeMap::new();
        Entry::parse(&entry.to_string()).unwrap().resolve(&none, &none).unwrap()
    };
    let client = Client {
        id: "app-1".to_owned(),
        secret: Some(Secret::new("PLANTED.secret-1")),
        known: vec![Secret::new("PLANTED.refresh-1")],
    };
    let engine = Engine::new(false);
    for (error, told) in [
        (ACCESS_TOKEN, "provider_error"),
        ("PLANTED.secret-1", "provider_error"),
        ("PLANTED.refresh", "provider_error"),
        ("invalid_token", "invalid_token"),
        ("no_such_user", "no_such_user"),
    ] {
        let url = raw::serve(move |_| raw::json(200, &json!({"ok": false, "error": error}).to_string())).await;
        let access = Secret::new(ACCESS_TOKEN);
        let refusal = engine.user_info(&entry(&url), &client, &access, &Map::new(), SOON).await.unwrap_err();
        assert_eq!(refusal.word(), told, "{error}");
    }
}

#[tokio::test]
async fn scopes_of_a_discovery_document_are_bounded() {
    let url = raw::serve(|request| {
        let issuer = format!("http://{}", request.header("host"));
        let mut scopes = vec!["openid".to_owned(), "two\nlines".to_owned(), "x".repeat(256), "y".repeat(255)];
        scopes.extend((0..1000).map(|number| format!("scope-{number}")));
        let document =
            json!({"issuer": issuer, "token_endpoint": format!("{issuer}/token"), "scopes_supported": scopes});
        raw::json(200, &document.to_string())
    });
    let found = Engine::new(false).discover(&url.await, SOON).await.unwrap();
    assert_eq!(found.scopes.len(), 256);
    assert_eq!(found.scopes[..3], ["openid".to_owned(), "y".repeat(255), "scope-0".to_owned()]);
}

#[test]
fn the_search_finds_every_form() {
    let secrets = [CLIENT_SECRET, ACCESS_TOKEN].map(str::to_owned);
    let search = Search::new(&secrets);
    for secret in &secrets {
        for (name, form) in FORMS {
            let text = format!("a text with {} in it", form(secret));
            let found = search.find(text.as_bytes());
            assert!(found.is_some(), "{name}: {text}");
        }
    }
    assert_eq!(search.find(b"a text with PLANTED in it, and [redacted]"), None);
}
