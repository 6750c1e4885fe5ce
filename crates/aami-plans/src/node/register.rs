//! What a node tells the control plane about itself, and how it is told.

use std::time::Duration;

use aami_api::register::{ExporterInfo, RegisterRequest};
use aami_install::effect::Registration;
use aami_install::receipt::Recorded;
use aami_install::{Effect, Host, StepError, Survey, Voice};
use aami_model::exporter::ExporterKind;
use aami_model::label::Labels;
use aami_model::{NodeId, code};
use serde::{Deserialize, Serialize};

use super::extra::Extra;
use super::identity::{self, NodeKey};
use super::layout::Layout;
use super::session::Session;
use super::{Form, Purpose, installed};

/// How long a control plane that is busy or restarting is asked again.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first pause between two tries, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));
/// The labels that the hardware decides.
const HARDWARE: [&str; 3] = ["gpu_vendor", "gpu_count", "gpu_model"];
/// The note of what was told is not longer.
const LONGEST: u64 = 256 * 1024;

/// What was told to which control plane, or what a node without one noted about itself. Holds no secret; the run and
/// the token are left out, since they differ each time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// The control plane's address; none where the node stands on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
    /// The request.
    pub(crate) request: RegisterRequest,
}

impl Told {
    /// What there is to tell now, but for key and credential, which never change. Where an enrolled node is only
    /// looked at or given an exporter, everything else is as it was told.
    pub(crate) fn now(session: &Session, host: &Host) -> Result<Self, StepError> {
        let exporters = exporters(session, host)?;
        if let Some(told) = session.options.purpose.told() {
            let mut told = told.clone();
            told.request.exporters = exporters;
            return Ok(told);
        }
        let inventory = session.inventory()?;
        Ok(Self {
            server: session.server().map(str::to_owned),
            request: RegisterRequest {
                hostname: inventory.hostname.to_string(),
                ip_address: session.address()?.to_string(),
                labels: labels(session, host)?,
                exporters,
                system_info: Some(inventory.system_info()),
                machine: inventory.machine.clone(),
                machine_id: inventory.system.machine_id.clone(),
                ..RegisterRequest::default()
            },
        })
    }

    /// As it stands in its file.
    pub(crate) fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The port an exporter was told to be on.
    pub(crate) fn port(&self, kind: ExporterKind) -> Option<u16> {
        self.request
            .exporters
            .iter()
            .find(|exporter| exporter.kind == kind)
            .map(|exporter| exporter.port)
    }
}

fn exporters(session: &Session, host: &Host) -> Result<Vec<ExporterInfo>, StepError> {
    let mut exporters = vec![ExporterInfo::new(ExporterKind::NodeExporter, session.port(host)?)];
    for extra in Extra::wanted(session, host)? {
        let setup = extra.setup(session, host)?;
        // In the foreground form nobody starts it; somebody else may have.
        if session.options.form == Form::Host || setup.answers(session)? {
            exporters.push(ExporterInfo::new(extra.kind(), setup.port));
        }
    }
    // Its agent is scraped as well, where nobody else hears what it finds.
    let serves = session.agent(host)?.and_then(|agent| agent.serves);
    if let Some(serves) = serves.filter(|_| session.plane().is_none()) {
        exporters.push(ExporterInfo::new(ExporterKind::Aami, serves.address.port()));
    }
    // One that was here before us, and is registered as it is, has no note.
    if let Some(told) = session.options.purpose.told() {
        let mut known: Vec<u16> = exporters.iter().map(|exporter| exporter.port).collect();
        if let Purpose::Exporters { change, .. } = &session.options.purpose {
            let name = change.settled(session, host)?;
            let note: Option<installed::Exporter> = installed::read(host, &session.layout, &name);
            known.extend(note.map(|note| note.port));
        }
        let others = told.request.exporters.iter();
        exporters.extend(others.filter(|other| !known.contains(&other.port)).cloned());
    }
    Ok(exporters)
}

/// The labels of the hardware, and above them what the operator says: now, or, where nothing is said now, last
/// time.
fn labels(session: &Session, host: &Host) -> Result<Labels, StepError> {
    let detected = session.inventory()?.labels();
    let said = &session.options.labels;
    if !said.0.is_empty() {
        return Ok(detected.overlaid(said));
    }
    let mut before =
        last_told(host, &session.layout).map_or_else(Labels::default, |told| told.request.labels);
    before.0.retain(|name, _| !HARDWARE.contains(&name.as_str()));
    Ok(detected.overlaid(&before))
}

/// What was told last, to whichever control plane.
pub(super) fn last_told(host: &Host, layout: &Layout) -> Option<Told> {
    let bytes = host.root.read(&layout.registration, LONGEST).ok()??;
    serde_json::from_slice(&bytes).ok()
}

/// The node's id by the plan's own record.
pub(super) fn node_on_record(session: &Session, survey: &Survey<'_>) -> Option<NodeId> {
    let registration = Registration::new(session.server()?, session.layout.credential.clone(), |_, _| {
        Ok(String::new())
    });
    match survey.record(&Effect::Registration(registration).key())?.effect {
        Recorded::Registration { node: Some(node), .. } => node.parse().ok(),
        _ => None,
    }
}

/// Registers, and answers the node's id. The same key gets the same answer however often it asks, so
/// a lost reply is simply asked for again. A node that is enrolled tells its news by its own credential.
pub(super) fn register(
    session: &Session,
    host: &Host,
    voice: &Voice<'_>,
    is_enrolled: bool,
) -> Result<String, StepError> {
    let key = NodeKey::read(host, &session.layout)?;
    let credential = identity::credential(host, &session.layout)?;
    let bearer = match &session.options.token {
        Some(token) => token.reveal(),
        None if is_enrolled => credential.reveal(),
        None => {
            let why = "this machine is not enrolled, and enrolling it needs a bootstrap token";
            return Err(StepError::new(code::TOKEN_REQUIRED, why));
        }
    };
    let mut request = Told::now(session, host)?.request;
    request.node_key = Some(key.public());
    request.credential_hash = Some(identity::hash(&credential));
    request.run_id = session.run().map(|run| run.id.clone());
    let body = serde_json::to_vec(&request).map_err(|error| {
        StepError::new(
            code::STEP_FAILED,
            format!("the registration cannot be written: {error}"),
        )
    })?;
    let proof = key.proof(&body);

    let client = session.asked()?.client.with_bearer(bearer);
    let deadline = host.clock.elapsed() + PATIENCE;
    let mut pause = PAUSES.0;
    loop {
        match client.register(&body, Some(&proof), None) {
            Ok(registered) => {
                let id = registered.node.id.to_string();
                let _ = session.registered.set(registered);
                return Ok(id);
            }
            Err(error) if error.is_passing() && host.clock.elapsed() < deadline => {
                voice.warn(format!("{error}; asking again"));
            }
            Err(error) => return Err(StepError::new(error.code(), error.to_string())),
        }
        voice.check()?;
        host.clock.wait(pause);
        pause = (pause * 2).min(PAUSES.1);
    }
}
