//! An uploaded file on its way back: the very bytes, with what tells a client how to keep them.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderMap},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::client_application::File;

/// `attr-char` of RFC 8187 §3.2.1: what stands in `filename*` as it is.
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The file, or 304 where the caller has it already. `digest` names its bytes: two files with one digest are equal.
///
/// A `Range` is ignored, and `Accept-Ranges: none` says so (RFC 9110 §14.3).
pub fn file(request: &HttpRequest, file: File, digest: &str) -> HttpResponse {
    let tag = format!("\"{digest}\"");
    if is_known(request.headers(), &tag) {
        return HttpResponse::NotModified().insert_header((header::ETAG, tag)).finish();
    }
    HttpResponse::Ok()
        .insert_header((header::ETAG, tag))
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CONTENT_DISPOSITION, disposition(&file.name)))
        .insert_header((header::ACCEPT_RANGES, "none"))
        .body(file.data)
}

/// Whether `If-None-Match` (RFC 9110 §13.1.2) has the tag; it compares weakly.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// `Content-Disposition` (RFC 6266): the name in plain characters for old clients, and exactly where those do not do.
fn disposition(name: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ';
    let fallback: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if fallback == name {
        return format!("attachment; filename=\"{name}\"");
    }
    let exact = utf8_percent_encode(name, ATTRIBUTE);
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{exact}")
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(disposition("client config.json"), "attachment; filename=\"client config.json\"");
        assert_eq!(
            disposition("a\"; filename=x\\.json"),
            "attachment; filename=\"a_; filename=x_.json\"; filename*=UTF-8''a%22%3B%20filename%3Dx%5C.json"
        );
        assert_eq!(
            disposition("設定.json"),
            "attachment; filename=\"__.json\"; filename*=UTF-8''%E8%A8%AD%E5%AE%9A.json"
        );
    }

    #[test]
    fn a_tag_is_found_in_a_list() {
        let known = |list: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(list));
            is_known(&headers, "\"abc\"")
        };
        assert!(known("\"abc\"") && known("\"x\", W/\"abc\"") && known("*"));
        assert!(!known("\"abcd\"") && !known("abc"));
    }
}
