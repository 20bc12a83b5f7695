//! `/api/custom_oauth_profiles/:id/check`: a profile tried at its provider, without any user.
//!
//! ```text
//! {"result": {"verdict": "accepted|rejected|redirect_uri|unknown|unreachable|misconfigured",
//!   "findings": [{"code", "severity": "ok|warning|error", "message", "facts": [{"case", …}]}],
//!   "sent": [{"method", "url", "headers", "fields"}],
//!   "received": [{"status", "headers", "body", "trouble"}],
//!   "redirect_uri", "clock_skew_ms"}}
//! ```
//!
//! `facts` is what `message` is made of: the machine word of the sentence, and the names and numbers in it.
//!
//! `received` has an answer for each request of `sent`, in the same order; where none came `status` is null and `trouble`
//! says why. Secrets and codes are `[redacted]` in both, also where the provider repeats them. Public metadata that is fetched
//! on the way is not listed.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use super::result;
use crate::{
    app::{
        App,
        document::{self, Fields},
        provider_check::{Checked, Exchange, Finding},
    },
    domain::{Noun, Why},
    http::{
        body::{self, MOST_JSON, is_json, path_id},
        caller::Admitted,
        findings::{facts, sentence},
        problem::{Failure, Kind},
        time::whole_seconds,
    },
};

/// More variables than these no provider has.
const MOST_VARIABLES: usize = 64;

pub(super) async fn check(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let id = path_id(&request, "id", Noun::Profile)?;
    let body = body::read(&mut payload.into_inner(), MOST_JSON).await?;
    let variables = if body.is_empty() {
        BTreeMap::new()
    } else if is_json(&request) {
        variables(&document::parse(&body)?)?
    } else {
        return Err(Kind::MediaType("application/json").into());
    };
    let checked = app.check_profile(&caller, id, variables).await?;
    Ok(result(wire(&checked)))
}

fn variables(body: &Value) -> Result<BTreeMap<String, String>, Failure> {
    let mut fields = Fields::of(body)?;
    fields.only(&["variables"]);
    let mut variables = BTreeMap::new();
    match fields.value("variables") {
        None => {}
        Some(Value::Object(given)) if given.len() > MOST_VARIABLES => {
            fields.fault("variables", Why::TooMany(MOST_VARIABLES));
        }
        Some(Value::Object(given)) => {
            for (name, value) in given {
                match value {
                    Value::String(text) => drop(variables.insert(name.clone(), text.clone())),
                    Value::Number(number) => drop(variables.insert(name.clone(), number.to_string())),
                    _ => fields.fault(&format!("variables.{name}"), Why::WrongType("string")),
                }
            }
        }
        Some(_) => fields.fault("variables", Why::WrongType("object")),
    }
    Ok(fields.faults.or(variables)?)
}

fn wire(checked: &Checked) -> Value {
    json!({
        "verdict": checked.verdict.as_str(),
        "findings": checked.findings.iter().map(finding).collect::<Vec<_>>(),
        "sent": checked.exchanges.iter().map(sent).collect::<Vec<_>>(),
        "received": checked.exchanges.iter().map(received).collect::<Vec<_>>(),
        "redirect_uri": checked.redirect_uri,
        "clock_skew_ms": checked.skew_ms,
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "code": finding.code(),
        "severity": finding.severity().as_str(),
        "message": sentence(finding),
        "facts": [facts(finding)],
    })
}

fn sent(exchange: &Exchange) -> Value {
    let sent = &exchange.sent;
    let mut headers = Map::new();
    if let Some(authorization) = &sent.authorization {
        headers.insert("authorization".to_owned(), authorization.as_str().into());
    }
    let fields: Map<String, Value> =
        sent.fields.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    json!({"method": sent.method, "url": sent.url, "headers": headers, "fields": fields})
}

fn received(exchange: &Exchange) -> Value {
    let received = &exchange.received;
    let mut headers = Map::new();
    if let Some(content_type) = &received.content_type {
        headers.insert("content-type".to_owned(), content_type.as_str().into());
    }
    if let Some(date) = received.date {
        headers.insert("date".to_owned(), whole_seconds(date).into());
    }
    let (status, body) = (received.status, received.body.as_str());
    json!({"status": status, "headers": headers, "body": body, "trouble": received.trouble})
}
