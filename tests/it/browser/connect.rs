//! Accounts are connected, in each way.

use serde_json::json;

use super::{assert_both_languages, assert_calm, assert_fits, logged_in, open, settled};
use crate::support::{Server, browser::Browser, person::Person, practice::Practice};

in_both_languages!(an_account_is_connected_by_a_link_and_the_page_says_which_one_it_is, "connecting in the admin page");

async fn an_account_is_connected_by_a_link_and_the_page_says_which_one_it_is(browser: Browser) {
    let practice = Practice::with(grantry::simulator::Options::default());
    let server = Server::start().await;
    let profile = practice.introduce(&server.admin()).await;
    logged_in(&browser, &server).await;
    open(&browser, &server, "connect").await;
    browser.click(&format!("[data-choose='{profile}']")).await;
    browser.see("In which way?").await;
    settled(&browser).await;
    browser.fill("[name=name]", "Alice's mail").await;
    browser.fill("[name=owner]", "alice").await;
    browser.picture("connect-settings").await;
    assert_fits(&browser).await;
    browser.click("main form button.main").await;
    browser.see("Waiting until somebody has said yes").await;
    browser.picture("connect-link").await;
    assert_fits(&browser).await;
    let link = browser.run("return document.querySelector('[data-open]').href").await.as_str().unwrap().to_owned();

    // Somebody opens it, in a browser of their own.
    let alice = Person::before(&server);
    let page = alice.open(&link).await;
    let form = [("account", "alice@practice.example"), ("decision", "approve")];
    alice.submit(&page.url, &form).await;
    browser.until("document.querySelector('[data-connected]')").await;
    browser.see("@practice.example").await;
    browser.picture("connected").await;
    assert_fits(&browser).await;

    // Once more, with the same connection: another account is not taken in silence.
    browser.click("main .card a.main").await;
    browser.until("document.title.startsWith(\"Alice's mail\")").await;
    settled(&browser).await;
    browser.click("main a[href*='connect?connection_id']").await;
    browser.see("Another account may take its place").await;
    assert_both_languages(
        &browser,
        &server,
        &[
            ("connect", "Connect an account", "アカウントを接続"),
            (&format!("connect?profile_id={profile}"), "Connect an account", "アカウントを接続"),
            ("connect?connection_id=1", "Reconnect", "再接続"),
        ],
    )
    .await;
    assert_calm(&browser, &server, &[]).await;
}

in_both_languages!(
    the_apps_own_credentials_a_device_and_a_refresh_token_connect_too,
    "other ways to connect in the admin page"
);

async fn the_apps_own_credentials_a_device_and_a_refresh_token_connect_too(browser: Browser) {
    let practice = Practice::with(grantry::simulator::Options::default());
    let server = Server::start().await;
    let profile = practice.introduce(&server.admin()).await;
    logged_in(&browser, &server).await;
    let begin = async |way: &str| {
        open(&browser, &server, "connect").await;
        browser.click(&format!("[data-choose='{profile}']")).await;
        browser.click(&format!("input[value={way}]")).await;
    };
    begin("client_credentials").await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-connected]')").await;

    begin("import").await;
    browser.click("main form button.main").await;
    browser.reads("[data-fault=refresh_token]", "Please fill this in.").await;
    let made = practice.control("grants", json!({"count": 1})).await;
    browser.fill("[name=refresh_token]", made["grants"][0]["refresh_token"].as_str().unwrap()).await;
    browser.picture("connect-import").await;
    assert_fits(&browser).await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-connected]')").await;

    begin("device").await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-code]')").await;
    browser.picture("connect-device").await;
    assert_fits(&browser).await;
    let code = browser.run("return document.querySelector('[data-code]').textContent").await;
    let person = Person::before(&server);
    let form = [("user_code", code.as_str().unwrap()), ("account", "bob@practice.example"), ("decision", "approve")];
    let page = person.submit(&format!("{}/device", practice.url()), &form).await;
    assert!(page.answer.text().contains("The device is connected"), "{}", page.answer.text());
    browser.until("document.querySelector('[data-connected]')").await;
    browser.see("@practice.example").await;
    assert_calm(&browser, &server, &[]).await;
}
