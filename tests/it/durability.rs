//! Nothing acknowledged is lost: power cuts, full disks, second processes, other keys, older and newer databases.

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
};

use rusqlite::Connection;
use serde_json::json;

use crate::support::{Caller, Server, clean, cli, profile_body, program};

const CUSTOMERS: &str = "/api/managed_users";

fn open(server: &Server) -> Connection {
    Connection::open(server.data().join("grantry.db")).unwrap()
}

/// Writes customers until the server goes away; the external ids of those that were acknowledged.
async fn write_until_it_ends(admin: Caller, writer: String) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        let id = format!("{writer}-{n}");
        let body = json!({"name": "c", "notification_email": "c@acme.example", "external_id": id});
        match admin.request("POST", CUSTOMERS).json(&body).send().await {
            Ok(answer) if answer.status() == 200 => acknowledged.push(id),
            Ok(answer) => panic!("{}", answer.status()),
            Err(_) => break,
        }
    }
    acknowledged
}

/// Some milliseconds that differ from round to round, from the system's randomness.
fn some_milliseconds(most: u64) -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0 % most
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_under_concurrent_writers_loses_nothing_acknowledged() {
    // A longer run: GRANTRY_KILLS=200 cargo test --test it power_cut -- --nocapture
    let kills: u32 = std::env::var("GRANTRY_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let mut server = Server::start().await;
    let mut acknowledged = BTreeSet::new();
    for round in 0..kills {
        let admin = server.admin();
        let writers: Vec<_> =
            (0..8).map(|n| tokio::spawn(write_until_it_ends(admin.clone(), format!("{round}-{n}")))).collect();
        // The moment of the cut is the point of the test.
        tokio::time::sleep(std::time::Duration::from_millis(40 + some_milliseconds(160))).await;
        server.kill();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        server.kill_and_restart().await;
        let db = open(&server);
        let check: String = db.query_row("PRAGMA quick_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        let mut kept = db.prepare("SELECT external_id FROM customers").unwrap();
        let kept: BTreeSet<String> = kept.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let lost: Vec<_> = acknowledged.difference(&kept).collect();
        assert!(lost.is_empty(), "lost after {round}: {lost:?}");
        // A write and its audit entry are there together, or neither is.
        let half: i64 = db
            .query_row(
                "SELECT (SELECT count(*) FROM customers) - (SELECT count(*) FROM audit WHERE noun = 'customer')",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(half, 0);
    }
    let total = server.admin().get(&format!("{CUSTOMERS}?per_page=1")).await.expect(200)["count"].as_u64().unwrap();
    assert!(total >= acknowledged.len() as u64 && !acknowledged.is_empty());
    println!("{kills} kills, {} writes acknowledged, 0 lost", acknowledged.len());
}

#[tokio::test]
async fn when_the_volume_takes_no_more_the_answer_is_503_and_nothing_acknowledged_is_lost() {
    let mut server = Server::ignoring_size_signals().await;
    let admin = server.admin();
    let pid = server.pid().to_string();
    let body = |n: usize| json!({"name": "c", "notification_email": "c@acme.example", "external_id": format!("f{n}")});
    admin.post(CUSTOMERS, &body(0)).await.expect(200);
    let limit = |bytes: &str| {
        let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}")]).status().unwrap();
        assert!(done.success());
    };
    limit("0:");
    let refused = admin.post(CUSTOMERS, &body(1)).await;
    let message = refused.expect(503)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("nothing was changed"), "{message}");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(admin.get("/readyz").await.status, 503);
    assert_eq!(admin.get("/livez").await.status, 200);
    let seen = admin.get(CUSTOMERS).await.expect(200);
    assert_eq!(seen["count"], 1, "reads go on");
    limit("unlimited:");
    admin.post(CUSTOMERS, &body(2)).await.expect(200);
    assert_eq!(admin.get("/readyz").await.status, 200);
    server.kill_and_restart().await;
    let kept = server.admin().get(CUSTOMERS).await.expect(200);
    let kept: Vec<&str> =
        kept["result"].as_array().unwrap().iter().map(|c| c["external_id"].as_str().unwrap()).collect();
    assert_eq!(kept, ["f0", "f2"]);
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused() {
    let server = Server::start().await;
    let second = cli(&server.data(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains(&format!("another Grantry (process {})", server.pid())), "{said}");
    server.anybody().get("/livez").await.expect(200);
}

/// Starts on a stopped server's data and must be refused; what it said.
fn refused(server: &Server) -> String {
    // One that is not refused would serve for ever.
    let mut command = Command::new("timeout");
    clean(&mut command);
    let command = command.args(["60", program().to_str().unwrap(), "serve", "--listen", "127.0.0.1:0", "--data"]);
    let output = command.arg(server.data()).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let mut server = Server::start().await;
    server.stop();
    open(&server).pragma_update(None, "user_version", 99).unwrap();
    let said = refused(&server);
    assert!(said.contains("schema version 99") && said.contains("use a newer Grantry"), "{said}");
    let version: i64 = open(&server).query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 99, "nothing was changed");
}

#[tokio::test]
async fn a_damaged_database_is_refused_with_advice() {
    let mut server = Server::start().await;
    let admin = server.admin();
    for n in 0..40 {
        let body =
            json!({"name": "n".repeat(200), "notification_email": "c@acme.example", "external_id": n.to_string()});
        admin.post(CUSTOMERS, &body).await.expect(200);
    }
    server.stop();
    let path = server.data().join("grantry.db");
    let mut bytes = fs::read(&path).unwrap();
    let third = bytes.len() / 3;
    bytes[third..2 * third].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let said = refused(&server);
    assert!(said.contains("is damaged") && said.contains("Put back a copy"), "{said}");
}

#[tokio::test]
async fn another_key_refuses_to_start_and_a_lost_one_is_not_replaced() {
    let (mut server, mut other) = (Server::start().await, Server::start().await);
    server.stop();
    other.stop();
    let key = server.data().join("keys");
    let own = fs::read(&key).unwrap();
    fs::copy(other.data().join("keys"), &key).unwrap();
    let said = refused(&server);
    assert!(said.contains("start with the key file that belongs to it"), "{said}");
    fs::remove_file(&key).unwrap();
    let said = refused(&server);
    assert!(said.contains("is missing") && !key.exists(), "{said}");
    fs::write(&key, "active k1 short\n").unwrap();
    let said = refused(&server);
    assert!(said.contains("line 1") && !said.contains("short"), "{said}");
    // The same id, another key: the fingerprint tells.
    let text = String::from_utf8(own.clone()).unwrap();
    let line = text.lines().find(|line| line.starts_with("active")).unwrap();
    let id = line.split(' ').nth(1).unwrap();
    fs::write(&key, format!("active {id} {}\n", "A".repeat(43))).unwrap();
    assert!(refused(&server).contains("start with the key file"));
    fs::write(&key, own).unwrap();
    drop(Server::on(server.dir(), &[], &[]).await);
}

#[tokio::test]
async fn the_data_folder_is_for_its_owners_eyes() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::start().await;
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(server.data()), 0o700);
    assert_eq!(mode(server.data().join("keys")), 0o600);
    for file in ["run.json", "grantry.db", "grantry.db-wal"] {
        assert_eq!(mode(server.data().join(file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn what_others_can_get_at_is_told_in_the_log() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut server = Server::start().await;
    assert!(!server.log().contains("chmod"), "{}", server.log());
    server.stop();
    for (path, mode) in [(server.data(), 0o755), (server.data().join("keys"), 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let again = Server::on(server.dir(), &[], &[]).await;
    assert_eq!(again.log().matches("chmod go-rwx").count(), 2, "{}", again.log());
}

#[tokio::test]
async fn a_value_moved_to_another_row_does_not_open() {
    let mut server = Server::start().await;
    let admin = server.admin();
    for name in ["one", "three"] {
        admin.post("/api/custom_oauth_profiles", &profile_body(name, "hubspot")).await.expect(200);
    }
    assert_eq!(server.cli_ok(&["keys", "verify"]), "all 4 sealed values open");
    server.stop();
    open(&server)
        .execute_batch(
            "CREATE TEMP TABLE t AS SELECT profile_id, sealed FROM profile_secrets;
             UPDATE profile_secrets SET sealed = (SELECT sealed FROM t WHERE t.profile_id != profile_secrets.profile_id);",
        )
        .unwrap();
    let again = Server::on(server.dir(), &[], &[]).await;
    let verify = again.cli(&["keys", "verify"]);
    assert_eq!(verify.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&verify.stderr).contains("2 of 4 sealed values do not open"));
}

/// The statements of a schema, without comments and with white space folded.
fn schema(db: &Connection) -> Vec<String> {
    let comment = regex_lite::Regex::new("--[^\n]*").unwrap();
    let mut all = db.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
    let all = all.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap);
    let folded = |sql: String| comment.replace_all(&sql, "").split_whitespace().collect::<Vec<_>>().join(" ");
    // A column that a migration adds stands on the last line, before its comma or bracket.
    all.map(|sql| folded(sql).replace(" ,", ",").replace(" )", ")")).collect()
}

#[test]
fn the_first_schema_and_all_migrations_make_the_present_one() {
    use grantry::store::migrate::{MIGRATIONS, SCHEMA, VERSION};
    let (old, new) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
    old.execute_batch(include_str!("schema/1.sql")).unwrap();
    for migration in MIGRATIONS {
        old.execute_batch(migration).unwrap();
    }
    new.execute_batch(SCHEMA).unwrap();
    for (old, new) in schema(&old).into_iter().zip(schema(&new)) {
        assert_eq!(old, new);
    }
    assert_eq!(schema(&old).len(), schema(&new).len());
    assert_eq!(i64::try_from(MIGRATIONS.len()).unwrap() + 1, VERSION);
}

#[tokio::test]
async fn a_database_of_the_first_schema_migrates_and_a_copy_stays() {
    let mut server = Server::start().await;
    server.stop();
    let path = server.data().join("grantry.db");
    let (key_id, fingerprint): (String, Vec<u8>) = open(&server)
        .query_row("SELECT key_id, key_fingerprint FROM installation", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", path.display()));
    }
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("schema/1.sql")).unwrap();
    old.execute("INSERT INTO installation VALUES (1, 0, ?1, ?2)", (key_id, fingerprint)).unwrap();
    old.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
         INSERT INTO customers SELECT i, 'c' || i, 'c@acme.example', 'x' || i, 0, 0 FROM n;
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let server = Server::on(server.dir(), &[], &[]).await;
    let page = server.admin().get(&format!("{CUSTOMERS}?page=25&per_page=100")).await.expect(200);
    assert_eq!((&page["count"], &page["result"][0]["id"]), (&json!(3000), &json!(2401)));
    let fresh = Connection::open_in_memory().unwrap();
    fresh.execute_batch(grantry::store::migrate::SCHEMA).unwrap();
    assert_eq!(schema(&open(&server)), schema(&fresh));
    let copy = fs::read_dir(server.data()).unwrap().map(|entry| entry.unwrap().path());
    let copy: Vec<_> = copy.filter(|path| path.to_string_lossy().contains("grantry.v1-")).collect();
    assert_eq!(copy.len(), 1);
    let kept: i64 =
        Connection::open(&copy[0]).unwrap().query_row("SELECT count(*) FROM customers", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 3000);
}

#[tokio::test]
async fn while_another_program_holds_the_database_writes_are_503_and_not_500() {
    let server = Server::start().await;
    let admin = server.admin();
    let other = open(&server);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let body = json!({"name": "c", "notification_email": "c@acme.example"});
    assert_eq!(admin.post(CUSTOMERS, &body).await.status, 503);
    other.execute_batch("ROLLBACK").unwrap();
    admin.post(CUSTOMERS, &body).await.expect(200);
}
