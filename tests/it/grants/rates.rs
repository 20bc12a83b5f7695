//! Whatever number a provider sends, no endpoint gets more requests than a polite client would send.

use std::time::Duration;

use grantry::domain::grant::NoToken;
use serde_json::{Value, json};

use crate::support::{
    in_process::{InProcess, Stub},
    raw::{Request, answer, json},
};

const STEP: Duration = Duration::from_secs(5);

/// Shapes of a lifetime: fields of an answer, and further fields of the definition.
fn shapes() -> Vec<(Value, Value)> {
    let past = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    vec![
        (json!({"expires_in": 0}), json!({})),
        (json!({"expires_in": "0"}), json!({})),
        (json!({"expires_in": -1}), json!({})),
        (json!({"expires_in": "-3600"}), json!({})),
        (json!({"expires_in": 0.4}), json!({})),
        (json!({"expires_in": 1}), json!({})),
        (json!({"expires_in": 5}), json!({})),
        (json!({"expires_in": 29}), json!({})),
        (json!({"expires_in": 3600}), json!({"expires_in_unit": "ms"})),
        (json!({"expires_in": "NaN"}), json!({})),
        (json!({"expires_in": "inf"}), json!({})),
        (json!({"expires_at": past.as_second()}), json!({})),
        (json!({"expires_at": past.to_string()}), json!({})),
        (json!({}), json!({"default_lifetime_s": 1})),
        (json!({"expires_in": 0}), json!({"default_lifetime_s": 1})),
        (json!({"expires_in": 600, "refresh_token_expires_in": 0}), json!({})),
        (json!({"expires_in": 600, "refresh_token_expires_in": 1}), json!({})),
        (json!({"expires_in": 600}), json!({"refresh_token_idle_s": 1})),
    ]
}

fn body(fields: &Value) -> String {
    let mut body = json!({"access_token": "PLANTED-at", "token_type": "Bearer"});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.to_string()
}

#[tokio::test]
async fn no_lifetime_makes_two_unrequested_refreshes_within_thirty_seconds() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
    let grantry = InProcess::start(dir.path());
    let mut grants = Vec::new();
    for (n, (fields, definition)) in shapes().into_iter().enumerate() {
        let slug = format!("p{n}");
        grantry.app.create_provider(&grantry.caller, &stub.definition(&slug, &definition), Vec::new()).await.unwrap();
        let profile = grantry.profile(&slug, &slug, "PLANTED-secret").await;
        let token = format!("PLANTED-rt-{n}");
        let text = body(&fields);
        stub.answer(&token, move |_: &Request| json(200, &text));
        grantry.import(profile, &token, None).await;
        grants.push((token, fields, definition, Vec::new(), 1));
    }
    for _ in 0..240 {
        // What is seen now was sent since the last look.
        let before = grantry.now().0;
        grantry.advance(STEP).await;
        for (token, _, _, times, known) in &mut grants {
            let count = stub.asked(token).len();
            // Several within one step are caught, too.
            times.extend(std::iter::repeat_n((before, grantry.now().0), count - *known));
            *known = count;
        }
    }
    for (_, fields, definition, times, _) in &grants {
        for pair in times.windows(2) {
            assert!(pair[1].1 - pair[0].0 >= 30_000, "{fields} {definition}: refreshed at {times:?}");
        }
        // Twenty minutes: thirty seconds, doubled.
        let doubled = fields["expires_in"].as_f64().is_some_and(|it| it > 0.0 && it < 30.0)
            || definition["default_lifetime_s"] == 1;
        assert!(!doubled || times.len() <= 7, "{fields}: {times:?}");
    }
}

#[tokio::test]
async fn a_token_of_the_apps_own_credentials_keeps_the_same_distance() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
    let grantry = InProcess::start(dir.path());
    grantry.app.create_provider(&grantry.caller, &stub.definition("own", &json!({})), Vec::new()).await.unwrap();
    let profile = grantry.profile("own", "own", "PLANTED-secret").await;
    stub.set_lifetime(json!(0));
    let wish = grantry::app::connect::Wish { profile_id: Some(profile), ..Default::default() };
    let id = grantry.app.connect_by_client_credentials(&grantry.caller, wish).await.unwrap().id;
    for _ in 0..60 {
        grantry.advance(STEP).await;
        assert!(grantry.token(id, 60_000).await.unwrap().expires_at.is_none());
    }
    assert_eq!(stub.count("client_credentials"), 1, "nothing is due within five minutes");
    assert_eq!(grantry.warnings(id), ["lifetime_invalid", "lifetime_unknown"]);
    grantry.advance(Duration::from_hours(24)).await;
    assert_eq!(stub.count("client_credentials"), 2, "once a day");
}

#[tokio::test]
async fn callers_together_cause_one_refresh_in_a_minute_and_are_not_told_of_an_outage() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
    let grantry = InProcess::start(dir.path());
    grantry.app.create_provider(&grantry.caller, &stub.definition("brief", &json!({})), Vec::new()).await.unwrap();
    let profile = grantry.profile("brief", "brief", "PLANTED-secret").await;
    stub.set_lifetime(json!(5));
    let id = grantry.import(profile, "PLANTED-rt", None).await;
    let (mut given, mut refused) = (0, 0);
    for _ in 0..24 {
        grantry.advance(STEP).await;
        for min_ttl_ms in [0, 1_000, 60_000, 3_600_000] {
            match grantry.token(id, min_ttl_ms).await {
                Ok(_) => given += 1,
                Err(NoToken::TooShortLived { lifetime_s: 5, .. }) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    // Two minutes: three by schedule (30 s, 60 s, 120 s), and at most one a minute beside them.
    let asked = stub.asked("PLANTED-rt").len();
    assert!(asked <= 1 + 3 + 2, "{asked}");
    assert!(given > 0 && refused > 0);
    assert_eq!(grantry.warnings(id), ["lifetime_below_floor"]);
}

#[tokio::test]
async fn a_refresh_that_states_no_lifetime_keeps_the_last_stated_one() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
    let grantry = InProcess::start(dir.path());
    grantry.app.create_provider(&grantry.caller, &stub.definition("silent", &json!({})), Vec::new()).await.unwrap();
    let profile = grantry.profile("silent", "silent", "PLANTED-secret").await;
    for lifetime in [Value::Null, json!(0), json!(-1), json!("abc"), json!({}), json!("inf")] {
        let token = format!("PLANTED-rt-{lifetime}");
        stub.set_lifetime(json!(7200));
        let id = grantry.import(profile, &token, None).await;
        stub.set_lifetime(lifetime.clone());
        for _ in 0..3 {
            let before = grantry.token(id, 60_000).await.unwrap();
            grantry.advance(Duration::from_secs(7300)).await;
            let after = grantry.token(id, 60_000).await.unwrap();
            assert_ne!(before.access_token.expose(), after.access_token.expose(), "{lifetime}");
            assert!(after.expires_in_s.is_some_and(|left| (60..=7200).contains(&left)), "{lifetime}");
        }
    }
}

#[tokio::test]
async fn retry_after_in_any_form_holds_up_a_connection_for_fifteen_minutes_at_most() {
    let (dir, stub) = (tempfile::tempdir().unwrap(), Stub::start().await);
    let grantry = InProcess::start(dir.path());
    grantry.app.create_provider(&grantry.caller, &stub.definition("limits", &json!({})), Vec::new()).await.unwrap();
    stub.set_lifetime(json!(1));
    for (n, text) in ["1000000000", "99999999999999999999", "120.5", "-5", "soon", "", "Fri, 31 Dec 9999 23:59:59 GMT"]
        .into_iter()
        .enumerate()
    {
        let profile = grantry.profile("limits", &format!("client {n}"), "PLANTED-secret").await;
        let token = format!("PLANTED-rt-{n}");
        let id = grantry.import(profile, &token, None).await;
        stub.answer(&token, move |_: &Request| answer(429, &format!("retry-after: {text}\r\n"), ""));
        grantry.advance(Duration::from_secs(31)).await;
        let grant = grantry.grant(id);
        assert_eq!(grant.last_result.as_deref(), Some("rate_limited"), "{text}");
        let wait = grant.due_at.unwrap().0 - grantry.now().0;
        assert!((20_000..=15 * 60_000 * 5 / 4).contains(&wait), "{text}: {wait}");
        // A caller finds out after a minute that the provider is well again, and not before.
        stub.answer(&token, |_: &Request| json(200, r#"{"access_token":"PLANTED-new","expires_in":3600}"#));
        if grant.due_at.unwrap().0 - grantry.now().0 > 61_000 {
            assert!(matches!(grantry.token(id, 0).await, Err(NoToken::ProviderUnavailable { .. })), "{text}");
            grantry.advance(Duration::from_secs(61)).await;
        }
        grantry.advance(Duration::from_secs(61)).await;
        assert_eq!(grantry.token(id, 0).await.unwrap().access_token.expose(), "PLANTED-new", "{text}");
    }
}
