//! Answers as they come, and what they mean.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    domain::Secret,
    oauth::{catalogue::Entry, fields::MOST_TOKEN},
};

/// When every answer of these tests was here: 2026-01-01T00:00:00Z.
const HERE: i64 = 1_767_225_600_000;
const YEAR: i64 = 365 * 86_400_000;

fn provider(more: &str) -> Resolved {
    let json = format!(r#"{{"slug":"a","name":"A","token_url":"https://a.example/t"{more}}}"#);
    let entry = Entry::parse(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
    entry.resolve(&BTreeMap::new(), &BTreeMap::new()).expect("no blanks")
}

fn raw(status: u16, body: &str) -> RawAnswer {
    RawAnswer {
        status,
        content_type: None,
        date: None,
        retry_after: None,
        received_at: Timestamp(HERE),
        body: Secret::new(body),
    }
}

fn tokens(provider: &Resolved, body: &str) -> TokenSet {
    match provider.read(&raw(200, body)) {
        Answer::Tokens(tokens) => tokens,
        Answer::Refused(refusal) => panic!("{body}: {refusal:?}"),
    }
}

fn refusal(provider: &Resolved, status: u16, body: &str) -> Refusal {
    match provider.read(&raw(status, body)) {
        Answer::Refused(refusal) => refusal,
        Answer::Tokens(_) => panic!("{status} {body} brings tokens"),
    }
}

#[test]
fn tokens_are_found_where_the_entry_says_and_as_providers_write_them() {
    let usual = provider("");
    let plain = tokens(&usual, r#" {"access_token":"A","refresh_token":"R","token_type":"bearer","scope":"a b"}"#);
    assert_eq!(plain.access.expose(), "A");
    assert_eq!(plain.refresh.as_ref().map(Secret::expose), Some("R"));
    assert_eq!((plain.token_type.as_str(), plain.scope.as_deref()), ("Bearer", Some("a b")));
    assert_eq!((&plain.lifetime, plain.refresh_expires_at), (&StatedLifetime::Absent, None));
    let form = tokens(&usual, "access_token=A%2B1&scope=repo%2Cgist&token_type=mac&expires_in=10");
    assert_eq!(form.access.expose(), "A+1");
    assert_eq!((form.token_type.as_str(), form.scope.as_deref()), ("mac", Some("repo,gist")));
    assert_eq!(form.lifetime, StatedLifetime::Until(Timestamp(HERE + 10_000)));
    let marked = tokens(&usual, "\u{feff}{\"access_token\":\"A\",\"refresh_token\":\"\",\"scope\":[\"a\",\"b\"]}");
    assert!(marked.refresh.is_none());
    assert_eq!(marked.scope.as_deref(), Some("a b"));
    // A token is worth more than an odd field beside it.
    assert_eq!(tokens(&usual, r#"{"access_token":"A","error":"","token_type":5,"scope":7}"#).token_type, "Bearer");
    let deep = provider(
        r#","answer":{"access_token":"/authed_user/access_token","scope":"/authed_user/scope"},
        "keep":{"team":"/team/id","none":"/none","null":"/null","big":"/big"}"#,
    );
    let big = "x".repeat(5000);
    let found = tokens(
        &deep,
        &format!(r#"{{"authed_user":{{"access_token":"A","scope":"s"}},"team":{{"id":7}},"null":null,"big":"{big}"}}"#),
    );
    assert_eq!((found.access.expose(), found.scope.as_deref()), ("A", Some("s")));
    assert_eq!(Value::Object(found.extra).to_string(), r#"{"team":7}"#);
}

#[test]
fn a_refresh_that_is_answered_in_another_place_than_the_code_is_read_and_places_are_not_mixed() {
    let theirs = provider(
        r#","answer":{"access_token":"/user/access_token","refresh_token":"/user/refresh_token",
        "expires_in":"/user/expires_in"},"success":{"pointer":"/ok","equals":true}"#,
    );
    let code = r#"{"ok":true,"access_token":"BOT","refresh_token":"BOT'S","expires_in":5,"user":{"access_token":"A"}}"#;
    let found = tokens(&theirs, code);
    assert_eq!((found.access.expose(), found.refresh.is_none()), ("A", true));
    assert_eq!(found.lifetime, StatedLifetime::Absent);
    let refreshed = r#"{"ok":true,"access_token":"B","refresh_token":"R","expires_in":5,"user":{"id":"U1"}}"#;
    let found = tokens(&theirs, refreshed);
    assert_eq!((found.access.expose(), found.refresh.as_ref().map(Secret::expose)), ("B", Some("R")));
    assert_eq!(found.lifetime, StatedLifetime::Until(Timestamp(HERE + 5000)));
    assert_eq!(refusal(&theirs, 200, r#"{"ok":false,"error":"invalid_grant","access_token":"B"}"#).blame, Blame::Grant);
}

#[test]
fn a_lifetime_is_an_instant_however_it_is_written_and_nothing_that_cannot_be_true() {
    enum Is {
        Absent,
        Invalid(&'static str),
        Within(i64),
    }
    use Is::{Absent, Invalid, Within};
    let (usual, ms) = (provider(""), provider(r#","expires_in_unit":"ms""#));
    let lasting = provider(r#","default_lifetime_s":7200"#);
    let never = provider(r#","answer":{"expires_in":"/never"}"#);
    for (provider, fields, wanted) in [
        (&usual, r#","expires_in":3600"#, Within(3_600_000)),
        (&usual, r#","expires_in":"3600""#, Within(3_600_000)),
        (&usual, r#","expires_in":" 3600 ""#, Within(3_600_000)),
        (&usual, r#","expires_in":3599.5"#, Within(3_599_500)),
        (&usual, r#","expires_in":"3.6e3""#, Within(3_600_000)),
        (&usual, r#","expires_in":0"#, Invalid("0")),
        (&usual, r#","expires_in":"0""#, Invalid("0")),
        (&usual, r#","expires_in":0.0001"#, Invalid("0.0001")),
        (&usual, r#","expires_in":-1"#, Invalid("-1")),
        (&usual, r#","expires_in":"-1""#, Invalid("-1")),
        (&usual, r#","expires_in":1e99"#, Within(10 * YEAR)),
        (&usual, r#","expires_in":"1e99""#, Within(10 * YEAR)),
        (&usual, r#","expires_in":"1e999""#, Invalid("1e999")),
        (&usual, r#","expires_in":18446744073709551615"#, Within(10 * YEAR)),
        (&usual, r#","expires_in":"NaN""#, Invalid("NaN")),
        (&usual, r#","expires_in":"inf""#, Invalid("inf")),
        (&usual, r#","expires_in":null"#, Absent),
        (&usual, r#","expires_in":true"#, Invalid("true")),
        (&usual, r#","expires_in":"soon""#, Invalid("soon")),
        (&usual, r#","expires_in":{}"#, Invalid("{}")),
        (&usual, "", Absent),
        (&ms, r#","expires_in":3600000"#, Within(3_600_000)),
        (&lasting, "", Absent),
        (&lasting, r#","expires_in":-5"#, Invalid("-5")),
        (&never, r#","expires_in":0"#, Absent),
        (&never, r#","expires_in":0,"expires_at":1767229200"#, Absent),
        (&usual, r#","expires_at":1767229200"#, Within(3_600_000)),
        (&usual, r#","expires_at":"1767229200""#, Within(3_600_000)),
        (&usual, r#","expires_at":1767229200000"#, Within(3_600_000)),
        (&usual, r#","expires_at":"2026-01-01T01:00:00Z""#, Within(3_600_000)),
        (&usual, r#","expires_at":"2026-01-01T02:00:00+01:00""#, Within(3_600_000)),
        (&usual, r#","expires_at":"2025-12-31T23:00:00Z""#, Invalid("2025-12-31T23:00:00Z")),
        (&usual, r#","expires_at":1767222000"#, Invalid("1767222000")),
        (&usual, r#","expires_at":"tomorrow""#, Invalid("tomorrow")),
        (&usual, r#","expires_at":-1"#, Invalid("-1")),
        (&usual, r#","expires_at":1e300"#, Within(10 * YEAR)),
        (&usual, r#","expires_in":60,"expires_at":1767229200"#, Within(60_000)),
        (&usual, r#","expires_in":0,"expires_at":1767229200"#, Within(3_600_000)),
    ] {
        let found = tokens(provider, &format!(r#"{{"access_token":"A"{fields}}}"#)).lifetime;
        let wanted = match wanted {
            Absent => StatedLifetime::Absent,
            Invalid(value) => StatedLifetime::Invalid(value.to_owned()),
            Within(ms) => StatedLifetime::Until(Timestamp(HERE + ms)),
        };
        assert_eq!(found, wanted, "{fields}");
    }
    assert_eq!(lasting.default_lifetime_ms(), Some(7_200_000));
    let absolute = provider(r#","answer":{"expires_at":"/ends"}"#);
    let found = tokens(&absolute, r#"{"access_token":"A","expires_in":60,"ends":1767229200}"#).lifetime;
    assert_eq!(found, StatedLifetime::Until(Timestamp(HERE + 3_600_000)));
}

#[test]
fn the_token_type_is_a_scheme_that_a_client_can_send() {
    let zoho = provider(r#","api":{"base_url":"https://api.a.example","scheme":"Zoho-oauthtoken"}"#);
    let own_header = provider(r#","api":{"base_url":"https://api.a.example","header":"X-Token","scheme":""}"#);
    let usual = provider("");
    for (provider, sent, scheme, extra) in [
        (&usual, r#","token_type":"bearer""#, "Bearer", None),
        (&usual, r#","token_type":"bot""#, "Bearer", Some("bot")),
        (&usual, r#","token_type":"N_A""#, "Bearer", Some("N_A")),
        (&usual, r#","token_type":"DPoP""#, "DPoP", None),
        (&usual, r#","token_type":"mac""#, "mac", None),
        (&usual, r#","token_type":"a b\r\nX: y""#, "Bearer", None),
        (&usual, "", "Bearer", None),
        (&zoho, r#","token_type":"Bearer""#, "Zoho-oauthtoken", Some("Bearer")),
        (&zoho, "", "Zoho-oauthtoken", None),
        (&zoho, r#","token_type":"DPoP""#, "DPoP", None),
        (&own_header, r#","token_type":"user""#, "Bearer", Some("user")),
    ] {
        let found = tokens(provider, &format!(r#"{{"access_token":"A"{sent}}}"#));
        assert_eq!(found.token_type, scheme, "{sent}");
        assert_eq!(found.extra.get("token_type").and_then(Value::as_str), extra, "{sent}");
    }
}

#[test]
fn granted_and_requested_scopes_are_compared_as_sets() {
    let of = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let usual = provider("");
    let commas = provider(r#","scope_separator":",","unechoed_scopes":["email"]"#);
    for (provider, requested, granted, missing) in [
        (&usual, &["a", "b"][..], "a b", &[][..]),
        (&usual, &["a", "b"], "b  a c", &[]),
        (&usual, &["a", "b"], "a,b", &[]),
        (&usual, &["a", "b"], "a", &["b"]),
        (&usual, &["openid", "offline_access", "b"], "x", &["b"]),
        (&commas, &["email", "a"], "a,c", &[]),
        (&usual, &["email", "a"], "a,c", &["email"]),
        (&usual, &["A"], "a", &["A"]),
    ] {
        assert_eq!(provider.missing_scopes(&of(requested), granted), of(missing), "{requested:?} {granted}");
    }
}

#[test]
fn an_excerpt_of_an_unreadable_body_holds_nothing_that_may_be_a_token() {
    let usual = provider("");
    for body in [
        r#"{"access_token":"PLANTED0123456789","refresh_token":"PLANTED-ab"#,
        "access_token: PLANTED",
        "<p>token=PLANTED12345678901234567890</p>",
        "PLANTEDabcdefghijklmnopqrstuvwxyzabcdef",
        "\"PLANTED0123456789\"",
    ] {
        for status in [200, 400, 502] {
            let refusal = refusal(&usual, status, body);
            let page = body.starts_with('<');
            assert_eq!(refusal.excerpt.is_some(), status != 200 || page, "{status} {body}");
            assert!(!refusal.excerpt.unwrap_or_default().contains("PLANTED"), "{status} {body}");
        }
    }
    let page = refusal(&usual, 502, "<html>\n <h1>Bad gateway</h1>\n</html>");
    assert_eq!(page.excerpt.as_deref(), Some("<html> <h1>Bad gateway</h1> </html>"));
    assert!(
        refusal(&usual, 502, &"word ".repeat(1000)).excerpt.is_some_and(|text| text.chars().count() <= MAX_EXCERPT)
    );
}

#[test]
fn the_end_of_a_refresh_token_has_many_names_and_zero_is_none() {
    let end = |provider: &Resolved, fields: &str| {
        tokens(provider, &format!(r#"{{"access_token":"A"{fields}}}"#)).refresh_expires_at.map(|end| end.0 - HERE)
    };
    let usual = provider("");
    for fields in [
        r#","refresh_token_expires_in":60"#,
        r#","refresh_expires_in":"60""#,
        r#","refresh_token_expires_at":1767225660"#,
    ] {
        assert_eq!(end(&usual, fields), Some(60_000), "{fields}");
    }
    for fields in ["", r#","refresh_expires_in":0"#, r#","refresh_expires_in":-1"#] {
        assert_eq!(end(&usual, fields), None, "{fields}");
    }
    let own = provider(r#","answer":{"refresh_expires_in":"/x_refresh_token_expires_in"}"#);
    assert_eq!(end(&own, r#","x_refresh_token_expires_in":60,"refresh_expires_in":1"#), Some(60_000));
}

#[test]
fn an_instant_of_a_clock_that_is_off_is_moved_to_ours() {
    let hour_ahead = RawAnswer {
        date: Some(Timestamp(HERE + 3_600_000)),
        ..raw(200, r#"{"access_token":"A","expires_at":1767232800}"#)
    };
    assert_eq!(hour_ahead.skew_ms(), Some(3_600_000));
    match provider("").read(&hour_ahead) {
        Answer::Tokens(tokens) => {
            assert_eq!(tokens.lifetime, StatedLifetime::Until(Timestamp(HERE + 3_600_000)));
        }
        Answer::Refused(refusal) => panic!("{refusal:?}"),
    }
    let same_second = RawAnswer { received_at: Timestamp(HERE + 999), date: Some(Timestamp(HERE)), ..raw(200, "") };
    assert_eq!(same_second.skew_ms(), Some(0));
    assert_eq!(raw(200, "").skew_ms(), None);
    // A clock before 1970 is no reason to fall over.
    let long_ago =
        RawAnswer { received_at: Timestamp(-20 * YEAR), ..raw(200, r#"{"access_token":"A","expires_at":0}"#) };
    assert!(matches!(provider("").read(&long_ago), Answer::Tokens(_)));
}

#[test]
fn blame_is_placed_where_it_belongs() {
    use Blame::{App, Grant, Provider};
    let usual = provider("");
    let slack = provider(
        r#","success":{"pointer":"/ok","equals":true},"errors":{"invalid_refresh_token":"grant","bad_client":"app",
        "Access Denied":"provider"}"#,
    );
    for (provider, status, body, blame, error, unclear) in [
        (&usual, 400, r#"{"error":"invalid_grant"}"#, Grant, "invalid_grant", false),
        (&usual, 400, "error=invalid_grant&error_description=gone", Grant, "invalid_grant", false),
        (&usual, 400, r#"{"error":"invalid_client"}"#, App, "invalid_client", false),
        (&usual, 401, r#"{"error":"invalid_client"}"#, App, "invalid_client", false),
        (&usual, 401, r#"{"error":"invalid_grant"}"#, Grant, "invalid_grant", false),
        (&usual, 401, r#"{"error":"access_denied"}"#, Provider, "access_denied", false),
        (&usual, 401, r#"{"error":"Unauthorized"}"#, Provider, "Unauthorized", false),
        (&usual, 401, r#"{"error":"session_limit"}"#, Provider, "session_limit", false),
        (&usual, 401, "", Provider, "http_401", false),
        (&usual, 401, "<html>who are you</html>", Provider, "http_401", false),
        (&usual, 400, r#"{"error":"unauthorized_client"}"#, Provider, "unauthorized_client", false),
        (&usual, 400, r#"{"error":"access_denied"}"#, Provider, "access_denied", false),
        (&usual, 400, r#"{"error":"expired_token"}"#, Grant, "expired_token", false),
        (&usual, 400, r#"{"error":"authorization_pending"}"#, Provider, "authorization_pending", false),
        (&usual, 429, r#"{"error":"slow_down"}"#, Provider, "rate_limited", false),
        (&usual, 400, r#"{"error":"invalid_request"}"#, Provider, "invalid_request", false),
        (&usual, 400, r#"{"error":"something new"}"#, Provider, "something_new", false),
        (&usual, 400, r#"{"error":{"code":190,"type":"OAuthException"}}"#, Provider, "OAuthException", false),
        (&usual, 400, r#"{"status":"BAD_REFRESH_TOKEN"}"#, Provider, "BAD_REFRESH_TOKEN", false),
        (&usual, 400, r#"{"error":"<script>alert(1)</script>"}"#, Provider, "http_400", false),
        (&usual, 403, "<html>", Provider, "http_403", false),
        (&usual, 404, "", Provider, "http_404", false),
        (&usual, 429, "", Provider, "rate_limited", false),
        (&usual, 429, r#"{"error":"invalid_grant"}"#, Provider, "rate_limited", false),
        (&usual, 302, r#"{"error":"invalid_grant"}"#, Provider, "redirect", false),
        (&usual, 500, "", Provider, "http_500", true),
        (&usual, 500, r#"{"error":"invalid_grant"}"#, Provider, "http_500", true),
        (&usual, 500, r#"{"error":"server_error"}"#, Provider, "server_error", true),
        (&usual, 502, "<html>", Provider, "http_502", true),
        (&usual, 503, "", Provider, "http_503", false),
        (&usual, 200, r#"{"error":"bad_verification_code"}"#, Provider, "bad_verification_code", false),
        (&usual, 200, r#"{"error":"invalid_grant"}"#, Grant, "invalid_grant", false),
        (&usual, 200, "error=invalid_client", App, "invalid_client", false),
        (&usual, 200, "<html>signed out</html>", Provider, "unreadable_body", true),
        (&usual, 200, "", Provider, "unreadable_body", true),
        (&usual, 200, "\"text\"", Provider, "unreadable_body", true),
        (&usual, 200, r#"{"access_token":"A"#, Provider, "unreadable_body", true),
        (&usual, 200, "{}", Provider, "no_access_token", true),
        (&usual, 200, "[]", Provider, "no_access_token", true),
        (&usual, 200, r#"{"access_token":null}"#, Provider, "no_access_token", true),
        (&usual, 200, r#"{"access_token":""}"#, Provider, "no_access_token", true),
        (&usual, 200, r#"{"access_token":5.5}"#, Provider, "malformed_token", true),
        (&usual, 200, r#"{"access_token":"a\nb"}"#, Provider, "malformed_token", true),
        (&usual, 200, r#"{"access_token":"a","refresh_token":"\u0000"}"#, Provider, "malformed_token", true),
        (&slack, 200, r#"{"ok":false,"error":"invalid_refresh_token"}"#, Grant, "invalid_refresh_token", false),
        (&slack, 200, r#"{"ok":false,"error":"bad_client"}"#, App, "bad_client", false),
        (&slack, 200, r#"{"ok":false,"error":"internal"}"#, Provider, "internal", false),
        (&slack, 200, r#"{"ok":false,"access_token":"A"}"#, Provider, "no_access_token", true),
        (&slack, 400, r#"{"error":"Access Denied"}"#, Provider, "Access_Denied", false),
        (&slack, 500, r#"{"error":"invalid_refresh_token"}"#, Grant, "invalid_refresh_token", false),
    ] {
        let refusal = refusal(provider, status, body);
        let found = (refusal.blame, refusal.word(), refusal.unclear);
        assert_eq!(found, (blame, error.to_owned(), unclear), "{status} {body}");
    }
    // A description that the entry knows says more than the code.
    let zoom = provider(r#","answer":{"error_description":"/reason"},"errors":{"Invalid Token!":"grant"}"#);
    let gone = refusal(&zoom, 401, r#"{"reason":"Invalid Token!","error":"invalid_request"}"#);
    assert_eq!((gone.blame, gone.word().as_str()), (Blame::Grant, "invalid_request"));
    assert_eq!(refusal(&zoom, 401, r#"{"reason":"no","error":"invalid_client"}"#).blame, Blame::App);
    let long = format!(r#"{{"access_token":"{}"}}"#, "x".repeat(MOST_TOKEN + 1));
    assert_eq!(refusal(&usual, 200, &long).word(), "malformed_token");
}

#[test]
fn only_invalid_client_is_about_the_client_and_other_refusals_may_be() {
    use EndpointHealth::{Fails, Limits, Works};
    let usual = provider("");
    for (status, body, ambiguous, health) in [
        (401, r#"{"error":"invalid_client"}"#, false, Works),
        (400, r#"{"error":"invalid_grant"}"#, false, Works),
        (400, r#"{"error":"invalid_request"}"#, false, Works),
        (400, r#"{"error":"unauthorized_client"}"#, true, Works),
        (200, r#"{"error":"unauthorized_client"}"#, true, Works),
        (403, r#"{"error":"access_denied"}"#, true, Works),
        (401, r#"{"message":"session ended"}"#, true, Works),
        (401, "", true, Fails),
        (401, "<html>", true, Fails),
        (403, "<html>", true, Fails),
        (400, "<html>", true, Fails),
        (400, r#"{"error":"their_own"}"#, true, Works),
        (402, r#"{"error":"payment_required"}"#, false, Works),
        (404, "", false, Fails),
        (429, "", false, Limits),
        (429, r#"{"error":"invalid_client"}"#, false, Limits),
        (500, r#"{"error":"server_error"}"#, false, Fails),
        (503, "", false, Fails),
        (200, "<html>", false, Fails),
        (302, "", false, Fails),
    ] {
        let refusal = refusal(&usual, status, body);
        assert_eq!((refusal.ambiguous, refusal.endpoint_health()), (ambiguous, health), "{status} {body}");
    }
    assert_eq!(Refusal::of_sent(&Sent::Unclear("timeout".to_owned())).endpoint_health(), Fails);
}

#[test]
fn what_the_provider_wants_and_says_is_kept_within_bounds() {
    let usual = provider("");
    let busy = RawAnswer { retry_after: Some(Duration::from_secs(7)), ..raw(429, "") };
    match usual.read(&busy) {
        Answer::Refused(refusal) => assert_eq!(refusal.retry_after, Some(Duration::from_secs(7))),
        Answer::Tokens(_) => panic!("tokens"),
    }
    let said = |description: &str| {
        let body = serde_json::json!({"error": "invalid_grant", "error_description": description});
        refusal(&usual, 400, &body.to_string()).description
    };
    assert_eq!(said("Token\r\nrevoked").as_deref(), Some("Token  revoked"));
    assert_eq!(said("\n"), None);
    let long = said(&"é".repeat(400)).expect("a description");
    assert_eq!(long.chars().count(), MOST_DESCRIPTION + 1);
    let elsewhere = refusal(&usual, 400, r#"{"error":{"message":"in here","code":"x"}}"#);
    assert_eq!((elsewhere.word().as_str(), elsewhere.description.as_deref()), ("x", Some("in here")));
}

#[test]
fn what_never_came_back_is_the_networks_fault() {
    let blame = |sent: Sent| {
        let refusal = Refusal::of_sent(&sent);
        (refusal.blame, refusal.word(), refusal.unclear)
    };
    let network = |error: &str, unclear| (Blame::Network, error.to_owned(), unclear);
    assert_eq!(blame(Sent::NotSent("refused".to_owned())), network("unreachable", false));
    assert_eq!(blame(Sent::Unclear("timeout".to_owned())), network("timeout", true));
    assert_eq!(blame(Sent::Unclear("too large".to_owned())), network("too_large", true));
    assert_eq!(blame(Sent::Unclear("reset".to_owned())), network("cut_off", true));
}

proptest! {
    #[test]
    fn reading_never_panics_whatever_comes(status in 100_u16..1000, body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let body = String::from_utf8_lossy(&body).into_owned();
        let _ = provider(r#","success":{"pointer":"/ok","equals":true}"#).read(&raw(status, &body));
        let _ = provider("").read(&raw(200, &body));
    }

    #[test]
    fn reading_never_panics_whatever_the_fields_hold(
        expires in any::<f64>(),
        at in "[-+0-9eE.:TZ]{0,30}",
        text in "\\PC{0,80}",
        date in any::<i64>(),
        here in any::<i64>(),
    ) {
        let body = serde_json::json!({
            "access_token": text, "refresh_token": text, "scope": [text, 1], "token_type": text, "expires_in": expires,
            "expires_at": at, "refresh_expires_in": at, "error": {"code": text}, "error_description": text,
        });
        for status in [200, 400, 401, 500] {
            let mut answer = raw(status, &body.to_string());
            answer.date = Some(Timestamp(date));
            answer.received_at = Timestamp(here);
            let _ = provider(r#","keep":{"all":"/scope"},"default_lifetime_s":315360000"#).read(&answer);
            let _ = provider(r#","answer":{"expires_at":"/expires_at"}"#).read(&answer);
        }
    }
}
