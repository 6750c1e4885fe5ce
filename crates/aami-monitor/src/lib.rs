//! What Prometheus is told: which exporters there are, under which labels, and how it asks.
//!
//! [`rules`] and [`dashboard`] render what Prometheus alerts on and Grafana shows.
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
pub mod installation;
pub mod listed;
pub mod node_info;
pub mod presets;
pub mod prometheus;
pub mod rollout;
pub mod rules;
pub mod scrape_path;
pub mod selection;
mod shards;

pub use answer::Answer;
pub use catalogue::{Catalogue, Change};
pub use listed::Listed;
pub use selection::{Selection, Shape};
