//! `/metrics`, on a listener of its own: numbers for Prometheus and whoever reads its formats (OpenMetrics 1.0 text).
//!
//! Whoever reaches the listener may ask, so nothing here has a name, an id, an address or a token: every label is one of a
//! few words.

use std::{
    fmt,
    net::TcpListener,
    time::{Duration, Instant},
};

use actix_web::{
    App as Actix, HttpResponse, HttpServer,
    dev::Server,
    http::{
        Method,
        header::{self, HeaderValue},
    },
    middleware::from_fn,
    web,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};
use tokio::sync::Mutex;

use super::{
    caller::Needs,
    problem::{Failure, render},
    routes::Routes,
    scope, site,
};
use crate::{
    app::{
        App,
        metrics::{BLAMES, Counts, DeliveryResult, HandOut, Surface, sqlite_version},
    },
    domain::{Error, grant::Blame},
};

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What the database holds is counted again after so long, however often somebody asks.
const KEPT: Duration = Duration::from_secs(5);

/// The last count, and when it was made. Who comes while somebody counts waits for that count.
type LastCount = Mutex<Option<(Instant, Counts)>>;

/// A server that answers `GET /metrics` and nothing else.
pub(super) fn server(app: web::Data<App>, listener: TcpListener) -> std::io::Result<Server> {
    let last: web::Data<LastCount> = web::Data::default();
    let server = HttpServer::new(move || {
        let routes = Routes::below("").at("/metrics", [(Method::GET, Needs::Nothing, web::to(metrics))]);
        let dressed = from_fn(|request, next| render(site::dress, request, next));
        Actix::new().app_data(app.clone()).app_data(last.clone()).service(scope("", routes).wrap(dressed))
    })
    .workers(1)
    .worker_max_blocking_threads(1)
    .max_connections(64)
    .client_request_timeout(Duration::from_secs(10))
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

async fn metrics(app: web::Data<App>, last: web::Data<LastCount>) -> Result<HttpResponse, Failure> {
    let counts = {
        let mut last = last.lock().await;
        match &*last {
            Some((made, counts)) if made.elapsed() < KEPT => counts.clone(),
            _ => last.insert((Instant::now(), app.count().await?)).1.clone(),
        }
    };
    let mut registry = Registry::with_prefix("grantry");
    registry.register_collector(Box::new(Numbers(numbers(&app, counts))));
    let mut text = String::new();
    text::encode(&mut text, &registry).map_err(Error::internal)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, MEDIA_TYPE))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(text))
}

/// One metric: its name without the prefix, what it says, and its samples by labels.
#[derive(Debug)]
struct Number {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    samples: Vec<(Vec<(&'static str, &'static str)>, u64)>,
}

/// A metric that grows, by one label.
fn counter(
    name: &'static str,
    help: &'static str,
    label: &'static str,
    samples: impl IntoIterator<Item = (&'static str, u64)>,
) -> Number {
    let samples = samples.into_iter().map(|(word, value)| (vec![(label, word)], value)).collect();
    Number { name, help, kind: MetricType::Counter, samples }
}

/// A metric that goes up and down, by one label.
fn gauges(
    name: &'static str,
    help: &'static str,
    label: &'static str,
    samples: impl IntoIterator<Item = (&'static str, u64)>,
) -> Number {
    Number { kind: MetricType::Gauge, ..counter(name, help, label, samples) }
}

/// A metric that goes up and down.
fn gauge(name: &'static str, help: &'static str, value: u64) -> Number {
    Number { name, help, kind: MetricType::Gauge, samples: vec![(Vec::new(), value)] }
}

fn numbers(app: &App, counts: Counts) -> Vec<Number> {
    let seen = app.metrics();
    let requests = Surface::ALL.into_iter().flat_map(|surface| {
        let label = ("surface", surface.as_str());
        seen.requests(surface).map(move |(class, count)| (vec![label, ("status", class)], count))
    });
    vec![
        Number {
            name: "build",
            help: "The version of this server",
            kind: MetricType::Info,
            samples: vec![(vec![("version", env!("CARGO_PKG_VERSION")), ("sqlite", sqlite_version())], 1)],
        },
        gauges("connections", "Connections by state", "state", counts.connections),
        counter(
            "refreshes",
            "Refreshes by who is to blame; none: it worked",
            "blame",
            BLAMES.map(|blame| (blame.map_or("none", Blame::as_str), seen.refreshes(blame))),
        ),
        gauges(
            "refresh_queue",
            "Refreshes that are planned; due: those whose time has come; overdue: more than a minute ago",
            "state",
            [
                ("planned", counts.refreshes_scheduled),
                ("due", counts.refreshes_due),
                ("overdue", counts.refreshes_overdue),
            ],
        ),
        gauge("breakers_open", "Circuit breakers that are open", seen.breakers_open()),
        counter(
            "hand_outs",
            "Callers who asked for an access token, by what they got",
            "result",
            HandOut::ALL.map(|result| (result.as_str(), seen.hand_outs(result))),
        ),
        gauge("revocations_waiting", "Tokens that are to be revoked at their providers", counts.revocations_waiting),
        counter(
            "delivery_attempts",
            "Attempts to deliver an event to a webhook, by what came of them",
            "result",
            DeliveryResult::ALL.map(|result| (result.as_str(), seen.deliveries(result))),
        ),
        gauges(
            "deliveries",
            "Deliveries to webhooks that wait, and those that were given up",
            "state",
            [("waiting", counts.deliveries_waiting), ("dead", counts.deliveries_dead)],
        ),
        Number {
            name: "http_requests",
            help: "Requests by surface and class of the answer's status",
            kind: MetricType::Counter,
            samples: requests.collect(),
        },
        gauge(
            "writes_waiting",
            "Writes that wait for the database",
            app.writes_waiting().try_into().unwrap_or(u64::MAX),
        ),
    ]
}

#[derive(Debug)]
struct Numbers(Vec<Number>);

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        const NO_EXEMPLAR: Option<&Exemplar<[(&str, &str); 0], u64>> = None;
        for number in &self.0 {
            let mut metric = encoder.encode_descriptor(number.name, number.help, None, number.kind)?;
            for (labels, value) in &number.samples {
                let labels = labels.as_slice();
                match number.kind {
                    MetricType::Info => metric.encode_info(&labels)?,
                    MetricType::Counter => metric.encode_family(&labels)?.encode_counter(value, NO_EXEMPLAR)?,
                    _ if labels.is_empty() => metric.encode_gauge(value)?,
                    _ => metric.encode_family(&labels)?.encode_gauge(value)?,
                }
            }
        }
        Ok(())
    }
}

/// The surface that a path lies on.
pub(super) fn surface(path: &str) -> Surface {
    let first = path.trim_start_matches('/').split('/').next();
    match first {
        Some("api") => Surface::Api,
        Some("Thingworx") => Surface::Flow,
        Some("documents") => Surface::Documents,
        Some("oauth") => Surface::OAuth,
        _ => Surface::Site,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_for_the_surface_it_came_to() {
        for (path, expected) in [
            ("/api", Surface::Api),
            ("/api/users/me", Surface::Api),
            ("/apis", Surface::Site),
            ("/Thingworx/Things", Surface::Flow),
            ("/documents/api/1.2/x", Surface::Documents),
            ("/oauth/token", Surface::OAuth),
            ("/", Surface::Site),
            ("", Surface::Site),
        ] {
            assert_eq!(surface(path), expected, "{path}");
        }
    }
}
