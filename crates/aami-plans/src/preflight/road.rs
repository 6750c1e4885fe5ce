//! The way to a host: its name, the proxy, the connection, the certificate, the answer. Each hop that can
//! fail has a fault of its own.

mod fault;
mod real;

use std::net::IpAddr;
use std::time::Duration;

use aami_api::client::Trust;
use aami_model::Timestamp;
use ureq::http::Uri;

pub use fault::Fault;
pub use real::RealRoad;

/// What must answer at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// A control plane's health.
    ControlPlane,
    /// A file; a web page in its place is a portal's.
    File,
    /// Anybody with a certificate for that name.
    Anything,
}

/// A host that is needed.
#[derive(Debug, Clone)]
pub struct Target {
    /// What it is called in the report.
    pub key: String,
    /// What is asked for.
    pub url: String,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// The proxy to ask; it may hold a password.
    pub proxy: Option<String>,
    /// What must answer.
    pub expect: Expect,
    /// Whether nothing works without it.
    pub required: bool,
}

impl Target {
    /// Scheme, host and port, without what may be secret.
    pub fn address(&self) -> String {
        let uri: Option<Uri> = self.url.parse().ok();
        let shown = uri.and_then(|uri| {
            let scheme = uri.scheme_str()?.to_owned();
            let host = uri.host()?.to_owned();
            let port = uri.port_u16().map_or_else(String::new, |port| format!(":{port}"));
            Some(format!("{scheme}://{host}{port}"))
        });
        shown.unwrap_or_else(|| self.key.clone())
    }

    /// The name that is looked up on this machine: the proxy's where one is asked.
    pub fn first_name(&self) -> Option<String> {
        let proxy = self.proxy.as_deref().map(|text| {
            if text.contains("://") {
                text.to_owned()
            } else {
                format!("http://{text}")
            }
        });
        let uri: Uri = proxy.as_deref().unwrap_or(&self.url).parse().ok()?;
        Some(uri.host()?.trim_matches(['[', ']']).to_owned())
    }

    /// The proxy's host and port, without its password.
    pub fn proxy_address(&self) -> Option<String> {
        let text = self.proxy.as_deref()?;
        let text = text.rsplit_once('@').map_or(text, |(_, host)| host);
        let text = text.split_once("://").map_or(text, |(_, host)| host);
        Some(
            text.trim_end_matches('/')
                .chars()
                .filter(|c| !c.is_control())
                .take(200)
                .collect(),
        )
    }
}

/// How looking up a name came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// Its addresses.
    Found(Vec<IpAddr>),
    /// The name servers say that there is no such name.
    Unknown,
    /// Nobody answered.
    Silent,
}

/// How asking a host came out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// The HTTP status.
    pub status: Option<u16>,
    /// What its clock says.
    pub date: Option<Timestamp>,
    /// What this machine's clock said when the answer came.
    pub at: Option<Timestamp>,
    /// From asking to the answer.
    pub took: Duration,
    /// The hop that failed.
    pub fault: Option<Fault>,
    /// In a few words of the transport.
    pub detail: String,
}

impl Seen {
    /// It failed at this hop.
    pub fn failed(fault: Fault, detail: impl Into<String>) -> Self {
        Self {
            fault: Some(fault),
            detail: detail.into(),
            ..Self::default()
        }
    }
}

/// Something that looks names up and asks hosts.
pub trait Road: Sync {
    /// Looks a name up, as every program of this machine would.
    fn look_up(&self, name: &str) -> Lookup;

    /// Asks a host once, and follows nothing.
    fn ask(&self, target: &Target) -> Seen;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_proxy_is_never_shown() {
        let target = Target {
            key: "server".into(),
            url: "https://user:canary@control:8080/api/v1/health".into(),
            trust: Trust::System,
            proxy: Some("http://user:canary@proxy.lab:3128/".into()),
            expect: Expect::ControlPlane,
            required: true,
        };
        assert_eq!(target.address(), "https://control:8080");
        assert_eq!(target.proxy_address().as_deref(), Some("proxy.lab:3128"));
        assert_eq!(target.first_name().as_deref(), Some("proxy.lab"));
        let direct = Target {
            proxy: None,
            url: "https://[2001:db8::1]:8080/".into(),
            ..target
        };
        assert_eq!(direct.first_name().as_deref(), Some("2001:db8::1"));
    }
}
