//! `/api/v1`: each failure is a problem document (RFC 9457), and the calls that exist.

use std::{collections::BTreeMap, process::Command};

use futures_util::future::join_all;
use grantry::{http::render::codes::ProblemCode, simulator::Rotation};
use serde_json::{Value, json};

use crate::support::{Answer, Caller, Server, practice::Practice, profile_body};

const JSON: &str = "application/json";
const PASSWORD: &str = "PLANTED correct horse battery";

fn reset_path(profile: impl std::fmt::Display) -> String {
    format!("/api/v1/profiles/{profile}/reset-rotation")
}

async fn reset(caller: &Caller, profile: i64) -> Answer {
    caller.send(caller.request("POST", &reset_path(profile))).await
}

/// The answer is a whole problem document with this status and code; answers its body.
#[track_caller]
fn problem(what: &str, answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    let body = answer.json();
    assert_eq!(body["code"], code, "{what}: {body}");
    assert_eq!(body["status"], status, "{what}");
    assert_eq!(body["type"], format!("/docs/errors#{code}"), "{what}");
    assert_eq!(body["request_id"], answer.header("x-request-id"), "{what}");
    let known = ProblemCode::ALL.iter().find(|known| known.as_str() == code).unwrap();
    assert_eq!(body["title"], known.title(), "{what}");
    assert!(body["detail"].as_str().unwrap().ends_with('.'), "{what}: {body}");
    for error in body["errors"].as_array().unwrap() {
        assert!(error["pointer"].is_string() && error["code"].is_string(), "{what}: {body}");
        assert!(error["detail"].is_string() && error["params"].is_object(), "{what}: {body}");
    }
    body
}

#[track_caller]
fn challenges(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all("www-authenticate").iter().map(|value| value.to_str().unwrap()).collect()
}

async fn make_profile(admin: &Caller) -> i64 {
    let made = admin.post("/api/custom_oauth_profiles", &profile_body("Sales", "hubspot")).await.expect(200);
    made["result"]["id"].as_i64().unwrap()
}

#[tokio::test]
async fn a_credential_that_is_missing_bad_or_too_small_is_challenged_by_rfc_6750() {
    let mut server = Server::start().await;
    let (expired, admin) = (server.admin(), server.admin());
    let path = reset_path(make_profile(&admin).await);
    server.stop();
    let db = rusqlite::Connection::open(server.data().join("grantry.db")).unwrap();
    assert_eq!(db.execute("UPDATE api_tokens SET expires_at = 1 WHERE id = 1", []).unwrap(), 1);
    drop(db);
    server.kill_and_restart().await;
    let (admin, expired) = (admin.at(&server.url), expired.at(&server.url));
    let anybody = server.anybody();
    let token = admin.token();
    let small = server.caller(&["profiles:read", "profiles:write", "connections:write"]);
    const REALM: &str = "Bearer realm=\"grantry\"";
    let invalid = format!("{REALM}, error=\"invalid_token\"");
    let insufficient = format!("{REALM}, error=\"insufficient_scope\", scope=\"admin\"");
    let in_url = format!("{path}?appKey={token}");
    for (what, caller, path, status, code, challenge) in [
        ("no credential", anybody.clone(), &path, 401, "missing_credential", Some(REALM)),
        (
            "an empty one",
            anybody.clone().header("authorization", ""),
            &path,
            401,
            "invalid_credential",
            Some(&*invalid),
        ),
        ("an unknown one", anybody.clone().bearer("gry_api_9_00"), &path, 401, "invalid_credential", Some(&invalid)),
        ("an expired one", expired, &path, 401, "invalid_credential", Some(&invalid)),
        ("two", admin.clone().header("appkey", &token), &path, 401, "invalid_credential", Some(&invalid)),
        ("a wrong password", anybody.clone().basic("ann", "PLANTED"), &path, 401, "invalid_credential", Some(&invalid)),
        (
            "in the URL",
            anybody.clone(),
            &in_url,
            400,
            "credential_in_url",
            Some(&format!("{REALM}, error=\"invalid_request\"")),
        ),
        ("too few scopes", small, &path, 403, "insufficient_scope", Some(&insufficient)),
        (
            "another site",
            anybody.clone().header("cookie", "grantry=gry_session_1_00"),
            &path,
            403,
            "cross_site_request",
            None,
        ),
    ] {
        let answer = caller.send(caller.request("POST", path)).await;
        let body = problem(what, &answer, status, code);
        assert_eq!(challenges(&answer), challenge.into_iter().collect::<Vec<_>>(), "{what}");
        assert_eq!(body["errors"], json!([]), "{what}");
        assert!(!answer.text().contains(&token), "{what}");
    }
    // A browser is not made to ask for a password, and neither is anything else.
    let page = anybody.clone().header("sec-fetch-site", "same-origin");
    assert_eq!(challenges(&reset(&page, 1).await), [REALM]);
    reset(&admin, 1).await.expect(200);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_has_a_status_a_code_and_a_place() {
    let server = Server::start().await;
    let admin = server.admin();
    let path = reset_path(make_profile(&admin).await);
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(17_000));
    let item = |pointer: &str, code: &str, params: Value| (pointer.to_owned(), code.to_owned(), params);
    for (media_type, body, status, code, errors) in [
        (
            JSON,
            &b"{"[..],
            400,
            "malformed_json",
            vec![item("", "syntax", json!({"line": 1, "column": 1, "reason": "EOF while parsing an object"}))],
        ),
        (
            JSON,
            b"{\"a\":1,\n\"a\":2}",
            400,
            "malformed_json",
            vec![item(
                "",
                "syntax",
                json!({"line": 2, "column": 3, "reason": "the same key stands twice in this object"}),
            )],
        ),
        (JSON, b"{\"a\":\"\xff\"}", 400, "malformed_json", vec![item("", "not_utf8", json!({"offset": 6}))]),
        (
            JSON,
            b" ",
            400,
            "malformed_json",
            vec![item("", "syntax", json!({"line": 1, "column": 1, "reason": "EOF while parsing a value"}))],
        ),
        (JSON, b"[]", 422, "invalid_input", vec![item("", "wrong_type", json!({"expected": "object"}))]),
        (JSON, b"null", 422, "invalid_input", vec![item("", "wrong_type", json!({"expected": "object"}))]),
        (
            JSON,
            b"{\"a/b.c~\": 1, \"id\": 2}",
            422,
            "invalid_input",
            vec![item("/a~1b.c~0", "unknown_field", json!({})), item("/id", "unknown_field", json!({}))],
        ),
        (
            "application/merge-patch+json",
            b"{\"a\":1}",
            422,
            "invalid_input",
            vec![item("/a", "unknown_field", json!({}))],
        ),
        ("text/plain", b"{}", 415, "unsupported_media_type", vec![]),
        ("application/x-www-form-urlencoded", b"a=1", 415, "unsupported_media_type", vec![]),
        (JSON, large.as_bytes(), 413, "content_too_large", vec![]),
    ] {
        let answer = admin.send_text("POST", &path, media_type, body.to_vec()).await;
        let what = format!("{media_type} {:.40}", String::from_utf8_lossy(body));
        let found = problem(&what, &answer, status, code);
        let found: Vec<_> = found["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| item(one["pointer"].as_str().unwrap(), one["code"].as_str().unwrap(), one["params"].clone()))
            .collect();
        assert_eq!(found, errors, "{what}");
    }
    let packed = admin.request("POST", &path).header("content-encoding", "gzip").header("content-type", JSON);
    let packed = admin.send(packed.body("\x1f\u{8b}")).await;
    problem("gzip", &packed, 415, "unsupported_media_type");
    assert_eq!(packed.header("accept-encoding"), "identity");
    for body in ["", "{}", " {\n} "] {
        admin.send_text("POST", &path, JSON, body).await.expect(200);
    }
    admin.send_text("POST", &path, "text/plain", "").await.expect(200);
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_and_a_wrong_method_names_the_right_ones() {
    let server = Server::start().await;
    let (admin, anybody) = (server.admin(), server.anybody());
    let profile = make_profile(&admin).await;
    let path = reset_path(profile);
    for id in ["999", "0", "-1", "+1", "01", "1.0", "one", "9223372036854775808", "%31%00", "١", "1;a=b"] {
        let answer = admin.send(admin.request("POST", &reset_path(id))).await;
        let body = problem(id, &answer, 404, "not_found");
        assert!(body["detail"].as_str().unwrap().starts_with("Profile "), "{body}");
    }
    let long = admin.send(admin.request("POST", &reset_path("x".repeat(5000)))).await;
    assert!(problem("a long id", &long, 404, "not_found")["detail"].as_str().unwrap().len() < 200);
    for path in ["/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1//profiles", "/api/v1/profiles/1/reset-rotation/"] {
        for caller in [&admin, &anybody] {
            for method in ["GET", "POST", "DELETE"] {
                problem(path, &caller.send(caller.request(method, path)).await, 404, "not_found");
            }
        }
    }
    // The neighbours keep their own form.
    for path in ["/api/v1x", "/api/v2/profiles", "/api/nothing"] {
        assert_eq!(admin.get(path).await.expect(404), json!({"message": "Not found"}), "{path}");
    }
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = admin.send(admin.request(method, &path)).await;
        problem(method, &answer, 405, "method_not_allowed");
        assert_eq!(answer.header("allow"), "POST", "{method}");
    }
}

#[tokio::test]
async fn a_credential_that_is_limited_resets_nothing_that_other_connections_depend_on() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::None));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 2, false).await;
    let limited = async |connections: &[i64]| {
        let body = json!({"name": "limited", "scopes": ["admin"], "connections": connections});
        let made = admin.post("/api/api_tokens", &body).await.expect(200);
        server.anybody().bearer(made["result"]["token"].as_str().unwrap())
    };
    let one = limited(&[connected[0].0]).await;
    problem("one of two", &reset(&one, profile).await, 403, "access_restricted");
    reset(&limited(&[connected[0].0, connected[1].0]).await, profile).await.expect(200);
}

#[tokio::test]
async fn a_session_may_what_its_user_may_from_our_own_page_alone() {
    let server = Server::start().await;
    let admin = server.admin();
    let profile = make_profile(&admin).await;
    for (name, role) in [("ann", "admin"), ("bob", "operator")] {
        let draft = json!({"name": name, "email": "a@acme.example", "role": role, "password": PASSWORD});
        admin.post("/api/users", &draft).await.expect(200);
    }
    let cookie_of = async |name: &str| {
        let login = server.anybody().post("/session", &json!({"name": name, "password": PASSWORD})).await;
        login.header("set-cookie").split(';').next().unwrap().to_owned()
    };
    let ann = server.anybody().header("cookie", &cookie_of("ann").await);
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let foreign = ann.clone().header(name, value);
        problem(value, &reset(&foreign, profile).await, 403, "cross_site_request");
    }
    problem("neither", &reset(&ann, profile).await, 403, "cross_site_request");
    reset(&ann.clone().header("sec-fetch-site", "same-origin"), profile).await.expect(200);
    reset(&ann.clone().header("origin", &server.url), profile).await.expect(200);
    let bob = server.anybody().header("cookie", &cookie_of("bob").await).header("sec-fetch-site", "same-origin");
    problem("an operator", &reset(&bob, profile).await, 403, "insufficient_scope");
    let page = ann.header("sec-fetch-site", "same-origin");
    page.delete("/session").await.expect(200);
    problem("logged out", &reset(&page, profile).await, 401, "invalid_credential");
}

#[tokio::test]
async fn what_the_server_cannot_do_now_says_when_to_come_back() {
    let server = Server::start().await;
    let profile = make_profile(&server.admin()).await;
    let mut last = reset(&server.anybody().basic("ann", "PLANTED_guess"), profile).await;
    for _ in 0..8 {
        last = reset(&server.anybody().basic("ann", "PLANTED_guess"), profile).await;
    }
    problem("guesses", &last, 429, "too_many_requests");
    assert!(last.header("retry-after").parse::<u64>().unwrap() >= 1);
    // A server of its own: this address is slowed down now.
    let server = Server::start().await;
    let guesses = (0..160).map(|n| {
        let caller = server.anybody().basic(&format!("user{n}"), "PLANTED_guess");
        async move { reset(&caller, 1).await }
    });
    let busy = join_all(guesses).await.into_iter().find(|answer| answer.status == 503).expect("the queue has an end");
    problem("a full queue", &busy, 503, "server_busy");
    assert!(busy.header("retry-after").parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn a_volume_that_takes_no_writes_is_said_and_nothing_is_reset() {
    let server = Server::ignoring_size_signals().await;
    let practice = Practice::rotating(Rotation::Strict);
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 1, false).await;
    admin.post(&format!("/api/connections/{}/refresh", connected[0].0), &json!({})).await.expect(200);
    let limit = |bytes: &str| {
        let pid = server.pid().to_string();
        assert!(Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}")]).status().unwrap().success());
    };
    limit("0:");
    let full = reset(&admin, profile).await;
    problem("a full disk", &full, 503, "storage_unavailable");
    assert!(full.header("retry-after").parse::<u64>().unwrap() >= 1);
    limit("unlimited:");
    assert_eq!(rotation(&admin, profile).await["observed"], "rotates");
}

/// The rotation of a profile, as its registration shows it.
async fn rotation(admin: &Caller, profile: i64) -> Value {
    let path = format!("/api/custom_oauth_profiles/{profile}/registration");
    admin.get(&path).await.expect(200)["result"]["rotation"].clone()
}

#[tokio::test]
async fn a_reset_rotation_is_forgotten_recorded_and_observed_anew() {
    for (mode, observed) in [(Rotation::None, "stays"), (Rotation::Strict, "rotates")] {
        let (server, practice) = (Server::start().await, Practice::rotating(mode));
        let admin = server.admin();
        let mut definition = practice.definition();
        definition.as_object_mut().unwrap().remove("rotates");
        admin.post("/api/providers", &definition).await.expect(200);
        let profile = practice.profile(&admin, "Practice", grantry::simulator::CLIENT_SECRET).await;
        let connected = practice.connect(&admin, profile, 1, false).await;
        let refresh = async || {
            let path = format!("/api/connections/{}/refresh", connected[0].0);
            admin.post(&path, &json!({})).await.expect(200)
        };
        let unknown = json!({"declared": null, "observed": null, "observed_at": null, "assumed": true});
        assert_eq!(rotation(&admin, profile).await, unknown);
        for _ in 0..2 {
            refresh().await;
            let known = rotation(&admin, profile).await;
            assert_eq!((&known["observed"], &known["assumed"]), (&json!(observed), &json!(observed == "rotates")));
            assert!(known["observed_at"].is_string(), "{known}");
            let answer = reset(&admin, profile).await;
            assert_eq!(answer.header("content-type"), JSON);
            assert_eq!(answer.expect(200), json!({"id": profile, "rotation": unknown}));
            assert_eq!(rotation(&admin, profile).await, unknown);
            let audit = admin.get("/api/audit?noun=profile&limit=1").await.expect(200)["result"]["items"][0].clone();
            assert_eq!(audit["detail"], json!({"rotation": "reset", "observed": observed}), "{audit}");
            assert_eq!(
                (&audit["deed"], &audit["noun_id"], &audit["request_id"]),
                (&json!("updated"), &json!(profile.to_string()), &json!(answer.header("x-request-id")))
            );
        }
        // What is not known any more can be reset as well.
        reset(&admin, profile).await.expect(200);
    }
}

#[test]
fn the_readme_lists_every_code_of_a_problem_with_its_status() {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("\n### Errors of `/api/v1`\n").expect("the section");
    let row = regex_lite::Regex::new(r"(?m)^\| (\d{3}) \| ([^|]+) \|").unwrap();
    let code = regex_lite::Regex::new(r"`([a-z_]+)`").unwrap();
    let mut listed = BTreeMap::new();
    for found in row.captures_iter(section.split("\n## ").next().unwrap()) {
        for word in code.captures_iter(&found[2]) {
            listed.insert(word[1].to_owned(), found[1].parse::<u16>().unwrap());
        }
    }
    let known = ProblemCode::ALL.iter().map(|code| (code.as_str().to_owned(), code.status().as_u16()));
    assert_eq!(listed, known.collect());
}
