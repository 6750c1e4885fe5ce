//! Which proxy to ask for which address, as `http_proxy`, `https_proxy` and `no_proxy` say it.

use std::fmt;
use std::net::IpAddr;

use ureq::http::Uri;

/// Proxies as values: whoever reads the environment fills this in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http://` addresses.
    pub http: Option<String>,
    /// For `https://` addresses.
    pub https: Option<String>,
    /// Where to go without: names, `.suffixes`, addresses, networks (`10.0.0.0/8`), or `*`.
    pub without: Vec<String>,
}

/// A proxy's address may hold a password.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("without", &self.without)
            .finish()
    }
}

impl Proxies {
    /// Reads `no_proxy`'s comma-separated form.
    pub fn split_without(text: &str) -> Vec<String> {
        text.split([',', ' '])
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The proxy for an address, if one is to be asked. Loopback is always reached directly.
    pub fn for_address(&self, address: &Uri) -> Option<&str> {
        let proxy = match address.scheme_str() {
            Some("https") => self.https.as_deref()?,
            _ => self.http.as_deref()?,
        };
        let host = address.host()?.trim_matches(['[', ']']).to_ascii_lowercase();
        let is_loopback = host == "localhost"
            || host
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.to_canonical().is_loopback());
        let goes_without = is_loopback || self.without.iter().any(|entry| matches(entry, &host));
        (!goes_without && !proxy.is_empty()).then_some(proxy)
    }
}

/// Whether an entry of `no_proxy` means this host.
fn matches(entry: &str, host: &str) -> bool {
    let entry = entry.to_ascii_lowercase();
    if entry == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return match entry.split_once('/') {
            Some((network, bits)) => match (network.parse(), bits.parse()) {
                (Ok(network), Ok(bits)) => is_within(address, network, bits),
                _ => false,
            },
            None => entry.trim_matches(['[', ']']).parse() == Ok(address),
        };
    }
    let suffix = entry.trim_start_matches("*.").trim_start_matches('.');
    host == suffix
        || host
            .strip_suffix(suffix)
            .is_some_and(|rest| !suffix.is_empty() && rest.ends_with('.'))
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address.to_canonical(), network.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(n)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            u32::from(a) & mask == u32::from(n) & mask
        }
        (IpAddr::V6(a), IpAddr::V6(n)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            u128::from(a) & mask == u128::from(n) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_asked_except_where_it_is_not() {
        let proxies = Proxies {
            http: None,
            https: Some("http://proxy:3128".into()),
            without: Proxies::split_without("corp.example, .lab.example,10.0.0.0/8, 2001:db8::/32"),
        };
        for (address, asked) in [
            ("https://github.com/x", true),
            ("http://github.com/x", false),
            ("https://corp.example/x", false),
            ("https://mirror.corp.example/x", false),
            ("https://notcorp.example/x", true),
            ("https://a.lab.example:8443/x", false),
            ("https://10.1.2.3/x", false),
            ("https://11.1.2.3/x", true),
            ("https://[2001:db8::1]/x", false),
            ("https://127.0.0.1/x", false),
            ("https://localhost/x", false),
        ] {
            let uri: Uri = address.parse().unwrap();
            assert_eq!(proxies.for_address(&uri).is_some(), asked, "{address}");
        }
        let all = Proxies {
            without: vec!["*".into()],
            ..proxies
        };
        assert_eq!(all.for_address(&"https://github.com/x".parse().unwrap()), None);
    }

    #[test]
    fn a_password_in_a_proxy_does_not_show() {
        let proxies = Proxies {
            https: Some("http://user:canary@proxy:3128".into()),
            ..Proxies::default()
        };
        assert!(!format!("{proxies:?}").contains("canary"));
    }
}
