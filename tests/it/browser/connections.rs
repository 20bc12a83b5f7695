//! Connections: what is wrong with them, and what can be done.

use serde_json::json;

use super::{assert_both_languages, assert_calm, assert_calm_but_gone, assert_fits, logged_in, open, settled};
use crate::support::{Server, browser::Browser, practice::Practice};

in_both_languages!(connections_are_found_by_what_is_wrong_and_mended_or_ended, "connections in the admin page");

async fn connections_are_found_by_what_is_wrong_and_mended_or_ended(browser: Browser) {
    let practice = Practice::with(grantry::simulator::Options::default());
    let server = Server::start().await;
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 4, false).await;
    let path = |at: usize| format!("/api/connections/{}", connected[at].0);
    admin.get(&format!("{}/token", path(0))).await.expect(200);
    logged_in(&browser, &server).await;
    open(&browser, &server, "connections").await;
    browser.until("document.querySelectorAll('tbody tr').length === 4").await;

    practice.fault("refresh", "error:invalid_grant").await;
    admin.post(&format!("{}/refresh", path(1)), &json!({})).await;
    browser.until("document.querySelectorAll('tbody .badge.bad').length === 1").await;
    browser.picture("connections-filled").await;
    browser.click("[data-key='state-lost']").await;
    browser
        .until("location.hash === '#/connections?state=lost' && document.querySelectorAll('tbody tr').length === 1")
        .await;
    browser.see("grant ended or revoked").await;
    browser.click("tbody th a").await;
    browser.until("document.querySelector('[data-state=lost]')").await;
    browser.see("owner has to authorize access again").await;
    browser.shows(".verdict", "the provider rejected the grant").await;
    browser.reads("[data-provider-error]", "invalid_grant").await;
    browser.picture("connection-lost").await;
    assert_fits(&browser).await;
    browser.back().await;
    browser.until("document.querySelector('[data-key=\"state-lost\"]')?.ariaPressed === 'true'").await;

    // One that works: refreshed by hand, changed, and its history tells.
    let id = connected[0].0;
    open(&browser, &server, &format!("connections/{id}")).await;
    browser.until("document.querySelector('[data-state=ok]')").await;
    browser.click("[data-refresh]").await;
    browser.see("Refreshed: the access token is a new one.").await;
    browser.until("document.querySelectorAll('.history li').length >= 2").await;
    browser.see("1 access token was handed out, the last one").await;
    browser.click("[data-edit]").await;
    browser.fill("dialog [name=name]", "<img src=x onerror=alert(1)>").await;
    browser.click("dialog button.main").await;
    browser.reads("h1", "<img src=x onerror=alert(1)>").await;
    browser.picture("connection").await;
    assert_fits(&browser).await;

    // What is refused is said: the provider is out.
    practice.faults("refresh", "status:503").await;
    browser.click("[data-refresh]").await;
    browser.until("document.querySelector('[data-state=provider]')").await;
    browser.see("Not refreshed:").await;
    assert!(
        !browser.text().await.contains("Refreshed: the access token is a new one."),
        "nothing is said that is not so"
    );
    practice.mend().await;

    browser.click("[data-disconnect]").await;
    browser.see("has taken tokens of it lately").await;
    browser.picture("connection-disconnect").await;
    assert_fits(&browser).await;
    browser.click("[data-confirm]").await;
    browser
        .until("document.querySelector('[data-disconnect]') === null && document.querySelector('dialog') === null")
        .await;
    settled(&browser).await;
    assert_calm(&browser, &server, &[]).await;
    browser.click("[data-delete]").await;
    browser.click("[data-confirm]").await;
    browser.see("The connection is deleted.").await;
    browser.until("location.hash === '#/connections' && document.querySelectorAll('tbody tr').length === 3").await;
    assert_calm_but_gone(&browser, &path(0)).await;
    open(&browser, &server, &format!("connections?profile_id={profile}&q=nothing")).await;
    browser.see("Nothing fits").await;
    assert_both_languages(
        &browser,
        &server,
        &[
            ("connections", "Connections", "接続"),
            (&format!("connections/{}", connected[1].0), "connection 1", "connection 1"),
            (&format!("connections/{}", connected[2].0), "connection 2", "connection 2"),
        ],
    )
    .await;
    assert_calm(&browser, &server, &[]).await;
}
