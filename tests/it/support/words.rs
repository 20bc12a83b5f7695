//! The words of the page, for tests that read it in both languages.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::LazyLock,
};

use regex_lite::{Captures, Regex};

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
    english: Regex,
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
            form.push_str(&regex_lite::escape(&text[at..whole.start()]));
            at = whole.end();
            let name = blank[1].to_owned();
            match (blank.get(2), blank.get(3)) {
                (Some(one), Some(many)) => {
                    form.push_str(&format!(
                        "(?:{}|{})",
                        regex_lite::escape(one.as_str()),
                        regex_lite::escape(many.as_str())
                    ));
                }
                _ if named.contains(&name) => form.push_str("(?:.+?)"),
                _ => form.push_str(&format!("(?P<{name}>.+?)")),
            }
            named.push(name);
        }
        letters += text.len() - at;
        form.push_str(&regex_lite::escape(&text[at..]));
        form.push('$');
        Pair { english: Regex::new(&form).unwrap(), letters, japanese: japanese[&key].clone() }
    };
    let mut pairs: Vec<Pair> = words("en").into_iter().map(pair).collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.letters));
    pairs
});

/// What may stand on the Japanese page where this stands on the English one: the same English word may have several, each
/// in its place. What is in no table (a name, an address) is the same on both. The texts of blanks are translated too.
pub fn japanese(english: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut letters = 1;
    for pair in PAIRS.iter() {
        // They come by how sure they are.
        if pair.letters < letters {
            break;
        }
        let Some(captures) = pair.english.captures(english) else { continue };
        letters = pair.letters;
        let values: HashMap<&str, String> = pair
            .english
            .capture_names()
            .flatten()
            .filter_map(|name| Some((name, japanese(captures.name(name)?.as_str()).swap_remove(0))))
            .collect();
        let text =
            BLANK.replace_all(&pair.japanese, |blank: &Captures<'_>| match (values.get(&blank[1]), blank.get(3)) {
                (_, Some(many)) => many.as_str().to_owned(),
                (Some(value), None) => value.clone(),
                (None, None) => panic!("the English text has no {{{}}}: {english}", &blank[1]),
            });
        if !found.contains(&text.to_string()) {
            found.push(text.into_owned());
        }
    }
    if found.is_empty() {
        found.push(english.to_owned());
    }
    found
}

#[test]
fn an_english_text_of_the_page_is_found_in_japanese() {
    for (english, expected) in
        [("Create", "作成"), ("Acme & sons", "Acme & sons"), ("Overview · Grantry", "概要 · Grantry")]
    {
        assert!(japanese(english).contains(&expected.to_owned()), "{english}: {:?}", japanese(english));
    }
}
