//! The text of the credentials that we issue: `gry_<kind>_<id>_<64 hexadecimal digits><CRC-32, 8 digits>`.
//!
//! The fixed beginning lets scanners find one that leaked; the checksum turns down a mistyped one without a look at the
//! database. 256 random bits cannot be guessed, so what is kept is a plain SHA-256.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::domain::{Error, Result, Secret, api_token::TokenKind};

/// A credential that we issued, or that looks like one.
#[derive(Debug, Clone)]
pub struct Credential {
    /// What it is for.
    pub kind: TokenKind,
    /// The id of its row; 0 where it is found by its hash.
    pub id: i64,
    text: Secret,
}

impl Credential {
    /// A new one.
    pub fn generate(kind: TokenKind, id: i64) -> Result<Self> {
        let mut random = zeroize::Zeroizing::new([0_u8; 32]);
        getrandom::fill(&mut *random).map_err(Error::internal)?;
        let head = format!("gry_{}_{id}_{}", kind.as_str(), hex(&*random));
        let text = Secret::new(format!("{head}{:08x}", crc32fast::hash(head.as_bytes())));
        Ok(Self { kind, id, text })
    }

    /// Reads a text; `None` when it is none of ours.
    pub fn parse(text: &Secret) -> Option<Self> {
        let (head, sum) = text.expose().split_at_checked(text.expose().len().checked_sub(8)?)?;
        let mut parts = head.strip_prefix("gry_")?.splitn(3, '_');
        let kind = TokenKind::parse(parts.next()?)?;
        let id = parts.next()?.parse().ok()?;
        let random = parts.next()?;
        let fine = random.len() == 64 && u32::from_str_radix(sum, 16) == Ok(crc32fast::hash(head.as_bytes()));
        fine.then(|| Self { kind, id, text: text.clone() })
    }

    /// The text, to be shown once.
    pub fn text(&self) -> &Secret {
        &self.text
    }

    /// What is kept of it.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.expose().as_bytes()).into()
    }

    /// Whether `kept` was made from it; takes the same time either way.
    pub fn is(&self, kept: &[u8]) -> bool {
        self.hash().ct_eq(kept).into()
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_reads_back_and_a_changed_one_does_not() {
        let made = Credential::generate(TokenKind::Api, 7).expect("random bytes");
        let text = made.text().expose().to_owned();
        let read = Credential::parse(made.text()).expect("our own");
        assert!(read.kind == TokenKind::Api && read.id == 7 && read.is(&made.hash()));
        for (from, to) in [("gry_", "grx_"), ("_api_", "_access_"), ("_7_", "_8_")] {
            assert!(Credential::parse(&Secret::new(text.replacen(from, to, 1))).is_none(), "{from} to {to}");
        }
        for cut in 0..text.len() {
            assert!(Credential::parse(&Secret::new(&text[..cut])).is_none(), "cut at {cut}");
        }
        assert!(!format!("{made:?}").contains(&text[10..30]));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(gry_)?(api|run|x)?_?[0-9]{0,20}_?.{0,90}") {
            proptest::prop_assert!(Credential::parse(&Secret::new(text)).is_none());
        }
    }
}
