//! The one integration test binary: a file for each surface or promise. Every test starts the real program with a database
//! of its own and talks to it over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

mod support;

mod access;
mod api_v1;
mod application_credentials;
mod audit;
mod backups;
mod browser;
mod cli;
mod cli_users;
mod client_applications;
mod clock;
mod connect;
mod customers;
mod device;
mod dialects;
mod doctor;
mod due;
mod durability;
mod ending;
mod engine;
mod entries;
mod exchange;
mod expiring;
mod failures;
mod flow_services;
mod grants;
mod hostile;
mod if_match;
mod inputs;
mod keys;
mod layering;
mod leaks;
mod live;
mod metrics;
mod migrations;
mod oauth_links;
mod oidc;
mod origins;
mod overview;
mod profiles;
mod provider_check;
mod providers;
mod proxy;
mod reach;
mod readme;
mod redaction;
mod refresh;
mod registration;
mod search;
mod second_factor;
mod sessions;
mod settings;
mod simulator;
mod site;
mod tls;
mod tokens;
mod torture;
mod transport;
mod webhooks;
