//! JSON values as XML, for the dialects that offer both.

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};
use serde_json::Value;

/// An XML document: `root` around `value`. An object's fields are child elements of their names, an array is its key's
/// element repeated, a scalar is text. Characters that XML cannot carry (XML 1.0 §2.2) become U+FFFD.
pub fn document(root: &str, value: &Value) -> String {
    let mut writer = Writer::new(Vec::new());
    let declared = writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
    // Writing to memory does not fail.
    let _ = declared.and_then(|()| element(&mut writer, root, value));
    String::from_utf8(writer.into_inner()).unwrap_or_default()
}

fn element(writer: &mut Writer<Vec<u8>>, name: &str, value: &Value) -> std::io::Result<()> {
    if let Value::Array(items) = value {
        return items.iter().try_for_each(|item| element(writer, name, item));
    }
    writer.write_event(Event::Start(BytesStart::new(name)))?;
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(key, value)| element(writer, key, value))?,
        Value::Null => {}
        Value::String(text) => writer.write_event(Event::Text(BytesText::new(&carried(text))))?,
        scalar => writer.write_event(Event::Text(BytesText::new(&scalar.to_string())))?,
    }
    writer.write_event(Event::End(BytesEnd::new(name)))
}

fn carried(text: &str) -> String {
    let odd = |c: char| (c.is_control() && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if odd(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_elements_and_nothing_in_them_does() {
        let value =
            serde_json::json!({"name": "<a> & \"b\"\u{0}", "n": 1, "none": null, "items": [{"id": "1"}, {"id": "2"}]});
        assert_eq!(
            document("list", &value),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><list><name>&lt;a&gt; &amp; &quot;b&quot;\u{fffd}</name><n>1</n>\
             <none></none><items><id>1</id></items><items><id>2</id></items></list>"
        );
    }
}
