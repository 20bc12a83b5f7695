//! Reading a definition: JSON to [`Entry`], with faults that name the field.

use super::Entry;
use crate::domain::{Error, Result, Why};

/// The most bytes of a definition.
pub(super) const MOST: usize = 64 * 1024;

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
}
