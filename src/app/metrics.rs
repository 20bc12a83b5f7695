//! What the server counts.

use crate::domain::{Error, grant::Blame};

/// Counters.
#[derive(Debug, Default)]
pub struct Metrics {}

impl Metrics {
    /// A refresh has ended; `None`: well.
    pub fn refresh_done(&self, _: Option<Blame>) {}

    /// A token was handed out, or not.
    pub fn handed_out(&self, _: Option<&Error>) {}
}
