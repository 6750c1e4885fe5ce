//! What Prometheus is told, judged by Prometheus itself where it can be.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod catalogue;
mod configuration;
mod dashboard;
mod engine;
mod fleet;
mod labels;
mod rules;
mod scraped;
