//! Providers that do it their own way: the catalogue's own entries, with nothing changed but their addresses, against a
//! simulator that answers as those providers' public documentation says.

use std::time::Duration;

use grantry::simulator::{CLIENT_ID, CLIENT_SECRET, Like, Options, Rotation};
use serde_json::{Value, json};

use crate::support::{
    Answer, Caller, Server,
    person::Person,
    practice::{Practice, until},
};

const SOON: Duration = Duration::from_secs(20);

/// A catalogue entry at a simulator, and a profile for it.
struct Played {
    server: Server,
    admin: Caller,
    practice: Practice,
    slug: &'static str,
    profile: i64,
    variables: Value,
}

/// What came of connecting an account.
struct Connected {
    id: i64,
    /// The first answer with a token.
    token: Value,
}

/// The catalogue's entry of this slug with its addresses at a simulator. Variables stay: what fills them is still checked.
async fn moved(admin: &Caller, slug: &str, url: &str) -> Value {
    let mut entry = admin.get(&format!("/api/providers/{slug}")).await.expect(200)["result"].clone();
    let fields = entry.as_object_mut().unwrap();
    fields.remove("origin");
    for (field, path) in [
        // Whoever comes there is alice, and agrees.
        ("authorize_url", "/authorize?auto=1&login_hint=alice"),
        ("token_url", "/token"),
        ("refresh_url", "/token"),
        ("revoke_url", "/revoke"),
        ("introspect_url", "/introspect"),
    ] {
        if let Some(address) = fields.get_mut(field) {
            *address = format!("{url}{path}").into();
        }
    }
    if let Some(address) = fields.get_mut("userinfo").and_then(|info| info.get_mut("url")) {
        *address = format!("{url}/userinfo").into();
    }
    if let Some(address) = fields.get_mut("api").and_then(|api| api.get_mut("base_url")) {
        *address = format!("{url}/api").into();
    }
    fields.insert("hosts".to_owned(), json!(["127.0.0.1"]));
    entry
}

impl Played {
    async fn start(slug: &'static str, like: Like, rotation: Rotation, variables: Value) -> Self {
        Self::changed(slug, like, rotation, variables, json!({})).await
    }

    /// `more` goes into the entry.
    async fn changed(slug: &'static str, like: Like, rotation: Rotation, variables: Value, more: Value) -> Self {
        let server = Server::start().await;
        let practice = Practice::with(Options { like, rotation, ..Options::default() });
        let admin = server.admin();
        let mut entry = moved(&admin, slug, practice.url()).await;
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        admin.post("/api/providers", &entry).await.expect(200);
        let data = json!({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET});
        let body = json!({"name": slug, "provider": slug, "data": data});
        let made = admin.post("/api/custom_oauth_profiles", &body).await.expect(200);
        let profile = made["result"]["id"].as_i64().unwrap();
        Self { server, admin, practice, slug, profile, variables }
    }

    /// Connects alice's account; the page at the end says `label`.
    async fn connect(&self, label: &str) -> Connected {
        let mut body = json!({"custom_oauth_profile_id": self.profile, "name": "an account"});
        if !self.variables.is_null() {
            body["variables"] = self.variables.clone();
        }
        let link = self.admin.post("/api/connect", &body).await.expect(200)["result"].clone();
        let id = link["connection_id"].as_i64().unwrap();
        let landed = Person::before(&self.server).open(link["url"].as_str().unwrap()).await;
        assert_eq!(landed.answer.status, 200, "{}: {}", self.slug, landed.answer.text());
        assert!(landed.answer.text().contains(label), "{}: {}", self.slug, landed.answer.text());
        Connected { id, token: self.token(id).await.expect(200) }
    }

    async fn token(&self, id: i64) -> Answer {
        self.admin.get(&format!("/api/connections/{id}/token")).await
    }

    async fn refresh(&self, id: i64) -> Answer {
        self.admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await
    }

    async fn detail(&self, id: i64) -> Value {
        let answer = self.admin.get(&format!("/api/connections/{id}")).await.expect(200);
        if answer["result"].is_object() { answer["result"].clone() } else { answer }
    }

    /// The provider refreshes, again and again, and what was kept stays.
    async fn assert_refreshes(&self, connected: &Connected) {
        let mut before = connected.token.clone();
        for _ in 0..3 {
            self.refresh(connected.id).await.expect(200);
            let now = self.token(connected.id).await.expect(200);
            assert_ne!(now["access_token"], before["access_token"], "{}", self.slug);
            assert_eq!(now["extra"], before["extra"], "{}", self.slug);
            assert_eq!(now["token_type"], before["token_type"], "{}", self.slug);
            before = now;
        }
        assert_eq!(self.practice.refreshes().await, 3);
    }

    /// The secret is turned down: nothing dies, and all is well when it is mended. Then the account's owner ends the grant.
    async fn assert_blame(&self, connected: &Connected) {
        let other = json!({"client_id": CLIENT_ID, "client_secret": "another"});
        self.practice.control("clients", other).await;
        self.refresh(connected.id).await.expect(424);
        let waits = self.detail(connected.id).await;
        assert_eq!(waits["grant"]["blame"], "app", "{}: {waits}", self.slug);
        assert_eq!(waits["authorization_status"], "success", "{}", self.slug);
        self.token(connected.id).await.expect(200);
        let own = json!({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET});
        self.practice.control("clients", own).await;
        self.refresh(connected.id).await.expect(200);
        assert_eq!(self.detail(connected.id).await["grant"]["blame"], Value::Null, "{}", self.slug);

        let grant = self.practice.grants().await[0]["id"].clone();
        self.practice.control("revoke", json!({"grant": grant})).await;
        let refused = self.refresh(connected.id).await.expect(409);
        assert_eq!(refused["error"], "needs_reauthorization", "{}: {refused}", self.slug);
        let dead = self.detail(connected.id).await;
        assert_eq!(dead["grant"]["blame"], "grant", "{}: {dead}", self.slug);
    }

    /// Disconnects; the provider has taken back what it can.
    async fn assert_revokes(&self, connected: &Connected) {
        self.admin.post(&format!("/api/connections/{}/disconnect", connected.id), &json!({})).await.expect(200);
        let token = connected.token["access_token"].as_str().unwrap();
        until("the revocation", SOON, async || {
            let revocations = self.detail(connected.id).await["revocations"].clone();
            let revocations = revocations.as_array().unwrap();
            !revocations.is_empty() && revocations.iter().all(|revocation| revocation["status"] == "revoked")
        })
        .await;
        assert!(!self.server.log().contains(token));
    }
}

/// A whole number of a token's answer.
fn seconds(token: &Value) -> i64 {
    token["expires_in"].as_i64().unwrap_or_else(|| panic!("{token}"))
}

#[tokio::test]
async fn like_slack_errors_come_with_status_200_and_the_team_is_kept() {
    let played = Played::start("slack", Like::Slack, Rotation::Strict, Value::Null).await;
    let connected = played.connect("Practice").await;
    let extra = &connected.token["extra"];
    assert!(extra["team_id"].as_str().unwrap().starts_with('T'), "{extra}");
    assert_eq!(extra["team_name"], "Practice");
    assert!(extra["authed_user_id"].as_str().unwrap().starts_with('U'), "{extra}");
    assert!(extra["bot_user_id"].is_string() && extra.get("enterprise_id").is_none(), "{extra}");
    assert!((200..=300).contains(&seconds(&connected.token)));
    assert_eq!(connected.token["scope"], "channels:read,chat:write,users:read");
    played.assert_refreshes(&connected).await;
    played.assert_blame(&connected).await;
    let again = played.connect("Practice").await;
    played.assert_revokes(&again).await;
}

#[tokio::test]
async fn like_slack_a_persons_own_token_is_found_beside_the_bots_and_after_a_refresh_in_its_place() {
    // What an operator writes who wants it.
    let own = |field: &str| format!("/authed_user/{field}");
    let more = json!({
        "default_scopes": [],
        "authorize_params": {"user_scope": "search:read,users:read"},
        "answer": {
            "access_token": own("access_token"), "refresh_token": own("refresh_token"),
            "expires_in": own("expires_in"), "scope": own("scope"), "token_type": own("token_type"),
        },
    });
    let played = Played::changed("slack", Like::Slack, Rotation::Strict, Value::Null, more).await;
    let connected = played.connect("Practice").await;
    assert_eq!(connected.token["scope"], "search:read,users:read");
    played.assert_refreshes(&connected).await;
    played.assert_blame(&connected).await;
}

#[tokio::test]
async fn like_salesforce_nobody_says_when_a_token_ends_and_the_instance_is_kept() {
    for rotation in [Rotation::None, Rotation::Strict] {
        let played = Played::start("salesforce", Like::Salesforce, rotation, json!({"domain": "acme.my"})).await;
        let connected = played.connect("alice@practice.example").await;
        let extra = &connected.token["extra"];
        assert_eq!(extra["instance_url"], played.practice.url());
        assert!(extra["identity_url"].as_str().unwrap().contains("/id/00D"), "{extra}");
        // The answer has no `expires_in`; its `issued_at` is no end.
        assert!((7100..=7200).contains(&seconds(&connected.token)), "{}", connected.token);
        assert_eq!(connected.token["scope"], "api refresh_token openid");
        played.assert_refreshes(&connected).await;
        played.assert_blame(&connected).await;
        let again = played.connect("alice@practice.example").await;
        played.assert_revokes(&again).await;
    }
}

#[tokio::test]
async fn like_quickbooks_the_company_comes_with_the_callback_and_the_refresh_token_has_an_end() {
    // A refresh token stays the same for about a day, and then it does not.
    for rotation in [Rotation::None, Rotation::Strict] {
        let played = Played::start("quickbooks", Like::QuickBooks, rotation, Value::Null).await;
        let connected = played.connect("QuickBooks").await;
        let realm = connected.token["extra"]["realmId"].as_str().unwrap().to_owned();
        assert!(!realm.is_empty() && realm.bytes().all(|b| b.is_ascii_digit()), "{realm}");
        assert_eq!(connected.token["token_type"], "Bearer", "written small on the wire");
        let detail = played.detail(connected.id).await;
        assert_eq!(detail["account"]["id"], realm.as_str());
        let end: jiff::Timestamp = detail["grant"]["refresh_token_expires_at"].as_str().unwrap().parse().unwrap();
        let days = end.duration_since(jiff::Timestamp::now()).as_hours() / 24;
        assert!((99..=101).contains(&days), "{days} days");
        played.assert_refreshes(&connected).await;
        played.assert_blame(&connected).await;
        let again = played.connect("QuickBooks").await;
        played.assert_revokes(&again).await;
    }
}

#[tokio::test]
async fn like_zoho_errors_come_with_status_200_and_too_many_requests_end_no_grant() {
    let played = Played::start("zoho_crm", Like::Zoho, Rotation::None, json!({"dc": "eu"})).await;
    let connected = played.connect("alice@practice.example").await;
    let extra = &connected.token["extra"];
    assert_eq!(extra["api_domain"], played.practice.url());
    assert_eq!((&extra["location"], &extra["accounts-server"]), (&json!("us"), &json!(played.practice.url())));
    played.assert_refreshes(&connected).await;
    // How it says that it was asked too often.
    played.practice.fault("refresh", "error:Access Denied").await;
    played.refresh(connected.id).await.expect(503);
    let waits = played.detail(connected.id).await;
    assert_eq!(waits["grant"]["blame"], "provider", "{waits}");
    played.practice.mend().await;
    played.assert_blame(&connected).await;
    let again = played.connect("alice@practice.example").await;
    played.assert_revokes(&again).await;
}

#[tokio::test]
async fn like_shopify_tokens_expire_because_that_is_asked_for_and_a_lost_answer_loses_no_grant() {
    let played = Played::start("shopify", Like::Shopify, Rotation::RetrySafe, json!({"shop": "acme"})).await;
    let connected = played.connect("alice.myshopify.example").await;
    assert_eq!(connected.token["extra"]["shop"], "alice.myshopify.example");
    assert_eq!(connected.token["scope"], "read_products,read_orders");
    assert!((200..=300).contains(&seconds(&connected.token)));
    let end = played.detail(connected.id).await["grant"]["refresh_token_expires_at"].clone();
    assert!(end.is_string(), "{end}");
    played.assert_refreshes(&connected).await;
    // Rotated, and the answer is gone: the token before is still good.
    played.practice.fault("refresh", "drop_after").await;
    let refreshed = played.refresh(connected.id).await;
    assert!([200, 503].contains(&refreshed.status), "{}", refreshed.text());
    until("the next refresh", SOON, async || played.refresh(connected.id).await.status == 200).await;
    played.assert_blame(&connected).await;
}
