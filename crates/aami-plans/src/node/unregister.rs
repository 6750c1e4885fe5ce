//! What is left on a host of its enrolment, or of its install without one, and taking it back.

use std::path::Path;
use std::time::Duration;

use aami_api::client::{Client, ClientError, Settings, Trust};
use aami_install::effect::Unregister;
use aami_install::{Host, HostPath, NotAHostPath, StepError};
use aami_model::secret::Secret;
use aami_model::{NodeId, code};
use ureq::http::Uri;

use super::layout::{Form, Layout, real};
use super::register::Told;
use crate::download::Proxies;

/// Where a host is enrolled, by its own files; or that it is a node on its own.
#[derive(Debug, Clone)]
pub struct Enrolment {
    pub(super) told: Told,
    /// The control plane's address; none where the node stands on its own.
    pub server: Option<String>,
    /// Whose certificates it believed.
    pub trust: Trust,
    /// The name it gave itself.
    pub hostname: String,
    /// The address it gave.
    pub address: String,
}

/// Two are the same when they say the same; whom they believe follows from that.
impl PartialEq for Enrolment {
    fn eq(&self, other: &Self) -> bool {
        self.told == other.told
    }
}

impl Enrolment {
    /// How many GPUs it had when it last told.
    pub fn gpus(&self) -> Option<u32> {
        self.told.request.system_info.as_ref()?.gpu_count
    }

    /// The ports of the exporters it told of.
    pub fn exporter_ports(&self) -> Vec<u16> {
        let exporters = self.told.request.exporters.iter();
        exporters.map(|exporter| exporter.port).collect()
    }

    /// The vendor of those GPUs.
    pub fn gpu_vendor(&self) -> Option<&str> {
        self.told.request.system_info.as_ref()?.gpu_vendor.as_deref()
    }

    /// Reads it; `None` where the host is not enrolled, or its files are not readable.
    pub fn read(root: &Path, form: Form, cluster: &str) -> Result<Option<Self>, NotAHostPath> {
        let layout = Layout::of(form, cluster)?;
        let Ok(text) = std::fs::read_to_string(real(root, &layout.registration)) else {
            return Ok(None);
        };
        let Ok(told) = serde_json::from_str::<Told>(&text) else {
            return Ok(None);
        };
        Ok(Some(Self {
            server: told.server.clone(),
            trust: trust_on(root, &layout),
            hostname: told.request.hostname.clone(),
            address: told.request.ip_address.clone(),
            told,
        }))
    }
}

/// Whose certificates a host believes when it speaks to its control plane, by its own files. That is on disk before the
/// first word, and so before it is an [`Enrolment`].
pub fn trust_of(root: &Path, form: Form, cluster: &str) -> Result<Trust, NotAHostPath> {
    Ok(trust_on(root, &Layout::of(form, cluster)?))
}

fn trust_on(root: &Path, layout: &Layout) -> Trust {
    let ca = std::fs::read_to_string(real(root, &layout.ca)).ok();
    ca.map_or(Trust::System, Trust::Only)
}

/// What to do where the control plane cannot be told.
const HINT: &str = "Name an operator's key with --token-file, or retire it with `aami nodes retire` and run this again \
                    with --keep-registration.";

/// The same where it is not known whether the host is registered at all: an operator's key does not tell that.
const HINT_UNKNOWN: &str = "Run this again when it answers, or with --keep-registration; a node that is known is found by \
                            `aami nodes list` and goes by `aami nodes retire`.";

/// Stands for a control plane of which nobody knows where it is: no name ends like this (RFC 6761).
pub const NOWHERE: &str = "http://control-plane.invalid";

/// For so long a registration may be under way that was sent just before, or be known to one replica only.
const UNDER_WAY: Duration = Duration::from_secs(3);

/// How often it is asked meanwhile.
const AGAIN: Duration = Duration::from_millis(500);

/// Takes registrations back: with the node's own credential, or with another that may.
#[derive(Debug, Clone)]
pub struct Unregisterer {
    /// Whose certificates are believed; the address comes with each registration.
    pub trust: Trust,
    /// Which proxy is asked for which address.
    pub proxies: Proxies,
    /// The address to use in place of the one it was registered at, where that has moved.
    pub server: Option<String>,
    /// An operator's key, or the bootstrap token this node enrolled with; the node's own credential where absent.
    pub secret: Option<Secret>,
}

impl Unregister for Unregisterer {
    fn unregister(
        &self,
        host: &Host,
        server: &str,
        node: Option<&str>,
        credential: &HostPath,
    ) -> Result<(), StepError> {
        let refused = |error: ClientError| StepError::new(error.code(), error.to_string());
        let own = host
            .root
            .read(credential, 4096)
            .map_err(aami_install::EffectError::from)?;
        let own = own.and_then(|bytes| Secret::parse(std::str::from_utf8(&bytes).ok()?).ok());
        if self.server.is_none() && server == NOWHERE {
            let message = format!(
                "nobody knows of which control plane the credential in {credential} is: --server names it, \
                 --keep-registration goes on without"
            );
            return Err(StepError::new(code::STEP_FAILED, message));
        }
        // What another control plane than the one on record does not know says nothing about that one; nor does it where
        // that one has moved and forgotten.
        let is_another = self.is_another(server);
        let server = self.server.as_deref().unwrap_or(server);
        let uri: Option<Uri> = server.parse().ok();
        let proxy = uri.and_then(|uri| self.proxies.for_address(&uri).map(str::to_owned));
        let api = Settings {
            trust: self.trust.clone(),
            proxy,
            ..Settings::new(server)
        };
        let client = Client::new(&api).map_err(refused)?;
        let node = match node {
            Some(node) => node.parse().map_err(|_| {
                StepError::new(code::STEP_FAILED, format!("{node:?} on record is no node id"))
            })?,
            None => match known_as(host, &client, own.as_ref())? {
                Some(node) => node,
                None if own.is_some() && is_another => return Err(stranger(server)),
                None => return Ok(()),
            },
        };
        // A secret that was given first; where that does not do, the node still speaks for itself.
        let mut last = None;
        for (secret, is_own) in [(self.secret.as_ref(), false), (own.as_ref(), true)] {
            let Some(secret) = secret else { continue };
            match client.with_bearer(secret.reveal()).retire(&node) {
                Ok(()) => return Ok(()),
                // It knows no such node, or has retired it: that is what was wanted.
                Err(ClientError::Refused(problem)) if is_gone(&problem.code, problem.status, is_own) => {
                    if is_another && problem.code != code::NODE_DECOMMISSIONED.symbol {
                        return Err(stranger(server));
                    }
                    return Ok(());
                }
                Err(error) => last = Some(error),
            }
        }
        Err(match last {
            Some(error) => refused(error).with_hint(HINT),
            None => {
                let message = format!("{credential} is gone, so {server} cannot be told that this node is");
                StepError::new(code::UNAUTHENTICATED, message).with_hint(HINT)
            }
        })
    }
}

impl Unregisterer {
    /// Whether another address is asked than the one a host registered at.
    fn is_another(&self, registered_at: &str) -> bool {
        let plain = |address: &str| address.trim_end_matches('/').to_owned();
        self.server
            .as_deref()
            .is_some_and(|given| plain(given) != plain(registered_at))
    }
}

fn stranger(server: &str) -> StepError {
    let message = format!(
        "{server} does not know this node; whether the one it registered with does cannot be told: \
         --keep-registration goes on without"
    );
    StepError::new(code::UNAUTHENTICATED, message)
}

/// As what a control plane knows a node whose registration was cut off before the answer was on record: it may have
/// arrived, and was to be known by a credential that was on disk before it was sent. Nothing where it did not arrive.
fn known_as(host: &Host, client: &Client, own: Option<&Secret>) -> Result<Option<NodeId>, StepError> {
    // It is sent by nobody who has none.
    let Some(own) = own else { return Ok(None) };
    let client = client.with_bearer(own.reveal());
    let deadline = host.clock.elapsed() + UNDER_WAY;
    loop {
        match client.own_node() {
            Ok(node) => return Ok(Some(node)),
            Err(error) if error.code() != code::UNAUTHENTICATED => {
                let message = format!("whether the control plane knows this node cannot be told: {error}");
                return Err(StepError::new(error.code(), message).with_hint(HINT_UNKNOWN));
            }
            Err(_) if host.clock.elapsed() >= deadline => return Ok(None),
            Err(_) => host.clock.wait(AGAIN),
        }
    }
}

/// Retiring a node drops its credential, so the second time it is not known. Whether somebody else's secret is known
/// says nothing about the node.
fn is_gone(symbol: &str, status: u16, is_own: bool) -> bool {
    status == 404
        || symbol == code::NODE_DECOMMISSIONED.symbol
        || (is_own && symbol == code::UNAUTHENTICATED.symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_given_is_another_only_where_it_differs_from_the_one_on_record() {
        let asked_at = |server: Option<&str>| Unregisterer {
            trust: Trust::System,
            proxies: Proxies::default(),
            server: server.map(str::to_owned),
            secret: None,
        };
        let registered_at = "https://aami.example:8080";
        // As `/uninstall.sh` gives it, always.
        assert!(!asked_at(Some("https://aami.example:8080/")).is_another(registered_at));
        assert!(!asked_at(None).is_another(registered_at));
        assert!(asked_at(Some("https://staging.example:8080")).is_another(registered_at));
        assert!(asked_at(Some("https://aami.example:8080")).is_another(NOWHERE));
    }
}
