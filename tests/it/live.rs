//! What changes while somebody looks: server-sent events.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Caller, Server, profile_body};

const PATH: &str = "/api/live";

/// A stream that is being read.
struct Listener {
    response: reqwest::Response,
    read: String,
}

impl Listener {
    async fn begin(caller: &Caller) -> Self {
        let response = caller.request("GET", PATH).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut listener = Self { response, read: String::new() };
        assert_eq!(listener.next().await.as_deref(), Some("event: hello\ndata: {}"));
        listener
    }

    /// What comes next, up to an empty line; `None`: it is over.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.read = rest;
                return Some(block);
            }
            let chunk = tokio::time::timeout(Duration::from_secs(40), self.response.chunk()).await.expect("in time");
            self.read.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    /// The nouns of the changes up to and with one that has this noun.
    async fn until(&mut self, noun: &str) -> Vec<String> {
        let mut nouns = Vec::new();
        while !nouns.iter().any(|known| known == noun) {
            let block = self.next().await.expect("a change");
            let Some(data) = block.strip_prefix("event: change\ndata: ") else { continue };
            let data: Value = serde_json::from_str(data).unwrap();
            nouns.extend(data["nouns"].as_array().unwrap().iter().map(|noun| noun.as_str().unwrap().to_owned()));
        }
        nouns
    }
}

#[tokio::test]
async fn whoever_listens_hears_which_nouns_have_changed_and_only_of_what_they_may_see() {
    let server = Server::start().await;
    let admin = server.admin();
    let (mut all, mut few) = (Listener::begin(&admin).await, Listener::begin(&server.caller(&["profiles:read"])).await);
    let body = profile_body("CRM", "hubspot");
    let id = admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].clone();
    assert!(all.until("profiles").await.contains(&"audit".to_owned()), "what comes together is told together");
    assert!(few.until("profiles").await.iter().all(|noun| noun == "profiles" || noun == "customers"));
    let connection = json!({"name": "c", "provider": "hubspot"});
    admin.post("/api/connections", &connection).await.expect(200);
    all.until("connections").await;
    let customer = json!({"name": "c", "notification_email": "c@acme.example"});
    let customer = admin.post("/api/managed_users", &customer).await.expect(200)["id"].clone();
    all.until("customers").await;
    let assign = format!("/api/managed_users/{customer}/custom_oauth_profiles/{id}/assign");
    admin.post(&assign, &json!({})).await.expect(200);
    all.until("customers").await;
    let provider = json!({"slug": "acme", "name": "Acme", "token_url": "https://login.acme.example/token"});
    admin.post("/api/providers", &provider).await.expect(200);
    all.until("providers").await;
    admin.post("/api/webhooks", &json!({"url": "https://receiver.acme.example/"})).await.expect(200);
    all.until("webhooks").await;
    let user = json!({"name": "vera", "email": "v@acme.example", "role": "viewer", "password": "PLANTED_password_1"});
    admin.post("/api/users", &user).await.expect(200);
    all.until("users").await;
    let nouns = few.until("providers").await;
    assert!(nouns.iter().all(|noun| ["profiles", "customers", "providers"].contains(&noun.as_str())), "{nouns:?}");
}

#[tokio::test]
async fn many_changes_are_told_together_and_reading_is_none() {
    let server = Server::start().await;
    let admin = server.admin();
    let mut listener = Listener::begin(&admin).await;
    for _ in 0..5 {
        admin.get("/api/managed_users").await.expect(200);
        admin.get("/readyz").await.expect(200);
    }
    let begun = Instant::now();
    for n in 0..60 {
        let body = json!({"name": format!("c{n}"), "notification_email": "c@acme.example"});
        admin.post("/api/managed_users", &body).await.expect(200);
    }
    admin.post("/api/custom_oauth_profiles", &profile_body("last", "hubspot")).await.expect(200);
    let mut blocks = 0_u32;
    loop {
        let block = listener.next().await.unwrap();
        if block.starts_with("event: change") {
            blocks += 1;
        }
        if block.contains("\"profiles\"") {
            break;
        }
    }
    let most = u32::try_from(begun.elapsed().as_millis() / 500).unwrap() + 2;
    assert!(blocks <= most, "{blocks} in {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_stream_ends_with_its_credential_and_with_the_server() {
    let mut server = Server::start().await;
    let admin = server.admin();
    let short = server.caller(&["profiles:read"]);
    let mut doomed = Listener::begin(&short).await;
    let tokens = admin.get("/api/api_tokens").await.expect(200);
    let id = tokens["result"].as_array().unwrap().iter().filter_map(|token| token["id"].as_i64()).max().unwrap();
    admin.delete(&format!("/api/api_tokens/{id}")).await.expect(200);
    let begun = Instant::now();
    while doomed.next().await.is_some() {}
    assert!(begun.elapsed() < Duration::from_secs(25), "at the next look");
    let mut listener = Listener::begin(&admin).await;
    let begun = Instant::now();
    server.stop();
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "a stop waits for nobody who only listens: {:?}",
        begun.elapsed()
    );
    while listener.next().await.is_some() {}
}

#[tokio::test]
async fn a_session_that_rests_goes_on_resting_while_its_page_listens() {
    let server = Server::start().await;
    let admin = server.admin();
    let user = json!({"name": "ann", "email": "a@acme.example", "role": "viewer", "password": "PLANTED_password_1"});
    admin.post("/api/users", &user).await.expect(200);
    let login = server.anybody().post("/session", &json!({"name": "ann", "password": "PLANTED_password_1"})).await;
    let cookie = login.header("set-cookie").split(';').next().unwrap().to_owned();
    let page = server.anybody().header("cookie", &cookie);
    let mut listener = Listener::begin(&page).await;
    let db = rusqlite::Connection::open(server.data().join("grantry.db")).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    // Ten minutes pass, as far as anybody can tell.
    db.execute("UPDATE sessions SET last_seen_at = last_seen_at - 600000", []).unwrap();
    let seen = || db.query_row("SELECT last_seen_at FROM sessions", [], |row| row.get::<_, i64>(0)).unwrap();
    let before = seen();
    assert_eq!(listener.next().await.as_deref(), Some(": keep-alive"));
    // Marks are written behind; a write that is waited for comes after them.
    admin.post("/api/managed_users", &json!({"name": "c", "notification_email": "c@acme.example"})).await.expect(200);
    assert_eq!(seen(), before);
    let out = server.anybody().header("cookie", &cookie).header("sec-fetch-site", "same-origin");
    out.delete("/session").await.expect(200);
    while listener.next().await.is_some() {}
}

#[tokio::test]
async fn nobody_takes_all_streams() {
    let server = Server::start().await;
    let (admin, other) = (server.admin(), server.caller(&["connections:read"]));
    let mut listeners = Vec::new();
    for _ in 0..16 {
        listeners.push(Listener::begin(&admin).await);
    }
    let refused = admin.get(PATH).await;
    refused.expect(429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    let _other = Listener::begin(&other).await;
    listeners.truncate(15);
    let begun = Instant::now();
    while admin.request("GET", PATH).send().await.unwrap().status() != 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "a place comes back when its listener goes");
        // The server sees the end of a connection when it sees it.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let head = admin.send(admin.request("HEAD", PATH)).await;
    assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream"));
    assert_eq!(server.anybody().get(PATH).await.status, 401);
}

#[tokio::test]
async fn who_reads_nothing_holds_nobody_up() {
    let server = Server::start().await;
    let admin = server.admin();
    let asleep = Listener::begin(&admin).await;
    let mut awake = Listener::begin(&admin).await;
    for n in 0..3 {
        let body = json!({"name": format!("c{n}"), "notification_email": "c@acme.example"});
        admin.post("/api/managed_users", &body).await.expect(200);
        awake.until("customers").await;
    }
    drop(asleep);
}
