//! Two client secrets at once, their ends, and the redirect URI: what the first dialect's form has no room for.

use std::time::Duration;

use futures_util::future::join_all;
use grantry::simulator::{CLIENT_ID, CLIENT_SECRET, Rotation};
use serde_json::{Value, json};

use crate::support::{
    Answer, Caller, Server,
    practice::{Practice, until},
    profile_body,
};

const SOON: Duration = Duration::from_secs(20);
const NEXT: &str = "PLANTED-next-secret";

fn path(profile: i64) -> String {
    format!("/api/custom_oauth_profiles/{profile}/registration")
}

async fn registration(caller: &Caller, profile: i64) -> Value {
    caller.get(&path(profile)).await.expect(200)["result"].clone()
}

async fn change(caller: &Caller, profile: i64, body: &Value) -> Answer {
    caller.put(&path(profile), body).await
}

async fn promote(caller: &Caller, profile: i64) -> Answer {
    let path = format!("/api/custom_oauth_profiles/{profile}/promote_secret");
    caller.send(caller.request("POST", &path)).await
}

/// From now on the practice provider takes this secret alone.
async fn takes(practice: &Practice, secret: &str) {
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": secret})).await;
}

async fn verify(admin: &Caller, profile: i64, secret: &str) -> bool {
    let path = format!("/api/custom_oauth_profiles/{profile}/verify_secret");
    let answer = admin.post(&path, &json!({"client_secret": secret})).await.expect(200);
    answer["result"]["matches"].as_bool().unwrap()
}

/// Which secrets there are, and which of them the provider has taken.
fn used(registration: &Value) -> Vec<(String, bool)> {
    let secrets = registration["secrets"].as_array().unwrap();
    secrets.iter().map(|s| (s["kind"].as_str().unwrap().to_owned(), !s["last_used_at"].is_null())).collect()
}

async fn count_rejections(admin: &Caller) -> usize {
    let events = admin.get("/api/events").await.expect(200)["result"].clone();
    events.as_array().unwrap().iter().filter(|event| event["type"] == "app_secret_rejected").count()
}

#[tokio::test]
async fn a_registration_tells_all_but_the_secrets() {
    let server = Server::with(&["--public-url", "https://grantry.acme.example"]).await;
    let admin = server.admin();
    let made =
        admin.post("/api/custom_oauth_profiles", &profile_body("Sales", "slack")).await.expect(200)["result"].clone();
    let id = made["id"].as_i64().unwrap();
    let seen = registration(&admin, id).await;
    let keys: Vec<&String> = seen.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "id",
            "name",
            "provider",
            "client_id",
            "callback",
            "redirect_uri",
            "secrets",
            "rejected",
            "takes_token",
            "has_token",
            "parameters",
            "rotation",
            "refresh_scope"
        ]
    );
    assert_eq!(seen["redirect_uri"], "https://grantry.acme.example/oauth/callback");
    assert_eq!(
        seen["secrets"],
        json!([{"kind": "current", "created_at": made["created_at"], "last_used_at": null, "expires_at": null, "usable": true}])
    );
    assert_eq!(
        (&seen["callback"], &seen["rejected"], &seen["takes_token"], &seen["has_token"], &seen["parameters"]),
        (&json!("oauth"), &Value::Null, &json!(true), &json!(false), &json!([]))
    );
    let document = json!({"oauthConfigurations": {"jira": {"J": {"CLIENT_ID": "j", "CLIENT_SECRET": "PLANTED_jira",
        "NEED_RESOURCE_URL": "PLANTED_parameter", "ANOTHER": [1]}}}});
    admin.post("/Thingworx/Subsystems/WorkflowSubsystem/Services/LoadOAuthConfiguration", &document).await.expect(200);
    assert_eq!(registration(&admin, id + 1).await["parameters"], json!(["ANOTHER", "NEED_RESOURCE_URL"]));
    let given = json!({"callback": "flow", "client_secret_expires_at": "2030-01-31T12:00:00+01:00",
        "next_client_secret": NEXT, "next_client_secret_expires_at": "2031-01-01T00:00:00Z"});
    let changed = change(&admin, id, &given).await.expect(200)["result"].clone();
    assert_eq!(changed, registration(&admin, id).await);
    assert_eq!(changed["redirect_uri"], "https://grantry.acme.example/Thingworx/Oauths/oauth/return");
    assert_eq!(changed["secrets"][0]["expires_at"], "2030-01-31T11:00:00.000+00:00");
    assert_eq!(changed["secrets"][1]["expires_at"], "2031-01-01T00:00:00.000+00:00");
    assert_eq!(changed["secrets"][1]["usable"], true);
    // What is not said stays, and the same secret again keeps its age.
    let again = change(&admin, id, &json!({"next_client_secret": NEXT})).await.expect(200)["result"].clone();
    assert_eq!(again, changed);
    let other = json!({"next_client_secret": "PLANTED-another"});
    let other = change(&admin, id, &other).await.expect(200)["result"].clone();
    assert_eq!(other["secrets"][1]["expires_at"], Value::Null, "the end was that of the one before");
    let gone =
        json!({"next_client_secret": null, "client_secret_expires_at": null, "next_client_secret_expires_at": null});
    for _ in 0..2 {
        let gone = change(&admin, id, &gone).await.expect(200)["result"].clone();
        assert_eq!(gone["secrets"].as_array().unwrap().len(), 1);
        assert_eq!(gone["secrets"][0]["expires_at"], Value::Null);
    }
    // The first dialect's own answer keeps to its keys.
    let plain = admin.get(&format!("/api/custom_oauth_profiles/{id}")).await.expect(200)["result"].clone();
    assert_eq!(plain.as_object().unwrap().len(), made.as_object().unwrap().len());
    let viewer = server.caller(&["profiles:read"]);
    assert_eq!(registration(&viewer, id).await, registration(&admin, id).await);
    change(&viewer, id, &json!({"callback": "oauth"})).await.expect(401);
    promote(&viewer, id).await.expect(401);
}

#[tokio::test]
async fn what_is_no_change_is_refused_at_its_field() {
    let server = Server::start().await;
    let admin = server.admin();
    let body = profile_body("Sales", "hubspot");
    let made = admin.post("/api/custom_oauth_profiles", &body).await.expect(200);
    let id = made["result"]["id"].as_i64().unwrap();
    for (body, errors) in [
        (json!({"callback": "other"}), json!({"callback": ["must be one of oauth, flow"]})),
        (json!({"callback": null}), json!({"callback": ["can't be blank"]})),
        (json!({"callback": 1}), json!({"callback": ["must be of type string"]})),
        (
            json!({"client_secret_expires_at": "tomorrow", "next_client_secret_expires_at": 7}),
            json!({
                "client_secret_expires_at": ["must be a time such as 2026-01-31T12:00:00Z"],
                "next_client_secret_expires_at": ["must be of type string"],
            }),
        ),
        (json!({"next_client_secret": " "}), json!({"next_client_secret": ["can't be blank"]})),
        (
            json!({"next_client_secret": "<client secret here>"}),
            json!({"next_client_secret": ["is a placeholder from a template: put the real value there"]}),
        ),
        (json!({"next_client_secret": "a\nb"}), json!({"next_client_secret": ["must not have control characters"]})),
        (
            json!({"next_client_secret": body["data"]["client_secret"]}),
            json!({"next_client_secret": ["must be another secret than the current one"]}),
        ),
        (
            json!({"next_client_secret_expires_at": "2030-01-01T00:00:00Z"}),
            json!({"next_client_secret": ["there is none: it was promoted already, or never given"]}),
        ),
        (json!({"client_secret": "PLANTED_x"}), json!({"client_secret": ["is not known here"]})),
    ] {
        assert_eq!(change(&admin, id, &body).await.expect(400)["errors"], errors, "{body}");
    }
    assert_eq!(change(&admin, id, &json!({})).await.expect(400), json!({"message": "the request changes nothing"}));
    change(&admin, id, &json!([])).await.expect(400);
    change(&admin, 999, &json!({"callback": "flow"})).await.expect(404);
    admin.get(&path(999)).await.expect(404);
    promote(&admin, 999).await.expect(404);
    let none = promote(&admin, id).await.expect(400);
    assert_eq!(none["message"], "next_client_secret: there is none: it was promoted already, or never given");
}

#[tokio::test]
async fn the_next_secret_is_tried_where_the_current_one_is_turned_down_and_then_alone() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 3, false).await;
    let refresh =
        async |n: usize| admin.post(&format!("/api/connections/{}/refresh", connected[n].0), &json!({})).await;
    change(&admin, profile, &json!({"next_client_secret": NEXT})).await.expect(200);
    refresh(0).await.expect(200);
    assert_eq!(used(&registration(&admin, profile).await), [("current".into(), true), ("next".into(), false)]);
    // A grant that is over, or a provider that is out, is no reason to show the other secret.
    practice.control("revoke", json!({"grant": connected[2].1})).await;
    refresh(2).await;
    let detail = admin.get(&format!("/api/connections/{}", connected[2].0)).await.expect(200);
    assert_eq!(detail["result"]["authorization_status"], "failed");
    let before = practice.refreshes().await;
    practice.fault("refresh", "status:500").await;
    refresh(1).await;
    assert_eq!(practice.refreshes().await, before + 1);
    assert_eq!(used(&registration(&admin, profile).await), [("current".into(), true), ("next".into(), false)]);
    takes(&practice, NEXT).await;
    refresh(0).await.expect(200);
    assert_eq!(used(&registration(&admin, profile).await), [("current".into(), true), ("next".into(), true)]);
    assert_eq!(count_rejections(&admin).await, 0, "nobody has to hear of it");
    let seen = registration(&admin, profile).await;
    let promoted = promote(&admin, profile).await.expect(200)["result"].clone();
    assert_eq!(promoted["secrets"].as_array().unwrap().len(), 1);
    for field in ["created_at", "last_used_at", "expires_at", "usable"] {
        assert_eq!(promoted["secrets"][0][field], seen["secrets"][1][field], "{field} goes along");
    }
    assert!(verify(&admin, profile, NEXT).await && !verify(&admin, profile, CLIENT_SECRET).await);
    let asked = practice.refreshes().await;
    refresh(0).await.expect(200);
    assert_eq!(practice.refreshes().await, asked + 1, "the right one first");
    promote(&admin, profile).await.expect(400);
    assert!(verify(&admin, profile, NEXT).await, "a second time changes nothing");
}

#[tokio::test]
async fn what_waits_for_a_secret_that_works_tries_the_next_one_at_once() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    takes(&practice, NEXT).await;
    let connected = practice.connect(&admin, profile, 5, true).await;
    until("the rejection is known", SOON, async || count_rejections(&admin).await == 1).await;
    let rejected = registration(&admin, profile).await["rejected"].clone();
    assert!(rejected["at"].is_string() && rejected["until"].is_string(), "{rejected}");
    assert_eq!(rejected["why"], "invalid_client");
    change(&admin, profile, &json!({"next_client_secret": NEXT})).await.expect(200);
    until("all are refreshed", SOON, async || {
        practice.grants().await.iter().all(|grant| grant["refreshes"].as_u64().unwrap() == 1)
    })
    .await;
    for (id, _) in connected {
        admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
    }
    assert_eq!(registration(&admin, profile).await["rejected"], Value::Null);
}

#[tokio::test]
async fn a_promotion_under_load_loses_nothing() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::Strict));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 20, false).await;
    // Slow enough that the promotion comes while both secrets are on their way.
    practice.faults("refresh", "slow:50").await;
    for round in 0..4 {
        let secret = format!("{NEXT}-{round}");
        change(&admin, profile, &json!({"next_client_secret": secret})).await.expect(200);
        takes(&practice, &secret).await;
        let refreshes = join_all(
            connected
                .iter()
                .map(async |(id, _)| admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await),
        );
        let promoting = async {
            // Somewhere in the middle: there is nothing to wait on.
            tokio::time::sleep(Duration::from_millis(20 + 40 * round)).await;
            promote(&admin, profile).await
        };
        let (refreshed, promoted) = futures_util::future::join(refreshes, promoting).await;
        promoted.expect(200);
        for answer in refreshed {
            let grant = answer.expect(200)["result"]["grant"].clone();
            assert_eq!((&grant["last_refresh"]["ok"], &grant["failures"]), (&json!(true), &json!(0)), "{grant}");
        }
        promote(&admin, profile).await.expect(400);
    }
    for (id, grant) in &connected {
        assert_eq!(practice.grant(*grant).await["alive"], true);
        admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
    }
    assert_eq!(count_rejections(&admin).await, 0);
    assert_eq!(registration(&admin, profile).await["rejected"], Value::Null);
}

#[tokio::test]
async fn only_hashes_are_kept_of_both_where_the_settings_want_it() {
    let server = Server::with(&["--secrets", "hashed"]).await;
    let admin = server.admin();
    let made = admin.post("/api/custom_oauth_profiles", &profile_body("Sales", "hubspot")).await.expect(200);
    let id = made["result"]["id"].as_i64().unwrap();
    let changed = change(&admin, id, &json!({"next_client_secret": NEXT})).await.expect(200)["result"].clone();
    let usable: Vec<&Value> = changed["secrets"].as_array().unwrap().iter().map(|secret| &secret["usable"]).collect();
    assert_eq!(usable, [false, false]);
    let again = change(&admin, id, &json!({"next_client_secret": NEXT})).await.expect(200)["result"].clone();
    assert_eq!(again["secrets"], changed["secrets"], "the same one keeps its age");
    promote(&admin, id).await.expect(200);
    assert!(verify(&admin, id, NEXT).await);
    let db = rusqlite::Connection::open(server.data().join("grantry.db")).unwrap();
    let rows = "SELECT count(*), sum(sealed IS NULL), sum(hash LIKE '$argon2id$%') FROM profile_secrets";
    let counts: (i64, i64, i64) = db.query_row(rows, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    assert_eq!(counts, (1, 1, 1));
}

#[tokio::test]
async fn the_radar_warns_of_the_end_of_both_secrets() {
    let server = Server::start().await;
    let admin = server.admin();
    let made = admin.post("/api/custom_oauth_profiles", &profile_body("Sales", "hubspot")).await.expect(200);
    let id = made["result"]["id"].as_i64().unwrap();
    let now = jiff::Timestamp::now();
    let at = |hours: i64| (now + jiff::SignedDuration::from_hours(hours)).to_string();
    let body = json!({"client_secret_expires_at": at(24), "next_client_secret": NEXT,
        "next_client_secret_expires_at": at(48)});
    change(&admin, id, &body).await.expect(200);
    let listed = async |within: &str| {
        let answer = admin.get(&format!("/api/expiring?within={within}")).await.expect(200);
        let items = answer["result"].as_array().unwrap().clone();
        let secrets = items.into_iter().filter(|item| item["what"] == "client_secret");
        secrets.map(|item| item["secret"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("30d").await, ["current", "next"]);
    assert_eq!(listed("36h").await, ["current"]);
    promote(&admin, id).await.expect(200);
    assert_eq!(listed("30d").await, ["current"]);
    assert!(listed("36h").await.is_empty(), "the end goes along");
    // Another secret has another end, or none that anybody knows.
    admin.put(&format!("/api/custom_oauth_profiles/{id}"), &profile_body("Sales", "hubspot")).await.expect(200);
    assert!(listed("30d").await.is_empty());
}

#[tokio::test]
async fn a_limited_caller_changes_no_secret_that_others_depend_on() {
    let (server, practice) = (Server::start().await, Practice::rotating(Rotation::None));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    practice.connect(&admin, profile, 1, false).await;
    change(&admin, profile, &json!({"next_client_secret": NEXT})).await.expect(200);
    let limited = server.anybody().bearer(&server.cli_ok(&[
        "api-token",
        "create",
        "--name",
        "x",
        "--scope",
        "profiles:write",
        "--owner",
        "bob",
    ]));
    change(&limited, profile, &json!({"next_client_secret": null})).await.expect(401);
    promote(&limited, profile).await.expect(401);
    assert_eq!(registration(&admin, profile).await["secrets"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_command_line_changes_a_secret_from_beginning_to_end() {
    let server = Server::start().await;
    let admin = server.admin();
    let made = admin.post("/api/custom_oauth_profiles", &profile_body("Sales", "hubspot")).await.expect(200);
    let id = made["result"]["id"].to_string();
    let file = server.dir().path().join("next.txt");
    std::fs::write(&file, format!("{NEXT}\n")).unwrap();
    let file = file.to_str().unwrap();
    let shown = server.cli_ok(&["profile", "registration", &id]);
    assert!(shown.contains("/oauth/callback") && !shown.contains("next"), "{shown}");
    let shown = server.cli_ok(&[
        "profile",
        "registration",
        &id,
        "--callback",
        "flow",
        "--secret-expires",
        "2030-01-31T12:00:00Z",
        "--next-secret-file",
        file,
        "--next-secret-expires",
        "2031-01-31T12:00:00Z",
    ]);
    for part in ["/Thingworx/Oauths/oauth/return", "2030-01-31T12:00:00.000+00:00", "2031-01-31", "next"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = server.cli_ok(&["--json", "profile", "registration", &id, "--next-secret-expires", "never"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["secrets"][1]["expires_at"], Value::Null);
    server.cli_ok(&["profile", "promote", &id]);
    server.cli_ok(&["profile", "verify-secret", &id, "--secret-file", file]);
    let refused = server.cli(&["profile", "promote", &id]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && text.contains("there is none"), "{text}");
    server.cli_ok(&["profile", "registration", &id, "--no-next-secret"]);
}
