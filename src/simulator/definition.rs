//! How a simulator is described to Grantry: the definition of a provider, for `grantry provider add`.

use serde_json::{Map, Value, json};

use super::options::{Like, Options, Rotation};

/// The key of the provider that is defined.
pub const SLUG: &str = "practice";

/// The definition of the provider that a simulator with these options is, at `url`.
pub fn definition(options: &Options, url: &str) -> Value {
    let at = |path: &str| Value::from(format!("{url}{path}"));
    let like = options.like;
    let mut entry = Map::new();
    let mut put = |name: &str, value: Value| drop(entry.insert(name.to_owned(), value));
    put("slug", SLUG.into());
    put("name", "Practice provider".into());
    put("categories", json!(["practice"]));
    let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    put("hosts", host.into_iter().collect());
    put("authorize_url", at("/authorize"));
    put("token_url", at("/token"));
    put("revoke_url", at("/revoke"));
    put("device_url", at("/device_authorization"));
    put("introspect_url", at("/introspect"));
    let (id, label) = match like {
        Like::Plain | Like::QuickBooks => ("/sub", "/email"),
        Like::Slack => ("/user_id", "/team"),
        Like::Salesforce => ("/user_id", "/preferred_username"),
        Like::Zoho => ("/ZUID", "/Email"),
        Like::Shopify => ("/shop/id", "/shop/name"),
    };
    put("userinfo", json!({"url": at("/userinfo"), "id": id, "label": label}));
    let basic = like == Like::QuickBooks;
    put("client_auth", if basic { "client_secret_basic" } else { "client_secret_post" }.into());
    if matches!(like, Like::Slack | Like::Shopify) {
        put("pkce", "none".into());
    }
    if matches!(like, Like::Slack | Like::Zoho | Like::Shopify) {
        put("scope_separator", ",".into());
    }
    let scopes = if like == Like::Salesforce { json!(["api", "refresh_token"]) } else { json!(["read"]) };
    put("default_scopes", scopes);
    match like {
        Like::Plain => {}
        Like::Slack => {
            put("success", json!({"pointer": "/ok", "equals": true}));
            put("keep", json!({"team_id": "/team/id", "authed_user_id": "/authed_user/id"}));
        }
        Like::Salesforce => {
            put("keep", json!({"instance_url": "/instance_url", "identity_url": "/id"}));
            put("default_lifetime_s", options.access_token_life_s.into());
            put("grant_cap", 5.into());
        }
        Like::QuickBooks => {
            put("callback_params", json!(["realmId"]));
            put("refresh_token_idle_s", 8_726_400.into());
        }
        Like::Zoho => {
            put("authorize_params", json!({"access_type": "offline", "prompt": "consent"}));
            put("callback_params", json!(["location", "accounts-server"]));
            put("keep", json!({"api_domain": "/api_domain"}));
            put("grant_cap", 20.into());
        }
        Like::Shopify => {
            put("token_params", json!({"expiring": "1"}));
            put("callback_params", json!(["shop", "host"]));
            put("refresh_token_idle_s", 7_776_000.into());
        }
    }
    let declared = if options.declares_rotation { options.rotation } else { Rotation::None };
    if declared != Rotation::None {
        put("rotates", true.into());
    }
    if declared == Rotation::RetrySafe {
        put("retry_safe", true.into());
    }
    if let Rotation::Grace(seconds) = declared {
        put("replay_grace_s", seconds.into());
    }
    if let Some(throttle) = options.throttle {
        put("throttle", json!({"requests": throttle.requests, "per_s": throttle.per_s}));
    }
    let (header, scheme) = super::like::bearer(like);
    let mut api = json!({"base_url": at("/api")});
    if let Some(api) = api.as_object_mut() {
        if header != "Authorization" {
            api.insert("header".to_owned(), header.into());
        }
        if scheme != "Bearer" {
            api.insert("scheme".to_owned(), scheme.into());
        }
    }
    put("api", api);
    Value::Object(entry)
}
