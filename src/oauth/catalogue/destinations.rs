//! Where a definition sends client secrets and tokens.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, resolved::end_of_host};

/// The origins (RFC 6454 §4) of the endpoints that receive client secrets or tokens, and what decides the variables in
/// them. The authorization endpoint is not among them: a browser goes there, without a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Destinations {
    origins: BTreeSet<String>,
    /// For each variable in an origin its rules and the value that the profile gives it; with any of them, the hosts.
    rules: BTreeSet<String>,
}

impl Entry {
    /// Where this definition sends secrets, with the parameters of a profile.
    pub fn destinations(&self, parameters: &BTreeMap<String, String>) -> Destinations {
        let mut entry = self.clone();
        for (endpoint, parameter) in &self.endpoint_parameters {
            let given = parameters.get(parameter).map(|text| text.trim()).filter(|text| !text.is_empty());
            if let Some(url) = given {
                *entry.endpoint(*endpoint) = Some(url.to_owned());
            }
        }
        let mut found = Destinations::default();
        for (_, url) in entry.urls().filter(|(field, _)| *field != "authorize_url") {
            let origin = origin(url);
            for name in origin.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)) {
                found.rules.insert(format!("hosts {:?}", self.hosts));
                if let Some(variable) = self.variables.get(name) {
                    let parts = [Some(&variable.pattern), variable.prefix.as_ref(), variable.suffix.as_ref()];
                    let values = [variable.default.as_ref(), parameters.get(name)];
                    found.rules.insert(format!("{name} {parts:?} {values:?}"));
                }
            }
            found.origins.insert(origin);
        }
        found
    }
}

impl Entry {
    /// The variables that can lead to any host or port: they stand in the port of an endpoint, or they end its host and the
    /// definition names no hosts.
    pub fn unbounded_variables(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for (_, url) in self.urls() {
            let origin = &url[..end_of_host(url)];
            let authority = origin.rsplit_once("://").map_or(origin, |(_, authority)| authority);
            // A port is behind the last colon; the names of variables have none.
            let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
            let ends_host = if self.hosts.is_empty() { last_variable(host) } else { None };
            for name in ends_host.into_iter().chain(last_variable(port)) {
                found.extend(self.variables.get_key_value(name).map(|(name, _)| name.as_str()));
            }
        }
        found
    }
}

/// The variable that ends a text: `a.{x}` has `x`.
fn last_variable(text: &str) -> Option<&str> {
    Some(text.strip_suffix('}')?.rsplit_once('{')?.1)
}

/// Scheme, host and port of a URL or of a template of one, the default port left out.
fn origin(url: &str) -> String {
    let origin = url[..end_of_host(url)].to_ascii_lowercase();
    if !origin.contains('{')
        && let Ok(url) = url::Url::parse(&origin)
    {
        return url.origin().ascii_serialization();
    }
    let default_port = if origin.starts_with("http://") { ":80" } else { ":443" };
    origin.strip_suffix(default_port).map(str::to_owned).unwrap_or(origin)
}

impl Destinations {
    /// Whether everything that goes to `other` may go here.
    pub fn cover(&self, other: &Self) -> bool {
        other.origins.is_subset(&self.origins) && other.rules.is_subset(&self.rules)
    }

    /// The origins of `other` that are not among these, or whose variables may lead elsewhere.
    pub fn missing(&self, other: &Self) -> Vec<String> {
        let same_rules = other.rules.is_subset(&self.rules);
        let known = |origin: &&String| self.origins.contains(*origin) && (same_rules || !origin.contains('{'));
        other.origins.iter().filter(|origin| !known(origin)).cloned().collect()
    }

    /// The origins, sorted; with variables where the definition has some (`https://{shop}.example`).
    pub fn origins(&self) -> Vec<String> {
        self.origins.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destinations(json: &str, parameters: &[(&str, &str)]) -> Destinations {
        let entry = Entry::parse(json).unwrap_or_else(|error| panic!("{json}: {error}"));
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        entry.destinations(&parameters)
    }

    fn plain(more: &str) -> Destinations {
        destinations(&format!(r#"{{"slug":"a","name":"A","token_url":"https://a.example/t"{more}}}"#), &[])
    }

    #[test]
    fn each_endpoint_that_receives_a_secret_counts_and_paths_do_not() {
        let before = plain("");
        assert_eq!(before.origins(), ["https://a.example"]);
        for same in [
            r#","authorize_url":"https://b.example/x""#,
            r#","refresh_url":"https://A.example:443/other?x=1""#,
            r#","refresh_url":"https://%61.example/t""#,
            r#","revoke_url":"https://a.example/r/{client_id}""#,
            r#","default_scopes":["x"],"rotates":true"#,
        ] {
            assert!(before.cover(&plain(same)), "{same}");
        }
        for field in ["refresh_url", "revoke_url", "device_url", "introspect_url"] {
            for url in ["https://b.example/t", "https://a.example:8443/t", "https://sub.a.example/t"] {
                let moved = plain(&format!(r#","{field}":"{url}""#));
                assert!(!before.cover(&moved) && moved.cover(&before), "{field} {url}");
                assert_eq!(before.missing(&moved).len(), 1, "{field} {url}");
            }
        }
        let userinfo = plain(r#","userinfo":{"url":"https://b.example/me","id":"/id"}"#);
        assert_eq!(before.missing(&userinfo), ["https://b.example"]);
        let api = plain(r#","api":{"base_url":"https://b.example/v1"}"#);
        assert_eq!(before.missing(&api), ["https://b.example"]);
    }

    #[test]
    fn what_a_variable_in_a_host_may_become_counts() {
        let shop = |pattern: &str, hosts: &str, parameters: &[(&str, &str)]| {
            let json = format!(
                r#"{{"slug":"s","name":"S","hosts":[{hosts}],"token_url":"https://{{shop}}.shop.example/t",
                "variables":{{"shop":{{"title":"Shop","pattern":"{pattern}"}}}}}}"#
            );
            destinations(&json, parameters)
        };
        let before = shop("^[a-z]+$", r#""shop.example""#, &[]);
        assert!(before.cover(&shop("^[a-z]+$", r#""shop.example""#, &[("other", "x")])));
        for other in [
            shop("^.+$", r#""shop.example""#, &[]),
            shop("^[a-z]+$", r#""shop.example","b.example""#, &[]),
            shop("^[a-z]+$", "", &[]),
            shop("^[a-z]+$", r#""shop.example""#, &[("shop", "evil")]),
        ] {
            assert!(!before.cover(&other), "{other:?}");
            assert_eq!(before.missing(&other), ["https://{shop}.shop.example"]);
        }
    }

    #[test]
    fn variables_that_lead_anywhere_are_found() {
        for (hosts, url, found) in [
            ("", "https://{x}/t", true),
            ("", "https://a.{x}/t", true),
            ("", "https://{x}:8443/t", true),
            ("", "https://{x}.a.example/t", false),
            ("", "https://a.example/{x}", false),
            ("", "https://a.example:{x}/t", true),
            (r#""a.example""#, "https://a.example:{x}/t", true),
            (r#""a.example""#, "https://{x}/t", false),
        ] {
            let json = format!(
                r#"{{"slug":"s","name":"S","hosts":[{hosts}],"token_url":"{url}",
                "variables":{{"x":{{"title":"X","pattern":"^.*$","default":"{}"}}}}}}"#,
                if url.contains(":{x}") { "8080" } else { "a.example" }
            );
            let entry = Entry::parse(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
            assert_eq!(entry.unbounded_variables().contains("x"), found, "{url}");
        }
    }

    #[test]
    fn endpoints_that_a_profile_gives_count() {
        let json = r#"{"slug":"h","name":"H","endpoint_parameters":{"token_url":"TOKEN_URL"}}"#;
        let at = |url: &str| destinations(json, &[("TOKEN_URL", url)]);
        assert!(at("https://a.example/t").cover(&at(" https://a.example/other ")));
        assert_eq!(at("https://a.example/t").missing(&at("https://b.example/t")), ["https://b.example"]);
    }
}
