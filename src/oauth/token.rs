//! Asking for tokens.

use std::time::Duration;

use serde_json::Value;
use url::form_urlencoded;

use super::{
    Engine,
    catalogue::Resolved,
    fields,
    wire::{Answer, Ask, Client, RawAnswer, Sent},
};
use crate::domain::{Secret, Timestamp};

/// What stands where a secret was.
const MASK: &str = "[redacted]";
/// Shorter texts than this are no secrets: they would turn up everywhere.
const LEAST: usize = 4;

impl Engine {
    /// Sends a token request, once, and follows no redirect. `deadline` is for all of it; `now` tells when the answer
    /// was here.
    ///
    /// The answer is as it came, but for one that brings no tokens: what we sent is masked in it, as some providers say
    /// which refresh token they do not like.
    pub async fn token(
        &self,
        provider: &Resolved,
        client: &Client,
        ask: &Ask,
        deadline: Duration,
        now: impl Fn() -> Timestamp,
    ) -> Sent {
        let request = provider.token_request(client, ask);
        match self.send(&request, deadline, now).await {
            Sent::Answered(mut raw) => {
                if matches!(provider.read(&raw), Answer::Refused(_)) {
                    let mut secrets = ask.secrets();
                    secrets.extend(&client.secret);
                    secrets.extend(request.authorization.as_ref().map(|(_, value)| value));
                    mask(&mut raw, &secrets);
                }
                Sent::Answered(raw)
            }
            sent => sent,
        }
    }
}

/// Masks `secrets` wherever they stand in an answer.
pub(super) fn mask(raw: &mut RawAnswer, secrets: &[&Secret]) {
    let mut needles: Vec<String> = Vec::new();
    for secret in secrets.iter().map(|secret| secret.expose()).filter(|secret| secret.len() >= LEAST) {
        // A header has a scheme in front, which is no secret.
        for part in [secret, secret.rsplit(' ').next().unwrap_or_default()] {
            if part.len() >= LEAST {
                needles.push(part.to_owned());
                needles.push(form_urlencoded::byte_serialize(part.as_bytes()).collect());
            }
        }
    }
    let body = match fields::parse_json(raw.body.expose()) {
        Some(mut value) => {
            mask_value(&mut value, &needles);
            value.to_string()
        }
        None => masked(raw.body.expose(), &needles),
    };
    raw.body = Secret::new(body);
}

fn mask_value(value: &mut Value, needles: &[String]) {
    match value {
        Value::String(text) => *text = masked(text, needles),
        Value::Array(items) => items.iter_mut().for_each(|item| mask_value(item, needles)),
        Value::Object(fields) => {
            let all = std::mem::take(fields);
            for (name, mut field) in all {
                mask_value(&mut field, needles);
                fields.insert(masked(&name, needles), field);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn masked(text: &str, needles: &[String]) -> String {
    needles.iter().fold(text.to_owned(), |text, needle| text.replace(needle, MASK))
}
