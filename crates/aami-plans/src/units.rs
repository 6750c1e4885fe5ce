//! The names of a node's units: what is written, and what must not be blocked before.

/// node_exporter. Not `node_exporter.service`: that name is likely taken by somebody's own.
pub(crate) const NODE_EXPORTER: &str = "aami-node-exporter.service";
/// NVIDIA's exporter.
pub(crate) const DCGM_EXPORTER: &str = "aami-dcgm-exporter.service";
/// The exporter of other GPUs.
pub(crate) const ALL_SMI: &str = "aami-all-smi.service";
/// One round of checks.
pub(crate) const CHECKS: &str = "aami-checks.service";
/// What begins a round each minute.
pub(crate) const CHECKS_TIMER: &str = "aami-checks.timer";
/// What keeps the connection to the control plane.
pub(crate) const AGENT: &str = "aami-agent.service";

/// What replaces the agent, and takes that back where the new one does not come up.
pub(crate) const AGENT_UPDATE: &str = "aami-agent-update.service";

/// All of them.
pub(crate) const NODE: [&str; 7] = [
    NODE_EXPORTER,
    DCGM_EXPORTER,
    ALL_SMI,
    CHECKS,
    CHECKS_TIMER,
    AGENT,
    AGENT_UPDATE,
];
