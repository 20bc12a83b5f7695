//! What is out of a credential's reach is not there, whichever way somebody asks.

use grantry::simulator::{Rotation, SLUG};
use serde_json::{Value, json};

use crate::support::{
    APPLICATION_FILE, Answer, Caller, MULTIPART, Server, application_body, practice::Practice, profile_body,
};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const FORM: &str = "application/x-www-form-urlencoded";
const TOKENS: &str = "/Thingworx/Subsystems/WorkflowSubsystem/Services/DeleteOAuthAccessTokens";

/// Three connected accounts: two of alice's, one of bob's.
struct World {
    server: Server,
    practice: Practice,
    admin: Caller,
    profile: i64,
    mail: i64,
    chat: i64,
    bob: i64,
}

impl World {
    async fn new() -> Self {
        let (server, practice) = (Server::start().await, Practice::rotating(Rotation::None));
        let admin = server.admin();
        let profile = practice.introduce(&admin).await;
        let mail = import(&practice, &admin, profile, "mail", "alice").await;
        let chat = import(&practice, &admin, profile, "chat", "alice").await;
        let bob = import(&practice, &admin, profile, "of bob", "bob").await;
        Self { server, practice, admin, profile, mail, chat, bob }
    }

    /// A caller with an API token that has these scopes and this reach.
    async fn token(&self, scopes: &[&str], reach: &Value) -> Caller {
        let made = make_token(&self.admin, scopes, reach).await.expect(200);
        self.server.anybody().bearer(made["result"]["token"].as_str().unwrap())
    }

    /// An application with these scopes and this reach: its id, and a caller with its access token.
    async fn application(&self, scopes: &[&str], reach: &Value) -> (String, Caller) {
        let body = application_body(&json!({"name": "Program"}).to_string(), APPLICATION_FILE.as_bytes());
        let path = "/documents/api/1.2/config/clientApplications";
        let made = self.admin.send_text("POST", path, MULTIPART, body).await.expect(201);
        let id = made["id"].as_str().unwrap().to_owned();
        grant(&self.admin, &id, &with(json!({"scopes": scopes}), reach)).await.expect(200);
        let path = format!("/api/client_applications/{id}/secret");
        let issued = self.admin.send(self.admin.request("POST", &path)).await.expect(200);
        let form = format!(
            "grant_type=client_credentials&client_id={id}&client_secret={}",
            issued["client_secret"].as_str().unwrap()
        );
        let given = self.server.anybody().send_text("POST", "/oauth/token", FORM, form).await.expect(200);
        (id, self.server.anybody().bearer(given["access_token"].as_str().unwrap()))
    }

    async fn exchange(&self, caller: &Caller, id: i64) -> Answer {
        let form = format!(
            "grant_type={EXCHANGE}&subject_token={}&audience=connection:{id}\
             &subject_token_type=urn:ietf:params:oauth:token-type:access_token",
            caller.token()
        );
        self.server.anybody().send_text("POST", "/oauth/token", FORM, form).await
    }
}

async fn import(practice: &Practice, admin: &Caller, profile: i64, name: &str, owner: &str) -> i64 {
    let made = practice.control("grants", json!({"count": 1})).await["grants"][0].clone();
    let body = json!({
        "custom_oauth_profile_id": profile, "name": name, "owner": owner, "refresh_token": made["refresh_token"],
        "access_token": made["access_token"], "expires_in": made["expires_in"],
    });
    admin.post("/api/connections/import", &body).await.expect(200)["result"]["id"].as_i64().unwrap()
}

fn with(mut body: Value, more: &Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn make_token(caller: &Caller, scopes: &[&str], reach: &Value) -> Answer {
    caller.post("/api/api_tokens", &with(json!({"name": "limited", "scopes": scopes}), reach)).await
}

async fn grant(caller: &Caller, id: &str, body: &Value) -> Answer {
    caller.put(&format!("/api/client_applications/{id}/scopes"), body).await
}

fn ids(list: &Value) -> Vec<i64> {
    list.as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect()
}

/// Every way to one connection, and to lists of them: those of `inside` are there, `outside` is not.
async fn reaches(world: &World, caller: &Caller, inside: &[i64], outside: &[i64]) {
    assert_eq!(ids(&caller.get("/api/connections").await.expect(200)), inside);
    let events = caller.get("/api/events").await.expect(200);
    let mut told: Vec<i64> =
        events["result"].as_array().unwrap().iter().map(|e| e["connection"]["id"].as_i64().unwrap()).collect();
    told.sort_unstable();
    assert_eq!(told, inside, "one event each: they were connected");
    for id in inside {
        let path = format!("/api/connections/{id}");
        caller.get(&path).await.expect(200);
        caller.get(&format!("{path}/token")).await.expect(200);
        assert_eq!(caller.send(caller.request("HEAD", &format!("{path}/token"))).await.status, 200);
        world.exchange(caller, *id).await.expect(200);
        caller.get(&format!("/proxy/{id}/me")).await.expect(200);
        caller.post("/api/connect", &json!({"connection_id": id})).await.expect(200);
        caller.post(&format!("{path}/refresh"), &json!({})).await.expect(200);
        let name = caller.get(&path).await.json()["result"]["name"].clone();
        caller.put(&path, &json!({"name": name})).await.expect(200);
    }
    for id in outside {
        // Just as one that is not there at all.
        let at = |id: i64| (format!("/api/connections/{id}"), format!("/proxy/{id}/me"));
        for ((path, proxied), (nothing, elsewhere)) in [(at(*id), at(999_999))] {
            for (method, below, body) in [
                ("GET", "", None),
                ("GET", "/token", None),
                ("PUT", "", Some(json!({"name": "mine"}))),
                ("DELETE", "", None),
                ("POST", "/disconnect", None),
                ("POST", "/refresh", Some(json!({}))),
            ] {
                let ask = async |path: &str| {
                    let request = caller.request(method, &format!("{path}{below}"));
                    caller.send(if let Some(body) = &body { request.json(body) } else { request }).await
                };
                let refused = ask(&path).await;
                assert_eq!(refused.expect(404), ask(&nothing).await.expect(404), "{method} {path}{below}");
            }
            let refused = caller.get(&proxied).await.expect(404);
            let missing = caller.get(&elsewhere).await.expect(404);
            assert_eq!(refused["error"], missing["error"]);
            let refused = world.exchange(caller, *id).await.expect(400);
            assert_eq!(refused, world.exchange(caller, 999_999).await.expect(400));
            assert_eq!(refused["error"], "invalid_target");
            for way in ["/api/connect", "/api/connect/client_credentials", "/api/connections/import"] {
                let more =
                    if way.ends_with("import") { json!({"refresh_token": "PLANTED_refresh"}) } else { json!({}) };
                let refused = caller.post(way, &with(json!({"connection_id": id}), &more)).await;
                let missing = caller.post(way, &with(json!({"connection_id": 999_999}), &more)).await;
                assert_eq!(refused.expect(404), missing.expect(404), "{way}");
            }
        }
        let detail = world.admin.get(&format!("/api/connections/{id}")).await.expect(200);
        assert_eq!(detail["result"]["authorization_status"], "success", "nothing has happened to it");
    }
}

const USE: [&str; 3] = ["connections:read", "connections:write", "connections:token"];

#[tokio::test]
async fn an_api_token_sees_and_uses_what_it_is_limited_to() {
    let world = World::new().await;
    let (mail, chat, bob) = (world.mail, world.chat, world.bob);
    let named = world.token(&USE, &json!({"connections": [mail]})).await;
    reaches(&world, &named, &[mail], &[chat, bob]).await;
    let alices = world.token(&USE, &json!({"owner": "alice"})).await;
    reaches(&world, &alices, &[mail, chat], &[bob]).await;
    let both = world.token(&USE, &json!({"connections": [chat, bob], "owner": "bob"})).await;
    reaches(&world, &both, &[bob], &[mail, chat]).await;
    let all = world.token(&USE, &json!({"connections": null, "owner": null})).await;
    reaches(&world, &all, &[mail, chat, bob], &[]).await;
    let list = world.admin.get("/api/api_tokens").await.expect(200)["result"].clone();
    let reach: Vec<(&Value, &Value)> =
        list.as_array().unwrap().iter().map(|t| (&t["connections"], &t["owner"])).collect();
    assert_eq!(
        reach[1..],
        [
            (&json!([mail]), &Value::Null),
            (&Value::Null, &json!("alice")),
            (&json!([chat, bob]), &json!("bob")),
            (&Value::Null, &Value::Null)
        ]
    );
}

#[tokio::test]
async fn an_applications_reach_counts_at_once_for_tokens_that_are_out() {
    let world = World::new().await;
    let (mail, chat, bob) = (world.mail, world.chat, world.bob);
    let (id, program) = world.application(&USE, &json!({"connections": [mail]})).await;
    reaches(&world, &program, &[mail], &[chat, bob]).await;
    let changed =
        grant(&world.admin, &id, &json!({"connections": null, "owner": "bob"})).await.expect(200)["result"].clone();
    assert_eq!((&changed["connections"], &changed["owner"]), (&Value::Null, &json!("bob")));
    assert_eq!(changed["scopes"], json!(USE), "what is not said stays");
    reaches(&world, &program, &[bob], &[mail, chat]).await;
    let path = format!("/api/client_applications/{id}/scopes");
    assert_eq!(
        world.admin.get(&path).await.expect(200)["result"],
        json!({"scopes": USE, "connections": null, "owner": "bob"})
    );
    // From the command line, too; a limit is lifted by saying so.
    let text = world.server.cli_ok(&["application", "scopes", &id, "--connection", &chat.to_string(), "--any-owner"]);
    assert_eq!(text, format!("{}, of the connections {chat}", USE.join(" ")));
    assert_eq!(ids(&program.get("/api/connections").await.expect(200)), [chat]);
    let text = world.server.cli_ok(&["application", "scopes", &id, "--any-connection", "--owner", "alice"]);
    assert_eq!(text, format!("{}, of the owner alice", USE.join(" ")));
    assert_eq!(ids(&program.get("/api/connections").await.expect(200)), [mail, chat]);
    // A connection that goes leaves nothing behind that another one could get into.
    grant(&world.admin, &id, &json!({"connections": [mail], "owner": null})).await.expect(200);
    world.admin.delete(&format!("/api/connections/{mail}")).await.expect(200);
    assert_eq!(program.get("/api/connections").await.expect(200), json!([]));
}

#[tokio::test]
async fn connections_are_made_within_reach_alone() {
    let world = World::new().await;
    let named = world.token(&USE, &json!({"connections": [world.mail]})).await;
    let alices = world.token(&USE, &json!({"owner": "alice"})).await;
    let new = json!({"name": "new", "custom_oauth_profile_id": world.profile, "provider": SLUG});
    let grant = world.practice.control("grants", json!({"count": 2})).await["grants"][0].clone();
    let brought = json!({"custom_oauth_profile_id": world.profile, "refresh_token": grant["refresh_token"],
        "access_token": grant["access_token"], "expires_in": grant["expires_in"]});
    let by_link = json!({"custom_oauth_profile_id": world.profile});
    let ways = [
        ("/api/connections", new.clone()),
        ("/api/connect", by_link.clone()),
        ("/api/connect/client_credentials", by_link.clone()),
        ("/api/connections/import", brought.clone()),
    ];
    for (way, body) in &ways {
        let refused = named.post(way, body).await.expect(401);
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("limited to the connections that it names"), "{way}: {message}");
        let others = alices.post(way, &with(body.clone(), &json!({"owner": "bob"}))).await.expect(400);
        assert_eq!(others["errors"], json!({"owner": ["must be one of alice"]}), "{way}");
    }
    let made = alices.post("/api/connections", &new).await.expect(200)["id"].as_i64().unwrap();
    let linked = alices.post("/api/connect", &by_link).await.expect(200)["result"]["connection_id"].as_i64().unwrap();
    let imported = alices.post("/api/connections/import", &brought).await.expect(200)["result"]["id"].as_i64().unwrap();
    for id in [made, linked, imported] {
        assert_eq!(world.admin.get(&format!("/api/connections/{id}")).await.expect(200)["result"]["owner"], "alice");
    }
    // One that is out of reach is nothing to descend from, at first or later.
    for parent in [world.bob, 999_999] {
        let body = with(new.clone(), &json!({"parent_id": parent}));
        let refused = alices.post("/api/connections", &body).await.expect(400);
        assert_eq!(refused["errors"], json!({"parent_id": ["none fits, and one is needed"]}), "{parent}");
        let moved = alices.put(&format!("/api/connections/{made}"), &json!({"parent_id": parent})).await.expect(400);
        assert_eq!(moved["errors"], json!({"parent_id": ["none fits, and one is needed"]}), "{parent}");
    }
    let body = with(new, &json!({"parent_id": world.mail}));
    alices.post("/api/connections", &body).await.expect(200);
    // Nobody changes an owner, neither away nor to oneself.
    let path = format!("/api/connections/{}", world.mail);
    alices.put(&path, &json!({"owner": "bob", "name": "mail"})).await;
    assert_eq!(world.admin.get(&path).await.expect(200)["result"]["owner"], "alice");
}

#[tokio::test]
async fn customers_lists_have_what_is_in_reach() {
    let world = World::new().await;
    let customer = json!({"name": "Acme", "notification_email": "a@acme.example"});
    let customer = world.admin.post("/api/managed_users", &customer).await.expect(200)["id"].clone();
    let path = format!("/api/managed_users/{customer}/connections");
    let mut made = Vec::new();
    for owner in ["alice", "bob"] {
        let body = json!({"name": owner, "custom_oauth_profile_id": world.profile, "provider": SLUG, "owner": owner});
        made.push(world.admin.post(&path, &body).await.expect(200)["id"].as_i64().unwrap());
    }
    let alices = world.token(&USE, &json!({"owner": "alice"})).await;
    assert_eq!(ids(&alices.get(&path).await.expect(200)["result"]), made[..1]);
    for (method, below, body) in
        [("PUT", "", json!({"name": "x"})), ("POST", "/disconnect", json!({})), ("DELETE", "", json!({}))]
    {
        let ask = async |id: i64| alices.send(alices.request(method, &format!("{path}/{id}{below}")).json(&body)).await;
        ask(made[1]).await.expect(404);
        ask(made[0]).await.expect(200);
    }
    assert_eq!(ids(&world.admin.get(&path).await.expect(200)["result"]), made[1..]);
}

#[tokio::test]
async fn what_concerns_many_touches_and_tells_of_those_in_reach_alone() {
    let world = World::new().await;
    let (mail, bob) = (world.mail, world.bob);
    // A refresh token that ends, of each.
    let db = rusqlite::Connection::open(world.server.data().join("grantry.db")).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let soon = jiff::Timestamp::now().as_millisecond() + 3_600_000;
    db.execute("UPDATE grants SET refresh_expires_at = ?1", [soon]).unwrap();
    drop(db);
    let reader = world.token(&["profiles:read", "connections:read"], &json!({"owner": "alice"})).await;
    let expiring = reader.get("/api/expiring").await.expect(200)["result"].clone();
    let expiring: Vec<i64> =
        expiring.as_array().unwrap().iter().map(|item| item["connection"]["id"].as_i64().unwrap()).collect();
    assert_eq!(expiring, [mail, world.chat]);

    let alices = world.token(&["admin"], &json!({"owner": "alice"})).await;
    let service = |name: &str| format!("/Thingworx/Subsystems/WorkflowSubsystem/Services/{name}");
    let told = async |caller: &Caller, name: &str, body: &Value| {
        caller.post(&service(name), body).await.expect(200)["rows"][0]["result"].as_str().unwrap().to_owned()
    };
    // A configuration in use: how many use it, and not which.
    let gone = json!({"connectorConfigName": SLUG, "oauthProvider": "Practice"});
    let refused = told(&alices, "DeleteOAuthConfiguration", &gone).await;
    assert!(refused.contains("3 connections") && !refused.contains("bob"), "{refused}");
    assert!(told(&world.admin, "DeleteOAuthConfiguration", &gone).await.contains("bob"));
    world.admin.post(&format!("/api/connections/{bob}/disconnect"), &json!({})).await.expect(200);
    let checked = json!({"connectorName": SLUG});
    assert!(told(&world.admin, "ValidateConnector", &checked).await.contains("\"of bob\""));
    let seen = told(&alices, "ValidateConnector", &checked).await;
    assert!(seen.contains("2 connections") && !seen.contains("bob"), "{seen}");

    let named = world.token(&["admin"], &json!({"connections": [mail]})).await;
    let done = named.post(TOKENS, &json!({"oauthProvider": "Practice"})).await.expect(200);
    let text = done["rows"][0]["result"].as_str().unwrap();
    assert!(text.contains("1 connection must be authorised again"), "{text}");
    let again = json!({"oauthProvider": "Practice", "userName": "alice"});
    let refused = named.post(&format!("{TOKENS}?strict=true"), &again).await.expect(404);
    assert_eq!(refused["rows"][0]["code"], "nothing_to_delete", "the one in reach has none any more");
    let status = async |id: i64| {
        world.admin.get(&format!("/api/connections/{id}")).await.expect(200)["result"]["authorization_status"].clone()
    };
    assert_eq!((status(mail).await, status(world.chat).await), (json!("failed"), json!("success")));
    // What happened to connections that are gone is told to those alone who name them: whose they were, nobody knows.
    world.admin.delete(&format!("/api/connections/{mail}")).await.expect(200);
    let about = async |caller: &Caller| {
        let events = caller.get("/api/events").await.expect(200)["result"].clone();
        events.as_array().unwrap().iter().filter(|event| event["connection"]["id"] == mail).count()
    };
    assert_eq!((about(&named).await, about(&alices).await, about(&world.admin).await), (2, 0, 2));
}

#[tokio::test]
async fn nobody_hands_out_more_reach_than_they_have() {
    let world = World::new().await;
    let (mail, chat, bob) = (world.mail, world.chat, world.bob);
    let named = world.token(&["admin"], &json!({"connections": [mail, chat]})).await;
    let alices = world.token(&["admin"], &json!({"owner": "alice"})).await;
    let wider = |answer: Answer| {
        let refused = answer.expect(401);
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("hands out no wider reach"), "{message}");
    };
    for reach in [json!({}), json!({"owner": "alice"}), json!({"connections": null})] {
        wider(make_token(&named, &["connections:read"], &reach).await);
    }
    for reach in [json!({}), json!({"owner": "bob"}), json!({"connections": [mail]})] {
        wider(make_token(&alices, &["connections:read"], &reach).await);
    }
    for caller in [&named, &alices] {
        let refused = make_token(caller, &["connections:read"], &json!({"connections": [mail, bob]})).await;
        assert_eq!(refused.expect(400)["errors"], json!({"connections[1]": ["is not included in the list"]}));
    }
    make_token(&named, &["admin"], &json!({"connections": [chat], "owner": "bob"})).await.expect(200);
    make_token(&alices, &["admin"], &json!({"owner": "alice"})).await.expect(200);

    let (id, _) = world.application(&["connections:read"], &json!({})).await;
    let secret = format!("/api/client_applications/{id}/secret");
    let issue = async |caller: &Caller| caller.send(caller.request("POST", &secret)).await;
    wider(issue(&named).await);
    wider(grant(&named, &id, &json!({"scopes": ["connections:token"]})).await);
    wider(grant(&named, &id, &json!({"owner": "alice"})).await);
    let untouched = world.admin.get(&format!("/api/client_applications/{id}/scopes")).await.expect(200);
    assert_eq!(untouched["result"], json!({"scopes": ["connections:read"], "connections": null, "owner": null}));
    grant(&named, &id, &json!({"scopes": ["connections:token"], "connections": [chat]})).await.expect(200);
    issue(&named).await.expect(200);
    wider(issue(&alices).await);

    // Nor by what comes to the same: a user, a way to log in, an address that hears of everything.
    let user = json!({"name": "eve", "email": "e@acme.example", "role": "admin", "password": "PLANTED_password_1"});
    wider(named.post("/api/users", &user).await);
    let made = world.admin.post("/api/users", &user).await.expect(200)["result"]["id"].clone();
    wider(named.put(&format!("/api/users/{made}"), &json!({"password": "PLANTED_password_2"})).await);
    wider(alices.post("/api/setup_links", &json!({})).await);
    let hook = json!({"url": "https://hooks.acme.example/x"});
    wider(named.post("/api/webhooks", &hook).await);
    let hook = world.admin.post("/api/webhooks", &hook).await.expect(200)["result"]["id"].clone();
    wider(named.put(&format!("/api/webhooks/{hook}"), &json!({"enabled": false})).await);
    wider(named.post(&format!("/api/webhooks/{hook}/secret"), &json!({})).await);
}

#[tokio::test]
async fn what_other_connections_depend_on_is_not_changed_from_here() {
    let world = World::new().await;
    let write = ["profiles:read", "profiles:write", "connections:read"];
    let alices = world.token(&write, &json!({"owner": "alice"})).await;
    let whole = world.token(&write, &json!({})).await;
    let others = |answer: Answer| {
        let refused = answer.expect(401);
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("others depend on what it would change"), "{message}");
    };
    let provider = format!("/api/providers/{SLUG}");
    let mut elsewhere = grantry::simulator::definition(&grantry::simulator::Options::default(), world.practice.url());
    elsewhere["name"] = "Another's".into();
    others(alices.put(&provider, &elsewhere).await);
    others(alices.delete(&provider).await);
    let profile = format!("/api/custom_oauth_profiles/{}", world.profile);
    let mut body = profile_body("Practice", SLUG);
    others(alices.put(&profile, &body).await);
    // Where all that depend on it are in reach, or nobody is limited, it goes.
    world.admin.delete(&format!("/api/connections/{}", world.bob)).await.expect(200);
    alices.put(&profile, &body).await.expect(200);
    body["name"] = "Another".into();
    whole.put(&profile, &body).await.expect(200);
    let made = alices.post("/api/custom_oauth_profiles", &profile_body("Mine", "hubspot")).await.expect(200);
    alices.delete(&format!("/api/custom_oauth_profiles/{}", made["result"]["id"])).await.expect(200);
}

#[tokio::test]
async fn a_limit_that_means_nothing_is_refused() {
    let world = World::new().await;
    let (id, _) = world.application(&[], &json!({})).await;
    let many: Vec<i64> = (1..=1001).collect();
    let mail = world.mail;
    for (reach, errors) in [
        (json!({"connections": []}), json!({"connections": ["can't be blank"]})),
        (json!({"connections": mail}), json!({"connections": ["must be of type array of integers"]})),
        (json!({"connections": ["1"]}), json!({"connections": ["must be of type array of integers"]})),
        (json!({"connections": [1.5]}), json!({"connections": ["must be of type array of integers"]})),
        (json!({"connections": [mail, mail]}), json!({"connections[1]": ["stands there twice"]})),
        (json!({"connections": many}), json!({"connections": ["at most 1000 are allowed"]})),
        (
            json!({"connections": [mail, 999_999, -1]}),
            json!({"connections[1]": ["is not included in the list"], "connections[2]": ["is not included in the list"]}),
        ),
        (json!({"owner": " "}), json!({"owner": ["can't be blank"]})),
        (json!({"owner": "a\nb"}), json!({"owner": ["must not have control characters"]})),
        (json!({"owner": "x".repeat(256)}), json!({"owner": ["is too long (maximum is 255 characters)"]})),
        (json!({"owner": 7}), json!({"owner": ["must be of type string"]})),
    ] {
        let refused = make_token(&world.admin, &["connections:read"], &reach).await;
        assert_eq!(refused.expect(400)["errors"], errors, "{reach}");
        assert_eq!(grant(&world.admin, &id, &reach).await.expect(400)["errors"], errors, "{reach}");
    }
    grant(&world.admin, "X", &json!({"owner": "alice"})).await.expect(404);
    let refused = world.server.cli(&["api-token", "create", "--name", "x", "--scope", "admin", "--connection", "999"]);
    assert!(!refused.status.success());
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("connections[0]: is not included in the list"), "{text}");
    let made = world.server.cli_ok(&[
        "api-token",
        "create",
        "--name",
        "x",
        "--scope",
        "connections:read",
        "--connection",
        &mail.to_string(),
        "--connection",
        &world.bob.to_string(),
        "--owner",
        "bob",
    ]);
    let limited = world.server.anybody().bearer(&made);
    assert_eq!(ids(&limited.get("/api/connections").await.expect(200)), [world.bob]);
}
