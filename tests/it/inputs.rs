//! Each input of the calls that connect, bring along, hand out and define, in every shape that it should not have: a clear
//! error that names it, and nothing is made, kept or sent.

use serde_json::{Map, Value, json};

use crate::support::{Caller, Server, practice::Practice};
use grantry::simulator::Rotation;

/// What a field takes.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A text of at most so many characters.
    Text(usize),
    Integer,
    Boolean,
    Object,
    Texts,
}

use Kind::{Boolean, Integer, Object, Text, Texts};

/// Values that are none for such a field.
fn wrong(kind: Kind) -> Vec<Value> {
    let mut all =
        vec![json!({"a": 1}), json!(["x", 1]), json!([[]]), json!(1.5), json!("wrong type"), json!(7), json!(true)];
    match kind {
        Text(most) => {
            all.retain(|value| !value.is_string());
            all.extend([json!("a\u{0}b"), json!("a\r\nX-Evil: 1"), json!("\u{7f}"), json!("x".repeat(most + 1))]);
        }
        Integer => {
            all.retain(|value| !value.is_i64());
            all.extend([json!(u64::MAX), json!(1e300)]);
        }
        Boolean => all.retain(|value| !value.is_boolean()),
        Object => all.retain(|value| !value.is_object()),
        Texts => {
            all.extend([json!(["a b"]), json!(["a\r\nb"]), json!(["\""]), json!([""]), json!(["x".repeat(256)])]);
            all.push(json!(vec!["a"; 101]));
        }
    }
    all
}

const CONNECT: [(&str, Kind); 11] = [
    ("custom_oauth_profile_id", Integer),
    ("provider", Text(255)),
    ("connection_id", Integer),
    ("name", Text(255)),
    ("owner", Text(255)),
    ("external_id", Text(255)),
    ("folder_id", Integer),
    ("customer_id", Integer),
    ("scopes", Texts),
    ("variables", Object),
    ("other_account", Boolean),
];

const IMPORT: [(&str, Kind); 6] = [
    ("refresh_token", Text(16 * 1024)),
    ("access_token", Text(16 * 1024)),
    ("expires_at", Text(100)),
    ("expires_in", Integer),
    ("scope", Text(4000)),
    ("extra", Object),
];

/// A 400 whose `errors` name the field, or something below it.
#[track_caller]
fn named(refused: &Value, field: &str, what: &str) {
    let errors = refused["errors"].as_object().unwrap_or_else(|| panic!("{what}: {refused}"));
    let below =
        |key: &String| key == field || key.starts_with(&format!("{field}[")) || key.starts_with(&format!("{field}."));
    assert!(errors.keys().any(below), "{what}: {refused}");
}

async fn how_many(admin: &Caller) -> usize {
    admin.get("/api/connections").await.expect(200).as_array().unwrap().len()
}

#[tokio::test]
async fn every_field_of_the_calls_that_connect_is_checked_and_named() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::None));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let usual = json!({"custom_oauth_profile_id": profile});
    let import = json!({"custom_oauth_profile_id": profile, "refresh_token": "PLANTED_r", "access_token": "PLANTED_a"});
    let calls = [
        ("/api/connect", &usual, vec![("return_url", Text(2000))]),
        ("/api/connect/client_credentials", &usual, vec![]),
        ("/api/connections/import", &import, IMPORT.to_vec()),
    ];
    for (path, usual, more) in calls {
        for (field, kind) in CONNECT.into_iter().chain(more) {
            for value in wrong(kind) {
                let mut body: Map<String, Value> = usual.as_object().unwrap().clone();
                body.insert(field.to_owned(), value.clone());
                let answer = admin.post(path, &body.into()).await;
                let what = format!("{path} {field} {:.80}", value.to_string());
                assert_eq!(answer.status, 400, "{what}: {}", answer.text());
                named(&answer.json(), field, &what);
            }
        }
        // What it does not know, it does not pass over.
        let mut body = usual.as_object().unwrap().clone();
        body.insert("colour".to_owned(), json!(1));
        named(&admin.post(path, &body.into()).await.expect(400), "colour", path);
        // Whole bodies that are none.
        for (body, status) in [
            ("[]".to_owned(), 400),
            ("null".to_owned(), 400),
            ("\"x\"".to_owned(), 400),
            (format!("{{\"custom_oauth_profile_id\":{profile},\"custom_oauth_profile_id\":{profile}}}"), 400),
            (format!("{{\"custom_oauth_profile_id\":{profile},\"owner\":\"a\",\"owner\":\"b\"}}"), 400),
            (format!("{{\"custom_oauth_profile_id\":{profile},\"variables\":{{\"a\":1,\"a\":2}}}}"), 400),
            ("x".repeat(2 * 1024 * 1024), 413),
        ] {
            let answer = admin.send_text("POST", path, "application/json", body.clone()).await;
            assert_eq!(answer.status, status, "{path} {body:.80}: {}", answer.text());
        }
        for bytes in [&b"{\"owner\":\"\xff\"}"[..], b"{\"owner\":\"\\ud800\"}", b"\xfe\xff\0{\0}"] {
            let answer = admin.send_text("POST", path, "application/json", bytes.to_vec()).await;
            assert_eq!(answer.status, 400, "{path} {bytes:?}: {}", answer.text());
        }
        let form = admin.send_text("POST", path, "application/x-www-form-urlencoded", "owner=a").await;
        assert_eq!(form.status, 415, "{path}");
    }
    assert_eq!(how_many(&admin).await, 0);
    assert!(practice.grants().await.is_empty());
}

#[tokio::test]
async fn what_is_needed_is_said_where_it_is_missing() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::None));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    for missing in [json!(null), json!(""), json!(" \t"), json!("\u{3000}")] {
        let body = json!({"custom_oauth_profile_id": profile, "refresh_token": missing});
        named(&admin.post("/api/connections/import", &body).await.expect(400), "refresh_token", &missing.to_string());
    }
    for (field, value) in [
        ("expires_in", json!(-1)),
        ("expires_in", json!(315_360_001)),
        ("expires_at", json!("tomorrow")),
        ("expires_at", json!("2026-13-01T00:00:00Z")),
        ("expires_at", json!("")),
    ] {
        let mut body =
            json!({"custom_oauth_profile_id": profile, "refresh_token": "PLANTED_r", "access_token": "PLANTED_a"});
        body[field] = value.clone();
        named(&admin.post("/api/connections/import", &body).await.expect(400), field, &value.to_string());
    }
    for path in ["/api/connect", "/api/connect/client_credentials", "/api/connections/import"] {
        let body = json!({"refresh_token": "PLANTED_r", "access_token": "PLANTED_a"});
        let body = if path.ends_with("import") { body } else { json!({}) };
        named(&admin.post(path, &body).await.expect(400), "provider", path);
    }
    assert_eq!(how_many(&admin).await, 0);
}

#[tokio::test]
async fn an_id_in_the_path_is_a_number_of_ours_or_names_nothing() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::None));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    practice.connect(&admin, profile, 1, false).await;
    for id in
        ["0", "-1", "+1", "01", "1.0", "1e0", "0x1", "9223372036854775808", "%31%00", "١", "null", "1%2F", "1;a=b"]
    {
        for (method, path) in
            [("GET", "token"), ("POST", "refresh"), ("POST", "disconnect"), ("GET", ""), ("DELETE", "")]
        {
            let path = format!("/api/connections/{id}/{path}").trim_end_matches('/').to_owned();
            let answer = admin.send(admin.request(method, &path)).await;
            assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
        }
    }
    for query in ["min_ttl=1&min_ttl=2", "min_ttl=", "min_ttl=%00", "min_ttl=1%20", "min_ttl=٣", "min_ttl=0x10"] {
        let answer = admin.get(&format!("/api/connections/1/token?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
    }
    assert_eq!(practice.refreshes().await, 0);
}

#[tokio::test]
async fn every_field_of_a_definition_is_checked_and_named() {
    let server = Server::start().await;
    let admin = server.admin();
    let usual = json!({"slug": "acme", "name": "Acme", "authorize_url": "https://acme.example/authorize",
        "token_url": "https://acme.example/token"});
    let texts = [
        "slug",
        "name",
        "docs",
        "issuer",
        "authorize_url",
        "token_url",
        "refresh_url",
        "revoke_url",
        "device_url",
        "introspect_url",
        "client_auth",
        "request_format",
        "pkce",
        "scope_separator",
        "code_param",
        "expires_in_unit",
        "refresh_scope",
    ];
    let lists = ["categories", "hosts", "default_scopes", "callback_params", "unechoed_scopes"];
    let objects = [
        "variables",
        "authorize_params",
        "token_params",
        "refresh_params",
        "answer",
        "success",
        "errors",
        "keep",
        "throttle",
        "api",
        "userinfo",
        "revoke",
        "endpoint_parameters",
    ];
    let numbers = ["default_lifetime_s", "replay_grace_s", "refresh_token_idle_s", "refresh_token_max_s", "grant_cap"];
    let booleans = ["rotates", "retry_safe", "takes_token", "iss_in_callback"];
    let shapes: [Value; 6] = [json!(7), json!(true), json!("wrong"), json!(["x", 1]), json!({"x": {}}), json!(-1.5)];
    let bad: Vec<Value> = [
        "http://acme.example/",
        "ftp://acme.example",
        "https://u:p@acme.example/",
        "javascript:alert(1)",
        "https://acme.example/\r\nX-Evil: 1",
        "//acme.example",
        "https://",
    ]
    .map(Value::from)
    .to_vec();
    let mut cases: Vec<(&str, Value)> = Vec::new();
    for field in texts {
        cases.extend(shapes.iter().filter(|value| !value.is_string()).map(|value| (field, value.clone())));
        cases.extend([(field, json!("a\u{0}")), (field, json!("x".repeat(70_000)))]);
    }
    for field in ["authorize_url", "token_url", "refresh_url", "revoke_url", "device_url", "introspect_url"] {
        // That an address leads inside is seen when it is asked, by name and number: see `proxy` and `engine`.
        cases.extend(bad.iter().map(|url| (field, url.clone())));
    }
    for field in lists {
        cases.extend(shapes.iter().map(|value| (field, value.clone())));
        cases.extend([(field, json!(["a\nb"])), (field, json!(["\u{0}"]))]);
    }
    for field in objects {
        cases.extend(shapes.iter().map(|value| (field, value.clone())));
    }
    for field in numbers {
        cases.extend(shapes.iter().filter(|value| !value.is_u64()).map(|value| (field, value.clone())));
        cases.push((field, json!("7")));
    }
    for field in booleans {
        cases.extend(shapes.iter().filter(|value| !value.is_boolean()).map(|value| (field, value.clone())));
    }
    cases.push(("colour", json!(1)));
    for (field, value) in cases {
        let mut entry = usual.clone();
        entry[field] = value.clone();
        let answer = admin.post("/api/providers", &entry).await;
        let what = format!("{field} {:.80}", value.to_string());
        if answer.status == 413 {
            assert!(value.as_str().is_some_and(|text| text.len() > 60_000), "{what}");
            continue;
        }
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        named(&answer.json(), field, &what);
    }
    for body in [
        "[]",
        "null",
        "{\"slug\":\"a\",\"slug\":\"b\"}",
        "{\"slug\":\"a\"",
        "\u{feff}{}",
        "{\"keep\":{\"a\":\"/x\",\"a\":\"/y\"}}",
    ] {
        let answer = admin.send_text("POST", "/api/providers", "application/json", body.to_owned()).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
    assert_eq!(admin.get("/api/providers/acme").await.status, 404);
    // The name in the path is the one that counts.
    admin.post("/api/providers", &usual).await.expect(200);
    let mut other = usual.clone();
    other["slug"] = "other".into();
    assert_eq!(admin.put("/api/providers/acme", &other).await.status, 400);
    for slug in ["..", "A", "a%2Fb", "%00", &"x".repeat(300)] {
        let answer = admin.put(&format!("/api/providers/{slug}"), &usual).await;
        assert!(matches!(answer.status, 400 | 404), "{slug}: {} {}", answer.status, answer.text());
    }
}
