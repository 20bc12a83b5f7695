//! Programs that use Grantry: a name, a configuration file, credentials.

use super::{
    reach::Reach,
    user::Scopes,
    value::{Name, Timestamp},
};

/// A client application.
#[derive(Debug, Clone)]
pub struct ClientApplication {
    /// 32 upper-case hexadecimal digits; its client id too (RFC 6749 §2.2).
    pub id: String,
    /// Unique without regard to case.
    pub name: Name,
    /// Whether it may do anything at all.
    pub enabled: bool,
    /// The name that the uploaded file came with.
    pub file_name: String,
    /// What its access tokens may do, at most.
    pub scopes: Scopes,
    /// Which connections its access tokens may see and use.
    pub reach: Reach,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its file or flag was last changed.
    pub modified_at: Timestamp,
}

/// The configuration file of an application, byte for byte as it was uploaded.
#[derive(Debug, Clone)]
pub struct File {
    /// The name it came with.
    pub name: String,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// What is known of a secret of an application: all but the secret, of which only the Argon2id hash is kept.
#[derive(Debug, Clone)]
pub struct IssuedSecret {
    /// From 1.
    pub id: i64,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it last fetched a token, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// An application has at most so many live secrets: the one in use, and the next one while programs change over.
pub const MOST_SECRETS: usize = 2;
