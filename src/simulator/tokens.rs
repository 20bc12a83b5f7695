//! The texts of codes and tokens: `sim_rt_7_2_…` is refresh token 2 of grant 7, followed by a mark that only this
//! simulator can make. So nothing has to be kept of tokens that were used or have expired, however many there are.

use sha2::{Digest as _, Sha256};

/// A kind of token; the text is part of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Grant and serial number.
    Access,
    /// Grant and generation.
    Refresh,
    /// Number of the code, and nothing.
    Code,
    /// Number of the device's request, and nothing.
    Device,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Access => "sim_at",
            Self::Refresh => "sim_rt",
            Self::Code => "sim_code",
            Self::Device => "sim_dc",
        }
    }
}

/// What marks tokens as made here.
pub(super) struct Mint([u8; 32]);

impl Mint {
    /// A mint whose tokens are good here and nowhere else.
    pub(super) fn new() -> std::io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Self(key))
    }

    fn mark(&self, name: &str, numbers: (u64, u64)) -> [u8; 32] {
        // The key on either side: what is hashed could not be continued by others.
        let text = format!("{name} {} {}", numbers.0, numbers.1);
        Sha256::new().chain_update(self.0).chain_update(text).chain_update(self.0).finalize().into()
    }

    /// The token with these numbers.
    pub(super) fn make(&self, kind: Kind, numbers: (u64, u64)) -> String {
        let prefix = kind.prefix();
        let mark = hex(&self.mark(prefix, numbers)[..16]);
        format!("{prefix}_{}_{}_{mark}", numbers.0, numbers.1)
    }

    /// The number that stands for an access token: 18 digits, more than a floating-point number can hold.
    pub(super) fn numeric(&self, numbers: (u64, u64)) -> u64 {
        const LEAST: u64 = 100_000_000_000_000_000;
        let mark = self.mark("numeric token", numbers);
        let number = mark.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte));
        LEAST + number % (9 * LEAST)
    }

    /// The numbers of a token that was made here.
    pub(super) fn read(&self, kind: Kind, token: &str) -> Option<(u64, u64)> {
        if token.len() > 100 {
            return None;
        }
        let mut parts = token.strip_prefix(kind.prefix())?.strip_prefix('_')?.split('_');
        let numbers = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        (self.make(kind, numbers) == token).then_some(numbers)
    }

    /// The code that a person types for a device's request: eight consonants, so that it makes no word (RFC 8628 §6.1).
    pub(super) fn user_code(&self, number: u64) -> String {
        const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
        let mark = self.mark("user code", (number, 0));
        let letters = mark.iter().take(8).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        let mut code: String = letters.collect();
        code.insert(4, '-');
        code
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// What tells tokens apart without being one: 16 hexadecimal digits of its SHA-256.
pub(super) fn fingerprint(token: &str) -> String {
    hex(&Sha256::digest(token)[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_by_its_own_mint_and_kind_alone() {
        let (mint, other) = (Mint::new().expect("random"), Mint::new().expect("random"));
        let token = mint.make(Kind::Refresh, (7, 2));
        assert!(token.starts_with("sim_rt_7_2_"));
        assert_eq!(mint.read(Kind::Refresh, &token), Some((7, 2)));
        assert_eq!(mint.read(Kind::Access, &token), None);
        assert_eq!(other.read(Kind::Refresh, &token), None);
        for forged in ["", "sim_rt_", "sim_rt_7_2", "sim_rt_7_3_", &token.replace("_7_", "_07_"), &format!("{token}_")]
        {
            assert_eq!(mint.read(Kind::Refresh, forged), None, "{forged}");
        }
    }

    #[test]
    fn a_user_code_is_easy_to_type() {
        let mint = Mint::new().expect("random");
        let code = mint.user_code(1);
        assert_eq!((code.len(), code.find('-')), (9, Some(4)));
        assert_ne!(code, mint.user_code(2));
        assert_eq!(mint.numeric((1, 2)).to_string().len(), 18);
        assert_ne!(mint.numeric((1, 2)), mint.numeric((2, 1)));
        assert_eq!(fingerprint("a"), "ca978112ca1bbdca");
    }
}
