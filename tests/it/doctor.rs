//! The doctor: what is wrong is told, and what is in order too.

use std::{fs, os::unix::fs::PermissionsExt as _};

use grantry::simulator::Rotation;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Caller, Server, cli, practice::Practice};

async fn findings(admin: &Caller) -> Vec<Value> {
    admin.get("/api/doctor").await.expect(200)["result"]["findings"].as_array().unwrap().clone()
}

/// The findings with this code.
fn with<'a>(findings: &'a [Value], code: &str) -> Vec<&'a Value> {
    findings.iter().filter(|finding| finding["code"] == code).collect()
}

/// There is such a finding, at this level, that says this.
#[track_caller]
fn tells(findings: &[Value], code: &str, level: &str, words: &str) {
    let found = with(findings, code);
    let told = found.iter().any(|one| one["level"] == level && one["message"].as_str().unwrap().contains(words));
    assert!(told, "{code} {level} {words:?}: {findings:#?}");
}

#[tokio::test]
async fn a_fresh_installation_is_in_order_with_a_server_and_without() {
    let mut server = Server::start().await;
    let admin = server.admin();
    let found = findings(&admin).await;
    for code in [
        "setup",
        "file-modes",
        "disk-space",
        "database-size",
        "database-check",
        "sqlite-version",
        "backup-last",
        "clock",
        "expiring",
        "connections",
    ] {
        assert!(!with(&found, code).is_empty(), "{code}: {found:#?}");
    }
    assert!(found.iter().all(|one| one["level"] != "error"), "{found:#?}");
    // Beside each sentence stands what it is made of.
    for finding in &found {
        let facts = finding["facts"].as_array().unwrap();
        assert!(!facts.is_empty() && facts.iter().all(|fact| fact["case"].is_string()), "{finding}");
    }
    assert!(with(&found, "database-size")[0]["facts"][0]["database_bytes"].as_u64().unwrap() > 0);
    let said = server.cli_ok(&["doctor"]);
    assert!(said.contains("SQLite finds the database in order"), "{said}");
    server.stop();
    let output = cli(&server.data(), &["doctor", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let codes: Vec<&str> =
        found["findings"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert!(!codes.iter().any(|code| code.starts_with("FLOW-API")), "nobody is served: {codes:?}");
}

#[tokio::test]
async fn what_others_can_get_at_and_what_is_dangerous_is_a_warning() {
    let server = Server::with(&["--allow-private", "--backup-every", "off", "--secrets", "hashed"]).await;
    let admin = server.admin();
    admin.post("/api/backups", &json!({})).await.expect(200);
    for (path, mode) in [("keys", 0o644), ("backups", 0o755)] {
        fs::set_permissions(server.data().join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let found = findings(&admin).await;
    tells(&found, "file-modes", "warning", "keys: chmod go-rwx");
    tells(&found, "file-modes", "warning", "backups: chmod go-rwx");
    tells(&found, "allow-private", "warning", "private addresses");
    tells(&found, "backup-schedule", "warning", "--backup-every off");
    tells(&found, "FLOW-OAUTH-02", "warning", "--secrets hashed");
    tells(&found, "backup-last", "ok", "The key is not in it");
    server.cli_ok(&["doctor"]);
}

#[tokio::test]
async fn what_does_not_work_is_an_error_and_the_command_says_so() {
    let server = Server::start().await;
    let admin = server.admin();
    fs::write(server.data().join("backups"), "a file is in the way").unwrap();
    admin.post("/api/backups", &json!({})).await.expect(503);
    fs::rename(server.data().join("keys"), server.data().join("keys.away")).unwrap();
    let found = findings(&admin).await;
    tells(&found, "backup-failed", "error", "could not be made");
    tells(&found, "FLOW-KEY-03", "error", "the next start would fail");
    assert_eq!(found[0]["level"], "error", "the worst first");
    let output = server.cli(&["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("findings are errors"));
    fs::remove_file(server.data().join("backups")).unwrap();
    fs::create_dir_all(server.data().join("backups").join("odd")).unwrap();
    tells(&findings(&admin).await, "backup-unreadable", "warning", "odd");
}

#[tokio::test]
async fn connections_clocks_and_deliveries_are_counted() {
    let (mut server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    practice.connect(&admin, profile, 4, false).await;
    let hook = json!({"url": "https://hook.example/", "kinds": []});
    drop(admin.post("/api/webhooks", &hook).await);
    server.stop();
    let db = Connection::open(server.data().join("grantry.db")).unwrap();
    db.execute_batch(
        "UPDATE grants SET uncertain_at = 1 WHERE connection_id = 1;
         UPDATE grants SET skew_ms = -200000 WHERE connection_id = 2;
         UPDATE connections SET status = 'failed', lost_at = 1, lost_reason = 'x' WHERE id = 3;
         UPDATE installation SET created_at = created_at - 864000000;
         INSERT INTO webhooks (url, kinds, enabled, key_id, secret, created_at, updated_at)
            SELECT 'https://h.example/', '', 0, key_id, x'00', 0, 0 FROM installation;
         INSERT INTO events (at, kind, detail) VALUES (4000000000000, 'connected', '{}');
         INSERT INTO deliveries (webhook_id, event_id, status, attempts, settled_at)
            SELECT (SELECT max(id) FROM webhooks), (SELECT max(id) FROM events), 'dead', 9, 4000000000000;",
    )
    .unwrap();
    drop(db);
    let server = Server::on(server.dir(), &["--backup-every", "8760"], &[]).await;
    let found = findings(&admin.at(&server.url)).await;
    tells(&found, "connections", "warning", "1 connections are uncertain");
    tells(&found, "connections", "warning", "1 connections have lost their grant");
    tells(&found, "connections", "ok", "2 connections are well");
    tells(&found, "clock", "warning", "200 seconds behind");
    tells(&found, "webhooks-dead", "warning", "1 deliveries");
    tells(&found, "backup-last", "ok", "no backup yet");
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_told_in_time() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2020, 1, 2);
    let pair = rcgen::KeyPair::generate().unwrap();
    fs::write(&certificate, parameters.self_signed(&pair).unwrap().pem()).unwrap();
    fs::write(&key, pair.serialize_pem()).unwrap();
    let args = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let server = Server::on(dir.clone(), &args, &[]).await;
    let admin = server.admin();
    tells(&findings(&admin).await, "certificate", "error", "ended at 2020-01-02T00:00:00Z");
    parameters.not_after = rcgen::date_time_ymd(2120, 1, 2);
    fs::write(&certificate, parameters.self_signed(&pair).unwrap().pem()).unwrap();
    tells(&findings(&admin).await, "certificate", "ok", "ends at 2120-01-02T00:00:00Z");
    fs::write(&certificate, "no certificate").unwrap();
    tells(&findings(&admin).await, "certificate", "error", "cannot be read");
}
