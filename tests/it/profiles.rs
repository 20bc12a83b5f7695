//! Dialect 1: custom OAuth profiles.

use serde_json::{Value, json};

use crate::support::{Caller, Server, profile_body};

const PROFILES: &str = "/api/custom_oauth_profiles";

async fn make(admin: &Caller, name: &str, provider: &str) -> i64 {
    admin.post(PROFILES, &profile_body(name, provider)).await.expect(200)["result"]["id"].as_i64().unwrap()
}

/// The sample of the original page, as printed: a comma is missing after the provider.
const BROKEN_CREATE: &str = r#"{
"name": "My new OAuth profile",
"provider": "hubspot"
"data": {
"client_id": "new_client_id",
"client_secret": "new_client_secret"
}
}"#;

const BROKEN_UPDATE: &str = r#"{
"name": "My updated OAuth profile",
"provider": "hubspot"
"data": {
"client_id": "updated_client_id",
"client_secret": "updated_client_secret"
}
}"#;

#[tokio::test]
async fn the_samples_of_the_original_page_work_as_it_says() {
    let server = Server::start().await;
    let admin = server.admin().header("content-type", "application/json");
    assert_eq!(admin.get(PROFILES).await.expect(200), json!({"result": []}));

    for (method, path, sample) in
        [("POST", PROFILES.to_owned(), BROKEN_CREATE), ("PUT", format!("{PROFILES}/322"), BROKEN_UPDATE)]
    {
        let answer = admin.send(admin.request(method, &path).body(sample)).await.expect(400);
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains("line 4, column 1"), "{message}");
    }

    let mended = BROKEN_CREATE.replace("\"hubspot\"", "\"hubspot\",");
    let made = admin.send(admin.request("POST", PROFILES).body(mended)).await.expect(200);
    let profile = &made["result"];
    let keys: Vec<&String> = profile.as_object().unwrap().keys().collect();
    let expected = [
        "id",
        "user_id",
        "name",
        "provider",
        "data",
        "shared_accounts_count",
        "oem_customers_count",
        "created_at",
        "updated_at",
    ];
    assert_eq!(keys, expected);
    assert_eq!(profile["name"], "My new OAuth profile");
    assert_eq!(profile["provider"], "hubspot");
    assert_eq!(profile["data"], json!({"client_id": "new_client_id"}));
    assert_eq!((&profile["shared_accounts_count"], &profile["oem_customers_count"]), (&json!(0), &json!(0)));
    let time = regex_lite::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$").unwrap();
    assert!(time.is_match(profile["created_at"].as_str().unwrap()), "{profile}");

    let path = format!("{PROFILES}/{}", profile["id"]);
    assert_eq!(admin.get(&path).await.expect(200), made);
    let mended = BROKEN_UPDATE.replace("\"hubspot\"", "\"hubspot\",");
    let updated = admin.send(admin.request("PUT", &path).body(mended)).await.expect(200);
    assert_eq!(updated["result"]["data"]["client_id"], "updated_client_id");
    assert_eq!(updated["result"]["created_at"], profile["created_at"]);
    assert_eq!(admin.get(PROFILES).await.expect(200), json!({"result": [updated["result"]]}));
    assert_eq!(admin.delete(&path).await.expect(200), json!({"result": {"success": true}}));
    assert_eq!(admin.delete(&path).await.expect(404), json!({"message": "Not found"}));
    assert_eq!(admin.get(&path).await.expect(404), json!({"message": "Not found"}));
}

#[tokio::test]
async fn every_fault_of_a_body_is_named_at_once() {
    let server = Server::start().await;
    let admin = server.admin();
    let errors = async |body: Value| admin.post(PROFILES, &body).await.expect(400)["errors"].clone();
    assert_eq!(
        errors(json!({})).await,
        json!({
            "name": ["can't be blank"], "provider": ["can't be blank"],
            "data.client_id": ["can't be blank"], "data.client_secret": ["can't be blank"],
        })
    );
    let wrong =
        json!({"name": 7, "provider": "hubspot", "data": {"client_id": " ", "client_secret": ["x"], "token": 1}});
    assert_eq!(
        errors(wrong).await,
        json!({
            "name": ["must be of type string"], "data.client_id": ["can't be blank"],
            "data.client_secret": ["must be of type string"], "data.token": ["must be of type string"],
        })
    );
    assert_eq!(
        errors(json!({"name": "a", "provider": "b", "data": []})).await,
        json!({"data": ["must be of type object"]})
    );
    let list = admin.post(PROFILES, &json!([1])).await.expect(400);
    assert_eq!(list, json!({"message": "must be of type object"}));
    let unknown = admin.post(PROFILES, &profile_body("a", "no_such_provider")).await.expect(400);
    assert_eq!(
        unknown,
        json!({
            "message": "provider: is not included in the list",
            "errors": {"provider": ["is not included in the list"]},
        })
    );
}

#[tokio::test]
async fn provider_and_name_are_a_key() {
    let server = Server::start().await;
    let admin = server.admin();
    make(&admin, "One", "hubspot").await;
    let twice = admin.post(PROFILES, &profile_body("One", "hubspot")).await.expect(400);
    assert_eq!(
        twice,
        json!({"message": "name: has already been taken", "errors": {"name": ["has already been taken"]}})
    );
    make(&admin, "One", "slack").await;
    make(&admin, "one", "hubspot").await;
    let other = make(&admin, "Two", "hubspot").await;
    let renamed = admin.put(&format!("{PROFILES}/{other}"), &profile_body("One", "hubspot")).await;
    assert_eq!(renamed.expect(400), twice);
}

#[tokio::test]
async fn of_many_at_once_with_one_name_one_is_made() {
    let server = Server::start().await;
    let admin = server.admin();
    let body = profile_body("Race", "hubspot");
    let answers = futures_util::future::join_all((0..12).map(|_| admin.post(PROFILES, &body))).await;
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(made, 1);
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 400 | 503)), "{answers:?}");
}

#[tokio::test]
async fn the_apps_own_token_is_for_providers_that_have_one() {
    let server = Server::start().await;
    let admin = server.admin();
    let with_token = |provider: &str, token: Value| {
        let mut body = profile_body("T", provider);
        body["data"]["token"] = token;
        body
    };
    let refused = admin.post(PROFILES, &with_token("hubspot", json!("PLANTED_token"))).await.expect(400);
    assert_eq!(refused["errors"], json!({"data.token": ["is not taken by this provider"]}));
    let made = admin.post(PROFILES, &with_token("slack", json!("PLANTED_token"))).await.expect(200);
    assert_eq!(made["result"]["data"], json!({"client_id": "example_client_id"}));
    let keys = || server.cli_ok(&["keys", "list", "--json"]);
    let sealed = |text: String| serde_json::from_str::<Value>(&text).unwrap()[0]["values"].as_i64().unwrap();
    assert_eq!(sealed(keys()), 3, "secret and token");
    let path = format!("{PROFILES}/{}", made["result"]["id"]);
    admin.put(&path, &profile_body("T", "slack")).await.expect(200);
    assert_eq!(sealed(keys()), 3, "left out: kept");
    admin.put(&path, &with_token("slack", Value::Null)).await.expect(200);
    assert_eq!(sealed(keys()), 2, "null: cleared");
}

#[tokio::test]
async fn a_profile_in_use_is_not_deleted_and_keeps_its_provider() {
    let server = Server::start().await;
    let admin = server.admin();
    let id = make(&admin, "Used", "hubspot").await;
    let customer = json!({"name": "Acme", "notification_email": "ops@acme.example", "external_id": "acme"});
    admin.post("/api/managed_users", &customer).await.expect(200);
    let assign = format!("/api/managed_users/Eacme/custom_oauth_profiles/{id}/assign");
    admin.post(&assign, &json!({})).await.expect(200);
    for name in ["a", "b"] {
        admin.post("/api/connections", &json!({"name": name, "provider": "hubspot"})).await.expect(200);
    }
    let path = format!("{PROFILES}/{id}");
    let seen = admin.get(&path).await.expect(200);
    assert_eq!(seen["result"]["shared_accounts_count"], 2);
    assert_eq!(seen["result"]["oem_customers_count"], 1);
    let refused = admin.delete(&path).await.expect(400);
    assert_eq!(refused, json!({"message": "This profile is in use by 2 connections and 1 customer"}));
    let moved = admin.put(&path, &profile_body("Used", "slack")).await.expect(400);
    assert_eq!(moved["errors"], json!({"provider": ["can't be changed"]}));
    admin.put(&path, &profile_body("Renamed", "hubspot")).await.expect(200);
}

#[tokio::test]
async fn pages_are_clamped_and_exact() {
    let server = Server::start().await;
    let admin = server.admin();
    let document: Value = json!({"jira": (0..25)
        .map(|n| (format!("J{n:02}"), json!({"CLIENT_ID": "id", "CLIENT_SECRET": "PLANTED_s"})))
        .collect::<serde_json::Map<_, _>>()});
    admin.post("/api/load", &document).await.expect(200);
    let names = async |query: &str| -> Vec<String> {
        let answer = admin.get(&format!("{PROFILES}?{query}")).await.expect(200);
        answer["result"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = names("").await;
    assert_eq!(all.len(), 25);
    assert_eq!(names("page=2&per_page=10").await, all[10..20]);
    assert_eq!(names("page=3&per_page=10").await, all[20..]);
    assert_eq!(names("page=4&per_page=10").await, Vec::<String>::new());
    for odd in ["page=0&per_page=500", "page=-3", "page=two&per_page=many", "page=&per_page="] {
        assert_eq!(names(odd).await, all, "{odd}");
    }
    assert_eq!(names("per_page=0").await, all[..1]);
    for late in ["9223372036854775807", "99999999999999999999"] {
        assert_eq!(names(&format!("page={late}")).await, Vec::<String>::new(), "{late}");
    }
    // Rows that go move the pages, exactly.
    let third = admin.get(&format!("{PROFILES}?page=3&per_page=1")).await.expect(200)["result"][0]["id"].clone();
    admin.delete(&format!("{PROFILES}/{third}")).await.expect(200);
    assert_eq!(names("page=3&per_page=1").await, all[3..4]);
    assert_eq!(names("page=2&per_page=10").await, all[11..21]);
}

#[tokio::test]
async fn a_secret_is_compared_and_never_shown() {
    for mode in ["sealed", "hashed"] {
        let server = Server::with(&["--secrets", mode]).await;
        let admin = server.admin();
        let id = make(&admin, "S", "hubspot").await;
        let path = format!("{PROFILES}/{id}/verify_secret");
        let matches = async |secret: &str| admin.post(&path, &json!({"client_secret": secret})).await.expect(200);
        assert_eq!(matches("PLANTED_secret_of_1").await, json!({"result": {"matches": true}}), "{mode}");
        assert_eq!(matches("PLANTED_secret_of_2").await, json!({"result": {"matches": false}}), "{mode}");
        let missing = admin.post(&path, &json!({})).await.expect(400);
        assert_eq!(missing["errors"], json!({"client_secret": ["can't be blank"]}));
        let long = admin.post(&path, &json!({"client_secret": "x".repeat(2000)})).await.expect(400);
        assert_eq!(long["errors"], json!({"client_secret": ["is too long (maximum is 1024 characters)"]}));
        assert_eq!(
            admin.post(&format!("{PROFILES}/99/verify_secret"), &json!({"client_secret": "x"})).await.status,
            404
        );
        // Replaced with another secret: the old one no longer matches.
        let mut body = profile_body("S", "hubspot");
        body["data"]["client_secret"] = "PLANTED_another".into();
        admin.put(&format!("{PROFILES}/{id}"), &body).await.expect(200);
        assert_eq!(matches("PLANTED_another").await["result"]["matches"], true);
        assert_eq!(matches("PLANTED_secret_of_1").await["result"]["matches"], false);
    }
}

#[tokio::test]
async fn the_same_secret_again_keeps_its_age() {
    let mut server = Server::start().await;
    let admin = server.admin();
    let id = make(&admin, "S", "hubspot").await;
    let age = |server: &Server| {
        let db = rusqlite::Connection::open(server.data().join("grantry.db")).unwrap();
        db.query_row("SELECT created_at, hash FROM profile_secrets", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })
        .unwrap()
    };
    let before = age(&server);
    admin.put(&format!("{PROFILES}/{id}"), &profile_body("T", "hubspot")).await.expect(200);
    assert_eq!(age(&server), before);
    let mut body = profile_body("T", "hubspot");
    body["data"]["client_secret"] = "PLANTED_new".into();
    admin.put(&format!("{PROFILES}/{id}"), &body).await.expect(200);
    assert_ne!(age(&server).1, before.1);
    server.stop();
}

#[tokio::test]
async fn calls_are_limited_where_a_limit_is_set() {
    let server = Server::with(&["--profile-calls-per-minute", "3"]).await;
    let (one, other) = (server.admin(), server.admin());
    for _ in 0..3 {
        one.get(PROFILES).await.expect(200);
    }
    let refused = one.get(PROFILES).await;
    assert_eq!(refused.expect(429), json!({"message": "Too many requests: come back later"}));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    one.get("/api/connections").await.expect(200);
    other.get(PROFILES).await.expect(200);
}

#[tokio::test]
async fn user_id_is_the_id_of_users_me() {
    let server = Server::start().await;
    let admin = server.admin();
    let user =
        json!({"name": "olga", "email": "olga@acme.example", "role": "operator", "password": "PLANTED_password_1"});
    let user = admin.post("/api/users", &user).await.expect(200)["result"]["id"].clone();
    let token = json!({"name": "hers", "scopes": ["profiles:write", "profiles:read"], "user_id": user});
    let token = admin.post("/api/api_tokens", &token).await.expect(200)["result"]["token"].clone();
    let olga = server.anybody().bearer(token.as_str().unwrap());
    let me = olga.get("/api/users/me").await.expect(200);
    assert_eq!(me["id"], user);
    let profile = olga.post(PROFILES, &profile_body("Hers", "hubspot")).await.expect(200);
    assert_eq!(profile["result"]["user_id"], user);
    for key in [
        "id",
        "name",
        "email",
        "created_at",
        "plan_id",
        "current_billing_period_start",
        "current_billing_period_end",
        "recipes_count",
        "active_recipes_count",
        "root_folder_id",
    ] {
        assert!(!me[key].is_null(), "{key}");
        assert!(!admin.get("/api/users/me").await.expect(200)[key].is_null(), "{key}");
    }
}
