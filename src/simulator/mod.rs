//! The practice provider: an OAuth 2.0 authorization server that runs on this machine alone, for tests and for people
//! who want to see the whole thing work before they own an app registration anywhere.
//!
//! It speaks RFC 6749, 7009 (revocation), 7636 (proof keys, S256), 7662 (introspection), 8414 (metadata), 8628
//! (devices) and 9207 (`iss` on the way back), and it is as strict as a provider. Its accounts, clients and tokens are
//! made up and open nothing; it keeps everything in memory, within bounds (50,000 grants, 16 access tokens of each),
//! and forgets it when it ends. It must never be reachable from another machine, and it knows nothing of Grantry.
//!
//! | address | what |
//! |---|---|
//! | `/.well-known/oauth-authorization-server`, `/.well-known/openid-configuration` | metadata |
//! | `/authorize` | consent page; `login_hint=alice` chooses, `auto=1` approves at once, `auto=deny` refuses |
//! | `/token` | codes, refresh tokens, client credentials, devices; forms and JSON |
//! | `/revoke`, `/introspect`, `/device_authorization` | what their RFCs say |
//! | `/device` | the page where a device's code is typed |
//! | `/userinfo` | who is behind a token: `sub`, `email`, `name` |
//! | `/api/…` | tells what reached it; `/api/stream?chunks=&ms=`, `/api/redirect?to=`, `/api/big?mb=` |
//!
//! # The control API
//!
//! JSON in, JSON out; 400 with `error` for what is not understood.
//!
//! | call | what |
//! |---|---|
//! | `GET /control/state` | counters and grants, never a token; `?grants=false`, `?grant=ID` for less |
//! | `DELETE /control/counts` | counters back to zero |
//! | `POST /control/faults` | `{"on":…,"fault":…,"times":1,"skip":0}`; `times` `null`: every time; `fault` may be a list; `"grant":N` or `"client":"ID"`: only that one |
//! | `GET`, `DELETE /control/faults` | those that are still to come; none any more |
//! | `POST /control/clients` | `{"client_id":…,"client_secret":…,"redirect_uris":[],"auth":"any"}`: adds or changes |
//! | `POST /control/expire` | `{"grant":ID}`, or `null` for all: access tokens expire at once |
//! | `POST /control/revoke` | `{"grant":ID}`: ends as its account's owner would end it |
//! | `POST /control/hold` | `{"at":"before"}` or `"after"` the processing: requests to `/token` wait there |
//! | `POST /control/release` | they go on |
//! | `POST /control/grants` | `{"count":N}`: grants out of nothing, with their tokens |
//!
//! `on` is one of `token` (all of `/token`), `refresh`, `code`, `device`, `client_credentials` (parts of it),
//! `device_authorization`, `revoke`, `introspect`, `userinfo`, `authorize`, `api`, `discovery`, `jwks`. The first rule
//! that fits befalls a request as it arrives; a rule of several faults brings all of them. The faults are those of
//! [`WORDS`].
//!
//! Of each grant the state tells `refresh_times_ms`, when its last 1000 token requests came in (milliseconds since the
//! start; `now_ms` is the present), and `last_refresh_scope`, the scope of the last refresh, `null` where it had none.

mod answer;
mod api;
mod authorize;
mod coding;
mod combination;
mod connection;
mod context;
mod control;
mod definition;
mod faults;
mod grants;
mod like;
mod options;
mod page;
mod plan;
mod refusal;
mod request;
mod state;
mod token;
mod tokens;
mod words;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    thread::JoinHandle,
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    body::{BoxBody, MessageBody},
    dev::{Server, ServerHandle, ServiceRequest, ServiceResponse},
    http::header,
    middleware::{Next, from_fn},
    web,
};

pub use coding::{Coding, EchoForm};
pub use definition::{SLUG, definition};
pub use faults::{Fault, Field, FieldValue, HeaderField, On, Rule, When};
pub use options::{CLIENT_ID, CLIENT_SECRET, Like, Options, Rotation, Throttle, Unknown};
pub use words::{WORDS, Word, fault_help};

use answer::Answer;
use connection::{Connection, Reset};
use state::Shared;

/// The most bytes of a request, but for those to `/api`.
const MOST_BODY: usize = 64 * 1024;

/// A simulator that runs on a thread of its own, until it is stopped or dropped.
#[derive(Debug)]
pub struct Simulator {
    url: String,
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts one. When this returns, connections are taken.
    pub fn start(options: Options) -> io::Result<Self> {
        let (listener, address) = bind(options.listen)?;
        let url = url_of(address);
        let shared = web::Data::new(Shared::new(url.clone(), options)?);
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("simulator".to_owned()).spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                // Signals are for the program around it.
                let built = server(listener, shared, false);
                let running = built.map(|server| (server.handle(), server));
                match running {
                    Ok((handle, server)) => {
                        let _ = tell.send(Ok(handle));
                        let _ = server.await;
                    }
                    Err(error) => drop(tell.send(Err(error))),
                }
            });
        })?;
        let handle = told.recv().map_err(|_| io::Error::other("the simulator's thread ended at once"))??;
        Ok(Self { url, address, handle, thread: Some(thread) })
    }

    /// Its address as a URL, without a slash at the end. It is the issuer too.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it at once, whatever is under way.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The command is on its way when this returns; what it returns only tells when it is done.
            drop(self.handle.stop(false));
            let _ = thread.join();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.end();
    }
}

/// Serves until the process is told to stop (SIGINT, SIGTERM). `ready` is called with the URL once connections are
/// taken.
pub async fn serve(options: Options, ready: impl FnOnce(&str)) -> io::Result<()> {
    let (listener, address) = bind(options.listen)?;
    let url = url_of(address);
    let server = server(listener, web::Data::new(Shared::new(url.clone(), options)?), true)?;
    ready(&url);
    server.await
}

/// Takes hold of the address, which must be one that only this machine reaches.
fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    if !address.ip().is_loopback() {
        let what = format!("{address} can be reached by others: a simulator listens on loopback alone");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let listener = TcpListener::bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The URL of a simulator at an address.
pub fn url_of(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn server(listener: TcpListener, shared: web::Data<Shared>, signals: bool) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .app_data(web::PayloadConfig::new(MOST_BODY))
            .wrap(from_fn(frame))
            .configure(routes)
    })
    .on_connect(Connection::attach)
    .workers(1)
    .keep_alive(Duration::from_secs(75))
    .client_request_timeout(Duration::from_secs(10))
    .shutdown_timeout(1);
    let server = if signals { server } else { server.disable_signals() };
    Ok(server.listen(listener)?.run())
}

fn routes(config: &mut web::ServiceConfig) {
    let get = |path: &str| web::resource(path.to_owned());
    config
        .service(get("/.well-known/oauth-authorization-server").get(authorize::discovery))
        .service(get("/.well-known/openid-configuration").get(authorize::discovery))
        .service(get("/jwks").get(authorize::jwks))
        .service(get("/authorize").get(authorize::ask).post(authorize::decide))
        .service(get("/device").get(authorize::device).post(authorize::decide_device))
        .service(get("/token").post(token::token))
        .service(get("/revoke").post(token::revoke))
        .service(get("/introspect").post(token::introspect))
        .service(get("/device_authorization").post(token::device_authorization))
        .service(get("/userinfo").get(api::userinfo).post(api::userinfo))
        .service(get("/api/stream").get(api::stream))
        .service(get("/api/redirect").get(api::redirect))
        .service(get("/api/big").get(api::big))
        .service(get("/api{rest}*").default_service(web::to(api::echo)))
        .service(get("/elsewhere").default_service(web::to(api::elsewhere)))
        .service(get("/control/state").get(control::state))
        .service(get("/control/counts").delete(control::forget_counts))
        .service(
            get("/control/faults").get(control::list_faults).post(control::add_fault).delete(control::forget_faults),
        )
        .service(get("/control/clients").post(control::put_client))
        .service(get("/control/expire").post(control::expire))
        .service(get("/control/revoke").post(control::revoke))
        .service(get("/control/hold").post(control::hold))
        .service(get("/control/release").post(control::release))
        .service(get("/control/grants").post(control::make_grants));
}

/// What stands around every request: it must be meant for this machine, and it is counted.
async fn frame<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if let Some(connection) = request.conn_data::<Connection>() {
        connection.count();
    }
    // A name that somebody else's name server points here (DNS rebinding) is none of ours.
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let ours = url::Url::parse(&format!("http://{host}/")).is_ok_and(|url| match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    });
    if !ours {
        let body = serde_json::json!({"error": "this host is not ours"});
        return Ok(request.into_response(Answer::json(421, body).whole().map_into_boxed_body()));
    }
    if let Some(shared) = request.app_data::<web::Data<Shared>>() {
        let path = request.path();
        let endpoint = match path {
            _ if path.starts_with("/control/") => None,
            _ if path == "/api" || path.starts_with("/api/") => Some("/api"),
            _ if request.match_pattern().is_some() => Some(path),
            _ => Some("others"),
        };
        if let Some(endpoint) = endpoint {
            shared.state().count(endpoint);
        }
    }
    let response = next.call(request).await?;
    if response.response().extensions().get::<Reset>().is_some()
        && let Some(connection) = response.request().conn_data::<Connection>()
    {
        connection.reset();
    }
    Ok(response.map_into_boxed_body())
}
