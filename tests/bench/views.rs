//! Every view of the admin page, over 100,000 connections and 10,000 profiles: when a browser that has nothing of it yet has
//! painted it, against a page without a script; and how long the server takes for what the view asks of it.

use std::{collections::BTreeSet, time::Instant};

use rusqlite::Connection;
use serde_json::json;

use super::{Server, median, milliseconds, seed, start};

/// The browser of the tests.
#[allow(dead_code, unreachable_pub)]
#[path = "../it/support"]
mod support {
    pub(super) mod browser;
    mod programs;
    mod words;
}
use support::browser::Browser;

const PASSWORD: &str = "made up for a benchmark";
const ROUNDS: usize = 7;
/// The routes of the page, and one of each kind below them.
const VIEWS: [&str; 23] = [
    "overview",
    "profiles",
    "profiles?q=client-99&state=rejected",
    "profiles/9999",
    "profiles/9999/edit",
    "connections",
    "connections?q=number%2099999",
    "connections?q=nowhere",
    "connections?state=wrong",
    "connections/99999",
    "connect",
    "providers",
    "providers/hubspot",
    "load",
    "customers?q=acme",
    "customers/19999",
    "applications",
    "tokens",
    "users",
    "account",
    "webhooks",
    "settings",
    "audit",
];
/// Tells when the first frame in which nothing is missing was painted, in milliseconds since the address was opened.
const WATCH: &str = "
    new MutationObserver((_, watch) => {
        if (!document.querySelector('main h1') || document.querySelector('[aria-busy]')) return;
        watch.disconnect();
        requestAnimationFrame(() => setTimeout(() => { window.painted = performance.now(); }));
    }).observe(document, { childList: true, subtree: true, attributes: true });";

/// Opens an address with an empty cache; when it was painted.
async fn paint(browser: &Browser, url: &str) -> f64 {
    // Another route of the same document would be no new page.
    browser.open_url("about:blank").await;
    browser.devtools("Network.clearBrowserCache", &json!({})).await;
    browser.open_url(url).await;
    browser.until("window.painted").await;
    browser.run("return window.painted").await.as_f64().unwrap()
}

/// What a call takes at the server, and how many bytes it answers.
async fn ask(http: &reqwest::Client, url: &str, cookie: &str) -> (f64, usize) {
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..11 {
        let begun = Instant::now();
        let answer = http.get(url).header("cookie", cookie).send().await.unwrap();
        assert!(answer.status().is_success() || answer.status() == 404, "{url}: {}", answer.status());
        bytes = answer.bytes().await.unwrap().len();
        times.push(milliseconds(begun.elapsed()));
    }
    (median(times), bytes)
}

/// Somebody who is logged in, in the browser and beside it.
async fn log_in(http: &reqwest::Client, browser: &Browser, server: &Server) -> String {
    let url = &server.url;
    let user = json!({"name": "ann", "email": "ann@example.com", "role": "admin", "password": PASSWORD});
    let made = http.post(format!("{url}/api/users")).bearer_auth(&server.token).json(&user).send().await.unwrap();
    assert_eq!(made.status(), 200);
    let draft = json!({"name": "ann", "password": PASSWORD});
    let answer = http.post(format!("{url}/session")).header("origin", url).json(&draft).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    browser.open_url(&format!("{url}/#/login")).await;
    browser.fill("[name=name]", "ann").await;
    browser.fill("[name=password]", &format!("{PASSWORD}\u{e007}")).await;
    browser.until("document.title.startsWith('Overview')").await;
    cookie
}

/// Says nothing, and why, where no browser is installed.
pub async fn painted(http: &reqwest::Client) {
    let Some(browser) = Browser::start("the benchmark of the views").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    drop(start(&data, http).await);
    let db = Connection::open(data.join("grantry.db")).unwrap();
    seed(&db);
    drop(db);
    let (server, _) = start(&data, http).await;
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({"source": WATCH})).await;

    let mut plain = Vec::new();
    let mut login = Vec::new();
    for _ in 0..ROUNDS {
        plain.push(paint(&browser, &format!("{}/no-such-page", server.url)).await);
        login.push(paint(&browser, &format!("{}/", server.url)).await);
    }
    let plain = median(plain);
    let line = |view: &str, time: f64, asked: &str| {
        println!("{view:<38} {:5.1} x a plain page ({time:.0} : {plain:.0} ms){asked}", time / plain);
    };
    line("log in", median(login), "");

    let cookie = log_in(http, &browser, &server).await;
    for view in VIEWS {
        let mut times = Vec::new();
        browser.requested().await;
        for _ in 0..ROUNDS {
            times.push(paint(&browser, &format!("{}/#/{view}", server.url)).await);
        }
        browser.until("!document.querySelector('[aria-busy]')").await;
        let mut asked: BTreeSet<String> = browser.requested().await.into_iter().collect();
        asked.retain(|url| url.starts_with(&format!("{}/api/", server.url)) && !url.ends_with("/api/live"));
        let mut slowest = (0.0, 0, String::new());
        for url in asked {
            let (time, bytes) = ask(http, &url, &cookie).await;
            if time > slowest.0 {
                slowest = (time, bytes, url[server.url.len()..].to_owned());
            }
        }
        line(view, median(times), &format!("  asks at most {:.1} ms, {} bytes: {}", slowest.0, slowest.1, slowest.2));
    }
}
