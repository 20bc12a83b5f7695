//! Where the engine may knock: an operator's URL must not become a way into the network that the server stands in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why an address is not asked.
pub(super) const PRIVATE: &str = "the address is private or link-local (see allow-private)";
const NOT_HTTPS: &str = "it is no https URL (http only for loopback)";

/// Checks what can be seen of a URL before its name is resolved: https, or http on loopback; a literal address that is
/// public, or loopback.
pub(super) fn check(url: &str, allow_private: bool) -> Result<(), &'static str> {
    let url = url::Url::parse(url).map_err(|_| NOT_HTTPS)?;
    let literal = match url.host() {
        Some(url::Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(url::Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
        Some(url::Host::Domain(_)) => None,
        None => return Err(NOT_HTTPS),
    };
    let loopback = literal.map_or(url.host_str() == Some("localhost"), |ip| ip.to_canonical().is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        _ => return Err(NOT_HTTPS),
    }
    match literal {
        Some(ip) if !loopback && !allow_private && !is_public(ip) => Err(PRIVATE),
        _ => Ok(()),
    }
}

/// Resolves names as the system does, and leaves out the addresses that nobody outside has a business with. What is
/// checked is what is connected to, so a name that changes its mind in between gains nothing.
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let local = name.as_str() == "localhost";
            let fits = |address: &SocketAddr| is_public(address.ip()) || (local && address.ip().is_loopback());
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.filter(fits).collect();
            if found.is_empty() {
                return Err(PRIVATE.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public Internet (IANA special-purpose registries, RFC 6890).
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (b & 0xc0) == 64; // RFC 6598
    let benchmark = a == 198 && (b & 0xfe) == 18; // RFC 2544
    let protocol = a == 192 && b == 0 && c == 0; // RFC 6890
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || shared
        || benchmark
        || protocol)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    // NAT64 (RFC 6052) and 6to4 (RFC 3056) carry an IPv4 address that counts for them.
    if s[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_public_v4(embedded(s[6], s[7]));
    }
    if s[0] == 0x2002 {
        return is_public_v4(embedded(s[1], s[2]));
    }
    // Global unicast is 2000::/3; out of it, documentation (RFC 3849).
    (s[0] & 0xe000) == 0x2000 && !(s[0] == 0x2001 && s[1] == 0xdb8)
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_are_told_from_those_outside() {
        for inside in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "127.0.0.1",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
        ] {
            assert!(!is_public(inside.parse().expect("an address")), "{inside}");
        }
        for outside in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1", "64:ff9b::101:101"] {
            assert!(is_public(outside.parse().expect("an address")), "{outside}");
        }
    }

    #[test]
    fn a_url_is_https_or_on_loopback_and_leads_outside() {
        for fine in ["https://login.acme.example/t", "http://127.0.0.1:9/t", "http://localhost/t", "https://[::1]/t"] {
            assert_eq!(check(fine, false), Ok(()), "{fine}");
        }
        for plain in ["http://login.acme.example/t", "ftp://x/", "notaurl", "", "http://10.0.0.1/", "data:,x"] {
            assert_eq!(check(plain, true), Err(NOT_HTTPS), "{plain}");
        }
        for inside in [
            "https://10.0.0.1/",
            "https://169.254.169.254/t",
            "https://[fe80::1]/",
            "https://2130706433.0/",
            "https://[::ffff:192.168.0.1]/",
        ] {
            assert_ne!(check(inside, false), Ok(()), "{inside}");
        }
        assert_eq!(check("https://10.0.0.1/", true), Ok(()));
    }
}
