//! x
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod oauth;
pub mod store;
