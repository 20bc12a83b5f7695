//! The words of the page, for tests that read it in both languages.

use std::{collections::BTreeMap, path::Path, sync::LazyLock};

use regex_lite::{Regex, escape};

/// The words of a language by view and word, such as `profiles.title`.
pub type Words = BTreeMap<String, String>;

/// Of a table of the page: `export default {…};` around what would be JSON, were there quotes around each key; a key
/// begins a line.
pub fn words(language: &str) -> Words {
    static KEY: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?m)^(\w+): ").unwrap());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("static/lang/{language}.js"));
    let text = KEY.replace_all(&std::fs::read_to_string(file).unwrap(), "\"$1\": ").into_owned();
    let json = text.trim().strip_prefix("export default ").and_then(|text| text.strip_suffix(';'));
    let views: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(json.expect("JSON inside")).unwrap();
    let words = |(view, words): (String, BTreeMap<String, String>)| {
        words.into_iter().map(move |(word, text)| (format!("{view}.{word}"), text))
    };
    views.into_iter().flat_map(words).collect()
}

/// `{name}`, or `{n|item|items}`, in a text of a table.
static BLANK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{(\w+)(?:\|([^|{}]*)\|([^|{}]*))?\}").unwrap());

/// An English text of the table as it may stand on the page, and the Japanese one.
struct Pair {
    text: String,
    form: Regex,
    /// How many letters of it are no blanks: the more, the surer.
    letters: usize,
    japanese: String,
}

static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let japanese = words("ja");
    let pair = |(key, text): (String, String)| {
        let (mut form, mut letters, mut at) = ("^".to_owned(), 0, 0);
        let mut named = Vec::new();
        for blank in BLANK.captures_iter(&text) {
            let whole = blank.get(0).unwrap();
            letters += whole.start() - at;
            form.push_str(&escape(&text[at..whole.start()]));
            at = whole.end();
            let name = blank[1].to_owned();
            let part = match (blank.get(2), blank.get(3)) {
                (Some(one), Some(many)) => format!("(?:{}|{})", escape(one.as_str()), escape(many.as_str())),
                _ if named.contains(&name) => "(?:.+?)".to_owned(),
                _ => format!("(?P<{name}>.+?)"),
            };
            form.push_str(&part);
            named.push(name);
        }
        letters += text.len() - at;
        form.push_str(&escape(&text[at..]));
        form.push('$');
        let form = Regex::new(&form).unwrap();
        Pair { text, form, letters, japanese: japanese[&key].clone() }
    };
    let mut pairs: Vec<Pair> = words("en").into_iter().map(pair).collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.letters));
    pairs
});

/// What may stand on the Japanese page where this stands on the English one, as regular expressions: the same English word
/// may have several others, each in its place. Of a part of a text it is the whole; what is in no table (a name, an address)
/// is the same in both.
pub fn japanese(english: &str) -> Vec<String> {
    let mut found = whole(english);
    if found.is_empty() {
        let part = PAIRS.iter().filter(|pair| pair.text.contains(english));
        found.extend(part.map(|pair| filled(&pair.japanese, |_| None)));
    }
    if found.is_empty() {
        found.push(escape(english));
    }
    found
}

/// The same where it is a whole text; else nothing.
fn whole(english: &str) -> Vec<String> {
    let sure = |pair: &&Pair| pair.letters > 0 && pair.form.is_match(english);
    let most = PAIRS.iter().find(sure).map_or(0, |pair| pair.letters);
    let forms = PAIRS.iter().filter(|pair| pair.letters == most && sure(pair)).map(|pair| {
        let captures = pair.form.captures(english).unwrap();
        filled(&pair.japanese, |name| {
            let value = captures.name(name)?.as_str();
            let values = whole(value);
            Some(if values.is_empty() { escape(value) } else { format!("(?:{})", values.join("|")) })
        })
    });
    let mut forms: Vec<String> = forms.collect();
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// A text of the table as a regular expression, the blanks filled in as far as it is known with what.
fn filled(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let (mut form, mut at) = (String::new(), 0);
    for blank in BLANK.captures_iter(text) {
        let whole = blank.get(0).unwrap();
        form.push_str(&escape(&text[at..whole.start()]));
        at = whole.end();
        let part = blank.get(3).map(|many| escape(many.as_str())).or_else(|| value(&blank[1]));
        form.push_str(part.as_deref().unwrap_or("[^]+?"));
    }
    form.push_str(&escape(&text[at..]));
    form
}

#[test]
fn an_english_text_of_the_page_is_found_in_japanese() {
    for (english, expected) in [
        ("Create", "作成"),
        ("Acme Ltd", "Acme Ltd"),
        ("Overview · Grantry", "(?:概要) · Grantry"),
        ("12 entries in all", "全 12 件"),
        ("the address is mistyped", "アドレスが間違っている可能性があります。"),
    ] {
        assert!(japanese(english).contains(&expected.to_owned()), "{english}: {:?}", japanese(english));
    }
}
