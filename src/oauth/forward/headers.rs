//! Which fields of a message are passed on (RFC 9110 §7.6): those that are neither about one hop nor about us.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::proxy::NotPassed;

/// Names in lower case, and values: the fields of a message, in order.
pub type Headers = Vec<(String, Vec<u8>)>;

/// What we are called where a message tells which way it came (RFC 9110 §7.6.3).
const PSEUDONYM: &str = "grantry";

/// Fields about one hop (RFC 9110 §7.6.1, RFC 9112), whether `Connection` names them or not.
const OF_ONE_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Fields of a request that are for us: how it came here and who showed what; or that are written anew.
const FOR_US: &[&str] = &[
    "host",
    "content-length",
    "expect",
    "authorization",
    "cookie",
    "appkey",
    "forwarded",
    "x-real-ip",
    "via",
    "origin",
    "referer",
];
/// The same, by their beginnings.
const FOR_US_TOO: &[&str] = &["x-forwarded-", "sec-fetch-"];

/// Fields of an answer that would speak to a browser, or to a cache, about our own address; or that are written anew.
const ABOUT_US: &[&str] = &[
    "content-length",
    "location",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "public-key-pins",
    "expect-ct",
    "alt-svc",
    "clear-site-data",
    "service-worker-allowed",
    "refresh",
    "content-security-policy",
    "content-security-policy-report-only",
    "x-content-type-options",
    "x-frame-options",
    "x-xss-protection",
    "referrer-policy",
    "permissions-policy",
    "origin-agent-cluster",
    "document-policy",
    "cross-origin-opener-policy",
    "cross-origin-opener-policy-report-only",
    "cross-origin-embedder-policy",
    "cross-origin-embedder-policy-report-only",
    "cross-origin-resource-policy",
    "timing-allow-origin",
    "x-permitted-cross-domain-policies",
    "nel",
    "report-to",
    "reporting-endpoints",
    "speculation-rules",
    "supports-loading-mode",
    "set-login",
    "cache-control",
    "cdn-cache-control",
    "surrogate-control",
    "pragma",
    "expires",
    "age",
    "x-request-id",
];
/// The same, by their beginnings.
const ABOUT_US_TOO: &[&str] = &["access-control-"];

/// The fields of a request as the provider gets them, without the token.
pub(super) fn onward(headers: &Headers) -> Result<HeaderMap, NotPassed> {
    let named = named_by_connection(headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
    // Some clients offer HTTP/2 on every plain connection; that may be passed over in silence (RFC 9110 §7.8).
    if headers.iter().any(|(name, value)| name == "upgrade" && !value.trim_ascii().eq_ignore_ascii_case(b"h2c")) {
        return Err(NotPassed::Upgrade);
    }
    let mut onward = HeaderMap::new();
    let mut way = Vec::new();
    for (name, value) in headers {
        if name == "via" {
            way.extend(String::from_utf8_lossy(value).split(',').map(|hop| hop.trim().to_owned()));
        }
        if is_one_of(name, OF_ONE_HOP, &[]) || is_one_of(name, FOR_US, FOR_US_TOO) || named.contains(name) {
            continue;
        }
        let pair = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value));
        if let (Ok(name), Ok(value)) = pair {
            onward.append(name, value);
        }
    }
    if way.iter().any(|hop| hop.split_ascii_whitespace().nth(1) == Some(PSEUDONYM)) {
        return Err(NotPassed::Loop);
    }
    way.push(format!("1.1 {PSEUDONYM}"));
    if let Ok(way) = HeaderValue::from_str(&way.join(", ")) {
        onward.insert("via", way);
    }
    Ok(onward)
}

/// The fields of an answer as the caller gets them.
pub(super) fn back(headers: &HeaderMap) -> Headers {
    let named = named_by_connection(headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            !is_one_of(name, OF_ONE_HOP, &[])
                && !is_one_of(name, ABOUT_US, ABOUT_US_TOO)
                && !named.iter().any(|other| other == name)
        })
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}

fn is_one_of(name: &str, names: &[&str], beginnings: &[&str]) -> bool {
    names.contains(&name) || beginnings.iter().any(|beginning| name.starts_with(beginning))
}

/// What the fields `Connection` name, in lower case.
fn named_by_connection<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<String> {
    headers
        .filter(|(name, _)| *name == "connection")
        .flat_map(|(_, value)| {
            let value = String::from_utf8_lossy(value).to_ascii_lowercase();
            value.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn what_is_about_a_hop_or_about_us_stays_here() {
        let onward = onward(&fields(&[
            ("connection", "close, X-One-Hop"),
            ("x-one-hop", "1"),
            ("te", "trailers"),
            ("authorization", "Bearer PLANTED"),
            ("cookie", "grantry=PLANTED"),
            ("appkey", "PLANTED"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-whatever", "1"),
            ("host", "here"),
            ("accept", "a"),
            ("accept", "b"),
            ("x-of-the-api", "1"),
            ("via", "1.0 fred, 1.1 p.example"),
        ]))
        .expect("passed on");
        let names: Vec<&str> = onward.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["accept", "x-of-the-api", "via"]);
        assert_eq!(onward.get_all("accept").iter().count(), 2);
        assert_eq!(onward["via"], "1.0 fred, 1.1 p.example, 1.1 grantry");
    }

    #[test]
    fn loops_and_upgrades_are_turned_down() {
        assert_eq!(onward(&fields(&[("via", "1.1 a, 1.1 grantry")])).err(), Some(NotPassed::Loop));
        assert_eq!(onward(&fields(&[("upgrade", "websocket")])).err(), Some(NotPassed::Upgrade));
        assert_eq!(onward(&fields(&[("upgrade", "h2c, websocket")])).err(), Some(NotPassed::Upgrade));
        let offered = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "x")];
        assert_eq!(onward(&fields(&offered)).expect("passed on").len(), 1);
    }

    #[test]
    fn an_answer_loses_what_would_speak_about_our_address() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "a=b"),
            ("access-control-allow-origin", "*"),
            ("content-security-policy", "default-src *"),
            ("strict-transport-security", "max-age=1"),
            ("cache-control", "public"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("content-type", "text/html"),
            ("etag", "\"1\""),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let names: Vec<String> = back(&headers).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["content-type", "etag"]);
    }
}
