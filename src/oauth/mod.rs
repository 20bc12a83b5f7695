//! The OAuth client engine: HTTP out, never HTTP in.
//!
//! It knows how providers are spoken to (`catalogue`), and it alone opens connections to them. It has no database and
//! no opinion on who may ask.
//!
//! One file per thing to say: `request` writes what is sent and `transport` sends it; `read` says what an answer
//! means, out of its `fields`; `decode` and `http_date` read what HTTP itself defines; `revoke`, `account`, `device` and
//! `discovery` are the other things there are to ask; `trial` asks without any user; `forward` passes on what others ask.

pub mod account;
mod address;
pub mod catalogue;
mod decode;
pub mod device;
pub mod discovery;
mod fields;
pub mod forward;
mod http_date;
pub mod pkce;
mod post;
mod read;
pub mod redact;
mod request;
pub mod revoke;
mod token;
mod transport;
pub mod trial;
pub mod wire;

use std::{sync::OnceLock, time::Duration};

use crate::domain::{Error, Result};

/// How long a probe may take, from name resolution to the head of the answer.
const PROBE: Duration = Duration::from_secs(5);

/// How long a connection may take to come about. A request whose connection did not is known not to be sent.
const CONNECTING: Duration = Duration::from_secs(10);

/// For how long a connection waits for the next request. It lives on the runtime that opened it, so not for long.
const IDLE: Duration = Duration::from_secs(15);

/// So many connections wait for the next request to be passed on, at each host.
const IDLE_FORWARDING: usize = 8;

/// Maximum number of header fields in an answer.
const MAX_HEADER_FIELDS: usize = 256;
/// Maximum size of the header fields of an answer over HTTP/2, in bytes (RFC 9113 §6.5.2).
const MAX_HEADER_LIST_BYTES: u32 = 256 * 1024;

/// Speaks HTTP to providers.
#[derive(Debug)]
pub struct Engine {
    allow_private: bool,
    outward: OnceLock<reqwest::Client>,
    anywhere: OnceLock<reqwest::Client>,
    forwarding: OnceLock<reqwest::Client>,
    single_use: OnceLock<reqwest::Client>,
}

/// Whose address is knocked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// A provider's, as a catalogue entry or an operator says: it must lead outside.
    Provider,
    /// Our own, as the configuration says.
    Ours,
}

/// What came of knocking at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// An HTTP server answered.
    Answered {
        /// The status of its answer.
        status: u16,
        /// The values of the headers that were asked for, in that order.
        headers: Vec<Option<String>>,
    },
    /// Nobody answered, or not in HTTP: name, route, TLS or time. The text has no address but the one knocked at.
    Failed(String),
}

impl Engine {
    /// An engine that has opened nothing yet: a client, with its store of certificates, is made at first use.
    /// `allow_private`: whether providers may be at private and link-local addresses.
    pub fn new(allow_private: bool) -> Self {
        Self {
            allow_private,
            outward: OnceLock::new(),
            anywhere: OnceLock::new(),
            forwarding: OnceLock::new(),
            single_use: OnceLock::new(),
        }
    }

    fn client(&self, whose: Whose) -> Result<&reqwest::Client> {
        let guarded = whose == Whose::Provider && !self.allow_private;
        let place = if guarded { &self.outward } else { &self.anywhere };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let client = Self::builder(guarded).build().map_err(Error::internal)?;
        Ok(place.get_or_init(|| client))
    }

    /// What passes requests on. One request a connection at a time: a caller who takes nothing of an answer holds up nobody
    /// else's, as it would within one connection of HTTP/2.
    fn forwarding(&self) -> Result<&reqwest::Client> {
        if let Some(client) = self.forwarding.get() {
            return Ok(client);
        }
        let client = Self::builder(!self.allow_private).http1_only().pool_max_idle_per_host(IDLE_FORWARDING);
        let client = client.build().map_err(Error::internal)?;
        Ok(self.forwarding.get_or_init(|| client))
    }

    /// The client for requests that must not be repeated: each has a connection of its own. A server may close an idle
    /// connection at any time, and then it is unknown whether the request was processed (RFC 9110 §9.2.2).
    fn single_use(&self) -> Result<&reqwest::Client> {
        if let Some(client) = self.single_use.get() {
            return Ok(client);
        }
        let client = Self::builder(!self.allow_private).http1_only().pool_max_idle_per_host(0);
        let client = client.build().map_err(Error::internal)?;
        Ok(self.single_use.get_or_init(|| client))
    }

    /// Follows no redirect, asks no proxy of the environment's, and where it is guarded connects to no address inside.
    fn builder(guarded: bool) -> reqwest::ClientBuilder {
        // Fails when one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECTING)
            .pool_idle_timeout(IDLE)
            .http1_max_headers(MAX_HEADER_FIELDS)
            .http2_max_header_list_size(MAX_HEADER_LIST_BYTES)
            .user_agent(concat!("grantry/", env!("CARGO_PKG_VERSION")));
        if guarded { builder.dns_resolver(address::PublicOnly) } else { builder }
    }

    /// Asks for `url` with GET and `send` as headers, and tells what came back. Follows no redirect, reads no body, and
    /// asks nothing of a provider's address that leads inside.
    pub async fn probe(&self, whose: Whose, url: &str, send: &[(&str, &str)], read: &[&str]) -> Result<Reach> {
        if whose == Whose::Provider
            && let Err(why) = address::check(url, self.allow_private)
        {
            return Ok(Reach::Failed(why.to_owned()));
        }
        let mut request = self.client(whose)?.get(url);
        for (name, value) in send {
            request = request.header(*name, *value);
        }
        Ok(match transport::within_deadline(PROBE, request.send()).await {
            None => Reach::Failed("operation timed out".to_owned()),
            Some(Ok(answer)) => {
                let header = |name: &&str| answer.headers().get(*name)?.to_str().ok().map(str::to_owned);
                Reach::Answered { status: answer.status().as_u16(), headers: read.iter().map(header).collect() }
            }
            Some(Err(error)) => Reach::Failed(innermost(&error.without_url())),
        })
    }
}

/// The last cause in the chain: "connection refused" rather than "error sending request".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
