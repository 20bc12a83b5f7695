//! Client secrets and grants go to the origins they were given for, and nowhere else until an administrator confirms.

use std::sync::{Arc, Mutex};

use grantry::store::seal::{Column, KeyList, Purpose, Sealer};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{
    Caller, Server,
    raw::{self, Request},
};

/// An authorization server that takes everything, and what it was sent.
#[derive(Clone)]
struct Listener {
    url: String,
    received: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    async fn start() -> Self {
        let received: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&received);
        let url = raw::serve(move |request: Request| {
            log.lock().unwrap().push(format!("{}\n{}", request.head, request.body));
            match request.path().as_str() {
                "/me" => raw::json(200, r#"{"id":"zoe","name":"Zoe"}"#),
                "/introspect" => raw::json(200, r#"{"active":true}"#),
                "/device" => raw::json(
                    200,
                    r#"{"device_code":"PLANTED_dc","user_code":"A","verification_uri":"https://p.example","expires_in":600}"#,
                ),
                _ => raw::json(200, r#"{"access_token":"PLANTED_at","token_type":"Bearer","expires_in":600}"#),
            }
        })
        .await;
        Self { url, received }
    }

    fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// A definition with each endpoint here.
    fn definition(&self, slug: &str) -> Value {
        let at = |path: &str| format!("{}{path}", self.url);
        json!({
            "slug": slug, "name": slug, "token_url": at("/token"), "authorize_url": at("/authorize"),
            "revoke_url": at("/revoke"), "introspect_url": at("/introspect"), "device_url": at("/device"),
            "userinfo": {"url": at("/me"), "id": "/id", "label": "/name"}, "api": {"base_url": at("/api")},
        })
    }
}

async fn profile(admin: &Caller, slug: &str) -> i64 {
    let body = json!({"name": slug, "provider": slug,
        "data": {"client_id": "the-client", "client_secret": "PLANTED_secret"}});
    admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].as_i64().unwrap()
}

async fn import(admin: &Caller, profile: i64) -> i64 {
    let body = json!({"custom_oauth_profile_id": profile, "refresh_token": "PLANTED_rt", "owner": "alice"});
    admin.post("/api/connections/import", &body).await.expect(200)["result"]["id"].as_i64().unwrap()
}

async fn limited(server: &Server, admin: &Caller, scopes: &[&str]) -> Caller {
    let made =
        admin.post("/api/api_tokens", &json!({"name": "t", "scopes": scopes, "owner": "alice"})).await.expect(200);
    server.anybody().bearer(made["result"]["token"].as_str().unwrap())
}

/// Everything that sends a secret, a grant or a token of the connection.
async fn use_everything(admin: &Caller, profile: i64, connection: i64) {
    admin.post(&format!("/api/custom_oauth_profiles/{profile}/check"), &json!({})).await;
    admin.post(&format!("/api/connections/{connection}/refresh"), &json!({})).await;
    admin.get(&format!("/proxy/{connection}/things")).await;
    admin.post("/api/connect/device", &json!({"custom_oauth_profile_id": profile, "name": "device"})).await;
    admin.post("/api/connect/client_credentials", &json!({"custom_oauth_profile_id": profile, "name": "own"})).await;
    admin.get(&format!("/api/connections/{connection}/token?min_ttl=100000")).await;
}

fn origin(listener: &Listener) -> String {
    listener.url.clone()
}

/// A server with a provider `bar`, a profile there and a connection: the ids of both.
async fn connected() -> (Server, Listener, i64, i64) {
    let (server, good) = (Server::start().await, Listener::start().await);
    let admin = server.admin();
    admin.post("/api/providers", &good.definition("bar")).await.expect(200);
    let used = profile(&admin, "bar").await;
    let connection = import(&admin, used).await;
    (server, good, used, connection)
}

#[tokio::test]
async fn only_administrators_change_a_definition_that_secrets_depend_on() {
    let (server, good, used, connection) = connected().await;
    let (admin, evil) = (server.admin(), Listener::start().await);
    let writer = server.caller(&["profiles:write", "profiles:read"]);
    let narrow = limited(&server, &admin, &["profiles:write", "admin"]).await;
    let hubspot = profile(&admin, "hubspot").await;
    // A definition of one's own that no profile uses may be written with `profiles:write`; one of the catalogue's may not.
    writer.post("/api/providers", &evil.definition("unused")).await.expect(200);
    writer.put("/api/providers/unused", &evil.definition("unused")).await.expect(200);
    writer.delete("/api/providers/unused").await.expect(200);
    for (who, caller) in [("writer", &writer), ("narrow", &narrow)] {
        for slug in ["hubspot", "slack"] {
            assert_eq!(caller.post("/api/providers", &evil.definition(slug)).await.status, 401, "{who} {slug}");
        }
        assert_eq!(caller.put("/api/providers/bar", &evil.definition("bar")).await.status, 401, "{who}");
        // Not even with the same definition.
        assert_eq!(caller.put("/api/providers/bar", &good.definition("bar")).await.status, 401, "{who}");
        assert_eq!(caller.delete("/api/providers/bar").await.status, 401, "{who}");
        let confirm = json!({"origins": [origin(&evil)]});
        assert_eq!(caller.post("/api/v1/providers/bar/confirm-origins", &confirm).await.status, 403, "{who}");
    }
    assert_eq!(narrow.post("/api/providers", &evil.definition("new")).await.status, 401);
    // An administrator without a confirmation hears what it takes.
    for (method, path, slug) in [("POST", "/api/providers", "hubspot"), ("PUT", "/api/providers/bar", "bar")] {
        let request = admin.request(method, path).json(&evil.definition(slug));
        let refused = admin.send(request).await.expect(409);
        assert_eq!(refused["error"], "origin_change_unconfirmed", "{refused}");
        assert_eq!((&refused["new_origins"], &refused["profiles"]), (&json!([origin(&evil)]), &json!(1)), "{refused}");
    }
    // A token, whatever its scopes, confirms nothing.
    let mut confirmed = evil.definition("bar");
    confirmed["confirm_origins"] = json!([origin(&evil)]);
    assert_eq!(admin.put("/api/providers/bar", &confirmed).await.status, 403);
    let before = good.count();
    use_everything(&admin, used, connection).await;
    admin.post(&format!("/api/custom_oauth_profiles/{hubspot}/check"), &json!({})).await;
    assert!(good.count() > before + 4, "the definition that is confirmed serves: {:?}", good.received.lock().unwrap());
    assert_eq!(evil.count(), 0, "{:?}", evil.received.lock().unwrap());
}

#[tokio::test]
async fn a_definition_that_changed_behind_the_servers_back_moves_nothing_until_it_is_confirmed() {
    let (mut server, good, used, connection) = connected().await;
    let new = Listener::start().await;
    // As an editor of the database would do it, or another version of the program.
    server.stop();
    let db = Connection::open(server.data().join("grantry.db")).unwrap();
    db.execute("UPDATE providers SET definition = ?1", [new.definition("bar").to_string()]).unwrap();
    drop(db);
    let server = Server::on(server.dir(), &[], &[]).await;
    let admin = server.admin();
    let before = good.count();
    use_everything(&admin, used, connection).await;
    assert!(good.count() > before + 4, "the old endpoints stay in use");
    assert_eq!(new.count(), 0, "{:?}", new.received.lock().unwrap());
    let findings = admin.get("/api/doctor").await.expect(200)["result"]["findings"].clone();
    let waiting = findings.as_array().unwrap().iter().find(|finding| finding["code"] == "origins-unconfirmed");
    let command = format!("grantry provider confirm bar --origin '{}'.", origin(&new));
    assert!(waiting.unwrap()["message"].as_str().unwrap().ends_with(&command), "{waiting:?}");
    let facts = &waiting.unwrap()["facts"][0];
    assert_eq!((&facts["new_origins"], &facts["old_origins"]), (&json!([origin(&new)]), &json!([origin(&good)])));
    // Another origin than the one that waits confirms nothing.
    let wrong = server.cli(&["provider", "confirm", "bar", "--origin", "https://other.example"]);
    assert!(!wrong.status.success());
    server.cli_ok(&["provider", "confirm", "bar", "--origin", &origin(&new)]);
    let before = good.count();
    use_everything(&admin, used, connection).await;
    assert!(new.count() > 4, "{:?}", new.received.lock().unwrap());
    assert_eq!(good.count(), before);
    let audit = admin.get("/api/audit?deed=origins_confirmed").await.expect(200);
    let entry = &audit["result"]["items"][0];
    assert_eq!(
        (&entry["detail"]["old_origins"], &entry["detail"]["connections"]),
        (&json!([origin(&good)]), &json!(3))
    );
}

#[tokio::test]
async fn editing_the_database_moves_no_secret_and_no_grant() {
    let mut server = Server::start().await;
    let (good, evil) = (Listener::start().await, Listener::start().await);
    let admin = server.admin();
    admin.post("/api/providers", &good.definition("good")).await.expect(200);
    admin.post("/api/providers", &evil.definition("evil")).await.expect(200);
    let (ours, theirs) = (profile(&admin, "good").await, profile(&admin, "evil").await);
    let connection = import(&admin, ours).await;
    server.stop();
    let path = server.data().join("grantry.db");
    let original = std::fs::read(&path).unwrap();
    let evil_definition = evil.definition("good").to_string();
    for (what, edit) in [
        (
            "the pin of another profile",
            "UPDATE profile_pins SET sealed = (SELECT sealed FROM profile_pins WHERE profile_id = 2)",
        ),
        ("no pin", "DELETE FROM profile_pins WHERE profile_id = 1"),
        (
            "the secret in another profile",
            "UPDATE profile_secrets SET sealed = (SELECT sealed FROM profile_secrets WHERE profile_id = 1) WHERE profile_id = 2",
        ),
        ("the grant at another profile", "UPDATE connections SET provider = 'evil', profile_id = 2"),
    ] {
        let db = Connection::open(&path).unwrap();
        if what.contains("pin") {
            db.execute("UPDATE providers SET definition = ?1 WHERE slug = 'good'", [&evil_definition]).unwrap();
        }
        db.execute_batch(edit).unwrap_or_else(|error| panic!("{what}: {error}"));
        drop(db);
        let mut server = Server::on(server.dir(), &[], &[]).await;
        let admin = server.admin();
        use_everything(&admin, ours, connection).await;
        use_everything(&admin, theirs, connection).await;
        server.stop();
        let sent = evil.received.lock().unwrap().join("\n");
        assert!(!sent.contains("PLANTED_rt"), "{what}: {sent}");
        // The profile at the other origin has a secret of its own, which may go there.
        if !what.contains("secret") && !what.contains("grant") {
            let of_ours = sent.matches("PLANTED_secret").count();
            assert!(what.contains("pin"), "{what}: {of_ours}");
        }
        evil.received.lock().unwrap().clear();
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", path.display()));
        }
        std::fs::write(&path, &original).unwrap();
    }
}

#[tokio::test]
async fn what_was_stored_before_there_were_pins_is_pinned_at_the_start() {
    let (mut server, good, _, connection) = connected().await;
    let new = Listener::start().await;
    server.stop();
    let sealer = Sealer::new(KeyList::load(&server.data().join("keys")).unwrap()).unwrap();
    let column = Column { purpose: Purpose::ClientSecrets, table: "profile_secrets", name: "sealed" };
    let old = sealer.seal(column, "1/current", &grantry::domain::Secret::new("PLANTED_secret")).unwrap();
    let db = Connection::open(server.data().join("grantry.db")).unwrap();
    db.execute("UPDATE profile_secrets SET sealed = ?1", [old.bytes]).unwrap();
    db.execute_batch("DELETE FROM profile_pins").unwrap();
    drop(db);
    let server = Server::on(server.dir(), &[], &[]).await;
    let admin = server.admin();
    admin.post(&format!("/api/connections/{connection}/refresh"), &json!({})).await.expect(200);
    let sent = good.received.lock().unwrap().last().unwrap().clone();
    assert!(sent.contains("refresh_token=PLANTED_rt") && sent.contains("client_secret=PLANTED_secret"), "{sent}");
    let refused = admin.put("/api/providers/bar", &new.definition("bar")).await.expect(409);
    assert_eq!(refused["old_origins"], json!([origin(&good)]), "{refused}");
}

#[tokio::test]
async fn a_variable_that_can_lead_to_any_host_needs_a_list_of_hosts() {
    let server = Server::start().await;
    let admin = server.admin();
    let mut definition = json!({"slug": "any", "name": "any", "token_url": "https://{host}/token",
        "variables": {"host": {"title": "Host", "pattern": "^[a-z.]+$"}}});
    let refused = admin.post("/api/providers", &definition).await.expect(400);
    assert!(refused["errors"]["hosts"][0].as_str().unwrap().contains("hosts"), "{refused}");
    definition["hosts"] = json!(["a.example"]);
    definition["variables"]["host"]["default"] = json!("a.example");
    admin.post("/api/providers", &definition).await.expect(200);
}

#[tokio::test]
async fn neither_a_profile_nor_the_values_of_a_connection_lead_a_grant_elsewhere() {
    let server = Server::start().await;
    let (admin, good, evil) = (server.admin(), Listener::start().await, Listener::start().await);
    let by_parameter = json!({"slug": "params", "name": "params",
        "endpoint_parameters": {"token_url": "TOKEN_URL"}});
    admin.post("/api/providers", &by_parameter).await.expect(200);
    let load = async |secret: &str, listener: &Listener| {
        let configuration =
            json!({"CLIENT_ID": "c", "CLIENT_SECRET": secret, "TOKEN_URL": format!("{}/token", listener.url)});
        let path = "/Thingworx/Subsystems/WorkflowSubsystem/Services/LoadOAuthConfiguration";
        admin.post(path, &json!({"oauthConfigurations": {"params": {"app": configuration}}})).await
    };
    // As long as only the client secret hangs on it, who gives it says where it goes.
    for (secret, listener) in [("PLANTED_secret", &good), ("PLANTED_other", &evil), ("PLANTED_secret", &good)] {
        let loaded = load(secret, listener).await;
        assert_eq!(loaded.status, 200, "{}", loaded.text());
    }
    let profiles = admin.get("/api/custom_oauth_profiles").await.expect(200);
    let id = profiles["result"][0]["id"].as_i64().unwrap();
    let connection = import(&admin, id).await;
    let before = evil.count();
    let refused = load("PLANTED_secret", &evil).await;
    assert!(refused.status == 409 && refused.text().contains(&origin(&evil)), "{} {}", refused.status, refused.text());
    admin.post(&format!("/api/connections/{connection}/refresh"), &json!({})).await.expect(200);
    assert_eq!(evil.count(), before);
    // A variable in the host.
    let port = good.url.rsplit(':').next().unwrap().to_owned();
    let by_variable = json!({"slug": "tenants", "name": "tenants", "hosts": ["127.0.0.1", "localhost"],
        "token_url": format!("http://{{host}}:{port}/token"),
        "variables": {"host": {"title": "Host", "pattern": "^[a-z0-9.]+$", "default": "localhost"}}});
    admin.post("/api/providers", &by_variable).await.expect(200);
    let tenants = profile(&admin, "tenants").await;
    let body =
        json!({"custom_oauth_profile_id": tenants, "refresh_token": "PLANTED_rt", "variables": {"host": "127.0.0.1"}});
    let one = admin.post("/api/connections/import", &body).await.expect(200)["result"]["id"].as_i64().unwrap();
    let input = json!({"name": "n", "input": {"host": "localhost"}});
    let moved = admin.put(&format!("/api/connections/{one}"), &input).await;
    assert_eq!(moved.status, 409, "{}", moved.text());
    admin
        .put(&format!("/api/connections/{one}"), &json!({"name": "n", "input": {"host": "127.0.0.1"}}))
        .await
        .expect(200);
    admin.post(&format!("/api/connections/{one}/refresh"), &json!({})).await.expect(200);
    assert_eq!(evil.count(), before);
}
