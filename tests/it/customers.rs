//! Dialect 1: managed users, assignments, connections, and the calls that clients send first.

use std::time::Duration;

use grantry::simulator::{Rotation, SLUG};
use serde_json::{Value, json};

use crate::support::{
    Caller, Server,
    practice::{Practice, until},
    profile_body,
};

async fn profile(admin: &Caller, name: &str, provider: &str) -> i64 {
    let made = admin.post("/api/custom_oauth_profiles", &profile_body(name, provider)).await.expect(200);
    made["result"]["id"].as_i64().unwrap()
}

async fn customer(admin: &Caller, external_id: &str) -> Value {
    let body = json!({"name": "Acme", "notification_email": "ops@acme.example", "external_id": external_id});
    admin.post("/api/managed_users", &body).await.expect(200)
}

#[tokio::test]
async fn customers_are_made_found_changed_and_removed() {
    let server = Server::start().await;
    let admin = server.admin();
    let acme = customer(&admin, "acme/eu 1").await;
    assert_eq!(acme["external_id"], "acme/eu 1");
    let by_id = format!("/api/managed_users/{}", acme["id"]);
    assert_eq!(admin.get(&by_id).await.expect(200), acme);
    assert_eq!(admin.get("/api/managed_users/Eacme%2Feu%201").await.expect(200), acme);
    for missing in
        ["/api/managed_users/99", "/api/managed_users/Eother", "/api/managed_users/acme", "/api/managed_users/%FF"]
    {
        assert_eq!(admin.get(missing).await.expect(404), json!({"message": "Not found"}), "{missing}");
    }
    let list = admin.get("/api/managed_users").await.expect(200);
    assert_eq!(list, json!({"result": [acme], "count": 1, "page": 1, "per_page": 100}));
    let changed = admin.put(&by_id, &json!({"name": "Acme 2"})).await.expect(200);
    assert_eq!((&changed["name"], &changed["external_id"]), (&json!("Acme 2"), &json!("acme/eu 1")));
    let cleared = admin.put(&by_id, &json!({"external_id": null})).await.expect(200);
    assert_eq!(cleared["external_id"], Value::Null);
    customer(&admin, "x").await;
    let taken = admin.put(&by_id, &json!({"external_id": "x"})).await.expect(400);
    assert_eq!(taken["errors"], json!({"external_id": ["has already been taken"]}));
    let bad = admin.post("/api/managed_users", &json!({"name": "", "notification_email": "nobody"})).await.expect(400);
    assert_eq!(bad["errors"], json!({"name": ["can't be blank"], "notification_email": ["must be an e-mail address"]}));
    assert_eq!(admin.delete(&by_id).await.expect(200), json!({"result": {"success": true}}));
    assert_eq!(admin.delete(&by_id).await.status, 404);
}

#[tokio::test]
async fn the_profiles_of_a_customer_are_listed_page_by_page_and_no_others() {
    let server = Server::start().await;
    let admin = server.admin();
    let providers = admin.get("/api/providers").await.expect(200)["result"].clone();
    let slugs: Vec<&str> = providers.as_array().unwrap().iter().map(|one| one["slug"].as_str().unwrap()).collect();
    customer(&admin, "acme").await;
    customer(&admin, "other").await;
    let list =
        async |of: &str, page: &str| admin.get(&format!("/api/managed_users/{of}/custom_oauth_profiles{page}")).await;
    assert_eq!(
        list("Eacme", "").await.expect(200),
        json!({"result": [], "count": 0, "page": 1, "per_page": 100}),
        "nothing is assigned"
    );
    let mut assigned = Vec::new();
    for slug in slugs.iter().filter(|slug| **slug != "slack").take(5) {
        let id = profile(&admin, slug, slug).await;
        profile(&admin, "not this one", slug).await;
        admin
            .send(admin.request("POST", &format!("/api/managed_users/Eacme/custom_oauth_profiles/{id}/assign")))
            .await
            .expect(200);
        assigned.push(id);
    }
    let of_other = profile(&admin, "theirs", slugs[0]).await;
    let path = format!("/api/managed_users/Eother/custom_oauth_profiles/{of_other}/assign");
    admin.send(admin.request("POST", &path)).await.expect(200);
    let ids = |answer: &Value| -> Vec<i64> {
        answer["result"].as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect()
    };
    let all = list("Eacme", "").await.expect(200);
    assert_eq!(ids(&all), assigned);
    assert_eq!(all["count"], 5);
    // The same that the profiles' own call answers.
    let alone = admin.get(&format!("/api/custom_oauth_profiles/{}", assigned[0])).await.expect(200);
    assert_eq!(all["result"][0], alone["result"]);
    for (page, expected) in [(1, &assigned[..2]), (2, &assigned[2..4]), (3, &assigned[4..]), (4, &[][..])] {
        let part = list("Eacme", &format!("?page={page}&per_page=2")).await.expect(200);
        assert_eq!(ids(&part), expected, "page {page}");
        assert_eq!((&part["count"], &part["page"], &part["per_page"]), (&json!(5), &json!(page), &json!(2)));
    }
    let huge = list("Eacme", "?page=99999999999999999999&per_page=x").await.expect(200);
    assert_eq!((ids(&huge), &huge["per_page"]), (Vec::new(), &json!(100)));
    assert_eq!(ids(&list("Eother", "").await.expect(200)), [of_other]);
    for missing in ["99", "Enobody", "acme"] {
        assert_eq!(list(missing, "").await.expect(404), json!({"message": "Not found"}));
    }
    // Seen through the customer's number too, and gone when it is taken away.
    let id = admin.get("/api/managed_users/Eacme").await.expect(200)["id"].to_string();
    admin.delete(&format!("/api/managed_users/{id}/custom_oauth_profiles/{}/unassign", assigned[1])).await.expect(200);
    assert_eq!(list(&id, "").await.expect(200)["count"], 4);
}

#[tokio::test]
async fn a_customer_has_one_profile_of_each_provider() {
    let server = Server::start().await;
    let admin = server.admin();
    let (one, two) = (profile(&admin, "One", "hubspot").await, profile(&admin, "Two", "hubspot").await);
    let other = profile(&admin, "Other", "slack").await;
    customer(&admin, "acme").await;
    let assign = |id: i64| format!("/api/managed_users/Eacme/custom_oauth_profiles/{id}/assign");
    let done = json!({"result": {"success": true}});
    for id in [one, one, other] {
        assert_eq!(admin.send(admin.request("POST", &assign(id))).await.expect(200), done);
    }
    let refused = admin.send(admin.request("POST", &assign(two))).await.expect(400);
    assert!(refused["message"].as_str().unwrap().contains("already has another profile"), "{refused}");
    assert_eq!(admin.send(admin.request("POST", &assign(99))).await.status, 404);
    let unassign =
        |id: i64, force: &str| format!("/api/managed_users/Eacme/custom_oauth_profiles/{id}/unassign{force}");
    for _ in 0..2 {
        assert_eq!(admin.delete(&unassign(one, "")).await.expect(200), done, "safe to repeat");
    }
    admin.send(admin.request("POST", &assign(two))).await.expect(200);
    let connection = json!({"name": "c", "provider": "hubspot"});
    let made = admin.post("/api/managed_users/Eacme/connections", &connection).await.expect(200);
    let refused = admin.delete(&unassign(two, "")).await.expect(400);
    assert!(refused["message"].as_str().unwrap().contains("1 connection"), "{refused}");
    assert_eq!(admin.delete(&unassign(two, "?force=true")).await.expect(200), done);
    let refused = admin.delete("/api/managed_users/Eacme").await.expect(400);
    assert_eq!(refused, json!({"message": "This customer is in use by 1 connection"}));
    admin.delete(&format!("/api/managed_users/Eacme/connections/{}", made["id"])).await.expect(200);
    admin.delete("/api/managed_users/Eacme").await.expect(200);
    let seen = admin.get(&format!("/api/custom_oauth_profiles/{other}")).await.expect(200);
    assert_eq!(seen["result"]["oem_customers_count"], 0, "assignments went with the customer");
}

#[tokio::test]
async fn a_connection_takes_the_profile_that_fits() {
    let server = Server::start().await;
    let admin = server.admin();
    let new = async |body: Value| admin.post("/api/connections", &body).await;
    let none = new(json!({"name": "c", "provider": "hubspot"})).await.expect(400);
    assert_eq!(none["errors"], json!({"custom_oauth_profile_id": ["none fits, and one is needed"]}));
    let one = profile(&admin, "One", "hubspot").await;
    new(json!({"name": "c", "provider": "hubspot", "shell_connection": true})).await.expect(200);
    let two = profile(&admin, "Two", "hubspot").await;
    let several = new(json!({"name": "c", "provider": "hubspot"})).await.expect(400);
    let message = several["message"].as_str().unwrap();
    assert!(message.contains(&format!("{one} (One)")) && message.contains(&format!("{two} (Two)")), "{message}");
    let wanted = json!({"name": "c", "provider": "hubspot", "custom_oauth_profile_id": two});
    new(wanted).await.expect(200);
    for (id, why) in [(json!(99), "is not included in the list"), (json!("x"), "must be of type integer")] {
        let refused = new(json!({"name": "c", "provider": "hubspot", "custom_oauth_profile_id": id})).await.expect(400);
        assert_eq!(refused["errors"], json!({"custom_oauth_profile_id": [why]}));
    }
    let other = new(json!({"name": "c", "provider": "slack", "custom_oauth_profile_id": two})).await.expect(400);
    assert_eq!(other["errors"], json!({"custom_oauth_profile_id": ["none fits, and one is needed"]}));
    customer(&admin, "acme").await;
    let assign = format!("/api/managed_users/Eacme/custom_oauth_profiles/{two}/assign");
    admin.send(admin.request("POST", &assign)).await.expect(200);
    let body = json!({"name": "c", "provider": "hubspot"});
    admin.post("/api/managed_users/Eacme/connections", &body).await.expect(200);
    let counts = async |id: i64| {
        admin.get(&format!("/api/custom_oauth_profiles/{id}")).await.expect(200)["result"]["shared_accounts_count"]
            .clone()
    };
    assert_eq!((counts(one).await, counts(two).await), (json!(1), json!(2)));
}

#[tokio::test]
async fn connections_are_listed_changed_and_ended() {
    let server = Server::start().await;
    let admin = server.admin();
    profile(&admin, "One", "hubspot").await;
    assert_eq!(admin.get("/api/connections").await.expect(200), json!([]));
    let body = json!({
        "name": "Sales", "provider": "hubspot", "external_id": "s-1", "folder_id": 5, "owner": "alice",
        "input": {"subdomain": "PLANTED_input"},
    });
    let sales = admin.post("/api/connections", &body).await.expect(200);
    for key in [
        "application",
        "provider",
        "id",
        "name",
        "description",
        "authorized_at",
        "authorization_status",
        "authorization_error",
        "created_at",
        "updated_at",
        "external_id",
        "folder_id",
        "connection_lost_at",
        "connection_lost_reason",
        "parent_id",
        "tags",
    ] {
        assert!(sales.as_object().unwrap().contains_key(key), "{key}");
    }
    assert_eq!(sales["authorization_status"], Value::Null);
    assert_eq!((&sales["application"], &sales["provider"]), (&json!("hubspot"), &json!("hubspot")));
    let child = json!({"name": "Child", "provider": "hubspot", "parent_id": sales["id"]});
    let child = admin.post("/api/connections", &child).await.expect(200);
    let orphan = json!({"name": "Orphan", "provider": "hubspot", "parent_id": 99});
    assert_eq!(
        admin.post("/api/connections", &orphan).await.expect(400)["errors"]["parent_id"][0],
        "none fits, and one is needed"
    );
    let list = async |query: &str| admin.get(&format!("/api/connections{query}")).await.expect(200);
    assert_eq!(list("").await, json!([sales]), "without those made from another");
    assert_eq!(list("?include_runtime_connections=true").await, json!([sales, child]));
    assert_eq!(list("?external_id=s-1").await, json!([sales]));
    assert_eq!(list("?external_id=none").await, json!([]));
    assert_eq!(list(&format!("?parent_id={}", sales["id"])).await, json!([child]));
    assert_eq!(list("?folder_id=5").await, json!([sales]));
    let path = format!("/api/connections/{}", sales["id"]);
    let changed = admin.put(&path, &json!({"name": "Sales 2", "folder_id": null})).await.expect(200);
    assert_eq!((&changed["name"], &changed["external_id"]), (&json!("Sales 2"), &json!("s-1")));
    assert_eq!(changed["folder_id"], Value::Null);
    let own_parent = admin.put(&path, &json!({"parent_id": sales["id"]})).await.expect(400);
    assert!(own_parent["errors"]["parent_id"].is_array());
    let refused = admin.delete(&path).await.expect(400);
    assert_eq!(refused, json!({"message": "This connection is in use by 1 connection"}));
    for _ in 0..2 {
        let ended = admin.send(admin.request("POST", &format!("{path}/disconnect"))).await.expect(200);
        assert_eq!(ended, json!({"success": true}), "safe to repeat");
    }
    admin.delete(&format!("/api/connections/{}", child["id"])).await.expect(200);
    assert_eq!(admin.delete(&path).await.expect(200), json!({"success": true}));
    assert_eq!(admin.delete(&path).await.expect(404), json!({"message": "Not found"}));
}

#[tokio::test]
async fn a_grant_comes_along_with_a_connection() {
    let server = Server::start().await;
    let practice = Practice::rotating(Rotation::Strict);
    let admin = server.admin();
    practice.introduce(&admin).await;
    customer(&admin, "acme").await;
    let made = practice.control("grants", json!({"count": 3})).await["grants"].clone();
    let pair = |n: usize, fields: &[&str]| -> Value {
        fields
            .iter()
            .map(|field| ((*field).to_owned(), made[n][*field].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let body =
        |pair: Value| json!({"name": "brought", "provider": SLUG, "external_id": "b-1", "oauth_token_pair": pair});
    let both = pair(0, &["access_token", "refresh_token"]);
    let connection = admin.post("/api/managed_users/Eacme/connections", &body(both.clone())).await.expect(200);
    assert_eq!((&connection["authorization_status"], &connection["external_id"]), (&json!("success"), &json!("b-1")));
    let path = format!("/api/connections/{}", connection["id"]);
    until("nobody knows how old the access token is: there is a new one", Duration::from_secs(20), async || {
        admin.get(&path).await.expect(200)["result"]["grant"]["last_refresh"]["ok"] == true
    })
    .await;
    let handed = admin.get(&format!("{path}/token")).await.expect(200);
    assert_ne!(handed["access_token"], both["access_token"]);
    assert!(handed["expires_in"].as_i64().unwrap() > 60);
    let theirs = admin.get("/api/managed_users/Eacme/connections").await.expect(200);
    assert_eq!(theirs["result"][0]["id"], connection["id"]);
    // One of the two will do.
    let refreshed = admin.post("/api/connections", &body(pair(1, &["refresh_token"]))).await.expect(200);
    assert_eq!(refreshed["authorization_status"], "success");
    let lasting = admin.post("/api/connections", &body(pair(2, &["access_token"]))).await.expect(200);
    let handed = admin.get(&format!("/api/connections/{}/token", lasting["id"])).await.expect(200);
    assert_eq!(handed["access_token"], made[2]["access_token"]);
    // What is wrong is named and never shown.
    for (bad, field) in [
        (json!({"access_token": "PLANTED_a", "refresh_token": "PLANTED_b", "id_token": "PLANTED_c"}), "id_token"),
        (json!({"refresh_token": "PLANTED\u{7}"}), "refresh_token"),
        (json!({"refresh_token": 5, "access_token": "PLANTED"}), "refresh_token"),
        (json!({"refresh_token": " "}), "refresh_token"),
        (json!({}), "refresh_token"),
    ] {
        let refused = admin.post("/api/connections", &body(bad)).await.expect(400);
        assert!(refused["errors"][format!("oauth_token_pair.{field}")].is_array(), "{field}: {refused}");
    }
    let refused = admin.post("/api/connections", &body(json!("PLANTED"))).await.expect(400);
    assert_eq!(refused["errors"], json!({"oauth_token_pair": ["must be of type object"]}));
    let mut shell = body(json!({"refresh_token": "PLANTED"}));
    shell["shell_connection"] = true.into();
    assert!(admin.post("/api/connections", &shell).await.expect(400)["errors"]["shell_connection"].is_array());
    let refused = admin.post("/api/connections", &body(json!({"refresh_token": "PLANTED_unknown"}))).await;
    assert_eq!(refused.expect(409)["error"], "needs_reauthorization", "no connection with a token that is no good");
    let changed = admin.put(&path, &json!({"oauth_token_pair": both})).await.expect(400);
    assert!(changed["errors"]["oauth_token_pair"].is_array(), "a grant is not dropped in silence");
    assert_eq!(admin.get("/api/connections").await.expect(200).as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_long_list_comes_whole_or_is_cut_off() {
    const MANY: i64 = 3000;
    let mut server = Server::start().await;
    let admin = server.admin();
    let id = profile(&admin, "One", "hubspot").await;
    let acme = customer(&admin, "acme").await["id"].as_i64().unwrap();
    server.stop();
    let db = rusqlite::Connection::open(server.data().join("grantry.db")).unwrap();
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})
         INSERT INTO connections (name, provider, profile_id, customer_id, created_at, updated_at)
         SELECT 'c' || i, 'hubspot', {id}, {acme}, 0, 0 FROM n"
    );
    db.execute(&fill, []).unwrap();
    drop(db);
    let mut server = Server::on(server.dir(), &[], &[]).await;
    let admin = admin.at(&server.url);
    for path in ["/api/connections", "/api/managed_users/Eacme/connections"] {
        let list = admin.get(path).await.expect(200);
        let list = if list.is_array() { list } else { list["result"].clone() };
        let ids: Vec<i64> = list.as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect();
        assert!(ids.iter().copied().eq(1..=MANY), "{path}: {}", ids.len());
        let head = admin.send(admin.request("HEAD", path)).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    let few = admin.get("/api/connections?external_id=none").await;
    assert_eq!((few.text().as_str(), few.header("content-length")), ("[]", "2"));
    // What is no row of ours stands near the end, when much has been sent.
    server.stop();
    let db = rusqlite::Connection::open(server.data().join("grantry.db")).unwrap();
    db.execute("UPDATE connections SET name = '' WHERE id = ?1", [MANY - 5]).unwrap();
    drop(db);
    let server = Server::on(server.dir(), &[], &[]).await;
    let admin = admin.at(&server.url);
    let begun = admin.request("GET", "/api/connections").send().await.unwrap();
    assert_eq!(begun.status(), 200);
    assert!(begun.bytes().await.is_err(), "half a list is none");
    assert!(server.log().contains("a list was cut off"));
}

#[tokio::test]
async fn a_customers_connections_are_that_customers() {
    let server = Server::start().await;
    let admin = server.admin();
    profile(&admin, "One", "hubspot").await;
    customer(&admin, "acme").await;
    customer(&admin, "other").await;
    let body = json!({"name": "c", "provider": "hubspot"});
    let made = admin.post("/api/managed_users/Eacme/connections", &body).await.expect(200);
    let list = async |of: &str| admin.get(&format!("/api/managed_users/{of}/connections")).await.expect(200);
    assert_eq!(list("Eacme").await, json!({"result": [made]}));
    assert_eq!(list("Eother").await, json!({"result": []}));
    let foreign = format!("/api/managed_users/Eother/connections/{}", made["id"]);
    assert_eq!(admin.put(&foreign, &json!({"name": "d"})).await.status, 404);
    assert_eq!(admin.delete(&foreign).await.status, 404);
    assert_eq!(admin.send(admin.request("POST", &format!("{foreign}/disconnect"))).await.status, 404);
    assert_eq!(admin.get("/api/managed_users/Enobody/connections").await.status, 404);
}

#[tokio::test]
async fn the_catalogue_is_there_in_this_dialects_words() {
    let server = Server::start().await;
    let admin = server.admin();
    let all = admin.get("/api/integrations/all").await.expect(200);
    let items = all["items"].as_array().unwrap();
    assert!(all["count"].as_u64().unwrap() >= 45);
    for key in ["name", "title", "categories", "oauth", "deprecated", "secondary", "triggers", "actions"] {
        assert!(items[0].as_object().unwrap().contains_key(key), "{key}");
    }
    let second = admin.get("/api/integrations/all?page=2&per_page=10").await.expect(200);
    assert_eq!(second["items"][0], items[10]);
    assert_eq!(admin.get("/api/custom_connectors").await.expect(200), json!({"result": []}));
}
