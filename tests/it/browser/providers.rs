//! Providers: the catalogue, and one's own.

use serde_json::json;

use super::{assert_both_languages, assert_calm, assert_fits, logged_in, open};
use crate::support::{Server, browser::Browser, practice::Practice};

in_both_languages!(
    a_provider_is_found_overridden_added_by_hand_and_by_its_issuer_and_deleted,
    "providers in the admin page"
);

async fn a_provider_is_found_overridden_added_by_hand_and_by_its_issuer_and_deleted(browser: Browser) {
    let practice = Practice::with(grantry::simulator::Options::default());
    let server = Server::start().await;
    logged_in(&browser, &server).await;
    open(&browser, &server, "providers").await;
    browser.until("document.querySelectorAll('tbody tr').length > 90").await;
    browser.fill("[type=search]", "sales").await;
    browser.until("document.querySelectorAll('tbody tr').length < 5").await;
    browser.click("tbody th a[href='#/providers/salesforce']").await;
    browser.see("https://{domain}.salesforce.com/services/oauth2/token").await;

    // One that came along is overridden: faults name their place, and deleting brings the first one back.
    browser.click("main a[href='#/providers/salesforce/edit']").await;
    browser.see("Override").await;
    browser
        .run(
            "const area = document.querySelector('[name=json]');
            area.value = JSON.stringify({...JSON.parse(area.value), name: 'Our Salesforce', colour: 1});
            area.dispatchEvent(new Event('input', {bubbles: true}))",
        )
        .await;
    browser.click("main form button.main").await;
    browser.shows("[data-fault=json]", "colour: ").await;
    browser.shows("[data-fault=json]", "This is not known here.").await;
    assert_fits(&browser).await;
    browser
        .run(
            "const area = document.querySelector('[name=json]');
            const {colour, ...rest} = JSON.parse(area.value); area.value = JSON.stringify(rest)",
        )
        .await;
    browser.click("main form button.main").await;
    browser.reads("h1", "Our Salesforce").await;
    browser.click("[data-delete]").await;
    browser.click("[data-confirm]").await;
    browser.see("The provider is deleted.").await;
    open(&browser, &server, "providers/salesforce").await;
    browser.reads("h1", "Salesforce").await;

    open(&browser, &server, "providers/new").await;
    browser.fill("[name=name]", "Practice here").await;
    browser.fill("[name=slug]", "A b").await;
    browser.fill("[name=issuer]", practice.url()).await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-fault=slug]').textContent !== ''").await;
    browser.fill("[name=slug]", "practice_here").await;
    browser.click("main form button.main").await;
    browser.until("location.hash === '#/providers/practice_here'").await;
    browser.see(&format!("{}/token", practice.url())).await;

    open(&browser, &server, "providers/new?way=hand").await;
    browser.fill("[name=name]", "By hand").await;
    browser.fill("[name=slug]", "by_hand").await;
    browser.fill("[name=authorize_url]", "https://hand.example/authorize").await;
    browser.fill("[name=token_url]", "https://hand.example/token").await;
    browser.fill("[name=scopes]", "read offline").await;
    browser.fill("[name=unechoed]", "offline").await;
    browser.choose("[name=rotates]", "false").await;
    browser.choose("[name=refresh_scope]", "granted").await;
    browser.picture("provider-by-hand").await;
    assert_fits(&browser).await;
    browser.click("main form button.main").await;
    browser.until("location.hash === '#/providers/by_hand'").await;
    browser.see("Stays the same").await;
    browser.see("The granted scopes").await;
    let made = server.admin().get("/api/providers/by_hand").await.expect(200)["result"].clone();
    assert_eq!(
        (&made["rotates"], &made["refresh_scope"], &made["unechoed_scopes"]),
        (&json!(false), &json!("granted"), &json!(["offline"]))
    );
    open(&browser, &server, "providers?origin=operator").await;
    browser.until("document.querySelectorAll('tbody tr').length === 2").await;
    assert_both_languages(
        &browser,
        &server,
        &[
            ("providers", "Providers", "プロバイダー"),
            ("providers/salesforce", "Salesforce", "Salesforce"),
            ("providers/new", "Add a provider", "プロバイダーを追加"),
            ("providers/by_hand/edit", "Change", "変更"),
        ],
    )
    .await;
    assert_calm(&browser, &server, &["status of 400", "status of 400"]).await;
}
