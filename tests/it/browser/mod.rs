//! The admin page in a real browser, view by view.

mod applications;
mod connect;
mod connections;
mod customers;
mod entry;
mod frame;
mod load;
mod overview;
mod people;
mod profiles;
mod providers;
mod settings;
mod tokens;
mod webhooks;
mod words;

use serde_json::json;

use crate::support::{Server, browser::Browser};

pub const PASSWORD: &str = "PLANTED correct horse battery";

/// A page that shows somebody's overview.
pub async fn logged_in(browser: &Browser, server: &Server) {
    let draft = json!({"name": "ann", "email": "ann@example.com", "role": "admin", "password": PASSWORD});
    server.admin().post("/api/users", &draft).await.expect(200);
    browser.open_url(&format!("{}/", server.url)).await;
    browser.fill("[name=name]", "ann").await;
    // By the keyboard alone: U+E007 is the Enter key (WebDriver §17.4.2).
    browser.fill("[name=password]", &format!("{PASSWORD}\u{e007}")).await;
    browser.until("document.title.startsWith('Overview')").await;
}

/// Opens a view, and waits until all of it is there.
pub async fn open(browser: &Browser, server: &Server, route: &str) {
    browser.open_url(&format!("{}/#/{route}", server.url)).await;
    let view = route.split(['/', '?']).next().unwrap();
    browser.until(&format!("['{view}', undefined].includes(document.querySelector('main').dataset.view)")).await;
    settled(browser).await;
}

/// Waits until nothing is on its way any more, but what waits for somebody to answer a dialog.
pub async fn settled(browser: &Browser) {
    browser
        .until(
            "document.querySelector('main h1') && (document.querySelector('dialog[open]') || \
             !document.querySelector('[aria-busy]'))",
        )
        .await;
}

/// Nothing on the console but these: a browser writes down each refused request by itself.
pub async fn assert_calm(browser: &Browser, server: &Server, expected: &[&str]) {
    let mut expected = expected.to_vec();
    for line in browser.console().await {
        match expected.iter().position(|part| line.contains(part)) {
            Some(at) => drop(expected.remove(at)),
            None => panic!("the console says: {line}"),
        }
    }
    assert!(expected.is_empty(), "the console does not say {expected:?}");
    for url in browser.requested().await {
        // A browser begins with a page of its own, which no wire carries.
        let inside = ["data:", "chrome:", "chrome-untrusted:"].iter().any(|scheme| url.starts_with(scheme));
        let own = inside || url.starts_with(&format!("{}/", server.url));
        assert!(own, "a request to another host: {url}");
    }
}

/// What was on the screen when it was deleted may have been asked for once more on its way out; so far nothing else is on
/// the console.
pub async fn assert_calm_but_gone(browser: &Browser, path: &str) {
    for line in browser.console().await {
        assert!(line.contains(path) && line.contains("status of 404"), "the console says: {line}");
    }
}

/// The view needs no sideways scrolling, from a phone to a wall, and nobody meets a barrier in it, light or dark.
pub async fn assert_fits(browser: &Browser) {
    settled(browser).await;
    for (width, scheme) in [(360, "light"), (768, "dark"), (1280, "light"), (1280, "dark"), (2560, "light")] {
        browser.shape(width, scheme).await;
        let wide =
            browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth").await;
        assert_eq!(wide, 0, "the page is wider than {width} px: {}", browser.url().await);
        if width == 360 || width == 1280 {
            let barriers = browser.barriers().await;
            assert!(barriers.is_empty(), "{} at {width} px, {scheme}: {barriers:#?}", browser.url().await);
        }
    }
    browser.shape(1280, "light").await;
}

/// Each of these views holds in both languages: its title is translated, and the rest of [`assert_fits`].
pub async fn assert_both_languages(browser: &Browser, server: &Server, views: &[(&str, &str, &str)]) {
    for (language, at) in [("ja", 1), ("en", 0)] {
        browser.click(&format!("[data-language={language}]")).await;
        browser.until(&format!("document.documentElement.lang === '{language}'")).await;
        for (route, english, japanese) in views {
            open(browser, server, route).await;
            let title = [english, japanese][at];
            browser.until(&format!("document.querySelector('h1').textContent.includes({})", json!(title))).await;
            assert_fits(browser).await;
            let name: String = route.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            browser.picture(&format!("{name}-{language}")).await;
        }
    }
}
