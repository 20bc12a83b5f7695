//! Secrets and tokens of client applications: what they may do, and that they stop.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{APPLICATION_FILE, Answer, Caller, MULTIPART, Server, application_body, multipart};

const BASE: &str = "/documents/api/1.2/config/clientApplications";
const FORM: &str = "application/x-www-form-urlencoded";

/// An application that was given one secret.
struct Application {
    id: String,
    secret: String,
    secret_id: i64,
}

async fn issue(admin: &Caller, id: &str) -> Answer {
    admin.send(admin.request("POST", &format!("/api/client_applications/{id}/secret"))).await
}

async fn application(admin: &Caller, name: &str, scopes: &[&str]) -> Application {
    let body = application_body(&json!({"name": name}).to_string(), APPLICATION_FILE.as_bytes());
    let made = admin.send_text("POST", BASE, MULTIPART, body).await.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    grant(admin, &id, scopes).await.expect(200);
    let issued = issue(admin, &id).await.expect(200);
    Application {
        secret: issued["client_secret"].as_str().unwrap().to_owned(),
        secret_id: issued["id"].as_i64().unwrap(),
        id,
    }
}

async fn grant(admin: &Caller, id: &str, scopes: &[&str]) -> Answer {
    admin.put(&format!("/api/client_applications/{id}/scopes"), &json!({"scopes": scopes})).await
}

async fn post(caller: &Caller, path: &str, form: &str) -> Answer {
    caller.send_text("POST", path, FORM, form.to_owned()).await
}

impl Application {
    fn form(&self, more: &str) -> String {
        format!("client_id={}&client_secret={}{more}", self.id, self.secret)
    }

    async fn ask(&self, server: &Server, more: &str) -> Answer {
        post(&server.anybody(), "/oauth/token", &self.form(&format!("&grant_type=client_credentials{more}"))).await
    }

    async fn token(&self, server: &Server) -> String {
        self.ask(server, "").await.expect(200)["access_token"].as_str().unwrap().to_owned()
    }

    async fn is_active(&self, server: &Server, token: &str) -> bool {
        let form = self.form(&format!("&token={token}"));
        let answer = post(&server.anybody(), "/oauth/introspect", &form).await.expect(200);
        answer["active"].as_bool().unwrap()
    }
}

#[track_caller]
fn failed(answer: &Answer, status: u16, error: &str) -> String {
    let body = answer.expect(status);
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["error", "error_description"]);
    assert_eq!(body["error"], error, "{body}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let description = body["error_description"].as_str().unwrap().to_owned();
    assert!(description.chars().all(|c| matches!(c, ' '..='~') && c != '"' && c != '\\'), "{description}");
    description
}

#[tokio::test]
async fn an_application_gets_a_token_and_reads_its_own_file_with_it() {
    let server = Server::start().await;
    let admin = server.admin();
    let app = application(&admin, "Program", &["profiles:read"]).await;
    let answer = app.ask(&server, "").await;
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    let body = answer.expect(200);
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["access_token", "token_type", "expires_in", "scope"]);
    assert_eq!(
        (&body["token_type"], &body["expires_in"], &body["scope"]),
        (&json!("Bearer"), &json!(3600), &json!("profiles:read"))
    );
    let token = body["access_token"].as_str().unwrap();
    assert!(token.starts_with("gry_access_"));
    let program = server.anybody().bearer(token);
    let own = program.get("/api/client_applications/self/data").await;
    assert_eq!((own.status, own.text().as_str()), (200, APPLICATION_FILE));
    assert_eq!(own.header("content-disposition"), "attachment; filename=\"clientconfig.json\"");
    program.get("/api/custom_oauth_profiles").await.expect(200);
    // What was not granted is not allowed, its own file through dialect 3 included.
    program.get(&format!("{BASE}/{}/data", app.id)).await.expect(403);
    program.get("/api/connections").await.expect(401);
    program.get("/api/client_applications").await.expect(401);
    // "self" is nobody for a caller that is no application.
    admin.get("/api/client_applications/self/data").await.expect(404);
    server.anybody().get("/api/client_applications/self/data").await.expect(401);

    let none = application(&admin, "Powerless", &[]).await;
    let body = none.ask(&server, "").await.expect(200);
    assert!(body.get("scope").is_none(), "{body}");
    let powerless = server.anybody().bearer(body["access_token"].as_str().unwrap());
    powerless.get("/api/client_applications/self/data").await.expect(200);
    powerless.get("/api/custom_oauth_profiles").await.expect(401);
    failed(&none.ask(&server, "&scope=profiles:read").await, 400, "invalid_scope");
}

#[tokio::test]
async fn client_credentials_are_taken_in_both_forms_and_never_in_both_at_once() {
    let server = Server::start().await;
    let admin = server.admin();
    let app = application(&admin, "Program", &["profiles:read"]).await;
    let nobody = server.anybody();
    let grant = "grant_type=client_credentials";
    let basic = nobody.clone().basic(&app.id, &app.secret);
    post(&basic, "/oauth/token", grant).await.expect(200);
    post(&basic, "/oauth/token", &format!("{grant}&client_id={}", app.id)).await.expect(200);
    // Each byte may come encoded as a form's (RFC 6749 §2.3.1).
    let encoded: String = app.secret.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
    post(&nobody.clone().basic(&app.id, &encoded), "/oauth/token", grant).await.expect(200);
    post(&nobody, "/oauth/token", &format!("{grant}&client_id={}&client_secret={encoded}", app.id)).await.expect(200);
    let with_charset = format!("{FORM}; charset=UTF-8");
    nobody
        .send_text("POST", "/oauth/token", &with_charset, app.form("&grant_type=client_credentials"))
        .await
        .expect(200);

    let both = post(&basic, "/oauth/token", &app.form("&grant_type=client_credentials")).await;
    assert!(failed(&both, 400, "invalid_request").contains("two ways"));
    failed(&post(&basic, "/oauth/token", &format!("{grant}&client_id=other")).await, 400, "invalid_request");
    let twice = nobody.request("POST", "/oauth/token").header("content-type", FORM);
    let pair = format!("Basic {}", STANDARD.encode(format!("{}:{}", app.id, app.secret)));
    let twice = twice.header("authorization", &pair).header("authorization", &pair).body(grant);
    failed(&nobody.send(twice).await, 400, "invalid_request");
}

#[tokio::test]
async fn each_failure_of_the_token_endpoint_has_its_own_word() {
    let server = Server::start().await;
    let admin = server.admin();
    let app = application(&admin, "Program", &["profiles:read"]).await;
    let nobody = server.anybody();
    let full = app.form("&grant_type=client_credentials");
    assert_eq!(
        failed(&post(&nobody, "/oauth/token", &app.form("")).await, 400, "invalid_request"),
        "grant_type: can't be blank"
    );
    failed(&post(&nobody, "/oauth/token", &app.form("&grant_type=")).await, 400, "invalid_request");
    failed(&post(&nobody, "/oauth/token", &app.form("&grant_type=password")).await, 400, "unsupported_grant_type");
    for repeated in ["&grant_type=client_credentials", "&scope=a&scope=a", "&client_id=x", "&x=1&x=2", "&x&x"] {
        failed(&post(&nobody, "/oauth/token", &format!("{full}{repeated}")).await, 400, "invalid_request");
    }
    for scope in ["profiles:write", "profiles:read+admin", "nonsense", "profiles:read%0Aadmin", "%22%5C%C3%A9"] {
        failed(&app.ask(&server, &format!("&scope={scope}")).await, 400, "invalid_scope");
    }
    assert_eq!(app.ask(&server, "&scope=profiles:read+profiles:read").await.expect(200)["scope"], "profiles:read");
    assert_eq!(app.ask(&server, "&scope=").await.expect(200)["scope"], "profiles:read");
    assert_eq!(app.ask(&server, "&unknown=1").await.expect(200)["scope"], "profiles:read");

    for bad in ["%", "%zz", "a=%ff", "\u{0}=%C3"] {
        failed(&post(&nobody, "/oauth/token", &format!("{full}&{bad}")).await, 400, "invalid_request");
    }
    let bytes = [full.as_bytes(), b"&a=\xff"].concat();
    failed(&nobody.send_text("POST", "/oauth/token", FORM, bytes).await, 400, "invalid_request");
    for media_type in ["application/json", "multipart/form-data; boundary=x", "text/plain"] {
        failed(&nobody.send_text("POST", "/oauth/token", media_type, full.clone()).await, 415, "invalid_request");
    }
    failed(&nobody.send(nobody.request("POST", "/oauth/token")).await, 415, "invalid_request");
    failed(&post(&nobody, "/oauth/token", &format!("{full}&x={}", "x".repeat(20_000))).await, 413, "invalid_request");
    let in_url = format!("/oauth/token?client_secret={}", "PLANTED_in_a_query");
    assert!(failed(&post(&nobody, &in_url, &full).await, 400, "invalid_request").contains("URL"));
    for method in ["GET", "PUT", "DELETE"] {
        let answer = nobody.send(nobody.request(method, "/oauth/token")).await;
        failed(&answer, 405, "invalid_request");
        assert_eq!(answer.header("allow"), "POST");
    }
    failed(&nobody.get("/oauth/nothing").await, 404, "invalid_request");
    let gzip = nobody.request("POST", "/oauth/token").header("content-encoding", "gzip").header("content-type", FORM);
    failed(&nobody.send(gzip.body(full)).await, 415, "invalid_request");
}

#[tokio::test]
async fn a_client_that_is_unknown_or_wrong_hears_the_same() {
    let server = Server::start().await;
    let admin = server.admin();
    let app = application(&admin, "Program", &["profiles:read"]).await;
    let other = application(&admin, "Other", &["profiles:read"]).await;
    let nobody = server.anybody();
    let mut seen = Vec::new();
    for (id, secret) in [
        (app.id.as_str(), "PLANTED_wrong"),
        (app.id.as_str(), other.secret.as_str()),
        ("427090D588695B4B4C59D868E83E27B9", app.secret.as_str()),
        ("x", "y"),
        (&app.id.to_lowercase(), &app.secret),
        (&"i".repeat(3000), &"s".repeat(3000)),
    ] {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let answer = post(&nobody, "/oauth/token", &form).await;
        seen.push(failed(&answer, 401, "invalid_client"));
        assert!(
            answer
                .headers
                .get_all("www-authenticate")
                .iter()
                .all(|value| value.to_str().unwrap().starts_with("Basic "))
        );
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
    for form in [
        "grant_type=client_credentials",
        "grant_type=client_credentials&client_id=x",
        "grant_type=client_credentials&client_secret=x",
    ] {
        let answer = post(&nobody, "/oauth/token", form).await;
        failed(&answer, 401, "invalid_client");
        assert!(answer.header("www-authenticate").starts_with("Basic "));
    }
    for bad in ["Basic !!!", "Basic", "Basic eA==", "Bearer x", "Digest x", "Basic JTpmZg=="] {
        let answer =
            post(&nobody.clone().header("authorization", bad), "/oauth/token", "grant_type=client_credentials").await;
        failed(&answer, 401, "invalid_client");
    }
}

#[tokio::test]
async fn guessing_is_slowed_and_keeps_no_program_out() {
    let server = Server::start().await;
    let admin = server.admin();
    let app = application(&admin, "Program", &[]).await;
    app.token(&server).await;
    let nobody = server.anybody();
    let wrong = format!("grant_type=client_credentials&client_id={}&client_secret=PLANTED_guess", app.id);
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let answer = post(&nobody, "/oauth/token", &wrong).await;
        if answer.status == 429 {
            failed(&answer, 429, "temporarily_unavailable");
            assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
        }
        statuses.push(answer.status);
    }
    assert!(statuses.starts_with(&[401, 401, 401, 401, 401]) && statuses.ends_with(&[429, 429]), "{statuses:?}");
    // The right secret still gets in: it was right before.
    app.token(&server).await;
    let form = format!("client_id={}&client_secret=PLANTED_guess&token=x", app.id);
    failed(&post(&nobody, "/oauth/introspect", &form).await, 429, "temporarily_unavailable");
    // A secret that is revoked loses that, once it has been tried.
    let path = format!("/api/client_applications/{}/secrets/{}", app.id, app.secret_id);
    admin.delete(&path).await.expect(200);
    failed(&app.ask(&server, "").await, 401, "invalid_client");
    failed(&app.ask(&server, "").await, 429, "temporarily_unavailable");
    // Nobody's login is held up by it.
    server.anybody().basic("nobody", "PLANTED_password").get("/api/users/me").await.expect(401);
}

#[tokio::test]
async fn two_secrets_live_side_by_side_and_each_is_revoked_alone() {
    let server = Server::start().await;
    let admin = server.admin();
    let first = application(&admin, "Program", &["profiles:read"]).await;
    let issued = issue(&admin, &first.id).await.expect(200);
    let keys: Vec<&String> = issued.as_object().unwrap().keys().collect();
    assert_eq!(
        (keys.as_slice(), &issued["client_id"]),
        (&[&"client_id".to_owned(), &"client_secret".to_owned(), &"id".to_owned()][..], &json!(first.id))
    );
    let second = Application {
        id: first.id.clone(),
        secret: issued["client_secret"].as_str().unwrap().to_owned(),
        secret_id: issued["id"].as_i64().unwrap(),
    };
    assert_eq!(issue(&admin, &first.id).await.expect(400)["message"], "client_secret: at most 2 are allowed");
    let (one, two) = (first.token(&server).await, second.token(&server).await);
    let path = format!("/api/client_applications/{}/secrets", first.id);
    let list = admin.get(&path).await.expect(200);
    assert_eq!(list["result"].as_array().unwrap().len(), 2);
    assert!(list["result"][0]["last_used_at"].is_string());

    admin.delete(&format!("{path}/{}", first.secret_id)).await.expect(200);
    failed(&first.ask(&server, "").await, 401, "invalid_client");
    server.anybody().bearer(&one).get("/api/custom_oauth_profiles").await.expect(401);
    server.anybody().bearer(&two).get("/api/custom_oauth_profiles").await.expect(200);
    assert!(!second.is_active(&server, &one).await && second.is_active(&server, &two).await);
    second.token(&server).await;
    admin.delete(&format!("{path}/{}", first.secret_id)).await.expect(404);
    admin.delete(&format!("{path}/x")).await.expect(404);
    let other = application(&admin, "Other", &[]).await;
    let foreign = format!("/api/client_applications/{}/secrets/{}", other.id, second.secret_id);
    admin.delete(&foreign).await.expect(404);
    second.token(&server).await;
    // The place is free again.
    issue(&admin, &first.id).await.expect(200);
    issue(&admin, "427090D588695B4B4C59D868E83E27B9").await.expect(404);
}

#[tokio::test]
async fn a_disabled_application_stops_at_once() {
    let server = Server::start().await;
    let admin = server.admin();
    let app = application(&admin, "Program", &["profiles:read"]).await;
    let token = app.token(&server).await;
    let program = server.anybody().bearer(&token);
    program.get("/api/client_applications/self/data").await.expect(200);
    let set = |flag: &'static str| {
        let body = multipart(&[("metadata", None, format!("{{\"isEnabled\":\"{flag}\"}}").as_bytes())]);
        let (admin, path) = (admin.clone(), format!("{BASE}/{}", app.id));
        async move { admin.send_text("PUT", &path, MULTIPART, body).await.expect(200) }
    };
    set("false").await;
    program.get("/api/client_applications/self/data").await.expect(401);
    program.get("/api/custom_oauth_profiles").await.expect(401);
    failed(&app.ask(&server, "").await, 401, "invalid_client");
    let body = post(&admin, "/oauth/introspect", &format!("token={token}")).await.expect(200);
    assert_eq!(body, json!({"active": false}));
    failed(&post(&server.anybody(), "/oauth/revoke", &app.form("&token=x")).await, 401, "invalid_client");
    set("true").await;
    // What was stopped stays stopped; a new token works.
    program.get("/api/client_applications/self/data").await.expect(401);
    let program = server.anybody().bearer(&app.token(&server).await);
    program.get("/api/client_applications/self/data").await.expect(200);
    // So does deleting.
    admin.delete(&format!("{BASE}/{}", app.id)).await.expect(200);
    program.get("/api/client_applications/self/data").await.expect(401);
    failed(&app.ask(&server, "").await, 401, "invalid_client");
}

#[tokio::test]
async fn tokens_are_introspected_and_revoked_by_those_whose_business_it_is() {
    let server = Server::start().await;
    let admin = server.admin();
    let app = application(&admin, "Program", &["profiles:read", "connections:token"]).await;
    let other = application(&admin, "Other", &[]).await;
    let token = app.token(&server).await;
    let nobody = server.anybody();
    let answer =
        post(&nobody, "/oauth/introspect", &app.form(&format!("&token={token}&token_type_hint=nonsense"))).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.expect(200);
    assert_eq!([&body["active"], &body["client_id"], &body["sub"]], [&json!(true), &json!(app.id), &json!(app.id)]);
    assert_eq!([&body["scope"], &body["token_type"]], ["profiles:read connections:token", "Bearer"]);
    assert_eq!(body["exp"].as_i64().unwrap() - body["iat"].as_i64().unwrap(), 3600);
    assert!(app.is_active(&server, &token).await);
    assert!(!other.is_active(&server, &token).await, "another application's token is none of its business");
    let reader = server.caller(&["applications:read"]);
    assert_eq!(post(&reader, "/oauth/introspect", &format!("token={token}")).await.expect(200)["client_id"], app.id);
    failed(&post(&server.caller(&["profiles:read"]), "/oauth/introspect", "token=x").await, 403, "insufficient_scope");
    failed(&post(&nobody, "/oauth/introspect", "token=x").await, 401, "invalid_client");
    failed(&post(&nobody.clone().bearer("x"), "/oauth/introspect", "token=x").await, 401, "invalid_client");
    failed(&post(&reader, "/oauth/introspect", "").await, 400, "invalid_request");
    failed(&post(&reader, "/oauth/introspect?token=PLANTED_token", "token=x").await, 400, "invalid_request");
    let mut damaged = token.clone();
    damaged.pop();
    for unknown in ["x", &damaged, &app.secret, &reader.token()] {
        assert_eq!(
            post(&reader, "/oauth/introspect", &format!("token={unknown}")).await.expect(200),
            json!({"active": false})
        );
    }

    let revoke = |caller: Caller, form: String| async move {
        let answer = post(&caller, "/oauth/revoke", &form).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0));
    };
    revoke(nobody.clone(), other.form(&format!("&token={token}"))).await;
    assert!(app.is_active(&server, &token).await, "another application cannot revoke it");
    revoke(nobody.clone(), app.form("&token=unknown")).await;
    revoke(nobody.clone(), app.form(&format!("&token={token}"))).await;
    assert!(!app.is_active(&server, &token).await);
    nobody.clone().bearer(&token).get("/api/custom_oauth_profiles").await.expect(401);
    let token = app.token(&server).await;
    revoke(reader, format!("token={token}")).await;
    assert!(!app.is_active(&server, &token).await);
    failed(&post(&nobody, "/oauth/revoke", &app.form("")).await, 400, "invalid_request");
    failed(&post(&nobody, "/oauth/revoke", "token=x").await, 401, "invalid_client");
}

#[tokio::test]
async fn nobody_grants_what_he_does_not_have() {
    let server = Server::start().await;
    let admin = server.admin();
    let app = application(&admin, "Program", &["profiles:read"]).await;
    let token = app.token(&server).await;
    let keeper = server.caller(&["applications:read", "applications:write"]);
    let refused = grant(&keeper, &app.id, &["admin"]).await.expect(401);
    assert!(refused["message"].as_str().unwrap().contains("admin"));
    assert!(app.is_active(&server, &token).await);
    grant(&keeper, &app.id, &["applications:read"]).await.expect(200);
    assert!(!app.is_active(&server, &token).await, "a token that was for more stops");
    let path = format!("/api/client_applications/{}/scopes", app.id);
    assert_eq!(
        keeper.get(&path).await.expect(200),
        json!({"result": {"scopes": ["applications:read"], "connections": null, "owner": null}})
    );
    for bad in [
        json!({}),
        json!({"scopes": ["everything"]}),
        json!({"scopes": "admin"}),
        json!({"scopes": [1]}),
        json!({"scopes": [], "x": 1}),
        json!([]),
    ] {
        keeper.put(&path, &bad).await.expect(400);
    }
    grant(&keeper, "X", &[]).await.expect(404);
    let list = keeper.get("/api/client_applications").await.expect(200);
    let keys: Vec<&String> = list["result"][0].as_object().unwrap().keys().collect();
    let known = ["id", "name", "enabled", "file_name", "scopes", "created_at", "modified_at", "connections", "owner"];
    assert_eq!(keys, known);
    assert_eq!(list["count"], 1);
    let reader = server.caller(&["applications:read"]);
    for (method, below) in [("PUT", "scopes"), ("POST", "secret"), ("DELETE", "secrets/1")] {
        for id in [app.id.as_str(), "X"] {
            let path = format!("/api/client_applications/{id}/{below}");
            reader.send_text(method, &path, "application/json", "{").await.expect(401);
        }
    }
    let _: Value = reader.get(&format!("/api/client_applications/{}/secrets", app.id)).await.expect(200);
}

#[tokio::test]
async fn tokens_and_secrets_outlive_the_process() {
    let mut server = Server::start().await;
    let admin = server.admin();
    let app = application(&admin, "Program", &[]).await;
    let token = app.token(&server).await;
    server.kill_and_restart().await;
    assert!(app.is_active(&server, &token).await);
    server.anybody().bearer(&token).get("/api/client_applications/self/data").await.expect(200);
}
