//! Proactive negotiation (RFC 9110 §12).

use actix_web::http::header::{ACCEPT, ACCEPT_LANGUAGE, HeaderMap};

/// The one of `offered` that the caller likes best; the first where it says nothing, `None` where it takes none.
///
/// A more specific range goes before a wider one, and quality decides between types; equal quality, the order offered.
pub fn media_type(headers: &HeaderMap, offered: &[&'static str]) -> Option<&'static str> {
    let ranges = items(headers, &ACCEPT);
    if ranges.is_empty() {
        return offered.first().copied();
    }
    let quality = |media: &str| {
        let (main, _) = media.split_once('/').unwrap_or((media, ""));
        let rank = |range: &str| match range {
            _ if range == media => 3,
            _ if range.strip_suffix("/*") == Some(main) => 2,
            "*/*" | "*" => 1,
            _ => 0,
        };
        let best = ranges.iter().filter(|(range, _)| rank(range) > 0).max_by_key(|(range, _)| rank(range));
        best.map_or(0, |(_, quality)| *quality)
    };
    let mut best = None;
    for media in offered {
        let quality = quality(media);
        if quality > best.map_or(0, |(_, most)| most) {
            best = Some((*media, quality));
        }
    }
    best.map(|(media, _)| media)
}

/// Whether the caller prefers Japanese to English.
pub fn wants_japanese(headers: &HeaderMap) -> bool {
    let languages = items(headers, &ACCEPT_LANGUAGE);
    let quality = |language: &str| {
        let fits = |range: &str| range == language || range.starts_with(&format!("{language}-"));
        languages.iter().filter(|(range, _)| fits(range)).map(|(_, quality)| *quality).max().unwrap_or(0)
    };
    quality("ja") > quality("en")
}

/// The items of a list header in lower case, each with its quality in thousandths.
fn items(headers: &HeaderMap, name: &actix_web::http::header::HeaderName) -> Vec<(String, u32)> {
    headers
        .get_all(name)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let range = parts.next().filter(|range| !range.is_empty())?.to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1000")]
            Some((range, (quality.clamp(0.0, 1.0) * 1000.0) as u32))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn the_caller_chooses_among_what_is_offered() {
        const OFFERED: &[&str] = &["application/json", "application/xml"];
        let choose = |accept: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            media_type(&headers, OFFERED)
        };
        let (json, xml) = (Some("application/json"), Some("application/xml"));
        assert_eq!(choose(None), json);
        assert_eq!(choose(Some("*/*")), json);
        assert_eq!(choose(Some("application/xml")), xml);
        assert_eq!(choose(Some("application/json;q=0.5, application/xml")), xml);
        assert_eq!(choose(Some("application/*;q=0.9, application/json;q=0.1")), xml);
        assert_eq!(choose(Some("text/html, */*;q=0.1")), json);
        assert_eq!(choose(Some("text/html")), None);
        assert_eq!(choose(Some("application/json;q=0, application/xml;q=0")), None);
    }

    #[test]
    fn japanese_is_for_those_who_prefer_it() {
        let wants = |languages: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(languages));
            wants_japanese(&headers)
        };
        assert!(wants("ja"));
        assert!(wants("ja-JP,ja;q=0.9,en-US;q=0.8"));
        assert!(!wants("en,ja;q=0.5"));
        assert!(!wants("de"));
    }
}
