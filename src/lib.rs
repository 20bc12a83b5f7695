//! x
pub mod app;
pub mod domain;
pub mod oauth;
pub mod store;
