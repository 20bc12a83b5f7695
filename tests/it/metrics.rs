//! `/metrics`: numbers on a listener of their own, and nothing but numbers.

use std::{collections::BTreeMap, time::Duration};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{
    Answer, Server, cli,
    practice::until,
    profile_body,
    receiver::{Receiver, Reply},
};

const SOON: Duration = Duration::from_secs(20);

/// A server that can be watched, and where.
async fn watched() -> (Server, String) {
    let server = Server::with(&["--metrics-listen", "0", "--json"]).await;
    let printed: Value = serde_json::from_str(&server.printed()).unwrap();
    let url = printed["metrics"].as_str().unwrap().to_owned();
    (server, url)
}

async fn ask(method: &str, url: &str) -> Answer {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Answer::of(http.request(method.parse().unwrap(), url).send().await.unwrap()).await
}

/// The samples, by name and labels as they stand there.
fn samples(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap())).unwrap())
        .collect()
}

async fn numbers(url: &str) -> BTreeMap<String, u64> {
    samples(&ask("GET", url).await.text())
}

#[tokio::test]
async fn a_scrape_has_the_form_of_open_metrics() {
    let (server, url) = watched().await;
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/metrics"), "{url}");
    let answer = ask("GET", &url).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    let text = answer.text();
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    let sample =
        regex_lite::Regex::new(r#"^grantry_[a-z_]+(\{[a-z_]+="[^"\\]*"(,[a-z_]+="[^"\\]*")*\})? \d+$"#).unwrap();
    let about =
        regex_lite::Regex::new(r"^# (HELP grantry_[a-z_]+ \S.*|TYPE grantry_[a-z_]+ (counter|gauge|info)|EOF)$")
            .unwrap();
    for line in text.lines() {
        assert!(sample.is_match(line) || about.is_match(line), "{line}");
    }
    let samples = samples(&text);
    for name in [
        "grantry_connections{state=\"good\"}",
        "grantry_connections{state=\"needs_reauthorization\"}",
        "grantry_refreshes_total{blame=\"none\"}",
        "grantry_refreshes_total{blame=\"app\"}",
        "grantry_refresh_queue{state=\"overdue\"}",
        "grantry_breakers_open",
        "grantry_hand_outs_total{result=\"ok\"}",
        "grantry_revocations_waiting",
        "grantry_delivery_attempts_total{result=\"given_up\"}",
        "grantry_deliveries{state=\"dead\"}",
        "grantry_http_requests_total{surface=\"api\",status=\"2xx\"}",
        "grantry_writes_waiting",
    ] {
        assert!(samples.contains_key(name), "{name} is missing from {text}");
    }
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&version), "{text}");
    drop(server);
}

#[tokio::test]
async fn the_listener_answers_nothing_else_and_nobody_else_answers_it() {
    let (mut server, url) = watched().await;
    let base = url.trim_end_matches("/metrics").to_owned();
    for path in ["/", "/livez", "/api/users/me", "/metrics/", "/metrics/x", "/session", "/../metrics%00"] {
        assert_eq!(ask("GET", &format!("{base}{path}")).await.status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let refused = ask(method, &url).await;
        assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    assert_eq!(ask("HEAD", &url).await.body.len(), 0);
    assert_eq!(server.anybody().get("/metrics").await.status, 404);
    server.stop();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(http.get(&url).send().await.is_err());
    // Off unless somebody wants it.
    let server = Server::with(&["--json"]).await;
    let printed: Value = serde_json::from_str(&server.printed()).unwrap();
    assert_eq!(printed["metrics"], Value::Null);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = tempfile::tempdir().unwrap();
    let failed = cli(dir.path(), &["serve", "--listen", "127.0.0.1:0", "--metrics-listen", &port]);
    let complaint = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success() && complaint.contains("metrics-listen: cannot listen on"), "{complaint}");
}

#[tokio::test]
async fn what_happens_is_counted() {
    let (server, url) = watched().await;
    let (admin, receiver) = (server.admin(), Receiver::start(Reply::Status(500)).await);
    let profile = admin.post("/api/custom_oauth_profiles", &profile_body("MARKED", "hubspot")).await.expect(200);
    let before = numbers(&url).await;
    let count = |numbers: &BTreeMap<String, u64>, name: &str| numbers[name];
    let api = |class: &str| format!("grantry_http_requests_total{{surface=\"api\",status=\"{class}\"}}");
    admin.post("/api/webhooks", &json!({"url": receiver.url})).await.expect(200);
    let body = json!({"name": "MARKED", "custom_oauth_profile_id": profile["result"]["id"], "provider": "hubspot"});
    let id = admin.post("/api/connections", &body).await.expect(200)["id"].as_i64().unwrap();
    assert_eq!(admin.get(&format!("/api/connections/{id}/token")).await.status, 409);
    assert_eq!(admin.get("/api/connections/999/token").await.status, 404);
    server.anybody().get("/api/users").await.expect(401);
    server.anybody().post("/oauth/token", &json!({})).await;
    server.anybody().get("/livez").await.expect(200);
    let db = Connection::open(server.data().join("grantry.db")).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    db.execute("UPDATE connections SET status = 'success'", []).unwrap();
    admin.send(admin.request("POST", &format!("/api/connections/{id}/disconnect"))).await.expect(200);
    receiver.wait_for(1).await;
    until("it is counted", SOON, async || {
        let now = numbers(&url).await;
        // What the database holds is counted afresh every few seconds.
        count(&now, "grantry_deliveries{state=\"waiting\"}") == 1
            && count(&now, "grantry_connections{state=\"needs_reauthorization\"}") == 1
    })
    .await;
    let after = numbers(&url).await;
    let grown = |name: &str| count(&after, name) - count(&before, name);
    assert_eq!(grown(&api("2xx")), 3);
    assert_eq!(grown(&api("4xx")), 3);
    assert_eq!(grown("grantry_http_requests_total{surface=\"oauth\",status=\"4xx\"}"), 1);
    assert!(grown("grantry_http_requests_total{surface=\"site\",status=\"2xx\"}") >= 1);
    assert_eq!(grown("grantry_hand_outs_total{result=\"not_connected\"}"), 1);
    assert_eq!(grown("grantry_hand_outs_total{result=\"refused\"}"), 1);
    assert_eq!(grown("grantry_hand_outs_total{result=\"ok\"}"), 0);
    assert_eq!(grown("grantry_delivery_attempts_total{result=\"failed\"}"), 1);
    let text = ask("GET", &url).await.text();
    for secret in ["MARKED", "hubspot", "gry_", "127.0.0.1", "example"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn every_state_of_a_connection_has_a_name() {
    let (server, url) = watched().await;
    let admin = server.admin();
    let profile = admin.post("/api/custom_oauth_profiles", &profile_body("P", "hubspot")).await.expect(200);
    let db = Connection::open(server.data().join("grantry.db")).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    let far = i64::MAX / 2;
    // In one transaction: a count sees all of them or none.
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    for (n, (status, grant)) in [
        ("NULL", None),
        ("'failed'", None),
        ("'failed'", Some((far, "NULL", "NULL", 0))),
        ("'success'", Some((far, "NULL", "1", 0))),
        ("'success'", Some((far, "'app'", "NULL", 1))),
        ("'success'", Some((far, "'network'", "NULL", 2))),
        ("'success'", Some((1, "NULL", "NULL", 0))),
        ("'success'", Some((far, "NULL", "NULL", 0))),
        ("'success'", Some((far, "NULL", "NULL", 0))),
    ]
    .into_iter()
    .enumerate()
    {
        let id = n + 1;
        let made = format!(
            "INSERT INTO connections (id, name, provider, profile_id, status, created_at, updated_at)
             VALUES ({id}, 'c', 'hubspot', {}, {status}, 1, 1)",
            profile["result"]["id"]
        );
        db.execute(&made, []).unwrap();
        let Some((expires_at, blame, uncertain_at, failures)) = grant else { continue };
        let made = format!(
            "INSERT INTO grants (connection_id, grant_type, version, key_id, sealed, token_type, granted_at, issued_at,
                expires_at, refresh_token, due_at, uncertain_at, failures, blame, handed_out)
             VALUES ({id}, 'imported', 1, '', x'', 'Bearer', 1, 1, {expires_at}, 0, {far}, {uncertain_at},
                {failures}, {blame}, 0)"
        );
        db.execute(&made, []).unwrap();
    }
    db.execute_batch("COMMIT").unwrap();
    until("they are counted", SOON, async || numbers(&url).await["grantry_connections{state=\"good\"}"] == 2).await;
    let numbers = numbers(&url).await;
    for (state, count) in [
        ("not_connected", 1),
        ("needs_reauthorization", 2),
        ("uncertain", 1),
        ("app_secret_rejected", 1),
        ("failing", 1),
        ("expired", 1),
    ] {
        assert_eq!(numbers[&format!("grantry_connections{{state=\"{state}\"}}")], count, "{state}");
    }
    assert_eq!(numbers["grantry_refresh_queue{state=\"planned\"}"], 7);
    assert_eq!(numbers["grantry_refresh_queue{state=\"due\"}"], 0);
}
