//! Who may do what: the whole route table, and every form of credential.

use grantry::{
    domain::user::Scope,
    http::{all_routes, caller::Needs},
};
use serde_json::{Value, json};

use crate::support::{Caller, Server};

/// Routes that ask for nothing, each for a reason: they say whether the server lives, they are what one logs in with, they
/// authenticate by themselves (RFC 6749), or they are the page's own files.
const OPEN: &[&str] = &[
    "GET /livez",
    "GET /readyz",
    "POST /session",
    "DELETE /session",
    "POST /setup",
    "POST /oauth/token",
    "POST /oauth/introspect",
    "POST /oauth/revoke",
    "GET /oauth/callback",
    "GET /Thingworx/Oauths/oauth/return",
    "GET /connect/{ticket}",
    "GET ",
];

/// The page's own files are open too.
fn is_file(name: &str) -> bool {
    ["html", "css", "js", "svg"].iter().any(|end| name.starts_with("GET /") && name.ends_with(&format!(".{end}")))
}

async fn ask(caller: &Caller, method: &str, path: &str) -> u16 {
    caller.send(caller.request(method, path)).await.status
}

#[tokio::test]
async fn every_route_asks_for_its_scope() {
    let server = Server::start().await;
    let names: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    let mut with = Vec::new();
    let mut without = Vec::new();
    for name in &names {
        with.push(server.caller(&[name]));
        let others: Vec<&str> = names.iter().copied().filter(|other| other != name && *other != "admin").collect();
        without.push(server.caller(&others));
    }
    let wrong = server.anybody().bearer("gry_api_1_0000");
    let mut seen = 0;
    for route in all_routes() {
        let path = regex_lite::Regex::new(r"\{[^}]+\}").unwrap().replace_all(&route.path, "999999").into_owned();
        let (method, name) = (route.method.as_str(), format!("{} {}", route.method, route.path));
        let scope = match route.needs {
            Needs::Nothing => {
                assert!(OPEN.contains(&name.as_str()) || is_file(&name), "{name} asks for nothing");
                continue;
            }
            Needs::Caller => None,
            Needs::Scope(scope) => Some(scope),
        };
        seen += 1;
        let refused = server.anybody().send(server.anybody().request(method, &path)).await;
        assert_eq!(refused.status, 401, "{name} without a credential");
        assert!(refused.headers.contains_key("www-authenticate"), "{name}");
        assert_eq!(ask(&wrong, method, &path).await, 401, "{name} with a wrong credential");
        if let Some(scope) = scope {
            let n = Scope::ALL.iter().position(|other| *other == scope).unwrap();
            let small = ask(&without[n], method, &path).await;
            assert!(matches!(small, 401 | 403), "{name} without {scope}: {small}");
            let enough = ask(&with[n], method, &path).await;
            assert!(!matches!(enough, 401 | 403), "{name} with {scope}: {enough}");
        }
    }
    assert!(seen > 40, "{seen} routes");
}

#[tokio::test]
async fn a_credential_comes_in_one_of_three_headers_and_never_in_the_url() {
    let server = Server::start().await;
    let token = server.admin().token();
    let anybody = server.anybody();
    let me = "/api/users/me";
    anybody.clone().bearer(&token).get(me).await.expect(200);
    anybody.clone().header("authorization", &format!("bearer  {token} ")).get(me).await.expect(200);
    anybody.clone().header("appKey", &token).get(me).await.expect(200);
    anybody.clone().basic("whoever", &token).get(me).await.expect(200);
    let in_url = anybody.get(&format!("{me}?appKey=gry_api_1_0")).await.expect(401);
    assert!(in_url["message"].as_str().unwrap().contains("send it in the header appKey"), "{in_url}");
    let two = anybody.clone().bearer(&token).header("appkey", &token);
    assert_eq!(two.get(me).await.expect(401), json!({"message": "Unauthorized"}));
    for odd in ["", "Bearer", "Bearer ", "Basic", "Basic !!", "Digest x", "Bearer \u{e9}", &token] {
        let refused = anybody.clone().header("authorization", odd).get(me).await;
        assert_eq!(refused.expect(401), json!({"message": "Unauthorized"}), "{odd:?}");
    }
}

#[tokio::test]
async fn a_token_never_may_more_than_its_user_and_goes_with_it() {
    let server = Server::start().await;
    let admin = server.admin();
    let user = json!({"name": "vera", "email": "v@acme.example", "role": "viewer", "password": "PLANTED_password_1"});
    let id = admin.post("/api/users", &user).await.expect(200)["result"]["id"].clone();
    let token = json!({"name": "t", "scopes": ["admin"], "user_id": id});
    let token = admin.post("/api/api_tokens", &token).await.expect(200)["result"]["token"].clone();
    let vera = server.anybody().bearer(token.as_str().unwrap());
    vera.get("/api/custom_oauth_profiles").await.expect(200);
    let refused = vera.delete("/api/custom_oauth_profiles/1").await.expect(401);
    assert_eq!(refused, json!({"message": "Unauthorized: this token lacks profiles:write"}));
    assert_eq!(vera.get("/api/users").await.status, 401);
    admin.put(&format!("/api/users/{id}"), &json!({"role": "operator"})).await.expect(200);
    assert_eq!(vera.delete("/api/custom_oauth_profiles/1").await.status, 404, "at once");
    admin.delete(&format!("/api/users/{id}")).await.expect(200);
    assert_eq!(vera.get("/api/custom_oauth_profiles").await.status, 401);
}

#[tokio::test]
async fn a_token_stops_when_revoked_and_works_only_from_its_networks() {
    let server = Server::start().await;
    let admin = server.admin();
    let make = async |more: Value| {
        let mut body = json!({"name": "t", "scopes": ["profiles:read"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        admin.post("/api/api_tokens", &body).await.expect(200)["result"].clone()
    };
    let by = |token: &Value| server.anybody().bearer(token["token"].as_str().unwrap());
    let here = make(json!({"addresses": ["127.0.0.0/8", "::1"]})).await;
    let elsewhere = make(json!({"addresses": ["192.0.2.0/24"]})).await;
    by(&here).get("/api/providers").await.expect(200);
    assert_eq!(by(&elsewhere).get("/api/providers").await.status, 401);
    let forwarded = by(&elsewhere).header("x-forwarded-for", "192.0.2.1");
    assert_eq!(forwarded.get("/api/providers").await.status, 401, "a header is no proof");
    admin.delete(&format!("/api/api_tokens/{}", here["id"])).await.expect(200);
    assert_eq!(by(&here).get("/api/providers").await.status, 401);
    let list = admin.get("/api/api_tokens").await.expect(200);
    assert!(!list.to_string().contains("gry_"), "the text is shown once");
    let never = make(json!({"days": 0})).await;
    assert_eq!(never["expires_at"], Value::Null);
    let refused = json!({"name": "", "scopes": ["everything"], "days": -1, "more": 1});
    let refused = admin.post("/api/api_tokens", &refused).await.expect(400);
    for field in ["name", "scopes", "days", "more"] {
        assert!(refused["errors"][field].is_array(), "{field}: {refused}");
    }
}

#[tokio::test]
async fn an_expired_token_is_no_credential() {
    let mut server = Server::start().await;
    let token = server.caller(&["profiles:read"]).token();
    server.stop();
    let db = rusqlite::Connection::open(server.data().join("grantry.db")).unwrap();
    assert_eq!(db.execute("UPDATE api_tokens SET expires_at = 1", []).unwrap(), 1);
    drop(db);
    let again = Server::on(server.dir(), &[], &[]).await;
    assert_eq!(again.anybody().bearer(&token).get("/api/providers").await.status, 401);
}

#[tokio::test]
async fn the_last_administrator_stays_one() {
    let server = Server::start().await;
    let admin = server.admin();
    let user = |name: &str, role: &str| json!({"name": name, "email": "a@acme.example", "role": role, "password": "PLANTED_password_1"});
    let one = admin.post("/api/users", &user("one", "admin")).await.expect(200)["result"]["id"].clone();
    let path = format!("/api/users/{one}");
    let refused = admin.put(&path, &json!({"role": "viewer"})).await.expect(400);
    assert_eq!(refused["errors"], json!({"role": ["is the last administrator's, and one must stay"]}));
    assert_eq!(admin.delete(&path).await.status, 400);
    let taken = admin.post("/api/users", &user("ONE", "admin")).await.expect(400);
    assert_eq!(taken["message"], "name: has already been taken");
    admin.post("/api/users", &user("two", "admin")).await.expect(200);
    admin.delete(&path).await.expect(200);
}

#[tokio::test]
async fn guessing_at_a_password_is_slowed_down_for_that_account_alone() {
    let server = Server::start().await;
    let admin = server.admin();
    for name in ["alice", "bob"] {
        let user = json!({"name": name, "email": "a@acme.example", "role": "viewer", "password": "PLANTED_password_1"});
        admin.post("/api/users", &user).await.expect(200);
    }
    let log_in = |name: &str, password: &str| {
        let caller = server.anybody().basic(name, password);
        async move { caller.get("/api/users/me").await }
    };
    log_in("Alice", "PLANTED_password_1").await.expect(200);
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(log_in("alice", "PLANTED_wrong").await.status);
    }
    assert!(statuses.contains(&401) && statuses.last() == Some(&429), "{statuses:?}");
    let held = log_in("alice", "PLANTED_password_1").await;
    assert_eq!(held.status, 429);
    assert!(held.header("retry-after").parse::<u64>().unwrap() >= 1);
    log_in("bob", "PLANTED_password_1").await.expect(200);
}

#[tokio::test]
async fn nobody_issues_a_secret_for_more_than_they_may() {
    use crate::support::{APPLICATION_FILE, MULTIPART, application_body};
    let server = Server::start().await;
    let (admin, small) = (server.admin(), server.caller(&["applications:write", "applications:read"]));
    let body = application_body(r#"{"name":"strong"}"#, APPLICATION_FILE.as_bytes());
    let made = admin.send_text("POST", "/documents/api/1.2/config/clientApplications", MULTIPART, body).await;
    let path = format!("/api/client_applications/{}", made.expect(201)["id"].as_str().unwrap());
    admin.put(&format!("{path}/scopes"), &json!({"scopes": ["admin"]})).await.expect(200);
    let refused = small.send(small.request("POST", &format!("{path}/secret"))).await;
    assert_eq!(refused.expect(401), json!({"message": "Unauthorized: this token lacks admin"}));
    admin.put(&format!("{path}/scopes"), &json!({"scopes": ["applications:read"]})).await.expect(200);
    assert_eq!(small.send(small.request("POST", &format!("{path}/secret"))).await.status, 200);
}

#[tokio::test]
async fn a_login_under_way_opens_no_session_for_a_password_that_was_changed() {
    let server = Server::start().await;
    let admin = server.admin();
    let user = json!({"name": "carl", "email": "c@acme.example", "role": "viewer", "password": "PLANTED_password_1"});
    let id = admin.post("/api/users", &user).await.expect(200)["result"]["id"].clone();
    let anybody = server.anybody();
    let old = json!({"name": "carl", "password": "PLANTED_password_1"});
    let logins = futures_util::future::join_all((0..5).map(|_| anybody.post("/session", &old)));
    let path = format!("/api/users/{id}");
    let change = json!({"password": "PLANTED_password_2"});
    let (logins, changed) = futures_util::future::join(logins, admin.put(&path, &change)).await;
    changed.expect(200);
    for login in logins {
        let cookie = login.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
        let session = server.anybody().header("cookie", &cookie);
        assert_eq!(session.get("/session").await.status, 401, "{}", login.status);
    }
}

#[tokio::test]
async fn a_password_that_a_browser_remembers_is_no_good_for_another_sites_page() {
    let server = Server::start().await;
    let token = server.admin().token();
    let basic = server.anybody().basic("any", &token);
    let path = "/api/managed_users";
    let body = json!({"name": "c", "notification_email": "c@acme.example"});
    let foreign = basic.clone().header("origin", "https://evil.example").header("sec-fetch-site", "cross-site");
    assert_eq!(foreign.post(path, &body).await.status, 403);
    assert_eq!(basic.clone().header("origin", "https://evil.example").post(path, &body).await.status, 403);
    basic.post(path, &body).await.expect(200);
    foreign.get(path).await.expect(200);
}
