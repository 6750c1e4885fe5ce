//! The seven steps, in the order people see them.

mod configure;
mod download;
mod finalize;
mod health;
mod preflight;
mod start;
mod token;

use std::sync::Arc;

use aami_install::Step;

use super::session::Session;

/// All of them.
pub(super) fn all(session: &Arc<Session>) -> Vec<Box<dyn Step>> {
    vec![
        Box::new(preflight::Preflight(session.clone())),
        Box::new(download::Download(session.clone())),
        Box::new(configure::Configure(session.clone())),
        Box::new(start::StartServices(session.clone())),
        Box::new(health::HealthChecks(session.clone())),
        Box::new(token::BootstrapToken(session.clone())),
        Box::new(finalize::Finalize(session.clone())),
    ]
}

fn needs(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}
