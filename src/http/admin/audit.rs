//! `/api/audit`: who did what, to read and to take away.

use std::borrow::Cow;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{self, Bytes},
};
use serde_json::{Value, json};

use super::result;
use crate::{
    app::{App, access::Caller, audit::MOST},
    domain::{
        Error, Faults, Why,
        audit::{Deed, Entry, Filter},
        value::check_text,
    },
    http::{
        caller::Admitted,
        problem::Failure,
        time::{Edge, day, instant, with_offset},
    },
};

/// The most characters of one part of a filter.
const MOST_TEXT: usize = 255;
/// The parts of a filter.
const FILTER: [&str; 7] = ["actor", "deed", "noun", "noun_id", "since", "until", "q"];
/// The columns of the CSV form.
const COLUMNS: [&str; 10] =
    ["id", "at", "actor", "actor_name", "deed", "noun", "noun_id", "detail", "request_id", "address"];

fn wire(entry: &Entry) -> Value {
    json!({
        "id": entry.id,
        "at": with_offset(entry.at),
        "actor": entry.actor,
        "actor_name": entry.actor_name,
        "deed": entry.deed,
        "noun": entry.noun,
        "noun_id": entry.noun_id,
        "detail": serde_json::from_str::<Value>(&entry.detail).unwrap_or(Value::Null),
        "request_id": entry.request_id,
        "address": entry.address,
    })
}

/// The parameters of a request, each known and there once: a filter that is misspelt must not mean everything.
struct Asked {
    filter: Filter,
    others: Vec<(String, String)>,
}

fn asked(request: &HttpRequest, others: &[&str]) -> Result<Asked, Failure> {
    let mut faults = Faults::default();
    let mut given: Vec<(String, String)> = Vec::new();
    for (name, value) in url::form_urlencoded::parse(request.query_string().as_bytes()).into_owned() {
        let known = FILTER.contains(&name.as_str()) || others.contains(&name.as_str());
        if !known {
            faults.add(name.chars().take(100).collect::<String>(), Why::Unknown);
        } else if given.iter().any(|(other, _)| *other == name) {
            faults.add(name, Why::Duplicate);
        } else if !value.is_empty() {
            given.push((name, value));
        }
        if given.len() + faults.iter().count() > 50 {
            break;
        }
    }
    let mut take = |name: &str| {
        let at = given.iter().position(|(given, _)| given == name)?;
        let value = given.swap_remove(at).1;
        let checked = check_text(&value, MOST_TEXT);
        faults.take(name, checked.map(|()| value))
    };
    let (actor, noun, noun_id, text) = (take("actor"), take("noun"), take("noun_id"), take("q"));
    let (deed, since, until) = (take("deed"), take("since"), take("until"));
    let deed = deed.and_then(|word| {
        let all = || Why::NotOneOf(Deed::ALL.map(|deed| deed.as_str().to_owned()).to_vec());
        faults.take("deed", Deed::parse(&word).ok_or_else(all))
    });
    const FORM: Why = Why::Malformed("a day such as 2026-11-25, or a time such as 2026-11-25T08:30:00Z");
    let since = since.and_then(|text| faults.take("since", instant(&text, Edge::Beginning).ok_or(FORM)));
    let until = until.and_then(|text| faults.take("until", instant(&text, Edge::End).ok_or(FORM)));
    faults.or(())?;
    Ok(Asked { filter: Filter { actor, deed, noun, noun_id, since, until, text }, others: given })
}

impl Asked {
    fn other(&self, name: &str) -> Option<&str> {
        self.others.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

pub(super) async fn list(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let asked = asked(&request, &["before", "limit"])?;
    let id = |text: &str| text.parse::<i64>().ok().filter(|id| *id >= 0);
    let before = asked.other("before").map(|text| id(text).ok_or(Error::invalid("before", Why::Malformed("an id"))));
    // A limit beyond ours is ours, as in dialect 1.
    let limit = asked.other("limit").and_then(|text| text.parse::<usize>().ok()).unwrap_or(MOST / 2);
    let before = before.transpose()?;
    let (items, next) = app.list_audit(&caller, asked.filter, before, limit).await?;
    Ok(result(json!({"items": items.iter().map(wire).collect::<Vec<_>>(), "next": next})))
}

#[derive(Clone, Copy)]
enum Form {
    Csv,
    Lines,
}

/// All entries that meet the filter, newest first, as they are read: CSV (RFC 4180) or a JSON object a line.
pub(super) async fn export(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let asked = asked(&request, &["format"])?;
    let (form, word, media) = match asked.other("format") {
        None | Some("csv") => (Form::Csv, "csv", "text/csv; charset=utf-8; header=present"),
        Some("jsonl") => (Form::Lines, "jsonl", "application/x-ndjson"),
        Some(_) => {
            let forms = ["csv", "jsonl"].map(str::to_owned).to_vec();
            return Err(Error::invalid("format", Why::NotOneOf(forms)).into());
        }
    };
    app.begin_audit_export(&caller, word).await?;
    let name = format!("attachment; filename=\"grantry-audit-{}.{word}\"", day(app.db().now()));
    let caller: Caller = (*caller).clone();
    let state = State { app, caller, filter: asked.filter, form, at: At::Beginning };
    // The first piece before the status: what fails at once is an error like any other.
    let Some(first) = state.next().await? else {
        return Err(Error::internal("an export without a beginning").into());
    };
    let stream = futures_util::stream::unfold(Some(first), async |piece| {
        let (bytes, state) = piece?;
        let next = match state.next().await {
            Ok(next) => next,
            // The connection is cut, so that half a trail does not look like a whole one.
            Err(error) => return Some((Err(actix_web::Error::from(Failure::from(error))), None)),
        };
        Some((Ok(bytes), next))
    });
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, media))
        .insert_header((header::CONTENT_DISPOSITION, name))
        .streaming(Box::pin(stream)))
}

/// Where an export is.
enum At {
    Beginning,
    Behind(i64),
    End,
}

struct State {
    app: web::Data<App>,
    caller: Caller,
    filter: Filter,
    form: Form,
    at: At,
}

impl State {
    /// The next piece, never an empty one, and the state behind it.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        let mut text = String::new();
        loop {
            let before = match self.at {
                At::Beginning => {
                    if matches!(self.form, Form::Csv) {
                        text.push_str(&COLUMNS.join(","));
                        text.push_str("\r\n");
                    }
                    None
                }
                At::Behind(id) => Some(id),
                At::End => return Ok(None),
            };
            let begins = matches!(self.at, At::Beginning);
            let (entries, next) = self.app.export_audit(&self.caller, &self.filter, before).await?;
            self.at = next.map_or(At::End, At::Behind);
            for entry in &entries {
                match self.form {
                    Form::Csv => row(entry, &mut text),
                    Form::Lines => text.extend([wire(entry).to_string().as_str(), "\n"]),
                }
            }
            if begins || !text.is_empty() {
                return Ok(Some((Bytes::from(text), self)));
            }
        }
    }
}

/// A record of RFC 4180.
fn row(entry: &Entry, text: &mut String) {
    let (id, at) = (entry.id.to_string(), with_offset(entry.at));
    let fields: [&str; COLUMNS.len()] = [
        &id,
        &at,
        &entry.actor,
        entry.actor_name.as_deref().unwrap_or_default(),
        &entry.deed,
        &entry.noun,
        &entry.noun_id,
        &entry.detail,
        &entry.request_id,
        &entry.address,
    ];
    for (n, value) in fields.into_iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        text.push_str(&field(value));
    }
    text.push_str("\r\n");
}

/// A field of RFC 4180 §2: in quotes where it must be. One that a spreadsheet would take for a formula gets an apostrophe
/// before it, which is how a spreadsheet is told that text is text.
fn field(value: &str) -> Cow<'_, str> {
    let formula = value.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if !formula && !value.contains(['"', ',', '\r', '\n']) {
        return Cow::Borrowed(value);
    }
    let mark = if formula { "'" } else { "" };
    Cow::Owned(format!("\"{mark}{}\"", value.replace('"', "\"\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_is_a_formula_and_none_leaves_its_quotes() {
        for (value, written) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\r\nb", "\"a\r\nb\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("=\"a\",1", "\"'=\"\"a\"\",1\""),
            ("1-1", "1-1"),
        ] {
            assert_eq!(field(value), written, "{value:?}");
        }
    }
}
