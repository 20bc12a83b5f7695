//! What is configured, and where it comes from, over HTTP.

use serde_json::{Value, json};

use crate::support::{Server, program};

#[tokio::test]
async fn every_setting_is_told_with_its_source_and_no_secret_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (file, password) = (dir.path().join("grantry.toml"), dir.path().join("password"));
    std::fs::write(&file, "access-token-life = 600\n").unwrap();
    std::fs::write(&password, "PLANTED_password_of_root\n").unwrap();
    let server = Server::with_env(
        &[
            "--config",
            file.to_str().unwrap(),
            "--public-url",
            "https://grantry.example",
            "--return-urls",
            "https://user:PLANTED_in_a_url@app.example/back,https://plain.example/",
        ],
        &[("GRANTRY_MAX_UPLOAD", "4096"), ("GRANTRY_ADMIN_PASSWORD_FILE", password.to_str().unwrap())],
    )
    .await;
    let told = server.admin().get("/api/settings").await.expect(200)["result"].clone();
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    assert!(told["sqlite"].as_str().unwrap().starts_with("3."));
    assert_eq!(told["data"], std::fs::canonicalize(server.data()).unwrap().to_str().unwrap());
    assert_eq!(told["public_url"], "https://grantry.example");
    assert_eq!(
        told["redirect_uris"],
        json!({
            "oauth": "https://grantry.example/oauth/callback",
            "flow": "https://grantry.example/Thingworx/Oauths/oauth/return",
        })
    );
    let keys = server.admin().get("/api/keys").await.expect(200);
    assert_eq!(told["key_id"], keys["result"][0]["id"]);
    assert!(told["started_at"].as_str().unwrap().starts_with("20"));
    let settings = told["settings"].as_array().unwrap();
    let names: Vec<&str> = settings.iter().map(|setting| setting["name"].as_str().unwrap()).collect();
    let all: Vec<&str> = grantry::config::SETTINGS.iter().map(|setting| setting.key).collect();
    assert_eq!(names, all);
    let one = |name: &str| settings.iter().find(|setting| setting["name"] == name).unwrap();
    for (name, value, source) in [
        ("access-token-life", json!("600"), "file"),
        ("max-upload", json!("4096"), "environment"),
        ("public-url", json!("https://grantry.example"), "flag"),
        ("return-urls", json!("https://***@app.example/back,https://plain.example/"), "flag"),
        ("audit-days", json!("400"), "default"),
        ("key-file", Value::Null, "default"),
        ("admin-password-file", json!(password.to_str().unwrap()), "environment"),
    ] {
        assert_eq!((&one(name)["value"], &one(name)["source"]), (&value, &json!(source)), "{name}");
        assert!(one(name)["help"].as_str().unwrap().len() > 10);
    }
    assert_eq!(one("audit-days")["default"], "400");
    for scope in ["profiles:write", "audit:read"] {
        server.caller(&[scope]).get("/api/settings").await.expect(401);
    }
}

#[test]
fn the_command_tells_no_more_than_the_call() {
    let mut command = std::process::Command::new(program());
    crate::support::clean(&mut command);
    let output =
        command.args(["config", "check", "--return-urls", "https://user:PLANTED@app.example/"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("***@app.example") && !text.contains("PLANTED"), "{text}");
    let mut command = std::process::Command::new(program());
    crate::support::clean(&mut command);
    let output = command.args(["config", "check", "--audit-days", "40000"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("a number up to 36500"));
}
