//! The control plane of a node, where it has one. A node that stands on its own asks and tells nobody.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use aami_api::client::{Client, ClientError, Settings, Trust};
use aami_install::effect::Registration;
use aami_install::{Effect, StepError, Survey};
use aami_inventory::route;
use aami_model::code;

use super::layout::Layout;
use crate::download::{Access, Downloader};

/// How long reporting one batch of events may take: the run does not wait for it.
const REPORT: Duration = Duration::from_secs(5);
/// No public key is longer.
const LARGEST_KEY: u64 = 4096;

/// How it is reached.
pub(crate) struct Plane {
    pub(crate) client: Client,
    pub(crate) reporting: Client,
    pub(crate) trust: Trust,
}

impl Plane {
    /// Nothing is sent yet.
    pub(crate) fn new(api: &Settings) -> Result<Self, ClientError> {
        Ok(Self {
            client: Client::new(api)?,
            reporting: Client::new(&Settings {
                timeout: REPORT,
                ..api.clone()
            })?,
            trust: api.trust.clone(),
        })
    }

    /// Its address.
    pub(crate) fn server(&self) -> &str {
        self.client.server()
    }

    /// What the plan's record says of the registration with it: `wanted` is asked with whether that came to its end.
    pub(crate) fn registration_is(
        &self,
        layout: &Layout,
        survey: &Survey<'_>,
        wanted: impl Fn(bool) -> bool,
    ) -> bool {
        let registration =
            Registration::new(self.server(), layout.credential.clone(), |_, _| Ok(String::new()));
        survey
            .record(&Effect::Registration(registration).key())
            .is_some_and(|record| wanted(record.done))
    }

    /// The public key it signs releases with, as it says; nothing where it has none.
    pub(crate) fn release_key(&self, downloader: &Downloader) -> Result<Option<String>, String> {
        let url = format!("{}/dist/minisign.pub", self.server());
        let access = Access {
            trust: self.trust.clone(),
            credential: None,
        };
        let asked = downloader.text_at_once(&url, &access, LARGEST_KEY);
        asked.map_err(|error| error.to_string())
    }

    /// The address this host has on the way there.
    pub(crate) fn source_address(&self) -> Result<IpAddr, StepError> {
        let found = resolved(self.server())?.unwrap_or_default();
        source_address(found.first().copied().unwrap_or(ANYWHERE))
    }
}

/// An address that stands for "anywhere": the documentation network (RFC 5737), to which nothing is sent.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 443);

fn source_address(to: SocketAddr) -> Result<IpAddr, StepError> {
    route::source_address(to).map_err(|error| StepError::new(error.code(), error.to_string()))
}

/// The address of a node without a control plane: that of the way to whoever scrapes it, else that of the way out.
pub(crate) fn own_address(scrape_from: &[String]) -> Result<IpAddr, StepError> {
    let scrapers = scrape_from.iter().filter_map(|text| text.parse::<IpAddr>().ok());
    let ways = scrapers.map(|ip| SocketAddr::new(ip, 443)).chain([ANYWHERE]);
    let mut last = None;
    for way in ways {
        match source_address(way) {
            Ok(address) => return Ok(address),
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| StepError::new(code::STEP_FAILED, "there is no way out of this host"));
    Err(error.with_hint("Say with --address where Prometheus reaches this node."))
}

/// All addresses of a server, or why its name is not known here. Where its name cannot be looked up here (a proxy does
/// that) it has none.
pub(crate) fn resolved(server: &str) -> Result<io::Result<Vec<SocketAddr>>, StepError> {
    let uri: ureq::http::Uri = server
        .parse()
        .map_err(|_| StepError::new(code::INVALID, format!("{server:?} is not a URL")))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    });
    Ok((host, port).to_socket_addrs().map(Iterator::collect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_on_its_own_has_the_address_its_scraper_sees() {
        let address = own_address(&["127.0.0.9".to_owned()]).unwrap();
        assert!(address.is_loopback(), "{address}");
        // A network has no way of its own; the way out is taken then.
        let _ = own_address(&["10.0.0.0/8".to_owned()]);
    }
}
