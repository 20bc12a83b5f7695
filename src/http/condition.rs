//! Entity-tags and what they are compared with (RFC 9110 §8.8.3, §13.1.1). A tag is made of when the thing was last
//! changed, which grows with each change.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, ETag, EntityTag, Header as _, IfMatch, TryIntoHeaderValue as _},
};

use super::problem::Failure;
use crate::domain::{Error, Timestamp, Why, version::Expected};

/// The header with the tag of what was last changed then.
pub fn tag(updated_at: Timestamp) -> ETag {
    ETag(EntityTag::new_strong(updated_at.0.to_string()))
}

/// Puts a tag on an answer that is made already.
pub fn set_tag(answer: &mut HttpResponse, updated_at: Timestamp) {
    if let Ok(tag) = tag(updated_at).try_into_value() {
        answer.headers_mut().insert(header::ETAG, tag);
    }
}

/// What `If-Match` expects; without it, anything. A weak tag fits nothing, and neither does one of somebody else's.
pub fn expected(request: &HttpRequest) -> Result<Expected, Failure> {
    if !request.headers().contains_key(header::IF_MATCH) {
        return Ok(Expected::default());
    }
    let malformed = |_| Error::invalid("If-Match", Why::Malformed("* or entity-tags in quotes, as ETag has them"));
    let tags = match IfMatch::parse(request).map_err(malformed)? {
        IfMatch::Any => return Ok(Expected::default()),
        IfMatch::Items(tags) => tags,
    };
    let version = |tag: &EntityTag| tag.tag().parse().ok().filter(|_| !tag.weak).map(Timestamp);
    Ok(Expected(Some(tags.iter().filter_map(version).collect())))
}
