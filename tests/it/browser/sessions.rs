//! A session ends while somebody is typing: the page says so, asks for a login over what is there, and loses nothing of it;
//! and whoever else logs in there sees nothing of it.

use serde_json::{Value, json};

use super::{PASSWORD, assert_calm_but, logged_in, open, settled};
use crate::support::{Caller, Server, browser::Browser};

const ENDED: &str = "Your session has ended";
const TYPED: [(&str, &str); 4] = [
    ("provider", "hubspot"),
    ("name", "Half a name"),
    ("client_id", "half an id"),
    ("client_secret", "PLANTED half a secret"),
];

/// A profile that is not sent yet.
async fn half_filled(browser: &Browser, server: &Server) {
    open(browser, server, "profiles/new").await;
    browser.choose("[name=provider]", TYPED[0].1).await;
    for (name, text) in &TYPED[1..] {
        browser.fill(&format!("[name={name}]"), text).await;
    }
}

async fn log_in_again(browser: &Browser, name: &str) {
    browser.see(ENDED).await;
    browser.fill("dialog:last-of-type [name=name]", name).await;
    browser.fill("dialog:last-of-type [name=password]", PASSWORD).await;
    browser.click("dialog:last-of-type button.main").await;
}

/// Who logs in again finds each field as it was, and Save works; `sent`: it was pressed before.
async fn assert_goes_on(browser: &Browser, server: &Server, sent: bool) {
    for (name, text) in TYPED {
        let there = browser.run(&format!("return document.querySelector('main [name={name}]').value")).await;
        assert_eq!(there, text, "{name}");
    }
    log_in_again(browser, "ann").await;
    browser.until("document.querySelector('dialog') === null").await;
    // What was refused is sent once more by itself.
    if !sent {
        for (name, text) in TYPED {
            let there = browser.run(&format!("return document.querySelector('main [name={name}]').value")).await;
            assert_eq!(there, text, "{name}");
        }
        browser.click("main form button.main").await;
    }
    browser.until("document.title.startsWith('Half a name')").await;
    let kept = server.admin().get("/api/custom_oauth_profiles/1").await.expect(200);
    assert_eq!(
        (&kept["result"]["name"], &kept["result"]["data"]["client_id"]),
        (&json!("Half a name"), &json!("half an id"))
    );
    assert_calm_but(browser, server, "status of 401").await;
}

/// Nothing of what the first one typed or was shown is on the page.
async fn assert_nothing_left(browser: &Browser, words: &[&str]) {
    browser.until("document.querySelector('.who bdi')?.textContent === 'bob'").await;
    settled(browser).await;
    let all = "[document.documentElement.outerHTML, document.title, location.href, ...[...document.querySelectorAll('input, select, textarea')].map((input) => input.value)].join('\\n')";
    let page = browser.run(&format!("return {all}")).await;
    for word in words {
        assert!(!page.as_str().unwrap().contains(word), "{word} is still there");
    }
    assert_eq!(browser.run("return document.querySelectorAll('dialog').length").await, 0);
}

async fn bob(server: &Server, role: &str) {
    let draft = json!({"name": "bob", "email": "bob@example.com", "role": role, "password": PASSWORD});
    server.admin().post("/api/users", &draft).await.expect(200);
}

/// The caller that has this browser's cookie, as a thief would.
async fn thief(browser: &Browser, server: &Server) -> Caller {
    server.anybody().header("cookie", &browser.cookie("grantry").await).header("sec-fetch-site", "same-origin")
}

fn database(server: &Server) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(server.data().join("grantry.db")).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    db
}

#[tokio::test]
async fn one_that_was_stolen_is_ended_from_the_list_of_sessions_and_the_page_says_so_by_itself() {
    let Some(browser) = Browser::start("stolen sessions of the admin page").await else { return };
    let server = Server::start().await;
    logged_in(&browser, &server).await;
    half_filled(&browser, &server).await;
    let thief = thief(&browser, &server).await;
    thief.get("/api/custom_oauth_profiles").await.expect(200);

    // She sees it in her list, at another machine, and ends all but the one that she has there.
    let log_in = json!({"name": "ann", "password": PASSWORD});
    let elsewhere = server.anybody().post("/session", &log_in).await;
    let cookie = elsewhere.header("set-cookie").split(';').next().unwrap().to_owned();
    let elsewhere = server.anybody().header("cookie", &cookie).header("sec-fetch-site", "same-origin");
    let sessions = elsewhere.get("/api/sessions").await.expect(200);
    assert_eq!(sessions["result"].as_array().unwrap().len(), 2, "{sessions}");
    elsewhere.delete("/api/sessions?except=current").await.expect(200);
    thief.get("/api/custom_oauth_profiles").await.expect(401);

    // Nobody presses anything: the stream of changes ends with its session.
    browser.see(ENDED).await;
    assert_goes_on(&browser, &server, false).await;
}

#[tokio::test]
async fn one_that_has_expired_is_begun_again_over_what_was_typed() {
    let Some(browser) = Browser::start("expired sessions of the admin page").await else { return };
    let server = Server::start().await;
    logged_in(&browser, &server).await;
    half_filled(&browser, &server).await;
    // Half an hour passes without a sign of life, as far as the server knows.
    assert_eq!(database(&server).execute("UPDATE sessions SET last_seen_at = last_seen_at - 1800000", []), Ok(1));
    browser.click("main form button.main").await;
    browser.see(ENDED).await;
    assert_goes_on(&browser, &server, true).await;
}

#[tokio::test]
async fn one_that_an_administrator_ended_is_begun_again_also_over_a_dialog() {
    let Some(browser) = Browser::start("revoked sessions of the admin page").await else { return };
    let server = Server::start().await;
    let admin = server.admin();
    logged_in(&browser, &server).await;
    open(&browser, &server, "users").await;
    browser.click(".head [data-new]").await;
    browser.fill("dialog [name=name]", "carol").await;
    browser.fill("dialog [name=email]", "carol@example.com").await;
    browser.fill("dialog [name=password]", "PLANTED of carol, long").await;
    // A new password ends all sessions of its user.
    let users = admin.get("/api/users").await.expect(200);
    let path = format!("/api/users/{}", users["result"][0]["id"]);
    admin.put(&path, &json!({"password": PASSWORD})).await.expect(200);
    browser.click("dialog button.main").await;
    log_in_again(&browser, "ann").await;
    // The request that was refused is sent once more by itself, and the dialog has done its work.
    browser
        .until("document.querySelector('dialog') === null && document.querySelectorAll('tbody tr').length === 2")
        .await;
    let log_in = json!({"name": "carol", "password": "PLANTED of carol, long"});
    assert_eq!(server.anybody().post("/session", &log_in).await.status, 200);
    assert_calm_but(&browser, &server, "status of 401").await;
}

#[tokio::test]
async fn one_that_ended_in_another_tab_is_over_in_this_one_and_nothing_is_lost() {
    let Some(browser) = Browser::start("two tabs of the admin page").await else { return };
    let server = Server::start().await;
    logged_in(&browser, &server).await;
    half_filled(&browser, &server).await;
    browser.open_tab().await;
    open(&browser, &server, "overview").await;
    browser.click("[data-logout]").await;
    browser.see("Log in").await;
    browser.close_tab().await;
    // It is said before anything is pressed.
    browser.see(ENDED).await;
    // Not now: also the language may be changed, and everything is there still.
    browser.click("dialog .actions button[type=button]").await;
    browser.until("document.querySelector('dialog') === null").await;
    browser.click("[data-language=ja]").await;
    browser.until("document.querySelector('dialog')").await;
    browser.press("\u{e00c}").await;
    browser.until("document.querySelector('dialog') === null").await;
    browser.click("[data-language=en]").await;
    browser.see(ENDED).await;
    assert_goes_on(&browser, &server, false).await;
}

#[tokio::test]
async fn whose_user_is_deleted_cannot_go_on_and_who_comes_instead_sees_nothing_of_it() {
    let Some(browser) = Browser::start("deleted users in the admin page").await else { return };
    let server = Server::start().await;
    let admin = server.admin();
    logged_in(&browser, &server).await;
    bob(&server, "operator").await;
    half_filled(&browser, &server).await;
    let users = admin.get("/api/users").await.expect(200);
    let other = json!({"name": "boss", "email": "boss@example.com", "role": "admin", "password": PASSWORD});
    admin.post("/api/users", &other).await.expect(200);
    admin.delete(&format!("/api/users/{}", users["result"][0]["id"])).await.expect(200);
    browser.click("main form button.main").await;
    log_in_again(&browser, "ann").await;
    browser.see("Name or password is wrong.").await;
    log_in_again(&browser, "bob").await;
    assert_nothing_left(&browser, &TYPED.map(|(name, text)| if name == "provider" { "ann@" } else { text })).await;
    // Nor was it saved in his name, and what he does is his.
    let profiles = admin.get("/api/custom_oauth_profiles").await.expect(200);
    assert_eq!(profiles["result"].as_array().unwrap().len(), 0, "{profiles}");
    half_filled(&browser, &server).await;
    browser.click("main form button.main").await;
    browser.until("document.title.startsWith('Half a name')").await;
    assert_calm_but(&browser, &server, "status of 401").await;
}

#[tokio::test]
async fn who_logs_in_instead_finds_no_secret_no_dialog_and_no_list_of_the_first_one() {
    let Some(browser) = Browser::start("another user of the admin page").await else { return };
    let server = Server::start().await;
    logged_in(&browser, &server).await;
    bob(&server, "viewer").await;
    // A token that is shown this once, and a list that is for administrators.
    open(&browser, &server, "tokens/new").await;
    browser.fill("[name=name]", "Ann's own token").await;
    browser.click("input[value='profiles:read']").await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-secret]')").await;
    let token = browser.run("return document.querySelector('[data-secret]').textContent").await;
    database(&server).execute("DELETE FROM sessions", []).unwrap();
    // Another tab finds out; here the storage says so.
    browser.run("dispatchEvent(new StorageEvent('storage', {key: 'grantry.session', newValue: null}))").await;
    log_in_again(&browser, "bob").await;
    assert_nothing_left(&browser, &[token.as_str().unwrap(), "Ann's own token"]).await;
    assert_eq!(browser.run("return document.querySelector('nav a[href=\"#/users\"]')").await, Value::Null);
    assert_calm_but(&browser, &server, "status of 401").await;
}

#[tokio::test]
async fn somebody_else_who_logs_in_in_another_tab_ends_what_the_first_one_did_in_this_one() {
    let Some(browser) = Browser::start("two users in two tabs of the admin page").await else { return };
    let server = Server::start().await;
    logged_in(&browser, &server).await;
    bob(&server, "operator").await;
    half_filled(&browser, &server).await;
    browser.open_tab().await;
    open(&browser, &server, "overview").await;
    browser.click("[data-logout]").await;
    browser.fill("main [name=name]", "bob").await;
    browser.fill("main [name=password]", PASSWORD).await;
    browser.click("main button.main").await;
    browser.until("document.querySelector('.who bdi')?.textContent === 'bob'").await;
    browser.close_tab().await;
    // The cookie is bob's by now: nothing of hers may be sent with it. The dialog that asked her is gone, too.
    assert_nothing_left(&browser, &["Half a name", "half an id", "PLANTED half a secret"]).await;
    let profiles = server.admin().get("/api/custom_oauth_profiles").await.expect(200);
    assert_eq!(profiles["result"].as_array().unwrap().len(), 0, "{profiles}");
    assert_calm_but(&browser, &server, "status of 401").await;
}

#[tokio::test]
async fn who_logs_in_again_in_one_tab_is_asked_in_no_other() {
    let Some(browser) = Browser::start("one login for all tabs of the admin page").await else { return };
    let server = Server::start().await;
    logged_in(&browser, &server).await;
    half_filled(&browser, &server).await;
    browser.open_tab().await;
    open(&browser, &server, "profiles").await;
    database(&server).execute("DELETE FROM sessions", []).unwrap();
    // Both find it out, each by itself.
    browser.other_tab().await;
    browser.click("main form button.main").await;
    browser.see(ENDED).await;
    browser.other_tab().await;
    browser.run("location.hash = '#/customers'").await;
    log_in_again(&browser, "ann").await;
    browser.until("document.querySelector('dialog') === null").await;
    browser.close_tab().await;
    // What was refused here is sent once more by itself.
    browser.until("document.querySelector('dialog') === null && document.title.startsWith('Half a name')").await;
    assert_calm_but(&browser, &server, "status of 401").await;
}

#[tokio::test]
async fn a_page_that_comes_back_as_it_was_left_looks_whose_session_it_is_now() {
    let Some(browser) = Browser::start("pages of the admin page that come back").await else { return };
    let server = Server::start().await;
    logged_in(&browser, &server).await;
    bob(&server, "operator").await;
    open(&browser, &server, "users").await;
    browser.open_url(&format!("{}/livez", server.url)).await;
    let log_in = json!({"name": "bob", "password": PASSWORD});
    let script = format!(
        "return fetch('/session', {{method: 'DELETE'}}).then(() => fetch('/session', {{method: 'POST', headers: \
         {{'Content-Type': 'application/json'}}, body: JSON.stringify({log_in})}})).then((answer) => answer.status)"
    );
    assert_eq!(browser.run(&script).await, 200);
    browser.back().await;
    assert_nothing_left(&browser, &["ann@example.com"]).await;
    assert_calm_but(&browser, &server, "status of 40").await;
}
