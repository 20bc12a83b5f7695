//! Small values with a rule each.

use std::net::IpAddr;

use super::error::Why;

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant so many milliseconds later.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// A name that people give: 1 to 255 characters, no control characters, not only white space. Kept exactly as given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The most characters a name may have.
    pub const MOST: usize = 255;

    /// Checks `text`.
    pub fn new(text: impl Into<String>) -> Result<Self, Why> {
        let text = text.into();
        check_text(&text, Self::MOST)?;
        Ok(Self(text))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which names are compared without regard to case.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` is one line of 1 to `most` characters.
pub fn check_text(text: &str, most: usize) -> Result<(), Why> {
    if text.trim().is_empty() {
        return Err(Why::Blank);
    }
    if text.chars().any(char::is_control) {
        return Err(Why::ControlCharacter);
    }
    if text.chars().count() > most {
        return Err(Why::TooLong(most));
    }
    Ok(())
}

/// Which part of a list: the first item's position and how many items at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many items come before, from 0.
    pub offset: u64,
    /// How many items at most.
    pub limit: u32,
}

impl Page {
    /// Page `number` (from 1) of `size` items each.
    pub fn number(number: u64, size: u32) -> Self {
        Self { offset: number.saturating_sub(1).saturating_mul(u64::from(size)), limit: size }
    }
}

/// A network: `10.1.0.0/16`, `fd00::/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u32,
}

impl Network {
    /// Reads a network.
    pub fn parse(text: &str) -> Option<Self> {
        let (base, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, Some(bits)));
        let base = base.parse::<IpAddr>().ok()?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
        (bits <= most).then_some(Self { base, bits })
    }

    /// Whether `address` lies in it; an IPv4 address in IPv6's clothes counts as what it is.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                self.bits == 0 || base.to_bits() >> (32 - self.bits) == address.to_bits() >> (32 - self.bits)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                self.bits == 0 || base.to_bits() >> (128 - self.bits) == address.to_bits() >> (128 - self.bits)
            }
            _ => false,
        }
    }
}

/// Text that is left over from a template: `<client id here>`, `YOUR_CLIENT_ID`, `${SECRET}`.
pub fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    let wrapped = |open, close| text.starts_with(open) && text.ends_with(close);
    wrapped("<", ">") || wrapped("${", "}") || wrapped("{{", "}}") || {
        let upper = text.to_ascii_uppercase();
        upper.starts_with("YOUR_") || upper.starts_with("YOUR ")
    }
}

/// An e-mail address, as far as it is worth checking: something, an `@`, a host, no spaces.
pub fn check_email(text: &str) -> Result<(), Why> {
    check_text(text, 255)?;
    match text.rsplit_once('@') {
        Some((local, host)) if !local.is_empty() && !host.is_empty() && !text.chars().any(char::is_whitespace) => {
            Ok(())
        }
        _ => Err(Why::Malformed("an e-mail address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_line_of_text() {
        assert_eq!(Name::new(""), Err(Why::Blank));
        assert_eq!(Name::new(" \u{3000}"), Err(Why::Blank));
        assert_eq!(Name::new("a\0b"), Err(Why::ControlCharacter));
        assert_eq!(Name::new("é".repeat(256)), Err(Why::TooLong(255)));
        assert!(Name::new("🜁".repeat(255)).is_ok());
        assert_eq!(Name::new("Größe").map(|n| n.folded()), Ok("größe".to_owned()));
    }

    #[test]
    fn text_from_a_template_is_a_placeholder() {
        for text in ["<client id here>", "YOUR_CLIENT_ID", "${SECRET}", " {{id}} "] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in ["0oa1b2c3", "a<b", "yours-truly"] {
            assert!(!is_placeholder(text), "{text}");
        }
    }

    #[test]
    fn networks_hold_their_addresses() {
        let inside = |network: &str, address: &str| {
            Network::parse(network).expect("a network").contains(address.parse().expect("an address"))
        };
        assert!(inside("10.1.0.0/16", "10.1.255.3"));
        assert!(!inside("10.1.0.0/16", "10.2.0.1"));
        assert!(inside("0.0.0.0/0", "192.0.2.1"));
        assert!(inside("192.0.2.7", "::ffff:192.0.2.7"));
        assert!(inside("fd00::/8", "fd12::1"));
        assert!(inside("::/0", "2001:db8::1"));
        assert!(!inside("fd00::/8", "10.0.0.1"));
        for bad in ["", "10.0.0.0/33", "ten", "10.0.0.0/-1", "::1/129"] {
            assert!(Network::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn pages_start_at_one() {
        assert_eq!(Page::number(1, 100), Page { offset: 0, limit: 100 });
        assert_eq!(Page::number(3, 10).offset, 20);
        assert_eq!(Page::number(u64::MAX, 100).offset, u64::MAX);
    }
}
