//! API tokens: made, shown once, revoked.

use super::{assert_both_languages, assert_calm, assert_fits, logged_in, open};
use crate::support::{Server, browser::Browser};

in_both_languages!(a_token_is_made_with_its_limits_shown_once_and_revoked, "API tokens in the admin page");

async fn a_token_is_made_with_its_limits_shown_once_and_revoked(browser: Browser) {
    let server = Server::start().await;
    logged_in(&browser, &server).await;
    open(&browser, &server, "tokens/new").await;
    browser.click("main form button.main").await;
    browser.reads("[data-fault=scopes]", "Please fill this in.").await;
    browser.fill("[name=name]", "deploy <b>script</b>").await;
    browser.click("input[value='profiles:read']").await;
    browser.choose("[name=days]", "other").await;
    browser.fill("[name=other]", "4000").await;
    browser.fill("[name=addresses]", "127.0.0.0/8\n::1").await;
    browser.fill("[name=owner]", "ann").await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-fault=other]').textContent !== ''").await;
    assert_fits(&browser).await;
    browser.fill("[name=other]", "7").await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-secret]')").await;
    browser.picture("token-once").await;
    assert_fits(&browser).await;
    let token = browser.run("return document.querySelector('[data-secret]').textContent").await;
    let token = token.as_str().unwrap().to_owned();
    let caller = server.anybody().bearer(&token);
    assert_eq!(caller.get("/api/custom_oauth_profiles").await.status, 200);
    assert_eq!(caller.get("/api/users").await.status, 401);
    // Escape does not lose it: it cannot be shown again.
    browser.press("\u{e00c}").await;
    browser.click("[data-close]").await;
    browser.until("location.hash === '#/tokens' && document.querySelector('[data-revoke]')").await;
    browser.see("deploy <b>script</b>").await;
    browser.see("ends soon").await;
    browser.see("127.0.0.0/8").await;
    browser.see(browser.either("Owner: ann", "所有者: ann")).await;
    assert!(!browser.run("return document.documentElement.outerHTML").await.as_str().unwrap().contains(&token));
    open(&browser, &server, "tokens?q=profiles%3Aread").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    browser.click("[data-revoke]").await;
    browser.see("Programs that use it are turned away from now on.").await;
    browser.picture("token-revoke").await;
    browser.click("[data-confirm]").await;
    browser.see("Nothing fits").await;
    assert_eq!(caller.get("/api/custom_oauth_profiles").await.status, 401);
    assert_both_languages(
        &browser,
        &server,
        &[("tokens", "API tokens", "API トークン"), ("tokens/new", "New API token", "API トークンを追加")],
    )
    .await;
    assert_calm(&browser, &server, &["status of 400"]).await;
}
