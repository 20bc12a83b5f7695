//! The nouns and their rules.
//!
//! Nothing here performs I/O, reads a clock or can be serialised: whoever wants a noun on the wire writes a wire type
//! for it at the edge, so a secret cannot leave by a `derive`.

pub mod api_token;
pub mod audit;
pub mod client_application;
pub mod connection;
pub mod customer;
pub mod error;
pub mod event;
pub mod expiring;
pub mod grant;
pub mod history;
pub mod live;
pub mod overview;
pub mod profile;
pub mod provider;
pub mod proxy;
pub mod reach;
pub mod search;
pub mod second_factor;
pub mod secret;
pub mod session;
pub mod setting;
pub mod user;
pub mod value;
pub mod version;
pub mod warning;
pub mod webhook;

pub use error::{Beyond, Error, Fault, Faults, Noun, OriginChange, Outage, Rejection, Result, Use, Why};
pub use secret::Secret;
pub use value::{Name, Page, Timestamp};
