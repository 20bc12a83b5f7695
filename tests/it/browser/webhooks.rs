//! Webhooks: made, tried, their deliveries sent again, deleted.

use grantry::simulator::{Options, Rotation};
use serde_json::json;

use super::{assert_both_languages, assert_calm, assert_fits, logged_in, open};
use crate::support::{
    Server,
    browser::Browser,
    practice::Practice,
    receiver::{Receiver, Reply},
};

in_both_languages!(a_webhook_is_made_tried_and_what_nobody_took_is_sent_again, "webhooks in the admin page");

async fn a_webhook_is_made_tried_and_what_nobody_took_is_sent_again(browser: Browser) {
    let practice = Practice::with(Options { rotation: Rotation::None, ..Options::default() });
    let server = Server::start().await;
    let receiver = Receiver::start(Reply::Status(200)).await;
    logged_in(&browser, &server).await;
    open(&browser, &server, "webhooks").await;
    browser.see("No webhooks yet").await;
    open(&browser, &server, "webhooks/new").await;
    browser.fill("[name=url]", "ftp://nowhere").await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-fault=url]').textContent !== ''").await;
    browser.fill("[name=url]", &receiver.url).await;
    assert_fits(&browser).await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-secret]')").await;
    browser.picture("webhook-secret").await;
    let secret = browser.run("return document.querySelector('[data-secret]').textContent").await;
    browser.click("[data-close]").await;
    browser.until("location.hash === '#/webhooks/1' && document.querySelector('[data-test]')").await;

    // The ping arrives, signed; where it does not, the page says why.
    browser.click("[data-test]").await;
    browser.until("document.querySelector('[data-delivered=true]')").await;
    assert!(receiver.wait_for(1).await[0].is_signed_with(secret.as_str().unwrap()));
    receiver.always(Reply::Status(410));
    browser.click("[data-test]").await;
    browser.until("document.querySelector('[data-delivered=false]')").await;
    browser.picture("webhook-tested").await;
    assert_fits(&browser).await;

    // Something happens, and nobody takes it; it is sent again by hand.
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    practice.connect(&admin, profile, 1, false).await;
    browser.until("document.querySelector('tbody tr .badge')").await;
    browser.see("Connected").await;
    browser.reads("tbody tr .badge", "waiting").await;
    receiver.always(Reply::Status(200));
    browser.click("[data-retry]").await;
    browser.reads("tbody tr .badge", "delivered").await;
    open(&browser, &server, "webhooks/1?status=delivered").await;
    browser.click("[data-renew]").await;
    browser.see("The present secret stops at once").await;
    browser.click("[data-confirm]").await;
    browser.until("document.querySelector('[data-secret]')").await;
    assert_ne!(browser.run("return document.querySelector('[data-secret]').textContent").await, secret);
    browser.click("[data-close]").await;
    open(&browser, &server, "webhooks/1/edit").await;
    browser.click("input[value=healed]").await;
    browser.click("[name=enabled]").await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-test]')").await;
    let now = admin.get("/api/webhooks/1").await.expect(200);
    assert_eq!((&now["result"]["enabled"], now["result"]["events"].as_array().unwrap().len()), (&json!(false), 1));
    assert_both_languages(
        &browser,
        &server,
        &[
            ("webhooks", "Webhooks", "Webhook"),
            ("webhooks/1", "127.0.0.1", "127.0.0.1"),
            ("webhooks/new", "New webhook", "Webhook を追加"),
        ],
    )
    .await;
    open(&browser, &server, "webhooks/1").await;
    browser.click("[data-delete]").await;
    browser.click("[data-confirm]").await;
    browser.see("No webhooks yet").await;
    assert_calm(&browser, &server, &["status of 400"]).await;
}
