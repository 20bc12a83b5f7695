//! The one integration test binary: a file for each surface or promise. Every test starts the real program with a database
//! of its own and talks to it over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

mod support;

mod access;
mod application_credentials;
mod browser;
mod cli;
mod cli_users;
mod client_applications;
mod clock;
mod connect;
mod customers;
mod dialects;
mod due;
mod durability;
mod ending;
mod engine;
mod expiring;
mod failures;
mod flow_services;
mod hostile;
mod if_match;
mod layering;
mod live;
mod metrics;
mod oidc;
mod overview;
mod profiles;
mod provider_check;
mod providers;
mod readme;
mod refresh;
mod search;
mod simulator;
mod site;
mod tls;
mod torture;
mod webhooks;
