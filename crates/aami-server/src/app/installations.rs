//! How far installations are, for `/metrics`: out of the runs in the view, bounded.

use std::collections::BTreeSet;
use std::time::Duration;

use aami_model::OrgId;
use aami_model::access::Orgs;
use aami_monitor::installation::{Installation, Step, metrics};

use super::App;
use super::runs::hostname_of;

/// How long after its last report a run is told.
const RECENT: Duration = Duration::from_secs(24 * 3600);
/// At most so many installations are told, the newest.
const MOST: usize = 1_000;

impl App {
    /// The last run of each plan on each host, as metrics: of those that reported within a day.
    pub(crate) fn installations(&self, orgs: &Orgs) -> String {
        let snapshot = self.view.current();
        let now = self.world.now();
        let mut told: BTreeSet<(OrgId, String, String)> = BTreeSet::new();
        let mut named: BTreeSet<(String, String)> = BTreeSet::new();
        let mut installations = Vec::new();
        // Ids of runs are made in the order of time, so the newest come first.
        for held in snapshot.runs_backwards(orgs) {
            let run = &held.doc;
            let Some(plan) = run.plan.clone().filter(|_| !run.steps.is_empty()) else {
                continue;
            };
            if now.since(run.updated_at) > RECENT {
                continue;
            }
            let host = hostname_of(&snapshot, run).map(|host| host.to_string());
            // An older run on the same host was overtaken by the one that is told already.
            if let Some(host) = &host
                && !told.insert((run.org.clone(), host.clone(), plan.clone()))
            {
                continue;
            }
            // Another organisation's host of the same name hides nobody's: then the run tells them apart.
            let is_alone = host
                .as_ref()
                .is_some_and(|host| named.insert((host.clone(), plan.clone())));
            installations.push(Installation {
                run: (!is_alone).then(|| run.id.to_string()),
                host: host.unwrap_or_default(),
                plan,
                started_at: run.started_at,
                steps: run
                    .steps
                    .iter()
                    .map(|step| Step {
                        id: step.id.clone(),
                        status: step.status,
                        attempts: step.attempts,
                        duration_ms: step.duration_ms,
                    })
                    .collect(),
            });
            if installations.len() == MOST {
                break;
            }
        }
        let cluster = snapshot.cluster().map_or(&self.config.cluster, |held| &held.name);
        metrics(cluster, &installations)
    }
}
