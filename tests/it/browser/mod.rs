//! The admin page in a real browser, view by view.

/// A journey, which has its browser from here, in both languages.
macro_rules! in_both_languages {
    ($journey:ident, $suite:literal) => {
        mod $journey {
            use crate::support::browser::Browser;

            #[tokio::test]
            async fn in_english() {
                if let Some(browser) = Browser::start($suite).await {
                    super::$journey(browser).await;
                }
            }

            #[tokio::test]
            async fn in_japanese() {
                if let Some(browser) = Browser::start_in_japanese(concat!($suite, ", in Japanese")).await {
                    super::$journey(browser).await;
                }
            }
        }
    };
}

mod applications;
mod connect;
mod connections;
mod customers;
mod endings;
mod entry;
mod frame;
mod hostile;
mod keyboard;
mod load;
mod manners;
mod overview;
mod people;
mod profiles;
mod providers;
mod sessions;
mod settings;
mod tokens;
mod warnings;
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
    browser.titled("Overview").await;
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
    assert_homely(browser, server).await;
}

/// Nothing on the console but that requests came to nothing like this, however often.
pub async fn assert_calm_but(browser: &Browser, server: &Server, how: &str) {
    for line in browser.console().await {
        assert!(line.contains(how), "the console says: {line}");
    }
    assert_homely(browser, server).await;
}

/// Nobody else was asked for anything, and the page has kept to its content security policy.
async fn assert_homely(browser: &Browser, server: &Server) {
    assert_eq!(browser.violations().await, Vec::<String>::new());
    for url in browser.requested().await {
        // A browser begins with a page of its own, which no wire carries.
        let own = !url.starts_with("http") || url.starts_with(&format!("{}/", server.url));
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

/// What does not fit the window: a page to be scrolled sideways, words that are cut off in a button, something that cannot
/// be reached, or what stands still above the page and leaves nothing of it.
const MISFITS: &str = "const found = [];
    const root = document.scrollingElement;
    if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} wide`);
    const name = (element) => element.outerHTML.slice(0, 200);
    const shown = (element) => element.checkVisibility() && element.clientWidth > 1;
    for (const button of document.querySelectorAll('button, .button, summary, nav a, .tile, .badge')) {
        if (!shown(button)) continue;
        const { scrollWidth, clientWidth, scrollHeight, clientHeight } = button;
        if (scrollWidth > clientWidth + 1 || scrollHeight > clientHeight + 1) found.push(`cut off: ${name(button)}`);
        const { left, right } = button.getBoundingClientRect();
        if ((left < -1 || right > innerWidth + 1) && !button.closest('.table')) found.push(`out of the window: ${name(button)}`);
    }
    for (const dialog of document.querySelectorAll('dialog[open]')) {
        const { left, right, top, bottom } = dialog.getBoundingClientRect();
        if (left < 0 || top < 0 || right > innerWidth || bottom > innerHeight) found.push('the dialog leaves the window');
    }
    scrollTo(0, root.scrollHeight);
    const above = [...document.querySelectorAll('.bar, .notices')].filter((part) => shown(part) && getComputedStyle(part).position === 'sticky');
    const covered = above.reduce((sum, part) => sum + part.offsetHeight, 0);
    if (covered > innerHeight / 3) found.push(`${covered} of ${innerHeight} are covered`);
    scrollTo(0, 0);
    return found;";

async fn assert_no_misfits(browser: &Browser, how: &str) {
    let found = browser.run(MISFITS).await;
    assert_eq!(found, json!([]), "{how}: {}", browser.url().await);
}

/// The view holds in every window, from a phone to a wall, twice as large, and with letters twice as large; and nobody meets
/// a barrier in it, light or dark.
pub async fn assert_fits(browser: &Browser) {
    settled(browser).await;
    for (width, scheme) in [(360, "light"), (768, "dark"), (1280, "light"), (1280, "dark"), (2560, "light")] {
        browser.shape(width, scheme).await;
        assert_no_misfits(browser, &format!("{width} px")).await;
        if width == 360 || width == 1280 {
            let barriers = browser.barriers().await;
            assert!(barriers.is_empty(), "{} at {width} px, {scheme}: {barriers:#?}", browser.url().await);
        }
    }
    assert_enlarged(browser).await;
}

/// The same, twice as large.
pub async fn assert_enlarged(browser: &Browser) {
    browser.zoom_twice().await;
    assert_no_misfits(browser, "200 %").await;
    browser.shape(1280, "light").await;
    browser.run("document.documentElement.style.fontSize = '200%'").await;
    assert_no_misfits(browser, "letters of 200 %").await;
    browser.run("document.documentElement.style.fontSize = ''").await;
}

/// Each of these views holds in both languages: its title is translated, and the rest of [`assert_fits`]. One reader who
/// switches is enough.
pub async fn assert_both_languages(browser: &Browser, server: &Server, views: &[(&str, &str, &str)]) {
    if browser.is_japanese() {
        return;
    }
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
