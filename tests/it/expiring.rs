//! The expiry radar: what comes to its end is seen before it does.

use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::support::{Caller, Server, profile_body};

const PATH: &str = "/api/expiring";
const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;

fn database(server: &Server) -> Connection {
    let db = Connection::open(server.data().join("grantry.db")).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    db
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A provider whose refresh tokens die after ten days without use, and after a hundred days in any case.
async fn profile(admin: &Caller) -> Value {
    let acme = json!({"slug": "acme", "name": "Acme", "token_url": "https://login.acme.example/token",
        "refresh_token_idle_s": 864_000, "refresh_token_max_s": 8_640_000});
    admin.post("/api/providers", &acme).await.expect(200);
    admin.post("/api/custom_oauth_profiles", &profile_body("Sales", "acme")).await.expect(200)["result"]["id"].clone()
}

/// What counts for the end of a refresh token, as times from now.
#[derive(Clone, Copy)]
struct Token {
    granted: i64,
    used: i64,
    told: Option<i64>,
    due: Option<i64>,
    failures: i64,
}

/// Granted and used just now, and refreshed in an hour.
const FRESH: Token = Token { granted: 0, used: 0, told: None, due: Some(HOUR), failures: 0 };

/// Connections with grants, straight into the database: a token that is a hundred days old cannot be had in a minute.
fn insert(db: &Connection, profile: i64, tokens: &[(&str, Token)]) {
    let now = now();
    for (name, token) in tokens {
        db.execute(
            "INSERT INTO connections (name, provider, profile_id, status, owner, created_at, updated_at)
             VALUES (?1, 'acme', ?2, 'success', 'alice', ?3, ?3)",
            params![name, profile, now],
        )
        .unwrap();
        db.execute(
            "INSERT INTO grants (connection_id, grant_type, version, key_id, sealed, token_type, granted_at, issued_at,
                refresh_token, refresh_issued_at, refresh_expires_at, due_at, failures, handed_out)
             VALUES (?1, 'imported', 1, '', x'', 'Bearer', ?2, ?3, 1, ?3, ?4, ?5, ?6, 0)",
            params![
                db.last_insert_rowid(),
                now + token.granted,
                now + token.used,
                token.told.map(|at| now + at),
                token.due.map(|at| now + at),
                token.failures
            ],
        )
        .unwrap();
    }
}

/// What is listed, as `what/why/name`, in its order.
async fn listed(caller: &Caller, query: &str) -> Vec<String> {
    let answer = caller.get(&format!("{PATH}{query}")).await.expect(200);
    let line = |item: &Value| {
        let of = ["profile", "connection", "api_token"].into_iter().find(|of| item[*of].is_object()).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        [text(&item["what"]), text(&item["why"]), text(&item[of]["name"])].join("/")
    };
    answer["result"].as_array().unwrap().iter().map(line).collect()
}

#[tokio::test]
async fn refresh_tokens_end_by_age_and_by_rest() {
    let server = Server::start().await;
    let viewer = server.caller(&["profiles:read", "connections:read"]);
    let id = profile(&server.admin()).await.as_i64().unwrap();
    let db = database(&server);
    insert(
        &db,
        id,
        &[
            ("fresh", FRESH),
            ("old", Token { granted: -80 * DAY, ..FRESH }),
            ("told", Token { told: Some(5 * DAY), granted: -99 * DAY + 6 * DAY, ..FRESH }),
            ("rests", Token { due: None, used: -2 * DAY, ..FRESH }),
            ("fails", Token { failures: 3, used: -9 * DAY, ..FRESH }),
            ("works", Token { used: -9 * DAY, ..FRESH }),
            ("late", Token { due: Some(2 * DAY), used: -9 * DAY, ..FRESH }),
            ("over", Token { granted: -101 * DAY, ..FRESH }),
            ("lost", Token { granted: -101 * DAY, ..FRESH }),
        ],
    );
    db.execute("UPDATE connections SET status = 'failed' WHERE name = 'lost'", []).unwrap();
    let all = [
        "refresh_token/absolute/over",
        "refresh_token/idle/fails",
        "refresh_token/idle/late",
        "refresh_token/absolute/told",
        "refresh_token/idle/rests",
        "refresh_token/absolute/old",
    ];
    // Those that end in the same moment may change places.
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    let expected = sorted(all.map(str::to_owned).to_vec());
    assert_eq!(sorted(listed(&viewer, "").await), expected);
    let in_order = listed(&viewer, "?within=30d").await;
    assert_eq!(in_order[0], all[0]);
    assert_eq!(in_order[3..], all[3..]);
    assert_eq!(listed(&viewer, "?within=6d").await.len(), 4);
    assert_eq!(listed(&viewer, "?within=25h").await.len(), 3);
    assert_eq!(listed(&viewer, "?within=3600").await, [all[0]]);
    assert_eq!(listed(&viewer, "?within=0").await, [all[0]]);
    let far = listed(&viewer, "?within=400d").await;
    assert!(far.contains(&"refresh_token/absolute/fresh".to_owned()), "{far:?}");
    let first = viewer.get(PATH).await.expect(200)["result"][0].clone();
    let connection = first["connection"].as_object().unwrap();
    let keys: Vec<&String> = connection.keys().collect();
    assert_eq!(keys, ["id", "name", "owner", "external_id", "provider"]);
    assert_eq!((&connection["owner"], &connection["provider"]), (&json!("alice"), &json!("acme")));
    let ends = first["expires_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    assert!((now() - DAY - ends).abs() < HOUR, "{first}");
}

#[tokio::test]
async fn client_secrets_and_api_tokens_end_when_they_were_told_to() {
    let server = Server::start().await;
    let (admin, viewer) = (server.admin(), server.caller(&["profiles:read", "connections:read"]));
    let id = profile(&admin).await.as_i64().unwrap();
    let other = admin.post("/api/custom_oauth_profiles", &profile_body("Other", "hubspot")).await.expect(200);
    let db = database(&server);
    let expire = |profile: i64, at: i64| {
        let sql = "UPDATE profile_secrets SET expires_at = ?2 WHERE profile_id = ?1 AND kind = 'current'";
        db.execute(sql, [profile, at]).unwrap();
    };
    expire(id, now() + 20 * DAY);
    expire(other["result"]["id"].as_i64().unwrap(), now() - DAY);
    for (name, days) in [("soon", 7), ("late", 60), ("never", 0)] {
        let body = json!({"name": name, "scopes": ["profiles:read"], "days": days});
        admin.post("/api/api_tokens", &body).await.expect(200);
    }
    db.execute("INSERT INTO api_tokens (name, hash, scopes, addresses, created_at, expires_at) VALUES ('gone', x'', '', '', 1, 2)", [])
        .unwrap();
    let secrets = ["client_secret/expiry/Other", "client_secret/expiry/Sales"];
    assert_eq!(listed(&viewer, "").await, secrets);
    assert_eq!(listed(&admin, "").await, [secrets[0], "api_token/expiry/soon", secrets[1]]);
    let far = listed(&admin, "?within=70d").await;
    assert!(far.contains(&"api_token/expiry/late".to_owned()) && !far.iter().any(|line| line.ends_with("/never")));
    assert!(!far.iter().any(|line| line.ends_with("/gone")), "it opens nothing any more: {far:?}");
    let items = admin.get(PATH).await.expect(200)["result"].clone();
    assert_eq!(items[0]["secret"], "current");
    assert_eq!(items[2]["profile"], json!({"id": id, "name": "Sales", "provider": "acme"}));
    assert!(items[1]["api_token"]["id"].is_i64() && !items.to_string().contains("gry_"));
    let printed = server.cli_ok(&["expiring", "--within", "10d"]);
    assert!(printed.contains("soon") && printed.contains("Other") && !printed.contains("Sales"), "{printed}");
    let value: Value = serde_json::from_str(&server.cli_ok(&["--json", "expiring"])).unwrap();
    assert_eq!((value["result"].as_array().unwrap().len(), &value["more"]), (3, &json!(false)));
}

#[tokio::test]
async fn both_kinds_of_thing_must_be_for_the_callers_eyes() {
    let server = Server::start().await;
    for (scopes, status) in [
        (&["profiles:read"][..], 401),
        (&["connections:read"], 401),
        (&["profiles:write", "connections:write", "audit:read"], 401),
        (&["profiles:read", "connections:read"], 200),
        (&["admin"], 200),
    ] {
        assert_eq!(server.caller(scopes).get(PATH).await.status, status, "{scopes:?}");
    }
    let admin = server.admin();
    for bad in ["401d", "-1", "x", "1w", "", "999999999999999999999", "%FF", "30d%20"] {
        let refused = admin.get(&format!("{PATH}?within={bad}")).await.expect(400);
        assert!(refused["errors"]["within"].is_array(), "{bad}: {refused}");
    }
    assert_eq!(admin.get(PATH).await.expect(200), json!({"result": [], "more": false}));
}

#[tokio::test]
async fn a_long_list_is_cut_after_the_first_thousand() {
    let server = Server::start().await;
    let admin = server.admin();
    let id = profile(&admin).await.as_i64().unwrap();
    let db = database(&server);
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The last that are looked at end first.
    for n in 0..5_000 {
        let granted = -80 * DAY - n * 1000;
        insert(&db, id, &[(&format!("c{n}"), Token { granted, ..FRESH })]);
    }
    db.execute_batch("COMMIT").unwrap();
    let answer = admin.get(PATH).await.expect(200);
    let items = answer["result"].as_array().unwrap();
    assert_eq!((items.len(), &answer["more"]), (1000, &json!(true)));
    let ends: Vec<&str> = items.iter().map(|item| item["expires_at"].as_str().unwrap()).collect();
    assert!(ends.is_sorted());
    assert_eq!(
        (&items[0]["connection"]["name"], &items[999]["connection"]["name"]),
        (&json!("c4999"), &json!("c4000"))
    );
    assert!(server.cli_ok(&["expiring"]).contains("There is more"));
}
