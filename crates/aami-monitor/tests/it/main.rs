//! What Prometheus is told, judged by Prometheus itself where it can be.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod alertmanager;
mod catalogue;
mod configuration;
mod dashboard;
mod dashboard_queries;
mod engine;
mod exported;
mod exporters;
mod file_fleet;
mod fleet;
mod labels;
mod presets;
mod promql;
mod rules;
mod scraped;
mod web;
