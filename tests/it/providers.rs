//! Providers: the catalogue, and the operator's own.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Server, profile_body};

const PROVIDERS: &str = "/api/providers";

#[tokio::test]
async fn an_operator_defines_a_provider_and_uses_it() {
    let server = Server::start().await;
    let admin = server.admin();
    let acme = json!({"slug": "acme", "name": "Acme", "token_url": "https://login.acme.example/token"});
    let made = admin.post(PROVIDERS, &acme).await.expect(200);
    assert_eq!(made["result"]["origin"], "operator");
    let twice = admin.post(PROVIDERS, &acme).await.expect(400);
    assert_eq!(twice["message"], "slug: has already been taken");
    let profile = admin.post("/api/custom_oauth_profiles", &profile_body("A", "acme")).await.expect(200);
    let path = format!("{PROVIDERS}/acme");
    assert_eq!(admin.get(&path).await.expect(200), made);
    let mut renamed = acme.clone();
    renamed["name"] = "Acme Login".into();
    assert_eq!(admin.put(&path, &renamed).await.expect(200)["result"]["name"], "Acme Login");
    renamed["slug"] = "other".into();
    assert_eq!(admin.put(&path, &renamed).await.expect(400)["errors"], json!({"slug": ["can't be changed"]}));
    let refused = admin.delete(&path).await.expect(400);
    assert_eq!(refused["message"], "This provider is in use by 1 profile");
    admin.delete(&format!("/api/custom_oauth_profiles/{}", profile["result"]["id"])).await.expect(200);
    admin.delete(&path).await.expect(200);
    assert_eq!(admin.delete(&path).await.status, 404);
    assert_eq!(admin.get(&path).await.status, 404);
}

#[tokio::test]
async fn an_operators_own_goes_before_the_catalogues() {
    let server = Server::start().await;
    let admin = server.admin();
    let built_in = admin.get("/api/providers/github").await.expect(200);
    assert_eq!(built_in["result"]["origin"], "built_in");
    assert_eq!(admin.delete("/api/providers/github").await.status, 404, "the catalogue's own stays");
    let mine = json!({"slug": "github", "name": "GitHub of ours", "token_url": "https://git.acme.example/token"});
    admin.post(PROVIDERS, &mine).await.expect(200);
    admin.post("/api/custom_oauth_profiles", &profile_body("G", "github")).await.expect(200);
    assert_eq!(admin.get("/api/providers/github").await.expect(200)["result"]["name"], "GitHub of ours");
    let all = admin.get(PROVIDERS).await.expect(200);
    let hubs = all["result"].as_array().unwrap().iter().filter(|p| p["slug"] == "github").count();
    assert_eq!(hubs, 1);
    // The secret was given for our own server, and does not go to the catalogue's by itself.
    let refused = admin.delete("/api/providers/github").await.expect(409);
    assert_eq!(refused["new_origins"], json!(["https://api.github.com", "https://github.com"]));
    let confirmed = ["--confirm-origin", "https://api.github.com", "--confirm-origin", "https://github.com"];
    server.cli_ok(&[&["provider", "delete", "github"][..], &confirmed[..]].concat());
    assert_eq!(admin.get("/api/providers/github").await.expect(200), built_in);
}

#[tokio::test]
async fn a_definition_with_faults_is_refused_at_the_field() {
    let server = Server::start().await;
    let admin = server.admin();
    let refused =
        async |body: &str| admin.send_text("POST", PROVIDERS, "application/json", body.to_owned()).await.expect(400);
    let unknown = refused(r#"{"slug":"a","name":"A","token_url":"https://a.example/t","colour":1}"#).await;
    assert_eq!(unknown["errors"], json!({"colour": ["is not known here"]}));
    let plain = refused(r#"{"slug":"a","name":"A","token_url":"http://a.example/t"}"#).await;
    assert!(plain["errors"]["token_url"].is_array(), "{plain}");
    let twice = refused("{\"slug\":\"a\",\n\"slug\":\"b\"}").await;
    assert!(twice["message"].as_str().unwrap().contains("line 2"), "{twice}");
    let long = format!(r#"{{"slug":"a","name":"{}","token_url":"https://a.example/t"}}"#, "x".repeat(70_000));
    let long = admin.send_text("POST", PROVIDERS, "application/json", long).await;
    assert_eq!(long.expect(413)["message"], "The body is larger than 65536 bytes");
    let loopback = json!({"slug": "lo", "name": "Local", "token_url": "http://127.0.0.1:9/token"});
    admin.post(PROVIDERS, &loopback).await.expect(200);
}

/// A server that says of itself what its endpoints are, and the document that it says it with.
async fn issuer() -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let document = json!({
        "issuer": url, "authorization_endpoint": format!("{url}/auth"), "token_endpoint": format!("{url}/token"),
        "revocation_endpoint": format!("{url}/revoke"), "scopes_supported": ["openid", "other"],
    })
    .to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", document.len());
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // The head of a GET is short: it comes in one piece.
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(format!("{head}{document}").as_bytes()).await;
        }
    });
    (url, task)
}

#[tokio::test]
async fn an_issuer_is_enough_of_a_definition() {
    let server = Server::start().await;
    let admin = server.admin();
    let (url, task) = issuer().await;
    let given = json!({"slug": "acme", "name": "Acme", "issuer": url, "client_auth": "client_secret_post"});
    let made = admin.post(PROVIDERS, &given).await.expect(200)["result"].clone();
    assert_eq!(made["issuer"], url);
    assert_eq!(made["token_url"], format!("{url}/token"));
    assert_eq!(made["revoke_url"], format!("{url}/revoke"));
    assert_eq!(made["default_scopes"], json!(["openid"]));
    assert_eq!(made["client_auth"], "client_secret_post", "what is given goes before what is found");
    task.abort();
    let _ = task.await;
    // Replaced by the same words, the issuer is asked again, and nobody is there any more.
    let gone = admin.put(&format!("{PROVIDERS}/acme"), &given).await.expect(400);
    assert!(gone["errors"]["issuer"][0].as_str().unwrap().contains("discovery document"), "{gone}");
    let inside = json!({"slug": "in", "name": "Inside", "issuer": "https://10.0.0.1"});
    let inside = admin.post(PROVIDERS, &inside).await.expect(400);
    assert!(inside["errors"]["issuer"][0].as_str().unwrap().contains("private"), "{inside}");
    let kept = admin.get(&format!("{PROVIDERS}/acme")).await.expect(200);
    assert_eq!(kept["result"], made);
}
