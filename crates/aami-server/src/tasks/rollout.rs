//! The updates of groups' agents, driven by the replica that leads.

use std::sync::Arc;
use std::time::Duration;

use super::Lead;
use crate::app::App;

/// How often it is looked what is due, where an update is moving.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// Where none is, every so many times: a node may have joined a group whose update is done.
const REST: u32 = 10;

/// Does what is due; `turn` counts the calls. All of it is judged anew each time, so nothing is lost with the lead.
pub(super) async fn drive(app: Arc<App>, lead: Lead, turn: u32) {
    if lead.is_held() && (turn.is_multiple_of(REST) || app.has_moving_rollout()) {
        app.drive_rollouts().await;
    }
}
