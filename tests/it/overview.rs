//! The first look: what wants attention, and how much there is of everything.

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::support::{Server, profile_body};

const PATH: &str = "/api/overview";

fn database(server: &Server) -> Connection {
    let db = Connection::open(server.data().join("grantry.db")).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    db
}

fn kinds(overview: &Value) -> Vec<String> {
    let items = overview["attention"].as_array().unwrap();
    items.iter().map(|item| item["kind"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_empty_server_wants_a_backup_and_nothing_else() {
    let server = Server::start().await;
    let admin = server.admin();
    let overview = admin.get(PATH).await.expect(200)["result"].clone();
    assert_eq!(overview["attention"], json!([{"kind": "no_backup", "last_at": null}]));
    assert_eq!(overview["last_backup_at"], Value::Null);
    let made = admin.post("/api/backups", &json!({})).await.expect(200)["result"]["created_at"].clone();
    let overview = admin.get(PATH).await.expect(200)["result"].clone();
    assert_eq!((&overview["attention"], &overview["last_backup_at"]), (&json!([]), &made));
    let counts = &overview["counts"];
    assert_eq!(counts["connections"], json!({"total": 0, "ok": 0, "lost": 0, "never": 0}));
    for noun in ["profiles", "customers", "client_applications", "webhooks", "users"] {
        assert_eq!(counts[noun], 0, "{noun}");
    }
    assert_eq!(counts["api_tokens"], 1, "the one that asks");
    assert!(counts["providers"].as_u64().unwrap() > 20, "the catalogue counts");
    let days = overview["refreshes"].as_array().unwrap();
    assert_eq!(days.len(), 7);
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    // A test that runs at midnight has asked the day before.
    let last = days[6]["day"].as_str().unwrap();
    assert!(last <= today.as_str() && days[0]["day"].as_str().unwrap() < last, "{days:?}");
    assert!(days.iter().all(|day| day["ok"] == 0 && day["failed"] == 0));
}

#[tokio::test]
async fn what_is_wrong_is_told_with_numbers_and_examples() {
    let server = Server::start().await;
    let admin = server.admin();
    let profile = admin.post("/api/custom_oauth_profiles", &profile_body("CRM", "hubspot")).await.expect(200);
    let profile = profile["result"]["id"].as_i64().unwrap();
    for n in 0..9 {
        let body = json!({"name": format!("c{n}"), "provider": "hubspot", "owner": "alice"});
        admin.post("/api/connections", &body).await.expect(200);
    }
    let hook = json!({"url": "https://receiver.acme.example/hook"});
    let hook = admin.post("/api/webhooks", &hook).await.expect(200)["result"]["id"].as_i64().unwrap();
    let db = database(&server);
    // All of this takes providers, receivers and weeks to come about.
    db.execute_batch(
        "UPDATE profiles SET rejected_at = 5, rejected_why = 'invalid_client';
         UPDATE profile_secrets SET expires_at = 7 WHERE kind = 'current';
         UPDATE connections SET status = 'failed', lost_at = id, lost_reason = 'the provider says no' WHERE id <= 6;
         UPDATE connections SET status = 'success' WHERE id IN (7, 8);
         INSERT INTO grants (connection_id, grant_type, version, key_id, sealed, token_type, granted_at, issued_at,
            refresh_token, uncertain_at, failures, last_result, handed_out)
         VALUES (7, 'imported', 1, '', x'', 'Bearer', 0, 0, 0, 11, 1, 'cut_off', 0);
         INSERT INTO events (at, kind, connection_id, profile_id, detail) VALUES (1, 'connected', 1, 1, '{}');",
    )
    .unwrap();
    for _ in 0..3 {
        db.execute(
            "INSERT INTO deliveries (webhook_id, event_id, status, attempts, settled_at) VALUES (?1, 1, 'dead', 9, 1)",
            [hook],
        )
        .unwrap();
    }
    let today = jiff::Timestamp::now().as_millisecond() / 86_400_000;
    for (day, ok) in [(today - 7, 100), (today - 6, 4), (today, 5)] {
        db.execute(
            "INSERT INTO refresh_days (day, ok, failed_app, failed_network) VALUES (?1, ?2, 1, 2)",
            params![day, ok],
        )
        .unwrap();
    }
    let overview = admin.get(PATH).await.expect(200)["result"].clone();
    let expected =
        ["app_secret_rejected", "needs_reauthorization", "uncertain", "expiring", "deliveries_dead", "no_backup"];
    assert_eq!(kinds(&overview), expected);
    let attention = &overview["attention"];
    let the_profile = json!({"id": profile, "name": "CRM", "provider": "hubspot"});
    assert_eq!(
        attention[0],
        json!({"kind": "app_secret_rejected", "profile": the_profile, "connections": 9,
        "since": "1970-01-01T00:00:00.005+00:00", "why": "invalid_client"})
    );
    assert_eq!((&attention[1]["count"], attention[1]["examples"].as_array().unwrap().len()), (&json!(6), 5));
    assert_eq!(
        attention[1]["examples"][0],
        json!({"id": 6, "name": "c5", "provider": "hubspot", "owner": "alice",
        "since": "1970-01-01T00:00:00.006+00:00", "reason": "the provider says no"})
    );
    assert_eq!(
        attention[2]["examples"],
        json!([{"id": 7, "name": "c6", "provider": "hubspot", "owner": "alice",
        "since": "1970-01-01T00:00:00.011+00:00", "reason": "cut_off"}])
    );
    assert_eq!(attention[3]["count"], 1);
    let expiring = admin.get("/api/expiring").await.expect(200)["result"][0].clone();
    assert_eq!(attention[3]["examples"], json!([expiring]));
    assert_eq!(
        attention[4],
        json!({"kind": "deliveries_dead", "count": 3,
        "webhooks": [{"id": hook, "url": "https://receiver.acme.example/hook", "count": 3}]})
    );
    assert_eq!(overview["counts"]["connections"], json!({"total": 9, "ok": 2, "lost": 6, "never": 1}));
    let days = overview["refreshes"].as_array().unwrap();
    assert_eq!((days.len(), &days[0]["ok"], &days[6]["ok"], &days[6]["failed"]), (7, &json!(4), &json!(5), &json!(3)));
    assert_eq!(days[6]["failed_by"], json!({"app": 1, "grant": 0, "provider": 0, "network": 2}));

    let viewer = server.caller(&["profiles:read", "connections:read"]);
    let seen = viewer.get(PATH).await.expect(200)["result"].clone();
    assert!(!kinds(&seen).contains(&"deliveries_dead".to_owned()), "webhooks are for administrators");
    for noun in ["client_applications", "api_tokens", "webhooks", "users"] {
        assert_eq!(seen["counts"][noun], Value::Null, "{noun}");
    }
    for scope in ["profiles:read", "connections:read", "applications:read"] {
        assert_eq!(server.caller(&[scope]).get(PATH).await.status, 401, "{scope} alone is not enough");
    }
}
