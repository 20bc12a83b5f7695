//! The parameters of a call: a JSON object, or an uploaded file.

use std::collections::BTreeMap;

use actix_multipart::{Multipart, MultipartError};
use actix_web::{
    HttpRequest,
    dev::Payload,
    error::PayloadError,
    web::{Bytes, BytesMut},
};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use super::{MISSING, Service};
use crate::{
    app::{document, load::MOST_BYTES},
    domain::{Error, Faults, Why},
    http::{
        body::{self, MOST_JSON, is_json, media_type},
        findings::shown,
        problem::{Failure, Kind},
    },
};

const FORM: &str = "multipart/form-data";
/// The part of a form that is the file.
const FILE: &str = "file";
/// What may stand around the file in a form.
const MOST_AROUND: usize = 64 * 1024;

/// A parameter of a service.
pub(super) struct Parameter {
    /// Its name as the page prints it, perhaps with spaces.
    pub printed: &'static str,
    /// Its name without spaces.
    pub plain: &'static str,
    /// Whether a call without it makes no sense.
    pub required: bool,
    /// What it is.
    pub of: Type,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// A string.
    Text,
    /// Anything: the service looks.
    Json,
}

/// What came with a call.
#[derive(Default)]
pub(super) struct Given {
    /// Values by printed name; `null` only where a parameter is not required.
    values: BTreeMap<&'static str, Value>,
    /// A file in the place of the first parameter.
    pub file: Option<Bytes>,
}

impl Given {
    /// The value of a parameter.
    pub fn value(&self, parameter: &Parameter) -> Option<&Value> {
        self.values.get(parameter.printed)
    }

    /// The text of a parameter that may be absent; `null` is a blank text.
    pub fn text(&self, parameter: &Parameter) -> Option<&str> {
        self.value(parameter).map(|value| value.as_str().unwrap_or_default())
    }
}

/// Reads what came for `service`. The faults of form are failures: they are not the deed's.
pub(super) async fn read(service: &Service, request: &HttpRequest, payload: &mut Payload) -> Result<Given, Failure> {
    let most = if service.takes_file { MOST_BYTES } else { MOST_JSON };
    if service.takes_file && media_type(request).as_deref() == Some(FORM) {
        let form = body::read(payload, most + MOST_AROUND).await?;
        return Ok(Given { file: Some(file(request, form).await?), ..Given::default() });
    }
    let bytes = body::read(payload, most).await?;
    if !bytes.is_empty() && !is_json(request) {
        let expected = if service.takes_file { "application/json or multipart/form-data" } else { "application/json" };
        return Err(Kind::MediaType(expected).into());
    }
    let value =
        if bytes.is_empty() { Value::Object(serde_json::Map::new()) } else { document::parse_aside(bytes).await? };
    assign(service, value)
}

/// The values of an object by the parameters of a service.
fn assign(service: &Service, value: Value) -> Result<Given, Failure> {
    let Value::Object(object) = value else { return Err(Error::invalid("", Why::WrongType("object")).into()) };
    let mut faults = Faults::default();
    let mut values = BTreeMap::new();
    for (name, value) in object {
        let Some(parameter) = service.parameters.iter().find(|p| p.printed == name || p.plain == name) else {
            faults.add(shown(&name), Why::Unknown);
            continue;
        };
        if parameter.of == Type::Text && !(value.is_string() || value.is_null()) {
            faults.add(parameter.printed, Why::WrongType("string"));
        }
        if values.get(parameter.printed).is_some_and(|other| *other != value) {
            faults.add(parameter.printed, Why::Differs);
        }
        values.insert(parameter.printed, value);
    }
    faults.or(())?;
    let mut missing = Faults::default();
    for parameter in service.parameters.iter().filter(|parameter| parameter.required) {
        if values.get(parameter.printed).is_none_or(Value::is_null) {
            missing.add(parameter.printed, Why::Missing);
        }
    }
    missing.or(()).map_err(|error| Failure::from(error).with(MISSING, true))?;
    Ok(Given { values, file: None })
}

/// The one file of a form.
async fn file(request: &HttpRequest, form: Bytes) -> Result<Bytes, Failure> {
    let mut parts = Multipart::new(request.headers(), stream::iter([Ok::<_, PayloadError>(form)]));
    let mut file = None;
    while let Some(part) = parts.next().await {
        let mut part = part.map_err(|error| broken(&error))?;
        match part.name() {
            Some(FILE) if file.is_none() => {}
            Some(FILE) => return Err(Error::invalid(FILE, Why::Duplicate).into()),
            other => return Err(Error::invalid(shown(other.unwrap_or_default()), Why::Unknown).into()),
        }
        let mut bytes = BytesMut::new();
        while let Some(chunk) = part.next().await {
            let chunk = chunk.map_err(|error| broken(&error))?;
            if bytes.len() + chunk.len() > MOST_BYTES {
                return Err(Error::TooLarge { limit: MOST_BYTES as u64 }.into());
            }
            bytes.extend_from_slice(&chunk);
        }
        file = Some(bytes.freeze());
    }
    file.ok_or_else(|| Failure::from(Error::invalid(FILE, Why::Missing)).with(MISSING, true))
}

fn broken(error: &MultipartError) -> Failure {
    Kind::Broken(match error {
        MultipartError::BoundaryMissing => "the form's Content-Type has no boundary",
        MultipartError::Incomplete | MultipartError::Payload(_) => "the form was cut off",
        MultipartError::Nested => "a form within a form is not taken",
        MultipartError::ContentDispositionMissing | MultipartError::ContentDispositionNameMissing => {
            "a part of the form has no name"
        }
        _ => "the form is malformed",
    })
    .into()
}
