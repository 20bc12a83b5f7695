//! The command line, beside a running server and without one.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::support::{Server, clean, cli, program};

/// Runs a command with something on its standard input.
fn with_input(data: &Path, args: &[&str], input: &str) -> Output {
    let mut command = Command::new(program());
    clean(&mut command);
    let mut child = command
        .args(args)
        .arg("--data")
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// The same walk through the commands, whoever serves them.
fn walk(data: &Path) {
    let ok = |args: &[&str], input: &str| {
        let output = with_input(data, args, input);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let refused = |args: &[&str], input: &str| {
        let output = with_input(data, args, input);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        text(&output.stderr)
    };
    let create = ["profile", "create", "--name", "Sales", "--provider", "hubspot", "--client-id", "id-1"];
    assert_eq!(ok(&create, "PLANTED_by_cli\n"), "profile 1 is made");
    assert_eq!(refused(&create, "PLANTED_by_cli\n"), "grantry: name: has already been taken");
    assert!(ok(&["profile", "list"], "").contains("Sales"));
    let shown: Value = serde_json::from_str(&ok(&["profile", "show", "1", "--json"], "")).unwrap();
    assert_eq!(shown["data"]["client_id"], "id-1");
    assert_eq!(ok(&["profile", "verify-secret", "1"], "PLANTED_by_cli"), "this is the secret of profile 1");
    assert_eq!(refused(&["profile", "verify-secret", "1"], "other"), "grantry: this is not the secret of profile 1");
    assert!(refused(&["profile", "show", "7"], "").contains("there is no such thing"));
    let replace = ["profile", "replace", "1", "--name", "S2", "--provider", "hubspot", "--client-id", "id-2"];
    assert_eq!(ok(&replace, "PLANTED_by_cli_2"), "profile 1 is replaced");
    assert!(ok(&["provider", "list", "google"], "").contains("google_gmail"));
    let provider: Value = serde_json::from_str(&ok(&["provider", "show", "github"], "")).unwrap();
    assert_eq!(provider["slug"], "github");
    let file = data.join("../acme.json");
    std::fs::write(&file, r#"{"slug":"acme","name":"Acme","token_url":"https://acme.example/t"}"#).unwrap();
    let path = file.to_str().unwrap();
    assert_eq!(ok(&["provider", "add", path], ""), "provider acme is added");
    assert_eq!(ok(&["provider", "replace", "acme", path], ""), "provider acme is replaced");
    assert_eq!(ok(&["provider", "delete", "acme"], ""), "provider acme is removed");
    assert!(ok(&["keys", "list"], "").contains("true"));
    assert_eq!(ok(&["keys", "verify"], ""), "all 2 sealed values open");
    assert_eq!(ok(&["profile", "delete", "1"], ""), "profile 1 is removed");
    let token = ok(&["api-token", "create", "--name", "t", "--scope", "profiles:read", "--days", "1"], "");
    assert!(token.starts_with("gry_api_") && !token.contains(char::is_whitespace), "alone on standard output");
    let id = token.split('_').nth(2).unwrap();
    assert!(ok(&["api-token", "list"], "").contains("profiles:read"));
    assert_eq!(ok(&["api-token", "delete", id], ""), format!("token {id} is revoked"));
    assert!(
        refused(&["api-token", "create", "--name", "t", "--scope", "all"], "").contains("must be one of profiles:read")
    );
}

#[tokio::test]
async fn commands_work_beside_a_running_server() {
    let server = Server::start().await;
    walk(&server.data());
}

#[test]
fn commands_work_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    walk(&dir.path().join("data"));
    assert!(!dir.path().join("data/run.json").exists(), "nothing is left that points nowhere");
}

#[tokio::test]
async fn what_a_command_makes_without_a_server_is_there_when_one_starts() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let token =
        text(&cli(&dir.path().join("data"), &["api-token", "create", "--name", "t", "--scope", "admin"]).stdout);
    let server = Server::on(dir, &[], &[]).await;
    server.anybody().bearer(&token).get("/api/users").await.expect(200);
}

#[tokio::test]
async fn the_servers_credential_for_the_command_line_dies_with_it() {
    let mut server = Server::start().await;
    let run: Value = serde_json::from_slice(&std::fs::read(server.data().join("run.json")).unwrap()).unwrap();
    let token = run["token"].as_str().unwrap().to_owned();
    server.anybody().bearer(&token).get("/api/users").await.expect(200);
    server.stop();
    assert!(!server.data().join("run.json").exists());
    let again = Server::on(server.dir(), &[], &[]).await;
    assert_eq!(again.anybody().bearer(&token).get("/api/users").await.status, 401);
}

#[test]
fn config_check_tells_each_setting_and_where_it_comes_from() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("grantry.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:9000\"\n").unwrap();
    let mut command = Command::new(program());
    clean(&mut command);
    command.args(["config", "check", "--json", "--secrets", "hashed", "--config"]).arg(&file);
    let output = command.env("GRANTRY_MAX_UPLOAD", "4096").output().unwrap();
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = |key: &str| rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone();
    assert_eq!(row("listen")["source"], file.to_str().unwrap());
    assert_eq!(row("max-upload")["source"], "GRANTRY_MAX_UPLOAD");
    assert_eq!(row("secrets")["source"], "flag");
    assert_eq!(row("log-format")["source"], "default");
    std::fs::write(&file, "secret = \"hashed\"\n").unwrap();
    let mut command = Command::new(program());
    clean(&mut command);
    let output = command.args(["config", "check", "--config"]).arg(&file).output().unwrap();
    assert!(text(&output.stderr).contains("secret is no setting; did you mean secrets?"), "{}", text(&output.stderr));
}

#[test]
fn every_shell_gets_its_completions_and_help_names_every_setting() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = Command::new(program()).args(["completions", shell]).output().unwrap();
        assert!(output.status.success() && text(&output.stdout).contains("api-token"), "{shell}");
    }
    let help = text(&Command::new(program()).arg("--help").output().unwrap().stdout);
    for setting in grantry::config::SETTINGS {
        assert!(help.contains(&format!("--{}", setting.key)) && help.contains(&setting.variable()), "{}", setting.key);
    }
}

#[tokio::test]
async fn an_unattended_start_makes_the_administrator() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "PLANTED_password_of_root\nmore\n").unwrap();
    let env = [("GRANTRY_ADMIN_PASSWORD_FILE", file.to_str().unwrap()), ("GRANTRY_ADMIN_NAME", "root")];
    let mut server = Server::with_env(&[], &env).await;
    let root = server.anybody().basic("root", "PLANTED_password_of_root");
    assert_eq!(root.get("/api/users").await.expect(200)["result"][0]["role"], "admin");
    assert!(!server.printed().contains("setup"), "nobody needs a link");
    server.stop();
    // Once there is an administrator the file is not looked at.
    std::fs::write(&file, "short\n").unwrap();
    let again = Server::on(server.dir(), &[], &env).await;
    again.anybody().get("/livez").await.expect(200);
}

#[tokio::test]
async fn a_start_prints_one_table_and_a_setup_link_that_can_be_opened() {
    let server = Server::start().await;
    let printed = server.printed();
    for word in ["Grantry", "SQLite", "address", "data", "key", "administrators"] {
        assert!(printed.contains(word), "{word}: {printed}");
    }
    let link = printed.lines().find(|line| line.contains("#/setup/gry_setup_")).unwrap().trim();
    assert!(link.starts_with(&server.url), "{link}");
}

#[tokio::test]
async fn stopping_finishes_what_is_under_way() {
    let mut server = Server::start().await;
    let admin = server.admin();
    let document: Value = serde_json::json!({"jira": (0..20)
        .map(|n| (format!("J{n}"), serde_json::json!({"CLIENT_ID": "id", "CLIENT_SECRET": "PLANTED_s"})))
        .collect::<serde_json::Map<_, _>>()});
    let answer = tokio::spawn(async move { admin.post("/api/load", &document).await });
    // Long enough for the request to arrive, short enough for its hashing to be under way.
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    server.stop();
    let answer = answer.await.unwrap();
    assert_eq!(answer.expect(200)["result"]["added"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn logs_are_for_people_or_machines_and_every_answer_has_its_request_in_them() {
    for format in ["human", "json"] {
        let server = Server::with(&["--log-format", format]).await;
        let answer = server.admin().get("/api/custom_oauth_profiles/7").await;
        let id = answer.header("x-request-id").to_owned();
        assert_eq!(id.len(), 36);
        let log = server.log();
        let line = log.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("{log}"));
        assert!(line.contains("/api/custom_oauth_profiles/{id}"), "the pattern, not the path: {line}");
        if format == "json" {
            assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
        }
    }
}

#[test]
fn the_readme_tells_every_setting_with_its_default() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for setting in grantry::config::SETTINGS {
        let default = setting.default.map_or("–".to_owned(), |default| format!("`{default}`"));
        let row = format!("| `--{} {}` | {default} |", setting.key, setting.value.replace('|', "\\|"));
        assert!(readme.contains(&row), "{row}");
    }
}

#[test]
fn a_command_that_only_looks_begins_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("mistyped");
    for args in [&["profile", "list"][..], &["keys", "verify"], &["api-token", "delete", "1"], &["user", "list"]] {
        let output = cli(&data, args);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("there is no Grantry in"), "{}", text(&output.stderr));
    }
    assert!(!data.exists());
}

#[test]
fn what_is_printed_once_and_lost_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(program());
    clean(&mut command);
    command.args(["api-token", "create", "--name", "t", "--scope", "admin", "--data"]).arg(dir.path().join("data"));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("what was printed is lost"), "{}", text(&output.stderr));
}
