//! In Japanese no sentence is English, wherever it comes from.

use std::{fs, os::unix::fs::PermissionsExt as _};

use grantry::simulator::{Options, Rotation};
use serde_json::json;

use super::{
    load::{drop_file, paste},
    logged_in, open, settled,
};
use crate::support::{
    APPLICATION_FILE, Caller, Server,
    browser::Browser,
    practice::Practice,
    receiver::{Receiver, Reply},
};

/// What is left of English on the page: four Latin words and more in a row, in what can be seen or is read out. What
/// somebody gave or another system says stands in elements that say so, and is no word of the page's.
const ENGLISH: &str = r#"
    const data = "code, pre, kbd, samp, textarea, bdi, script, style, [translate=no]";
    const inline = new Set(["A", "ABBR", "B", "BDI", "BUTTON", "CODE", "EM", "LABEL", "SMALL", "SPAN", "STRONG", "TIME"]);
    const texts = [document.title];
    const read = (element) => {
        let line = "";
        for (const node of element.childNodes) {
            if (node.nodeType === Node.TEXT_NODE) { line += node.data; continue; }
            if (node.nodeType !== Node.ELEMENT_NODE) continue;
            if (node.matches(data)) { line += " … "; continue; }
            const shown = node.tagName === "OPTION" || node.tagName === "OPTGROUP" || node.checkVisibility();
            if (!shown) continue;
            for (const name of ["aria-label", "title", "alt", "placeholder", "label"]) {
                // An example of a document is one, whoever reads it.
                if (node.hasAttribute(name) && node.tagName !== "TEXTAREA") texts.push(node.getAttribute(name));
            }
            const inside = read(node);
            if (inline.has(node.tagName)) line += inside;
            else { texts.push(inside); line += " … "; }
        }
        return line;
    };
    texts.push(read(document.body));
    return texts.flatMap((text) => text.match(/[A-Za-z][A-Za-z'’-]*(?:[\s,]+[A-Za-z][A-Za-z'’-]*){3,}/g) ?? []);
"#;

/// The page speaks Japanese, and nothing but; nor does the server's own sentence stand anywhere for want of another one.
async fn look(browser: &Browser, at: &str) {
    assert_eq!(browser.run("return document.documentElement.lang").await, "ja", "{at}");
    assert_eq!(browser.run(ENGLISH).await, json!([]), "English in {at}");
    let servers =
        "return [...document.querySelectorAll('[lang=en]:not([data-language])')].map((one) => one.textContent)";
    assert_eq!(browser.run(servers).await, json!([]), "the server's own words in {at}");
}

/// Presses a button, waits for what comes of it, and reads it.
async fn press(browser: &Browser, button: &str, comes: &str) {
    browser.click(button).await;
    browser.until(&format!("document.querySelector({})", json!(comes))).await;
    settled(browser).await;
    look(browser, button).await;
}

/// Sends the form of a view, and waits until the server has said what is wrong with it.
async fn refused(browser: &Browser) {
    browser.click("main form button.main").await;
    browser
        .until(
            "!document.querySelector('form[aria-busy]') && [...document.querySelectorAll('.fault, .alert')].some((one) => one.textContent !== '')",
        )
        .await;
    let at = browser.url().await;
    look(browser, &at).await;
    // What is typed is not missed.
    browser.run("document.querySelector('main form').clean()").await;
}

/// Something of everything, and something the matter with most of it. Answers the profile that does not work.
async fn populate(admin: &Caller, practice: &Practice, receiver: &Receiver) -> i64 {
    let profile = practice.introduce(admin).await;
    let connected = practice.connect(admin, profile, 5, false).await;
    let refresh = |n: usize| format!("/api/connections/{}/refresh", connected[n].0);
    for (n, fault) in [(0, "error:invalid_grant"), (1, "status:503"), (2, "drop_before")] {
        practice.fault("refresh", fault).await;
        admin.post(&refresh(n), &json!({})).await;
    }
    admin.post(&format!("/api/connections/{}/disconnect", connected[3].0), &json!({})).await.expect(200);
    let bad = practice.profile(admin, "Wrong", "PLANTED no good").await;
    practice.faults("token", "invalid_client").await;
    admin.post(&refresh(4), &json!({})).await;
    practice.mend().await;
    let customer = json!({"name": "Globex", "notification_email": "it@globex.example", "external_id": "g-1"});
    let made = admin.post("/api/managed_users", &customer).await.expect(200);
    let id = made["result"]["id"].as_i64().or(made["id"].as_i64()).unwrap();
    admin
        .post(&format!("/api/managed_users/{id}/custom_oauth_profiles/{profile}/assign"), &json!({}))
        .await
        .expect(200);
    admin.post("/api/webhooks", &json!({"url": receiver.url, "events": [], "enabled": true})).await.expect(200);
    admin.post("/api/webhooks/1/test", &json!({})).await;
    let token = json!({"name": "nightly", "scopes": ["connections:token"], "days": 5, "addresses": ["10.1.0.0/16"]});
    admin.post("/api/api_tokens", &token).await.expect(200);
    bad
}

#[tokio::test]
async fn in_japanese_no_sentence_of_the_page_or_of_the_server_is_english() {
    let Some(browser) = Browser::start("Japanese in the admin page").await else { return };
    let practice = Practice::with(Options { rotation: Rotation::None, ..Options::default() });
    let server = Server::with(&["--allow-private", "--backup-every", "off"]).await;
    let admin = server.admin();
    let receiver = Receiver::start(Reply::Status(410)).await;
    let bad = populate(&admin, &practice, &receiver).await;
    logged_in(&browser, &server).await;
    browser.click("[data-language=ja]").await;
    browser.until("document.documentElement.lang === 'ja' && document.title.startsWith('概要')").await;

    // Applications speak another dialect, and its faults stand at their lines.
    open(&browser, &server, "applications/new").await;
    browser.fill("[name=name]", "CRM").await;
    paste(&browser, "{\n\"id\": \"\",\n\"name\": \"CRM\", \"actions\": [{}, 1], \"more\": 1}").await;
    refused(&browser).await;
    drop_file(&browser, "crm.json", APPLICATION_FILE).await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-issue]')").await;
    press(&browser, "[data-issue]", "dialog[open]").await;
    browser.click("[data-close]").await;
    browser.until("document.querySelector('dialog') === null").await;
    let application = browser.url().await;
    let application = application.rsplit_once("#/").unwrap().1;

    for route in [
        "overview",
        "profiles",
        "profiles?q=nobody",
        "profiles/new",
        "profiles/1",
        "profiles/1/edit",
        "connections",
        "connections/1",
        "connections/2",
        "connections/3",
        "connections/4",
        "connections/5",
        "connect",
        "connect?profile_id=1",
        "connect?connection_id=5",
        "providers",
        "providers/practice",
        "providers/practice/edit",
        "providers/new",
        "load",
        "customers",
        "customers/1",
        "applications",
        application,
        "tokens",
        "tokens/new",
        "webhooks",
        "webhooks/1",
        "webhooks/1/edit",
        "webhooks/new",
        "users",
        "account",
        "audit",
        "settings",
        "nowhere",
    ] {
        open(&browser, &server, route).await;
        look(&browser, route).await;
    }

    // Whatever a provider of the catalogue asks for.
    for slug in ["auth0", "databricks", "dynamics365", "facebook", "okta", "salesforce", "zoho_crm", "snowflake"] {
        open(&browser, &server, &format!("providers/{slug}")).await;
        look(&browser, slug).await;
        open(&browser, &server, &format!("profiles/new?provider={slug}")).await;
        look(&browser, slug).await;
    }
    look_at_the_server(&browser, &server).await;
    look_at_checks(&browser, &server, &practice, bad).await;
    look_at_refusals(&browser, &server).await;
}

/// The settings' view, and all that it finds out.
async fn look_at_the_server(browser: &Browser, server: &Server) {
    let backups = server.data().join("backups");
    open(browser, server, "settings").await;
    browser.see("データベース、鍵、ロックのフォルダーです。").await;
    press(browser, "[data-create]", "[data-verify]").await;
    press(browser, "[data-verify]", "[data-fit=true]").await;
    press(browser, "[data-verify-keys]", "[data-keys-verified]").await;
    // A backup that was cut off, and what is none.
    let name = browser.run("return document.querySelector('[data-verify]').dataset.verify").await;
    let copy = backups.join(name.as_str().unwrap()).join("grantry.db");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
    fs::OpenOptions::new().write(true).open(&copy).unwrap().set_len(4096).unwrap();
    press(browser, "[data-verify]", "[data-fit=false]").await;
    fs::create_dir_all(backups.join("odd")).unwrap();
    fs::set_permissions(server.data().join("keys"), fs::Permissions::from_mode(0o644)).unwrap();
    open(browser, server, "overview").await;
    open(browser, server, "settings").await;
    look(browser, "a backup that cannot be read").await;
    press(browser, "[data-doctor]", "[data-worst]").await;
    browser.see("ほかのユーザーもアクセスできます (chmod go-rwx)").await;
    fs::rename(server.data().join("keys"), server.data().join("keys.away")).unwrap();
    press(browser, "[data-doctor]", "[data-worst=error]").await;
    browser.see("次回は起動できません").await;
    fs::rename(server.data().join("keys.away"), server.data().join("keys")).unwrap();
    browser.click("[data-rotate]").await;
    look(browser, "the question before a rotation").await;
    browser.click("[data-confirm]").await;
    browser.until("document.querySelector('[data-forget]')").await;
    browser.click("[data-forget]").await;
    browser.click("[data-confirm]").await;
    browser.until("document.querySelector('dialog .alert').textContent !== ''").await;
    look(browser, "a key that a backup needs").await;
    browser.click("dialog [autofocus]").await;
}

/// Checks that find what is wrong, and how refreshes go.
async fn look_at_checks(browser: &Browser, server: &Server, practice: &Practice, bad: i64) {
    open(browser, server, &format!("profiles/{bad}")).await;
    press(browser, "[data-check]", "[data-verdict=rejected]").await;
    browser.see("プロバイダーがクライアント ID とシークレットを拒否しました").await;
    open(browser, server, "profiles/1").await;
    press(browser, "[data-check]", "[data-verdict=accepted]").await;
    practice.faults("token", "status:500").await;
    open(browser, server, &format!("profiles/{bad}")).await;
    press(browser, "[data-check]", "[data-verdict]").await;
    practice.mend().await;
    press(browser, "[data-delete]", "dialog[open]").await;
    browser.click("dialog .actions button:last-child").await;
    open(browser, server, "profiles/1").await;
    press(browser, "[data-delete]", "dialog[open]").await;
    browser.click("dialog .actions button:last-child").await;
    open(browser, server, "webhooks/1").await;
    press(browser, "[data-test]", "[data-delivered=false]").await;
}

/// What the server turns down, beside its field.
async fn look_at_refusals(browser: &Browser, server: &Server) {
    open(browser, server, "profiles/new").await;
    refused(browser).await;
    browser.choose("[name=provider]", "practice").await;
    browser.fill("[name=name]", "Practice").await;
    browser.fill("[name=client_id]", "<client id>").await;
    browser.fill("[name=client_secret]", "PLANTED x").await;
    refused(browser).await;
    open(browser, server, "connect?profile_id=1").await;
    browser.click("[name][value=import]").await;
    browser.fill("[name=refresh_token]", "PLANTED nothing").await;
    browser.fill("[name=expires_in]", "99999999999").await;
    refused(browser).await;
    open(browser, server, "tokens/new").await;
    browser.fill("[name=name]", "nightly").await;
    browser.click("[name=scopes]").await;
    browser.fill("[name=addresses]", "nowhere").await;
    refused(browser).await;
    open(browser, server, "webhooks/new").await;
    browser.fill("[name=url]", "ftp://nowhere").await;
    refused(browser).await;
    open(browser, server, "providers/new?way=issuer").await;
    browser.fill("[name=name]", "Mine").await;
    browser.fill("[name=slug]", "Not One").await;
    browser.fill("[name=issuer]", &server.url).await;
    refused(browser).await;
    browser.fill("[name=slug]", "mine").await;
    refused(browser).await;
    open(browser, server, "providers/new?way=json").await;
    let definition = json!({
        "slug": "mine", "name": "", "docs": 1, "token_url": "http://a.example/", "authorize_url": "x", "grant_cap": 0,
        "scope_separator": "12345", "hosts": ["A"], "variables": {"X": {"title": "x", "pattern": "("}}, "nothing": true,
    });
    browser.run(&format!("document.querySelector('[name=json]').value = {}", json!(definition.to_string()))).await;
    refused(browser).await;
    for text in
        ["{\n", "[1,]", "{\"jira\": {\"J\": {\"CLIENT_ID\": 1, \"CLIENT_SECRET\": \"<secret>\"}}, \"nobody\": {}}"]
    {
        open(browser, server, "load").await;
        paste(browser, text).await;
        browser.click("main form button.main").await;
        browser.until("document.querySelector('.faults li')").await;
        look(browser, text).await;
        browser.run("document.querySelector('main form').clean()").await;
    }
    open(browser, server, "users").await;
    browser.click(".head [data-new]").await;
    browser.fill("dialog [name=name]", "bob").await;
    browser.fill("dialog [name=email]", "bob").await;
    browser.fill("dialog [name=password]", "short").await;
    browser.click("dialog button.main").await;
    browser.until("document.querySelector('[data-fault=email]').textContent !== ''").await;
    look(browser, "a user who is none").await;
    browser.run("document.querySelector('dialog').close()").await;

    // Who is out, and who never was in.
    browser.click("[data-logout]").await;
    browser.until("document.title.startsWith('ログイン')").await;
    browser.fill("[name=name]", "ann").await;
    browser.fill("[name=password]", "PLANTED wrong").await;
    refused(browser).await;
    open(browser, server, "setup/nothing").await;
    look(browser, "setup").await;
}
