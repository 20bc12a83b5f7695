//! What does not come about, or is ended on purpose, is said as it is.

use serde_json::json;

use super::{assert_calm, logged_in, open, settled};
use crate::support::{Server, browser::Browser, person::Person, practice::Practice};

#[tokio::test]
async fn a_device_that_somebody_turned_down_is_not_waited_for() {
    let Some(browser) = Browser::start("a refused device in the admin page").await else { return };
    let practice = Practice::with(grantry::simulator::Options { device_interval_s: 1, ..Default::default() });
    let server = Server::start().await;
    let profile = practice.introduce(&server.admin()).await;
    logged_in(&browser, &server).await;
    open(&browser, &server, &format!("connect?profile_id={profile}")).await;
    browser.click("input[value=device]").await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-code]')").await;
    let code = browser.run("return document.querySelector('[data-code]').textContent").await;
    let person = Person::before(&server);
    let form = [("user_code", code.as_str().unwrap()), ("account", "bob@practice.example"), ("decision", "deny")];
    person.submit(&format!("{}/device", practice.url()), &form).await;
    browser.see("Not connected: somebody said no.").await;
    // From here it goes on with the same connection.
    browser.click(".waiting a[href='#/connect?connection_id=1']").await;
    browser.see("Reconnect").await;
    assert_calm(&browser, &server, &[]).await;
}

#[tokio::test]
async fn a_connection_that_is_gone_is_not_waited_for() {
    let Some(browser) = Browser::start("a connection that goes in the admin page").await else { return };
    let practice = Practice::with(grantry::simulator::Options::default());
    let server = Server::start().await;
    let profile = practice.introduce(&server.admin()).await;
    logged_in(&browser, &server).await;
    open(&browser, &server, &format!("connect?profile_id={profile}")).await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-open]')").await;
    server.admin().delete("/api/connections/1").await.expect(200);
    browser.see("It has ended, and nobody said yes.").await;
    browser.until("document.querySelector('.waiting a')?.hash === '#/connect'").await;
    assert_calm(&browser, &server, &["status of 404"]).await;
}

#[tokio::test]
async fn what_was_disconnected_here_is_not_laid_at_the_providers_door() {
    let Some(browser) = Browser::start("a disconnected account in the admin page").await else { return };
    let practice = Practice::with(grantry::simulator::Options::default());
    let server = Server::start().await;
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 1, false).await;
    let id = connected[0].0;
    admin.post(&format!("/api/connections/{id}/disconnect"), &json!({})).await.expect(200);
    logged_in(&browser, &server).await;
    open(&browser, &server, &format!("connections/{id}")).await;
    for (language, here, token) in
        [("en", "It was disconnected here.", "Refresh token"), ("ja", "ここで切断されました。", "リフレッシュトークン")]
    {
        browser.click(&format!("[data-language={language}]")).await;
        browser.until(&format!("document.documentElement.lang === '{language}'")).await;
        settled(&browser).await;
        browser.see(here).await;
        browser.see(token).await;
        let text = browser.text().await;
        assert!(!text.contains("has ended this grant") && !text.contains("refresh_token"), "{text}");
    }
    assert_calm(&browser, &server, &[]).await;
}

#[tokio::test]
async fn the_first_steps_stay_until_an_account_is_connected() {
    let Some(browser) = Browser::start("the first steps in the admin page").await else { return };
    let practice = Practice::with(grantry::simulator::Options::default());
    let server = Server::start().await;
    let admin = server.admin();
    logged_in(&browser, &server).await;
    browser.until("document.querySelector('.empty ol a.main')?.hash === '#/profiles/new'").await;
    let profile = practice.introduce(&admin).await;
    browser.until("document.querySelector('.empty ol a.main')?.hash === '#/connect'").await;
    practice.connect(&admin, profile, 1, false).await;
    browser.until("document.querySelector('.attention') && !document.querySelector('.empty ol')").await;
    assert_calm(&browser, &server, &[]).await;
}

#[tokio::test]
async fn a_fault_beside_a_field_names_what_can_be_mended_there() {
    let Some(browser) = Browser::start("faults beside fields in the admin page").await else { return };
    let practice = Practice::with(grantry::simulator::Options::default());
    let server = Server::start().await;
    let profile = practice.introduce(&server.admin()).await;
    logged_in(&browser, &server).await;
    // With an issuer nobody is asked for a token endpoint that the form does not have.
    open(&browser, &server, "providers/new?way=issuer").await;
    browser.fill("[name=name]", "Mine").await;
    browser.fill("[name=slug]", "Mine!").await;
    browser.fill("[name=issuer]", "https://login.example.com").await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-fault=slug]')?.textContent").await;
    assert!(!browser.text().await.contains("token_url"));
    browser.run("document.querySelector('main form').clean()").await;
    // The secret that is there already has no name that somebody else could have.
    open(&browser, &server, &format!("profiles/{profile}")).await;
    browser.click("[data-next]").await;
    browser.fill("dialog [name=secret]", "practice-secret").await;
    browser.click("dialog button.main").await;
    browser.see("This has to be another secret than the current one.").await;
    browser.run("document.querySelector('dialog').close()").await;
    assert_calm(&browser, &server, &["status of 400", "status of 400"]).await;
}
