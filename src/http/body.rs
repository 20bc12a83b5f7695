//! What comes in: bodies with a limit and a deadline, paths and queries as values.

use std::{future::Future, pin::Pin, time::Duration};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header,
    web::{Bytes, BytesMut},
};
use futures_util::StreamExt as _;
use serde_json::Value;

use super::problem::{Failure, Kind};
use crate::{
    app::document,
    domain::{Error, Noun},
};

/// The most bytes of a JSON body, where nothing else is said.
pub const MOST_JSON: usize = 1024 * 1024;
/// A body has to be here after so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// Reads a whole body of at most `most` bytes.
pub async fn read(payload: &mut Payload, most: usize) -> Result<Bytes, Failure> {
    let whole = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Kind::Broken("the request body was cut off"))?;
            if body.len() + chunk.len() > most {
                return Err(Failure::from(Error::TooLarge { limit: most as u64 }));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(DEADLINE, whole).await.map_err(|_| Failure::from(Kind::Timeout))?
}

/// Whether the body is declared to be JSON.
pub fn is_json(request: &HttpRequest) -> bool {
    media_type(request).is_some_and(|media| media == "application/json" || media.ends_with("+json"))
}

/// The media type of the body, lower case, without parameters.
pub fn media_type(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// A JSON body, read strictly (see `app/document.rs`). It must be declared as JSON.
#[derive(Debug)]
pub struct Json<const MOST: usize = MOST_JSON>(pub Value);

impl<const MOST: usize> FromRequest for Json<MOST> {
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Failure>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (declared, mut payload) = (is_json(request), payload.take());
        Box::pin(async move {
            let body = read(&mut payload, MOST).await?;
            if !declared {
                return Err(Kind::MediaType("application/json").into());
            }
            Ok(Self(document::parse(&body)?))
        })
    }
}

/// The id in a path. Whatever is no id names nothing that exists.
pub fn path_id(request: &HttpRequest, name: &str, what: Noun) -> Result<i64, Failure> {
    let text = request.match_info().get(name).unwrap_or_default();
    // One id, one way to write it: `+1` and `01` are no ids.
    let id = text.parse::<i64>().ok().filter(|id| id.to_string() == text);
    id.ok_or_else(|| Error::not_found(what, text).into())
}

/// A segment of a path, percent-decoded.
pub fn path_text(request: &HttpRequest, name: &str) -> Result<String, Failure> {
    let text = request.match_info().get(name).unwrap_or_default();
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| Error::not_found(Noun::Path, "").into())
}

/// The value of a query parameter, decoded; the first one where it is repeated.
pub fn query(request: &HttpRequest, name: &str) -> Option<String> {
    url::form_urlencoded::parse(request.query_string().as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// The values of a query parameter that may be repeated, decoded.
pub fn queries(request: &HttpRequest, name: &str) -> Vec<String> {
    url::form_urlencoded::parse(request.query_string().as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// Whether a query parameter says yes.
pub fn query_flag(request: &HttpRequest, name: &str) -> bool {
    query(request, name).is_some_and(|value| matches!(value.as_str(), "true" | "1" | ""))
}
