//! Each kind of provider answers as its documentation has it.

use grantry::simulator::{CLIENT_ID, CLIENT_SECRET, Like, Options, Rotation};
use serde_json::json;

use super::{Answered, CALLBACK, Practice, VERIFIER, json_of, refused, text, value};

#[tokio::test]
async fn like_slack_every_answer_has_status_200() {
    let practice = Practice::with(Options { like: Like::Slack, rotation: Rotation::Strict, ..Options::default() });
    let way_back = practice.authorized(&[("scope", "chat:write,users:read")]).await;
    assert!(!way_back.iter().any(|(name, _)| name == "iss"));
    let code = value(&way_back, "code");
    let (status, tokens) = practice.redeem(&code).await;
    assert_eq!((status, &tokens["ok"], &tokens["token_type"]), (200, &json!(true), &json!("bot")));
    assert_eq!((&tokens["scope"], &tokens["expires_in"]), (&json!("chat:write,users:read"), &json!(300)));
    assert!(text(&tokens["authed_user"]["id"]).starts_with('U') && text(&tokens["team"]["id"]).starts_with('T'));
    let next = practice.refreshed(text(&tokens["refresh_token"])).await;
    assert_ne!(next["refresh_token"], tokens["refresh_token"]);
    let not_ok = |(status, body): Answered, error: &str| {
        assert_eq!((status, &body["ok"], &body["error"]), (200, &json!(false), &json!(error)));
    };
    not_ok(practice.refresh(text(&tokens["refresh_token"])).await, "invalid_refresh_token");
    not_ok(practice.redeem("made-up").await, "invalid_code");
    not_ok(practice.redeem(&code).await, "code_already_used");
    not_ok(practice.post("/token", &[("grant_type", "x")]).await, "invalid_grant_type");
    practice.fault("token", "invalid_client").await;
    not_ok(practice.refresh("x").await, "bad_client_secret");
    practice.fault("token", "error:ratelimited").await;
    not_ok(practice.refresh("x").await, "ratelimited");
    not_ok(practice.userinfo(&tokens["access_token"]).await, "invalid_auth");
    // A person's own token stands elsewhere: below with a code, above with a refresh.
    let code = practice.code(&[("user_scope", "search:read")]).await;
    let (_, tokens) = practice.redeem(&code).await;
    let user = &tokens["authed_user"];
    assert_eq!((tokens.get("access_token"), &user["token_type"]), (None, &json!("user")));
    assert_eq!(practice.userinfo(&user["access_token"]).await.1["user"], "alice");
    let next = practice.refreshed(text(&user["refresh_token"])).await;
    assert_eq!(next["token_type"], "user");
    assert_eq!(practice.userinfo(&next["access_token"]).await.1["ok"], true);
    assert_eq!(practice.post("/revoke", &[("token", text(&next["refresh_token"]))]).await.1["revoked"], true);
}

#[tokio::test]
async fn like_salesforce_nothing_says_when_a_token_expires() {
    let practice = Practice::like(Like::Salesforce);
    let (_, tokens) = practice.redeem(&practice.code(&[("scope", "api refresh_token")]).await).await;
    assert_eq!((tokens.get("expires_in"), &tokens["token_type"]), (None, &json!("Bearer")));
    let issued: i64 = text(&tokens["issued_at"]).parse().unwrap();
    assert!((jiff::Timestamp::now().as_millisecond() - issued).abs() < 20_000);
    assert_eq!(tokens["instance_url"], practice.simulator.url());
    assert!(text(&tokens["id"]).contains("/id/00D") && tokens["signature"].is_string());
    let next = practice.refreshed(text(&tokens["refresh_token"])).await;
    assert_eq!((next.get("refresh_token"), next["issued_at"].is_string()), (None, true));
    let (_, online) = practice.redeem(&practice.code(&[("scope", "api")]).await).await;
    assert_eq!(online.get("refresh_token"), None, "who does not ask for it gets none");
    let failed = practice.refresh("made-up").await;
    refused(&failed, 400, "invalid_grant");
    assert_eq!(failed.1["error_description"], "expired access/refresh token");
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": "other"})).await;
    refused(&practice.refresh("x").await, 400, "invalid_client");
    let form = [("grant_type", "refresh_token"), ("client_id", "nobody"), ("client_secret", "x")];
    let answer = practice.http.post(practice.url("/token")).form(&form).send().await.unwrap();
    refused(&json_of(answer).await, 400, "invalid_client_id");
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})).await;
    for _ in 0..5 {
        practice.redeem(&practice.code(&[("scope", "refresh_token")]).await).await;
    }
    refused(&practice.refresh(text(&tokens["refresh_token"])).await, 400, "invalid_grant");
    assert_eq!(practice.grant().await["ended"], "evicted", "an account has five");
}

#[tokio::test]
async fn like_quickbooks_a_client_shows_itself_by_basic_alone() {
    let practice = Practice::like(Like::QuickBooks);
    let way_back = practice.authorized(&[]).await;
    assert!(value(&way_back, "realmId").bytes().all(|digit| digit.is_ascii_digit()));
    let (_, tokens) = practice.redeem(&value(&way_back, "code")).await;
    assert_eq!((&tokens["token_type"], &tokens["x_refresh_token_expires_in"]), (&json!("bearer"), &json!(8_726_400)));
    assert_eq!((tokens.get("scope"), &tokens["expires_in"]), (None, &json!(300)));
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&tokens["refresh_token"])),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
    ];
    let answer = practice.http.post(practice.url("/token")).form(&form).send().await.unwrap();
    refused(&json_of(answer).await, 401, "invalid_client");
    practice.refreshed(text(&tokens["refresh_token"])).await;
    refused(&practice.refresh("made-up").await, 400, "invalid_grant");
    let revoke = practice.http.post(practice.url("/revoke")).basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
    let revoke = revoke.json(&json!({"token": tokens["refresh_token"]})).send().await.unwrap();
    assert_eq!((revoke.status().as_u16(), &practice.grant().await["ended"]), (200, &json!("client")));
}

#[tokio::test]
async fn like_zoho_errors_have_status_200() {
    let practice = Practice::like(Like::Zoho);
    let way_back = practice.authorized(&[("access_type", "offline"), ("scope", "a.b.READ,c.d.ALL")]).await;
    assert_eq!((value(&way_back, "location"), value(&way_back, "accounts-server")), ("us".into(), practice.url("")));
    let (_, tokens) = practice.redeem(&value(&way_back, "code")).await;
    assert_eq!((&tokens["api_domain"], &tokens["expires_in"]), (&json!(practice.simulator.url()), &json!(300)));
    let next = practice.refreshed(text(&tokens["refresh_token"])).await;
    assert_eq!((next.get("refresh_token"), next["access_token"].is_string()), (None, true));
    refused(&practice.refresh("made-up").await, 200, "invalid_code");
    refused(&practice.redeem("made-up").await, 200, "invalid_code");
    let (_, online) = practice.redeem(&practice.code(&[]).await).await;
    assert_eq!(online.get("refresh_token"), None, "without access_type=offline");
    let ask = practice.http.get(practice.url("/userinfo"));
    let ask = ask.header("authorization", format!("Zoho-oauthtoken {}", text(&next["access_token"])));
    let (status, info) = json_of(ask.send().await.unwrap()).await;
    assert!(status == 200 && info["ZUID"].is_u64() && info["Email"] == "alice@practice.example", "{info}");
    practice.control("clients", json!({"client_id": CLIENT_ID, "client_secret": "other"})).await;
    refused(&practice.refresh("x").await, 200, "invalid_client_secret");
}

#[tokio::test]
async fn like_shopify_scopes_have_commas_and_tokens_expire_where_that_is_asked_for() {
    let practice = Practice::with(Options { like: Like::Shopify, rotation: Rotation::RetrySafe, ..Options::default() });
    let way_back = practice.authorized(&[("scope", "read_orders,read_products")]).await;
    assert_eq!(value(&way_back, "shop"), "alice.myshopify.example");
    let (_, tokens) = practice.redeem(&value(&way_back, "code")).await;
    assert_eq!((&tokens["scope"], tokens.get("token_type")), (&json!("read_orders,read_products"), None));
    assert_eq!((&tokens["expires_in"], &tokens["refresh_token_expires_in"]), (&json!(300), &json!(7_776_000)));
    let next = practice.refreshed(text(&tokens["refresh_token"])).await;
    assert_ne!(next["refresh_token"], tokens["refresh_token"]);
    let ask =
        practice.http.get(practice.url("/api/shop")).header("x-shopify-access-token", text(&next["access_token"]));
    let (status, told) = json_of(ask.send().await.unwrap()).await;
    assert_eq!((status, &told["headers"]["x-shopify-access-token"]), (200, &json!("[redacted]")));
    refused(&practice.refresh("made-up").await, 400, "invalid_grant");
    refused(&practice.redeem("made-up").await, 400, "invalid_request");
    // A new token takes the place of the old, and one that does not expire cannot be refreshed.
    let code = practice.code(&[]).await;
    let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK)];
    let (_, lasting) = practice.post("/token", &[&form[..], &[("code_verifier", VERIFIER)]].concat()).await;
    assert_eq!((lasting.get("expires_in"), lasting.get("refresh_token")), (None, None));
    refused(&practice.refresh(text(&next["refresh_token"])).await, 400, "invalid_grant");
    let ask =
        practice.http.get(practice.url("/userinfo")).header("x-shopify-access-token", text(&lasting["access_token"]));
    assert_eq!(json_of(ask.send().await.unwrap()).await.0, 200);
}
