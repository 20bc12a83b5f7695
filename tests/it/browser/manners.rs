//! The page's manners, whatever it shows: its content security policy, and what a reader asked the system for.

use serde_json::json;

use super::{assert_calm, logged_in, open, settled};
use crate::support::{Server, browser::Browser, practice::Practice, profile_body};

#[tokio::test]
async fn nothing_is_done_that_the_policy_forbids_and_what_would_be_is_seen() {
    let Some(browser) = Browser::start("the policy of the admin page").await else { return };
    let server = Server::start().await;
    logged_in(&browser, &server).await;
    let policy = server.anybody().get("/").await.header("content-security-policy").to_owned();
    for word in ["unsafe", "*", "data:", "blob:", "http"] {
        assert!(!policy.contains(word), "{policy}");
    }
    assert!(policy.contains("require-trusted-types-for") || policy.starts_with("default-src 'none'"), "{policy}");
    assert_calm(&browser, &server, &[]).await;
    // What the tests rely on: each of these is stopped, and reported. The report outlives the page.
    browser
        .run(
            "const script = document.createElement('script');
            script.textContent = 'globalThis.owned = true';
            document.body.append(script);
            document.body.setAttribute('style', 'color: red');
            document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"globalThis.owned = true\">');
            // Later: what the driver itself runs may do more.
            setTimeout(() => (0, eval)('globalThis.owned = true'));",
        )
        .await;
    let seen = |what: &str| format!("sessionStorage.getItem('violations')?.includes('{what}')");
    browser.until(&format!("{} && {}", seen("script-src-attr"), seen("eval"))).await;
    assert_eq!(browser.run("return globalThis.owned ?? null").await, json!(null));
    browser.run("location.reload()").await;
    browser.until("document.title.startsWith('Overview')").await;
    let seen = browser.violations().await;
    for directive in
        ["script-src-elem: inline", "style-src-attr: inline", "script-src-attr: inline", "script-src: eval"]
    {
        assert!(seen.iter().any(|line| line.starts_with(directive)), "{directive}: {seen:#?}");
    }
    assert!(browser.violations().await.is_empty());
    // The browser says the same on its console, and something was asked for that is not there.
    browser.console().await;
}

/// Whatever moves: the elements of the page and of what the style sheet moves elsewhere, and what is moving now.
const MOVING: &str = "const samples = document.createElement('div');
    samples.innerHTML = '<div class=\"skeleton\"><span></span></div><span class=\"pulse\"></span><main aria-busy=\"true\"></main><a class=\"skip\"></a>';
    document.body.append(samples);
    const longer = (text) => text.split(',').some((one) => parseFloat(one) > 0.001);
    const found = [...document.querySelectorAll('*')].flatMap((element) => [null, '::before', '::after', '::backdrop'].flatMap((part) => {
        const { animationName, animationDuration, transitionDuration, scrollBehavior } = getComputedStyle(element, part);
        const moves = animationName !== 'none' && longer(animationDuration) || longer(transitionDuration) || scrollBehavior === 'smooth';
        return moves ? [`${element.tagName}.${element.className}${part ?? ''}`] : [];
    }));
    const running = document.getAnimations().map((one) => `runs: ${one.effect.target.className}`);
    samples.remove();
    return [...new Set([...found, ...running])];";

#[tokio::test]
async fn nothing_moves_for_a_reader_who_asked_for_that() {
    let Some(browser) = Browser::start("reduced motion in the admin page").await else { return };
    let practice = Practice::with(grantry::simulator::Options::default());
    let server = Server::start().await;
    let profile = practice.introduce(&server.admin()).await;
    logged_in(&browser, &server).await;
    // For everybody else something does: what follows looks at the right things.
    let moving = browser.run(MOVING).await;
    for part in ["SPAN.pulse", "SPAN.", "MAIN.", "runs: pulse"] {
        assert!(moving.as_array().unwrap().contains(&json!(part)), "{part}: {moving}");
    }
    browser.prefer(&[("prefers-reduced-motion", "reduce")]).await;
    let nothing = json!([]);
    assert_eq!(browser.run(MOVING).await, nothing, "overview");
    open(&browser, &server, &format!("profiles/{profile}")).await;
    browser.click("[data-delete]").await;
    browser.until("document.querySelector('dialog[open]')").await;
    assert_eq!(browser.run(MOVING).await, nothing, "a dialog");
    browser.click("dialog [autofocus]").await;
    browser.click("[data-next]").await;
    browser.fill("dialog [name=secret]", "PLANTED another one").await;
    browser.click("dialog button.main").await;
    browser.until("document.querySelector('.saying')").await;
    assert_eq!(browser.run(MOVING).await, nothing, "what was done is said");
    open(&browser, &server, &format!("connect?profile_id={profile}")).await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('.waiting')").await;
    assert_eq!(browser.run(MOVING).await, nothing, "waiting");
    browser.shape(360, "light").await;
    browser.prefer(&[("prefers-reduced-motion", "reduce")]).await;
    browser.click("[data-menu]").await;
    browser.until("document.querySelector('.side:popover-open')").await;
    assert_eq!(browser.run(MOVING).await, nothing, "the drawer");
    assert_calm(&browser, &server, &[]).await;
}

/// Sizes are the reader's: what `assert_fits` shows of each view, here of the frame itself.
#[tokio::test]
async fn twice_as_large_the_page_is_all_there_and_what_has_the_focus_is_seen() {
    let Some(browser) = Browser::start("the admin page at 200 %").await else { return };
    let server = Server::start().await;
    let admin = server.admin();
    for n in 0..60 {
        let name = format!("A profile with quite a long name, the {n}th of them");
        admin.post("/api/custom_oauth_profiles", &profile_body(&name, "hubspot")).await.expect(200);
    }
    logged_in(&browser, &server).await;
    open(&browser, &server, "profiles").await;
    for enlarged in [false, true] {
        if enlarged {
            browser.shape(1280, "light").await;
            browser.run("document.documentElement.style.fontSize = '200%'").await;
        } else {
            browser.zoom_twice().await;
        }
        settled(&browser).await;
        browser.run("document.querySelector('h1').focus(); scrollTo(0, 0)").await;
        // Down through the list and up again: what has the focus is never behind the bar.
        for _ in 0..20 {
            browser.press(super::frame::TAB).await;
            assert_eq!(browser.run(super::frame::UNCOVERED).await, true, "{}", focused(&browser).await);
        }
        for _ in 0..15 {
            // Shift is held down for one Tab.
            browser.press_with_shift(super::frame::TAB).await;
            assert_eq!(browser.run(super::frame::UNCOVERED).await, true, "{}", focused(&browser).await);
        }
    }
    browser.run("document.documentElement.style.fontSize = ''").await;
    // The whole of the navigation can be come by, however low the window is.
    browser.zoom_twice().await;
    browser.click("[data-menu]").await;
    browser.click(".side [data-theme-choice=dark]").await;
    browser.click(".side [data-logout]").await;
    browser.see("Log in").await;
    assert_calm(&browser, &server, &[]).await;
}

async fn focused(browser: &Browser) -> serde_json::Value {
    browser.run("return document.activeElement.outerHTML.slice(0, 200)").await
}
