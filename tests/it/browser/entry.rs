//! Coming in and going out, and what every list does.

use serde_json::json;

use super::{PASSWORD, assert_calm, assert_calm_but, assert_fits, logged_in, open};
use crate::support::{Server, browser::Browser, profile_body};

fn setup_link(server: &Server) -> String {
    let printed = server.printed();
    let link = printed.lines().map(str::trim).find(|line| line.contains("/#/setup/"));
    link.expect("a setup link beside the table of the start").to_owned()
}

in_both_languages!(
    an_administrator_comes_in_by_the_link_goes_out_and_comes_in_by_password,
    "the admin page's journeys"
);

async fn an_administrator_comes_in_by_the_link_goes_out_and_comes_in_by_password(browser: Browser) {
    let server = Server::start().await;
    let link = setup_link(&server);

    browser.open_url(&link).await;
    browser.see("Make an administrator").await;
    browser.picture("setup").await;
    browser.fill("[name=name]", "Ann <b>Example</b>").await;
    browser.fill("[name=email]", "not an address").await;
    browser.fill("[name=password]", "short").await;
    browser.click("button.main").await;
    // What is wrong stands beside the field that it is wrong with, and the first of them has the focus.
    browser.reads("[data-fault=email]", "This is no e-mail address.").await;
    browser.reads("[data-fault=password]", "At least 12 characters, please.").await;
    browser.until("document.activeElement.name === 'email'").await;
    browser.until("document.querySelector('[data-fault=name]').textContent === ''").await;
    browser.picture("setup-faults").await;
    assert_fits(&browser).await;
    browser.fill("[name=email]", "ann@example.com").await;
    browser.fill("[name=password]", PASSWORD).await;
    browser.click("button.main").await;
    browser.see("First steps").await;
    browser.see("Ann <b>Example</b>").await;
    assert_eq!(browser.url().await, format!("{}/#/overview", server.url), "the link leaves the address bar");
    browser.picture("overview-empty").await;
    assert_fits(&browser).await;
    browser.click("nav a[href='#/profiles']").await;
    browser.see("No profiles yet").await;
    browser.picture("profiles-empty").await;
    assert_fits(&browser).await;

    let admin = server.admin();
    admin.post("/api/custom_oauth_profiles", &profile_body("Acme HubSpot", "hubspot")).await.expect(200);
    // Nobody has to ask for it: the server says that something is new.
    browser.see("Acme HubSpot").await;
    assert_calm(&browser, &server, &["/setup - Failed to load resource: the server responded with a status of 400"])
        .await;

    browser.click("[data-logout]").await;
    browser.see("No user yet, or the password is lost?").await;
    assert!(!browser.text().await.contains("Acme HubSpot"));
    browser.picture("login").await;
    // The cookie is gone, and the page asks for nothing that needs one.
    browser.open_url(&format!("{}/#/profiles?q=acme", server.url)).await;
    browser.see("Log in").await;
    browser.fill("[name=name]", "ann <B>EXAMPLE</b>").await;
    browser.fill("[name=password]", "PLANTED something else").await;
    browser.click("button.main").await;
    browser.see("Name or password is wrong.").await;
    browser.picture("login-wrong").await;
    assert_fits(&browser).await;
    browser.fill("[name=password]", PASSWORD).await;
    browser.click("button.main").await;
    browser.see("Acme HubSpot").await;
    assert!(browser.url().await.ends_with("/#/profiles?q=acme"), "the route is kept over a login");
    assert_calm(&browser, &server, &["/session - Failed to load resource: the server responded with a status of 401"])
        .await;

    // One who switches is enough.
    if browser.is_japanese() {
        return;
    }
    browser.click("[data-language=ja]").await;
    browser.see("プロファイルを追加").await;
    assert_eq!(browser.run("return document.documentElement.lang").await, "ja");
    browser.run("location.reload()").await;
    browser.see("ログアウト").await;
    browser.picture("profiles-japanese").await;
    assert_fits(&browser).await;

    // The link worked once.
    browser.open_url(&link).await;
    browser.fill("[name=name]", "Bob").await;
    browser.fill("[name=email]", "bob@example.com").await;
    browser.fill("[name=password]", PASSWORD).await;
    browser.picture("setup-japanese").await;
    // What was typed stays when the language changes.
    browser.click("[data-language=en]").await;
    browser.until("document.querySelector('[name=name]')?.value === 'Bob' && document.title.startsWith('Make')").await;
    browser.click("button.main").await;
    browser.see("This link does not work").await;
    assert_eq!(browser.url().await, format!("{}/#/setup", server.url));
    browser.picture("setup-dead").await;
    assert_fits(&browser).await;
    assert_calm(&browser, &server, &["/setup - Failed to load resource: the server responded with a status of 401"])
        .await;
    assert_eq!(admin.get("/api/users").await.expect(200)["result"].as_array().unwrap().len(), 1);
}

in_both_languages!(
    hostile_names_are_shown_as_text_and_the_page_holds_them_at_any_width,
    "hostile names in the admin page"
);

async fn hostile_names_are_shown_as_text_and_the_page_holds_them_at_any_width(browser: Browser) {
    let server = Server::start().await;
    let admin = server.admin();
    let long = "W".repeat(255);
    let names = [
        "<img src=x onerror=\"document.title='owned'\">",
        "abc\u{202e}fed",
        &long,
        "🜁 {{7*7}} ${1+1}",
        "</script>'\"&amp;",
    ];
    for name in names {
        admin.post("/api/custom_oauth_profiles", &profile_body(name, "hubspot")).await.expect(200);
    }
    admin.post("/api/custom_oauth_profiles", &profile_body(&"W".repeat(10_000), "hubspot")).await.expect(400);
    logged_in(&browser, &server).await;
    open(&browser, &server, "profiles").await;
    browser.until("document.querySelectorAll('tbody tr').length === 5").await;
    let shown = browser
        .run("return [...document.querySelectorAll('tbody th a bdi')].map((name) => name.textContent).sort()")
        .await;
    // What turns the direction of writing is written out, so that no name looks like another.
    let mut expected = names.map(|name| name.replace('\u{202e}', "\\u{202e}"));
    expected.sort_unstable();
    assert_eq!(shown, json!(expected));
    assert_eq!(browser.run("return document.querySelectorAll('main img, main script').length").await, 0);
    browser.titled("Profiles · Grantry").await;
    browser.picture("profiles-hostile").await;
    assert_fits(&browser).await;
    assert_calm(&browser, &server, &[]).await;
}

in_both_languages!(
    pages_the_back_button_an_ended_session_and_a_lost_server_keep_the_reader_where_he_was,
    "pages, sessions and lost connections in the admin page"
);

async fn pages_the_back_button_an_ended_session_and_a_lost_server_keep_the_reader_where_he_was(browser: Browser) {
    // A fixed address, so that the server can come back under it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Server::with(&["--listen", &format!("127.0.0.1:{port}")]).await;
    let admin = server.admin();
    for number in 1..=101 {
        let name = format!("Profile number {number:03}");
        admin.post("/api/custom_oauth_profiles", &profile_body(&name, "hubspot")).await.expect(200);
    }
    logged_in(&browser, &server).await;
    open(&browser, &server, "profiles").await;
    browser.see("101 entries in all").await;
    browser.until("document.querySelectorAll('tbody tr').length === 50").await;
    browser.picture("profiles-filled").await;
    assert_fits(&browser).await;
    // Pages: each has an address, and the way back is the browser's, or a link.
    let first = browser.run("return document.querySelector('tbody th a').textContent").await;
    browser.click("[data-next]").await;
    browser.until("location.hash.includes('after=')").await;
    browser.shows(".pages a", "← Previous").await;
    let second = browser.url().await;
    browser.click("[data-next]").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    browser.back().await;
    browser.until("document.querySelectorAll('tbody tr').length === 50").await;
    assert_eq!(browser.url().await, second);
    browser.back().await;
    browser.until(&format!("document.querySelector('tbody th a').textContent === {first}")).await;
    browser.open_url(&second).await;
    browser.until(&format!("document.querySelector('tbody th a').textContent !== {first}")).await;

    // What is sought stands in the address; each letter is no step back.
    open(&browser, &server, "profiles").await;
    browser.fill("[type=search]", "number 077").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    assert!(browser.url().await.ends_with("/#/profiles?q=number+077"), "{}", browser.url().await);
    browser.until("document.activeElement.type === 'search'").await;
    browser.fill("[type=search]", "nothing like it").await;
    browser.see("Nothing fits").await;
    assert_fits(&browser).await;
    open(&browser, &server, "profiles?q=number+077").await;
    browser.see("Profile number 077").await;
    open(&browser, &server, "no/such").await;
    browser.see("There is no such page").await;
    browser.back().await;
    browser.see("Profile number 077").await;
    assert_calm(&browser, &server, &[]).await;

    // A new password ends the session: it is asked for over the view, which stays where it was.
    let users = admin.get("/api/users").await.expect(200);
    let path = format!("/api/users/{}", users["result"][0]["id"]);
    admin.put(&path, &json!({"password": PASSWORD})).await.expect(200);
    browser.run("location.hash = '#/profiles?q=number+078'").await;
    browser.see("Your session has ended").await;
    browser.picture("ended").await;
    assert_fits(&browser).await;
    browser.fill("dialog [name=password]", PASSWORD).await;
    browser.click("dialog button.main").await;
    browser.see("Profile number 078").await;
    browser.until("document.querySelector('dialog') === null").await;

    server.kill();
    browser.run("location.hash = '#/profiles?q=number+079'").await;
    browser.see("The server does not answer").await;
    browser.picture("lost").await;
    server.kill_and_restart().await;
    browser.see("Profile number 079").await;
    browser.until("document.querySelector('.notices').textContent === ''").await;
    assert_calm_but(&browser, &server, "Failed to load resource").await;
}
