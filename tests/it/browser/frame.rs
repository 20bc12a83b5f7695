//! What stands around every view: the navigation, the language, light and dark, and that nothing typed is lost.

use std::{collections::BTreeMap, path::Path};

use super::{PASSWORD, assert_calm, assert_calm_but, assert_fits, logged_in, open, settled};
use crate::support::{Server, browser::Browser, profile_body};

/// The Tab, Enter and Escape keys (WebDriver §17.4.2).
pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";
pub const ESCAPE: &str = "\u{e00c}";

/// Whether some of what has the focus is in the window, and nothing before it.
pub const UNCOVERED: &str = "const focused = document.activeElement;
    return [...focused.getClientRects()].some(({ left, right, top, bottom }) => [[0.5, 0.5], [0.5, 0.1], [0.5, 0.9]].some(([x, y]) => {
        const there = document.elementFromPoint(left + x * (right - left), top + y * (bottom - top));
        return there !== null && (focused.contains(there) || there.contains(focused) && there.matches('label, .check'));
    }));";

/// Presses Tab until an element has the focus; what has it can be seen to have it, and nothing stands above it.
pub async fn tab_to(browser: &Browser, selector: &str) {
    for _ in 0..60 {
        browser.press(TAB).await;
        if browser.run(&format!("return document.activeElement.matches(\"{selector}\")")).await == true {
            let outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle").await;
            assert_ne!(outline, "none", "the focus on {selector} is not to be seen");
            assert_eq!(browser.run(UNCOVERED).await, true, "the focus on {selector} is behind something");
            return;
        }
    }
    panic!("no way to {selector} by the keyboard");
}

#[tokio::test]
async fn everything_is_reached_by_the_keyboard_and_the_focus_goes_where_the_reader_does() {
    let Some(browser) = Browser::start("the keyboard in the admin page").await else { return };
    let server = Server::start().await;
    server.admin().post("/api/custom_oauth_profiles", &profile_body("Acme", "hubspot")).await.expect(200);
    logged_in(&browser, &server).await;
    settled(&browser).await;
    assert_eq!(browser.run("return document.activeElement.tagName").await, "H1", "a new view begins at its title");
    browser.run("document.activeElement.blur(); document.body.focus()").await;
    tab_to(&browser, ".skip").await;
    browser.press(ENTER).await;
    browser.until("document.activeElement.tagName === 'H1'").await;

    tab_to(&browser, "main a[href='#/profiles/new']").await;
    browser.press(ENTER).await;
    browser.until("document.activeElement.textContent === 'New profile'").await;
    tab_to(&browser, "main a.back").await;
    browser.press(ENTER).await;
    browser.until("document.title.startsWith('Profiles')").await;
    tab_to(&browser, "main th a").await;
    browser.press(ENTER).await;
    browser.until("document.title.startsWith('Acme')").await;
    settled(&browser).await;
    tab_to(&browser, "[data-delete]").await;
    browser.press(ENTER).await;
    browser.until("document.querySelector('dialog[open]')").await;
    // The safe way out has the focus, and Escape gives it back to where it was.
    browser.until("document.activeElement.closest('dialog')").await;
    assert_eq!(browser.run("return document.activeElement.textContent").await, "Cancel");
    browser.press(ESCAPE).await;
    browser.until("document.querySelector('dialog') === null && document.activeElement.matches('[data-delete]')").await;
    assert_calm(&browser, &server, &[]).await;
}

#[tokio::test]
async fn on_a_narrow_screen_the_navigation_is_a_drawer() {
    let Some(browser) = Browser::start("the drawer of the admin page").await else { return };
    let server = Server::start().await;
    logged_in(&browser, &server).await;
    browser.shape(360, "light").await;
    let shown = "getComputedStyle(document.querySelector('.side')).display !== 'none'";
    browser.until(&format!("!({shown})")).await;
    browser.click("[data-menu]").await;
    browser.until(&format!("{shown} && document.activeElement.closest('.side')")).await;
    assert_eq!(browser.run("return document.querySelector('[data-menu]').ariaExpanded").await, "true");
    let barriers = browser.barriers().await;
    assert!(barriers.is_empty(), "{barriers:#?}");
    browser.press(ESCAPE).await;
    browser.until(&format!("!({shown}) && document.activeElement.matches('[data-menu]')")).await;
    browser.click("[data-menu]").await;
    browser.click(".side a[href='#/connections']").await;
    browser.until(&format!("document.title.startsWith('Connections') && !({shown})")).await;
    assert_calm(&browser, &server, &[]).await;
}

#[tokio::test]
async fn language_and_colours_are_kept_and_what_was_typed_stays() {
    let Some(browser) = Browser::start("language and colours in the admin page").await else { return };
    let server = Server::start().await;
    logged_in(&browser, &server).await;
    open(&browser, &server, "profiles/new").await;
    browser.choose("[name=provider]", "salesforce").await;
    browser.fill("[name=name]", "Half").await;
    browser.fill("[name=client_secret]", "PLANTED half typed").await;
    assert_eq!(
        browser.run("return getComputedStyle(document.querySelector('[name=client_secret]')).webkitTextSecurity").await,
        "disc",
        "a secret is not seen while it is typed"
    );
    browser.click("[data-language=ja]").await;
    browser.until("document.title.startsWith('プロファイルを追加')").await;
    for (name, value) in [("provider", "salesforce"), ("name", "Half"), ("client_secret", "PLANTED half typed")] {
        browser.until(&format!("document.querySelector('[name={name}]').value === '{value}'")).await;
    }
    browser.click("[data-theme-choice=dark]").await;
    let dark = browser.run("return getComputedStyle(document.body).backgroundColor").await;
    browser.click("[data-theme-choice=light]").await;
    assert_ne!(browser.run("return getComputedStyle(document.body).backgroundColor").await, dark);
    browser.click("[data-theme-choice=dark]").await;

    // Whoever leaves is asked first: Cancel stays, and nothing is lost.
    browser.click("nav a[href='#/connections']").await;
    browser.see("保存せずに移動しますか?").await;
    assert_fits(&browser).await;
    browser.press(ESCAPE).await;
    browser.until("document.querySelector('dialog') === null").await;
    assert!(browser.url().await.ends_with("#/profiles/new"));
    assert_eq!(browser.run("return document.querySelector('[name=name]').value").await, "Half");
    browser.click("nav a[href='#/connections']").await;
    browser.click("[data-confirm]").await;
    browser.until("document.title.startsWith('接続')").await;

    browser.run("location.reload()").await;
    browser.until("document.title.startsWith('接続')").await;
    assert_eq!(browser.run("return getComputedStyle(document.body).backgroundColor").await, dark);
    assert_calm(&browser, &server, &[]).await;
}

#[tokio::test]
async fn a_session_that_ends_elsewhere_is_begun_again_over_what_was_typed() {
    let Some(browser) = Browser::start("sessions of the admin page").await else { return };
    let server = Server::start().await;
    logged_in(&browser, &server).await;
    open(&browser, &server, "profiles/new").await;
    browser.choose("[name=provider]", "hubspot").await;
    browser.fill("[name=name]", "Typed before").await;
    browser.fill("[name=client_id]", "an id").await;
    browser.fill("[name=client_secret]", "PLANTED typed before").await;
    // Another tab logs out: there is one cookie for both.
    browser.run("return fetch('/session', {method: 'DELETE'}).then(() => null)").await;
    browser.click("main button.main").await;
    browser.see("Your session has ended").await;
    assert_fits(&browser).await;
    // Not now: the page stays as it is, says so, and asks again.
    browser.press(ESCAPE).await;
    browser.until("document.querySelector('dialog') === null").await;
    browser.until("document.querySelector('.notices').textContent.includes('Your session has ended')").await;
    assert_eq!(browser.run("return document.querySelector('[name=name]').value").await, "Typed before");
    browser.click(".notices button").await;
    browser.fill("dialog [name=password]", "PLANTED not it").await;
    browser.click("dialog button.main").await;
    browser.see("Name or password is wrong.").await;
    browser.fill("dialog [name=password]", PASSWORD).await;
    browser.click("dialog button.main").await;
    browser.until("document.querySelector('dialog') === null").await;
    assert_eq!(browser.run("return document.querySelector('.notices').textContent").await, "");
    browser.click("main button.main").await;
    browser.until("document.title.startsWith('Typed before')").await;

    // Somebody else who logs in sees nothing of what the first one typed.
    let other = serde_json::json!({"name": "bob", "email": "bob@example.com", "role": "viewer", "password": PASSWORD});
    server.admin().post("/api/users", &other).await.expect(200);
    open(&browser, &server, "profiles/new").await;
    browser.fill("[name=name]", "Ann's own").await;
    browser.run("return fetch('/session', {method: 'DELETE'}).then(() => null)").await;
    browser.choose("[name=provider]", "hubspot").await;
    browser.fill("[name=client_id]", "an id").await;
    browser.fill("[name=client_secret]", "PLANTED ann's").await;
    browser.click("main button.main").await;
    browser.see("Your session has ended").await;
    browser.fill("dialog [name=name]", "bob").await;
    browser.fill("dialog [name=password]", PASSWORD).await;
    browser.click("dialog button.main").await;
    browser.until("document.querySelector('.who bdi')?.textContent === 'bob'").await;
    browser.until("document.querySelector('[name=name]')?.value !== \"Ann's own\"").await;
    assert_calm_but(&browser, &server, "status of 401").await;
}

/// The files of the page that a file leads to, itself among them, and how many bytes each has; `import` finds the names.
async fn files(server: &Server, first: &[&str], import: &str) -> BTreeMap<String, usize> {
    let import = regex_lite::Regex::new(import).unwrap();
    let mut bytes = BTreeMap::new();
    let mut todo: Vec<String> = first.iter().map(|path| (*path).to_owned()).collect();
    while let Some(path) = todo.pop() {
        if bytes.contains_key(&path) {
            continue;
        }
        let answer = server.anybody().get(&format!("/{path}")).await;
        assert_eq!(answer.status, 200, "{path}");
        let base = url::Url::parse(&format!("http://page/{path}")).unwrap();
        for found in import.captures_iter(&answer.text()) {
            todo.push(base.join(&found[1]).unwrap().path().trim_start_matches('/').to_owned());
        }
        bytes.insert(path, answer.body.len());
    }
    bytes
}

/// All of the page, in both languages, as it is before compression; and nothing in it that no view asks for.
#[tokio::test]
async fn the_whole_page_is_small() {
    let server = Server::start().await;
    let first = ["index.html", "admin.css", "main.js", "icon.svg"];
    let bytes = files(&server, &first, r#"(?:from|import\()\s*"(\.[^"]+)""#).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
    let mut there = Vec::new();
    for part in ["", "lib", "lang", "views"] {
        let entries = std::fs::read_dir(folder.join(part)).unwrap().map(|entry| entry.unwrap().path());
        there.extend(entries.filter(|path| path.is_file()));
    }
    let mut there: Vec<&str> = there.iter().map(|path| path.strip_prefix(&folder).unwrap().to_str().unwrap()).collect();
    there.sort_unstable();
    assert_eq!(there, bytes.keys().collect::<Vec<_>>());
    let all: usize = bytes.values().sum();
    // Both languages are counted here; a reader fetches one of them.
    assert!(all < 310_000, "the page has {all} bytes: {bytes:#?}");
}

/// What every view begins with, and the first view, is asked for at once, and not file by file as each names the next.
#[tokio::test]
async fn what_the_page_begins_with_is_asked_for_at_once() {
    let server = Server::start().await;
    let begins = files(&server, &["main.js", "views/overview.js"], r#"from\s*"(\.[^"]+)""#).await;
    let page = server.anybody().get("/").await.text();
    let named = regex_lite::Regex::new(r#"(?:src|href)="/([^"]+\.js)""#).unwrap();
    let mut named: Vec<&str> = named.captures_iter(&page).map(|found| found.get(1).unwrap().as_str()).collect();
    named.sort_unstable();
    assert_eq!(named, begins.keys().collect::<Vec<_>>());
}
