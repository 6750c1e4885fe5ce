//! What there is to tell after a run.

use aami_api::register::ExporterInfo;
use aami_model::label::Labels;
use serde::Serialize;

use super::exporter;
use super::session::Session;

/// What there is to tell after a run.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The control plane; none where the node stands on its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The node's name.
    pub hostname: String,
    /// The address it is reached at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// Its status, as the control plane said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The group its token puts it into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its labels, those of its hardware among them, where it stands on its own: nobody else knows them.
    #[serde(skip_serializing_if = "has_none")]
    pub labels: Labels,
    /// The unit of the agent that stays here and was seen to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<&'static str>,
    /// Each exporter with its address.
    pub exporters: Vec<String>,
    /// What Prometheus is to scrape, where the node stands on its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<ExporterInfo>,
}

fn has_none(labels: &Labels) -> bool {
    labels.0.is_empty()
}

impl Summary {
    /// As far as the run came to know.
    pub(super) fn of(session: &Session) -> Self {
        let registered = session.registered();
        let verified = session.verified();
        let address = session.address().ok();
        let mut exporters: Vec<String> = verified
            .iter()
            .flat_map(|verified| &verified.exporters)
            .map(|probe| format!("{} {}", probe.kind.name(), probe.url))
            .collect();
        let (mut endpoints, mut labels) = (Vec::new(), Labels::default());
        if let (Some(noted), Some(address)) = (session.noted.get(), address) {
            labels = noted.request.labels.clone();
            endpoints.clone_from(&noted.request.exporters);
            exporters.extend(endpoints.iter().map(|endpoint| {
                let url = exporter::shown((address, endpoint.port).into());
                format!("{} {url}", endpoint.kind.name())
            }));
        }
        Self {
            server: session.server().map(str::to_owned),
            hostname: session
                .inventory()
                .map(|inventory| inventory.hostname.to_string())
                .unwrap_or_default(),
            address: address.map(|address| address.to_string()),
            node_id: registered
                .map(|registered| registered.node.id.to_string())
                .or_else(|| verified.map(|verified| verified.node_id.to_string())),
            status: verified.map(|verified| verified.status.name().to_owned()),
            group: session.validated().and_then(|validated| validated.group.clone()),
            labels,
            agent: session.stays.get().copied(),
            exporters,
            endpoints,
        }
    }
}
