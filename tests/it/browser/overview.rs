//! What needs attention first.

use grantry::simulator::{Options, Rotation};
use serde_json::json;

use super::{assert_both_languages, assert_calm, assert_fits, logged_in, open};
use crate::support::{Server, browser::Browser, practice::Practice};

in_both_languages!(what_needs_attention_comes_first_with_what_to_do_about_it, "the overview of the admin page");

async fn what_needs_attention_comes_first_with_what_to_do_about_it(browser: Browser) {
    let practice = Practice::with(Options { rotation: Rotation::None, ..Options::default() });
    let server = Server::start().await;
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, 3, false).await;
    logged_in(&browser, &server).await;
    // Nothing is wrong but that nobody has taken a backup.
    browser.see("There is no backup yet").await;
    browser.until("document.querySelectorAll('.chart svg rect').length >= 0 && document.querySelector('.chart svg[role=img]')").await;

    // A grant ends at the provider: the page says so by itself.
    practice.fault("refresh", "error:invalid_grant").await;
    admin.post(&format!("/api/connections/{}/refresh", connected[0].0), &json!({})).await;
    browser.see("1 connection has to be authorised again").await;
    // With and without a grant: one answer alone is about one connection.
    practice.faults("token", "invalid_client").await;
    admin.post(&format!("/api/connections/{}/refresh", connected[1].0), &json!({})).await;
    practice.mend().await;
    browser.shows(".attention", "The provider turns down the app").await;
    browser.shows(".attention", "Practice").await;
    browser.picture("overview-attention").await;
    assert_fits(&browser).await;
    browser.click(".attention a[href='#/connections?state=lost']").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    browser.see("grant ended or revoked").await;
    browser.back().await;
    browser.click(&format!(".attention a[href='#/profiles/{profile}']")).await;
    browser.see("The provider turns this app down").await;
    open(&browser, &server, "overview").await;
    // The chart is there for those who do not see it, too.
    browser.until("document.querySelectorAll('.chart tbody tr').length === 7").await;
    assert_both_languages(&browser, &server, &[("overview", "Overview", "概要")]).await;
    assert_calm(&browser, &server, &[]).await;
}
