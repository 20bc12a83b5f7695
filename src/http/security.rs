//! What stands around every request: its id, its span in the log, where it comes from, the headers of its answer.

use std::{net::IpAddr, time::Instant};

use actix_web::{
    HttpMessage as _, HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    web,
};
use tracing::Instrument as _;

use super::{Surface, metrics};
use crate::{app::App, domain::value::Network};

/// The header with the request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The policy of every page and every answer: nothing but our own files, no frames, no `unsafe-*`.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The id that [`frame`] gave to a request.
#[derive(Debug, Clone)]
struct RequestId(String);

/// The request's id.
pub fn request_id(request: &ServiceRequest) -> String {
    request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
}

/// The outermost middleware.
pub async fn frame<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let begun = Instant::now();
    let id = uuid::Uuid::new_v4().to_string();
    let span = tracing::info_span!(
        "request",
        id,
        method = %request.method(),
        // The pattern, not the path: a path may hold a name, a query a code.
        route = request.match_pattern().as_deref().unwrap_or("none"),
        address = %address(&request),
    );
    request.extensions_mut().insert(RequestId(id.clone()));
    let (app, part) = (request.app_data::<web::Data<App>>().cloned(), metrics::surface(request.path()));
    let done = next.call(request).instrument(span.clone()).await;
    let entered = span.enter();
    let answered = |status: u16| {
        tracing::info!(status, ms = milliseconds(begun), "answered");
        if let Some(app) = &app {
            app.metrics().request_answered(part, status);
        }
    };
    let done = match done {
        Ok(answer) => {
            let mut answer = answer.map_into_boxed_body();
            put_headers(answer.headers_mut(), &id);
            answered(answer.status().as_u16());
            Ok(answer)
        }
        Err(error) => {
            let mut answer: HttpResponse = error.as_response_error().error_response();
            put_headers(answer.headers_mut(), &id);
            answered(answer.status().as_u16());
            Err(InternalError::from_response("failed", answer).into())
        }
    };
    drop(entered);
    done
}

fn milliseconds(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn put_headers(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What depends on who asks is kept nowhere; the embedded files bring their own.
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Where a request comes from: the peer, or what the nearest proxy that is not trusted wrote down.
pub fn address(request: &ServiceRequest) -> IpAddr {
    let peer = request.peer_addr().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.ip().to_canonical());
    let Some(surface) = request.app_data::<web::Data<Surface>>() else { return peer };
    forwarded_for(peer, request.headers(), &surface.trusted_proxies)
}

fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

fn forwarded_for(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let mut nearest = peer;
    if !is_trusted(peer, trusted) {
        return nearest;
    }
    let hops: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for hop in hops.into_iter().rev() {
        let Ok(hop) = hop.trim().parse::<IpAddr>() else { break };
        nearest = hop;
        if !is_trusted(hop, trusted) {
            break;
        }
    }
    nearest
}

/// The host under which a request was sent, proxies that are trusted included.
pub fn seen_host(request: &HttpRequest) -> Option<String> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let surface = request.app_data::<web::Data<Surface>>()?;
    let forwarded = request.headers().get("x-forwarded-host").filter(|_| is_trusted(peer, &surface.trusted_proxies));
    let host = forwarded.or_else(|| request.headers().get(header::HOST));
    host.and_then(|host| host.to_str().ok())
        .map(str::to_owned)
        .or_else(|| request.uri().authority().map(ToString::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forwarded_address_counts_only_from_a_trusted_proxy() {
        let mut headers = HeaderMap::new();
        headers.insert(
            HeaderName::from_static("x-forwarded-for"),
            HeaderValue::from_static("203.0.113.9, 192.0.2.4, 10.0.0.2"),
        );
        let from = |peer: [u8; 4], trusted: &[&str]| {
            let trusted: Vec<Network> = trusted.iter().filter_map(|text| Network::parse(text)).collect();
            forwarded_for(IpAddr::from(peer), &headers, &trusted).to_string()
        };
        assert_eq!(from([10, 0, 0, 1], &[]), "10.0.0.1");
        assert_eq!(from([10, 0, 0, 1], &["10.0.0.0/8"]), "192.0.2.4");
        assert_eq!(from([10, 0, 0, 1], &["10.0.0.0/8", "192.0.2.4"]), "203.0.113.9");
    }
}
