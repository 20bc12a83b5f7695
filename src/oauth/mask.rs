//! Taking secrets out of texts that others wrote: a provider may say what it was sent, whole, cut off or encoded.

use std::collections::HashSet;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::form_urlencoded;

use super::read;

/// What stands where a secret was.
pub const MASK: &str = "••••";
/// A piece of a secret of so many bytes is enough to be masked.
const PIECE: usize = 8;
/// More than this of a text is not looked at; nobody shows as much.
const MOST: usize = 64 * 1024;

/// Knows secrets, and takes them out of texts.
pub(super) struct Mask {
    /// Every form in which a secret may come back.
    forms: Vec<String>,
    /// Every piece of them.
    pieces: HashSet<[u8; PIECE]>,
}

impl Mask {
    /// A mask for these secrets.
    pub(super) fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: Vec<String> = Vec::new();
        for secret in secrets {
            for text in [secret.to_owned(), unquoted(&Value::from(secret)), html(secret)] {
                forms.push(form_urlencoded::byte_serialize(text.as_bytes()).collect());
                forms.push(utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string());
                forms.push(text);
            }
        }
        forms.retain(|form| !form.is_empty());
        forms.sort();
        forms.dedup();
        let pieces = forms.iter().flat_map(|form| form.as_bytes().windows(PIECE));
        Self { pieces: pieces.filter_map(|piece| piece.try_into().ok()).collect(), forms }
    }

    /// The text without secrets and without pieces of them.
    pub(super) fn apply(&self, text: &str) -> String {
        let bytes = text.as_bytes();
        let mut hidden = self.whole(text);
        for (at, window) in bytes.windows(PIECE).enumerate() {
            if <&[u8; PIECE]>::try_from(window).is_ok_and(|window| self.pieces.contains(window)) {
                hidden[at..at + PIECE].fill(true);
            }
        }
        without(text, &hidden)
    }

    /// The text without whole secrets: for what we wrote ourselves.
    pub(super) fn apply_whole(&self, text: &str) -> String {
        without(text, &self.whole(text))
    }

    /// Which bytes of a text belong to a whole secret.
    fn whole(&self, text: &str) -> Vec<bool> {
        let mut hidden = vec![false; text.len()];
        for form in &self.forms {
            let mut from = 0;
            // Overlaps count: what is left of a secret beside another one is a piece of it.
            while let Some(at) = text.get(from..).and_then(|rest| rest.find(form)) {
                hidden[from + at..from + at + form.len()].fill(true);
                from = text.ceil_char_boundary(from + at + 1);
            }
        }
        hidden
    }

    /// The body of an answer without secrets, cut to `most` bytes.
    pub(super) fn body(&self, body: &str, most: usize) -> String {
        // In JSON any character may be written in another way, so that no form of a secret would be found.
        let plain = if body.contains('\\') { read::parse_json(body) } else { None };
        let text = match plain {
            Some(mut value) => {
                self.value(&mut value);
                value.to_string()
            }
            None => body.to_owned(),
        };
        cut(&self.apply(&text[..text.floor_char_boundary(MOST)]), most)
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.apply(&text[..text.floor_char_boundary(MOST)]),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                for (name, mut field) in std::mem::take(fields) {
                    self.value(&mut field);
                    fields.insert(self.apply(&name), field);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// A JSON text's inside.
fn unquoted(value: &Value) -> String {
    let text = value.to_string();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// A text with a mask in the place of each run of hidden bytes.
fn without(text: &str, hidden: &[bool]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut masked = false;
    for (at, c) in text.char_indices() {
        // A character of which one byte belongs to a secret belongs to it.
        let hide = hidden[at..at + c.len_utf8()].contains(&true);
        match (hide, masked) {
            (true, false) => shown.push_str(MASK),
            (true, true) => {}
            (false, _) => shown.push(c),
        }
        masked = hide;
    }
    shown
}

/// A text of at most `most` bytes, its end marked where it was longer.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub('…'.len_utf8());
    format!("{}…", &text[..text.floor_char_boundary(room)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_in_every_form_in_which_it_comes_back() {
        let mask = Mask::of(["PLANTED s&c/r\"t+é", "short"]);
        for (text, shown) in [
            ("is PLANTED s&c/r\"t+é good?", "is •••• good?"),
            ("PLANTED+s%26c%2Fr%22t%2B%C3%A9", "••••"),
            ("PLANTED%20s%26c%2Fr%22t%2B%C3%A9", "••••"),
            ("<b>PLANTED s&amp;c/r&quot;t+é</b>", "<b>••••</b>"),
            ("begins with PLANTED s", "begins with ••••"),
            ("in the middle: TED s&c/r", "in the middle: ••••"),
            ("too little: PLANTED", "too little: PLANTED"),
            ("a shortshorter one", "a ••••er one"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(mask.apply(text), shown);
        }
        assert_eq!(mask.apply_whole("PLANTED s is a piece, short is whole"), "PLANTED s is a piece, •••• is whole");
    }

    #[test]
    fn a_secret_is_masked_in_a_body_whose_json_writes_it_in_another_way() {
        let mask = Mask::of(["PLANTED-secret-1"]);
        let body = r#"{"error":"x","\u0050LANTED-secret-1":["\u0050LANTED\u002dsecret-1", "\n"]}"#;
        assert_eq!(mask.body(body, 2048), r#"{"error":"x","••••":["••••","\n"]}"#);
        assert_eq!(mask.body(r#"{"a": "PLANTED-secret-1"}"#, 2048), r#"{"a": "••••"}"#, "as it came");
        let long = format!("{}PLANTED-secret-1", "é".repeat(2000));
        let shown = mask.body(&long, 2048);
        assert!(shown.len() <= 2048 && shown.ends_with("é…") && !shown.contains("PLANTED"));
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_text_no_secret_is_left_in_it(secret in "[ -~é🜁]{1,40}", parts in proptest::collection::vec("[ -~é]{0,9}", 0..4)) {
            let mask = Mask::of([secret.as_str()]);
            let text = parts.join(&secret);
            let shown = mask.apply(&text);
            proptest::prop_assert!(MASK.contains(&secret) || !shown.replace(MASK, "\u{0}").contains(&secret), "{}", shown);
        }
    }
}
