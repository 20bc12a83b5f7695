//! Profiles: made, checked, changed, given to customers, deleted.

use serde_json::{Value, json};

use super::{assert_both_languages, assert_calm, assert_calm_but_gone, assert_fits, logged_in, open};
use crate::support::{Server, browser::Browser, practice::Practice, profile_body};

in_both_languages!(
    an_app_is_registered_checked_given_a_second_secret_assigned_and_deleted,
    "profiles in the admin page"
);

async fn an_app_is_registered_checked_given_a_second_secret_assigned_and_deleted(browser: Browser) {
    let practice = Practice::with(grantry::simulator::Options::default());
    let server = Server::start().await;
    let admin = server.admin();
    practice.introduce(&admin).await;
    admin
        .post("/api/managed_users", &json!({"name": "Globex", "notification_email": "it@globex.example"}))
        .await
        .expect(200);
    logged_in(&browser, &server).await;

    // The provider's own hints stand beside the form, and the redirect URI to the letter.
    open(&browser, &server, "profiles/new").await;
    browser.click("main button.main").await;
    browser.reads("[data-fault=provider]", "Please fill this in.").await;
    browser.choose("[name=provider]", "salesforce").await;
    browser.see(browser.either("Salesforce domain", "Salesforce のドメイン")).await;
    browser.until("document.querySelector('.hints a[href^=\"https://help.salesforce.com\"]')").await;
    let redirect = format!("{}/oauth/callback", server.url);
    browser.see(&redirect).await;
    assert_fits(&browser).await;
    browser.choose("[name=provider]", "practice").await;
    browser.fill("[name=name]", "Practice").await;
    browser.fill("[name=client_id]", "practice").await;
    browser.fill("[name=client_secret]", "wrong").await;
    browser.click("main button.main").await;
    // The server's fault stands beside its field.
    browser.reads("[data-fault=name]", "Somebody else has this name.").await;
    browser.fill("[name=name]", "Mine").await;
    browser.click("main button.main").await;
    browser.titled("Mine").await;
    open(&browser, &server, "profiles").await;
    browser.until("document.querySelector('tbody tr:nth-child(2)')?.innerText.includes('ann')").await;
    open(&browser, &server, "profiles/2").await;
    browser.see(&redirect).await;

    browser.click("[data-check]").await;
    browser.until("document.querySelector('[data-verdict=rejected]')").await;
    browser
        .see(browser.either("the provider turns down client id and client secret", "クライアント ID とシークレット"))
        .await;
    browser.picture("profile-rejected").await;
    assert_fits(&browser).await;

    // A second secret, then the first one goes.
    browser.click("[data-next]").await;
    browser.fill("dialog [name=secret]", "practice-secret").await;
    browser.picture("profile-next-secret").await;
    assert_fits(&browser).await;
    browser.click("dialog button.main").await;
    browser.see("Next secret").await;
    browser.click("[data-expiry]").await;
    browser.run("const date = document.querySelector('dialog [name=next]'); date.value = '2099-05-06'; date.dispatchEvent(new Event('input', {bubbles: true}))").await;
    browser.click("dialog button.main").await;
    browser.see(browser.either("May 6, 2099", "2099/05/06")).await;
    browser.click("[data-promote]").await;
    browser.see("Put the next secret in place of the current one?").await;
    browser.click("[data-confirm]").await;
    browser
        .until("document.querySelector('[data-promote]') === null && document.querySelector('dialog') === null")
        .await;
    browser.click("[data-check]").await;
    browser.until("document.querySelector('[data-verdict=accepted]')").await;
    browser.picture("profile-accepted").await;

    browser.click("[data-callback]").await;
    browser.click("dialog input[value=flow]").await;
    browser.click("dialog button.main").await;
    browser.see(&format!("{}/Thingworx/Oauths/oauth/return", server.url)).await;

    browser.click("[data-assign]").await;
    browser.choose("dialog select", "1").await;
    browser.click("dialog button.main").await;
    browser.see("Assigned to 1 customer.").await;
    browser.until("document.querySelector('[data-unassign]')").await;

    // While something depends on it, it is said what, and nothing can be done.
    browser.click("[data-delete]").await;
    browser.see("1 customer has it").await;
    assert_eq!(browser.run("return document.querySelector('[data-confirm]')").await, Value::Null);
    assert_fits(&browser).await;
    browser.click("dialog .actions button").await;
    browser.click("[data-unassign]").await;
    browser.see("Globex can make no new connections through Mine. Those that are there stay.").await;
    browser.click("[data-confirm]").await;
    browser.see("Unassigned.").await;
    browser.until("document.querySelector('[data-unassign]') === null").await;
    assert_calm(&browser, &server, &["status of 400"]).await;
    browser.click("[data-delete]").await;
    browser.click("[data-confirm]").await;
    browser.see("The profile is deleted.").await;
    browser.until("location.hash === '#/profiles' && document.querySelectorAll('tbody tr').length === 1").await;
    assert_calm_but_gone(&browser, "/api/custom_oauth_profiles/2").await;
    assert_both_languages(
        &browser,
        &server,
        &[
            ("profiles", "Profiles", "プロファイル"),
            ("profiles/new", "New profile", "プロファイルを追加"),
            ("profiles/1", "Practice", "Practice"),
            ("profiles/1/edit", "Change the profile", "プロファイルの変更"),
        ],
    )
    .await;
    assert_calm(&browser, &server, &[]).await;
}

in_both_languages!(the_second_of_two_administrators_is_told_what_the_first_one_changed, "two administrators");

async fn the_second_of_two_administrators_is_told_what_the_first_one_changed(browser: Browser) {
    let server = Server::start().await;
    let admin = server.admin();
    let made = admin.post("/api/custom_oauth_profiles", &profile_body("Acme", "hubspot")).await.expect(200);
    let path = format!("/api/custom_oauth_profiles/{}", made["result"]["id"]);
    logged_in(&browser, &server).await;
    open(&browser, &server, "profiles/1/edit").await;
    browser.fill("[name=client_id]", "typed by the second").await;
    browser.fill("[name=client_secret]", "PLANTED of the second").await;
    admin.put(&path, &profile_body("Renamed by the first", "hubspot")).await.expect(200);
    browser.click("main form button.main").await;
    browser.see("Somebody else changed this profile meanwhile").await;
    browser.see("Renamed by the first").await;
    browser.picture("profile-overtaken").await;
    assert_fits(&browser).await;
    // Nothing was overwritten, and nothing that was typed is lost.
    assert_eq!(admin.get(&path).await.expect(200)["result"]["data"]["client_id"], "example_client_id");
    assert_eq!(browser.run("return document.querySelector('[name=client_id]').value").await, "typed by the second");
    browser.click("[data-theirs]").await;
    browser.until("document.querySelector('[name=name]').value === 'Renamed by the first'").await;
    browser.click("main form button.main").await;
    browser.titled("Renamed by the first").await;
    let now = admin.get(&path).await.expect(200);
    assert_eq!(now["result"]["data"]["client_id"], "typed by the second");
    assert_eq!(now["result"]["name"], "Renamed by the first");
    assert_calm(&browser, &server, &["status of 412"]).await;
}

in_both_languages!(who_may_only_look_is_offered_nothing_to_change, "a viewer in the admin page");

async fn who_may_only_look_is_offered_nothing_to_change(browser: Browser) {
    let server = Server::start().await;
    let admin = server.admin();
    admin.post("/api/custom_oauth_profiles", &profile_body("Acme", "hubspot")).await.expect(200);
    let draft = json!({"name": "vera", "email": "v@example.com", "role": "viewer", "password": super::PASSWORD});
    admin.post("/api/users", &draft).await.expect(200);
    browser.open_url(&format!("{}/", server.url)).await;
    browser.fill("[name=name]", "vera").await;
    browser.fill("[name=password]", super::PASSWORD).await;
    browser.click("button.main").await;
    browser.titled("Overview").await;
    for route in ["overview", "profiles", "profiles/1", "connections", "providers", "providers/hubspot", "customers"] {
        open(&browser, &server, route).await;
        assert_eq!(
            browser.run("return document.querySelectorAll('main .head .actions > *, main .danger').length").await,
            0,
            "{route}"
        );
    }
    assert_calm(&browser, &server, &[]).await;
}
