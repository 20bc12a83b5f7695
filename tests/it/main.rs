//! The one integration test binary: a file for each surface or promise. Every test starts the real program with a database
//! of its own and talks to it over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

mod application_credentials;
mod client_applications;
mod profiles;
