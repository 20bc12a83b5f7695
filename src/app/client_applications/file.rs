//! The rules of an application's configuration file.
//!
//! One pass over the text, which may be ten megabytes: what the rules are not about is skipped without being built, and
//! nothing in it is ever run or fetched (`evaluate` is JavaScript, `invoke.url` a template).

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{
    app::document::syntax,
    domain::{Error, Faults, Result, Why},
};

/// Checks a file: an object, or an array of objects, each with `id`, `name` and `actions`.
pub(super) fn check(data: &[u8]) -> Result<()> {
    let text =
        std::str::from_utf8(data).map_err(|error| Error::invalid("$", Why::NotUtf8 { offset: error.valid_up_to() }))?;
    let mut faults = Faults::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let walk = Walk { shape: &Shape::File, path: "$".to_owned(), faults: &mut faults };
    walk.deserialize(&mut reader).and_then(|_| reader.end()).map_err(|error| Error::invalid("$", syntax(&error)))?;
    faults.or(())
}

/// What may stand at a place.
enum Shape {
    /// An object of these fields, or an array of such objects.
    File,
    /// A text that is not empty.
    Text,
    /// An array with at least one item, each an object of these fields; `id` is unique among them.
    List(&'static [(&'static str, Shape)]),
    /// An object with these fields.
    Object(&'static [(&'static str, Shape)]),
}

const INVOKE: &[(&str, Shape)] = &[("method", Shape::Text), ("url", Shape::Text)];
const ACTION: &[(&str, Shape)] =
    &[("id", Shape::Text), ("name", Shape::Text), ("evaluate", Shape::Text), ("invoke", Shape::Object(INVOKE))];
const APPLICATION: &[(&str, Shape)] = &[("id", Shape::Text), ("name", Shape::Text), ("actions", Shape::List(ACTION))];

/// Walks over one value; answers the text of its `id`, or of itself.
struct Walk<'f> {
    shape: &'static Shape,
    path: String,
    faults: &'f mut Faults,
}

impl Walk<'_> {
    fn expected(&self) -> &'static str {
        match self.shape {
            Shape::File => "object or array of objects",
            Shape::Text => "string",
            Shape::List(_) => "array",
            Shape::Object(_) => "object",
        }
    }

    fn wrong(self) {
        let why = Why::WrongType(self.expected());
        self.faults.add(self.path, why);
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected())
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        match self.shape {
            Shape::Text if text.trim().is_empty() => self.faults.add(self.path, Why::Blank),
            Shape::Text => return Ok(Some(text.to_owned())),
            _ => self.wrong(),
        }
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        self.wrong();
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        self.wrong();
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        self.wrong();
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        self.wrong();
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        self.wrong();
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let item = match self.shape {
            Shape::File => &const { Shape::Object(APPLICATION) },
            Shape::List(fields) if std::ptr::eq(*fields, ACTION) => &const { Shape::Object(ACTION) },
            _ => {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                self.wrong();
                return Ok(None);
            }
        };
        let mut seen = HashSet::new();
        let mut count = 0_usize;
        loop {
            let path = format!("{}[{count}]", self.path);
            let walk = Walk { shape: item, path: path.clone(), faults: self.faults };
            let Some(id) = items.next_element_seed(walk)? else { break };
            if id.is_some_and(|id| !seen.insert(id)) {
                self.faults.add(format!("{path}.id"), Why::Duplicate);
            }
            count += 1;
        }
        if count == 0 {
            self.faults.add(self.path, Why::Blank);
        }
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let fields = match self.shape {
            Shape::File => APPLICATION,
            Shape::Object(fields) => fields,
            Shape::Text | Shape::List(_) => {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                self.wrong();
                return Ok(None);
            }
        };
        let mut seen = vec![false; fields.len()];
        let mut id = None;
        while let Some(key) = entries.next_key::<String>()? {
            let Some(n) = fields.iter().position(|(name, _)| *name == key) else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            let path = format!("{}.{key}", self.path);
            if std::mem::replace(&mut seen[n], true) {
                self.faults.add(path, Why::Duplicate);
                entries.next_value::<IgnoredAny>()?;
                continue;
            }
            let text = entries.next_value_seed(Walk { shape: &fields[n].1, path, faults: self.faults })?;
            if key == "id" {
                id = text;
            }
        }
        for (n, (name, _)) in fields.iter().enumerate() {
            if !seen[n] {
                self.faults.add(format!("{}.{name}", self.path), Why::Missing);
            }
        }
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<(String, Why)> {
        match check(text.as_bytes()) {
            Ok(()) => Vec::new(),
            Err(Error::Invalid(faults)) => faults.into_iter().map(|fault| (fault.path, fault.why)).collect(),
            Err(other) => panic!("{other:?}"),
        }
    }

    const ACTION: &str =
        r#"{"id":"a","name":"A","evaluate":"true","invoke":{"method":"GET","url":"https://x.example/{id}"}}"#;

    #[test]
    fn an_object_or_an_array_of_objects_with_actions_is_fine() {
        let one = format!(r#"{{"id":"x","name":"X","actions":[{ACTION}],"more":[[{{}}],null]}}"#);
        assert_eq!(faults(&one), []);
        assert_eq!(faults(&format!("[{one}]")), []);
        assert_eq!(
            faults(&format!(
                r#"{{"id":"x","name":"X","actions":[{ACTION}],"deep":{}1{}}}"#,
                "[".repeat(100),
                "]".repeat(100)
            )),
            []
        );
    }

    #[test]
    fn every_fault_has_its_path() {
        let two = format!(r#"[{{"id":"x","name":"","actions":[{ACTION},{ACTION}]}},{{"id":"x","actions":[]}}]"#);
        assert_eq!(
            faults(&two),
            [
                ("$[0].name".to_owned(), Why::Blank),
                ("$[0].actions[1].id".to_owned(), Why::Duplicate),
                ("$[1].actions".to_owned(), Why::Blank),
                ("$[1].name".to_owned(), Why::Missing),
                ("$[1].id".to_owned(), Why::Duplicate),
            ]
        );
        let wrong =
            r#"{"id":7,"name":"X","actions":[{"id":"a","name":"A","evaluate":true,"invoke":{"method":"GET"}}]}"#;
        assert_eq!(
            faults(wrong),
            [
                ("$.id".to_owned(), Why::WrongType("string")),
                ("$.actions[0].evaluate".to_owned(), Why::WrongType("string")),
                ("$.actions[0].invoke.url".to_owned(), Why::Missing),
            ]
        );
        assert_eq!(faults("[]"), [("$".to_owned(), Why::Blank)]);
        assert_eq!(faults("3"), [("$".to_owned(), Why::WrongType("object or array of objects"))]);
        assert!(matches!(&faults("{\n\"id\": }")[0].1, Why::Syntax { line: 2, .. }));
        assert!(matches!(&faults("{} x")[0].1, Why::Syntax { line: 1, column: 4, .. }));
        assert!(matches!(&faults(&"[".repeat(10_000))[0].1, Why::Syntax { .. }));
        assert!(
            matches!(check(b"{\"id\":\"\xff\"}"), Err(Error::Invalid(f)) if f[0].why == Why::NotUtf8 { offset: 7 })
        );
    }
}
