//! When a certificate ends: `notAfter` of RFC 5280 §4.1.2.5, found by walking the DER (X.690) down to it. Nothing else of a
//! certificate is looked at, and nothing is trusted.

use std::path::Path;

use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::domain::Timestamp;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When the first certificate in a PEM file ends.
pub(super) fn end_of(path: &Path) -> Result<Timestamp, String> {
    let certificate = CertificateDer::from_pem_file(path).map_err(|error| error.to_string())?;
    not_after(&certificate).ok_or_else(|| "it is no certificate".to_owned())
}

/// Tag and content of the first value, and what follows it.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length =
            digits.iter().try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))?;
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

fn sequence(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    value(bytes).filter(|(tag, ..)| *tag == SEQUENCE).map(|(_, content, rest)| (content, rest))
}

fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = sequence(der)?;
    let (mut rest, _) = sequence(certificate)?;
    if value(rest)?.0 == VERSION {
        rest = value(rest)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        rest = value(rest)?.2;
    }
    let (validity, _) = sequence(rest)?;
    let (tag, text, _) = value(value(validity)?.2)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let text = match tag {
        UTC_TIME => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let at = jiff::civil::DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp(at.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_time_are_read() {
        assert_eq!(time(UTC_TIME, "230115185032Z"), Some(Timestamp(1_673_808_632_000)));
        assert_eq!(time(GENERALIZED_TIME, "20230115185032Z"), Some(Timestamp(1_673_808_632_000)));
        assert_eq!(time(UTC_TIME, "991231235959Z"), Some(Timestamp(946_684_799_000)));
        assert_eq!(time(UTC_TIME, "x"), None);
    }

    #[test]
    fn what_is_no_certificate_ends_nowhere() {
        for bad in [&[][..], &[0x30], &[0x30, 0x82, 1], &[0x30, 0xff, 1, 2], &[0x30, 2, 0x30, 0]] {
            assert_eq!(not_after(bad), None);
        }
    }

    #[test]
    fn the_end_of_a_real_one_is_found() {
        let mut parameters = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
        parameters.not_after = rcgen::date_time_ymd(2031, 5, 7);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("signed");
        assert_eq!(not_after(certificate.der()), Some(Timestamp(1_935_878_400_000)));
    }
}
