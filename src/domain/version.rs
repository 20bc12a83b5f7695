//! Which version of a thing a change is meant for (RFC 9110 §13.1.1): whoever looked at it before somebody else changed it
//! is told, and overwrites nothing unseen.

use super::{Error, Noun, Result, Timestamp};

/// The versions that a change is meant for, by when each was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expected(pub Option<Vec<Timestamp>>);

impl Expected {
    /// Turns down a change that is meant for another version than the one that is there. Without a version every one will
    /// do.
    pub fn check(&self, what: Noun, updated_at: Timestamp) -> Result<()> {
        match &self.0 {
            Some(versions) if !versions.contains(&updated_at) => Err(Error::Changed { what }),
            _ => Ok(()),
        }
    }
}
