//! Values that must not be seen.

use secrecy::{ExposeSecret, SecretString};

use super::error::Why;

/// A secret: it prints as `[redacted]`, is zeroed when dropped, and has neither `PartialEq` nor `Display`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The longest secret that is taken, in bytes: hashing costs time, and nobody's secret is longer.
    pub const MOST: usize = 1024;

    /// Wraps text that is known to be fine: generated, or read back from where it was checked.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// Checks text from outside: not blank, at most [`Self::MOST`] bytes, no control characters.
    pub fn given(text: impl Into<String>) -> Result<Self, Why> {
        let secret = Self::new(text);
        let text = secret.expose();
        if text.trim().is_empty() {
            Err(Why::Blank)
        } else if text.len() > Self::MOST {
            Err(Why::TooLong(Self::MOST))
        } else if text.chars().any(char::is_control) {
            Err(Why::ControlCharacter)
        } else {
            Ok(secret)
        }
    }

    /// The text itself. Every use of this is a place to look at twice.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("PLANTED_in_debug")), "[redacted]");
    }

    #[test]
    fn secrets_from_outside_are_bounded() {
        assert!(matches!(Secret::given(" "), Err(Why::Blank)));
        assert!(matches!(Secret::given("x".repeat(1025)), Err(Why::TooLong(1024))));
        assert!(matches!(Secret::given("a\nb"), Err(Why::ControlCharacter)));
        assert!(Secret::given("x".repeat(1024)).is_ok());
    }
}
