//! What the page shows of a connection's warnings, of the provider's answer to a refresh, and of rotation.

use grantry::{
    domain::{event::EventKind, warning::WarningCode},
    simulator::{Options, Rotation},
};
use serde_json::{Value, json};

use super::{assert_both_languages, assert_calm, assert_fits, logged_in, open};
use crate::support::{Server, browser::Browser, practice::Practice, words::words};

#[test]
fn each_warning_each_reason_and_each_event_has_words_in_both_languages() {
    let wire = include_str!("../../../src/oauth/wire.rs").split_once("impl Reason {").unwrap().1;
    let arm = regex_lite::Regex::new(r#"Self::\w+ => "([a-z_]+)""#).unwrap();
    let reasons = arm.captures_iter(wire.split_once("\n}\n").unwrap().0).map(|found| format!("reason.{}", &found[1]));
    let reasons: Vec<String> = reasons.collect();
    assert!(reasons.len() >= 18, "{reasons:?}");
    let kinds = EventKind::ALL.into_iter().map(|kind| match kind {
        EventKind::NeedsReauthorization => "history.lost".to_owned(),
        other => format!("history.{}", other.as_str()),
    });
    let codes = WarningCode::ALL.into_iter().map(|code| format!("warning.{}", code.as_str()));
    let keys: Vec<String> = codes.chain(kinds).chain(reasons).collect();
    for language in ["en", "ja"] {
        let words = words(language);
        for key in &keys {
            assert!(words.contains_key(key), "{language} has no {key}");
        }
        let known: Vec<&String> = words.keys().filter(|key| key.starts_with("warning.")).collect();
        assert_eq!(known.len(), WarningCode::ALL.len(), "a warning that the server does not send: {known:?}");
    }
    let form = include_str!("../../../static/views/webhooks.js");
    for kind in EventKind::ALL {
        assert!(form.contains(&format!("\"{}\"", kind.as_str())), "a webhook cannot be limited to {}", kind.as_str());
    }
}

/// All warnings that are stored, with facts that can be found again, and texts that a provider may send.
fn all_warnings() -> Value {
    let since = 1_790_000_000_000_i64;
    json!([
        {"code": "lifetime_unknown", "params": {}, "since": since},
        {"code": "lifetime_invalid", "params": {"value": "<b>-1</b>\u{202e}"}, "since": since},
        {"code": "lifetime_below_floor", "params": {"lifetime_seconds": 7}, "since": since},
        {"code": "missing_scopes", "params": {"scopes": ["mail.read", "x".repeat(200)]}, "since": since},
        {"code": "not_refreshable", "since": since,
            "params": {"expires_at": "2031-05-06T07:08:09.000Z", "ask_for": ["offline_access", "access_type=offline"]}},
        {"code": "account_unverified", "params": {"reason": "timeout"}, "since": since},
        {"code": "refresh_token_kept", "params": {}, "since": since},
        {"code": "refresh_failing", "params": {"reason": "provider_error", "provider_error": "odd_code", "http_status": 400}, "since": since},
    ])
}

in_both_languages!(each_warning_and_the_providers_own_words_are_shown_apart, "warnings in the admin page");

async fn each_warning_and_the_providers_own_words_are_shown_apart(browser: Browser) {
    let practice = Practice::with(Options { rotation: Rotation::None, ..Options::default() });
    let mut server = Server::start().await;
    let admin = server.admin();
    let mut definition = practice.definition();
    definition["grant_cap"] = json!(2);
    admin.post("/api/providers", &definition).await.expect(200);
    let profile = practice.profile(&admin, "Practice", grantry::simulator::CLIENT_SECRET).await;
    let connected = practice.connect(&admin, profile, 2, false).await;
    practice.fault("refresh", "expires_in:0").await;
    admin.post(&format!("/api/connections/{}/refresh", connected[1].0), &json!({})).await.expect(200);
    server.stop();
    let db = rusqlite::Connection::open(server.data().join("grantry.db")).unwrap();
    let failure = json!({"reason": "provider_error", "provider_error": "odd_code", "http_status": 400, "media_type": "text/html",
        "provider_error_description": "<script>alert(1)</script> try later", "excerpt": "<html>sorry \u{202e}", "detail": null});
    let sql =
        "UPDATE grants SET warnings = ?1, failure = ?2, failures = 3, blame = 'provider', last_result = 'odd_code',
        last_attempt_at = 1790000000000 WHERE connection_id = ?3";
    let values = rusqlite::params![all_warnings().to_string(), failure.to_string(), connected[0].0];
    assert_eq!(db.execute(sql, values).unwrap(), 1);
    // This warning is counted and not stored.
    let account = "UPDATE connections SET account_id = 'alice', account_label = 'alice@practice.example'";
    assert_eq!(db.execute(account, []).unwrap(), 2);
    drop(db);
    let server = Server::on(server.dir(), &[], &[]).await;
    logged_in(&browser, &server).await;

    open(&browser, &server, &format!("connections/{}", connected[0].0)).await;
    for code in WarningCode::ALL {
        let code = code.as_str();
        browser.until(&format!("document.querySelector('[data-warning={code}] time')")).await;
        let text = browser.run(&format!("return document.querySelector('[data-warning={code}]').innerText")).await;
        assert!(!text.as_str().unwrap().contains(code), "{code} has no words: {text}");
    }
    for fact in
        ["<b>-1</b>", "mail.read", "offline_access, access_type=offline", "2031", "alice@practice.example", "odd_code"]
    {
        browser.until(&format!("document.body.innerText.includes({})", json!(fact))).await;
    }
    browser.see("no answer in time").await;
    // Our conclusion is one thing, and what the provider answered another.
    browser.shows(".verdict", "the provider answered with an error").await;
    browser.reads("[data-provider-error]", "odd_code").await;
    for said in ["<script>alert(1)</script> try later", "400", "text/html", "<html>sorry"] {
        let said = format!("document.querySelector('[data-answer]').innerText.includes({})", json!(said));
        browser.until(&said).await;
    }
    browser.picture("connection-warnings").await;
    assert_fits(&browser).await;

    // A warning begins with an event, which the history tells.
    open(&browser, &server, &format!("connections/{}", connected[1].0)).await;
    browser.until("document.querySelector('[data-warning=lifetime_invalid]')").await;
    browser.shows(".history", "Warning").await;
    browser.picture("connection-warned").await;
    assert_both_languages(
        &browser,
        &server,
        &[(&format!("connections/{}", connected[0].0), "connection 0", "connection 0")],
    )
    .await;
    assert_calm(&browser, &server, &[]).await;
}

in_both_languages!(
    what_refreshes_do_to_refresh_tokens_is_shown_and_reset_by_an_administrator,
    "rotation in the admin page"
);

async fn what_refreshes_do_to_refresh_tokens_is_shown_and_reset_by_an_administrator(browser: Browser) {
    let practice = Practice::with(Options { rotation: Rotation::Strict, ..Options::default() });
    let server = Server::start().await;
    let admin = server.admin();
    let mut definition = practice.definition();
    definition.as_object_mut().unwrap().remove("rotates");
    admin.post("/api/providers", &definition).await.expect(200);
    let profile = practice.profile(&admin, "Practice", grantry::simulator::CLIENT_SECRET).await;
    let connected = practice.connect(&admin, profile, 1, false).await;
    logged_in(&browser, &server).await;
    let view = format!("profiles/{profile}");
    open(&browser, &server, &view).await;
    browser.see("What is unknown is treated as a new one with each refresh.").await;
    assert_eq!(browser.run("return document.querySelector('[data-reset-rotation]')").await, Value::Null);

    admin.post(&format!("/api/connections/{}/refresh", connected[0].0), &json!({})).await.expect(200);
    open(&browser, &server, "overview").await;
    open(&browser, &server, &view).await;
    browser.see("A new one with each refresh").await;
    browser.picture("profile-rotation").await;
    assert_fits(&browser).await;

    browser.click("[data-refresh-scope]").await;
    browser.click("dialog input[value=requested]").await;
    browser.picture("profile-refresh-scope").await;
    assert_fits(&browser).await;
    browser.click("dialog button.main").await;
    browser.until("document.querySelector('dialog') === null").await;
    browser.see("The requested scopes, as far as granted").await;
    let path = format!("/api/custom_oauth_profiles/{profile}/registration");
    assert_eq!(admin.get(&path).await.expect(200)["result"]["refresh_scope"], "requested");
    browser.click("[data-refresh-scope]").await;
    browser.until("document.querySelector('dialog input[value=requested]').checked").await;
    browser.click("dialog input[value=default]").await;
    browser.click("dialog button.main").await;
    browser.until("document.querySelector('dialog') === null").await;
    browser.see("As the provider's definition has it").await;
    assert_eq!(admin.get(&path).await.expect(200)["result"]["refresh_scope"], Value::Null);

    browser.click("[data-reset-rotation]").await;
    browser.see("a refresh token can be sent twice").await;
    browser.picture("profile-reset-rotation").await;
    assert_fits(&browser).await;
    browser.click("[data-confirm]").await;
    browser.see("The rotation is reset.").await;
    browser.until("document.querySelector('[data-reset-rotation]') === null").await;
    assert_eq!(admin.get(&path).await.expect(200)["result"]["rotation"]["observed"], Value::Null);

    // An operator sees it, and cannot reset it.
    admin.post(&format!("/api/connections/{}/refresh", connected[0].0), &json!({})).await.expect(200);
    let other = json!({"name": "two", "email": "two@example.com", "role": "admin", "password": super::PASSWORD});
    admin.post("/api/users", &other).await.expect(200);
    admin.put("/api/users/1", &json!({"role": "operator"})).await.expect(200);
    browser.open_url(&format!("{}/?again", server.url)).await;
    open(&browser, &server, &view).await;
    browser.until("document.querySelector('[data-refresh-scope]')").await;
    assert_eq!(browser.run("return document.querySelector('[data-reset-rotation]')").await, Value::Null);
    assert_both_languages(&browser, &server, &[(&view, "Practice", "Practice")]).await;
    assert_calm(&browser, &server, &[]).await;
}
