//! Hostile names: in every view and every dialog they are text, and turn and widen nothing around them.

use grantry::simulator::{Options, Rotation};
use serde_json::{Value, json};

use super::{PASSWORD, assert_calm, assert_calm_but, assert_enlarged, load::paste, open, settled};
use crate::support::{MULTIPART, Server, application_body, browser::Browser, practice::Practice};

/// As long as a name may be, with markup, a template, a character that turns the direction of writing, and one that is no
/// letter of the first plane.
fn hostile(beginning: &str) -> String {
    let begun = format!("{beginning}<img src=x onerror=\"owned=1\">{{{{7*7}}}}\u{202e}fed\u{2066}🜁'\"&amp;</script>");
    let rest = 255 - begun.chars().count();
    begun + &"W".repeat(rest)
}

/// What a hostile name did. Fields hold what will be sent, to the letter; everything else is written out.
const DONE: &str = "const found = [];
    if (globalThis.owned) found.push('a script ran');
    const images = [...document.images].filter((image) => !image.closest('.brand'));
    if (images.length > 0 || document.querySelector('body script, iframe, object')) found.push('markup became elements');
    const turning = /[\\u202a-\\u202e\\u2066-\\u2069]/;
    if (turning.test(document.title)) found.push('the title turns');
    for (const element of document.querySelectorAll('*')) {
        for (const { name, value } of element.attributes) {
            if (!['href', 'value', 'data-key'].includes(name) && turning.test(value)) found.push(`${name}: ${element.outerHTML.slice(0, 300)}`);
        }
        const own = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data).join('');
        if (turning.test(own) && !element.matches('textarea')) found.push(`the text turns: ${element.outerHTML.slice(0, 300)}`);
    }
    return found;";

async fn assert_harmless(browser: &Browser, what: &str) {
    settled(browser).await;
    assert_eq!(browser.run(DONE).await, json!([]), "{what}: {}", browser.url().await);
    browser.shape(360, "light").await;
    super::assert_no_misfits(browser, what).await;
    assert_enlarged(browser).await;
}

/// A server full of them, and somebody whose own name is one; the number of each noun is 1.
async fn populated(browser: &Browser, server: &Server, practice: &Practice) -> String {
    let admin = server.admin();
    let name = hostile("");
    let mut definition = practice.definition();
    definition["name"] = json!(name);
    definition["categories"] = json!(["<b>\u{202e}kind"]);
    admin.post("/api/providers", &definition).await.expect(200);
    let profile = practice.profile(&admin, &name, "practice-secret").await;
    let customer = json!({"name": name, "notification_email": "<i>\u{202e}it@acme.example", "external_id": name});
    let made = admin.post("/api/managed_users", &customer).await;
    if made.status != 200 {
        // No address has such characters; a name has.
        let customer = json!({"name": name, "notification_email": "it@acme.example", "external_id": name});
        admin.post("/api/managed_users", &customer).await.expect(200);
    }
    let assign = format!("/api/managed_users/1/custom_oauth_profiles/{profile}/assign");
    admin.post(&assign, &json!({})).await.expect(200);
    let grants = practice.control("grants", json!({"count": 1})).await;
    let connection = json!({
        "custom_oauth_profile_id": profile, "name": name, "owner": name, "external_id": name,
        "refresh_token": grants["grants"][0]["refresh_token"],
    });
    admin.post("/api/connections/import", &connection).await.expect(200);
    let theirs = json!({"name": hostile("theirs"), "provider": "practice", "parent_id": null, "custom_oauth_profile_id": profile});
    admin.post("/api/managed_users/1/connections", &theirs).await.expect(200);
    let file = json!({"id": "crm", "name": name, "actions": [
        {"id": "open", "name": name, "evaluate": "true", "invoke": {"method": "GET", "url": "https://crm.example/{id}"}}]});
    let metadata = json!({"name": name}).to_string();
    let body = application_body(&metadata, file.to_string().as_bytes());
    let path = "/documents/api/1.2/config/clientApplications";
    let made = admin.send_text("POST", path, MULTIPART, body).await;
    let application = made.json()["id"].as_str().unwrap().to_owned();
    admin.post(&format!("/api/client_applications/{application}/secret"), &json!({})).await.expect(200);
    let token = json!({"name": name, "owner": name, "scopes": ["profiles:read"], "days": 7});
    admin.post("/api/api_tokens", &token).await.expect(200);
    admin.post("/api/webhooks", &json!({"url": "http://127.0.0.1:9/<img/src=x/onerror=owned=1>/🜁"})).await.expect(200);
    for (user, role) in [(name.clone(), "admin"), (hostile("other"), "viewer")] {
        let draft = json!({"name": user, "email": "it@acme.example", "role": role, "password": PASSWORD});
        admin.post("/api/users", &draft).await.expect(200);
    }
    browser.open_url(&format!("{}/", server.url)).await;
    browser.until("document.querySelector('[name=password]')").await;
    browser.run(&format!("document.querySelector('[name=name]').value = {}", json!(name))).await;
    browser.fill("[name=password]", PASSWORD).await;
    browser.click("button.main").await;
    browser.until("document.title.startsWith('Overview')").await;
    application
}

#[tokio::test]
async fn they_are_text_in_every_view_and_in_every_dialog_that_names_something() {
    let Some(browser) = Browser::start("hostile names in every view of the admin page").await else { return };
    let practice = Practice::with(Options { rotation: Rotation::None, ..Options::default() });
    let server = Server::start().await;
    let application = populated(&browser, &server, &practice).await;
    // Something is wrong with each, so that the overview names it.
    practice.fault("refresh", "error:invalid_grant").await;
    server.admin().post("/api/connections/1/refresh", &json!({})).await;
    let application = format!("applications/{application}");
    let views: [(&str, &[&str]); 24] = [
        ("overview", &[]),
        ("profiles", &[]),
        (
            "profiles/1",
            &["[data-delete]", "[data-unassign]", "[data-assign]", "[data-callback]", "[data-next]", "[data-expiry]"],
        ),
        ("profiles/1/edit", &[]),
        ("connections", &[]),
        ("connections/1", &["[data-edit]", "[data-disconnect]", "[data-delete]"]),
        ("connections/2", &["[data-delete]"]),
        ("connect", &[]),
        ("connect?profile_id=1", &[]),
        ("connect?connection_id=1", &[]),
        ("providers?origin=operator", &[]),
        ("providers/practice", &["[data-delete]"]),
        ("providers/practice/edit", &[]),
        ("customers", &[]),
        ("customers/1", &["[data-edit]", "[data-delete]", "[data-assign]", "[data-unassign]"]),
        ("applications", &[]),
        (&application, &["[data-scopes]", "[data-enable]", "[data-revoke]", "[data-delete]"]),
        ("tokens", &["[data-revoke='2']"]),
        ("users", &["[data-role='2']", "[data-password='2']", "[data-delete='2']"]),
        ("account", &["[data-factor-on]"]),
        ("webhooks", &[]),
        ("webhooks/1", &["[data-renew]", "[data-delete]"]),
        ("audit", &[]),
        ("settings", &[]),
    ];
    for (route, dialogs) in views {
        open(&browser, &server, route).await;
        assert_harmless(&browser, route).await;
        // Where all of it is written out, it is opened.
        browser.run("for (const details of document.querySelectorAll('details')) details.open = true").await;
        browser.until("!document.querySelector('[data-show]') || document.querySelector('[data-file]')").await;
        assert_eq!(browser.run(DONE).await, json!([]), "{route}");
        for dialog in dialogs {
            browser.click(dialog).await;
            browser.until("document.querySelector('dialog[open]')").await;
            assert_harmless(&browser, dialog).await;
            browser.click("dialog .actions button:not(.main, .danger):last-child").await;
            browser.until("document.querySelector('dialog') === null").await;
        }
    }
    open(&browser, &server, &format!("{application}/file")).await;
    assert_harmless(&browser, "its file").await;
    // Each view has shown one: in the list it is whole, the turning written out.
    open(&browser, &server, "profiles").await;
    let shown = browser.run("return document.querySelector('tbody th bdi').textContent").await;
    assert_eq!(shown, hostile("").replace('\u{202e}', "\\u{202e}").replace('\u{2066}', "\\u{2066}"));

    // A document that names things so, its faults and its preview.
    open(&browser, &server, "load").await;
    let name = hostile("n");
    paste(&browser, &json!({"jira": {&name: {"CLIENT_ID": "a"}}, &name: {}}).to_string()).await;
    browser.click("main form button.main").await;
    browser.until("document.querySelectorAll('.faults li').length > 0").await;
    assert_harmless(&browser, "faults").await;
    paste(&browser, &json!({"jira": {&name: {"CLIENT_ID": "a", "CLIENT_SECRET": "PLANTED_1"}}}).to_string()).await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-preview]')").await;
    assert_harmless(&browser, "a preview").await;
    browser.click("[data-apply]").await;
    browser.until("document.querySelector('[data-loaded]')").await;
    assert_harmless(&browser, "what was loaded").await;

    // What ended, and what is said over the view.
    browser.run("fetch('/session', {method: 'DELETE'})").await;
    browser.click("nav a[href='#/profiles']").await;
    browser.see("Your session has ended").await;
    assert_harmless(&browser, "logging in again").await;
    assert_calm_but(&browser, &server, "status of 40").await;
}

#[tokio::test]
async fn they_are_text_in_addresses_and_ten_thousand_characters_are_turned_down_beside_their_field() {
    let Some(browser) = Browser::start("hostile addresses of the admin page").await else { return };
    let server = Server::start().await;
    super::logged_in(&browser, &server).await;
    let long = "W".repeat(10_000);
    let markup = "%3Cimg%20src%3Dx%20onerror%3Downed%3D1%3E%E2%80%AEfed";
    for route in [
        format!("{markup}/{markup}"),
        format!("profiles/{markup}"),
        format!("profiles?q={markup}&provider={markup}"),
        format!("connections?owner={markup}&state={markup}"),
        format!("connections?owner={}", &long[..2000]),
        format!("audit?actor={markup}&deed={markup}&noun_id={markup}"),
        format!("customers/{markup}"),
        format!("providers?category={markup}"),
        format!("webhooks/{markup}"),
    ] {
        open(&browser, &server, &route).await;
        assert_harmless(&browser, &route).await;
    }
    // The server turns down what it does not know, and the browser writes that down.
    for line in browser.console().await {
        assert!(line.contains("status of 40"), "{line}");
    }
    let set = |field: &str| {
        format!(
            "const field = document.querySelector('{field}');
            field.value = '🜁'.repeat(10000);
            field.dispatchEvent(new Event('input', {{bubbles: true}}))"
        )
    };
    open(&browser, &server, "profiles/new").await;
    browser.choose("[name=provider]", "hubspot").await;
    browser.fill("[name=client_id]", "an id").await;
    browser.fill("[name=client_secret]", "PLANTED too long").await;
    browser.run(&set("[name=name]")).await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-fault=name]').textContent !== ''").await;
    assert_harmless(&browser, "a profile").await;
    browser.run("document.querySelector('main form').clean()").await;
    for view in ["customers", "users"] {
        open(&browser, &server, view).await;
        browser.click(".head [data-new]").await;
        browser.fill("dialog [name=email]", "it@acme.example").await;
        if view == "users" {
            browser.fill("dialog [name=password]", PASSWORD).await;
        }
        browser.run(&set("dialog [name=name]")).await;
        browser.click("dialog button.main").await;
        browser.until("document.querySelector('dialog [data-fault=name]').textContent !== ''").await;
        assert_harmless(&browser, view).await;
        browser.press("\u{e00c}").await;
        browser.until("document.querySelector('dialog') === null").await;
    }
    open(&browser, &server, "tokens/new").await;
    browser.click("input[value='profiles:read']").await;
    browser.run(&set("[name=name]")).await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-fault=name]').textContent !== ''").await;
    assert_harmless(&browser, "a token").await;
    let nothing = server.admin().get("/api/managed_users").await.expect(200);
    assert_ne!(nothing, Value::Null);
    assert_calm(&browser, &server, &["status of 400"; 4]).await;
}

#[tokio::test]
async fn a_word_that_a_provider_makes_up_is_shown_as_it_is_whatever_it_means_to_a_script() {
    let Some(browser) = Browser::start("hostile error codes in the admin page").await else { return };
    let practice = Practice::with(Options { rotation: Rotation::None, ..Options::default() });
    let server = Server::start().await;
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    practice.connect(&admin, profile, 1, false).await;
    super::logged_in(&browser, &server).await;
    practice.fault("refresh", "error:constructor").await;
    admin.post("/api/connections/1/refresh", &json!({})).await;
    open(&browser, &server, "overview").await;
    open(&browser, &server, "connections/1").await;
    browser.see("constructor").await;
    assert_calm_but(&browser, &server, "status of 40").await;
}
