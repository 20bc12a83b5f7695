//! Keys: one takes the place of another while the server goes on, whatever is cut off meanwhile.

use std::{fs, path::Path, time::Duration};

use futures_util::future::join_all;
use grantry::simulator::Rotation;
use serde_json::{Value, json};

use crate::support::{
    Caller, Server, cli,
    practice::{Practice, until},
};

const SOON: Duration = Duration::from_secs(30);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// The lines of the key file: state and id.
fn key_file(data: &Path) -> Vec<(String, String)> {
    let file = fs::read_to_string(data.join("keys")).unwrap();
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split(' ').map(str::to_owned))
        .map(|mut words| (words.next().unwrap(), words.next().unwrap()))
        .collect()
}

async fn keys(admin: &Caller) -> Vec<Value> {
    admin.get("/api/keys").await.expect(200)["result"].as_array().unwrap().clone()
}

async fn is_sealed(admin: &Caller) -> bool {
    admin.get("/api/keys/rotation").await.expect(200)["result"]["sealing"] == false
}

async fn refresh(admin: &Caller, id: i64) -> Value {
    admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await.expect(200)["result"].clone()
}

/// Everything opens, and with the active key alone.
async fn all_is_sealed_with_the_active_key(server: &Server, admin: &Caller) {
    until("everything is sealed", SOON, async || is_sealed(admin).await).await;
    let said = server.cli_ok(&["keys", "verify"]);
    assert!(said.starts_with("all ") && said.ends_with(" sealed values open"), "{said}");
    for key in keys(admin).await {
        assert_eq!(key["active"] == true, key["values"].as_u64().unwrap() > 0, "{key}");
        assert_eq!(key["known"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_takes_the_place_of_another_under_load_and_no_grant_is_lost() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 40, false).await;
    let link = json!({"custom_oauth_profile_id": profile});
    admin.post("/api/connect", &link).await.expect(200);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let load: Vec<_> = connected
        .chunks(10)
        .map(|part| {
            let (part, admin, stopped) = (part.to_vec(), admin.clone(), stopped.clone());
            tokio::spawn(async move {
                let mut done = 0;
                while !*stopped.borrow() {
                    for (id, _) in &part {
                        let after = refresh(&admin, *id).await;
                        assert_eq!(after["grant"]["last_refresh"]["ok"], true, "{after}");
                        done += 1;
                    }
                }
                done
            })
        })
        .collect();
    let before = key_file(&server.data());
    for _ in 0..2 {
        let data = server.data();
        let rotated = tokio::task::spawn_blocking(move || cli(&data, &["keys", "rotate", "--json"])).await.unwrap();
        assert!(rotated.status.success(), "{}", text(&rotated.stderr));
        let rotated: Value = serde_json::from_slice(&rotated.stdout).unwrap();
        assert_eq!((&rotated["sealing"], &rotated["left"]), (&json!(false), &json!(0)), "{rotated}");
    }
    stop.send(true).unwrap();
    let done: Vec<usize> = join_all(load).await.into_iter().map(Result::unwrap).collect();
    assert!(done.iter().all(|count| *count > 0), "{done:?}");
    let after = key_file(&server.data());
    assert_eq!(after.len(), 3);
    assert_eq!(after[0], ("old".to_owned(), before[0].1.clone()));
    assert_eq!(after[2].0, "active");
    all_is_sealed_with_the_active_key(&server, &admin).await;
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(server.data().join("keys")).unwrap().permissions().mode() & 0o777, 0o600);
    let mut server = server;
    server.kill_and_restart().await;
    let admin = admin.at(&server.url);
    for (id, grant) in &connected {
        assert_eq!(refresh(&admin, *id).await["grant"]["last_refresh"]["ok"], true);
        assert_eq!(practice.grant(*grant).await["alive"], true);
    }
}

#[tokio::test]
async fn a_rotation_that_was_cut_off_anywhere_is_taken_up() {
    for step in ["keys-written", "keys-noted", "keys-batch", "keys-batch:2", "keys-done"] {
        let (server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
        let admin = server.admin();
        let profile = practice.introduce(&admin).await;
        let connected = practice.connect(&admin, profile, 3, false).await;
        let (dir, data) = (server.dir(), server.data());
        let old = key_file(&data)[0].1.clone();
        drop(server);
        let mut doomed = Server::on(dir.clone(), &[], &[("FAILPOINT", step)]).await;
        let there = admin.at(&doomed.url);
        drop(there.request("POST", "/api/keys/rotate").json(&json!({})).send().await);
        until("the power is cut", SOON, async || there.request("GET", "/livez").send().await.is_err()).await;
        doomed.kill();
        let server = Server::on(dir, &[], &[]).await;
        let admin = admin.at(&server.url);
        all_is_sealed_with_the_active_key(&server, &admin).await;
        let file = key_file(&data);
        assert_eq!((file.len(), &file[0]), (2, &("old".to_owned(), old.clone())), "{step}");
        assert!(!data.join("keys.new").exists());
        for (id, grant) in connected {
            assert_eq!(refresh(&admin, id).await["grant"]["last_refresh"]["ok"], true, "{step}");
            assert_eq!(practice.grant(grant).await["alive"], true);
        }
        // Nothing needs the old one now.
        assert!(server.cli_ok(&["keys", "forget", &old]).contains("is forgotten"), "{step}");
        assert_eq!(key_file(&data).len(), 1);
    }
}

#[tokio::test]
async fn a_backup_from_before_a_rotation_is_put_back_with_the_key_file() {
    let (mut server, practice) = (Server::start().await, Practice::rotating(Rotation::None));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(id, _)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    let made = admin.post("/api/backups", &json!({})).await.expect(200)["result"].clone();
    let (name, old) = (made["name"].as_str().unwrap(), made["key_id"].as_str().unwrap());
    server.cli_ok(&["keys", "rotate"]);
    let verified = admin.post(&format!("/api/backups/{name}/verify"), &json!({})).await.expect(200);
    assert_eq!(verified["result"]["fit"], true, "{verified}");
    let refused = server.cli(&["keys", "forget", old]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("in use by 1 backup"), "{}", text(&refused.stderr));
    server.stop();
    let restored = cli(&server.data(), &["backup", "restore", name]);
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    let server = Server::on(server.dir(), &[], &[]).await;
    let admin = admin.at(&server.url);
    all_is_sealed_with_the_active_key(&server, &admin).await;
    assert_eq!(refresh(&admin, id).await["grant"]["last_refresh"]["ok"], true);
    server.cli_ok(&["keys", "forget", old, "--force"]);
    let verified = admin.post(&format!("/api/backups/{name}/verify"), &json!({})).await.expect(200);
    assert_eq!(verified["result"]["faults"][0]["code"], "other_key", "{verified}");
}

#[tokio::test]
async fn a_key_that_is_needed_or_unknown_is_not_forgotten() {
    let server = Server::start().await;
    let admin = server.admin();
    let active = key_file(&server.data())[0].1.clone();
    let refused = admin.delete(&format!("/api/keys/{active}")).await.expect(400);
    assert!(refused["message"].as_str().unwrap().contains("rotate first"), "{refused}");
    admin.delete("/api/keys/k00000000").await.expect(404);
    // Somebody else writes the key file: what is in use is not overwritten.
    let path = server.data().join("keys");
    let own = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("active k1 {}\n", "A".repeat(43))).unwrap();
    let refused = admin.post("/api/keys/rotate", &json!({})).await.expect(400);
    assert!(refused["message"].as_str().unwrap().contains("changed in the key file"), "{refused}");
    fs::write(&path, own).unwrap();
    admin.post("/api/keys/rotate", &json!({})).await.expect(200);
}

#[tokio::test]
async fn keys_that_come_from_elsewhere_are_rotated_there() {
    let key = |n: &str| format!("{}{}", n.repeat(42), "A");
    let before = format!("active k1 {}\n", key("a"));
    let server = Server::with_env(&[], &[("GRANTRY_KEYS", &before)]).await;
    let admin = server.admin();
    let practice = Practice::rotating(Rotation::None);
    practice.introduce(&admin).await;
    let refused = admin.post("/api/keys/rotate", &json!({})).await.expect(400);
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("GRANTRY_KEYS") && message.contains("openssl rand 32"), "{message}");
    let dir = server.dir();
    drop(server);
    // What it says, done.
    let after = format!("old k1 {}\nactive k2 {}\n", key("a"), key("b"));
    let server = Server::on(dir, &[], &[("GRANTRY_KEYS", &after)]).await;
    let admin = admin.at(&server.url);
    until("everything is sealed anew", SOON, async || is_sealed(&admin).await).await;
    let keys = keys(&admin).await;
    let values = |id: &str| keys.iter().find(|key| key["id"] == id).unwrap()["values"].clone();
    assert_eq!(values("k1"), 0);
    assert!(values("k2").as_u64().unwrap() > 0);
}
