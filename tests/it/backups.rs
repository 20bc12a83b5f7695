//! Backups: whole or not there, verified, put back, and honest about what a copy cannot know.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use grantry::simulator::Rotation;
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::support::{
    Caller, Server, cli,
    practice::{Practice, until},
    profile_body,
};

const SOON: Duration = Duration::from_secs(20);
const CUSTOMERS: &str = "/api/managed_users";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// Makes a backup on the command line; its name.
fn back_up(data: &Path) -> String {
    let output = cli(data, &["backup", "create", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    made["name"].as_str().unwrap().to_owned()
}

fn folder(server: &Server, name: &str) -> PathBuf {
    server.data().join("backups").join(name)
}

/// Puts a backup back, which must work; what was said.
fn restore(data: &Path, backup: &str) -> Value {
    let output = cli(data, &["backup", "restore", backup, "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Puts a backup back, which must be refused; what was said.
fn refused(data: &Path, backup: &str) -> String {
    let output = cli(data, &["backup", "restore", backup]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr)
}

/// Makes a manifest fit a copy that a test has changed.
fn fit_manifest(folder: &Path, change: impl FnOnce(&mut Value)) {
    let path = folder.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let bytes = fs::read(folder.join("grantry.db")).unwrap();
    manifest["size"] = bytes.len().into();
    manifest["sha256"] = grantry::store::backup::hex(&Sha256::digest(&bytes)).into();
    change(&mut manifest);
    fs::write(&path, manifest.to_string()).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in ["grantry.db", "manifest.json"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

async fn customer(admin: &Caller, id: &str) {
    let body = json!({"name": "c", "notification_email": "c@acme.example", "external_id": id});
    admin.post(CUSTOMERS, &body).await.expect(200);
}

async fn customers(admin: &Caller) -> Vec<String> {
    let found = admin.get(&format!("{CUSTOMERS}?per_page=1000")).await.expect(200);
    let id = |customer: &Value| customer["external_id"].as_str().unwrap().to_owned();
    found["result"].as_array().unwrap().iter().map(id).collect()
}

async fn detail(admin: &Caller, id: i64) -> Value {
    admin.get(&format!("/api/connections/{id}")).await.expect(200)["result"].clone()
}

async fn refresh(admin: &Caller, id: i64) -> Value {
    admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await.expect(200)["result"].clone()
}

async fn list(admin: &Caller) -> Value {
    admin.get("/api/backups").await.expect(200)["result"].clone()
}

fn names(listed: &Value) -> Vec<&str> {
    listed["backups"].as_array().unwrap().iter().map(|backup| backup["name"].as_str().unwrap()).collect()
}

/// What a lost disk takes along; the key and the backups are elsewhere.
fn lose_the_database(data: &Path) {
    for file in ["grantry.db", "grantry.db-wal", "grantry.db-shm"] {
        let _ = fs::remove_file(data.join(file));
    }
}

async fn again(dir: Arc<TempDir>, admin: &Caller) -> (Server, Caller) {
    let server = Server::on(dir, &[], &[]).await;
    let admin = admin.at(&server.url);
    (server, admin)
}

#[tokio::test]
async fn a_backup_brings_everything_back_and_is_for_its_owners_eyes() {
    let mut server = Server::start().await;
    let admin = server.admin();
    assert!(server.printed().contains("last backup      none"), "{}", server.printed());
    customer(&admin, "before").await;
    admin.post("/api/custom_oauth_profiles", &profile_body("One", "hubspot")).await.expect(200);
    let made = admin.post("/api/backups", &json!({})).await.expect(200)["result"].clone();
    let name = made["name"].as_str().unwrap();
    assert_eq!(
        (&made["occasion"], &made["counts"]["customers"], &made["counts"]["profiles"]),
        (&json!("asked"), &json!(1), &json!(1))
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = folder(&server, name);
    assert_eq!((mode(folder.parent().unwrap()), mode(&folder)), (0o700, 0o700));
    let mut files: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, ["grantry.db", "manifest.json"]);
    let key = fs::read_to_string(server.data().join("keys")).unwrap();
    let key = key.lines().find(|line| line.starts_with("active")).unwrap().split(' ').nth(2).unwrap().to_owned();
    for file in files {
        assert_eq!(mode(&folder.join(&file)), 0o600, "{file}");
        let bytes = fs::read(folder.join(&file)).unwrap();
        for secret in ["PLANTED", "gry_", key.as_str()] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} in {file}");
        }
    }
    assert_eq!(names(&list(&admin).await), [name]);
    let said = server.cli_ok(&["backup", "verify", name]);
    assert!(said.contains("is whole"), "{said}");
    let said = server.cli_ok(&["backup", "create"]);
    assert!(said.contains("The key is not in it"), "{said}");

    customer(&admin, "after").await;
    server.stop();
    let done = restore(&server.data(), name);
    let replaced = PathBuf::from(done["replaced"].as_str().unwrap());
    let (server, admin) = again(server.dir(), &admin).await;
    assert_eq!(customers(&admin).await, ["before"]);
    assert!(!server.printed().lines().rev().find(|line| line.contains("last backup")).unwrap().contains("none"));
    assert_eq!(server.cli_ok(&["keys", "verify"]), "all 2 sealed values open");
    let aside = Connection::open(replaced).unwrap();
    let kept: i64 = aside.query_row("SELECT count(*) FROM customers", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 2, "what is replaced stays");
    let audit = Connection::open(server.data().join("grantry.db")).unwrap();
    let told: i64 =
        audit.query_row("SELECT count(*) FROM audit WHERE deed = 'restored'", [], |row| row.get(0)).unwrap();
    assert_eq!(told, 1);
}

#[tokio::test]
async fn without_a_server_the_commands_do_the_same() {
    let mut server = Server::start().await;
    customer(&server.admin(), "a").await;
    server.stop();
    let name = back_up(&server.data());
    let listed = cli(&server.data(), &["backup", "list", "--json"]);
    assert_eq!(names(&serde_json::from_slice(&listed.stdout).unwrap()), [name.as_str()]);
    assert!(cli(&server.data(), &["backup", "verify", &name]).status.success());
    assert!(cli(&server.data(), &["backup", "delete", &name]).status.success());
    let gone = cli(&server.data(), &["backup", "verify", &name]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone.stderr).contains("no such thing"), "{}", text(&gone.stderr));
}

/// A backup, one of two grants refreshed after it, the disk lost, the backup put back: what becomes of the two.
async fn after_a_lost_disk(mode: Rotation) -> (Value, Value) {
    let (mut server, practice) = (Server::start().await, Practice::rotating(mode));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(used, used_grant), (idle, idle_grant)] = practice.connect(&admin, profile, 2, false).await[..] else {
        panic!("two")
    };
    // Shows what refreshing does to refresh tokens.
    assert_eq!(refresh(&admin, used).await["grant"]["last_refresh"]["ok"], true);
    let name = back_up(&server.data());
    assert_eq!(refresh(&admin, used).await["grant"]["last_refresh"]["ok"], true);
    server.stop();
    lose_the_database(&server.data());
    restore(&server.data(), &name);
    let asked = practice.refreshes().await;
    let (_server, admin) = again(server.dir(), &admin).await;
    // Whatever is uncertain, the access token that is there is given, and nothing is sent for it.
    for id in [used, idle] {
        admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
    }
    assert_eq!(practice.refreshes().await, asked);
    let state = detail(&admin, idle).await;
    assert_eq!(state["grant"]["uncertain_since"].is_null(), mode == Rotation::None, "{mode}: {state}");
    let (used, idle) = (refresh(&admin, used).await, refresh(&admin, idle).await);
    for grant in [used_grant, idle_grant] {
        assert_eq!(practice.grant(grant).await["family_revoked"], false, "{mode}: nothing is burnt");
    }
    assert_eq!(practice.grant(idle_grant).await["alive"], true);
    (used, idle)
}

#[tokio::test]
async fn grants_of_a_restored_backup_are_looked_at_and_not_burnt() {
    for mode in [Rotation::None, Rotation::Strict, Rotation::Grace(60), Rotation::RetrySafe] {
        let (used, idle) = after_a_lost_disk(mode).await;
        assert_eq!(idle["grant"]["last_refresh"]["ok"], true, "{mode}: {idle}");
        assert_eq!(idle["grant"]["uncertain_since"], Value::Null, "{mode}: {idle}");
        if mode == Rotation::Strict {
            // Its access token is served until it expires; then the connection needs reauthorization.
            assert_eq!(used["grant"]["last_refresh"]["result"], "lost_answer", "{used}");
            assert!(used["grant"]["uncertain_since"].is_string(), "{used}");
        } else {
            assert_eq!(used["grant"]["last_refresh"]["ok"], true, "{mode}: {used}");
        }
    }
}

#[tokio::test]
async fn a_database_that_is_replaced_gives_its_newer_tokens() {
    let (mut server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 3, false).await;
    let name = back_up(&server.data());
    for (id, _) in &connected[..2] {
        assert_eq!(refresh(&admin, *id).await["grant"]["last_refresh"]["ok"], true);
    }
    admin.delete(&format!("/api/connections/{}", connected[1].0)).await.expect(200);
    server.stop();
    let done = restore(&server.data(), &name);
    assert_eq!((&done["grants_kept"], &done["grants_uncertain"]), (&json!(2), &json!(1)));
    let (server, admin) = again(server.dir(), &admin).await;
    for (id, grant) in [connected[0], connected[2]] {
        assert_eq!(detail(&admin, id).await["grant"]["uncertain_since"], Value::Null);
        assert_eq!(refresh(&admin, id).await["grant"]["last_refresh"]["ok"], true);
        assert_eq!(practice.grant(grant).await["alive"], true);
    }
    assert!(detail(&admin, connected[1].0).await["grant"]["uncertain_since"].is_string());
    assert!(server.cli_ok(&["keys", "verify"]).contains("open"));
}

#[tokio::test]
async fn a_refresh_that_was_under_way_when_the_backup_was_made_is_not_taken_for_the_last_one() {
    let (mut server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(id, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    practice.control("hold", json!({"at": "after"})).await;
    let asked = {
        let admin = admin.clone();
        tokio::spawn(async move { refresh(&admin, id).await })
    };
    until("the token is used up", SOON, async || practice.counts().await["token"]["held"] == 1).await;
    let name = back_up(&server.data());
    practice.control("release", json!({})).await;
    assert_eq!(asked.await.unwrap()["grant"]["last_refresh"]["ok"], true);
    server.stop();
    lose_the_database(&server.data());
    restore(&server.data(), &name);
    let before = practice.refreshes().await;
    let (_server, admin) = again(server.dir(), &admin).await;
    admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
    let after = refresh(&admin, id).await;
    assert_eq!(after["grant"]["last_refresh"]["result"], "lost_answer", "{after}");
    admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
    assert_eq!(practice.refreshes().await, before, "a look is no use");
    assert_eq!(practice.grant(grant).await["family_revoked"], false);
}

#[tokio::test]
async fn an_answer_that_a_backup_has_is_read_and_doubted() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(id, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    let dir = server.dir();
    drop(server);
    // The answer is on the disk and nobody has read it: so is it in the backup.
    let mut doomed = Server::on(dir.clone(), &[], &[("FAILPOINT", "refresh-kept")]).await;
    let request = admin.at(&doomed.url).request("POST", &format!("/api/connections/{id}/refresh")).json(&json!({}));
    assert!(request.send().await.is_err());
    doomed.kill();
    let data = doomed.data();
    let copy = data.join("backups").join("with-an-answer");
    fs::create_dir_all(&copy).unwrap();
    let db = Connection::open(data.join("grantry.db")).unwrap();
    db.execute("VACUUM INTO ?1", [copy.join("grantry.db").to_str().unwrap()]).unwrap();
    drop(db);
    let (server, admin) = again(dir.clone(), &admin).await;
    let pattern = back_up(&server.data());
    fs::copy(folder(&server, &pattern).join("manifest.json"), copy.join("manifest.json")).unwrap();
    fit_manifest(&copy, |_| {});
    drop(server);
    lose_the_database(&data);
    restore(&data, "with-an-answer");
    let (_server, admin) = again(dir, &admin).await;
    until("the answer is read", SOON, async || detail(&admin, id).await["grant"]["last_refresh"]["ok"] == true).await;
    let state = detail(&admin, id).await;
    assert!(state["grant"]["uncertain_since"].is_string(), "{state}");
    // It was the last one after all, and a look tells.
    assert_eq!(refresh(&admin, id).await["grant"]["uncertain_since"], Value::Null);
    assert_eq!(practice.grant(grant).await["alive"], true);
}

#[tokio::test]
async fn what_is_no_good_is_told_and_not_put_back() {
    let (mut server, mut other) = (Server::start().await, Server::start().await);
    let admin = server.admin();
    customer(&admin, "a").await;
    admin.post("/api/custom_oauth_profiles", &profile_body("One", "hubspot")).await.expect(200);
    let good = back_up(&server.data());
    let foreign = back_up(&other.data());
    other.stop();
    let at = |name: &str| {
        copy_folder(&folder(&server, &good), &folder(&server, name));
        folder(&server, name)
    };
    let database = |name: &str| at(name).join("grantry.db");
    let mut bytes = fs::read(database("bent")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(database("bent"), &bytes).unwrap();
    let path = database("bent");
    fs::write(path, &bytes).unwrap();
    fs::write(database("cut"), &bytes[..middle]).unwrap();
    // Whoever damages a copy and its manifest gets no further.
    bytes[4096..12288].fill(0x5a);
    fs::write(database("spoilt"), &bytes).unwrap();
    fit_manifest(&folder(&server, "spoilt"), |_| {});
    Connection::open(database("newer")).unwrap().pragma_update(None, "user_version", 99).unwrap();
    fit_manifest(&folder(&server, "newer"), |_| {});
    fs::remove_file(database("odd")).unwrap();
    Connection::open(folder(&server, "odd").join("grantry.db")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    fit_manifest(&folder(&server, "odd"), |_| {});
    let dangling = Connection::open(database("dangling")).unwrap();
    dangling.pragma_update(None, "foreign_keys", false).unwrap();
    dangling.execute("DELETE FROM profiles", []).unwrap();
    drop(dangling);
    fit_manifest(&folder(&server, "dangling"), |_| {});
    fs::remove_file(at("bare").join("manifest.json")).unwrap();
    fs::write(at("garbled").join("manifest.json"), "{").unwrap();
    fs::remove_file(database("linked")).unwrap();
    std::os::unix::fs::symlink(server.data().join("grantry.db"), folder(&server, "linked").join("grantry.db")).unwrap();
    copy_folder(&folder(&other, &foreign), &folder(&server, "foreign"));
    let cases = [
        ("bent", "hash"),
        ("cut", "size"),
        ("spoilt", "damaged"),
        ("newer", "newer"),
        ("odd", "not_ours"),
        ("dangling", "references"),
        ("bare", "missing"),
        ("garbled", "manifest"),
        ("linked", "missing"),
        ("foreign", "other_key"),
    ];
    for (name, code) in cases {
        let verified =
            admin.post(&format!("/api/backups/{name}/verify"), &json!({})).await.expect(200)["result"].clone();
        assert_eq!(
            (&verified["fit"], &verified["faults"][0]["code"]),
            (&json!(false), &json!(code)),
            "{name}: {verified}"
        );
        assert_eq!(server.cli(&["backup", "verify", name]).status.code(), Some(1));
    }
    let listed = list(&admin).await;
    let bare = listed["backups"].as_array().unwrap().iter().find(|backup| backup["name"] == "bare").unwrap();
    assert_eq!(bare["faults"][0]["message"], "manifest.json is missing");
    server.stop();
    let before = fs::read(server.data().join("grantry.db")).unwrap();
    for (name, _) in cases {
        let said = refused(&server.data(), name);
        assert!(said.contains("nothing was changed"), "{name}: {said}");
    }
    assert!(refused(&server.data(), "foreign").contains("put the key file that belongs to it back"));
    assert!(refused(&server.data(), "nowhere").contains("there is no backup nowhere"));
    assert_eq!(fs::read(server.data().join("grantry.db")).unwrap(), before);
    assert!(!server.data().join("grantry.restoring.db").exists());
    assert!(cli(&server.data(), &["backup", "verify", &good]).status.success());
}

#[tokio::test]
async fn a_name_leads_nowhere_else() {
    let server = Server::start().await;
    let admin = server.admin();
    let name = back_up(&server.data());
    let backups = server.data().join("backups");
    fs::create_dir(backups.join(".half.part")).unwrap();
    std::os::unix::fs::symlink(backups.join(&name), backups.join("link")).unwrap();
    fs::write(backups.join("file"), "x").unwrap();
    for trick in [
        "..",
        "%2e%2e",
        "%2e%2e%2fbackups",
        ".",
        ".half.part",
        "link",
        "file",
        "a%2fb",
        "%00",
        "%FF",
        "%2fetc",
        "~",
        &"x".repeat(300),
    ] {
        for (method, end) in [("GET", ""), ("DELETE", ""), ("POST", "/verify")] {
            let answer = admin.send(admin.request(method, &format!("/api/backups/{trick}{end}"))).await;
            assert!(matches!(answer.status, 404 | 405), "{method} {trick}: {} {}", answer.status, answer.text());
        }
    }
    assert_eq!(names(&list(&admin).await), [name.as_str()]);
    assert!(backups.join(&name).exists() && server.data().join("grantry.db").exists());
    admin.delete(&format!("/api/backups/{name}")).await.expect(200);
    assert_eq!(names(&list(&admin).await), Vec::<&str>::new());
}

#[tokio::test]
async fn of_several_at_once_each_is_whole_or_refused() {
    let server = Server::start().await;
    let admin = server.admin();
    let nothing = json!({});
    let answers = join_all((0..6).map(|_| admin.post("/api/backups", &nothing))).await;
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert!(answer.expect(503)["message"].as_str().unwrap().contains("being made"), "{}", answer.text());
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
    let listed = list(&admin).await;
    assert!(made >= 1);
    assert_eq!(names(&listed).len(), made);
    for name in names(&listed) {
        assert!(server.cli(&["backup", "verify", name]).status.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_writes_go_on_a_backup_has_one_moment_and_holds_nobody_up() {
    let server = Server::start().await;
    let admin = server.admin();
    let document = "x".repeat(200_000);
    for n in 0..20 {
        let body = crate::support::application_body(
            &format!(r#"{{"name":"n{n}"}}"#),
            format!(r#"{{"id":"i","name":"{document}"}}"#).as_bytes(),
        );
        drop(
            admin
                .send_text("POST", "/documents/api/1.2/config/clientApplications", crate::support::MULTIPART, body)
                .await,
        );
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (admin, stopped) = (admin.clone(), stopped.clone());
            tokio::spawn(async move {
                let mut written = 0;
                while !*stopped.borrow() {
                    customer(&admin, &format!("{writer}-{written}")).await;
                    written += 1;
                }
                written
            })
        })
        .collect();
    let mut moments = Vec::new();
    for _ in 0..3 {
        let before = customers_count(&admin).await;
        let name = back_up(&server.data());
        moments.push((name, before, customers_count(&admin).await));
    }
    stop.send(true).unwrap();
    let written: Vec<usize> = join_all(writers).await.into_iter().map(Result::unwrap).collect();
    assert!(written.iter().all(|count| *count > 0), "{written:?}");
    for (name, before, after) in moments {
        let db = Connection::open(folder(&server, &name).join("grantry.db")).unwrap();
        let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
        let inside = count("SELECT count(*) FROM customers");
        assert!((before..=after).contains(&inside), "{before} {inside} {after}");
        assert_eq!(inside, count("SELECT count(*) FROM audit WHERE noun = 'customer'"), "one moment");
    }
}

async fn customers_count(admin: &Caller) -> u64 {
    admin.get(&format!("{CUSTOMERS}?per_page=1")).await.expect(200)["count"].as_u64().unwrap()
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_half_and_is_shown() {
    let server = Server::ignoring_size_signals().await;
    let admin = server.admin();
    customer(&admin, "a").await;
    let pid = server.pid().to_string();
    let limit = |bytes: &str| {
        let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}")]).status().unwrap();
        assert!(done.success());
    };
    limit("16384:");
    let refused = admin.post("/api/backups", &json!({})).await;
    let message = refused.expect(503)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("nothing half is left"), "{message}");
    let left: Vec<_> = fs::read_dir(server.data().join("backups")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let listed = list(&admin).await;
    assert!(listed["last_failure"]["message"].as_str().unwrap().contains("backups"), "{listed}");
    limit("unlimited:");
    admin.post("/api/backups", &json!({})).await.expect(200);
    let listed = list(&admin).await;
    assert_eq!((names(&listed).len(), &listed["last_failure"]), (1, &Value::Null));
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_told_once_for_an_episode() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let place = dir.path().join("elsewhere");
    fs::write(&place, "a file is in the way").unwrap();
    let server = Server::on(dir, &["--backup-dir", place.to_str().unwrap()], &[]).await;
    let admin = server.admin();
    for _ in 0..3 {
        admin.post("/api/backups", &json!({})).await.expect(503);
    }
    assert_eq!(server.log().matches("no backup could be made").count(), 1, "{}", server.log());
    fs::remove_file(&place).unwrap();
    let made = admin.post("/api/backups", &json!({})).await.expect(200)["result"].clone();
    assert!(place.join(made["name"].as_str().unwrap()).join("manifest.json").exists());
    assert!(server.log().contains("backups can be made again"));
}

#[tokio::test]
async fn nothing_is_put_back_while_a_server_runs() {
    let server = Server::start().await;
    customer(&server.admin(), "a").await;
    let name = back_up(&server.data());
    let said = refused(&server.data(), &name);
    assert!(
        said.contains(&format!("another Grantry (process {})", server.pid())) && said.contains("stop it first"),
        "{said}"
    );
    assert_eq!(customers(&server.admin()).await, ["a"]);
}

#[tokio::test]
async fn one_is_made_when_its_time_has_come_and_the_oldest_of_those_go() {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let mut server = Server::start().await;
    let admin = server.admin();
    let asked = back_up(&server.data());
    server.stop();
    let db = Connection::open(server.data().join("grantry.db")).unwrap();
    db.execute("UPDATE installation SET created_at = created_at - ?1", [3 * DAY]).unwrap();
    let installation: i64 = db.query_row("SELECT created_at FROM installation", [], |row| row.get(0)).unwrap();
    drop(db);
    for (name, age) in [("old-1", 4 * DAY), ("old-2", 3 * DAY), ("old-3", 2 * DAY)] {
        copy_folder(&folder(&server, &asked), &folder(&server, name));
        fit_manifest(&folder(&server, name), |manifest| {
            manifest["occasion"] = "scheduled".into();
            manifest["installation"] = installation.into();
            manifest["created_at"] = (manifest["created_at"].as_i64().unwrap() - age).into();
        });
    }
    let (quiet, quiet_admin) = {
        let server = Server::on(server.dir(), &["--backup-every", "off"], &[]).await;
        let admin = admin.at(&server.url);
        (server, admin)
    };
    let listed = list(&quiet_admin).await;
    assert_eq!((&listed["every_hours"], &listed["next_at"], names(&listed).len()), (&Value::Null, &Value::Null, 4));
    drop(quiet);
    let server = Server::on(server.dir(), &["--backup-keep", "2"], &[]).await;
    let admin = admin.at(&server.url);
    until("the oldest are gone", SOON, async || {
        let listed = list(&admin).await;
        listed["next_at"].is_string() && names(&listed).len() == 3
    })
    .await;
    let listed = list(&admin).await;
    let kept = names(&listed);
    assert!(kept.contains(&"old-3") && kept.contains(&asked.as_str()), "{kept:?}");
    let new =
        listed["backups"].as_array().unwrap().iter().max_by_key(|one| one["created_at"].as_str().unwrap().to_owned());
    assert_eq!(new.unwrap()["occasion"], "scheduled");
    assert!(listed["next_at"].as_str() > new.unwrap()["created_at"].as_str());
    assert!(server.cli_ok(&["backup", "list"]).contains("one is made every 24 hours"));
}

#[tokio::test]
async fn a_download_is_put_back_on_another_machine() {
    let server = Server::start().await;
    let admin = server.admin();
    customer(&admin, "a").await;
    let name = back_up(&server.data());
    let answer = admin.request("GET", &format!("/api/backups/{name}")).send().await.unwrap();
    assert_eq!(answer.headers()["content-disposition"], format!("attachment; filename=\"{name}.tar\"").as_str());
    let length: usize = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(bytes.len(), length);
    let elsewhere = Arc::new(tempfile::tempdir().unwrap());
    let archive = elsewhere.path().join("backup.tar");
    fs::write(&archive, &bytes).unwrap();
    let unpacked = Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(elsewhere.path()).status().unwrap();
    assert!(unpacked.success());
    let data = elsewhere.path().join("data");
    let unpacked = elsewhere.path().join(&name);
    assert!(refused(&data, unpacked.to_str().unwrap()).contains("the key file"), "the key is not in it");
    fs::copy(server.data().join("keys"), data.join("keys")).unwrap();
    let done = restore(&data, unpacked.to_str().unwrap());
    assert_eq!(done["replaced"], Value::Null);
    let (_there, admin) = again(elsewhere, &admin).await;
    assert_eq!(customers(&admin).await, ["a"]);
}

#[tokio::test]
async fn a_backup_of_the_first_schema_migrates_at_the_next_start() {
    let mut server = Server::start().await;
    let admin = server.admin();
    let name = back_up(&server.data());
    let old = folder(&server, "old");
    copy_folder(&folder(&server, &name), &old);
    fs::remove_file(old.join("grantry.db")).unwrap();
    let own = Connection::open(server.data().join("grantry.db")).unwrap();
    let (key_id, fingerprint, user, token): (String, Vec<u8>, i64, Vec<u8>) = own
        .query_row("SELECT key_id, key_fingerprint, a.id, a.hash FROM installation, api_tokens a", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    drop(own);
    let db = Connection::open(old.join("grantry.db")).unwrap();
    db.execute_batch(include_str!("schema/1.sql")).unwrap();
    db.execute("INSERT INTO installation VALUES (1, 0, ?1, ?2)", (key_id, fingerprint)).unwrap();
    db.execute("INSERT INTO customers VALUES (1, 'c', 'c@acme.example', 'old', 0, 0)", []).unwrap();
    db.execute(
        "INSERT INTO api_tokens (id, name, hash, scopes, addresses, created_at) VALUES (?1, 't', ?2, 'admin', '', 0)",
        (user, token),
    )
    .unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    drop(db);
    fit_manifest(&old, |manifest| manifest["schema_version"] = 1.into());
    server.stop();
    restore(&server.data(), "old");
    // It is so old that the next one would be made at once.
    let server = Server::on(server.dir(), &["--backup-every", "off"], &[]).await;
    let admin = admin.at(&server.url);
    assert_eq!(customers(&admin).await, ["old"]);
    back_up(&server.data());
}
