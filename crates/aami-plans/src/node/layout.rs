//! Where the node plan puts things, in each of its two forms.

use std::path::{Path, PathBuf};

use aami_install::{HostPath, NotAHostPath};

/// Where detached runs keep their events, a folder each. They are no part of a plan: whoever started one from afar reads
/// there how it goes.
pub const RUNS: &str = "/var/lib/aami/runs";
/// Where whoever installs from afar puts what a node needs: the agent, a folder of components.
pub const PUSHED: &str = "/var/lib/aami/push";

/// Whether the host itself is changed, or a folder stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Programs below `/opt/aami`, systemd units, users; needs root.
    Host,
    /// Everything below one folder, exporters as child processes that end with this one; needs no root.
    Foreground,
}

/// The paths of one form, as the host sees them.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Programs, a folder per component and version.
    pub programs: HostPath,
    /// Where the exporter reads what checks leave for it.
    pub textfile: HostPath,
    /// The node's key and credential.
    pub agent: HostPath,
    /// Its key.
    pub key: HostPath,
    /// Its credential.
    pub credential: HostPath,
    /// The CA of its control plane.
    pub ca: HostPath,
    /// What it last told the control plane.
    pub registration: HostPath,
    /// Where downloads lie while they are judged: the engine's own staging folder for this plan.
    pub staging: HostPath,
    /// Output of child processes; the foreground form alone has it.
    pub logs: HostPath,
}

impl Layout {
    /// The layout of a form; `cluster` must be a name the engine accepts.
    pub fn of(form: Form, cluster: &str) -> Result<Self, NotAHostPath> {
        let (programs, textfile, agent, tracking) = match form {
            Form::Host => (
                "/opt/aami",
                "/var/lib/node_exporter/textfile",
                "/var/lib/aami/agent",
                "/var/lib/aami",
            ),
            Form::Foreground => ("/node/programs", "/node/textfile", "/node/agent", ""),
        };
        let agent = HostPath::new(agent)?;
        Ok(Self {
            programs: HostPath::new(programs)?,
            textfile: HostPath::new(textfile)?,
            key: agent.join("node.key")?,
            credential: agent.join("credential")?,
            ca: agent.join("ca.pem")?,
            registration: agent.join("registration.json")?,
            agent,
            staging: HostPath::new(format!("{tracking}/install/{cluster}/{}/staging", super::NAME))?,
            logs: HostPath::new("/node/log")?,
        })
    }
}

/// Where a path of the host is in the file system of this process.
pub(crate) fn real(root: &Path, path: &HostPath) -> PathBuf {
    root.join(path.as_str().trim_start_matches('/'))
}
