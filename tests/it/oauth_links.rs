//! Dialect 1: links by which accounts are connected, as that product's own command line asks for them; and the warning
//! before a provider ends the oldest grant of an account.

use grantry::simulator::{Like, Options, Rotation};
use serde_json::{Value, json};

use crate::support::{Caller, Server, person::Person, practice::Practice};

const RUNTIME: &str = "/api/connections/runtime_user_connections";

async fn parent(admin: &Caller, profile: i64) -> i64 {
    let body = json!({"name": "Parent", "provider": "practice", "custom_oauth_profile_id": profile, "folder_id": 7});
    admin.post("/api/connections", &body).await.expect(200)["id"].as_i64().unwrap()
}

/// Opens a link, agrees at the provider as this account, and comes back.
async fn agree(server: &Server, url: &str, account: &str) -> crate::support::Answer {
    let person = Person::before(server);
    let page = person.open(url).await;
    let account = format!("{account}@practice.example");
    person.submit(&page.url, &[("decision", "approve"), ("account", &account)]).await.answer
}

/// What the vendor's command line reads again and again.
async fn polled(admin: &Caller, id: &Value) -> Value {
    let all = admin.get("/api/connections?include_runtime_connections=true").await.expect(200);
    let found = all.as_array().unwrap().iter().find(|one| one["id"] == *id).cloned();
    found.unwrap()["authorization_status"].clone()
}

#[tokio::test]
async fn a_runtime_user_connects_and_the_same_user_again_is_the_same_connection() {
    let server = Server::start().await;
    let practice = Practice::rotating(Rotation::None);
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let parent = parent(&admin, profile).await;
    let body = json!({
        "parent_id": parent.to_string(), "folder_id": 9, "external_id": "user@example.com", "name": "Theirs",
        "callback_url": "https://app.workato.com/", "redirect_url": null,
    });
    let made = admin.post(RUNTIME, &body).await.expect(200);
    assert_eq!(made.as_object().unwrap().keys().collect::<Vec<_>>(), ["data"]);
    assert_eq!(made["data"].as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "url"]);
    let id = &made["data"]["id"];
    assert_eq!(polled(&admin, id).await, Value::Null);
    let again = admin.post(RUNTIME, &body).await.expect(200);
    assert_eq!(again["data"]["id"], *id);
    let landed = agree(&server, again["data"]["url"].as_str().unwrap(), "alice").await;
    assert_eq!(landed.status, 200, "{}", landed.text());
    assert_eq!(polled(&admin, id).await, "success");
    let detail = admin.get(&format!("/api/connections/{id}")).await.expect(200)["result"].clone();
    for (field, value) in [
        ("parent_id", json!(parent)),
        ("folder_id", json!(9)),
        ("external_id", json!("user@example.com")),
        ("name", json!("Theirs")),
        ("custom_oauth_profile_id", json!(profile)),
    ] {
        assert_eq!(detail[field], value, "{field}");
    }
    // Another user, or the same name below another parent, is another connection.
    let other = admin.post(RUNTIME, &json!({"parent_id": parent, "external_id": "other"})).await.expect(200);
    assert_ne!(other["data"]["id"], *id);
    let other = admin.get(&format!("/api/connections/{}", other["data"]["id"])).await.expect(200);
    assert_eq!(other["result"]["name"], "Parent");
    let all = futures_util::future::join_all((0..6).map(|_| async {
        let body = json!({"parent_id": parent, "external_id": "at once"});
        admin.post(RUNTIME, &body).await.expect(200)["data"]["id"].clone()
    }))
    .await;
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
}

#[tokio::test]
async fn an_ordinary_connection_has_a_link_too_and_a_customers_only_below_that_customer() {
    let server = Server::start().await;
    let practice = Practice::rotating(Rotation::None);
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let ordinary = parent(&admin, profile).await;
    let answer = admin.get(&format!("{RUNTIME}/{ordinary}/get_oauth_url")).await.expect(200);
    let url = answer["data"]["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/connect/", server.url)), "{url}");
    assert_eq!(agree(&server, url, "alice").await.status, 200);
    assert_eq!(polled(&admin, &json!(ordinary)).await, "success");
    for (name, external_id) in [("Acme", "acme"), ("Other", "other")] {
        let body = json!({"name": name, "notification_email": "ops@acme.example", "external_id": external_id});
        admin.post("/api/managed_users", &body).await.expect(200);
    }
    let of = |customer: &str| format!("/api/managed_users/{customer}/connections");
    let body = json!({"name": "Theirs", "provider": "practice"});
    let theirs = admin.post(&of("Eacme"), &body).await.expect(200);
    assert_eq!(theirs["provider"], "practice");
    let link = |customer: &str| format!("{}/runtime_user_connections/{}/get_oauth_url", of(customer), theirs["id"]);
    admin.get(&link("Eacme")).await.expect(200);
    assert_eq!(admin.get(&link("Eother")).await.status, 404);
    let below = |customer: &str| format!("{}/runtime_user_connections", of(customer));
    let body = json!({"parent_id": theirs["id"], "external_id": "u-1"});
    let child = admin.post(&below("Eacme"), &body).await.expect(200)["data"]["id"].clone();
    let listed = admin.get(&format!("{}?include_runtime_connections=true", of("Eacme"))).await.expect(200);
    assert_eq!(listed["result"][1]["id"], child, "it belongs to its parent's customer");
    let refused = admin.post(&below("Eother"), &body).await.expect(400);
    assert_eq!(refused["errors"], json!({"parent_id": ["is not included in the list"]}));
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused_and_nobody_is_called() {
    let server = Server::with(&["--return-urls", "https://app.acme.example/done"]).await;
    let practice = Practice::rotating(Rotation::None);
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let parent = parent(&admin, profile).await;
    for (body, field) in [
        (json!({"external_id": "u"}), "parent_id"),
        (json!({"parent_id": 999, "external_id": "u"}), "parent_id"),
        (json!({"parent_id": "x", "external_id": "u"}), "parent_id"),
        (json!({"parent_id": parent, "external_id": 5}), "external_id"),
        (json!({"parent_id": parent, "name": "a\u{0}"}), "name"),
        (json!({"parent_id": parent, "redirect_url": "https://evil.example/"}), "redirect_url"),
        (json!({"parent_id": parent, "redirect_url": "javascript:alert(1)"}), "redirect_url"),
    ] {
        let refused = admin.post(RUNTIME, &body).await.expect(400);
        assert!(refused["errors"].get(field).is_some(), "{body}: {refused}");
    }
    assert_eq!(admin.get(&format!("{RUNTIME}/999/get_oauth_url")).await.expect(404), json!({"message": "Not found"}));
    let reader = server.caller(&["connections:read"]);
    assert_eq!(reader.get(&format!("{RUNTIME}/{parent}/get_oauth_url")).await.status, 401);
    let all = admin.get("/api/connections?include_runtime_connections=true").await.expect(200);
    assert_eq!(all.as_array().unwrap().len(), 1, "nothing was made");
    // Where the operator allows it, the browser goes on; whoever is to be called is not.
    let body = json!({
        "parent_id": parent, "external_id": "u", "callback_url": format!("{}/called", practice.url()),
        "redirect_url": "https://app.acme.example/done/here",
    });
    let made = admin.post(RUNTIME, &body).await.expect(200)["data"].clone();
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let location = |answer: &reqwest::Response| answer.headers()["location"].to_str().unwrap().to_owned();
    let opened = http.get(made["url"].as_str().unwrap()).send().await.unwrap();
    let cookie = opened.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let agreed = http.get(format!("{}&login_hint=alice&auto=1", location(&opened))).send().await.unwrap();
    let landed = http.get(location(&agreed)).header("cookie", cookie).send().await.unwrap();
    let wanted = format!("https://app.acme.example/done/here?status=success&connection_id={}", made["id"]);
    assert_eq!(location(&landed), wanted);
    assert!(practice.counts().await["requests"].get("/called").is_none());
}

#[tokio::test]
async fn whoever_connects_one_account_too_often_is_told_before_the_oldest_grant_goes() {
    let server = Server::start().await;
    let practice = Practice::with(Options { like: Like::Salesforce, ..Options::default() });
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let mut last = Value::Null;
    for n in 1..=6 {
        let made = admin.post("/api/connect", &json!({"custom_oauth_profile_id": profile})).await.expect(200);
        assert_eq!(made["result"]["warnings"], json!([]), "nobody knows whose account it will be");
        last = made["result"]["connection_id"].clone();
        let landed = agree(&server, made["result"]["url"].as_str().unwrap(), "alice").await;
        assert_eq!(landed.status, 200, "{}", landed.text());
        let told = landed.text().contains("revokes the oldest");
        assert_eq!(told, n >= 5, "{n}: {}", landed.text());
        let detail = admin.get(&format!("/api/connections/{last}")).await.expect(200)["result"].clone();
        assert_eq!(detail["warnings"].as_array().unwrap().len(), usize::from(n >= 5), "{n}");
    }
    let again = admin.post("/api/connect", &json!({"connection_id": last})).await.expect(200);
    let warning = &again["result"]["warnings"][0];
    assert_eq!(warning["code"], "grant_limit_reached", "{warning}");
    assert_eq!((&warning["params"]["count"], &warning["params"]["most"]), (&json!(6), &json!(5)), "{warning}");
    // Another account is alone.
    let made = admin.post("/api/connect", &json!({"custom_oauth_profile_id": profile})).await.expect(200);
    let landed = agree(&server, made["result"]["url"].as_str().unwrap(), "bob").await;
    assert!(landed.status == 200 && !landed.text().contains("revokes the oldest"), "{}", landed.text());
}
