//! `grantry user`, `grantry admin`: beside a running server and without one.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{Server, cli};

const PASSWORD: &str = "PLANTED correct horse battery";

fn run(data: &Path, args: &[&str]) -> Result<String, String> {
    let output = cli(data, args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The whole life of two users, through the command line alone.
fn look_after_users(data: &Path, password_file: &str) {
    let create = |name: &str, role: &str| {
        let email = format!("{name}@example.com");
        run(
            data,
            &[
                "--json",
                "user",
                "create",
                "--name",
                name,
                "--email",
                &email,
                "--role",
                role,
                "--password-file",
                password_file,
            ],
        )
    };
    let ann: Value = serde_json::from_str(&create("ann", "admin").unwrap()).unwrap();
    let bob: Value = serde_json::from_str(&create("bob", "viewer").unwrap()).unwrap();
    let (ann, bob) = (ann["id"].to_string(), bob["id"].to_string());
    assert!(create("ANN", "viewer").unwrap_err().contains("taken"));
    assert!(create("eve", "king").unwrap_err().contains("admin, operator, viewer"));

    assert!(run(data, &["user", "set-role", &bob, "operator"]).unwrap().contains("operator"));
    assert!(run(data, &["user", "set-role", &ann, "viewer"]).unwrap_err().contains("last administrator"));
    assert!(run(data, &["user", "delete", &ann]).unwrap_err().contains("last administrator"));
    run(data, &["user", "set-password", &bob, "--password-file", password_file]).unwrap();
    // Nothing to ask on: the password is never taken from elsewhere, least of all from the command line.
    assert!(run(data, &["user", "set-password", &bob]).unwrap_err().contains("--password-file"));
    assert!(
        run(data, &["user", "set-password", &bob, "--password-file", "/nowhere"]).unwrap_err().contains("/nowhere")
    );

    let users: Value = serde_json::from_str(&run(data, &["--json", "user", "list"]).unwrap()).unwrap();
    let roles: Vec<&str> = users.as_array().unwrap().iter().map(|user| user["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["admin", "operator"]);
    let table = run(data, &["user", "list"]).unwrap();
    assert!(table.contains("ann@example.com") && table.contains("bob"), "{table}");

    run(data, &["user", "delete", &bob]).unwrap();
    assert!(run(data, &["user", "delete", &bob]).unwrap_err().contains("no such"));
}

fn write_password(dir: &Path) -> String {
    let file = dir.join("password");
    fs::write(&file, format!("{PASSWORD}\nand what is not read\n")).unwrap();
    file.display().to_string()
}

#[tokio::test]
async fn users_are_looked_after_beside_a_running_server() {
    let server = Server::start().await;
    let file = write_password(server.dir().path());
    look_after_users(&server.data(), &file);
    let ann = server.anybody().basic("ann", PASSWORD);
    assert_eq!(ann.get("/api/users/me").await.expect(200)["name"], "ann");
}

#[tokio::test]
async fn users_are_looked_after_where_no_server_runs() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let file = write_password(dir.path());
    look_after_users(&dir.path().join("data"), &file);
    // A server on that folder knows the user, and prints no link, as somebody can log in.
    let server = Server::on(dir, &[], &[]).await;
    server.anybody().basic("ann", PASSWORD).get("/api/users/me").await.expect(200);
    assert!(!server.printed().contains("/#/setup/"));
}

#[tokio::test]
async fn a_setup_link_is_printed_alone_and_is_one_that_the_server_takes() {
    let server = Server::start().await;
    let link = server.cli_ok(&["admin", "setup-link"]);
    let token = link.strip_prefix(&format!("{}/#/setup/", server.url)).expect("the link alone").to_owned();
    let json: Value = serde_json::from_str(&server.cli_ok(&["--json", "admin", "setup-link"])).unwrap();
    assert!(json["expires_at"].is_string());
    let newer = json["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let set_up = async |token: &str| {
        let body = serde_json::json!({"link": token, "name": "ann", "email": "a@example.com", "password": PASSWORD});
        server.anybody().post("/setup", &body).await.status
    };
    assert_eq!(set_up(&token).await, 401, "a newer link ends the older");
    assert_eq!(set_up(&newer).await, 200);
}

#[test]
fn without_a_server_the_link_leads_to_where_the_server_will_be() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let link = run(&data, &["admin", "setup-link", "--listen", "0.0.0.0:9123", "--insecure-http=true"]).unwrap();
    assert!(link.starts_with("http://127.0.0.1:9123/#/setup/gry_setup_"), "{link}");
    let link = run(&data, &["admin", "setup-link", "--public-url", "https://grantry.example"]).unwrap();
    assert!(link.starts_with("https://grantry.example/#/setup/gry_setup_"), "{link}");
}
