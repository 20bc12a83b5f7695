//! Makes what is embedded of `static/`: each file of the admin page as a browser is to get it, and the same compressed.
//!
//! The page is written for its readers and has no tools of its own: what stands in `static/` runs as it is. Here it only
//! loses what no browser needs, comments and the spaces between words that need none, so that its size is that of what it
//! does. The catalogue of providers is no part of the page; `oauth::catalogue` embeds it.

use std::{
    env,
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};
use minifier::{
    css,
    js::{self, Condition, Keyword, Operation, ReservedChar, Token, Tokens},
};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=static");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join("page");
    // A file that is gone from `static/` must not stay here.
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    embed(Path::new("static"), &out)
}

/// Takes over the files of a folder, and those of the folders in it.
fn embed(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if name == "catalogue" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            embed(&path, &to.join(name))?;
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let bare = match path.extension().and_then(|extension| extension.to_str()) {
            Some("js") => {
                js::simple_minify(&text).map(|all| all.apply(js::clean_tokens).apply(without_optional).to_string())
            }
            Some("css") => css::minify(&text).map(|bare| without_optional_css(&bare.to_string())),
            _ => Ok(text),
        };
        let bare = bare.map_err(|why| format!("{}: {why}", path.display()))?;
        fs::write(to.join(&name), &bare)?;
        // No time and no name in it: the same source makes the same program.
        let mut packed = GzBuilder::new().write(Vec::new(), Compression::best());
        packed.write_all(bare.as_bytes())?;
        let mut name = name;
        name.push(".gz");
        fs::write(to.join(name), packed.finish()?)?;
    }
    Ok(())
}

/// Leaves out the punctuation that the grammar of a script makes optional: `;` before `}`, a comma before a closing
/// bracket, the parentheses around the single parameter of an arrow function.
fn without_optional(tokens: Tokens<'_>) -> Tokens<'_> {
    use ReservedChar::{
        CloseBracket, CloseCurlyBrace, CloseParenthese, Colon, Comma, OpenBracket, OpenParenthese, SemiColon,
    };
    let tokens = tokens.0;
    let is = |at: usize, char: ReservedChar| tokens.get(at).is_some_and(|token| token.eq_char(char));
    // Whether the innermost open parenthesis belongs to a statement such as `for (…)`, whose body may be a lone `;`.
    let mut heads = Vec::new();
    let (mut ends_head, mut skipped) = (false, None);
    let mut kept: Vec<Token<'_>> = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        let ended_head = std::mem::take(&mut ends_head);
        match token.get_char() {
            Some(OpenParenthese) => {
                let before = at.checked_sub(1).and_then(|before| tokens[before].get_keyword());
                heads.push(matches!(before, Some(Keyword::For | Keyword::While | Keyword::If)));
                let begins = at.checked_sub(1).is_some_and(|before| {
                    let before = &tokens[before];
                    [OpenParenthese, Comma, Colon, OpenBracket].into_iter().any(|char| before.eq_char(char))
                        || before.eq_operation(Operation::Equal)
                });
                let arrow = is(at + 2, CloseParenthese)
                    && tokens.get(at + 3).is_some_and(|token| token.eq_operation(Operation::Equal))
                    && tokens.get(at + 4).is_some_and(|token| token.eq_condition(Condition::SuperiorThan));
                if begins && arrow && tokens[at + 1].is_other() {
                    skipped = Some(at + 2);
                    continue;
                }
            }
            Some(CloseParenthese) => {
                ends_head = heads.pop().unwrap_or(false);
                if skipped == Some(at) {
                    continue;
                }
            }
            Some(SemiColon) if is(at + 1, CloseCurlyBrace) => {
                let else_body = kept.last().is_some_and(|before| before.get_keyword() == Some(Keyword::Else));
                if !ended_head && !else_body {
                    continue;
                }
            }
            Some(Comma)
                if [CloseParenthese, CloseCurlyBrace, CloseBracket].into_iter().any(|char| is(at + 1, char)) =>
            {
                // `[,]` has one element, and `[]` none.
                if !kept.last().is_some_and(|before| before.eq_char(Comma) || before.eq_char(OpenBracket)) {
                    continue;
                }
            }
            _ => {}
        }
        kept.push(token.clone());
    }
    kept.into()
}

/// Leaves out `;` before `}` and the zero of `0.5` from a style sheet.
fn without_optional_css(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut quoted = false;
    for (at, char) in text.char_indices() {
        quoted ^= char == '"';
        let (before, after) = (bare.chars().next_back(), &text[at + char.len_utf8()..]);
        let in_number =
            before.is_some_and(|before| before.is_ascii_alphanumeric() || matches!(before, '.' | '#' | '-'));
        let optional = match char {
            ';' => after.starts_with('}'),
            '0' => !in_number && after.starts_with('.') && after[1..].starts_with(|digit: char| digit.is_ascii_digit()),
            _ => false,
        };
        if quoted || !optional {
            bare.push(char);
        }
    }
    bare
}
