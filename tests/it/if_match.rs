//! Two administrators at the same thing: the second one is told, and nothing is overwritten unseen (RFC 9110 §13.1.1).

use serde_json::{Value, json};

use crate::support::{Answer, Caller, PLANTED, Server, profile_body};

async fn send(caller: &Caller, method: &str, path: &str, tag: &str, body: &Value) -> Answer {
    let request = caller.request(method, path).header("if-match", tag);
    caller.send(if method == "DELETE" { request } else { request.json(body) }).await
}

/// Changes a thing twice from the same look at it, then deletes it from an old one and a new one.
async fn check(admin: &Caller, path: &str, noun: &str, first: Value, second: Value) {
    let seen = admin.get(path).await;
    let tag = seen.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.len() > 3, "{path}: {tag}");
    let changed = send(admin, "PUT", path, &tag, &first).await;
    changed.expect(200);
    let told = send(admin, "PUT", path, &tag, &second).await;
    let message = told.expect(412)["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with(&format!("Somebody else has changed this {noun}")), "{message}");
    let now = admin.get(path).await;
    let new = now.header("etag").to_owned();
    assert_ne!(new, tag);
    assert_eq!(changed.header("etag"), new, "{path}: an answer to a change has the tag of what it made");
    for other in [format!("W/{new}"), tag.clone(), "\"x\"".to_owned(), format!("\"x\", {tag}"), "\"\"".to_owned()] {
        assert_eq!(send(admin, "PUT", path, &other, &second).await.status, 412, "{other}");
        assert_eq!(send(admin, "DELETE", path, &other, &second).await.status, 412, "{other}");
    }
    for bad in ["x", "\"", new.trim_matches('"'), "\"a\" \"b\""] {
        let refused = send(admin, "PUT", path, bad, &second).await;
        assert!(matches!(refused.status, 400 | 412), "{bad}: {}", refused.text());
    }
    assert_eq!(admin.get(path).await.header("etag"), new, "nothing of that has changed anything");
    send(admin, "PUT", path, &format!("\"1\", {new}"), &second).await.expect(200);
    send(admin, "PUT", path, "*", &first).await.expect(200);
    admin.put(path, &second).await.expect(200);
    let last = admin.get(path).await.header("etag").to_owned();
    send(admin, "DELETE", path, &last, &second).await.expect(200);
    assert_eq!(send(admin, "DELETE", path, &last, &second).await.status, 404);
}

#[tokio::test]
async fn who_has_not_seen_the_last_version_changes_nothing() {
    let server = Server::start().await;
    let admin = server.admin();
    let profile = |name: &str| profile_body(name, "hubspot");
    let id = admin.post("/api/custom_oauth_profiles", &profile("a")).await.expect(200)["result"]["id"].clone();
    let path = format!("/api/custom_oauth_profiles/{id}");
    check(&admin, &path, "profile", profile("b"), profile("c")).await;

    let customer = |name: &str| json!({"name": name, "notification_email": "it@acme.example"});
    let id = admin.post("/api/managed_users", &customer("a")).await.expect(200)["id"].clone();
    check(&admin, &format!("/api/managed_users/{id}"), "customer", customer("b"), customer("c")).await;

    admin.post("/api/custom_oauth_profiles", &profile("d")).await.expect(200);
    let connection = |name: &str| json!({"name": name, "provider": "hubspot"});
    let id = admin.post("/api/connections", &connection("a")).await.expect(200)["id"].clone();
    check(&admin, &format!("/api/connections/{id}"), "connection", json!({"name": "b"}), json!({"name": "c"})).await;

    let provider = |name: &str| json!({"slug": "acme", "name": name, "token_url": "https://login.acme.example/token"});
    admin.post("/api/providers", &provider("a")).await.expect(200);
    check(&admin, "/api/providers/acme", "provider", provider("b"), provider("c")).await;
    assert_eq!(admin.get("/api/providers/hubspot").await.header("etag"), "", "the catalogue's own has no versions");
}

#[tokio::test]
async fn of_many_at_once_one_is_first_and_the_others_are_told() {
    let server = Server::start().await;
    let admin = server.admin();
    let id = admin.post("/api/custom_oauth_profiles", &profile_body("a", "hubspot")).await.expect(200)["result"]["id"]
        .clone();
    let path = format!("/api/custom_oauth_profiles/{id}");
    let tag = admin.get(&path).await.header("etag").to_owned();
    let bodies: Vec<Value> = (0..8)
        .map(|n| {
            let mut body = profile_body(&format!("name {n}"), "hubspot");
            body["data"]["client_secret"] = format!("{PLANTED}_other_{n}").into();
            body
        })
        .collect();
    let answers =
        futures_util::future::join_all(bodies.iter().map(|body| send(&admin, "PUT", &path, &tag, body))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
    let won = answers.iter().position(|answer| answer.status == 200).unwrap();
    let now = admin.get(&path).await.expect(200);
    assert_eq!(now["result"]["name"], format!("name {won}"));
    let verify = json!({"client_secret": format!("{PLANTED}_other_{won}")});
    assert_eq!(admin.post(&format!("{path}/verify_secret"), &verify).await.expect(200)["result"]["matches"], true);
}
