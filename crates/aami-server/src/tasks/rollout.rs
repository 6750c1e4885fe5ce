//! The updates of groups' agents, driven by the replica that leads.

use std::sync::Arc;
use std::time::Duration;

use super::Lead;
use crate::app::App;

/// How often it is looked what is due.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// Does what is due. All of it is judged anew each time, so nothing is lost with the lead.
pub(super) async fn drive(app: Arc<App>, lead: Lead) {
    if lead.is_held() {
        app.drive_rollouts().await;
    }
}
