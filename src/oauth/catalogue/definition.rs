//! Reading a definition: JSON to [`Entry`], with faults that name the field.

use serde_json::{Map, Value};

use super::{Endpoint, Entry};
use crate::domain::{Error, Result, Why};

/// The most bytes of a definition.
pub(super) const MOST: usize = 64 * 1024;

/// A definition as somebody gives it.
#[derive(Debug, Clone)]
pub enum Given {
    /// It says everything.
    Whole(Box<Entry>),
    /// It names an issuer and no token endpoint: the rest is to be asked there (`Engine::discover`).
    Issuer {
        /// The issuer.
        issuer: String,
        /// What is given, with types and values that were checked.
        fields: Map<String, Value>,
    },
}

impl Given {
    /// Reads and checks what is given. Faults name the field, as those of [`Entry::parse`].
    pub fn parse(json: &str) -> Result<Self> {
        let entry = match Entry::parse(json) {
            Ok(entry) => return Ok(Self::Whole(Box::new(entry))),
            // Nobody is asked for the sake of a definition that is wrong in other places too.
            Err(Error::Invalid(faults)) if faults.iter().all(|f| f.path == "token_url" && f.why == Why::Missing) => {
                Entry::read(json)?
            }
            // With an issuer the token endpoint is found: that it is not given is no fault beside the others.
            Err(Error::Invalid(mut faults)) => {
                if Entry::read(json)?.issuer.is_some() {
                    faults.retain(|fault| fault.path != "token_url" || fault.why != Why::Missing);
                }
                return Err(Error::Invalid(faults));
            }
            Err(error) => return Err(error),
        };
        match entry.issuer {
            Some(issuer) if !issuer.contains('{') && !entry.endpoint_parameters.contains_key(&Endpoint::TokenUrl) => {
                let fields = serde_json::from_str(json).map_err(Error::internal)?;
                Ok(Self::Issuer { issuer, fields })
            }
            _ => Err(Error::invalid("token_url", Why::Missing)),
        }
    }
}

impl Entry {
    /// Reads and checks a definition. Faults name the field (`userinfo.url`).
    pub fn parse(json: &str) -> Result<Self> {
        if json.len() > MOST {
            return Err(Error::TooLarge { limit: MOST as u64 });
        }
        let entry = Self::read(json)?;
        entry.check()?;
        Ok(entry)
    }

    /// Reads a definition that was checked when it was kept.
    pub fn read(json: &str) -> Result<Self> {
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json)).map_err(
            |error: serde_path_to_error::Error<serde_json::Error>| {
                let path = error.path().to_string();
                Error::invalid(if path == "." { String::new() } else { path }, meaning(&error.into_inner()))
            },
        )
    }
}

fn meaning(error: &serde_json::Error) -> Why {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    if error.is_syntax() || error.is_eof() {
        Why::Syntax { line: error.line(), column: error.column(), what: text.to_owned() }
    } else if text.starts_with("unknown field") {
        Why::Unknown
    } else if text.starts_with("missing field") {
        // The path ends at the object; its sentence names the field.
        match text.split('`').nth(1) {
            Some("slug") => Why::Malformed("an object with a slug"),
            Some("name") => Why::Malformed("an object with a name"),
            _ => Why::Missing,
        }
    } else if text.starts_with("duplicate field") {
        Why::Duplicate
    } else if text.starts_with("unknown variant") {
        Why::NotOneOf(text.split('`').skip(3).step_by(2).map(str::to_owned).collect())
    } else {
        Why::WrongType(expected(text))
    }
}

fn expected(text: &str) -> &'static str {
    let wanted = text.rsplit("expected ").next().unwrap_or_default();
    for (start, name) in [
        ("a string", "string"),
        ("a boolean", "boolean"),
        ("a sequence", "array"),
        ("a map", "object"),
        ("struct", "object"),
        ("u", "whole number"),
    ] {
        if wanted.starts_with(start) {
            return name;
        }
    }
    "value of another type"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(json: &str) -> Vec<(String, Why)> {
        match Entry::parse(json) {
            Err(Error::Invalid(faults)) => faults.into_iter().map(|fault| (fault.path, fault.why)).collect(),
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn faults_of_a_definition_name_the_field() {
        let with = |more: &str| format!(r#"{{"slug":"acme","name":"Acme","token_url":"https://a.example/t"{more}}}"#);
        assert!(Entry::parse(&with("")).is_ok());
        assert!(Entry::parse(&with(r#","authorize_url":"http://127.0.0.1:9/a""#)).is_ok());
        assert_eq!(why(&with(r#","colour":1"#))[0], ("colour".to_owned(), Why::Unknown));
        assert_eq!(why(&with(r#","rotates":"yes""#))[0], ("rotates".to_owned(), Why::WrongType("boolean")));
        assert_eq!(why(&with(r#","revoke_url":"http://a.example/r""#))[0].0, "revoke_url");
        assert_eq!(why(&with(r#","revoke_url":"https://u:p@a.example/r""#))[0].0, "revoke_url");
        assert_eq!(why(&with(r#","revoke_url":"https://{who}.a.example/r""#))[0].0, "revoke_url");
        assert_eq!(why(&with(r#","hosts":["b.example"]"#))[0].0, "token_url");
        assert_eq!(why(&with(r#","userinfo":{"url":"ftp://a","id":"/id"}"#))[0].0, "userinfo.url");
        assert_eq!(why(r#"{"slug":"A b","name":"Acme","token_url":"https://a.example/t"}"#)[0].0, "slug");
        assert_eq!(why(r#"{"slug":"acme","name":"Acme"}"#)[0], ("token_url".to_owned(), Why::Missing));
        assert!(matches!(why("{\"slug\":\n,").as_slice(), [(_, Why::Syntax { line: 2, .. })]));
    }

    #[test]
    fn every_place_of_a_definition_is_checked() {
        let with = |more: &str| format!(r#"{{"slug":"acme","name":"Acme","token_url":"https://a.example/t",{more}}}"#);
        for fine in [
            r#""issuer":"https://a.example/x","iss_in_callback":true"#,
            r#""issuer":"http://127.0.0.1:9""#,
            r#""api":{"base_url":"https://api.a.example","header":"X-Token","scheme":""}"#,
            r#""revoke_url":"https://a.example/apps/{client_id}/token","revoke":{"method":"DELETE","format":"json"}"#,
            r#""variables":{"org":{"title":"Org","pattern":"^a$"}},"default_scopes":["https://{org}/x"]"#,
            r#""errors":{"bad token":"grant"},"answer":{"refresh_expires_in":"/x~1y"}"#,
            r#""rotates":true,"retry_safe":true,"replay_grace_s":60"#,
            r#""userinfo":{"id":"/workspace_id","label":"/name"}"#,
        ] {
            Entry::parse(&with(fine)).unwrap_or_else(|error| panic!("{fine}: {error}"));
        }
        let long = "x".repeat(5000);
        for (more, path) in [
            (r#""issuer":"http://a.example""#, "issuer"),
            (r#""issuer":"https://a.example?x=1""#, "issuer"),
            (r#""issuer":"https://{who}.example""#, "issuer"),
            (r#""docs":"https://a.example/\u0000""#, "docs"),
            (r#""hosts":["a.example:443"]"#, "hosts"),
            (r#""hosts":["A.example"]"#, "hosts"),
            (r#""hosts":[".example"]"#, "hosts"),
            (r#""categories":[""]"#, "categories"),
            (r#""api":{"base_url":"ftp://a.example"}"#, "api.base_url"),
            (r#""api":{"base_url":"https://a.example?x=1"}"#, "api.base_url"),
            (r#""api":{"base_url":"https://a.example","header":"X Token"}"#, "api.header"),
            (r#""api":{"base_url":"https://a.example","header":"X-T\r\nY"}"#, "api.header"),
            (r#""api":{"base_url":"https://a.example","header":"Content-Length"}"#, "api.header"),
            (r#""api":{"base_url":"https://a.example","scheme":"Bearer x\r\n"}"#, "api.scheme"),
            (r#""authorize_params":{"state":"x"}"#, "authorize_params.state"),
            (r#""token_params":{"grant_type":"x"}"#, "token_params.grant_type"),
            (r#""refresh_params":{"a b":"x"}"#, "refresh_params.a b"),
            (r#""token_params":{"a":"x\u0000"}"#, "token_params.a"),
            (&format!(r#""token_params":{{"a":"{long}"}}"#), "token_params.a"),
            (r#""code_param":"""#, "code_param"),
            (r#""callback_params":["a b"]"#, "callback_params"),
            (r#""answer":{"expires_in":"expires_in"}"#, "answer.expires_in"),
            (r#""keep":{"x":"/a~2"}"#, "keep.x"),
            (r#""userinfo":{"url":"https://a.example/u","id":"id"}"#, "userinfo.id"),
            (r#""success":{"pointer":"ok","equals":true}"#, "success.pointer"),
            (r#""success":{"pointer":"/ok","equals":{}}"#, "success.equals"),
            (r#""errors":{"":"grant"}"#, "errors"),
            (r#""errors":{"x":"network"}"#, "errors.x"),
            (r#""scope_separator":"""#, "scope_separator"),
            (r#""scope_separator":"\n""#, "scope_separator"),
            (r#""default_scopes":["a\nb"]"#, "default_scopes"),
            (r#""default_scopes":["{who}"]"#, "default_scopes"),
            (r#""default_lifetime_s":0"#, "default_lifetime_s"),
            (r#""replay_grace_s":999999999999"#, "replay_grace_s"),
            (r#""retry_safe":true"#, "retry_safe"),
            (r#""grant_cap":0"#, "grant_cap"),
            (r#""throttle":{"requests":0,"per_s":1}"#, "throttle.requests"),
            (r#""throttle":{"requests":1,"per_s":0}"#, "throttle.per_s"),
            (r#""revoke":{"tokens":[]}"#, "revoke.tokens"),
            (r#""revoke":{"token_param":""}"#, "revoke.token_param"),
            (r#""revoke":{"method":"GET"}"#, "revoke.method"),
            (r#""variables":{"a":{"title":"A","pattern":"^a$"}}"#, "variables.a"),
            (r#""variables":{"A b":{"title":"A","pattern":"^a$"}},"default_scopes":["{A b}"]"#, "variables.A b"),
            (r#""variables":{"a":{"title":"A","pattern":"^[$"}},"default_scopes":["{a}"]"#, "variables.a.pattern"),
            (
                r#""variables":{"a":{"title":"A","pattern":"^a$","default":"b"}},"default_scopes":["{a}"]"#,
                "variables.a.default",
            ),
        ] {
            assert_eq!(why(&with(more))[0].0, path, "{more}");
        }
        let many: Vec<String> = (0..65).map(|n| format!(r#""p{n}":"x""#)).collect();
        let many = with(&format!(r#""token_params":{{{}}}"#, many.join(",")));
        assert_eq!(why(&many), [("token_params".to_owned(), Why::TooMany(64))]);
    }

    #[test]
    fn an_issuer_is_asked_only_for_a_definition_without_other_faults() {
        let issuer = r#"{"slug":"a","name":"A","issuer":"https://a.example/x"}"#;
        assert!(matches!(Given::parse(issuer), Ok(Given::Issuer { issuer, .. }) if issuer == "https://a.example/x"));
        let whole = r#"{"slug":"a","name":"A","issuer":"https://a.example","token_url":"https://a.example/t"}"#;
        assert!(matches!(Given::parse(whole), Ok(Given::Whole(_))));
        for (json, path) in [
            (r#"{"slug":"a","name":"A"}"#, "token_url"),
            (r#"{"slug":"A","name":"A","issuer":"https://a.example"}"#, "slug"),
            (r#"{"slug":"a","name":"A","issuer":"http://a.example"}"#, "issuer"),
        ] {
            match Given::parse(json) {
                Err(Error::Invalid(faults)) => {
                    assert_eq!(faults.iter().map(|f| &*f.path).collect::<Vec<_>>(), [path], "{json}");
                }
                other => panic!("{json}: {other:?}"),
            }
        }
    }
}
