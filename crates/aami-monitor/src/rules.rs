//! Rules, in the form Prometheus reads. <https://prometheus.io/docs/prometheus/2.42/configuration/alerting_rules/>
//!
//! Each rule file is rendered here from values, so that a rule and its unit test (`promtool test rules`, in this
//! crate's tests) are about the same text. A rule is a [`Rule`]; the files about AAMI itself are [`texts`], those about
//! nodes and GPUs are put together by [`crate::presets`]. Nothing here writes a file or asks a Prometheus.

mod agents;
mod deliveries;
mod installation;
mod loading;
mod rule;

pub use agents::agents;
pub use deliveries::deliveries;
pub use installation::installation;
pub use loading::loading;
pub use rule::{File, Recording, Rule, severity_name};
pub(crate) use rule::{Group, Line, text_of};

/// What the file with [`installation()`] is called in a rules folder.
pub const INSTALLATION_FILE: &str = "aami-installation.yaml";

/// What the file with [`deliveries()`] is called in a rules folder.
pub const DELIVERIES_FILE: &str = "aami-deliveries.yaml";

/// What the file with [`agents()`] is called in a rules folder.
pub const AGENTS_FILE: &str = "aami-agents.yaml";

/// What the file with [`loading()`] is called in a rules folder.
pub const LOADING_FILE: &str = "aami-loading.yaml";

/// The files of rules a server's Prometheus is given.
pub const FILES: [&str; 4] = [INSTALLATION_FILE, DELIVERIES_FILE, AGENTS_FILE, LOADING_FILE];

/// What stands in each of [`FILES`], in their order.
pub fn texts() -> Result<[String; 4], RulesError> {
    Ok([installation()?, deliveries()?, agents()?, loading()?])
}

/// Why rules cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the rules cannot be written as YAML")]
pub struct RulesError(#[source] serde_saphyr::ser::Error);
