//! Every failure inside a scope comes out in that scope's own shape.

use std::process::Command;

use futures_util::future::join_all;

use crate::support::{APPLICATION_FILE, Answer, MULTIPART, Server, application_body, multipart, profile_body};

const SERVICES: &str = "/Thingworx/Subsystems/WorkflowSubsystem/Services";
const APPLICATIONS: &str = "/documents/api/1.2/config/clientApplications";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Scope {
    Api,
    Flow,
    Documents,
    OAuth,
    Site,
}

/// The answer has this status and the scope's shape, and says it in words.
#[track_caller]
fn own_shape(scope: Scope, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{scope:?}: {}", answer.text());
    assert!(answer.header("content-type").starts_with("application/json"), "{scope:?}: {}", answer.text());
    let body = answer.json();
    let words = match scope {
        Scope::Api | Scope::Site => body["message"].as_str(),
        Scope::Flow => {
            assert_eq!(body["dataShape"]["fieldDefinitions"]["result"]["baseType"], "STRING", "{body}");
            assert_eq!(answer.header("grantry-outcome"), "error");
            assert!(body["rows"][0]["code"].is_string(), "{body}");
            body["rows"][0]["result"].as_str()
        }
        Scope::Documents => {
            assert!(body["errorCode"].is_string(), "{body}");
            assert_eq!(body["title"], body["errorMessage"], "{body}");
            body["title"].as_str()
        }
        Scope::OAuth => {
            assert!(body["error_description"].is_string(), "{body}");
            body["error"].as_str()
        }
    };
    assert!(words.is_some_and(|words| !words.is_empty()), "{scope:?}: {body}");
    assert_eq!(answer.header("x-request-id").len(), 36);
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn unknown_paths_wrong_methods_and_bad_segments() {
    let server = Server::start().await;
    let admin = server.admin();
    for (scope, path) in [
        (Scope::Api, "/api/nothing"),
        (Scope::Api, "/api/custom_oauth_profiles/one"),
        (Scope::Api, "/api/managed_users/%FF"),
        (Scope::Api, "/api/providers/no_such"),
        (Scope::Flow, "/Thingworx/Things/Other"),
        (Scope::Documents, "/documents/api/1.2/nothing"),
        (Scope::Documents, "/documents/api/1.2/config/clientApplications/short"),
        (Scope::Documents, "/documents/api/1.2/config/clientApplications/%FF"),
        (Scope::OAuth, "/oauth/nothing"),
    ] {
        own_shape(scope, &admin.get(path).await, 404);
    }
    let post = async |path: &str| admin.send(admin.request("POST", path)).await;
    own_shape(Scope::Flow, &post(&format!("{SERVICES}/NoSuchService")).await, 404);
    for (scope, path) in [
        (Scope::Api, "/api/custom_oauth_profiles"),
        (Scope::Flow, &*format!("{SERVICES}/GetOAuthConfiguration")),
        (Scope::Documents, APPLICATIONS),
        (Scope::OAuth, "/oauth/token"),
        (Scope::Site, "/session"),
    ] {
        let answer = admin.send(admin.request("PATCH", path)).await;
        own_shape(scope, &answer, 405);
        assert!(!answer.header("allow").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn no_wrong_and_too_small_credentials() {
    let server = Server::start().await;
    let (anybody, small) = (server.anybody(), server.caller(&["audit:read"]));
    let wrong = anybody.clone().bearer("gry_api_1_00");
    for (scope, method, path, forbidden) in [
        (Scope::Api, "GET", "/api/custom_oauth_profiles".to_owned(), 401),
        (Scope::Flow, "POST", format!("{SERVICES}/GetOAuthConfiguration"), 403),
        (Scope::Documents, "GET", APPLICATIONS.to_owned(), 403),
    ] {
        for caller in [&anybody, &wrong] {
            let answer = caller.send(caller.request(method, &path)).await;
            own_shape(scope, &answer, 401);
            assert!(answer.headers.contains_key("www-authenticate"), "{path}");
        }
        own_shape(scope, &small.send(small.request(method, &path)).await, forbidden);
    }
    own_shape(Scope::Site, &anybody.get("/session").await, 401);
    let form = "grant_type=client_credentials&client_id=nobody&client_secret=PLANTED";
    let answer = anybody.send_text("POST", "/oauth/token", "application/x-www-form-urlencoded", form).await;
    own_shape(Scope::OAuth, &answer, 401);
}

#[tokio::test]
async fn malformed_missing_oversized_and_mistyped_bodies() {
    let server = Server::with(&["--max-upload", "2048"]).await;
    let admin = server.admin();
    let json = "application/json";
    let load = format!("{SERVICES}/LoadOAuthConfiguration");
    for (scope, path, broken) in [
        (Scope::Api, "/api/custom_oauth_profiles", "{\"name\":"),
        (Scope::Api, "/api/load", "{\"jira\":{}"),
        (Scope::Site, "/session", "{"),
    ] {
        own_shape(scope, &admin.send_text("POST", path, json, broken).await, 400);
    }
    let broken = admin.send_text("POST", &load, json, "{\"oauthConfigurations\": {\"a\" 1}}").await;
    assert!(broken.text().contains("line 1, column"), "{}", broken.text());
    assert_eq!(broken.header("grantry-outcome"), "error");

    let large = "x".repeat(1024 * 1024 + 1);
    own_shape(Scope::Api, &admin.send_text("POST", "/api/custom_oauth_profiles", json, large.clone()).await, 413);
    let form = "application/x-www-form-urlencoded";
    own_shape(Scope::OAuth, &admin.send_text("POST", "/oauth/token", form, large).await, 413);
    own_shape(Scope::Flow, &admin.send_text("POST", &load, json, "x".repeat(17 << 20)).await, 413);
    let large = application_body(r#"{"name":"a"}"#, &[b' '; 4096]);
    own_shape(Scope::Documents, &admin.send_text("POST", APPLICATIONS, MULTIPART, large).await, 413);
    let half = multipart(&[("metadata", None, br#"{"name":"a"}"#)]);
    own_shape(Scope::Documents, &admin.send_text("POST", APPLICATIONS, MULTIPART, half).await, 400);

    for (scope, path, status) in [
        (Scope::Api, "/api/custom_oauth_profiles", 415),
        (Scope::Flow, &*load, 403),
        (Scope::Documents, APPLICATIONS, 415),
        (Scope::OAuth, "/oauth/token", 415),
        (Scope::Site, "/session", 415),
    ] {
        own_shape(scope, &admin.send_text("POST", path, "text/plain", "{}").await, status);
        let packed = admin.request("POST", path).header("content-encoding", "gzip").header("content-type", json);
        own_shape(scope, &admin.send(packed.body("x")).await, 415);
    }
    for (scope, method, path) in [
        (Scope::Flow, "POST", format!("{SERVICES}/GetOAuthConfiguration")),
        (Scope::Documents, "GET", APPLICATIONS.to_owned()),
    ] {
        let image = admin.clone().header("accept", "image/png");
        own_shape(scope, &image.send(image.request(method, &path)).await, 406);
    }
}

#[tokio::test]
async fn a_full_hash_queue_is_503_everywhere() {
    for (scope, method, path) in [
        (Scope::Api, "GET", "/api/users/me".to_owned()),
        (Scope::Flow, "POST", format!("{SERVICES}/GetOAuthConfiguration")),
        (Scope::Documents, "GET", APPLICATIONS.to_owned()),
        (Scope::OAuth, "POST", "/oauth/token".to_owned()),
        (Scope::Site, "POST", "/session".to_owned()),
    ] {
        // A server for each: after so many wrong guesses an address is slowed down before anything is hashed.
        let server = Server::start().await;
        let asked = (0..160).map(|n| {
            let name = format!("user{n}");
            let caller = match scope {
                Scope::OAuth | Scope::Site => server.anybody(),
                _ => server.anybody().basic(&name, "PLANTED_guess"),
            };
            let mut request = caller.request(method, &path);
            if scope == Scope::OAuth {
                let secret = "PLANTED_guess".to_owned();
                let grant = ("grant_type", "client_credentials".to_owned());
                request = request.form(&[grant, ("client_id", name), ("client_secret", secret)]);
            } else if scope == Scope::Site {
                request = request.json(&serde_json::json!({"name": name, "password": "PLANTED_guess"}));
            }
            async move { caller.send(request).await }
        });
        let full = join_all(asked).await.into_iter().find(|answer| answer.status == 503);
        let full = full.unwrap_or_else(|| panic!("{scope:?}: the queue has an end"));
        own_shape(scope, &full, 503);
        assert!(full.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
}

#[tokio::test]
async fn a_volume_that_takes_no_writes_is_503_everywhere_and_changes_nothing() {
    let server = Server::ignoring_size_signals().await;
    let admin = server.admin();
    let body = application_body(r#"{"name":"a"}"#, APPLICATION_FILE.as_bytes());
    let document =
        serde_json::json!({"oauthConfigurations": {"jira": {"J": {"CLIENT_ID": "i", "CLIENT_SECRET": "PLANTED"}}}});
    let limit = |bytes: &str| {
        let pid = server.pid().to_string();
        let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}")]).status().unwrap();
        assert!(done.success());
    };
    let made = admin.send_text(
        "POST",
        APPLICATIONS,
        MULTIPART,
        application_body(r#"{"name":"b"}"#, APPLICATION_FILE.as_bytes()),
    );
    let made = made.await.expect(201);
    let secret = format!("/api/client_applications/{}/secret", made["id"].as_str().unwrap());
    let secret = admin.send(admin.request("POST", &secret)).await.json();
    let text = |key: &str| secret[key].as_str().unwrap().to_owned();
    let grant = ("grant_type", "client_credentials".to_owned());
    let form = [grant, ("client_id", text("client_id")), ("client_secret", text("client_secret"))];
    limit("0:");
    let token = server.anybody();
    own_shape(Scope::OAuth, &token.send(token.request("POST", "/oauth/token").form(&form)).await, 503);
    let profile = admin.post("/api/custom_oauth_profiles", &profile_body("P", "hubspot")).await;
    own_shape(Scope::Api, &profile, 503);
    own_shape(Scope::Flow, &admin.post(&format!("{SERVICES}/LoadOAuthConfiguration"), &document).await, 503);
    own_shape(Scope::Documents, &admin.send_text("POST", APPLICATIONS, MULTIPART, body.clone()).await, 503);
    own_shape(Scope::Site, &admin.get("/readyz").await, 503);
    limit("unlimited:");
    assert_eq!(admin.get("/api/custom_oauth_profiles").await.expect(200)["result"], serde_json::json!([]));
    admin.send_text("POST", APPLICATIONS, MULTIPART, body).await.expect(201);
}
