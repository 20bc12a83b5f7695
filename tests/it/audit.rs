//! Who did what: read, filtered, taken away, and forgotten in time.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{APPLICATION_FILE, Caller, MULTIPART, Server, application_body, profile_body};

async fn items(caller: &Caller, query: &str) -> Vec<Value> {
    caller.get(&format!("/api/audit?{query}")).await.expect(200)["result"]["items"].as_array().unwrap().clone()
}

/// All entries of a filter, page by page, and how many pages that were.
async fn all(caller: &Caller, query: &str, limit: u32) -> (Vec<Value>, usize) {
    let (mut found, mut before, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("/api/audit?limit={limit}&{query}{before}");
        let page = caller.get(&path).await.expect(200)["result"].clone();
        pages += 1;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit as usize && pages < 1000);
        found.extend(items.iter().cloned());
        match page["next"].as_i64() {
            Some(next) => before = format!("&before={next}"),
            None => return (found, pages),
        }
    }
}

fn open(server: &Server) -> Connection {
    Connection::open(server.data().join("grantry.db")).unwrap()
}

#[tokio::test]
async fn what_was_done_is_there_with_who_did_it_and_where_from() {
    let server = Server::start().await;
    let admin = server.admin();
    let made = admin.post("/api/custom_oauth_profiles", &profile_body("Sales", "hubspot")).await;
    let id = made.expect(200)["result"]["id"].as_i64().unwrap();
    admin.delete(&format!("/api/custom_oauth_profiles/{id}")).await.expect(200);
    let reader = server.caller(&["audit:read"]);
    let found = items(&reader, &format!("noun=profile&noun_id={id}")).await;
    assert_eq!(found.len(), 2);
    assert_eq!((&found[0]["deed"], &found[1]["deed"]), (&json!("deleted"), &json!("created")), "newest first");
    let entry = &found[1];
    assert_eq!(entry["request_id"], made.header("x-request-id"));
    assert_eq!((&entry["address"], &entry["actor_name"]), (&json!("127.0.0.1"), &json!("a test")));
    let actor = entry["actor"].as_str().unwrap().to_owned();
    assert!(actor.starts_with("api_token ") && entry["detail"].is_object(), "{entry}");
    assert_eq!(items(&reader, &format!("actor={}&deed=deleted", actor.replace(' ', "%20"))).await.len(), 1);
    assert_eq!(items(&reader, "q=HUBSPOT&deed=created").await.len(), 1);
    assert_eq!(items(&reader, &format!("q={}", made.header("x-request-id"))).await.len(), 1);
    assert!(items(&reader, "q=%25").await.is_empty(), "no pattern, a text");
    let day = entry["at"].as_str().unwrap()[..10].to_owned();
    assert_eq!(items(&reader, &format!("since={day}&until={day}&noun=profile")).await.len(), 2);
    assert!(items(&reader, "since=2999-01-01").await.is_empty() && items(&reader, "until=1999-12-31").await.is_empty());
    let at = entry["at"].as_str().unwrap();
    assert_eq!(items(&reader, &format!("since={at}&noun=profile&deed=created")).await.len(), 1, "as it is written");
    server.caller(&["profiles:read", "applications:read"]).get("/api/audit").await.expect(401);
    let limited = json!({"name": "t", "scopes": ["audit:read"], "owner": "ann"});
    let limited = admin.post("/api/api_tokens", &limited).await.expect(200)["result"]["token"].clone();
    let limited = server.anybody().bearer(limited.as_str().unwrap());
    for path in ["/api/audit", "/api/audit/export"] {
        let refused = limited.get(path).await;
        assert!(refused.status == 401 || refused.status == 403, "{}", refused.status);
        assert!(refused.text().contains("limited to some connections"), "{}", refused.text());
    }
}

/// Waits until so many passwords stand in the trail as refused for this reason; answers the entries.
async fn refused(reader: &Caller, deed: &str, why: &str, times: u64) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let mut found = items(reader, &format!("deed={deed}&limit=200")).await;
        found.retain(|entry| entry["detail"]["why"] == why);
        let counted: u64 = found.iter().map(|entry| entry["detail"]["count"].as_u64().unwrap()).sum();
        if counted == times {
            return found;
        }
        // What an address goes on trying is written a minute later.
        assert!(counted < times && begun.elapsed() < Duration::from_secs(75), "{counted} of {times}: {found:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn refused_passwords_stand_in_the_trail_few_and_counted_and_made_up_names_nowhere() {
    let mut server = Server::start().await;
    let reader = server.caller(&["audit:read"]);
    let user =
        json!({"name": "Ann", "email": "a@acme.example", "role": "viewer", "password": "PLANTED right password"});
    let id = server.admin().post("/api/users", &user).await.expect(200)["result"]["id"].as_i64().unwrap();
    let anybody = server.anybody();
    let log_in = |name: &str, password: &str| {
        let body = json!({"name": name, "password": password});
        let anybody = anybody.clone();
        async move { anybody.post("/session", &body).await.status }
    };
    assert_eq!(log_in("ann", "PLANTED wrong").await, 401);
    assert_eq!(server.anybody().basic("ANN", "PLANTED wrong too").get("/api/users/me").await.status, 401);
    // Whoever takes the field of the name for that of the password: the end of the test looks for it everywhere.
    assert_eq!(log_in("PLANTED right password", "ann").await, 401);
    assert_eq!(log_in("nobody at all", "PLANTED wrong").await, 401);
    let wrong = refused(&reader, "password_refused", "wrong", 2).await;
    for entry in &wrong {
        assert_eq!((&entry["noun"], &entry["noun_id"]), (&json!("user"), &json!(id.to_string())), "{entry}");
        assert_eq!((&entry["actor"], &entry["actor_name"]), (&json!("nobody"), &Value::Null));
        assert_eq!(entry["address"], "127.0.0.1");
        assert!(entry["request_id"].as_str().unwrap().len() > 8);
    }
    assert!(items(&reader, "q=nobody%20at%20all").await.is_empty());

    // A flood: one or two entries, and writes go on.
    let flood = futures_util::future::join_all((0..200).map(|_| log_in("ann", "PLANTED guess"))).await;
    let held_up = flood.iter().filter(|status| **status == 429).count() as u64;
    assert!(held_up > 150, "{held_up}");
    server.admin().post("/api/custom_oauth_profiles", &profile_body("Sales", "hubspot")).await.expect(200);
    let entries = refused(&reader, "password_refused", "too_many", held_up).await;
    assert!(entries.len() <= 2, "{entries:?}");
    log_in("ann", "PLANTED guess").await;
    // What was not due yet is written at the end, and is there afterwards.
    server.stop();
    let again = Server::on(server.dir(), &[], &[]).await;
    let entries = items(&again.caller(&["audit:read"]), "deed=password_refused&limit=200").await;
    let counted: u64 = entries.iter().map(|entry| entry["detail"]["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, 2 + 200 + 1);
    assert!(entries.len() <= 6, "{entries:?}");
    let shown = again.cli_ok(&["audit", "list", "--deed", "password_refused"]);
    assert!(shown.contains("password_refused") && shown.contains("nobody"), "{shown}");
}

#[tokio::test]
async fn a_filter_that_is_wrong_is_refused_and_never_means_everything() {
    let server = Server::start().await;
    let reader = server.caller(&["audit:read"]);
    for (query, field) in [
        ("deeds=created", "deeds"),
        ("deed=destroyed", "deed"),
        ("deed=created&deed=deleted", "deed"),
        ("since=yesterday", "since"),
        ("since=2026-02-30", "since"),
        ("until=2026-11-25T25:00:00Z", "until"),
        ("before=x", "before"),
        ("before=-1", "before"),
        ("actor=a%00b", "actor"),
        ("noun=%20", "noun"),
        ("format=csv", "format"),
    ] {
        let refused = reader.get(&format!("/api/audit?{query}")).await.expect(400);
        assert!(refused["errors"][field].is_array(), "{query}: {refused}");
    }
    let huge = reader.get(&format!("/api/audit?q={}", "x".repeat(5000))).await.expect(400);
    assert!(huge["errors"]["q"][0].as_str().unwrap().contains("too long"));
    let many = "&x=1&y=2".repeat(1000);
    assert!(reader.get(&format!("/api/audit?{many}")).await.expect(400).to_string().len() < 20_000);
    for limit in ["0", "-3", "x", "99999999999999999999", "100000"] {
        reader.get(&format!("/api/audit?limit={limit}&deed=&q=")).await.expect(200);
    }
    reader.get("/api/audit/export?format=xml").await.expect(400);
    reader.get("/api/audit/export?since=never").await.expect(400);
    reader.get("/api/audit/export?before=3").await.expect(400);
    let nothing = reader.get("/api/audit/export?format=jsonl&until=1999-01-01").await;
    assert_eq!((nothing.status, nothing.text().as_str()), (200, ""));
}

#[tokio::test]
async fn pages_are_exact_whatever_the_clock_did_and_a_rare_match_is_found_without_holding_anybody_up() {
    let mut server = Server::start().await;
    let token = server.caller(&["audit:read"]).token();
    server.stop();
    let db = open(&server);
    // Times that go back and forth, many of them equal.
    db.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO audit (at, actor, deed, noun, noun_id, detail, request_id, address)
         SELECT 1000 + (i * 7919) % 97, 'user ' || (i % 3), 'created', 'thing', i % 5, '{}', '', '' FROM n;",
    )
    .unwrap();
    let expected = |filter: &str| -> Vec<i64> {
        let sql = format!("SELECT id FROM audit WHERE noun = 'thing' AND {filter} ORDER BY at DESC, id DESC");
        db.prepare(&sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let again = Server::on(server.dir(), &["--audit-days", "0"], &[]).await;
    let reader = again.anybody().bearer(&token);
    for (query, filter) in [
        ("noun=thing", "1"),
        ("noun=thing&noun_id=3", "noun_id = '3'"),
        ("noun=thing&actor=user%201", "actor = 'user 1'"),
        ("noun=thing&actor=user%201&noun_id=2", "actor = 'user 1' AND noun_id = '2'"),
        ("noun=thing&since=1970-01-01T00:00:01.010Z&until=1970-01-01T00:00:01.050Z", "at >= 1010 AND at < 1050"),
    ] {
        let (found, _) = all(&reader, query, 7).await;
        let found: Vec<i64> = found.iter().map(|entry| entry["id"].as_i64().unwrap()).collect();
        assert_eq!(found, expected(filter), "{query}");
    }
    drop(again);
    db.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
         INSERT INTO audit (at, actor, deed, noun, noun_id, detail, request_id, address)
         SELECT 5000 + i, 'machine', 'updated', 'other', i, '{}', '', '' FROM n;",
    )
    .unwrap();
    let again = Server::on(server.dir(), &["--audit-days", "0"], &[]).await;
    let reader = again.anybody().bearer(&token);
    let (found, pages) = all(&reader, "q=user%202&noun=thing&noun_id=4", 200).await;
    assert_eq!((found.len(), pages), (expected("actor = 'user 2' AND noun_id = '4'").len(), 1), "an index leads");
    let (found, pages) = all(&reader, "q=user%202", 200).await;
    assert_eq!((found.len(), pages), (expected("actor = 'user 2'").len(), 3), "the first pages have little");
    // Behind an entry that has gone, those that came before it.
    db.execute("DELETE FROM audit WHERE id = 60", []).unwrap();
    let place =
        |filter: &str| expected(&format!("(at, id) < (SELECT at, id + 1 FROM audit WHERE id = 59) AND {filter}"));
    let found = items(&reader, "noun=thing&noun_id=1&before=60&limit=200").await;
    let found: Vec<i64> = found.iter().map(|entry| entry["id"].as_i64().unwrap()).collect();
    assert_eq!(found, place("noun_id = '1'"));
    let lines = reader.get("/api/audit/export?format=jsonl&noun=other").await.text();
    assert_eq!(lines.lines().count(), 50_000);
    let ids: BTreeSet<i64> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), 50_000);
}

#[tokio::test]
async fn an_export_is_a_file_that_no_spreadsheet_takes_for_formulas() {
    let server = Server::start().await;
    let admin = server.admin();
    let evil = r#"=HYPERLINK("https://evil.example","x")"#;
    let token = json!({"name": evil, "scopes": ["admin"]});
    let token = admin.post("/api/api_tokens", &token).await.expect(200)["result"]["token"].as_str().unwrap().to_owned();
    let odd = server.anybody().bearer(&token);
    let body = json!({"name": "+1, \"2\"", "notification_email": "c@acme.example"});
    odd.post("/api/managed_users", &body).await.expect(200);
    let answer = admin.get("/api/audit/export?noun=customer").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/csv"));
    let name = answer.header("content-disposition");
    assert!(name.starts_with("attachment; filename=\"grantry-audit-20") && name.ends_with(".csv\""), "{name}");
    let csv = answer.text();
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines.len(), 3, "{csv}");
    assert_eq!(lines[0], "id,at,actor,actor_name,deed,noun,noun_id,detail,request_id,address");
    assert!(lines[1].contains(r#","'=HYPERLINK(""https://evil.example"",""x"")","#), "{csv}");
    let lines = admin.get("/api/audit/export?format=jsonl&noun=customer").await;
    assert!(lines.header("content-disposition").ends_with(".jsonl\""));
    let entry: Value = serde_json::from_str(lines.text().trim_end()).unwrap();
    assert_eq!((&entry["actor_name"], &entry["deed"]), (&json!(evil), &json!("created")));
    // That the trail was taken away is in it.
    assert_eq!(items(&admin, "deed=exported").await.len(), 2);

    let file = server.dir().path().join("trail.csv");
    let path = file.to_str().unwrap();
    server.cli_ok(&["audit", "export", "--noun", "customer", "--output", path]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), csv);
    let refused = server.cli(&["audit", "export", "--output", path]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("trail.csv"));
    let table = server.cli_ok(&["audit", "list", "--noun", "customer", "--limit", "5"]);
    assert!(table.contains("created") && table.contains("HYPERLINK"), "{table}");
    let listed: Value = serde_json::from_str(&server.cli_ok(&["--json", "audit", "list", "--limit", "3"])).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 3);
    let refused = server.cli(&["audit", "list", "--deed", "destroyed"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("deed: must be one of created"));
}

#[tokio::test]
async fn tokens_of_applications_are_noted_once_an_hour() {
    let server = Server::start().await;
    let admin = server.admin();
    let body = application_body(r#"{"name":"crm"}"#, APPLICATION_FILE.as_bytes());
    let made = admin.send_text("POST", "/documents/api/1.2/config/clientApplications", MULTIPART, body).await;
    let id = made.expect(201)["id"].as_str().unwrap().to_owned();
    let path = format!("/api/client_applications/{id}");
    admin.put(&format!("{path}/scopes"), &json!({"scopes": ["connections:read"]})).await.expect(200);
    let secret = admin.send(admin.request("POST", &format!("{path}/secret"))).await.expect(200);
    let secret = secret["client_secret"].as_str().unwrap().to_owned();
    let program = server.anybody().basic(&id, &secret);
    let form = |pairs: &str| {
        let pairs = pairs.to_owned();
        let program = program.clone();
        async move {
            program
                .send_text(
                    "POST",
                    if pairs.starts_with("token=") { "/oauth/revoke" } else { "/oauth/token" },
                    "application/x-www-form-urlencoded",
                    pairs,
                )
                .await
        }
    };
    for _ in 0..3 {
        let token =
            form("grant_type=client_credentials").await.expect(200)["access_token"].as_str().unwrap().to_owned();
        assert_eq!(form(&format!("token={token}")).await.status, 200);
    }
    assert_eq!(form("token=gry_access_1_nonsense").await.status, 200);
    for deed in ["token_issued", "token_revoked"] {
        let found = items(&admin, &format!("deed={deed}&noun=client_application&noun_id={id}")).await;
        // Twice where the hour has just changed.
        assert!((1..=2).contains(&found.len()), "{deed}: {found:?}");
        assert_eq!(
            (&found[0]["actor"], &found[0]["actor_name"]),
            (&json!(format!("client_application {id}")), &json!("crm"))
        );
        assert_eq!(found[0]["request_id"].as_str().unwrap().len(), 36);
    }
}

#[tokio::test]
async fn old_entries_go_and_young_ones_stay() {
    let mut server = Server::start().await;
    let token = server.caller(&["audit:read"]).token();
    server.stop();
    let db = open(&server);
    db.execute_batch(
        "INSERT INTO audit (at, actor, deed, noun, noun_id, detail, request_id, address)
         VALUES (1000, 'machine', 'created', 'ancient', '1', '{}', '', '')",
    )
    .unwrap();
    let for_ever = Server::on(server.dir(), &["--audit-days", "0"], &[]).await;
    let reader = for_ever.anybody().bearer(&token);
    // The first round begins with the server; a write that is waited for comes after it.
    for_ever.caller(&["audit:read"]);
    assert_eq!(items(&reader, "noun=ancient").await.len(), 1);
    drop(for_ever);
    let server = Server::on(server.dir(), &[], &[]).await;
    let reader = server.anybody().bearer(&token);
    server.caller(&["audit:read"]);
    assert!(items(&reader, "noun=ancient").await.is_empty());
    assert!(!items(&reader, "noun=api_token&deed=created").await.is_empty());
}
