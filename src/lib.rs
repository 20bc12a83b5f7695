//! **Grantry keeps your OAuth apps, connects accounts to them, and hands out access tokens that work: one binary, one
//! SQLite file.** This page is the architecture.
//!
//! ```text
//! schema.sql     the whole schema of a new database, commented
//! src/
//!   main.rs      three lines                                                                → cli
//!   config.rs    every setting once: flag, environment, file key, default                   → domain
//!   cli/         one file per command family; a command is a client of the HTTP API         → config app store http simulator domain
//!   domain/      NOUNS and their rules; no serde, no I/O, no clock                          → nothing
//!   oauth/       CLIENT ENGINE: HTTP out, never HTTP in; the provider catalogue             → domain
//!   store/       SQLITE, the only place with SQL; one file per noun, plural                 → domain
//!   app/         USE CASES: one method each, one transaction each, audited                  → domain oauth store
//!   http/        SURFACES: parse, call one use case, dress the answer                       → domain app
//!     workato/ thingworx oracle/    the three dialects, which never import each other
//!     token_endpoint                tokens for client applications
//!     admin/ site                   our own calls, the page
//!   simulator/   PRACTICE PROVIDER: an authorization server for tests and for trying things   → domain
//!   build.rs     what is embedded of the page: its files without comments and white space, and compressed
//! static/        the page, which runs as it stands there, and the provider catalogue
//! tests/it/      one integration test binary: a file per surface or promise
//! tests/bench/   benchmarks
//! ```
//!
//! `→` reads "may import, of ours". `domain ← oauth, store ← app ← http ← cli ← main`; a test (`tests/it/layering.rs`) holds
//! this table against the sources, external crates included: `rusqlite` only in `store`, `reqwest` only in `oauth` and in
//! the command line's client of our own API, `actix_*` only in `http` and `simulator`, `rust_embed` only in `http`,
//! `argon2` only in `app/hashing.rs`, `clap` only in `cli` and `config.rs`. A noun has the same file name in every layer: who knows the noun knows the files.
//!
//! # Invariants
//!
//! 1. Nothing in `domain` performs I/O or can be serialised; a secret cannot leave by a `derive`.
//! 2. A use case is one method of [`app::App`]; if it writes it is one transaction, with its audit entry inside. The clock
//!    is read once per transaction.
//! 3. No network call and no hashing inside a transaction: read, call, then write by compare-and-swap.
//! 4. Dialects hold no rule. What is made through one dialect is seen, changed and gone through the others.
//! 5. One error in the middle, [`domain::Error`], that carries facts and no sentences; each scope has one *dress* that turns
//!    every failure in it into its own shape. A failed request is logged there, once.
//! 6. Uniqueness and references are the database's constraints, mapped where the query is; never checked twice.
//! 7. Authorisation is an argument: a use case takes the caller, and only `app/access.rs` can make one.
//! 8. No storage traits, no service traits, no mocks of our own parts: tests use a real database file and real sockets. The
//!    one seam is the clock.
//! 9. The page and the command line are clients of the API like any other: no back door.
//! 10. A write is answered when it is on the disk, never before.

pub mod config;
pub mod domain;
pub mod oauth;
pub mod store;

pub mod app;

pub mod http;

pub mod simulator;

pub mod cli;
