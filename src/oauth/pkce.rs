//! Proof key for code exchange (RFC 7636): only who began an authorization can redeem its code.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::domain::{Error, Result, Secret};

/// The code verifier (RFC 7636 §4.1).
#[derive(Debug, Clone, Copy)]
pub struct Verifier;

impl Verifier {
    /// A new one: 256 random bits as 43 characters of base64url.
    pub fn generate() -> Result<Secret> {
        let mut random = Zeroizing::new([0_u8; 32]);
        getrandom::fill(&mut *random).map_err(Error::internal)?;
        Ok(Secret::new(URL_SAFE_NO_PAD.encode(*random)))
    }
}

/// The code challenge of a verifier by the method S256 (RFC 7636 §4.2).
pub fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_the_one_of_the_rfcs_example() {
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn verifiers_have_43_characters_and_are_never_the_same() {
        let (one, other) = (Verifier::generate().expect("random"), Verifier::generate().expect("random"));
        assert_eq!(one.expose().len(), 43);
        assert_ne!(one.expose(), other.expose());
    }
}
