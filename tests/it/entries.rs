//! Providers that do things their own way, spoken to as the built-in catalogue says: connect, token, refresh, failure with
//! the right blame, disconnect. Only where they are is changed, from the provider's address to the practice provider's,
//! which answers as that provider's public documentation has it.

use std::time::Duration;

use grantry::simulator::{CLIENT_ID, CLIENT_SECRET, Like, Options, Rotation};
use serde_json::{Value, json};

use crate::support::{
    Caller, Server,
    person::{Page, Person},
    practice::{Practice, until},
};

const SOON: Duration = Duration::from_secs(20);

/// A server that knows one provider, and that provider.
struct Known {
    server: Server,
    practice: Practice,
    admin: Caller,
    profile: i64,
}

impl Known {
    /// `slug` of the built-in catalogue, played by a practice provider; `more`: what the operator says otherwise.
    async fn entry(slug: &str, like: Like, rotation: Rotation, more: Value) -> Self {
        let practice = Practice::with(Options { like, rotation, ..Options::default() });
        let server = Server::start().await;
        let admin = server.admin();
        let mut entry = admin.get(&format!("/api/providers/{slug}")).await.expect(200)["result"].clone();
        assert_eq!(entry["origin"], "built_in");
        let entry_of = entry.as_object_mut().unwrap();
        entry_of.remove("origin");
        move_to(entry_of, practice.url());
        for (name, value) in more.as_object().unwrap() {
            entry_of.insert(name.clone(), value.clone());
        }
        // The operator's own goes before the built-in one of that name.
        admin.post("/api/providers", &entry).await.expect(200);
        let body = json!({"name": slug, "provider": slug,
            "data": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}});
        let made = admin.post("/api/custom_oauth_profiles", &body).await.expect(200);
        let profile = made["result"]["id"].as_i64().unwrap();
        Self { server, practice, admin, profile }
    }

    /// Somebody connects an account in a browser; the connection, and the page on which it ended.
    async fn connect(&self, person: &Person, body: Value, account: &str) -> (i64, Page) {
        let mut wish = json!({"custom_oauth_profile_id": self.profile});
        wish.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        if wish.get("connection_id").is_some() {
            wish.as_object_mut().unwrap().remove("custom_oauth_profile_id");
        }
        let link = self.admin.post("/api/connect", &wish).await.expect(200)["result"].clone();
        let page = person.open(link["url"].as_str().unwrap()).await;
        assert_eq!(page.answer.status, 200, "{}: {}", page.url, page.answer.text());
        let account = format!("{account}@practice.example");
        let landed = person.submit(&page.url, &[("account", &account), ("decision", "approve")]).await;
        (link["connection_id"].as_i64().unwrap(), landed)
    }

    async fn connected(&self, body: Value) -> i64 {
        let (id, landed) = self.connect(&Person::before(&self.server), body, "alice").await;
        assert_eq!(landed.answer.status, 200, "{}", landed.answer.text());
        id
    }

    async fn token(&self, id: i64) -> Value {
        self.admin.get(&format!("/api/connections/{id}/token")).await.expect(200)
    }

    async fn detail(&self, id: i64) -> Value {
        self.admin.get(&format!("/api/connections/{id}")).await.expect(200)["result"].clone()
    }

    async fn refresh(&self, id: i64) -> Value {
        self.admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await.expect(200)["result"].clone()
    }

    /// A refresh brings another token; what was kept of the first answer stays.
    async fn refreshes(&self, id: i64) {
        let before = self.token(id).await;
        let refreshed = self.refresh(id).await;
        assert_eq!(refreshed["grant"]["last_refresh"]["result"], "refreshed", "{refreshed}");
        assert_eq!(refreshed["grant"]["refreshable"], true);
        let after = self.token(id).await;
        assert_ne!(before["access_token"], after["access_token"]);
        assert_eq!((&before["extra"], &before["token_type"]), (&after["extra"], &after["token_type"]));
        // And once more: the refresh token that came with it is the one that is kept.
        assert_eq!(self.refresh(id).await["grant"]["last_refresh"]["result"], "refreshed");
    }

    /// A secret that is turned down, an outage and a grant that has ended are told apart, in this provider's words.
    async fn blames(&self, id: i64, app: &str, grant: &str) {
        let secret = |secret: &str| json!({"client_id": CLIENT_ID, "client_secret": secret});
        self.practice.control("clients", secret("PLANTED-changed")).await;
        let failed = self.refresh(id).await;
        assert_eq!(
            (&failed["grant"]["blame"], &failed["grant"]["last_refresh"]["result"]),
            (&json!("app"), &json!(app))
        );
        assert_eq!(failed["authorization_status"], "success", "no connection is marked dead: {failed}");
        self.practice.control("clients", secret(CLIENT_SECRET)).await;
        assert_eq!(self.refresh(id).await["grant"]["last_refresh"]["result"], "refreshed");
        self.practice.fault("refresh", "status:503").await;
        let failed = self.refresh(id).await;
        assert_eq!(failed["grant"]["blame"], "provider", "{failed}");
        assert_eq!(failed["authorization_status"], "success");
        self.practice.mend().await;
        assert_eq!(self.refresh(id).await["grant"]["last_refresh"]["result"], "refreshed");
        // Whoever owns the account ends all of it.
        for grant in self.practice.grants().await {
            self.practice.control("revoke", json!({"grant": grant["id"]})).await;
        }
        let failed = self.refresh(id).await;
        assert_eq!(failed["authorization_status"], "failed", "{failed}");
        assert!(failed["connection_lost_reason"].as_str().unwrap().contains(grant), "{failed}");
        let refused = self.admin.get(&format!("/api/connections/{id}/token")).await.expect(409);
        assert_eq!(refused["error"], "needs_reauthorization");
    }

    /// Disconnects; the revocations as (token, result), oldest first.
    async fn disconnected(&self, id: i64) -> Vec<(String, String)> {
        self.admin.post(&format!("/api/connections/{id}/disconnect"), &json!({})).await.expect(200);
        assert_eq!(self.admin.get(&format!("/api/connections/{id}/token")).await.status, 409);
        until("it is settled", SOON, async || {
            let all = self.detail(id).await["revocations"].clone();
            all.as_array().unwrap().iter().all(|one| one["settled_at"].is_string())
        })
        .await;
        let seen = self.detail(id).await["revocations"].clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        seen.as_array().unwrap().iter().rev().map(|one| (text(&one["token"]), text(&one["result"]))).collect()
    }

    /// How the newest grant at the provider has ended.
    async fn ended(&self) -> Value {
        self.practice.grants().await.last().unwrap()["ended"].clone()
    }
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(token, result)| ((*token).to_owned(), (*result).to_owned())).collect()
}

/// Points an entry at a practice provider: its addresses and its hosts, and nothing else.
fn move_to(entry: &mut serde_json::Map<String, Value>, url: &str) {
    // Who has variables in the host keeps them, in the query.
    let variables: Vec<String> = entry.get("variables").map_or_else(Vec::new, |variables| {
        variables.as_object().unwrap().keys().map(|name| format!("{name}={{{name}}}")).collect()
    });
    let query = if variables.is_empty() { String::new() } else { format!("?{}", variables.join("&")) };
    for (field, path) in [
        ("authorize_url", "/authorize"),
        ("token_url", "/token"),
        ("refresh_url", "/token"),
        ("revoke_url", "/revoke"),
        ("introspect_url", "/introspect"),
    ] {
        if entry.contains_key(field) {
            let query = if field == "authorize_url" { query.as_str() } else { "" };
            entry.insert(field.to_owned(), format!("{url}{path}{query}").into());
        }
    }
    if let Some(userinfo) = entry.get_mut("userinfo").filter(|userinfo| userinfo.get("url").is_some()) {
        userinfo["url"] = format!("{url}/userinfo").into();
    }
    if let Some(api) = entry.get_mut("api").filter(|api| !api["base_url"].as_str().unwrap().contains("{extra.")) {
        api["base_url"] = format!("{url}/api").into();
    }
    entry.insert("hosts".to_owned(), json!(["127.0.0.1"]));
}

#[tokio::test]
async fn like_slack_errors_have_status_200_and_the_bots_token_stands_above() {
    let known = Known::entry("slack", Like::Slack, Rotation::Strict, json!({})).await;
    let id = known.connected(json!({})).await;
    let given = known.token(id).await;
    assert_eq!(given["scope"], "channels:read,chat:write,users:read");
    assert!(given["extra"]["team_id"].as_str().unwrap().starts_with('T'), "{given}");
    assert!(given["extra"]["bot_user_id"].is_string() && given["extra"]["authed_user_id"].is_string());
    assert_eq!(known.detail(id).await["account"]["label"], "Practice");
    known.refreshes(id).await;
    // The provider's own way: the token itself asks for its end, and the refresh token goes with it.
    let person = Person::before(&known.server);
    let (other, _) = known.connect(&person, json!({}), "bob").await;
    assert_eq!(
        known.disconnected(other).await,
        pairs(&[("refresh_token", "unsupported"), ("access_token", "revoked")])
    );
    known.blames(id, "bad_client_secret", "invalid_refresh_token").await;
}

#[tokio::test]
async fn like_slack_a_persons_own_token_stands_below_authed_user_and_elsewhere_after_a_refresh() {
    let nested = json!({
        "authorize_params": {"user_scope": "channels:read,search:read"},
        "default_scopes": [],
        "answer": {
            "access_token": "/authed_user/access_token",
            "refresh_token": "/authed_user/refresh_token",
            "expires_in": "/authed_user/expires_in",
            "scope": "/authed_user/scope",
            "token_type": "/authed_user/token_type",
        },
    });
    let known = Known::entry("slack", Like::Slack, Rotation::Strict, nested).await;
    let id = known.connected(json!({})).await;
    let given = known.token(id).await;
    assert_eq!(given["scope"], "channels:read,search:read");
    assert!((200..=300).contains(&given["expires_in"].as_i64().unwrap()), "{given}");
    let refreshed = known.refresh(id).await;
    assert_eq!(refreshed["grant"]["last_refresh"]["result"], "refreshed", "{refreshed}");
    let after = known.token(id).await;
    assert_ne!(after["access_token"], given["access_token"]);
    assert_eq!(after["extra"]["authed_user_id"], given["extra"]["authed_user_id"]);
    assert!((200..=300).contains(&after["expires_in"].as_i64().unwrap()), "{after}");
    known.blames(id, "bad_client_secret", "invalid_refresh_token").await;
}

#[tokio::test]
async fn like_slack_a_code_that_is_turned_down_is_told_to_the_person() {
    let known = Known::entry("slack", Like::Slack, Rotation::None, json!({})).await;
    known.practice.fault("code", "error:invalid_code").await;
    let (id, landed) = known.connect(&Person::before(&known.server), json!({}), "alice").await;
    assert_eq!(landed.answer.status, 400);
    assert!(landed.answer.text().contains("invalid_code"), "{}", landed.answer.text());
    assert_eq!(known.detail(id).await["authorization_status"], Value::Null);
    let secret = json!({"client_id": CLIENT_ID, "client_secret": "PLANTED-other"});
    known.practice.control("clients", secret).await;
    let (_, landed) = known.connect(&Person::before(&known.server), json!({}), "alice").await;
    assert_eq!(landed.answer.status, 502, "bad_client_secret is the app's fault: {}", landed.answer.text());
}

#[tokio::test]
async fn like_salesforce_a_life_that_nobody_tells_is_known_and_the_instance_is_kept() {
    let known = Known::entry("salesforce", Like::Salesforce, Rotation::None, json!({})).await;
    let id = known.connected(json!({"variables": {"domain": "acme.my"}})).await;
    let given = known.token(id).await;
    let life = given["expires_in"].as_i64().unwrap();
    assert!((7000..=7200).contains(&life), "the entry knows it: {given}");
    assert_eq!(given["extra"]["instance_url"], known.practice.url());
    assert!(given["extra"]["identity_url"].as_str().unwrap().contains("/id/00D"));
    assert_eq!(known.detail(id).await["account"]["label"], "alice@practice.example");
    known.refreshes(id).await;
    // A value that would lead elsewhere is no domain.
    let wish = json!({"custom_oauth_profile_id": known.profile, "variables": {"domain": "evil.example/"}});
    let refused = known.admin.post("/api/connect", &wish).await.expect(400);
    assert!(refused["errors"].get("variables.domain").is_some(), "{refused}");
    // The API is where the grant says, and its token opens it.
    let proxied = known.admin.get(&format!("/proxy/{id}/api/query?q=1")).await.expect(200);
    assert_eq!((&proxied["path"], &proxied["query"]), (&json!("/api/query"), &json!("q=1")));
    known.blames(id, "invalid_client", "invalid_grant").await;
    let (other, _) = known.connect(&Person::before(&known.server), json!({}), "bob").await;
    assert_eq!(known.disconnected(other).await[0], ("refresh_token".to_owned(), "revoked".to_owned()));
    assert_eq!(known.ended().await, "client");
}

#[tokio::test]
async fn like_salesforce_a_sixth_grant_of_an_account_ends_the_first_and_that_one_alone_is_lost() {
    let known = Known::entry("salesforce", Like::Salesforce, Rotation::None, json!({})).await;
    let person = Person::before(&known.server);
    let mut ids = Vec::new();
    for _ in 0..6 {
        let (id, landed) = known.connect(&person, json!({}), "alice").await;
        assert_eq!(landed.answer.status, 200);
        ids.push(id);
    }
    let mut lost = Vec::new();
    for id in &ids {
        let refreshed = known.refresh(*id).await;
        if refreshed["authorization_status"] == "failed" {
            assert!(refreshed["connection_lost_reason"].as_str().unwrap().contains("expired access/refresh token"));
            lost.push(*id);
        }
    }
    assert_eq!(lost, [ids[0]]);
    // Somebody reconnects it, and it keeps its id.
    let (again, landed) = known.connect(&person, json!({"connection_id": ids[0]}), "alice").await;
    assert_eq!((again, landed.answer.status), (ids[0], 200));
    known.token(ids[0]).await;
}

#[tokio::test]
async fn like_quickbooks_the_company_comes_with_the_callback_and_is_the_account() {
    let known = Known::entry("quickbooks", Like::QuickBooks, Rotation::Strict, json!({})).await;
    let (id, landed) = known.connect(&Person::before(&known.server), json!({}), "alice").await;
    let given = known.token(id).await;
    let realm = given["extra"]["realmId"].as_str().unwrap().to_owned();
    assert!(!realm.is_empty() && realm.bytes().all(|digit| digit.is_ascii_digit()), "{given}");
    assert_eq!(known.detail(id).await["account"]["id"], *realm, "nobody else says whose it is");
    assert!(landed.answer.text().contains(&realm), "{}", landed.answer.text());
    assert_eq!(given["token_type"], "Bearer");
    let ends = known.detail(id).await["grant"]["refresh_token_expires_at"].clone();
    let ends: jiff::Timestamp = ends.as_str().unwrap().parse().unwrap();
    let days = (ends.as_second() - jiff::Timestamp::now().as_second()) / 86_400;
    assert!((100..=101).contains(&days), "as the answer says: {days}");
    known.refreshes(id).await;
    assert_eq!(known.token(id).await["extra"]["realmId"], *realm, "a refresh tells no company");
    known.blames(id, "invalid_client", "invalid_grant: Incorrect or invalid refresh token").await;
    let (other, _) = known.connect(&Person::before(&known.server), json!({}), "bob").await;
    assert_eq!(known.disconnected(other).await, pairs(&[("refresh_token", "revoked"), ("access_token", "revoked")]));
    assert_eq!(known.ended().await, "client");
}

#[tokio::test]
async fn like_zoho_a_refresh_that_fails_has_status_200_and_one_that_works_no_refresh_token() {
    let known = Known::entry("zoho_crm", Like::Zoho, Rotation::None, json!({})).await;
    let id = known.connected(json!({"variables": {"dc": "eu"}})).await;
    let given = known.token(id).await;
    assert_eq!(given["extra"]["api_domain"], known.practice.url());
    assert_eq!(
        (&given["extra"]["location"], &given["extra"]["accounts-server"]),
        (&json!("us"), &json!(known.practice.url()))
    );
    assert_eq!(given["scope"], "ZohoCRM.modules.READ AaaServer.profile.Read");
    assert_eq!(known.detail(id).await["account"]["label"], "alice@practice.example");
    known.refreshes(id).await;
    let proxied = known.admin.get(&format!("/proxy/{id}/api/crm/v8/Leads")).await.expect(200);
    assert_eq!(proxied["path"], "/api/crm/v8/Leads", "Zoho-oauthtoken is what it takes");
    known.blames(id, "invalid_client_secret", "invalid_code").await;
    let (other, _) = known.connect(&Person::before(&known.server), json!({}), "bob").await;
    assert_eq!(known.disconnected(other).await[0], ("refresh_token".to_owned(), "revoked".to_owned()));
    assert_eq!(known.ended().await, "client");
}

#[tokio::test]
async fn like_shopify_scopes_have_commas_the_shop_is_a_variable_and_tokens_end() {
    let known = Known::entry("shopify", Like::Shopify, Rotation::RetrySafe, json!({})).await;
    let missing = json!({"custom_oauth_profile_id": known.profile});
    let refused = known.admin.post("/api/connect", &missing).await.expect(400);
    assert!(refused["errors"].get("variables.shop").is_some(), "{refused}");
    for bad in ["evil.example/", "a.b", "a b", "-a", "a\r\nX: y"] {
        let wish = json!({"custom_oauth_profile_id": known.profile, "variables": {"shop": bad}});
        assert_eq!(known.admin.post("/api/connect", &wish).await.status, 400, "{bad}");
    }
    // As people paste it.
    let wish =
        json!({"variables": {"shop": "https://alice.myshopify.com/"}, "scopes": ["read_orders", "read_products"]});
    let id = known.connected(wish).await;
    let given = known.token(id).await;
    assert_eq!((&given["scope"], &given["token_type"]), (&json!("read_orders,read_products"), &json!("Bearer")));
    assert_eq!(given["extra"]["shop"], "alice.myshopify.example");
    assert_eq!(known.detail(id).await["account"]["id"], "alice.myshopify.example");
    assert!((200..=300).contains(&given["expires_in"].as_i64().unwrap()), "{given}");
    known.refreshes(id).await;
    let proxied = known.admin.get(&format!("/proxy/{id}/products.json")).await.expect(200);
    assert_eq!(proxied["headers"]["x-shopify-access-token"], "[redacted]");
    assert_eq!(proxied["headers"].get("authorization"), None);
    // Another shop is another account.
    let again = json!({"connection_id": id});
    let (_, landed) = known.connect(&Person::before(&known.server), again.clone(), "bob").await;
    assert_eq!(landed.answer.status, 409, "{}", landed.answer.text());
    let (_, landed) = known.connect(&Person::before(&known.server), again, "alice").await;
    assert_eq!(landed.answer.status, 200, "{}", landed.answer.text());
    known.blames(id, "invalid_client", "invalid_grant").await;
    let no_way = [("refresh_token", "unsupported"), ("access_token", "unsupported")];
    // Bob's have not been revoked either.
    assert_eq!(known.disconnected(id).await, pairs(&[no_way, no_way].concat()));
}
