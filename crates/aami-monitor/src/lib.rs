//! What Prometheus, Alertmanager and Grafana are told: which exporters there are, under which labels, how they are
//! asked, what alerts, whom it is told to, and what is shown.
//!
//! [`rules`], [`presets`] and [`rule_sets`] render what Prometheus alerts on, [`alertmanager`] whom it is told to, [`dashboard`] and
//! [`grafana`] what Grafana shows. [`file_sd`] lists a fleet that is declared in a file.
//!
//! Start at [`catalogue::Catalogue`]: it holds every listed node in rendered form and answers service
//! discovery without building anything twice. [`listed::Listed`] is one node as Prometheus sees it,
//! [`prometheus::Configuration`] writes the `prometheus.yml` that asks.
//!
//! This room is pure. It opens no file, no socket and knows no clock: the control plane serves and
//! writes what is rendered here.

pub mod alertmanager;
pub mod answer;
pub mod catalogue;
pub mod custom;
pub mod dashboard;
pub mod file_sd;
pub mod grafana;
pub mod installation;
pub mod listed;
pub mod node_info;
pub mod presets;
pub mod prometheus;
pub mod promql;
pub mod rollout;
pub mod rule_sets;
pub mod rule_state;
pub mod rules;
pub mod scope;
pub mod scrape_path;
pub mod selection;
mod shards;

pub use answer::Answer;
pub use catalogue::{Catalogue, Change};
pub use listed::Listed;
pub use selection::{Selection, Shape};
