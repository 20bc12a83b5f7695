//! How each kind of provider writes its success, from its public documentation:
//!
//! - Slack: <https://docs.slack.dev/authentication/installing-with-oauth>, `…/using-token-rotation`
//! - Salesforce: <https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_web_server_flow.htm>
//! - QuickBooks: <https://developer.intuit.com/app/developer/qbo/docs/develop/authentication-and-authorization/oauth-2.0>
//! - Zoho: <https://www.zoho.com/crm/developer/docs/api/v8/access-refresh.html>
//! - Shopify: <https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/offline-access-tokens>

use serde_json::{Map, Value, json};

use super::{options::Like, tokens::fingerprint};

/// What is handed out, before it is written.
#[derive(Debug)]
pub(super) struct Issued {
    pub access_token: String,
    /// `None`: there is none, or it stays as it is and is not told again.
    pub refresh_token: Option<String>,
    pub expires_in: u64,
    pub scopes: Vec<String>,
    pub account: String,
    pub client_id: String,
    /// Whether it comes of a refresh.
    pub refreshed: bool,
    /// Slack: whether the token is the person's own and not the bot's.
    pub of_user: bool,
}

/// An identifier that is always the same for the same thing: a letter or two, and digits and letters.
fn id(prefix: &str, of: &str, length: usize) -> String {
    let digits = fingerprint(of).to_ascii_uppercase();
    format!("{prefix}{}", digits.chars().take(length).collect::<String>())
}

/// The id under which an account is known.
pub(super) fn account_id(like: Like, account: &str) -> String {
    match like {
        Like::Slack => id("U", account, 8),
        Like::Salesforce => id("005", account, 15),
        Like::Zoho => account_number(account),
        Like::Plain | Like::QuickBooks | Like::Shopify => id("sim-user-", account, 12).to_ascii_lowercase(),
    }
}

fn account_number(account: &str) -> String {
    fingerprint(account).bytes().map(|byte| char::from(b'0' + byte % 10)).collect()
}

/// `alice` of `alice@practice.example`.
fn local(account: &str) -> &str {
    account.split('@').next().unwrap_or(account)
}

/// What people call an account.
fn display_name(account: &str) -> String {
    let local = local(account);
    let mut letters = local.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase()).into_iter();
    first.chain(letters).chain(" Practice".chars()).collect()
}

/// A success of the token endpoint.
pub(super) fn success(like: Like, url: &str, issued: &Issued) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
    let refresh_token = |put: &mut dyn FnMut(&str, Value)| {
        if let Some(token) = &issued.refresh_token {
            put("refresh_token", token.as_str().into());
        }
    };
    let token = Value::from(issued.access_token.as_str());
    match like {
        Like::Plain => {
            put("access_token", token);
            put("token_type", "Bearer".into());
            put("expires_in", issued.expires_in.into());
            refresh_token(&mut put);
            if !issued.scopes.is_empty() {
                put("scope", issued.scopes.join(" ").into());
            }
        }
        Like::Slack => {
            put("ok", true.into());
            put("app_id", id("A", &issued.client_id, 10).into());
            let mut tokens = Map::from_iter([
                ("scope".to_owned(), Value::from(issued.scopes.join(","))),
                ("token_type".to_owned(), if issued.of_user { "user".into() } else { "bot".into() }),
                ("access_token".to_owned(), token),
                ("expires_in".to_owned(), issued.expires_in.into()),
            ]);
            refresh_token(&mut |name, value| drop(tokens.insert(name.to_owned(), value)));
            let mut user = Map::from_iter([("id".to_owned(), account_id(like, &issued.account).into())]);
            // A person's own token stands in a place of its own when it comes of a code, and above when of a refresh.
            if issued.of_user && !issued.refreshed {
                user.extend(tokens);
            } else {
                if !issued.of_user {
                    put("bot_user_id", id("U", "the bot", 10).into());
                }
                tokens.into_iter().for_each(|(name, value)| put(&name, value));
            }
            put("authed_user", user.into());
            put("team", json!({"id": id("T", "the team", 9), "name": "Practice"}));
            put("enterprise", Value::Null);
            put("is_enterprise_install", false.into());
        }
        Like::Salesforce => {
            let now = jiff::Timestamp::now().as_millisecond();
            let organization = id("00D", "the organization", 15);
            put("access_token", token);
            refresh_token(&mut put);
            put("signature", fingerprint(&issued.access_token).into());
            put("scope", issued.scopes.join(" ").into());
            put("instance_url", url.into());
            put("id", format!("{url}/id/{organization}/{}", account_id(like, &issued.account)).into());
            put("token_type", "Bearer".into());
            put("issued_at", now.to_string().into());
        }
        Like::QuickBooks => {
            put("token_type", "bearer".into());
            put("expires_in", issued.expires_in.into());
            refresh_token(&mut put);
            put("x_refresh_token_expires_in", 8_726_400.into());
            put("access_token", token);
        }
        Like::Zoho => {
            put("access_token", token);
            refresh_token(&mut put);
            put("scope", issued.scopes.join(" ").into());
            put("api_domain", url.into());
            put("token_type", "Bearer".into());
            put("expires_in", issued.expires_in.into());
        }
        Like::Shopify => {
            put("access_token", token);
            put("scope", issued.scopes.join(",").into());
            if issued.refresh_token.is_some() {
                put("expires_in", issued.expires_in.into());
                refresh_token(&mut put);
                put("refresh_token_expires_in", 7_776_000.into());
            }
        }
    }
    Value::Object(body)
}

/// Who is behind a token.
pub(super) fn userinfo(like: Like, account: &str) -> Value {
    let (id, name) = (account_id(like, account), display_name(account));
    match like {
        Like::Plain | Like::QuickBooks => json!({"sub": id, "email": account, "email_verified": true, "name": name}),
        Like::Slack => json!({
            "ok": true,
            "url": "https://practice.slack.example/",
            "team": "Practice",
            "user": local(account),
            "team_id": self::id("T", "the team", 9),
            "user_id": id,
        }),
        Like::Salesforce => json!({
            "sub": id,
            "user_id": id,
            "organization_id": self::id("00D", "the organization", 15),
            "preferred_username": account,
            "email": account,
            "name": name,
        }),
        Like::Zoho => json!({"ZUID": id.parse::<u64>().unwrap_or_default(), "Email": account, "Display_Name": name}),
        Like::Shopify => json!({"shop": {"id": id, "name": name, "email": account}}),
    }
}

/// What the way back from `/authorize` brings beside code and state.
pub(super) fn callback(like: Like, url: &str, account: &str) -> Vec<(&'static str, String)> {
    match like {
        // RFC 9207.
        Like::Plain => vec![("iss", url.to_owned())],
        Like::Slack | Like::Salesforce => Vec::new(),
        Like::QuickBooks => vec![("realmId", account_number("the company"))],
        Like::Zoho => vec![("location", "us".to_owned()), ("accounts-server", url.to_owned())],
        Like::Shopify => vec![
            ("shop", format!("{}.myshopify.example", local(account))),
            ("host", "cHJhY3RpY2U".to_owned()),
            ("timestamp", jiff::Timestamp::now().as_second().to_string()),
        ],
    }
}

/// What may stand before a token in the header that carries it: the header and the scheme.
pub(super) fn bearer(like: Like) -> (&'static str, &'static str) {
    match like {
        Like::Zoho => ("Authorization", "Zoho-oauthtoken"),
        Like::Shopify => ("X-Shopify-Access-Token", ""),
        _ => ("Authorization", "Bearer"),
    }
}
