//! Those at whom apps are registered: what the rest of the program needs to know of a catalogue entry.
//!
//! How to speak to a provider is the client engine's business (`oauth/catalogue.rs`).

use std::collections::BTreeMap;

use super::error::Why;

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// The fixed key, alias connector config name.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// Kinds of thing it is: `crm`, `mail` …
    pub categories: Vec<String>,
    /// Whether the program came with it or the operator defined it.
    pub origin: Origin,
    /// Whether a profile may carry the app's own token.
    pub takes_token: bool,
    /// The token endpoint (RFC 6749 §3.2), perhaps with `{variables}`; `None`: the profile's parameters give it.
    pub token_url: Option<String>,
    /// Which parameter of a profile gives which endpoint, where the provider has no fixed ones:
    /// `token_url` → `TOKEN_URL`.
    pub endpoint_parameters: BTreeMap<String, String>,
}

/// Where an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The catalogue that is part of the program.
    BuiltIn,
    /// Defined here by the operator; goes before the catalogue's entry of the same slug.
    Operator,
}

/// The most characters of a slug.
pub const MOST_SLUG: usize = 64;

/// Whether `slug` has the form of a key: lower-case letters, digits, `_` and `-`, beginning with a letter or digit.
pub fn check_slug(slug: &str) -> Result<(), Why> {
    if slug.is_empty() {
        return Err(Why::Blank);
    }
    if slug.len() > MOST_SLUG {
        return Err(Why::TooLong(MOST_SLUG));
    }
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if !slug.bytes().all(fine) || slug.starts_with(['_', '-']) {
        return Err(Why::Malformed("lower-case letters, digits, _ and -"));
    }
    Ok(())
}
