//! Grants survive. A power cut at every step of a refresh, at random times under load, a full disk, answers that get lost:
//! what the protocol allows to be kept is kept, and what it does not is lost by name.
//!
//! `GRANTRY_KILLS=200 cargo test --test it torture -- --nocapture` makes the random part longer.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

use grantry::simulator::{Options, Rotation, SLUG};
use serde_json::{Value, json};

use crate::support::{
    Caller, Server,
    practice::{Practice, until},
};

const SOON: Duration = Duration::from_secs(20);

const MODES: [Rotation; 4] = [Rotation::None, Rotation::Strict, Rotation::Grace(60), Rotation::RetrySafe];

/// The steps of a refresh, in order, by the names of their failpoints.
const STEPS: [&str; 5] = ["refresh-begin", "refresh-intent", "refresh-answered", "refresh-kept", "refresh-settled"];

/// What may befall an answer, by the practice provider's words.
const FAULTS: [&str; 7] =
    ["drop_before", "drop_after", "status_after:500", "truncate_after", "html_after", "big_after", "status:502"];

/// What nobody could keep, as the README names it: what happens to the answer of a provider that changes the refresh token
/// at each refresh and takes each once → the step at which the power is cut, or the practice provider's fault. In the other
/// three modes nothing is lost.
const UNAVOIDABLE: [(&str, &str); 6] = [
    ("the process died before the answer was on the disk", "refresh-answered"),
    ("the connection was closed, or the time was up, without an answer", "drop_after"),
    ("the answer was cut off", "truncate_after"),
    ("an error came in its place (500)", "status_after:500"),
    ("a page came in its place", "html_after"),
    ("more came than anybody reads", "big_after"),
];

/// The losses among these steps or faults, as `strict drop_after`, in the order of the faults.
fn unavoidable(among: &[&str]) -> Vec<String> {
    let named = |word: &&&str| UNAVOIDABLE.iter().any(|(_, unavoidable)| unavoidable == *word);
    among.iter().filter(named).map(|word| format!("strict {word}")).collect()
}

#[test]
fn the_readme_names_each_loss_that_cannot_be_helped_and_no_other() {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("\n## What survives, and what cannot\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")).skip(1);
    let named: Vec<&str> = rows.map(|row| row.split(" |").next().unwrap()).collect();
    assert_eq!(named, UNAVOIDABLE.map(|(name, _)| name));
}

/// The reason that a connection has whose grant could not be kept.
const LOST_ANSWER: &str = "the provider takes each refresh token once";

fn token_path(id: i64) -> String {
    format!("/api/connections/{id}/token")
}

async fn detail(admin: &Caller, id: i64) -> Value {
    admin.get(&format!("/api/connections/{id}")).await.expect(200)["result"].clone()
}

async fn refresh(admin: &Caller, id: i64) -> Value {
    admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await.expect(200)["result"].clone()
}

/// Whether the provider can still be asked for this connection's tokens, and Grantry knows it.
async fn is_kept(admin: &Caller, practice: &Practice, id: i64, grant: u64) -> bool {
    let after = refresh(admin, id).await;
    let kept = after["authorization_status"] == "success" && after["grant"]["last_refresh"]["ok"] == true;
    if kept {
        assert_eq!(practice.grant(grant).await["alive"], true, "both sides agree: {after}");
    } else if after["authorization_status"] == "success" {
        // It is lost by name when the access token expires; until then that is served.
        assert_ne!(after["grant"]["uncertain_since"], Value::Null, "{after}");
        let result = after["grant"]["last_refresh"]["result"].as_str().unwrap_or_default();
        assert!(["invalid_grant", "lost_answer"].contains(&result), "{after}");
        assert!(admin.get(&token_path(id)).await.json()["access_token"].is_string(), "{after}");
    } else {
        let why = after["connection_lost_reason"].as_str().unwrap_or_default();
        assert!(why.contains(LOST_ANSWER), "it is lost by name: {after}");
    }
    kept
}

/// A server that ends itself at a step of the first refresh, and is started again without.
async fn cut_off_at(step: &str, mode: Rotation, declares_rotation: bool) -> bool {
    let practice = Practice::with(Options { rotation: mode, declares_rotation, ..Options::default() });
    let mut server = Server::start().await;
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(id, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    server.stop();
    let dir = server.dir();
    let mut doomed = Server::on(dir.clone(), &[], &[("FAILPOINT", step)]).await;
    let refreshed = admin.at(&doomed.url);
    let request = refreshed.request("POST", &format!("/api/connections/{id}/refresh")).json(&json!({}));
    assert!(request.send().await.is_err(), "the power is cut at {step}");
    doomed.kill();
    let server = Server::on(dir, &[], &[]).await;
    let admin = admin.at(&server.url);
    // Whatever is uncertain, the access token that is there is given.
    admin.get(&token_path(id)).await.expect(200);
    is_kept(&admin, &practice, id, grant).await
}

#[tokio::test]
async fn a_power_cut_at_any_step_of_a_refresh_loses_only_what_nobody_could_keep() {
    for declares_rotation in [true, false] {
        let mut lost = Vec::new();
        for mode in MODES {
            for step in STEPS {
                if !cut_off_at(step, mode, declares_rotation).await {
                    lost.push(format!("{mode} {step}"));
                }
            }
        }
        // The provider has used up the token, and its answer was in the memory of a process that is no more.
        assert_eq!(lost, unavoidable(&STEPS), "rotation declared: {declares_rotation}");
    }
}

#[tokio::test]
async fn an_answer_that_gets_lost_on_its_way_loses_only_what_nobody_could_keep() {
    for declares_rotation in [true, false] {
        let mut lost = Vec::new();
        for mode in MODES {
            for fault in FAULTS {
                let practice = Practice::with(Options { rotation: mode, declares_rotation, ..Options::default() });
                let server = Server::start().await;
                let admin = server.admin();
                let profile = practice.introduce(&admin).await;
                let [(id, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
                practice.fault("refresh", fault).await;
                refresh(&admin, id).await;
                admin.get(&token_path(id)).await.expect(200);
                if !is_kept(&admin, &practice, id, grant).await {
                    lost.push(format!("{mode} {fault}"));
                }
            }
        }
        assert_eq!(lost, unavoidable(&FAULTS), "rotation declared: {declares_rotation}");
    }
}

#[tokio::test]
async fn a_power_cut_while_the_provider_works_is_taken_up_at_the_next_start() {
    for mode in MODES {
        let (mut server, practice) = (Server::start().await, Practice::rotating(mode));
        let admin = server.admin();
        let profile = practice.introduce(&admin).await;
        let [(id, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
        practice.control("hold", json!({"at": "before"})).await;
        let asked = admin.request("POST", &format!("/api/connections/{id}/refresh")).json(&json!({})).send();
        let asked = tokio::spawn(asked);
        until("the request is there", SOON, async || practice.counts().await["token"]["held"] == 1).await;
        server.kill();
        assert!(asked.await.unwrap().is_err());
        // The provider goes on and answers nobody.
        practice.control("release", json!({})).await;
        until("it was processed", SOON, async || practice.counts().await["token"]["under_way"] == 0).await;
        server.kill_and_restart().await;
        let admin = admin.at(&server.url);
        let kept = is_kept(&admin, &practice, id, grant).await;
        // Whether the practice provider goes on when the caller has gone is its own business: both sides agree, that is all.
        assert!(kept || mode == Rotation::Strict, "{mode}");
    }
}

#[tokio::test]
async fn an_answer_that_the_full_disk_does_not_take_is_kept_until_it_does() {
    let practice = Practice::rotating(Rotation::Strict);
    let server = Server::ignoring_size_signals().await;
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(id, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    let pid = server.pid().to_string();
    let limit = |bytes: &str| {
        let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}")]).status().unwrap();
        assert!(done.success());
    };
    practice.control("hold", json!({"at": "after"})).await;
    let asked = {
        let admin = admin.clone();
        tokio::spawn(async move { refresh(&admin, id).await })
    };
    until("the token is used up", SOON, async || practice.counts().await["token"]["held"] == 1).await;
    limit("0:");
    practice.control("release", json!({})).await;
    until("the answer is here", SOON, async || practice.counts().await["token"]["under_way"] == 0).await;
    assert_eq!(admin.get("/readyz").await.status, 503);
    admin.get(&token_path(id)).await.expect(200);
    limit("unlimited:");
    let after = asked.await.unwrap();
    assert_eq!(after["grant"]["last_refresh"]["ok"], true, "{after}");
    assert!(is_kept(&admin, &practice, id, grant).await);
    // Nothing is even sent while the disk takes nothing.
    limit("0:");
    let before = practice.refreshes().await;
    let refused = admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await;
    assert_eq!(refused.status, 503);
    assert_eq!(practice.refreshes().await, before);
    limit("unlimited:");
}

/// Settings that are not enough at a start are no reason to throw away what a crash left behind.
#[tokio::test]
async fn an_answer_on_the_disk_waits_until_it_can_be_read() {
    let practice = Practice::rotating(Rotation::Strict);
    let mut server = Server::start().await;
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(id, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    server.stop();
    let dir = server.dir();
    let mut doomed = Server::on(dir.clone(), &[], &[("FAILPOINT", "refresh-kept")]).await;
    let path = format!("/api/connections/{id}/refresh");
    assert!(admin.at(&doomed.url).request("POST", &path).json(&json!({})).send().await.is_err());
    doomed.kill();
    // Without the definition and the copy of it that the profile is pinned to, nothing can read the answer.
    let edit = |sql: &str| {
        let database = rusqlite::Connection::open(grantry::store::database_path(&dir.path().join("data"))).unwrap();
        database.execute_batch(sql).unwrap();
    };
    edit(
        "UPDATE providers SET slug = 'elsewhere';
         CREATE TABLE aside AS SELECT * FROM profile_pins; DELETE FROM profile_pins;",
    );
    let mut server = Server::on(dir.clone(), &[], &[]).await;
    let admin = admin.at(&server.url);
    assert_eq!(refresh(&admin, id).await["grant"]["last_refresh"]["result"], "misconfigured");
    server.stop();
    edit(&format!(
        "UPDATE providers SET slug = '{SLUG}'; INSERT INTO profile_pins SELECT * FROM aside; DROP TABLE aside;"
    ));
    let server = Server::on(dir.clone(), &[], &[]).await;
    assert!(is_kept(&admin.at(&server.url), &practice, id, grant).await);
}

fn kills() -> usize {
    std::env::var("GRANTRY_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

#[tokio::test]
async fn power_cuts_at_random_times_under_load_lose_only_what_nobody_could_keep() {
    const CONNECTIONS: u64 = 24;
    let mut figures = BTreeMap::new();
    for mode in MODES {
        let practice = Practice::with(Options { rotation: mode, access_token_life_s: 2, ..Options::default() });
        let mut server = Server::start().await;
        let mut admin = server.admin();
        let profile = practice.introduce(&admin).await;
        let connected = practice.connect(&admin, profile, CONNECTIONS, true).await;
        for kill in 0..kills() {
            let begun = Instant::now();
            // A different moment each time, and not one that depends on this machine's speed.
            let life = Duration::from_millis(40 + (kill as u64 * 97) % 500);
            while begun.elapsed() < life {
                let asked = connected.iter().map(|(id, _)| {
                    let request = admin.request("GET", &token_path(*id));
                    async move { drop(request.send().await) }
                });
                drop(tokio::time::timeout(life, futures_util::future::join_all(asked)).await);
            }
            server.kill_and_restart().await;
            admin = admin.at(&server.url);
        }
        let mut lost = 0;
        for (id, grant) in &connected {
            let now = detail(&admin, *id).await;
            if now["authorization_status"] == "failed" {
                assert!(now["connection_lost_reason"].as_str().unwrap().contains(LOST_ANSWER), "{now}");
                assert_eq!(
                    practice.grant(*grant).await["family_revoked"],
                    false,
                    "no used token was sent again: {now}"
                );
                lost += 1;
            } else if !is_kept(&admin, &practice, *id, *grant).await {
                lost += 1;
            }
        }
        assert!(lost == 0 || mode == Rotation::Strict, "{mode}: {lost} grants lost");
        let refreshes: u64 = practice.refreshes().await;
        figures.insert(mode.to_string(), (kills(), refreshes, lost));
    }
    for (mode, (kills, refreshes, lost)) in figures {
        println!("{mode}: {kills} kills, {refreshes} refreshes, {CONNECTIONS} grants, {lost} lost");
    }
}
