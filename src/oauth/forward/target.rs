//! Where a request that is passed on may go: below the address of the provider's API, and nowhere else, however the path is
//! written.

use percent_encoding::percent_decode;
use url::Url;

use crate::domain::proxy::NotPassed;

/// Nobody encodes a path more often than so.
const MOST_ROUNDS: usize = 5;

/// An address below that of an API.
#[derive(Debug, Clone)]
pub struct Target {
    /// The API's path, without a slash at the end; empty: the root.
    base: String,
    url: Url,
}

impl Target {
    /// The address of `path` below `base`, both as they stand in a request line: percent-encoded. `path` is empty or
    /// begins with a slash.
    pub fn below(base: &Url, path: &str, query: Option<&str>) -> Result<Self, NotPassed> {
        check_path(path)?;
        let at = base.path().trim_end_matches('/').to_owned();
        let mut text = format!("{}{at}{path}", base.origin().ascii_serialization());
        if let Some(query) = query {
            text.push('?');
            text.push_str(query);
        }
        // Whatever a parser may make of it, it has to be below the base afterwards.
        let url = Url::parse(&text).map_err(|_| NotPassed::Path(FORM))?;
        let target = Self { base: at, url };
        match target.rest(&target.url) {
            Some(_) if target.url.origin() == base.origin() => Ok(target),
            _ => Err(NotPassed::Path(FORM)),
        }
    }

    /// The whole address.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// What of an address is below the base: empty, or beginning with a slash.
    fn rest<'a>(&self, url: &'a Url) -> Option<&'a str> {
        let plain = url.username().is_empty() && url.password().is_none();
        let rest = url.path().strip_prefix(self.base.as_str())?;
        (plain && (rest.is_empty() || rest.starts_with('/'))).then_some(rest)
    }

    /// What a `Location` (RFC 9110 §10.2.2) of the answer names, seen from the base: path, query and fragment. `None`: it is
    /// not below the base, or nobody could ask for it here.
    pub(super) fn located(&self, location: &str) -> Option<String> {
        let to = self.url.join(location).ok()?;
        if to.origin() != self.url.origin() {
            return None;
        }
        let rest = self.rest(&to)?;
        check_path(rest).ok()?;
        let query = to.query().map(|query| format!("?{query}")).unwrap_or_default();
        let fragment = to.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
        Some(format!("{rest}{query}{fragment}"))
    }
}

const FORM: &str = "a path of printable ASCII characters, the rest percent-encoded";
const DOTS: &str = "a path without . and .. as segments, however encoded";
const SLASHES: &str = "a path without empty segments and backslashes";

/// Turns down what some server might read as a way up and out. What is encoded is looked at as often as it is: servers
/// behind servers decode again.
pub(super) fn check_path(path: &str) -> Result<(), NotPassed> {
    if !(path.is_empty() || path.starts_with('/')) || !path.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(NotPassed::Path(FORM));
    }
    if path.contains("//") {
        return Err(NotPassed::Path(SLASHES));
    }
    let whole = path.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if !whole {
        return Err(NotPassed::Path(FORM));
    }
    let mut bytes = path.as_bytes().to_vec();
    for _ in 0..MOST_ROUNDS {
        if bytes.contains(&b'\\') {
            return Err(NotPassed::Path(SLASHES));
        }
        if bytes.iter().any(u8::is_ascii_control) {
            return Err(NotPassed::Path(FORM));
        }
        // Some servers take what follows a semicolon off before they look for dots.
        let climbs = |segment: &[u8]| {
            let name = segment.split(|b| *b == b';').next().unwrap_or_default();
            matches!(name, b"." | b"..")
        };
        if bytes.split(|b| *b == b'/').any(climbs) {
            return Err(NotPassed::Path(DOTS));
        }
        let decoded: Vec<u8> = percent_decode(&bytes).collect();
        if decoded == bytes {
            return Ok(());
        }
        bytes = decoded;
    }
    Err(NotPassed::Path("a path that is not encoded over and over"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn a_path_is_appended_as_it_is_written() {
        for (at, path, query, whole) in [
            ("https://api.acme.example/v1", "/items/7", None, "https://api.acme.example/v1/items/7"),
            (
                "https://api.acme.example/v1/",
                "/items",
                Some("a=b&c=%20"),
                "https://api.acme.example/v1/items?a=b&c=%20",
            ),
            ("https://api.acme.example", "", None, "https://api.acme.example/"),
            ("https://api.acme.example", "/", Some(""), "https://api.acme.example/?"),
            ("https://api.acme.example/v1", "", None, "https://api.acme.example/v1"),
            (
                "https://api.acme.example:8443/v1",
                "/a%2Fb/@me/c:d",
                None,
                "https://api.acme.example:8443/v1/a%2Fb/@me/c:d",
            ),
            (
                "https://a.example",
                "/sites/https%3A%2F%2Fb.example%2F/q",
                None,
                "https://a.example/sites/https%3A%2F%2Fb.example%2F/q",
            ),
            (
                "https://a.example",
                "/100%25/a...b/..c/%E2%82%AC;x=1",
                None,
                "https://a.example/100%25/a...b/..c/%E2%82%AC;x=1",
            ),
        ] {
            let target = Target::below(&base(at), path, query).unwrap_or_else(|why| panic!("{path}: {why:?}"));
            assert_eq!(target.url().as_str(), whole);
        }
    }

    #[test]
    fn no_path_leads_out_of_the_base() {
        for path in [
            "/..",
            "/../x",
            "/a/../../x",
            "/./x",
            "/a/.",
            "/%2e%2e/x",
            "/%2E./x",
            "/.%2e/x",
            "/%2e/x",
            "/a/%2e%2e%2fx",
            "/..%2fx",
            "/%252e%252e/x",
            "/%25252e%25252e/x",
            "/..%252fx",
            "/..;/x",
            "/..;a=b/x",
            "/%2e%2e%3b/x",
            "//evil.example/x",
            "/a//b",
            "/\\evil.example",
            "/..\\x",
            "/%5c..",
            "/%5cevil",
            "/%255cevil",
            "/a%00",
            "/a%0d%0ab",
            "/%250a",
            "/a b",
            "/é",
            "/%zz",
            "/%2",
            "/%",
            "x",
            "evil.example",
            "@evil.example/",
            ":8080/",
            "/%2525252525252e",
            "/a/..%c0%af/%2e%2e",
        ] {
            let refused = Target::below(&base("https://api.acme.example/v1"), path, None);
            assert!(matches!(refused, Err(NotPassed::Path(_))), "{path}: {refused:?}");
        }
    }

    #[test]
    fn a_location_counts_where_it_stays_below_the_base() {
        let target = Target::below(&base("https://api.acme.example/v1"), "/items/7", Some("q")).expect("a target");
        for (location, rest) in [
            ("8", Some("/items/8")),
            ("/v1/other?a=b#c", Some("/other?a=b#c")),
            ("https://api.acme.example/v1", Some("")),
            ("https://API.acme.example:443/v1/x", Some("/x")),
            ("//api.acme.example/v1/x", Some("/x")),
            ("?page=2", Some("/items/7?page=2")),
            ("/v1x/other", None),
            ("/v2/other", None),
            ("../../secret", None),
            ("/v1//x", None),
            ("/v1/%2e%2e/x", None),
            ("/v1/..%2fx", None),
            ("http://api.acme.example/v1/x", None),
            ("https://api.acme.example:8443/v1/x", None),
            ("https://evil.example/v1/x", None),
            ("https://api.acme.example@evil.example/v1/x", None),
            ("https://user@api.acme.example/v1/x", None),
            ("https://api.acme.example.evil.example/v1/x", None),
            ("//evil.example/v1", None),
            ("\\\\evil.example/v1", None),
            ("javascript:alert(1)", None),
            ("data:text/html,x", None),
            ("https://", None),
        ] {
            assert_eq!(target.located(location).as_deref(), rest, "{location}");
        }
    }
}
