//! Connecting accounts through a browser, and everything that somebody may try on that way.

use std::{process::Command, time::Duration};

use grantry::simulator::{CLIENT_ID, Like, Options, Rotation};
use reqwest::{Client, Response, redirect::Policy};
use serde_json::{Value, json};

use crate::support::{
    Caller, Server,
    practice::{Practice, until},
};

const SOON: Duration = Duration::from_secs(20);

/// A browser without a page: it keeps cookies and follows nothing by itself.
struct Browser {
    http: Client,
    cookie: Option<String>,
}

impl Browser {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { http: Client::builder().no_proxy().redirect(Policy::none()).build().unwrap(), cookie: None }
    }

    async fn get(&mut self, url: &str) -> Response {
        let mut request = self.http.get(url);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = request.send().await.unwrap();
        if let Some(set) = answer.headers().get("set-cookie") {
            let set = set.to_str().unwrap();
            assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        answer
    }
}

fn location(answer: &Response) -> String {
    answer.headers()["location"].to_str().unwrap().to_owned()
}

/// The provider approves at once, for this account.
fn approving(authorize: &str, account: &str) -> String {
    format!("{authorize}&login_hint={account}&auto=1")
}

struct Link {
    connection: i64,
    url: String,
}

async fn link(admin: &Caller, body: Value) -> Link {
    let made = admin.post("/api/connect", &body).await.expect(200)["result"].clone();
    Link { connection: made["connection_id"].as_i64().unwrap(), url: made["url"].as_str().unwrap().to_owned() }
}

/// Opens a link and goes to the provider; the address to which it sends the browser back.
async fn to_the_provider(browser: &mut Browser, url: &str, account: &str) -> String {
    let opened = browser.get(url).await;
    assert_eq!(opened.status(), 302);
    let approved = browser.http.get(approving(&location(&opened), account)).send().await.unwrap();
    assert!(approved.status().is_redirection(), "{}", approved.text().await.unwrap());
    location(&approved)
}

async fn practice_with(server: &Server) -> (Practice, Caller, i64) {
    let practice = Practice::with(Options { rotation: Rotation::Strict, ..Options::default() });
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    (practice, admin, profile)
}

#[tokio::test]
async fn a_link_connects_an_account_and_says_which() {
    let server = Server::start().await;
    let (_practice, admin, profile) = practice_with(&server).await;
    let link = link(&admin, json!({"custom_oauth_profile_id": profile, "owner": "alice", "name": "Mail <b>"})).await;
    let mut browser = Browser::new();
    let back = to_the_provider(&mut browser, &link.url, "alice").await;
    assert!(back.contains("/oauth/callback?"), "{back}");
    let landed = browser.get(&back).await;
    assert_eq!(landed.status(), 200);
    let page = landed.text().await.unwrap();
    assert!(page.contains("alice@practice.example") && page.contains("Mail &lt;b&gt;"), "{page}");
    let detail = admin.get(&format!("/api/connections/{}", link.connection)).await.expect(200)["result"].clone();
    assert_eq!(detail["account"]["label"], "alice@practice.example");
    assert_eq!(
        (&detail["authorization_status"], &detail["grant"]["type"]),
        (&json!("success"), &json!("authorization_code"))
    );
    let token = admin.get(&format!("/api/connections/{}/token", link.connection)).await.expect(200);
    assert_eq!(token["token_type"], "Bearer");
    let again = browser.get(&back).await;
    assert_eq!(again.status(), 404, "a state is good once");
    assert_eq!(browser.get(&link.url).await.status(), 404, "and so is a link that has done its work");
}

/// A disk that takes no more, or takes everything again.
fn disk(server: &Server, takes: bool) {
    let limit = format!("--fsize={}:", if takes { "unlimited" } else { "0" });
    let done = Command::new("prlimit").args(["--pid", &server.pid().to_string(), &limit]).status().unwrap();
    assert!(done.success());
}

/// Somebody comes back from the provider, and just when it has given its tokens the disk is full. The address, and who waits
/// there for the page.
async fn back_to_a_full_disk(
    server: &Server,
    practice: &Practice,
    link: &Link,
    account: &str,
) -> tokio::task::JoinHandle<(u16, String)> {
    let mut browser = Browser::new();
    let back = to_the_provider(&mut browser, &link.url, account).await;
    practice.control("hold", json!({"at": "after"})).await;
    let waiting = tokio::spawn(async move {
        let landed = browser.get(&back).await;
        (landed.status().as_u16(), landed.text().await.unwrap())
    });
    until("the code is used up", SOON, async || practice.counts().await["token"]["held"] == 1).await;
    disk(server, false);
    practice.control("release", json!({})).await;
    until("the answer is here", SOON, async || practice.counts().await["token"]["under_way"] == 0).await;
    waiting
}

#[tokio::test]
async fn tokens_that_a_full_disk_does_not_take_are_kept_as_soon_as_it_does() {
    let server = Server::ignoring_size_signals().await;
    let (practice, admin, profile) = practice_with(&server).await;
    let link = link(&admin, json!({"custom_oauth_profile_id": profile, "owner": "alice"})).await;
    let waiting = back_to_a_full_disk(&server, &practice, &link, "alice").await;
    assert_eq!(admin.get("/readyz").await.status, 503);
    disk(&server, true);
    let (status, page) = waiting.await.unwrap();
    assert_eq!(status, 200, "{page}");
    admin.get(&format!("/api/connections/{}/token", link.connection)).await.expect(200);
}

#[tokio::test]
async fn what_a_disk_that_stays_full_loses_is_said_and_given_back_where_the_provider_takes_it() {
    let lost = async |gives_back: bool| {
        let server = Server::ignoring_size_signals().await;
        let (practice, admin, profile) = practice_with(&server).await;
        let link = link(&admin, json!({"custom_oauth_profile_id": profile, "owner": "alice"})).await;
        if !gives_back {
            practice.faults("revoke", "status:503").await;
        }
        let (status, page) = back_to_a_full_disk(&server, &practice, &link, "alice").await.await.unwrap();
        assert_eq!(status, 503, "{page}");
        assert!(page.contains("Not connected") && page.contains("disk full"), "{page}");
        assert_eq!(page.contains("given back to the provider"), gives_back, "{page}");
        assert_eq!(page.contains("Remove the grant of this app"), !gives_back, "{page}");
        disk(&server, true);
        let detail = admin.get(&format!("/api/connections/{}", link.connection)).await.expect(200);
        assert_eq!(detail["result"]["authorization_status"], Value::Null, "{detail}");
        // The same link connects, now that there is room.
        let mut browser = Browser::new();
        let back = to_the_provider(&mut browser, &link.url, "alice").await;
        assert_eq!(browser.get(&back).await.status(), 200);
        admin.get(&format!("/api/connections/{}/token", link.connection)).await.expect(200);
    };
    // A refresh token that somebody brings along is used up the same way.
    let imported = async {
        let server = Server::ignoring_size_signals().await;
        let (practice, admin, profile) = practice_with(&server).await;
        let made = practice.control("grants", json!({"count": 1})).await["grants"][0].clone();
        practice.control("hold", json!({"at": "after"})).await;
        let body =
            json!({"custom_oauth_profile_id": profile, "name": "brought", "refresh_token": made["refresh_token"]});
        let import = admin.post("/api/connections/import", &body);
        let fill = async {
            until("the token is used up", SOON, async || practice.counts().await["token"]["held"] == 1).await;
            disk(&server, false);
            practice.control("release", json!({})).await;
        };
        let (answer, ()) = tokio::join!(import, fill);
        let said = answer.expect(503)["message"].as_str().unwrap().to_owned();
        assert!(
            said.contains("given back") && said.contains("used up") && !said.contains("nothing was changed"),
            "{said}"
        );
        let grant = practice.grant(made["id"].as_u64().unwrap()).await;
        assert_eq!(grant["alive"], false, "{grant}");
        disk(&server, true);
    };
    tokio::join!(lost(true), lost(false), imported);
}

/// An account that is connected, and a link to connect it again.
async fn connected_before(server: &Server) -> (Practice, Caller, Link) {
    let (practice, admin, profile) = practice_with(server).await;
    let first = link(&admin, json!({"custom_oauth_profile_id": profile})).await;
    let mut browser = Browser::new();
    let back = to_the_provider(&mut browser, &first.url, "alice").await;
    assert_eq!(browser.get(&back).await.status(), 200);
    let again = link(&admin, json!({"connection_id": first.connection})).await;
    (practice, admin, again)
}

#[tokio::test]
async fn another_accounts_tokens_are_given_back_at_once_where_a_full_disk_takes_no_revocation() {
    let server = Server::ignoring_size_signals().await;
    let (practice, admin, again) = connected_before(&server).await;
    let (status, page) = back_to_a_full_disk(&server, &practice, &again, "bob").await.await.unwrap();
    assert_eq!(status, 409, "{page}");
    assert!(page.contains("bob@practice.example"), "{page}");
    // The disk is full still, so it was no queue that sent it.
    assert_eq!(admin.get("/readyz").await.status, 503);
    let alive: Vec<bool> = practice.grants().await.iter().map(|grant| grant["alive"] == true).collect();
    assert_eq!(alive, [true, false], "the first one's is not touched");
    disk(&server, true);
    admin.get(&format!("/api/connections/{}/token", again.connection)).await.expect(200);
}

#[tokio::test]
async fn a_connection_that_works_keeps_its_grant_where_the_disk_takes_no_new_tokens() {
    let server = Server::ignoring_size_signals().await;
    let (practice, admin, again) = connected_before(&server).await;
    let revocations = async || practice.counts().await["requests"]["/revoke"].as_u64().unwrap_or_default();
    let (status, page) = back_to_a_full_disk(&server, &practice, &again, "alice").await.await.unwrap();
    assert_eq!(status, 503, "{page}");
    // Many providers end all tokens of an account with any of them.
    assert_eq!(revocations().await, 0);
    assert!(page.contains("goes on with the tokens that it had"), "{page}");
    assert!(!page.contains("Remove the grant") && !page.contains("given back"), "{page}");
    disk(&server, true);
    admin.get(&format!("/api/connections/{}/token", again.connection)).await.expect(200);
    admin.post(&format!("/api/connections/{}/refresh", again.connection), &json!({})).await.expect(200);
}

#[tokio::test]
async fn what_can_be_asked_for_again_is_neither_lost_nor_given_back_on_a_full_disk() {
    let server = Server::ignoring_size_signals().await;
    let admin = server.admin();
    let practice = Practice::with(Options { rotation: Rotation::None, ..Options::default() });
    let profile = practice.introduce(&admin).await;
    let made = practice.control("grants", json!({"count": 1})).await["grants"][0].clone();
    let brought =
        json!({"custom_oauth_profile_id": profile, "name": "brought", "refresh_token": made["refresh_token"]});
    let own = json!({"custom_oauth_profile_id": profile, "name": "own"});
    for (path, body) in [("/api/connections/import", &brought), ("/api/connect/client_credentials", &own)] {
        practice.control("hold", json!({"at": "after"})).await;
        let fill = async {
            until("it has answered", SOON, async || practice.counts().await["token"]["held"] == 1).await;
            disk(&server, false);
            practice.control("release", json!({})).await;
        };
        let (answer, ()) = tokio::join!(admin.post(path, body), fill);
        let said = answer.expect(503)["message"].as_str().unwrap().to_owned();
        assert!(said.contains("disk full") && said.contains("nothing was changed"), "{path}: {said}");
        disk(&server, true);
    }
    assert_eq!(practice.counts().await["requests"]["/revoke"].as_u64().unwrap_or_default(), 0);
    for (path, body) in [("/api/connections/import", brought), ("/api/connect/client_credentials", own)] {
        let mut again = body;
        again["name"] = json!("again");
        admin.post(path, &again).await.expect(200);
    }
}

#[tokio::test]
async fn a_refresh_token_that_is_brought_along_stays_where_the_provider_does_not_say_it_again() {
    let server = Server::start().await;
    let admin = server.admin();
    let practice = Practice::with(Options { rotation: Rotation::None, like: Like::Zoho, ..Options::default() });
    let profile = practice.introduce(&admin).await;
    let made = practice.control("grants", json!({"count": 1})).await["grants"][0].clone();
    let brought =
        json!({"custom_oauth_profile_id": profile, "name": "brought", "refresh_token": made["refresh_token"]});
    let id = admin.post("/api/connections/import", &brought).await.expect(200)["result"]["id"].clone();
    let detail = admin.get(&format!("/api/connections/{id}")).await.expect(200)["result"].clone();
    assert_eq!(detail["grant"]["refreshable"], true, "{detail}");
    admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await.expect(200);
}

#[tokio::test]
async fn a_callback_is_taken_from_the_browser_that_began_and_from_no_other() {
    let server = Server::start().await;
    let (_practice, admin, profile) = practice_with(&server).await;
    let link = link(&admin, json!({"custom_oauth_profile_id": profile})).await;
    let mut browser = Browser::new();
    let back = to_the_provider(&mut browser, &link.url, "alice").await;
    // Somebody else's browser, with no cookie or with one of its own.
    assert_eq!(Browser::new().get(&back).await.status(), 404);
    let mut other = Browser::new();
    let own = to_the_provider(&mut other, &link.url, "bob").await;
    assert_eq!(browser.get(&back).await.status(), 404, "what was shown to the wrong one is spent");
    assert_eq!(browser.get(&own).await.status(), 404);
    for forged in [
        "/oauth/callback",
        "/oauth/callback?code=x",
        "/oauth/callback?state=x&code=y",
        "/oauth/callback?state=x&state=y&code=z",
        "/Thingworx/Oauths/oauth/return?state=x&code=y",
    ] {
        assert_eq!(browser.get(&format!("{}{forged}", server.url)).await.status(), 404, "{forged}");
    }
    let detail = admin.get(&format!("/api/connections/{}", link.connection)).await.expect(200);
    assert_eq!(detail["result"]["authorization_status"], Value::Null);
}

#[tokio::test]
async fn the_other_callback_is_for_profiles_that_are_registered_with_it() {
    let server = Server::start().await;
    let (_practice, admin, profile) = practice_with(&server).await;
    let path = format!("/api/custom_oauth_profiles/{profile}/registration");
    admin.put(&path, &json!({"callback": "flow"})).await.expect(200);
    let link = link(&admin, json!({"custom_oauth_profile_id": profile})).await;
    let mut browser = Browser::new();
    let back = to_the_provider(&mut browser, &link.url, "alice").await;
    assert!(back.starts_with(&format!("{}/Thingworx/Oauths/oauth/return?", server.url)), "{back}");
    assert_eq!(browser.get(&back).await.status(), 200);
}

#[tokio::test]
async fn another_account_is_refused_unless_somebody_says_so_and_the_id_stays() {
    let server = Server::start().await;
    let (practice, admin, profile) = practice_with(&server).await;
    let first = link(&admin, json!({"custom_oauth_profile_id": profile})).await;
    let mut browser = Browser::new();
    let back = to_the_provider(&mut browser, &first.url, "alice").await;
    assert_eq!(browser.get(&back).await.status(), 200);
    let again = link(&admin, json!({"connection_id": first.connection})).await;
    assert_eq!(again.connection, first.connection);
    let back = to_the_provider(&mut browser, &again.url, "bob").await;
    let refused = browser.get(&back).await;
    assert_eq!(refused.status(), 409);
    assert!(refused.text().await.unwrap().contains("bob@practice.example"));
    let wanted = link(&admin, json!({"connection_id": first.connection, "other_account": true})).await;
    let back = to_the_provider(&mut browser, &wanted.url, "bob").await;
    assert_eq!(browser.get(&back).await.status(), 200);
    let detail = admin.get(&format!("/api/connections/{}", first.connection)).await.expect(200)["result"].clone();
    assert_eq!(detail["account"]["label"], "bob@practice.example");
    // What the wrong account brought is ended at the provider.
    crate::support::practice::until("it is revoked", std::time::Duration::from_secs(20), async || {
        practice.counts().await["requests"]["/revoke"].as_u64().unwrap_or_default() >= 1
    })
    .await;
}

#[tokio::test]
async fn a_browser_is_sent_back_to_where_the_operator_allows_and_nowhere_else() {
    let server = Server::with(&["--return-urls", "https://app.acme.example/done"]).await;
    let (_practice, admin, profile) = practice_with(&server).await;
    for bad in [
        "https://app.acme.example.evil/done",
        "https://app.acme.example/done-evil",
        "https://app.acme.example/other",
        "https://app.acme.example/done/../other",
        "https://app.acme.example@evil.example/done",
        "https://user@app.acme.example/done",
        "http://app.acme.example/done",
        "https://app.acme.example:8443/done",
        "https:\\\\app.acme.example\\done",
        "//app.acme.example/done",
        "javascript:alert(1)",
        "",
    ] {
        let refused = admin.post("/api/connect", &json!({"custom_oauth_profile_id": profile, "return_url": bad})).await;
        assert_eq!(refused.status, 400, "{bad}");
    }
    let url = "https://app.acme.example/done/here?kept=1";
    let link = link(&admin, json!({"custom_oauth_profile_id": profile, "return_url": url})).await;
    let mut browser = Browser::new();
    let back = to_the_provider(&mut browser, &link.url, "alice").await;
    let landed = browser.get(&back).await;
    assert_eq!(landed.status(), 303);
    assert_eq!(location(&landed), format!("{url}&status=success&connection_id={}", link.connection));
}

#[tokio::test]
async fn what_a_provider_says_is_shown_as_text() {
    let server = Server::start().await;
    let (_practice, admin, profile) = practice_with(&server).await;
    let link = link(&admin, json!({"custom_oauth_profile_id": profile})).await;
    let mut browser = Browser::new();
    let opened = browser.get(&link.url).await;
    let state = url::Url::parse(&location(&opened)).unwrap();
    let state = state.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let error = "error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E%0d%0aSet-Cookie:%20x=1";
    let refused = browser.get(&format!("{}/oauth/callback?state={state}&{error}", server.url)).await;
    assert_eq!(refused.status(), 400);
    assert!(refused.headers().get("set-cookie").is_none());
    let page = refused.text().await.unwrap();
    assert!(page.contains("access_denied") && page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
    assert!(!page.contains("/oauth/callback"), "the redirect URI has nothing to do with it: {page}");
}

/// The redirect URI is shown where the provider's words are about it, and each return has a sentence of its own.
#[tokio::test]
async fn a_return_without_a_code_is_told_for_what_it_is() {
    let server = Server::start().await;
    let (_practice, admin, profile) = practice_with(&server).await;
    for (query, shown, names_redirect) in [
        ("error=redirect_uri_mismatch", "redirect_uri_mismatch", true),
        ("error=invalid_request&error_description=The+Redirect+URI+is+unknown", "Redirect URI is unknown", true),
        ("error=server_error", "server_error", false),
        ("admin_consent=True&tenant=x", "Open the link again", false),
        ("tenant=x", "returned no authorization code", false),
    ] {
        let link = link(&admin, json!({"custom_oauth_profile_id": profile})).await;
        let mut browser = Browser::new();
        let opened = browser.get(&link.url).await;
        let state = url::Url::parse(&location(&opened)).unwrap();
        let state = state.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let refused = browser.get(&format!("{}/oauth/callback?state={state}&{query}", server.url)).await;
        assert_eq!(refused.status(), 400, "{query}");
        let page = refused.text().await.unwrap();
        assert!(page.contains(shown), "{query}: {page}");
        assert_eq!(page.contains("/oauth/callback"), names_redirect, "{query}: {page}");
        assert!(!page.contains("The provider says"), "{page}");
    }
}

#[tokio::test]
async fn what_would_stop_the_person_is_an_error_before_a_link_is_made() {
    let server = Server::start().await;
    let (_practice, admin, profile) = practice_with(&server).await;
    for (body, field) in [
        (json!({"custom_oauth_profile_id": 999}), "custom_oauth_profile_id"),
        (json!({"custom_oauth_profile_id": profile, "scopes": ["a b"]}), "scopes[0]"),
        (json!({"custom_oauth_profile_id": profile, "scopes": ["a\r\nX: y"]}), "scopes[0]"),
        (json!({"custom_oauth_profile_id": profile, "scopes": vec!["a"; 101]}), "scopes"),
        (json!({"custom_oauth_profile_id": profile, "name": "a\u{0}"}), "name"),
        (json!({"custom_oauth_profile_id": profile, "colour": 1}), "colour"),
        (json!({"provider": "nobody"}), "provider"),
        (json!({}), "provider"),
    ] {
        let refused = admin.post("/api/connect", &body).await.expect(400);
        assert!(refused["errors"].get(field).is_some(), "{body}: {refused}");
    }
    assert_eq!(admin.post("/api/connect", &json!({"connection_id": 999})).await.status, 404);
    let hashed = Server::with(&["--secrets", "hashed"]).await;
    let practice = Practice::rotating(Rotation::None);
    let admin = hashed.admin();
    let profile = practice.introduce(&admin).await;
    let refused = admin.post("/api/connect", &json!({"custom_oauth_profile_id": profile})).await.expect(400);
    assert!(refused["message"].as_str().unwrap().contains("--secrets hashed"), "{refused}");
}

#[tokio::test]
async fn a_turned_down_secret_is_told_to_the_person_and_the_code_is_not_wasted() {
    let server = Server::start().await;
    let (practice, admin, profile) = practice_with(&server).await;
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": "PLANTED-other"})).await;
    let link = link(&admin, json!({"custom_oauth_profile_id": profile})).await;
    let mut browser = Browser::new();
    let back = to_the_provider(&mut browser, &link.url, "alice").await;
    let refused = browser.get(&back).await;
    assert_eq!(refused.status(), 502);
    assert!(refused.text().await.unwrap().contains("client id or secret"));
}

#[tokio::test]
async fn client_credentials_connect_without_a_browser_and_are_fetched_anew() {
    let server = Server::start().await;
    let (practice, admin, profile) = practice_with(&server).await;
    let made = admin
        .post("/api/connect/client_credentials", &json!({"custom_oauth_profile_id": profile, "name": "Robot"}))
        .await
        .expect(200)["result"]
        .clone();
    assert_eq!(made["grant"]["type"], "client_credentials");
    let id = made["id"].as_i64().unwrap();
    let path = format!("/api/connections/{id}/token");
    let before = admin.get(&path).await.expect(200)["access_token"].clone();
    let refreshed = admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await.expect(200);
    assert_eq!(refreshed["result"]["grant"]["last_refresh"]["ok"], true);
    assert_ne!(admin.get(&path).await.expect(200)["access_token"], before);
    // One that cannot be had leaves nothing behind.
    practice.fault("token", "invalid_client").await;
    let before = admin.get("/api/connections").await.expect(200).as_array().unwrap().len();
    let refused = admin.post("/api/connect/client_credentials", &json!({"custom_oauth_profile_id": profile})).await;
    assert_eq!(refused.expect(424)["error"], "app_secret_rejected");
    assert_eq!(admin.get("/api/connections").await.expect(200).as_array().unwrap().len(), before);
}

#[tokio::test]
async fn disconnecting_ends_the_grant_here_at_once_and_at_the_provider_when_it_is_up() {
    let server = Server::start().await;
    let (practice, admin, profile) = practice_with(&server).await;
    let [(id, grant)] = practice.connect(&admin, profile, 1, false).await[..] else { panic!("one") };
    practice.control("faults", json!({"on": "revoke", "fault": "status:503", "times": 2})).await;
    admin.post(&format!("/api/connections/{id}/disconnect"), &json!({})).await.expect(200);
    assert_eq!(admin.get(&format!("/api/connections/{id}/token")).await.status, 409);
    let detail = admin.get(&format!("/api/connections/{id}")).await.expect(200)["result"].clone();
    assert_eq!((&detail["authorization_status"], &detail["grant"]), (&json!("failed"), &Value::Null));
    crate::support::practice::until("it is revoked", std::time::Duration::from_secs(40), async || {
        practice.grant(grant).await["alive"] == false
    })
    .await;
    admin.delete(&format!("/api/connections/{id}")).await.expect(200);
    admin.delete(&format!("/api/custom_oauth_profiles/{profile}")).await.expect(200);
}

#[tokio::test]
async fn the_command_line_connects_waits_and_hands_out() {
    use std::{
        io::{BufRead as _, BufReader},
        process::Stdio,
    };
    let server = Server::start().await;
    let (_practice, _admin, _profile) = practice_with(&server).await;
    let mut command = std::process::Command::new(crate::support::program());
    crate::support::clean(&mut command);
    command.args(["connect", "practice", "--owner", "alice", "--no-browser", "--data"]).arg(server.data());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.split_whitespace().last().unwrap().to_owned();
    let mut browser = Browser::new();
    let back = to_the_provider(&mut browser, &url, "alice").await;
    assert_eq!(browser.get(&back).await.status(), 200);
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("connected to alice@practice.example"), "{said}");
    let token = server.cli_ok(&["token", "1"]);
    assert!(token.starts_with("sim_at_") && !token.contains(char::is_whitespace), "{token}");
    let exec = |script: &str| {
        let mut command = std::process::Command::new(crate::support::program());
        crate::support::clean(&mut command);
        command.args(["exec", "1", "--data"]).arg(server.data()).args(["--", "sh", "-c", script]).output().unwrap()
    };
    assert_eq!(String::from_utf8_lossy(&exec("printf %s \"$ACCESS_TOKEN\"").stdout), token);
    assert_eq!(exec("exit 7").status.code(), Some(7));
    server.cli_ok(&["connection", "refresh", "1"]);
    assert_ne!(server.cli_ok(&["token", "1"]), token);
    let shown: Value = serde_json::from_str(&server.cli_ok(&["connection", "show", "1"])).unwrap();
    assert_eq!(shown["account"]["label"], "alice@practice.example");
    server.cli_ok(&["connection", "disconnect", "1"]);
    let refused = server.cli(&["token", "1"]);
    assert!(!refused.status.success() && refused.stdout.is_empty());
    let unknown = server.cli(&["token", "99"]);
    assert!(!unknown.status.success());
}

/// Begins a way and comes to where the provider sends the browser back.
async fn on_the_way_back(admin: &Caller, profile: i64) -> (Browser, String, i64) {
    let link = link(admin, json!({"custom_oauth_profile_id": profile})).await;
    let mut browser = Browser::new();
    let back = to_the_provider(&mut browser, &link.url, "alice").await;
    (browser, back, link.connection)
}

async fn status_of(admin: &Caller, connection: i64) -> Value {
    admin.get(&format!("/api/connections/{connection}")).await.expect(200)["result"]["authorization_status"].clone()
}

#[tokio::test]
async fn a_callback_that_is_bent_in_any_way_connects_nothing() {
    let server = Server::start().await;
    let (practice, admin, profile) = practice_with(&server).await;
    let long = format!("&x={}", "x".repeat(20_000));
    let pair = |back: &str, name: &str| -> String {
        let (_, rest) = back.split_once(&format!("{name}=")).unwrap();
        format!("{name}={}", rest.split('&').next().unwrap())
    };
    for (what, bend) in [
        ("code twice, the same", &(|back: &str| format!("{back}&{}", pair(back, "code"))) as &dyn Fn(&str) -> String),
        ("code twice, another", &|back| format!("{back}&code=other")),
        ("code twice, in disguise", &|back| format!("{back}&%63ode=other")),
        ("state twice", &|back| format!("{back}&{}", pair(back, "state"))),
        ("anything twice", &|back| format!("{back}&a=1&a=2")),
        ("no code", &|back| back.replace(&format!("{}&", pair(back, "code")), "")),
        ("no state", &|back| back.replace(&pair(back, "state"), "")),
        ("an empty state", &|back| back.replace(&pair(back, "state"), "state=")),
        ("a state cut short", &|back| back.replace(&pair(back, "state"), &pair(back, "state")[..20])),
        ("a state in other letters", &|back| {
            back.replace(&pair(back, "state"), &format!("state={}", pair(back, "state")[6..].to_ascii_uppercase()))
        }),
        ("a code of somebody else", &|back| back.replace(&pair(back, "code"), "code=sim_code_1_0_0000")),
        ("a code and an error", &|back| format!("{back}&error=access_denied")),
        ("too much of it", &|back| format!("{back}{long}")),
        ("the other address", &|back| back.replace("/oauth/callback", "/Thingworx/Oauths/oauth/return")),
    ] {
        let (mut browser, back, connection) = on_the_way_back(&admin, profile).await;
        let bent = bend(&back);
        assert_ne!(bent, back, "{what}");
        let landed = browser.get(&bent).await;
        assert!(matches!(landed.status().as_u16(), 400 | 404), "{what}: {}", landed.status());
        assert_eq!(status_of(&admin, connection).await, Value::Null, "{what}");
    }
    let (_, tokens) = (practice.counts().await, practice.grants().await);
    assert!(tokens.is_empty(), "no code was ever taken: {tokens:?}");
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_refused_and_its_code_goes_nowhere() {
    let server = Server::start().await;
    let (practice, admin, profile) = practice_with(&server).await;
    // The operator says who issues, and that every callback names it (RFC 9207).
    let mut entry = admin.get("/api/providers/practice").await.expect(200)["result"].clone();
    entry.as_object_mut().unwrap().remove("origin");
    entry["issuer"] = practice.url().into();
    entry["iss_in_callback"] = true.into();
    admin.put("/api/providers/practice", &entry).await.expect(200);
    practice.fault("authorize", "wrong_iss").await;
    let (mut browser, back, connection) = on_the_way_back(&admin, profile).await;
    assert!(back.contains("wrong.example"), "{back}");
    let landed = browser.get(&back).await;
    assert_eq!(landed.status(), 400);
    assert!(landed.text().await.unwrap().contains("another issuer"));
    let without = |back: &str| {
        let (before, rest) = back.split_once("&iss=").unwrap();
        format!("{before}{}", rest.split_once('&').map_or(String::new(), |(_, rest)| format!("&{rest}")))
    };
    let (mut browser, back, silent) = on_the_way_back(&admin, profile).await;
    assert_eq!(browser.get(&without(&back)).await.status(), 400, "one that names none is none of theirs");
    for connection in [connection, silent] {
        assert_eq!(status_of(&admin, connection).await, Value::Null);
    }
    assert_eq!(practice.counts().await["token"]["by_grant_type"]["authorization_code"], Value::Null);
    let (mut browser, back, fine) = on_the_way_back(&admin, profile).await;
    assert_eq!(browser.get(&back).await.status(), 200);
    assert_eq!(status_of(&admin, fine).await, "success");
}

#[tokio::test]
async fn a_way_or_a_link_that_has_ended_leads_nowhere() {
    let server = Server::start().await;
    let (practice, admin, profile) = practice_with(&server).await;
    let database = rusqlite::Connection::open(server.data().join("grantry.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let (mut browser, back, connection) = on_the_way_back(&admin, profile).await;
    // As if it had taken too long.
    database.execute("UPDATE authorization_requests SET expires_at = 1", []).unwrap();
    assert_eq!(browser.get(&back).await.status(), 404);
    assert_eq!(status_of(&admin, connection).await, Value::Null);
    let ended = link(&admin, json!({"custom_oauth_profile_id": profile})).await;
    database.execute("UPDATE connect_links SET expires_at = 1", []).unwrap();
    assert_eq!(browser.get(&ended.url).await.status(), 404);
    // Whoever only looks begins nothing; whoever guesses finds nothing.
    let fresh = link(&admin, json!({"custom_oauth_profile_id": profile})).await;
    assert_eq!(browser.http.head(&fresh.url).send().await.unwrap().status(), 200);
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let begun = "SELECT count(*) FROM authorization_requests WHERE expires_at > 1";
    assert_eq!(count(begun), 0);
    let mut guessed = fresh.url.clone();
    let last = guessed.pop().unwrap();
    guessed.push(if last == '0' { '1' } else { '0' });
    assert_eq!(browser.get(&guessed).await.status(), 404);
    assert_eq!(browser.get(&format!("{}/connect/{}", server.url, "x".repeat(5_000))).await.status(), 404);
    assert!(practice.grants().await.is_empty());
}

#[tokio::test]
async fn scopes_names_and_variables_cannot_add_anything_to_a_request() {
    let server = Server::start().await;
    let (practice, admin, profile) = practice_with(&server).await;
    let odd = ["a&client_id=evil", "b%0d%0aX-Evil:1", "c#d", "e+f", "g?h=i"];
    let body =
        json!({"custom_oauth_profile_id": profile, "scopes": odd, "name": "N&state=evil", "owner": "o%0a\u{2028}"});
    let made = link(&admin, body).await;
    let mut browser = Browser::new();
    let opened = browser.get(&made.url).await;
    let there = url::Url::parse(&location(&opened)).unwrap();
    assert_eq!(there.origin(), url::Url::parse(practice.url()).unwrap().origin());
    let of = |name: &str| -> Vec<String> {
        there.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
    };
    assert_eq!(of("client_id"), [CLIENT_ID]);
    assert_eq!(of("scope"), [odd.join(" ")]);
    assert_eq!((of("state").len(), of("redirect_uri").len(), of("X-Evil").len()), (1, 1, 0));
    assert_eq!(there.fragment(), None);
    assert_eq!(opened.headers().get("x-evil"), None);
}
