//! JSON documents that come from outside.
//!
//! Stricter than a plain parse where silence would hide a mistake: a key that stands twice in an object is a fault, and
//! every fault of form says line and column.

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::domain::{Error, Faults, Result, Secret, Why};

/// Reads a JSON text: strict UTF-8, no key twice, at most 128 levels deep, nothing behind the value.
pub fn parse(bytes: &[u8]) -> Result<Value> {
    let text = utf8(bytes)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| Error::invalid("", syntax(&error)))
}

/// The same where it holds up nobody, for documents of many megabytes.
pub async fn parse_aside(bytes: Bytes) -> Result<Value> {
    tokio::task::spawn_blocking(move || parse(&bytes)).await.map_err(Error::internal)?
}

/// The text of a document, or where it stops being UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| Error::invalid("", Why::NotUtf8 { offset: error.valid_up_to() }))
}

/// The place and the reason of a fault of form.
pub fn syntax(error: &serde_json::Error) -> Why {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    Why::Syntax { line: error.line().max(1), column: error.column().max(1), what: what.to_owned() }
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                // Not the key itself: where a value was expected it may be a secret.
                return Err(A::Error::custom("the same key stands twice in this object"));
            }
            map.insert(key, entries.next_value_seed(Strict)?);
        }
        Ok(Value::Object(map))
    }
}

/// The fields of a JSON object, read one by one; what is wrong with them is collected.
///
/// A `null` counts as absent, as clients send it for what they leave empty; [`Fields::is_null`] tells it apart.
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    prefix: &'a str,
    /// What was wrong so far.
    pub faults: Faults,
}

impl<'a> Fields<'a> {
    /// The fields of `value`, which must be an object.
    pub fn of(value: &'a Value) -> Result<Self> {
        let map = value.as_object().ok_or_else(|| Error::invalid("", Why::WrongType("object")))?;
        Ok(Self { map, prefix: "", faults: Faults::default() })
    }

    /// The fields of the object in `name`; a fault, and no fields, where there is none. `prefix` is `name.`.
    pub fn object(&mut self, name: &str, prefix: &'a str) -> Option<Self> {
        let map = self.typed(name, "object", Value::as_object)?;
        Some(Self { map, prefix, faults: Faults::default() })
    }

    /// Adds the faults of a part to those of the whole.
    pub fn join(&mut self, part: Self) {
        for fault in part.faults.into_vec() {
            self.faults.add(fault.path, fault.why);
        }
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Notes a fault of the field `name`.
    pub fn fault(&mut self, name: &str, why: Why) {
        self.faults.add(self.path(name), why);
    }

    /// The value, unless absent or null.
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is there and null.
    pub fn is_null(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(Value::is_null)
    }

    fn typed<T>(&mut self, name: &str, kind: &'static str, read: impl FnOnce(&'a Value) -> Option<T>) -> Option<T> {
        let read = read(self.value(name)?);
        if read.is_none() {
            self.fault(name, Why::WrongType(kind));
        }
        read
    }

    /// A string that may be absent.
    pub fn text(&mut self, name: &str) -> Option<&'a str> {
        self.typed(name, "string", Value::as_str)
    }

    /// A string that must be there, made into something by a rule.
    pub fn need<T>(&mut self, name: &str, rule: impl FnOnce(&'a str) -> Result<T, Why>) -> Option<T> {
        if self.value(name).is_none() {
            self.fault(name, Why::Missing);
            return None;
        }
        self.may(name, rule)
    }

    /// A string that may be absent, made into something by a rule.
    pub fn may<T>(&mut self, name: &str, rule: impl FnOnce(&'a str) -> Result<T, Why>) -> Option<T> {
        let text = self.text(name)?;
        let path = self.path(name);
        self.faults.take(&path, rule(text))
    }

    /// A whole number that may be absent; digits in a string are taken too, as forms send them.
    pub fn integer(&mut self, name: &str) -> Option<i64> {
        self.typed(name, "integer", |value| value.as_i64().or_else(|| value.as_str()?.parse().ok()))
    }

    /// A truth value that may be absent.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        self.typed(name, "boolean", Value::as_bool)
    }

    /// A list of strings that may be absent.
    pub fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        self.typed(name, "array of strings", |value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        })
    }

    /// Notes a fault for each field whose name is not in `known`.
    pub fn only(&mut self, known: &[&str]) {
        for name in self.map.keys().filter(|name| !known.contains(&name.as_str())) {
            self.faults.add(format!("{}{name}", self.prefix), Why::Unknown);
        }
    }

    /// A secret that must be there.
    pub fn need_secret(&mut self, name: &str) -> Option<Secret> {
        self.need(name, Secret::given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &[u8]) -> Why {
        match parse(text) {
            Err(Error::Invalid(faults)) => faults[0].why.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn faults_of_form_have_line_and_column() {
        let sample = b"{\n\"name\": \"My new OAuth profile\",\n\"provider\": \"hubspot\"\n\"data\": {}\n}";
        assert!(matches!(why(sample), Why::Syntax { line: 4, column: 1, .. }), "{:?}", why(sample));
        assert!(matches!(why(b""), Why::Syntax { line: 1, .. }));
        assert!(matches!(why(b"{} {}"), Why::Syntax { line: 1, column: 4, .. }));
        assert!(matches!(why(b"{\"a\":1,\n\"a\":2}"), Why::Syntax { line: 2, .. }));
        assert!(matches!(why(b"{\"n\":1e999}"), Why::Syntax { line: 1, .. }));
        assert!(matches!(why("[".repeat(10_000).as_bytes()), Why::Syntax { .. }));
        assert_eq!(why(b"{\"a\":\"\xff\"}"), Why::NotUtf8 { offset: 6 });
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let text = r#"{"b":[1,-2,1.5,true,null,"🜁\u0000"],"a":18446744073709551615}"#;
        assert_eq!(parse(text.as_bytes()).expect("fine").to_string(), text);
    }

    proptest::proptest! {
        /// Whatever comes in, the answer is a value or a fault, and the value is the one that any parser reads.
        #[test]
        fn any_bytes_are_a_value_or_a_fault(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_is_accepted_means_what_json_means(text in r#"[\[\]{}:,0-9a-c"\\ \-.eE]{0,40}"#) {
            if let Ok(value) = parse(text.as_bytes()) {
                proptest::prop_assert_eq!(serde_json::from_str::<Value>(&text).expect("valid JSON"), value);
            }
        }
    }
}
