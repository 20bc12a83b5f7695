//! The faults of one request, and the answer that they produce.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderName, HeaderValue},
};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{
    answer::{self, Answer, Body, NEVER, mark, too_many},
    coding::{self, EchoForm},
    connection::Reset,
    context::RequestContext,
    faults::{Fault, Field, FieldValue, HeaderField, When},
    refusal::Refusal,
    state::Shared,
};

/// The faults of one request.
#[derive(Debug, Default)]
pub(super) struct Plan {
    faults: Vec<Fault>,
    /// Whether the request is not the first on its connection.
    reused: bool,
    /// Whether an error goes back to the client by the browser.
    goes_back: bool,
    /// The description of the error that repeats what was sent.
    echo: Option<String>,
}

impl Plan {
    /// The plan of a request that has these faults.
    pub(super) fn new(faults: Vec<Fault>, context: &RequestContext) -> Self {
        let echo = faults.iter().find_map(|fault| match fault {
            Fault::Echo(form, name) => Some(echo(context, *form, name.as_deref())),
            _ => None,
        });
        Self { faults, reused: context.reused, goes_back: false, echo }
    }

    /// The same for a request whose errors go back to the client by the browser (RFC 6749 §4.1.2.1).
    pub(super) fn going_back(self) -> Self {
        Self { goes_back: true, ..self }
    }

    fn has(&self, fault: &Fault) -> bool {
        self.faults.contains(fault)
    }

    /// Whether the refresh token is to be left out of the answer.
    pub(super) fn keeps_refresh_token(&self) -> bool {
        self.has(&Fault::NoRefreshToken)
    }

    /// Whether a refresh must have a scope (`true`) or must not have one (`false`); `None`: either will do.
    pub(super) fn scope_on_refresh(&self) -> Option<bool> {
        self.faults.iter().find_map(|fault| match fault {
            Fault::NeedsScope => Some(true),
            Fault::RefusesScope => Some(false),
            _ => None,
        })
    }

    /// Whether the way back names another issuer.
    pub(super) fn names_wrong_issuer(&self) -> bool {
        self.has(&Fault::WrongIss)
    }

    /// The status of the answer to a bad access token, in place of 401.
    pub(super) fn expired_status(&self) -> Option<u16> {
        self.faults.iter().find_map(|fault| if let Fault::ExpiredStatus(status) = fault { Some(*status) } else { None })
    }

    /// The parameters of the way back from an authorization in place of what it would bring.
    pub(super) fn back(&self) -> Option<Vec<(String, String)>> {
        self.faults.iter().find_map(|fault| match fault {
            Fault::Back(query) => Some(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()),
            Fault::Error(code) => Some(vec![("error".to_owned(), code.clone())]),
            Fault::Echo(..) => Some(vec![
                ("error".to_owned(), "invalid_request".to_owned()),
                ("error_description".to_owned(), self.echo.clone().unwrap_or_default()),
            ]),
            _ => None,
        })
    }

    /// What happens before the request is processed; an answer instead of that, if there is to be one.
    pub(super) async fn before(&self, shared: &Shared) -> Option<HttpResponse> {
        let like = shared.options.like;
        for fault in &self.faults {
            let answer = match fault {
                Fault::ResetReused if self.reused => {
                    let mut response = answer::dropped();
                    response.extensions_mut().insert(Reset);
                    return Some(response);
                }
                Fault::Error(_) | Fault::Echo(..) if self.goes_back => continue,
                Fault::RateLimit(seconds) => too_many(*seconds),
                Fault::Redirect(status) => Answer::empty(*status).with("Location", format!("{}/elsewhere", shared.url)),
                Fault::Error(code) => Refusal::Wanted(code.clone()).answer(like),
                Fault::InvalidClient => Refusal::BadSecret { basic: false }.answer(like),
                Fault::Echo(..) => Answer::json(400, json!({"error": "invalid_grant", "error_description": self.echo})),
                _ => match self.disturb(fault, When::Before).await {
                    Some(response) => return Some(response),
                    None => continue,
                },
            };
            return Some(self.write(&answer));
        }
        None
    }

    /// The answer to a request that has been processed.
    pub(super) async fn after(&self, shared: &Shared, mut answer: Answer) -> HttpResponse {
        self.edit(shared, &mut answer);
        for fault in &self.faults {
            if let Some(instead) = self.disturb(fault, When::After).await {
                return instead;
            }
        }
        self.write(&answer)
    }

    /// What a fault on this side of the processing does: it takes time, or answers instead.
    async fn disturb(&self, fault: &Fault, side: When) -> Option<HttpResponse> {
        match fault {
            Fault::Slow(ms, when) if *when == side => {
                tokio::time::sleep(Duration::from_millis(*ms)).await;
                None
            }
            Fault::Hang(when) if *when == side => {
                tokio::time::sleep(NEVER).await;
                Some(answer::dropped())
            }
            Fault::Drop(when) if *when == side => Some(answer::dropped()),
            Fault::Status(status, when) if *when == side => Some(self.write(&answer::page(*status))),
            Fault::Html(when) if *when == side => Some(self.write(&answer::page(200))),
            Fault::Answer { status, text, when } if *when == side => {
                Some(self.write(&Answer::text(*status, text.clone())))
            }
            Fault::Big(when) if *when == side => Some(answer::big()),
            Fault::Bomb { bare, when } if *when == side => Some(answer::bomb(*bare)),
            Fault::NeverFinish(when) if *when == side => Some(answer::unfinished()),
            _ => None,
        }
    }

    /// Changes the fields of an answer that has tokens or a device code.
    fn edit(&self, shared: &Shared, answer: &mut Answer) {
        let Answer { body: Body::Json(map), raw, .. } = answer else { return };
        let Some(fields) = token_fields(map) else { return };
        for fault in &self.faults {
            match fault {
                Fault::Set(field, value) => {
                    let name = field_name(*field, fields);
                    // It stands at the end, once.
                    fields.shift_remove(name);
                    fields.insert(name.to_owned(), mark(raw.len()));
                    raw.push(value.text());
                }
                Fault::Omit(field) => drop(fields.shift_remove(field_name(*field, fields))),
                Fault::NumericToken => {
                    let token = fields.get("access_token").and_then(Value::as_str);
                    if let Some(number) = token.and_then(|token| shared.numeric_alias(token)) {
                        fields.insert("access_token".to_owned(), number.into());
                    }
                }
                _ => {}
            }
        }
    }

    /// Writes an answer, with what the faults do to its head and body.
    pub(super) fn write(&self, answer: &Answer) -> HttpResponse {
        let mut bytes = answer.bytes();
        let mut builder = answer.builder();
        for fault in &self.faults {
            match fault {
                Fault::Header(field, text) if *field != HeaderField::Date => {
                    if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                        builder.insert_header((field.name(), value));
                    }
                }
                Fault::ManyHeaders(count) => {
                    for number in 1..=*count {
                        builder.append_header((format!("x-practice-{number}"), HeaderValue::from(number)));
                    }
                }
                Fault::Utf16 { big_endian } => {
                    bytes = coding::utf16(&String::from_utf8_lossy(&bytes), *big_endian).into();
                }
                _ => {}
            }
        }
        // A character encoding is part of what is coded.
        for fault in &self.faults {
            if let Fault::Coded { codings, bare } = fault {
                bytes = codings.iter().fold(bytes, |bytes, coding| Bytes::from(coding.encode(&bytes)));
                if !bare {
                    let names: Vec<_> = codings.iter().map(|coding| coding.token()).collect();
                    builder.insert_header((header::CONTENT_ENCODING, names.join(", ")));
                }
            }
        }
        if self.has(&Fault::Truncate) { builder.body(answer::cut(&bytes)) } else { builder.body(bytes) }
    }

    /// Sets the `Date` header field of any answer, where a fault wants that.
    pub(super) fn set_date(&self, response: &mut HttpResponse) {
        let date = self.faults.iter().find_map(|fault| match fault {
            Fault::Header(HeaderField::Date, text) => Some(text.clone()),
            Fault::Skew(seconds) => Some(from_now(*seconds).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
            _ => None,
        });
        if let Some(Ok(date)) = date.map(|date| HeaderValue::from_bytes(date.as_bytes())) {
            response.headers_mut().insert(header::DATE, date);
        }
    }
}

fn from_now(seconds: i64) -> Timestamp {
    Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// The description of an error that repeats a value of the request.
fn echo(context: &RequestContext, form: EchoForm, name: Option<&str>) -> String {
    match context.sent(name) {
        Some((name, value)) => format!("the {name} {} is unknown or expired", form.apply(value)),
        None => format!("there is no {} to repeat", name.unwrap_or("credential")),
    }
}

/// The object that has the tokens or the device code.
fn token_fields(map: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    if map.contains_key("access_token") || map.contains_key("device_code") {
        return Some(map);
    }
    // Slack: tokens of a person.
    map.get_mut("authed_user")?.as_object_mut().filter(|user| user.contains_key("access_token"))
}

/// The name of a field in this answer.
fn field_name(field: Field, fields: &Map<String, Value>) -> &'static str {
    match field {
        Field::ExpiresIn => "expires_in",
        Field::ExpiresAt => "expires_at",
        Field::RefreshExpiresIn => {
            let names = ["x_refresh_token_expires_in", "refresh_token_expires_in"];
            names.into_iter().find(|name| fields.contains_key(*name)).unwrap_or("refresh_expires_in")
        }
        Field::Scope => "scope",
        Field::TokenType => "token_type",
        Field::Interval => "interval",
    }
}

impl FieldValue {
    /// The JSON text.
    fn text(&self) -> String {
        match self {
            Self::Json(text) => text.clone(),
            Self::UnixTime(seconds) => from_now(*seconds).as_second().to_string(),
            Self::Rfc3339(seconds) => {
                let second = Timestamp::from_second(from_now(*seconds).as_second()).unwrap_or(Timestamp::MAX);
                Value::from(second.to_string()).to_string()
            }
        }
    }
}

impl HeaderField {
    fn name(self) -> HeaderName {
        match self {
            Self::ContentType => header::CONTENT_TYPE,
            Self::Date => header::DATE,
            Self::RetryAfter => header::RETRY_AFTER,
            Self::WwwAuthenticate => header::WWW_AUTHENTICATE,
        }
    }
}
