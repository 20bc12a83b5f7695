//! Printing: text for people, or JSON.

use std::{
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering},
};

use comfy_table::{Table, presets};
use serde_json::Value;

/// Whether something that was printed did not arrive.
static LOST: AtomicBool = AtomicBool::new(false);

/// Whether something that was printed did not arrive: a credential that is shown once may be among it.
pub(super) fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Standard output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out {
    /// Whether everything is JSON.
    pub json: bool,
}

impl Out {
    /// One line of text. Names from outside may hold anything, so control characters are shown, not sent to the terminal.
    #[expect(clippy::unused_self, reason = "one way to print, whatever is printed")]
    pub(super) fn line(self, text: &str) {
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            // Whoever reads may have gone away; that is no error of ours.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => LOST.store(true, Ordering::Relaxed),
            _ => {}
        }
    }

    /// A JSON value.
    pub(super) fn value(self, value: &Value) {
        self.line(&serde_json::to_string_pretty(value).unwrap_or_default());
    }

    /// Names and values.
    pub(super) fn pairs(self, pairs: &[(&str, &str)]) {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        for (name, value) in pairs {
            table.add_row([(*name).to_owned(), visible(value)]);
        }
        self.line(&table.to_string());
    }

    /// A list, as JSON or as a table of these keys of its items.
    pub(super) fn list(self, items: &[Value], columns: &[(&str, &str)]) {
        if self.json {
            return self.value(&Value::Array(items.to_vec()));
        }
        if items.is_empty() {
            return self.line("none");
        }
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(columns.iter().map(|(title, _)| *title));
        for item in items {
            table.add_row(columns.iter().map(|(_, pointer)| cell(item.pointer(pointer))));
        }
        self.line(&table.to_string());
    }

    /// What was done: the value as JSON, or a sentence.
    pub(super) fn done(self, value: &Value, sentence: &str) {
        if self.json { self.value(value) } else { self.line(&visible(sentence)) }
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => visible(text),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(" "),
        Some(other) => other.to_string(),
    }
}

/// The text with control and direction-changing characters written out.
pub(super) fn visible(text: &str) -> String {
    let odd = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(odd) {
        return text.to_owned();
    }
    text.chars().fold(String::new(), |mut out, c| {
        if odd(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(visible("a\u{1b}[31mb\u{202e}c"), "a\\u{1b}[31mb\\u{202e}c");
        assert_eq!(visible("Größe 🜁"), "Größe 🜁");
    }
}
