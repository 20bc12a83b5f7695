//! The second factor of a user (RFC 6238): a code from a device that the user has, beside the password.

/// Why a second factor cannot be changed as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is none, not even begun.
    Absent,
    /// Begun, and not confirmed by a code: nobody is asked for it.
    Pending,
    /// A log-in asks for a code.
    On,
}

/// How many recovery codes come with a second factor.
pub const RECOVERY_CODES: usize = 8;
