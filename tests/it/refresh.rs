//! Tokens stay fresh: one request for however many callers, blame in the right place, and nothing waits that need not.

use std::time::Duration;

use futures_util::future::join_all;
use grantry::simulator::{CLIENT_ID, CLIENT_SECRET, Options, Rotation};
use serde_json::{Value, json};

use crate::support::{
    Caller, Server,
    practice::{Practice, until},
};

const SOON: Duration = Duration::from_secs(20);

fn token_path(id: i64) -> String {
    format!("/api/connections/{id}/token")
}

async fn detail(admin: &Caller, id: i64) -> Value {
    let answer = admin.get(&format!("/api/connections/{id}")).await.expect(200);
    if answer["result"].is_object() { answer["result"].clone() } else { answer }
}

/// The events so far, oldest first.
async fn events(admin: &Caller) -> Vec<Value> {
    let mut events = admin.get("/api/events").await.expect(200)["result"].as_array().cloned().unwrap_or_default();
    events.reverse();
    events
}

async fn kinds(admin: &Caller) -> Vec<String> {
    let kind = |event: Value| event["type"].as_str().unwrap_or_default().to_owned();
    events(admin).await.into_iter().map(kind).filter(|kind| kind != "connected").collect()
}

#[tokio::test]
async fn two_hundred_callers_of_an_expired_token_make_one_request() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    practice.fault("refresh", "slow:300").await;
    let [(id, grant)] = practice.connect(&admin, profile, 1, true).await[..] else { panic!("one") };
    let path = token_path(id);
    let answers = join_all((0..200).map(|_| admin.get(&path))).await;
    let tokens: Vec<String> =
        answers.iter().map(|answer| answer.expect(200)["access_token"].as_str().unwrap().to_owned()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(practice.refreshes().await, 1);
    assert_eq!(practice.grant(grant).await["alive"], true);
    let detail = detail(&admin, id).await;
    assert_eq!(detail["authorization_status"], "success");
}

#[tokio::test]
async fn a_token_that_is_good_is_read_and_given_without_a_request() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(id, _)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    practice.faults("token", "hang").await;
    let given = admin.get(&token_path(id)).await;
    let body = given.expect(200);
    assert_eq!(body["token_type"], "Bearer");
    assert!((200..=300).contains(&body["expires_in"].as_i64().unwrap()), "{body}");
    assert_eq!(given.header("cache-control"), "no-store");
    assert!(body.get("refresh_token").is_none() && body.get("client_secret").is_none());
    assert_eq!(practice.refreshes().await, 0);
}

#[tokio::test]
async fn a_provider_that_hangs_delays_nobody_else() {
    let server = Server::start().await;
    let admin = server.admin();
    let (hangs, works) = (Practice::rotating(Rotation::None), Practice::rotating(Rotation::None));
    let profile = hangs.introduce(&admin).await;
    hangs.faults("token", "hang").await;
    let stuck = hangs.connect(&admin, profile, 12, true).await;
    // The other provider has a name of its own.
    let mut other = grantry::simulator::definition(&Options::default(), works.url());
    other["slug"] = "other".into();
    admin.post("/api/providers", &other).await.expect(200);
    let body =
        json!({"name": "O", "provider": "other", "data": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}});
    let other = admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].as_i64().unwrap();
    let fine = works.connect(&admin, other, 12, true).await;
    let begun = std::time::Instant::now();
    for (id, _) in &fine {
        admin.get(&token_path(*id)).await.expect(200);
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    // Within the same profile, too, one that hangs is no reason for others to wait.
    hangs.mend().await;
    let other_of_the_same = hangs.connect(&admin, profile, 1, true).await;
    admin.get(&token_path(other_of_the_same[0].0)).await.expect(200);
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    assert_eq!(stuck.len(), 12);
}

#[tokio::test]
async fn tokens_are_refreshed_ahead_of_their_end_without_anybody_asking() {
    let server = Server::start().await;
    let practice = Practice::with(Options { rotation: Rotation::Strict, access_token_life_s: 4, ..Options::default() });
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 5, false).await;
    until("each was refreshed", SOON, async || {
        practice.grants().await.iter().all(|grant| grant["refreshes"].as_u64().unwrap() >= 1)
    })
    .await;
    // Tokens that live shorter than the least interval are no reason to come back sooner.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(practice.refreshes().await, 5);
    for (id, grant) in connected {
        assert_eq!(practice.grant(grant).await["alive"], true);
        assert_eq!(detail(&admin, id).await["authorization_status"], "success");
    }
}

#[tokio::test]
async fn a_rejected_app_secret_kills_nothing_and_heals_by_itself() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": "PLANTED-changed"})).await;
    let connected = practice.connect(&admin, profile, 40, false).await;
    // For longer than any of them is good for, so that each is to be refreshed.
    let path = |id: i64| format!("{}?min_ttl=86400", token_path(id));
    let refused = admin.get(&path(connected[0].0)).await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (424, Some("app_secret_rejected")));
    until("the rejection is known", SOON, async || !kinds(&admin).await.is_empty()).await;
    for (id, _) in &connected {
        let refused = admin.get(&path(*id)).await;
        assert_eq!(refused.status, 424, "{}", refused.text());
        assert_eq!(detail(&admin, *id).await["authorization_status"], "success", "no connection is marked dead");
    }
    let before = practice.counts().await;
    let asked = before["token"]["by_grant_type"]["refresh_token"].as_u64().unwrap();
    assert!(asked <= 16, "no storm: {asked}");
    let rejected: Vec<Value> =
        events(&admin).await.into_iter().filter(|e| e["type"] == "app_secret_rejected").collect();
    assert_eq!(rejected.len(), 1, "one event for the episode");
    assert_eq!(rejected[0]["detail"]["connections"], 40);
    let mended = json!({"name": "Practice", "provider": "practice",
        "data": {"client_id": CLIENT_ID, "client_secret": "PLANTED-changed"}});
    admin.put(&format!("/api/custom_oauth_profiles/{profile}"), &mended).await.expect(200);
    let begun = std::time::Instant::now();
    until("what waited is refreshed", SOON, async || practice.grant(connected[0].1).await["refreshes"] == 1).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    for (id, _) in &connected {
        admin.get(&token_path(*id)).await.expect(200);
    }
    assert_eq!(kinds(&admin).await, ["app_secret_rejected", "healed"]);
}

#[tokio::test]
async fn a_grant_that_its_owner_has_ended_needs_authorization_and_says_so_once() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(id, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    practice.control("revoke", json!({"grant": grant})).await;
    admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await;
    for _ in 0..3 {
        let refused = admin.get(&token_path(id)).await;
        let body = refused.expect(409);
        assert_eq!(body["error"], "needs_reauthorization");
        assert!(body["connect_url"].as_str().is_some_and(|url| url.contains("/connect/")), "{body}");
    }
    let detail = detail(&admin, id).await;
    assert_eq!(detail["authorization_status"], "failed");
    assert!(detail["connection_lost_reason"].as_str().unwrap().contains("invalid_grant"));
    assert_eq!(kinds(&admin).await, ["needs_reauthorization"]);
    assert_eq!(practice.refreshes().await, 1);
}

#[tokio::test]
async fn a_provider_that_is_down_is_left_alone_and_nothing_is_lost() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::None));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    practice.faults("token", "status:503").await;
    let connected = practice.connect(&admin, profile, 60, true).await;
    let refused = admin.get(&token_path(connected[0].0)).await;
    assert_eq!(refused.expect(503)["error"], "provider_unavailable");
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
    for (id, _) in &connected {
        assert_eq!(admin.get(&token_path(*id)).await.status, 503);
    }
    assert!(practice.refreshes().await <= 30, "the breaker spares it: {}", practice.refreshes().await);
    practice.mend().await;
    until("it works again", Duration::from_mins(1), async || {
        admin.get(&token_path(connected[0].0)).await.status == 200
    })
    .await;
    assert!(kinds(&admin).await.is_empty());
}

#[tokio::test]
async fn min_ttl_is_kept_or_refused() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::None));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(id, _)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    let ask = async |ttl: &str| admin.get(&format!("{}?min_ttl={ttl}", token_path(id))).await;
    assert!(ask("0").await.expect(200)["expires_in"].as_i64().unwrap() > 0);
    assert_eq!(ask("100000").await.status, 400);
    for bad in ["-1", "x", "1.5", "99999999999999999999", "%00"] {
        assert_eq!(ask(bad).await.status, 400, "{bad}");
    }
    let refused = ask("3600").await;
    assert_eq!(refused.expect(409)["error"], "token_too_short_lived");
    assert!(practice.refreshes().await <= 1);
}

/// A token has less left when it is here than it lives: nothing is out, and coming back later helps nobody.
#[tokio::test]
async fn tokens_that_live_for_just_as_long_as_is_asked_are_too_short_lived() {
    let server = Server::start().await;
    let practice = Practice::with(Options { access_token_life_s: 60, ..Options::default() });
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(id, _)] = practice.connect(&admin, profile, 1, true).await[..] else { panic!("one") };
    assert_eq!(admin.get(&token_path(id)).await.expect(409)["error"], "token_too_short_lived");
    admin.get(&format!("{}?min_ttl=30", token_path(id))).await.expect(200);
    assert_eq!(practice.refreshes().await, 1);
}

#[tokio::test]
async fn odd_lifetimes_are_understood() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::None));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    for (answer, least, most) in [
        ("\"3600\"", Some(3500), Some(3600)),
        ("1800.7", Some(1700), Some(1801)),
        ("1e99", Some(300_000_000), Some(320_000_000)),
    ] {
        practice.fault("refresh", &format!("expires_in:{answer}")).await;
        let [(id, _)] = practice.connect(&admin, profile, 1, true).await[..] else { panic!("one") };
        let given = admin.get(&token_path(id)).await.expect(200);
        let seconds = given["expires_in"].as_i64();
        assert!(seconds >= least && seconds <= most, "{answer}: {given}");
    }
    for answer in ["-1", "null", "\"abc\""] {
        practice.fault("refresh", &format!("expires_in:{answer}")).await;
        let [(id, _)] = practice.connect(&admin, profile, 1, true).await[..] else { panic!("one") };
        let given = admin.get(&token_path(id)).await;
        assert!(given.status == 200 || given.status == 503, "{answer}: {}", given.text());
        assert_eq!(detail(&admin, id).await["authorization_status"], "success", "{answer}");
    }
}

#[tokio::test]
async fn answers_that_are_none_blame_the_provider_and_lose_nothing() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::None));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    for fault in ["html_before", "redirect", "big_before", "truncate_after", "drop_before", "status_before:500"] {
        practice.control("faults", json!({"on": "refresh", "fault": fault, "times": 3})).await;
        let [(id, grant)] = practice.connect(&admin, profile, 1, true).await[..] else { panic!("one") };
        let refused = admin.get(&token_path(id)).await;
        assert_eq!(refused.status, 503, "{fault}: {}", refused.text());
        practice.mend().await;
        admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await.expect(200);
        admin.get(&token_path(id)).await.expect(200);
        assert_eq!(practice.grant(grant).await["alive"], true, "{fault}");
    }
    assert_eq!(
        practice.counts().await["requests"]["/elsewhere"].as_u64().unwrap_or_default(),
        0,
        "nobody is redirected"
    );
}
