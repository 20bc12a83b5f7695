//! What a provider says of its tokens is understood, and what goes wrong is nobody else's fault: ends and clocks, the token
//! before, two secrets, and who is to blame.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use grantry::{
    domain::{Secret, profile::SecretKind},
    simulator::{CLIENT_ID, CLIENT_SECRET, Rotation},
    store,
};
use serde_json::{Value, json};

use crate::support::{
    Caller, Server, granted,
    practice::{Practice, until},
    raw::{self, Request},
};

const SOON: Duration = Duration::from_secs(20);

async fn refresh(admin: &Caller, id: i64) -> Value {
    admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await.expect(200)["result"].clone()
}

async fn detail(admin: &Caller, id: i64) -> Value {
    admin.get(&format!("/api/connections/{id}")).await.expect(200)["result"].clone()
}

/// The result of a refresh and who is to blame for it.
fn result(detail: &Value) -> (&str, &str) {
    let grant = &detail["grant"];
    (grant["last_refresh"]["result"].as_str().unwrap_or_default(), grant["blame"].as_str().unwrap_or_default())
}

async fn kinds(admin: &Caller) -> Vec<String> {
    let events = admin.get("/api/events").await.expect(200)["result"].as_array().unwrap().clone();
    let kinds = events.iter().rev().map(|event| event["type"].as_str().unwrap().to_owned());
    kinds.filter(|kind| kind != "connected").collect()
}

fn milliseconds(time: &Value) -> i64 {
    time.as_str().unwrap_or_else(|| panic!("{time}")).parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A provider with this token endpoint, and a connection there whose access token has ended; `more`: of its entry.
async fn connected(admin: &Caller, slug: &str, token_url: &str, more: &Value) -> i64 {
    let mut entry = json!({"slug": slug, "name": slug, "token_url": token_url});
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    admin.post("/api/providers", &entry).await.expect(200);
    let body = json!({"name": slug, "provider": slug, "data": {"client_id": "a", "client_secret": "PLANTED_secret"}});
    let profile = admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].clone();
    let body = json!({"custom_oauth_profile_id": profile, "refresh_token": "PLANTED_r1",
        "access_token": "PLANTED_a1", "expires_in": 3600});
    admin.post("/api/connections/import", &body).await.expect(200)["result"]["id"].as_i64().unwrap()
}

/// `Date` for so many milliseconds since 1970.
fn date(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

// Ends and clocks.

#[tokio::test]
async fn a_clock_that_is_off_is_told_and_does_no_harm() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(id, _)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    assert_eq!(detail(&admin, id).await["grant"]["clock_skew_ms"], Value::Null, "nobody has said");
    for seconds in [-86_400_i64, 86_400, 0] {
        practice.fault("refresh", &format!("skew:{seconds}")).await;
        let after = refresh(&admin, id).await;
        let skew = after["grant"]["clock_skew_ms"].as_i64().unwrap();
        assert!((skew - seconds * 1000).abs() < 20_000, "{seconds}: {skew}");
        // The end is computed when the answer comes, by our own clock.
        let left = milliseconds(&after["grant"]["expires_at"]) - now();
        assert!((270_000..=300_000).contains(&left), "{seconds}: {left}");
    }
}

#[tokio::test]
async fn an_end_is_understood_in_every_form_and_by_the_clock_that_it_was_written_by() {
    const HOUR: i64 = 3_600_000;
    let server = Server::start().await;
    let admin = server.admin();
    let url = raw::serve(|asked: Request| {
        let case = asked.head.split(" /token/").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        let now = now();
        let text = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap().to_string();
        let (skew, more) = match case {
            "seconds" => (0, json!({"expires_in": 3600})),
            "text" => (0, json!({"expires_in": "3600"})),
            "spaced" => (0, json!({"expires_in": " 3600 "})),
            "milliseconds" => (0, json!({"expires_in": 3_600_000})),
            "absolute-s" => (0, json!({"expires_at": (now + HOUR) / 1000})),
            "absolute-ms" => (0, json!({"expires_at": now + HOUR})),
            "absolute-ms-text" => (0, json!({"expires_at": (now + HOUR).to_string()})),
            "absolute-text" => (0, json!({"expires_at": text(now + HOUR)})),
            "behind" => (-5 * HOUR, json!({"expires_at": now - 4 * HOUR})),
            "ahead" => (5 * HOUR, json!({"expires_at": (now + 6 * HOUR) / 1000})),
            "nested" => (0, json!({"expires_in": {"seconds": 5}, "expires_at": [1], "lifetime": 3600})),
            "missing" => (0, json!({})),
            _ => (0, json!({"expires_in": true})),
        };
        let mut body = json!({"access_token": "PLANTED_a2", "token_type": "bearer"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        raw::answer(
            200,
            &format!("date: {}\r\ncontent-type: application/json\r\n", date(now + skew)),
            &body.to_string(),
        )
    })
    .await;
    for (case, more, life) in [
        ("seconds", json!({}), Some(HOUR)),
        ("text", json!({}), Some(HOUR)),
        ("spaced", json!({}), Some(HOUR)),
        ("milliseconds", json!({"expires_in_unit": "ms"}), Some(HOUR)),
        ("absolute-s", json!({}), Some(HOUR)),
        ("absolute-ms", json!({}), Some(HOUR)),
        ("absolute-ms-text", json!({}), Some(HOUR)),
        ("absolute-text", json!({}), Some(HOUR)),
        ("behind", json!({}), Some(HOUR)),
        ("ahead", json!({}), Some(HOUR)),
        ("nested", json!({}), None),
        ("nested", json!({"answer": {"expires_in": "/lifetime"}}), Some(HOUR)),
        ("missing", json!({}), None),
        ("missing", json!({"default_lifetime_s": 3600}), Some(HOUR)),
        ("boolean", json!({"default_lifetime_s": 3600}), Some(HOUR)),
    ] {
        let slug = format!("{case}-{}", more.as_object().unwrap().keys().next().map_or("plain", |_| "more"));
        let id = connected(&admin, &slug, &format!("{url}/token/{case}"), &more).await;
        let after = refresh(&admin, id).await;
        assert_eq!(result(&after).0, "refreshed", "{slug}: {after}");
        match life {
            None => assert_eq!(after["grant"]["expires_at"], Value::Null, "{slug}: nobody knows"),
            Some(life) => {
                let left = milliseconds(&after["grant"]["expires_at"]) - now();
                assert!((life - 30_000..=life + 2_000).contains(&left), "{slug}: {left}");
            }
        }
        let given = admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
        assert_eq!((&given["access_token"], &given["token_type"]), (&json!("PLANTED_a2"), &json!("Bearer")));
    }
}

#[tokio::test]
async fn tokens_that_are_none_are_the_providers_fault_and_take_nothing_away() {
    let server = Server::start().await;
    let admin = server.admin();
    let answers: Vec<(&str, String)> = vec![
        ("object", json!({"access_token": {"value": "PLANTED_x"}}).to_string()),
        ("array", json!({"access_token": ["PLANTED_x"]}).to_string()),
        ("empty", json!({"access_token": ""}).to_string()),
        ("null", json!({"access_token": null}).to_string()),
        ("line", json!({"access_token": "PLANTED_x\r\nX-Evil: 1"}).to_string()),
        ("nul", json!({"access_token": "PLANTED\u{0}"}).to_string()),
        ("huge", json!({"access_token": "x".repeat(70_000)}).to_string()),
        ("fraction", json!({"access_token": 5.5}).to_string()),
        ("refresh-boolean", json!({"access_token": "PLANTED_a2", "refresh_token": true}).to_string()),
        ("refresh-line", json!({"access_token": "PLANTED_a2", "refresh_token": "a\nb"}).to_string()),
        ("list", "[]".to_owned()),
        ("text", "\"PLANTED_x\"".to_owned()),
        ("nothing", String::new()),
        ("html", "<html><body>access_token=PLANTED_x</body></html>".to_owned()),
        ("deep", "[".repeat(100_000)),
        ("latin", "{\"access_token\":\"\u{fffd}\u{7f}\"}".to_owned()),
    ];
    let said = Arc::new(answers.clone());
    let url = raw::serve(move |asked: Request| {
        let case = asked.head.split(" /token/").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        raw::json(200, &said.iter().find(|(name, _)| *name == case).unwrap().1)
    })
    .await;
    for (case, answer) in &answers {
        let id = connected(&admin, case, &format!("{url}/token/{case}"), &json!({})).await;
        let after = refresh(&admin, id).await;
        assert_eq!(result(&after).1, "provider", "{case}: {answer:.100}: {after}");
        assert_eq!(after["authorization_status"], "success", "{case}");
        // What is there still works.
        let given = admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
        assert_eq!(given["access_token"], "PLANTED_a1", "{case}");
    }
    assert!(kinds(&admin).await.is_empty());
}

// The token before.

/// A provider that has lost the last token which it gave out: it takes the one before. What was sent, in order.
async fn forgetful() -> (String, Arc<Mutex<Vec<String>>>) {
    let sent: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&sent);
    let url = raw::serve(move |asked: Request| {
        let mut sent = noted.lock().unwrap();
        let token = asked.field("refresh_token");
        sent.push(token.clone());
        let give = |access: &str, refresh: &str| {
            let given = json!({"access_token": access, "refresh_token": refresh, "expires_in": 3600});
            raw::json(200, &given.to_string())
        };
        match (token.as_str(), sent.len()) {
            ("PLANTED_r1", 1) => give("PLANTED_a2", "PLANTED_r2"),
            ("PLANTED_r1", _) => give("PLANTED_a3", "PLANTED_r3"),
            _ => raw::json(400, r#"{"error":"invalid_grant"}"#),
        }
    })
    .await;
    (url, sent)
}

#[tokio::test]
async fn the_token_before_is_kept_until_the_new_one_has_worked_and_used_where_that_does_no_harm() {
    let server = Server::start().await;
    let admin = server.admin();
    for (slug, more, sent_in_all) in [
        ("safe", json!({"rotates": true, "retry_safe": true}), &["PLANTED_r1", "PLANTED_r2", "PLANTED_r1"][..]),
        ("grace", json!({"rotates": true, "replay_grace_s": 600}), &["PLANTED_r1", "PLANTED_r2", "PLANTED_r1"][..]),
        // There, an old token would end the whole family.
        ("strict", json!({"rotates": true}), &["PLANTED_r1", "PLANTED_r2"][..]),
        ("undeclared", json!({}), &["PLANTED_r1", "PLANTED_r2"][..]),
    ] {
        let (url, sent) = forgetful().await;
        let id = connected(&admin, slug, &url, &more).await;
        assert_eq!(result(&refresh(&admin, id).await).0, "refreshed", "{slug}");
        let after = refresh(&admin, id).await;
        assert_eq!(*sent.lock().unwrap(), sent_in_all, "{slug}");
        let saved = sent_in_all.len() == 3;
        assert_eq!(after["authorization_status"], if saved { "success" } else { "failed" }, "{slug}: {after}");
        if saved {
            let given = admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
            assert_eq!(given["access_token"], "PLANTED_a3");
        }
    }
}

// Two secrets.

/// Gives a profile a second secret.
async fn put_next(server: &mut Server, profile: i64, secret: &'static str) {
    server.stop();
    let db = granted::open(server);
    let put = db
        .write(move |tx| store::profiles::put_secret(tx, profile, SecretKind::Next, None, Some(&Secret::new(secret))));
    put.await.unwrap();
    drop(db);
    server.kill_and_restart().await;
}

fn secret(secret: &str) -> Value {
    json!({"client_id": CLIENT_ID, "client_secret": secret})
}

#[tokio::test]
async fn the_other_secret_is_tried_when_the_client_is_turned_down_and_remembered_when_it_works() {
    let (mut server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let profile = practice.introduce(&server.admin()).await;
    put_next(&mut server, profile, "PLANTED_next").await;
    let admin = server.admin();
    let [(id, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    // The first one works: the other one is not asked for.
    assert_eq!(result(&refresh(&admin, id).await).0, "refreshed");
    assert_eq!(practice.refreshes().await, 1);
    // The provider changes over, and nobody notices.
    practice.control("clients", secret("PLANTED_next")).await;
    assert_eq!(result(&refresh(&admin, id).await).0, "refreshed");
    assert_eq!(practice.refreshes().await, 3, "turned down once, then taken");
    assert_eq!(result(&refresh(&admin, id).await).0, "refreshed");
    assert_eq!(practice.refreshes().await, 4, "the one that worked last is tried first");
    // And back again.
    practice.control("clients", secret(CLIENT_SECRET)).await;
    assert_eq!(result(&refresh(&admin, id).await).0, "refreshed");
    assert_eq!(practice.refreshes().await, 6);
    assert_eq!(practice.grant(grant).await["alive"], true);
    assert!(kinds(&admin).await.is_empty(), "an outage that nobody saw is none");
    // A code is taken with it too, and is not spent by the first.
    practice.control("clients", secret("PLANTED_next")).await;
    let link = admin.post("/api/connect", &json!({"custom_oauth_profile_id": profile})).await.expect(200);
    let person = crate::support::person::Person::before(&server);
    let page = person.open(link["result"]["url"].as_str().unwrap()).await;
    let landed = person.submit(&page.url, &[("account", "alice@practice.example"), ("decision", "approve")]).await;
    assert_eq!(landed.answer.status, 200, "{}", landed.answer.text());
    // Both wrong: each is tried once, and it is one event.
    practice.control("clients", secret("PLANTED_neither")).await;
    let before = practice.refreshes().await;
    assert_eq!(result(&refresh(&admin, id).await), ("invalid_client", "app"));
    assert_eq!(practice.refreshes().await, before + 2);
    assert_eq!(kinds(&admin).await, ["app_secret_rejected"]);
}

#[tokio::test]
async fn the_other_secret_is_not_tried_for_any_other_reason() {
    let (mut server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let profile = practice.introduce(&server.admin()).await;
    put_next(&mut server, profile, "PLANTED_next").await;
    let admin = server.admin();
    for (fault, blame) in [
        ("error:invalid_grant", "grant"),
        ("error:invalid_request", "provider"),
        ("error:invalid_scope", "provider"),
        ("error:unsupported_grant_type", "provider"),
        ("error:unauthorized_client", "provider"),
        ("status:503", "provider"),
        ("rate_limit:60", "provider"),
    ] {
        let (server, practice) = (&server, &practice);
        let admin = server.admin();
        let [(id, _)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
        let before = practice.refreshes().await;
        practice.faults("refresh", fault).await;
        let after = refresh(&admin, id).await;
        assert_eq!(result(&after).1, blame, "{fault}: {after}");
        assert_eq!(practice.refreshes().await, before + 1, "{fault}: a token that is sent again may trip an alarm");
        practice.mend().await;
    }
    drop(admin);
}

// Blame and episodes.

#[tokio::test]
async fn what_lies_between_is_to_blame_for_what_nobody_answers() {
    let server = Server::start().await;
    let admin = server.admin();
    let nobody = raw::nobody().await;
    let id = connected(&admin, "nobody", &nobody, &json!({})).await;
    let after = refresh(&admin, id).await;
    assert_eq!(result(&after), ("unreachable", "network"));
    assert_eq!(after["authorization_status"], "success");
    let first = milliseconds(&after["grant"]["next_refresh_at"]) - now();
    assert!((28_000..=38_000).contains(&first), "{first}");
    // Each time it waits longer.
    for _ in 0..3 {
        refresh(&admin, id).await;
    }
    let after = detail(&admin, id).await;
    assert!(after["grant"]["failures"].as_u64().unwrap() >= 4, "{after}");
    let later = milliseconds(&after["grant"]["next_refresh_at"]) - now();
    assert!(later > 200_000, "{later}");
    assert_eq!(admin.get(&format!("/api/connections/{id}/token")).await.status, 200, "what is good is given");
    let id = connected(&admin, "inside", "https://10.0.0.1/token", &json!({})).await;
    let after = refresh(&admin, id).await;
    assert_eq!(result(&after).1, "network", "{after}");
    assert!(kinds(&admin).await.is_empty());
}

#[tokio::test]
async fn a_provider_that_wants_to_be_left_alone_is() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 3, false).await;
    practice.faults("refresh", "rate_limit:1800").await;
    let after = refresh(&admin, connected[0].0).await;
    assert_eq!(result(&after), ("rate_limited", "provider"));
    let pause = milliseconds(&after["grant"]["next_refresh_at"]) - now();
    // While its token is good, and for a quarter of an hour after that.
    assert!((1_150_000..=1_200_000).contains(&pause), "{pause}");
    assert_eq!(after["authorization_status"], "success");
    // The provider may count by account: another connection of the same app is refreshed.
    practice.mend().await;
    let [(ended, _)] = practice.connect(&admin, profile, 1, true).await[..] else { panic!("one") };
    admin.get(&format!("/api/connections/{ended}/token")).await.expect(200);
    assert_eq!(practice.refreshes().await, 2);
    // Three connections that are told to wait within a minute mean the client, so that a fourth one waits, too.
    practice.faults("refresh", "rate_limit:1800").await;
    for (id, _) in &connected {
        refresh(&admin, *id).await;
    }
    practice.mend().await;
    let [(ended, _)] = practice.connect(&admin, profile, 1, true).await[..] else { panic!("one") };
    let refused = admin.get(&format!("/api/connections/{ended}/token")).await;
    assert_eq!(refused.expect(503)["error"], "provider_unavailable");
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
    assert_eq!(practice.refreshes().await, 5);
    for (_, grant) in &connected {
        assert_eq!(practice.grant(*grant).await["alive"], true);
    }
}

#[tokio::test]
async fn each_episode_has_one_alert_and_one_end() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 3, false).await;
    for _ in 0..2 {
        practice.control("clients", secret("PLANTED_other")).await;
        for (id, _) in &connected {
            for _ in 0..2 {
                assert_eq!(result(&refresh(&admin, *id).await), ("invalid_client", "app"));
            }
        }
        practice.control("clients", secret(CLIENT_SECRET)).await;
        assert_eq!(result(&refresh(&admin, connected[0].0).await).0, "refreshed");
        until("the others follow", SOON, async || {
            let mut healed = 0;
            for (id, _) in &connected {
                healed += usize::from(detail(&admin, *id).await["grant"]["blame"].is_null());
            }
            healed == connected.len()
        })
        .await;
    }
    practice.control("revoke", json!({"grant": connected[1].1})).await;
    for _ in 0..3 {
        admin.post(&format!("/api/connections/{}/refresh", connected[1].0), &json!({})).await;
    }
    assert_eq!(
        kinds(&admin).await,
        ["app_secret_rejected", "healed", "app_secret_rejected", "healed", "needs_reauthorization"]
    );
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused() {
    let server = Server::start().await;
    let admin = server.admin();
    let mut command = std::process::Command::new(crate::support::program());
    crate::support::clean(&mut command);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(server.data());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(!output.status.success());
    assert!(!output.stderr.is_empty());
    admin.get("/api/users/me").await.expect(200);
}
