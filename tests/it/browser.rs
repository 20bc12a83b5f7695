//! The admin page in a real browser.

use serde_json::json;

use crate::support::{Server, browser::Browser, profile_body};

const PASSWORD: &str = "PLANTED correct horse battery";

fn setup_link(server: &Server) -> String {
    let printed = server.printed();
    let link = printed.lines().map(str::trim).find(|line| line.contains("/#/setup/"));
    link.expect("a setup link beside the table of the start").to_owned()
}

/// Nothing on the console but these: a browser writes down each refused request by itself.
async fn assert_calm(browser: &Browser, server: &Server, expected: &[&str]) {
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

/// The view needs no sideways scrolling, from a phone to a wall.
async fn assert_fits(browser: &Browser) {
    for width in [360, 768, 1280, 2560] {
        browser.shape(width, "light").await;
        let wide =
            browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth").await;
        assert_eq!(wide, 0, "the page is wider than {width} px");
    }
}

#[tokio::test]
async fn an_administrator_comes_in_by_the_link_goes_out_and_comes_in_by_password() {
    let Some(browser) = Browser::start("the admin page's journeys").await else { return };
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
    browser.until("document.querySelector('#fault-email').textContent === 'This is no e-mail address.'").await;
    browser.until("document.querySelector('#fault-password').textContent.startsWith('At least 12')").await;
    browser.until("document.activeElement.name === 'email'").await;
    browser.until("document.querySelector('#fault-name').textContent === ''").await;
    browser.picture("setup-faults").await;
    assert_fits(&browser).await;
    browser.fill("[name=email]", "ann@example.com").await;
    browser.fill("[name=password]", PASSWORD).await;
    browser.click("button.main").await;
    browser.see("No profiles yet").await;
    browser.see("Ann <b>Example</b>").await;
    assert_eq!(browser.url().await, format!("{}/#/profiles", server.url), "the link leaves the address bar");
    browser.picture("profiles-empty").await;
    assert_fits(&browser).await;

    let admin = server.admin();
    admin.post("/api/custom_oauth_profiles", &profile_body("Acme HubSpot", "hubspot")).await.expect(200);
    browser.click("[data-again]").await;
    browser.see("Acme HubSpot").await;
    assert_calm(&browser, &server, &["/setup - Failed to load resource: the server responded with a status of 400"])
        .await;

    browser.click(".who button.small").await;
    browser.see("Log in").await;
    assert!(!browser.text().await.contains("Acme HubSpot"));
    browser.picture("login").await;
    // The cookie is gone, and the page asks for nothing that needs one.
    browser.open_url(&format!("{}/#/profiles?page=1", server.url)).await;
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
    assert!(browser.url().await.ends_with("/#/profiles?page=1"), "the route is kept over a login");
    assert_calm(&browser, &server, &["/session - Failed to load resource: the server responded with a status of 401"])
        .await;

    browser.click("[data-language=ja]").await;
    browser.see("プロファイル").await;
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

/// A page that shows a logged-in user's profiles.
async fn logged_in(browser: &Browser, server: &Server) {
    let draft = json!({"name": "ann", "email": "ann@example.com", "role": "admin", "password": PASSWORD});
    server.admin().post("/api/users", &draft).await.expect(200);
    browser.open_url(&format!("{}/", server.url)).await;
    browser.fill("[name=name]", "ann").await;
    // By the keyboard alone: U+E007 is the Enter key (WebDriver §17.4.2).
    browser.fill("[name=password]", &format!("{PASSWORD}\u{e007}")).await;
    browser.see("Profiles").await;
}

#[tokio::test]
async fn hostile_names_are_shown_as_text_and_the_page_holds_them_at_any_width() {
    let Some(browser) = Browser::start("hostile names in the admin page").await else { return };
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
    browser.until("document.querySelectorAll('tbody tr').length === 5").await;
    let shown =
        browser.run("return [...document.querySelectorAll('tbody th bdi')].map((name) => name.textContent)").await;
    // What turns the direction of writing is written out, so that no name looks like another.
    assert_eq!(shown, json!(names.map(|name| name.replace('\u{202e}', "\\u{202e}"))));
    assert_eq!(browser.run("return document.querySelectorAll('main img, main script').length").await, 0);
    assert_eq!(browser.run("return document.title").await, "Profiles · Grantry");
    browser.picture("profiles-hostile").await;
    assert_fits(&browser).await;
    assert_calm(&browser, &server, &[]).await;
}

#[tokio::test]
async fn pages_the_back_button_an_ended_session_and_a_lost_server_keep_the_reader_where_he_was() {
    let Some(browser) = Browser::start("pages, sessions and lost connections in the admin page").await else { return };
    // A fixed address, so that the server can come back under it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Server::with(&["--listen", &format!("127.0.0.1:{port}")]).await;
    let admin = server.admin();
    for number in 1..=51 {
        let name = format!("Profile number {number:02}");
        admin.post("/api/custom_oauth_profiles", &profile_body(&name, "hubspot")).await.expect(200);
    }
    logged_in(&browser, &server).await;
    browser.see("Profile number 25").await;
    browser.picture("profiles-filled").await;
    assert_fits(&browser).await;
    browser.run("document.querySelector('.pages a').click()").await;
    browser.see("Profile number 26").await;
    browser.see("Page 2").await;
    browser.back().await;
    browser.see("Profile number 01").await;
    browser.open_url(&format!("{}/#/profiles?page=3", server.url)).await;
    browser.see("Profile number 51").await;
    assert_eq!(browser.run("return document.querySelectorAll('.pages a').length").await, 1, "there is no page 4");
    browser.open_url(&format!("{}/#/profiles?page=4", server.url)).await;
    browser.see("There is nothing on page 4").await;
    browser.open_url(&format!("{}/#/profiles?page=2", server.url)).await;
    browser.see("Profile number 26").await;
    browser.open_url(&format!("{}/#/no/such", server.url)).await;
    browser.see("There is no such page").await;
    browser.back().await;
    browser.see("Profile number 26").await;
    assert_calm(&browser, &server, &[]).await;

    // A new password ends the session.
    let users = admin.get("/api/users").await.expect(200);
    let path = format!("/api/users/{}", users["result"][0]["id"]);
    admin.put(&path, &json!({"password": PASSWORD})).await.expect(200);
    browser.click("[data-again]").await;
    browser.see("Your session has ended").await;
    assert!(browser.url().await.ends_with("/#/profiles?page=2"));
    browser.fill("[name=name]", "ann").await;
    browser.fill("[name=password]", PASSWORD).await;
    browser.click("button.main").await;
    browser.see("Profile number 26").await;

    server.kill();
    browser.click("[data-again]").await;
    browser.see("The server does not answer").await;
    browser.picture("lost").await;
    server.kill_and_restart().await;
    browser.see("Profile number 26").await;
    browser.until("document.querySelector('.notices').textContent === ''").await;
}
