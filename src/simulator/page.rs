//! The pages for people: plain HTML that needs no script.

use std::fmt::Write as _;

use super::answer::Answer;

/// Nothing runs, nothing is loaded. Where forms lead is left open: they end at the client, wherever that is.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem;\
    color:#222;background:#fff}h1{font-size:1.4rem}fieldset{border:1px solid #bbb;border-radius:6px;margin:1rem 0}\
    label{display:block;padding:.25rem 0}button{font:inherit;padding:.5rem 1.25rem;border-radius:6px;\
    border:1px solid #555;background:#fff;margin-right:.5rem}#approve{background:#14532d;border-color:#14532d;\
    color:#fff}input[type=text]{font:inherit;padding:.4rem;width:12rem}code{background:#eee;padding:0 .25rem}\
    .note{color:#555;font-size:.9rem}";

/// A text as it may stand in HTML, in an attribute too.
pub(super) fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
        out
    })
}

/// A page; `title` is text, `body` is HTML.
pub(super) fn page(status: u16, title: &str, body: &str) -> Answer {
    let title = escaped(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1>\n{body}\n<p class=\"note\">This is Grantry's practice provider: its accounts and \
         tokens are made up and open nothing.</p></main></body></html>\n"
    );
    Answer::html(status, html)
        .with("Content-Security-Policy", POLICY)
        .with("X-Content-Type-Options", "nosniff")
        .with("Referrer-Policy", "no-referrer")
}

/// The choice of an account, and the two buttons. `chosen`: the account that is chosen before anybody chooses.
pub(super) fn choice(accounts: &[String], chosen: &str) -> String {
    let mut html = String::from("<fieldset><legend>Account</legend>");
    for account in accounts {
        let id = escaped(account.split('@').next().unwrap_or(account));
        let checked = if account == chosen { " checked" } else { "" };
        let account = escaped(account);
        let _ = write!(
            html,
            "<label><input type=\"radio\" name=\"account\" id=\"account-{id}\" value=\"{account}\"{checked}> \
             {account}</label>"
        );
    }
    html.push_str(
        "</fieldset><p><button id=\"approve\" name=\"decision\" value=\"approve\">Approve</button>\
         <button id=\"deny\" name=\"decision\" value=\"deny\">Deny</button></p>",
    );
    html
}

/// A list of scopes.
pub(super) fn scopes(scopes: &[String]) -> String {
    let items = scopes.iter().fold(String::new(), |mut items, scope| {
        let _ = write!(items, "<li><code>{}</code></li>", escaped(scope));
        items
    });
    if items.is_empty() { "<p>no particular scope</p>".to_owned() } else { format!("<ul>{items}</ul>") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_text() {
        assert_eq!(escaped("<a href='x'>\"&</a>"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&lt;/a&gt;");
    }
}
