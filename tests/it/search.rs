//! Long lists: searched, filtered and paged at the server, whatever is asked for.

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::support::{APPLICATION_FILE, Caller, MULTIPART, Server, application_body, practice::Practice, profile_body};

const CONNECTIONS: &str = "/api/search/connections";
const PROFILES: &str = "/api/search/profiles";
const NAMES: [&str; 7] = ["Sales CRM", "100% done", "a_b", "axb", "<img onerror>", "\u{202e}gpj.exe", "🜁 Größe"];

fn database(server: &Server) -> Connection {
    let db = Connection::open(server.data().join("grantry.db")).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    db
}

/// A profile, a customer, and a connection of each of [`NAMES`].
async fn seeded(server: &Server) -> (Caller, i64, i64) {
    let admin = server.admin();
    let profile = admin.post("/api/custom_oauth_profiles", &profile_body("CRM", "hubspot")).await.expect(200);
    let profile = profile["result"]["id"].as_i64().unwrap();
    let customer = json!({"name": "Acme", "notification_email": "it@acme.example", "external_id": "A-1"});
    let customer = admin.post("/api/managed_users", &customer).await.expect(200)["id"].as_i64().unwrap();
    for (n, name) in NAMES.iter().enumerate() {
        let owner = if n % 2 == 0 { "alice" } else { "bob" };
        let body = json!({"name": name, "provider": "hubspot", "owner": owner, "external_id": format!("ext-{n}")});
        let path =
            if n == 0 { format!("/api/managed_users/{customer}/connections") } else { "/api/connections".into() };
        admin.post(&path, &body).await.expect(200);
    }
    (admin, profile, customer)
}

/// The names of what a search finds.
async fn found(caller: &Caller, path: &str, query: &[(&str, &str)]) -> Vec<String> {
    let request = caller.request("GET", path).query(query);
    let answer = caller.send(request).await.expect(200)["result"].clone();
    let items = answer["items"].as_array().unwrap();
    assert_eq!(answer["total"], items.len(), "{answer}");
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_text_is_found_wherever_it_stands_and_every_sign_is_a_sign() {
    let server = Server::start().await;
    let (admin, _, _) = seeded(&server).await;
    for (q, expected) in [
        ("sales", vec![0]),
        ("  CRM ", (0..7).collect()), // the name of their profile
        ("%", vec![1]),
        ("_", (0..7).collect()), // example_client_id
        ("a_b", vec![2]),
        ("e_c", (0..7).collect()),
        ("GRÖSSE", vec![]),
        ("größe", vec![6]),
        ("GRÖße", vec![6]),
        ("🜁", vec![6]),
        ("\u{202e}", vec![5]),
        ("<IMG", vec![4]),
        ("BOB", vec![1, 3, 5]),
        ("ext-3", vec![3]),
        ("example_client", (0..7).collect()),
        ("hubspot", (0..7).collect()),
        ("\0", vec![]),
        ("a\0b", vec![]),
        ("'", vec![]),
        ("\\", vec![]),
        ("5", vec![4, 5]), // an id, and what stands in an external id
        ("", (0..7).collect()),
    ] {
        let expected: Vec<&str> = expected.into_iter().map(|n: usize| NAMES[n]).collect();
        assert_eq!(found(&admin, CONNECTIONS, &[("q", q)]).await, expected, "{q:?}");
    }
    let long = "x".repeat(10_000);
    let refused = admin.send(admin.request("GET", CONNECTIONS).query(&[("q", &long)])).await.expect(400);
    assert_eq!(refused["errors"], json!({"q": ["is too long (maximum is 1000 characters)"]}));
    assert_eq!(found(&admin, CONNECTIONS, &[("q", &"é".repeat(1000))]).await, Vec::<String>::new());
}

#[tokio::test]
async fn pages_follow_each_other_and_every_item_comes_once() {
    let server = Server::start().await;
    let (admin, _, _) = seeded(&server).await;
    for query in ["", "&q=e", "&state=never"] {
        let whole = admin.get(&format!("{CONNECTIONS}?limit=200{query}")).await.expect(200)["result"].clone();
        assert_eq!(whole["next"], Value::Null);
        let (mut after, mut items) = (String::new(), Vec::new());
        loop {
            let page = admin.get(&format!("{CONNECTIONS}?limit=2{query}&after={after}")).await.expect(200);
            let page = &page["result"];
            assert_eq!(page["total"], whole["total"], "the total is of all pages");
            items.extend(page["items"].as_array().unwrap().clone());
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut after),
                None => break,
            }
        }
        assert_eq!(&json!(items), &whole["items"]);
        assert!(whole["total"].as_u64().unwrap() == items.len() as u64 && items.len() > 2);
    }
    let beyond = admin.get(&format!("{CONNECTIONS}?after={}", i64::MAX)).await.expect(200);
    assert_eq!(beyond["result"], json!({"items": [], "next": null, "total": NAMES.len()}));
}

#[tokio::test]
async fn what_means_nothing_is_refused_with_its_name() {
    let server = Server::start().await;
    let admin = server.admin();
    for path in
        [CONNECTIONS, PROFILES, "/api/search/customers", "/api/search/client_applications", "/api/search/events"]
    {
        for bad in [
            "after=x",
            "after=%2B1",
            "after=01",
            "after=99999999999999999999",
            "after=1%00",
            "after=1.5",
            "limit=0",
            "limit=-1",
            "limit=201",
            "limit=99999999999999999999",
            "limit=ten",
            "limit=%20",
        ] {
            let name = bad.split('=').next().unwrap();
            let refused = admin.get(&format!("{path}?{bad}")).await.expect(400);
            assert!(refused["errors"][name].is_array(), "{path}?{bad}: {refused}");
        }
        admin.get(&format!("{path}?q=&after=&limit=&state=&type=")).await.expect(200);
    }
    for bad in ["state=fine", "profile_id=x", "customer_id=-", "state=%00"] {
        let name = bad.split('=').next().unwrap();
        assert!(admin.get(&format!("{CONNECTIONS}?{bad}")).await.expect(400)["errors"][name].is_array(), "{bad}");
    }
    let states = admin.get(&format!("{PROFILES}?state=ok")).await.expect(400);
    assert_eq!(states["message"], "state: must be one of rejected, expiring");
    assert!(admin.get("/api/search/events?type=x").await.expect(400)["errors"]["type"].is_array());
}

#[tokio::test]
async fn each_list_asks_for_its_own_scope() {
    let server = Server::start().await;
    seeded(&server).await;
    for (list, scope) in [
        ("profiles", "profiles:read"),
        ("connections", "connections:read"),
        ("customers", "profiles:read"),
        ("client_applications", "applications:read"),
        ("events", "connections:read"),
    ] {
        let path = format!("/api/search/{list}");
        server.caller(&[scope]).get(&path).await.expect(200);
        let others = ["profiles:write", "connections:write", "connections:token", "applications:write", "audit:read"];
        let refused = server.caller(&others).get(&path).await.expect(401);
        assert_eq!(refused["message"], format!("Unauthorized: this token lacks {scope}"));
    }
}

#[tokio::test]
async fn connections_are_filtered_by_what_is_wrong_with_them() {
    let server = Server::start().await;
    let (admin, profile, customer) = seeded(&server).await;
    let db = database(&server);
    // How a grant fares takes a provider to bring about; here it is what is looked for.
    let fares = [
        (1, Some("success"), None, None),
        (2, Some("failed"), Some("grant"), None),
        (3, Some("success"), Some("app"), None),
        (4, Some("success"), Some("provider"), None),
        (5, Some("success"), Some("network"), Some(7)),
        (6, Some("success"), None, Some(7)),
        (7, None, None, None),
    ];
    for (id, status, blame, uncertain) in fares {
        db.execute("UPDATE connections SET status = ?2, lost_at = 5 WHERE id = ?1", params![id, status]).unwrap();
        if status.is_some() {
            db.execute(
                "INSERT INTO grants (connection_id, grant_type, version, key_id, sealed, token_type, granted_at, issued_at,
                    refresh_token, uncertain_at, failures, blame, last_attempt_at, last_result, handed_out)
                 VALUES (?1, 'imported', 1, '', x'', 'Bearer', 0, 0, 1, ?2, 2, ?3, 9, 'timeout', 0)",
                params![id, uncertain, blame],
            )
            .unwrap();
        }
    }
    for (state, expected) in [
        ("ok", vec![1]),
        ("never", vec![7]),
        ("lost", vec![2]),
        ("app", vec![3]),
        ("provider", vec![4]),
        ("network", vec![5]),
        ("uncertain", vec![5, 6]),
        ("wrong", vec![2, 3, 4, 5, 6, 7]),
    ] {
        let expected: Vec<&str> = expected.into_iter().map(|id: usize| NAMES[id - 1]).collect();
        assert_eq!(found(&admin, CONNECTIONS, &[("state", state)]).await, expected, "{state}");
    }
    assert_eq!(found(&admin, CONNECTIONS, &[("state", "wrong"), ("q", "%")]).await, [NAMES[1]]);
    assert_eq!(found(&admin, CONNECTIONS, &[("owner", "bob")]).await, [NAMES[1], NAMES[3], NAMES[5]]);
    assert_eq!(found(&admin, CONNECTIONS, &[("owner", "bob"), ("state", "network")]).await, Vec::<String>::new());
    assert_eq!(found(&admin, CONNECTIONS, &[("customer_id", &customer.to_string())]).await, [NAMES[0]]);
    assert_eq!(
        found(&admin, CONNECTIONS, &[("profile_id", &profile.to_string()), ("provider", "hubspot")]).await.len(),
        7
    );
    assert_eq!(found(&admin, CONNECTIONS, &[("provider", "HUBSPOT")]).await, Vec::<String>::new());
    let item = admin.get(&format!("{CONNECTIONS}?state=network")).await.expect(200)["result"]["items"][0].clone();
    let expected = json!({
        "id": 5, "name": NAMES[4], "provider": "hubspot", "custom_oauth_profile_id": profile, "profile_name": "CRM",
        "owner": "alice", "customer_id": null, "customer_name": null, "external_id": "ext-4", "account": null,
        "authorization_status": "success", "connection_lost_at": "1970-01-01T00:00:00.005+00:00",
        "connection_lost_reason": null, "blame": "network", "uncertain_since": "1970-01-01T00:00:00.007+00:00",
        "failures": 2, "last_refresh": {"at": "1970-01-01T00:00:00.009+00:00", "ok": false, "result": "timeout"},
        "next_refresh_at": null, "expires_at": null, "created_at": item["created_at"], "updated_at": item["updated_at"],
    });
    assert_eq!(item, expected);
}

#[tokio::test]
async fn profiles_are_found_with_all_that_a_table_shows() {
    let server = Server::start().await;
    let (admin, profile, customer) = seeded(&server).await;
    admin.post("/api/custom_oauth_profiles", &profile_body("Other", "jira")).await.expect(200);
    let assign = format!("/api/managed_users/{customer}/custom_oauth_profiles/{profile}/assign");
    admin.post(&assign, &json!({})).await.expect(200);
    let item = admin.get(&format!("{PROFILES}?q=crm")).await.expect(200)["result"]["items"][0].clone();
    let expected = json!({
        "id": profile, "name": "CRM", "provider": "hubspot", "client_id": "example_client_id", "callback": "oauth",
        "connections": 7, "customers": 1, "created_at": item["created_at"], "updated_at": item["updated_at"],
        "secret": {"created_at": item["created_at"], "last_used_at": null, "expires_at": null}, "has_next": false,
        "rejected_at": null, "rejected_why": null, "owner": null,
    });
    assert_eq!(item, expected);
    let db = database(&server);
    db.execute("UPDATE profiles SET rejected_at = 1, rejected_why = 'invalid_client' WHERE name = 'Other'", [])
        .unwrap();
    db.execute("UPDATE profile_secrets SET expires_at = 1 WHERE profile_id = ?1", [profile]).unwrap();
    let ann = json!({"name": "ann", "email": "ann@example.com", "role": "admin", "password": "PLANTED long enough"});
    let ann = admin.post("/api/users", &ann).await.expect(200)["result"]["id"].as_i64().unwrap();
    db.execute("UPDATE profiles SET created_by = ?1 WHERE name = 'Other'", [ann]).unwrap();
    let items = admin.get(PROFILES).await.expect(200)["result"]["items"].clone();
    assert_eq!((&items[0]["owner"], &items[1]["owner"]), (&json!(null), &json!("ann")));
    assert_eq!(found(&admin, PROFILES, &[("state", "rejected")]).await, ["Other"]);
    assert_eq!(found(&admin, PROFILES, &[("state", "expiring")]).await, ["CRM"]);
    assert_eq!(found(&admin, PROFILES, &[("provider", "jira")]).await, ["Other"]);
    assert_eq!(found(&admin, PROFILES, &[("q", "EXAMPLE_CLIENT")]).await, ["CRM", "Other"]);
    let customers = admin.get("/api/search/customers?q=A-1").await.expect(200)["result"].clone();
    let item = &customers["items"][0];
    let expected = json!({
        "id": customer, "name": "Acme", "notification_email": "it@acme.example", "external_id": "A-1", "connections": 1,
        "profiles": [{"id": profile, "name": "CRM", "provider": "hubspot"}], "created_at": item["created_at"],
        "updated_at": item["updated_at"],
    });
    assert_eq!((item, &customers["total"]), (&expected, &json!(1)));
    assert_eq!(found(&admin, "/api/search/customers", &[("q", "nobody")]).await, Vec::<String>::new());
}

#[tokio::test]
async fn client_applications_are_found_by_name_id_and_file() {
    let server = Server::start().await;
    let admin = server.admin();
    for name in ["Field App", "Back Office"] {
        let head = json!({"name": name}).to_string();
        let body = application_body(&head, APPLICATION_FILE.as_bytes());
        admin.send_text("POST", "/documents/api/1.2/config/clientApplications", MULTIPART, body).await.expect(201);
    }
    let path = "/api/search/client_applications";
    let all = admin.get(path).await.expect(200)["result"].clone();
    let item = &all["items"][0];
    let expected = json!({
        "id": item["id"], "name": "Field App", "is_enabled": item["is_enabled"], "scopes": [], "secrets": 0,
        "file_name": item["file_name"], "size": APPLICATION_FILE.len(), "created_at": item["created_at"],
        "modified_at": item["modified_at"],
    });
    assert_eq!((item, &all["total"]), (&expected, &json!(2)));
    assert_eq!(found(&admin, path, &[("q", "OFFICE")]).await, ["Back Office"]);
    let id = item["id"].as_str().unwrap().to_lowercase();
    assert_eq!(found(&admin, path, &[("q", &id)]).await, ["Field App"]);
    let first = admin.get(&format!("{path}?limit=1")).await.expect(200)["result"]["next"].clone();
    let second = admin.get(&format!("{path}?limit=1&after={}", first.as_str().unwrap())).await.expect(200);
    assert_eq!(
        (&second["result"]["items"][0]["name"], &second["result"]["next"]),
        (&json!("Back Office"), &Value::Null)
    );
}

#[tokio::test]
async fn what_happened_is_found_newest_first_and_a_connection_has_a_history() {
    let practice = Practice::with(grantry::simulator::Options::default());
    let server = Server::start().await;
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 2, false).await;
    let (first, second) = (connected[0].0, connected[1].0);
    for _ in 0..3 {
        admin.post(&format!("/api/connections/{first}/refresh"), &json!({})).await.expect(200);
    }
    practice.fault("refresh", "error:invalid_grant").await;
    admin.post(&format!("/api/connections/{first}/refresh"), &json!({})).await.expect(200);
    let events = admin.get("/api/search/events").await.expect(200)["result"].clone();
    let kinds: Vec<&str> = events["items"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["needs_reauthorization", "connected", "connected"]);
    assert_eq!(events["items"], admin.get("/api/events").await.expect(200)["result"], "they look the same everywhere");
    let of_second = admin.get(&format!("/api/search/events?connection_id={second}")).await.expect(200);
    assert_eq!(of_second["result"]["total"], 1);
    let lost = admin.get("/api/search/events?type=needs_reauthorization&q=CONNECTION%200").await.expect(200);
    assert_eq!((&lost["result"]["total"], &lost["result"]["items"][0]["connection"]["id"]), (&json!(1), &json!(first)));
    let page = admin.get("/api/search/events?limit=1").await.expect(200)["result"].clone();
    let next = admin.get(&format!("/api/search/events?limit=1&after={}", page["next"].as_str().unwrap())).await;
    assert_eq!(next.expect(200)["result"]["items"][0], events["items"][1]);

    let path = format!("/api/connections/{first}/history");
    let history = admin.get(&path).await.expect(200)["result"].clone();
    let line = |item: &Value| (item["kind"].clone(), item["ok"].clone(), item["result"].clone(), item["blame"].clone());
    let lines: Vec<_> = history["items"].as_array().unwrap().iter().map(line).collect();
    let refreshed = || (json!("refresh"), json!(true), json!("refreshed"), Value::Null);
    assert_eq!(lines[0], (json!("lost"), json!(false), Value::Null, Value::Null));
    assert_eq!(lines[1], (json!("refresh"), json!(false), json!("invalid_grant"), json!("grant")));
    assert_eq!(lines[2..5], [refreshed(), refreshed(), refreshed()]);
    assert_eq!(lines[5].0, "connected");
    assert_eq!((lines.len(), &history["next"]), (6, &Value::Null));
    assert!(history["items"][0]["detail"]["reason"].is_string(), "{history}");
    let mut before = String::new();
    for item in history["items"].as_array().unwrap() {
        let page = admin.get(&format!("{path}?limit=1&before={before}")).await.expect(200)["result"].clone();
        assert_eq!(page["items"], json!([item]));
        before = page["next"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!(before, "", "the last page has no next one");
    for bad in ["before=x", "before=1-2-3", "limit=0", "limit=201"] {
        admin.get(&format!("{path}?{bad}")).await.expect(400);
    }
    assert_eq!(admin.get("/api/connections/999999/history").await.status, 404);
    let profiles_only = server.caller(&["profiles:read"]);
    assert_eq!(profiles_only.get(&path).await.status, 401);
    let today = admin.get("/api/overview").await.expect(200)["result"]["refreshes"][6].clone();
    assert_eq!((&today["ok"], &today["failed"], &today["failed_by"]["grant"]), (&json!(3), &json!(1), &json!(1)));
}

#[tokio::test]
async fn a_history_keeps_its_last_fifty_refreshes_and_goes_with_its_connection() {
    let practice = Practice::with(grantry::simulator::Options::default());
    let server = Server::start().await;
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let id = practice.connect(&admin, profile, 1, false).await[0].0;
    let db = database(&server);
    for seq in 1..=60 {
        db.execute("INSERT INTO refresh_results (connection_id, seq, at) VALUES (?1, ?2, ?2)", [id, seq]).unwrap();
    }
    admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await.expect(200);
    let kept: (i64, i64, i64) = db
        .query_row("SELECT count(*), min(seq), max(seq) FROM refresh_results", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(kept, (50, 12, 61));
    admin.delete(&format!("/api/connections/{id}")).await.expect(200);
    let left: i64 = db.query_row("SELECT count(*) FROM refresh_results", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_is_out_of_reach_is_neither_found_nor_counted() {
    let server = Server::start().await;
    let (admin, _, _) = seeded(&server).await;
    let limited = async |limit: Value| {
        let mut body = json!({"name": "t", "scopes": ["connections:read", "profiles:read"]});
        body.as_object_mut().unwrap().extend(limit.as_object().unwrap().clone());
        let made = admin.post("/api/api_tokens", &body).await.expect(200);
        server.anybody().bearer(made["result"]["token"].as_str().unwrap())
    };
    let bob = limited(json!({"owner": "bob"})).await;
    let two = limited(json!({"connections": [1, 2]})).await;
    let both = limited(json!({"connections": [1, 2], "owner": "bob"})).await;
    database(&server)
        .execute_batch(
            "UPDATE connections SET status = 'failed', lost_at = id, lost_reason = 'gone' WHERE id IN (1, 2, 3);
             UPDATE connections SET status = 'success' WHERE id = 4;
             INSERT INTO grants (connection_id, grant_type, version, key_id, sealed, token_type, granted_at, issued_at,
                refresh_token, uncertain_at, failures, handed_out)
             VALUES (4, 'imported', 1, '', x'', 'Bearer', 0, 0, 0, 11, 0, 0);
             INSERT INTO events (at, kind, connection_id, profile_id, detail)
             SELECT id, 'connected', id, profile_id, '{}' FROM connections;
             INSERT INTO events (at, kind, profile_id, detail) VALUES (1, 'app_secret_rejected', 1, '{}');",
        )
        .unwrap();
    for (caller, reached, counts) in [
        (&bob, vec![1, 3, 5], json!({"total": 3, "ok": 1, "lost": 1, "never": 1})),
        (&two, vec![0, 1], json!({"total": 2, "ok": 0, "lost": 2, "never": 0})),
        (&both, vec![1], json!({"total": 1, "ok": 0, "lost": 1, "never": 0})),
    ] {
        let names: Vec<&str> = reached.iter().map(|n: &usize| NAMES[*n]).collect();
        assert_eq!(found(caller, CONNECTIONS, &[]).await, names);
        assert_eq!(found(caller, CONNECTIONS, &[("q", "hubspot")]).await, names);
        assert_eq!(found(caller, CONNECTIONS, &[("owner", "alice"), ("q", "3")]).await, Vec::<String>::new());
        for query in ["", "?q=r", "?q=hubspot", "?type=connected"] {
            let events = caller.get(&format!("/api/search/events{query}")).await.expect(200)["result"].clone();
            let items = events["items"].as_array().unwrap();
            assert_eq!(events["total"], items.len());
            let ids = items.iter().filter_map(|event| event["connection"]["id"].as_u64());
            assert!(ids.into_iter().all(|id| reached.contains(&(usize::try_from(id).unwrap() - 1))), "{events}");
        }
        let all = caller.get("/api/search/events").await.expect(200)["result"]["total"].clone();
        assert_eq!(all, reached.len() + 1, "what is about a profile is everybody's");
        let overview = caller.get("/api/overview").await.expect(200)["result"].clone();
        assert_eq!((&overview["counts"]["connections"], &overview["refreshes"]), (&counts, &json!([])));
        for item in overview["attention"].as_array().unwrap() {
            for example in item["examples"].as_array().into_iter().flatten() {
                assert!(names.contains(&example["name"].as_str().unwrap()), "{item}");
            }
        }
        assert_eq!(caller.get("/api/connections/7/history").await.status, 404);
    }
    bob.get("/api/connections/2/history").await.expect(200);
}
