//! The surfaces: parse, call one use case, dress the answer. No rule lives here.

pub mod accept;
pub mod admin;
pub mod api;
pub mod body;
pub mod caller;
pub mod condition;
mod connect;
pub mod download;
pub mod findings;
pub mod metrics;
pub mod oracle;
pub mod problem;
pub mod proxy;
pub mod render;
pub mod routes;
pub mod security;
pub mod site;
mod tar;
pub mod thingworx;
pub mod time;
pub mod tls;
pub mod token_endpoint;
pub mod warnings;
pub mod workato;
pub mod xml;

use std::{
    net::TcpListener,
    sync::{Arc, Weak},
    time::Duration,
};

use actix_web::{App as Actix, HttpServer, Scope, dev::ServerHandle, middleware::from_fn, web};

use crate::{app::App, domain::value::Network};
use problem::{Dress, no_route, render as render_failures};
use routes::{RouteInfo, Routes};

/// What the surfaces need to know of the configuration.
#[derive(Debug)]
pub struct Surface {
    /// Where clients find this server, without a slash at the end.
    pub public_url: String,
    /// Whether that is https: cookies then say so.
    pub secure: bool,
    /// Networks whose `X-Forwarded-*` headers count.
    pub trusted_proxies: Vec<Network>,
    /// The rate limit of the profile calls.
    pub profile_limit: workato::limit::ProfileLimit,
}

/// All routes of all surfaces.
pub fn all_routes() -> Vec<RouteInfo> {
    surfaces().into_iter().flat_map(|(_, _, routes)| routes.list().to_vec()).collect()
}

/// Each surface: its prefix, its dress, its routes. The first prefix that fits counts, so the longer one comes first.
fn surfaces() -> Vec<(&'static str, Dress, Routes)> {
    vec![
        (api::PREFIX, render::problem, api::routes()),
        ("/api", workato::dress, admin::routes(workato::routes())),
        ("/Thingworx", thingworx::dress, thingworx::routes()),
        ("/documents/api/1.2", oracle::dress, oracle::routes()),
        ("/oauth", token_endpoint::dress, token_endpoint::routes()),
        ("/proxy", proxy::dress, proxy::routes()),
        ("", site::dress, site::routes()),
    ]
}

fn scope(prefix: &'static str, routes: Routes) -> Scope {
    routes.into_resources().into_iter().fold(web::scope(prefix), Scope::service).default_service(web::to(no_route))
}

/// Runs a future that serves, or talks to what serves.
pub fn run<F: Future>(future: F) -> F::Output {
    actix_web::rt::System::new().block_on(future)
}

/// Lets a future run beside others, on the thread of [`run`].
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    drop(actix_web::rt::spawn(future));
}

/// Stops a server from within.
#[derive(Clone)]
pub struct Stop(ServerHandle, Weak<App>);

impl Stop {
    /// Finishes the requests under way and stops.
    pub async fn stop(&self) {
        if let Some(app) = self.1.upgrade() {
            app.live().stop();
        }
        self.0.stop(true).await;
    }
}

/// Where connections are taken.
#[derive(Debug)]
pub struct Listeners {
    /// Plain HTTP.
    pub plain: Vec<TcpListener>,
    /// TLS, and the certificate for it.
    pub tls: Option<(TcpListener, rustls::ServerConfig)>,
    /// For `/metrics` and nothing else.
    pub metrics: Option<TcpListener>,
}

/// Serves until the process is told to stop (SIGINT, SIGTERM), then finishes the requests under way.
///
/// `ready` is called once connections are taken, with what stops the server from within.
pub async fn serve(
    app: Arc<App>,
    surface: Surface,
    listeners: Listeners,
    workers: usize,
    stop_within: Duration,
    ready: impl FnOnce(Stop),
) -> std::io::Result<()> {
    let listened = Arc::downgrade(&app);
    let app = web::Data::from(app);
    let surface = web::Data::new(surface);
    let metrics = listeners.metrics.map(|listener| metrics::server(app.clone(), listener)).transpose()?;
    let mut server = HttpServer::new(move || {
        let mut actix = Actix::new().app_data(app.clone()).app_data(surface.clone()).wrap(from_fn(security::frame));
        for (prefix, dress, routes) in surfaces() {
            let dressed = from_fn(move |request, next| render_failures(dress, request, next));
            actix = actix.service(scope(prefix, routes).wrap(dressed));
        }
        actix
    })
    .workers(workers)
    .worker_max_blocking_threads(4)
    .client_request_timeout(Duration::from_secs(10))
    // Who closes a connection has gone: what was done for that one alone is not done to the end.
    .h1_allow_half_closed(false)
    .shutdown_timeout(stop_within.as_secs());
    for listener in listeners.plain {
        server = server.listen(listener)?;
    }
    if let Some((listener, config)) = listeners.tls {
        server = server.listen_rustls_0_23(listener, config)?;
    }
    let server = server.run();
    let watched = metrics.map(|metrics| {
        let handle = metrics.handle();
        spawn(async move { drop(metrics.await) });
        handle
    });
    // Requests under way are waited for, and these would be under way for ever.
    let told = listened.clone();
    spawn(async move {
        told_to_stop().await;
        if let Some(app) = told.upgrade() {
            app.live().stop();
        }
    });
    ready(Stop(server.handle(), listened));
    let served = server.await;
    if let Some(metrics) = watched {
        metrics.stop(false).await;
    }
    served
}

/// Until the process is told to stop. The server itself hears of it too; both do.
async fn told_to_stop() {
    #[cfg(unix)]
    if let Ok(mut signal) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = signal.recv() => return,
            _ = tokio::signal::ctrl_c() => return,
        }
    }
    drop(tokio::signal::ctrl_c().await);
}

#[cfg(test)]
mod tests {
    use actix_web::{HttpResponse, test};

    use super::*;

    async fn panics() -> HttpResponse {
        panic!("PLANTED_in_a_panic")
    }

    #[actix_web::test]
    async fn a_panic_in_a_handler_comes_out_in_the_scopes_own_shape() {
        for (prefix, dress, routes) in surfaces() {
            let dressed = from_fn(move |request, next| render_failures(dress, request, next));
            let scope = web::scope(prefix).route("/panics", web::get().to(panics)).wrap(dressed);
            assert!(!routes.list().is_empty());
            let service = test::init_service(Actix::new().wrap(from_fn(security::frame)).service(scope)).await;
            let request = test::TestRequest::get().uri(&format!("{prefix}/panics")).to_request();
            let answer = test::try_call_service(&service, request).await;
            let answer = match answer {
                Ok(answer) => answer.into_parts().1,
                Err(error) => error.as_response_error().error_response(),
            };
            assert_eq!(answer.status(), 500, "{prefix}");
            assert!(answer.headers().contains_key("x-request-id"), "{prefix}");
            let Ok(body) = actix_web::body::to_bytes(answer.into_body()).await else { panic!("no body") };
            let body = String::from_utf8_lossy(&body).into_owned();
            assert!(!body.contains("PLANTED"), "{body}");
            let mark = match prefix {
                "/api/v1" => "\"code\":\"internal_error\"",
                "/api" => "{\"message\":\"Server error\",\"id\":\"",
                "/Thingworx" => "dataShape",
                "/documents/api/1.2" => "\"errorCode\":\"-1\"",
                "/oauth" => "{\"error\":\"server_error\"",
                "/proxy" => "{\"error\":\"internal\",\"message\":\"Server error\"",
                _ => "{\"message\":\"Server error\"",
            };
            assert!(body.contains(mark), "{prefix}: {body}");
        }
    }
}
