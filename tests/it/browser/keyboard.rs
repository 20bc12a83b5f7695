//! The main act of each journey, without a mouse.

use serde_json::json;

use super::{
    PASSWORD, assert_calm,
    frame::{ENTER, ESCAPE, tab_to},
    open, settled,
};
use crate::support::{
    APPLICATION_FILE, Server,
    browser::Browser,
    practice::Practice,
    receiver::{Receiver, Reply},
};

const SPACE: &str = " ";
const DOWN: &str = "\u{e015}";

/// Goes there by Tab, unless the focus is there already.
async fn reach(browser: &Browser, selector: &str) {
    if browser.run(&format!("return document.activeElement.matches(\"{selector}\")")).await != true {
        tab_to(browser, selector).await;
    }
}

/// Goes there and presses a key.
async fn on(browser: &Browser, selector: &str, key: &str) {
    reach(browser, selector).await;
    browser.press(key).await;
}

/// Waits until a dialog is answered; the focus is somewhere then, so that the next Tab does not begin anew.
async fn answered(browser: &Browser) {
    browser.until("document.querySelector('dialog') === null && document.activeElement !== document.body").await;
    settled(browser).await;
}

async fn begun(browser: &Browser) -> Option<Server> {
    let server = Server::start().await;
    let draft = json!({"name": "ann", "email": "ann@example.com", "role": "admin", "password": PASSWORD});
    server.admin().post("/api/users", &draft).await.expect(200);
    browser.open_url(&format!("{}/", server.url)).await;
    // The first field has the focus.
    browser.until("document.activeElement.name === 'name'").await;
    browser.press("ann\u{e004}").await;
    browser.press(PASSWORD).await;
    browser.press(ENTER).await;
    browser.until("document.title.startsWith('Overview') && document.activeElement.tagName === 'H1'").await;
    Some(server)
}

#[tokio::test]
async fn profiles_and_connections_are_made_mended_and_ended_by_keyboard() {
    let Some(browser) = Browser::start("profiles and connections by keyboard").await else { return };
    let Some(server) = begun(&browser).await else { return };
    let practice = Practice::with(grantry::simulator::Options::default());
    let profile = practice.introduce(&server.admin()).await;

    // A profile.
    open(&browser, &server, "profiles/new").await;
    on(&browser, "[name=provider]", "HubS").await;
    on(&browser, "[name=name]", "By keyboard").await;
    on(&browser, "[name=client_id]", "an id").await;
    on(&browser, "[name=client_secret]", "PLANTED by keyboard").await;
    on(&browser, "main form button.main", ENTER).await;
    browser.until("document.title.startsWith('By keyboard') && document.activeElement.tagName === 'H1'").await;
    settled(&browser).await;
    on(&browser, "[data-next]", ENTER).await;
    browser.until("document.activeElement.name === 'secret'").await;
    browser.press("PLANTED next").await;
    browser.press(ENTER).await;
    answered(&browser).await;
    on(&browser, "[data-delete]", ENTER).await;
    on(&browser, "[data-confirm]", SPACE).await;
    browser.until("document.title.startsWith('Profiles') && document.activeElement.tagName === 'H1'").await;

    // A connection: the profile, the way, and it is there.
    open(&browser, &server, "connect").await;
    on(&browser, &format!("[data-choose='{profile}']"), ENTER).await;
    browser.see("In which way?").await;
    settled(&browser).await;
    reach(&browser, "input[type=radio]").await;
    browser.press(&format!("{DOWN}{DOWN}")).await;
    assert_eq!(browser.run("return document.activeElement.value").await, "client_credentials");
    on(&browser, "[name=name]", "Mine").await;
    browser.press(ENTER).await;
    browser.until("document.querySelector('[data-connected]') === document.activeElement").await;
    on(&browser, "main .card a.main", ENTER).await;
    browser.until("document.title.startsWith('Mine') && document.activeElement.tagName === 'H1'").await;
    settled(&browser).await;
    on(&browser, "[data-edit]", ENTER).await;
    browser.until("document.activeElement.closest('dialog')").await;
    browser.press(ESCAPE).await;
    browser.until("document.activeElement.matches('[data-edit]')").await;
    on(&browser, "[data-disconnect]", ENTER).await;
    on(&browser, "[data-confirm]", ENTER).await;
    browser.until("document.querySelector('[data-disconnect]') === null").await;
    answered(&browser).await;
    open(&browser, &server, "connections").await;
    on(&browser, "[data-key='state-lost']", SPACE).await;
    browser.until("location.hash === '#/connections?state=lost'").await;
    settled(&browser).await;
    // What was pressed has the focus still.
    reach(&browser, "[data-key='state-lost']").await;
    on(&browser, "tbody th a", ENTER).await;
    browser.until("document.title.startsWith('Mine')").await;
    settled(&browser).await;
    on(&browser, "[data-delete]", ENTER).await;
    on(&browser, "[data-confirm]", ENTER).await;
    browser.until("location.hash === '#/connections' && document.activeElement.tagName === 'H1'").await;

    // A document: typed, looked through, loaded.
    open(&browser, &server, "load").await;
    on(&browser, ".document textarea", r#"{"jira":{"J":{"CLIENT_ID":"a","CLIENT_SECRET":"PLANTED_1"}}}"#).await;
    on(&browser, "main form button.main", ENTER).await;
    browser.until("document.activeElement.closest('[data-preview]')").await;
    on(&browser, "[data-apply]", ENTER).await;
    browser.until("document.activeElement.closest('[data-loaded]')").await;
    on(&browser, "[data-loaded] a.main", ENTER).await;
    browser.until("document.querySelectorAll('tbody tr').length === 2").await;
    settled(&browser).await;
    browser.run("document.querySelector('h1').focus()").await;
    on(&browser, "[type=search]", "J").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    browser.until("document.activeElement.type === 'search'").await;

    // A provider, by hand.
    open(&browser, &server, "providers/new").await;
    reach(&browser, "input[type=radio]").await;
    browser.press(DOWN).await;
    on(&browser, "[name=name]", "By hand").await;
    on(&browser, "[name=slug]", "by_hand").await;
    on(&browser, "[name=authorize_url]", "https://hand.example/authorize").await;
    on(&browser, "[name=token_url]", "https://hand.example/token").await;
    browser.press(ENTER).await;
    browser.until("location.hash === '#/providers/by_hand' && document.activeElement.tagName === 'H1'").await;
    settled(&browser).await;
    on(&browser, "[data-delete]", ENTER).await;
    on(&browser, "[data-confirm]", ENTER).await;
    browser.until("location.hash === '#/providers'").await;
    assert_calm(&browser, &server, &[]).await;
}

#[tokio::test]
async fn customers_programs_and_users_are_made_and_deleted_by_keyboard() {
    let Some(browser) = Browser::start("customers, programs and users by keyboard").await else { return };
    let Some(server) = begun(&browser).await else { return };

    open(&browser, &server, "customers").await;
    on(&browser, ".head [data-new]", ENTER).await;
    browser.until("document.activeElement.name === 'name'").await;
    browser.press("Globex").await;
    on(&browser, "[name=email]", "it@globex.example").await;
    browser.press(ENTER).await;
    browser.until("location.hash === '#/customers/1' && document.activeElement.tagName === 'H1'").await;
    settled(&browser).await;
    on(&browser, "[data-edit]", ENTER).await;
    browser.until("document.activeElement.closest('dialog')").await;
    browser.press(ESCAPE).await;
    browser.until("document.activeElement.matches('[data-edit]')").await;
    on(&browser, "[data-delete]", ENTER).await;
    on(&browser, "[data-confirm]", ENTER).await;
    browser.until("location.hash === '#/customers'").await;

    open(&browser, &server, "applications/new").await;
    on(&browser, "[name=name]", "CRM").await;
    on(&browser, ".document textarea", APPLICATION_FILE).await;
    on(&browser, "main form button.main", ENTER).await;
    browser.until("document.querySelector('[data-issue]') && document.activeElement.tagName === 'H1'").await;
    settled(&browser).await;
    on(&browser, "[data-scopes]", ENTER).await;
    on(&browser, "input[value='connections:read']", SPACE).await;
    on(&browser, "dialog button.main", ENTER).await;
    answered(&browser).await;
    browser.until("document.activeElement.matches('[data-scopes]')").await;
    on(&browser, "[data-issue]", ENTER).await;
    // What is shown this once cannot be lost by Escape.
    browser.until("document.activeElement.closest('dialog')").await;
    browser.press(ESCAPE).await;
    on(&browser, "dialog .copy", ENTER).await;
    on(&browser, "[data-close]", ENTER).await;
    answered(&browser).await;
    on(&browser, "[data-revoke]", ENTER).await;
    on(&browser, "[data-confirm]", ENTER).await;
    browser.until("document.querySelector('[data-revoke]') === null").await;
    answered(&browser).await;

    open(&browser, &server, "tokens/new").await;
    on(&browser, "[name=name]", "deploy").await;
    on(&browser, "input[value='profiles:read']", SPACE).await;
    on(&browser, "main form button.main", ENTER).await;
    on(&browser, "[data-close]", ENTER).await;
    browser.until("location.hash === '#/tokens' && document.querySelector('[data-revoke]')").await;
    settled(&browser).await;
    let revoke = browser.run("return document.querySelectorAll('[data-revoke]').length").await;
    on(&browser, "[data-revoke]", ENTER).await;
    on(&browser, "[data-confirm]", ENTER).await;
    browser.until(&format!("document.querySelectorAll('[data-revoke]').length < {revoke}")).await;
    answered(&browser).await;

    open(&browser, &server, "users").await;
    on(&browser, ".head [data-new]", ENTER).await;
    browser.until("document.activeElement.name === 'name'").await;
    browser.press("bob").await;
    on(&browser, "[name=email]", "bob@example.com").await;
    reach(&browser, "dialog input[type=radio]").await;
    browser.press(DOWN).await;
    on(&browser, "[name=password]", PASSWORD).await;
    browser.press(ENTER).await;
    browser.until("document.querySelectorAll('tbody tr').length === 2").await;
    answered(&browser).await;
    on(&browser, "[data-role='2']", ENTER).await;
    browser.until("document.activeElement.closest('dialog')").await;
    browser.press(ESCAPE).await;
    browser.until("document.activeElement.matches('[data-role]')").await;
    on(&browser, "[data-delete='2']", ENTER).await;
    on(&browser, "[data-confirm]", ENTER).await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    answered(&browser).await;
    assert_calm(&browser, &server, &[]).await;
}

#[tokio::test]
async fn webhooks_the_trail_the_settings_and_what_stands_around_them_are_used_by_keyboard() {
    let Some(browser) = Browser::start("webhooks, audit and settings by keyboard").await else { return };
    let Some(server) = begun(&browser).await else { return };
    let receiver = Receiver::start(Reply::Status(200)).await;

    open(&browser, &server, "webhooks/new").await;
    on(&browser, "[name=url]", &receiver.url).await;
    browser.press(ENTER).await;
    on(&browser, "[data-close]", ENTER).await;
    browser.until("document.querySelector('[data-test]') && document.activeElement.tagName === 'H1'").await;
    settled(&browser).await;
    on(&browser, "[data-test]", ENTER).await;
    browser.until("document.querySelector('[data-delivered=true]')").await;
    on(&browser, "[data-delete]", ENTER).await;
    on(&browser, "[data-confirm]", ENTER).await;
    browser.until("location.hash === '#/webhooks'").await;

    open(&browser, &server, "audit").await;
    on(&browser, "select[aria-label=Deed]", "Logged i").await;
    browser.until("location.hash.includes('deed=logged_in')").await;
    settled(&browser).await;
    reach(&browser, "[data-export=csv]").await;
    on(&browser, "tbody td a", ENTER).await;
    browser.until("location.hash.startsWith('#/audit?actor=')").await;

    open(&browser, &server, "settings").await;
    on(&browser, "[data-create]", ENTER).await;
    browser.until("document.querySelector('[data-verify]')").await;
    settled(&browser).await;
    on(&browser, "[data-verify]", ENTER).await;
    browser.until("document.querySelector('[data-fit=true]')").await;
    on(&browser, "main summary", ENTER).await;
    browser.until("document.querySelector('details[open]')").await;
    on(&browser, "button[data-delete]", ENTER).await;
    on(&browser, "[data-confirm]", ENTER).await;
    browser.until("document.querySelector('button[data-delete]') === null").await;
    answered(&browser).await;
    on(&browser, "[data-doctor]", ENTER).await;
    browser.until("document.querySelector('[data-worst]')").await;

    open(&browser, &server, "account").await;
    on(&browser, "[data-factor-on]", ENTER).await;
    browser.until("document.activeElement.name === 'code'").await;
    // This one is firm; its own button leaves it.
    browser.press(ESCAPE).await;
    on(&browser, "dialog .actions button[type=button]", ENTER).await;
    answered(&browser).await;

    // What stands around: the language keeps the focus, and so do the colours.
    on(&browser, "[data-theme-choice=dark]", SPACE).await;
    browser.until("document.documentElement.dataset.theme === 'dark'").await;
    on(&browser, "[data-language=ja]", ENTER).await;
    browser
        .until("document.documentElement.lang === 'ja' && document.activeElement.matches('[data-language=ja]')")
        .await;
    on(&browser, "[data-logout]", ENTER).await;
    browser.until("document.activeElement.name === 'name'").await;
    assert_calm(&browser, &server, &[]).await;
}
