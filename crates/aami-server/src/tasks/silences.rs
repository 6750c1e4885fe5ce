//! Telling Alertmanager about nodes in maintenance, by the replica that leads.
//!
//! What it does not take is tried again, more and more rarely: while it takes nothing, one question at a time. Each
//! silence is looked at again now and then, as Alertmanager may have lost it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aami_model::NodeId;
use aami_store::Revision;
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::Lead;
use crate::app::App;
use crate::app::silences::Errand;

/// How often it is looked what is to be told.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked where nothing was written meanwhile and nothing was due.
const SELDOM: Duration = Duration::from_secs(15);
/// How often a silence that is in place is looked at again.
const RECHECK: Duration = Duration::from_secs(600);
/// How long a node waits about which Alertmanager refused what it was told.
const REFUSED: Duration = Duration::from_secs(60);
/// How long it is waited while Alertmanager takes nothing, at most.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// How many nodes are told of in one round, and how many at once.
const ROUND: usize = 256;
const TOGETHER: usize = 8;

/// What is remembered from one round to the next.
#[derive(Default)]
struct Memory {
    /// When a node was last told of, by the clock nobody sets, and whether that was refused.
    told: HashMap<NodeId, (Duration, bool)>,
    /// How often in a row nothing was taken.
    failures: u32,
    /// Of which picture nothing was due, and when that was.
    idle: Option<(Revision, Duration)>,
}

pub(super) async fn keep(app: Arc<App>, lead: Lead, stop: CancellationToken) {
    if app.services.alertmanager.is_none() {
        return;
    }
    let mut memory = Memory::default();
    loop {
        let rest = tokio::select! {
            () = stop.cancelled() => return,
            rest = round(&app, &lead, &mut memory) => rest,
        };
        tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(rest) => {} }
    }
}

/// What is due, those that wait longest first.
fn due(app: &App, memory: &mut Memory) -> Vec<Errand> {
    let now = app.world.elapsed();
    let mut errands = app.silence_errands();
    let known: std::collections::HashSet<&NodeId> = errands.iter().map(|errand| &errand.node).collect();
    memory.told.retain(|node, _| known.contains(node));
    errands.retain(|errand| match memory.told.get(&errand.node) {
        None => true,
        Some((at, refused)) => {
            let wait = match (errand.is_told(), refused) {
                (true, _) => RECHECK,
                (false, true) => REFUSED,
                (false, false) => Duration::ZERO,
            };
            now.saturating_sub(*at) >= wait
        }
    });
    errands.sort_by_key(|errand| memory.told.get(&errand.node).map(|(at, _)| *at));
    errands.truncate(if memory.failures > 0 { 1 } else { ROUND });
    errands
}

/// One round; answers how long to rest after it.
async fn round(app: &App, lead: &Lead, memory: &mut Memory) -> Duration {
    let Some(alertmanager) = app.services.alertmanager.as_ref().filter(|_| lead.is_held()) else {
        *memory = Memory::default();
        return LOOK;
    };
    let (revision, now) = (app.view.current().revision, app.world.elapsed());
    let is_idle = |(seen, at): (Revision, Duration)| seen == revision && now.saturating_sub(at) < SELDOM;
    if memory.idle.is_some_and(is_idle) {
        return LOOK;
    }
    let errands = due(app, memory);
    memory.idle = errands.is_empty().then_some((revision, now));
    if errands.is_empty() {
        return LOOK;
    }
    let told: Vec<_> = futures::stream::iter(errands)
        .map(|errand| async {
            let node = errand.node.clone();
            let told = app
                .run_silence_errand(alertmanager, errand, || lead.is_held())
                .await;
            (node, told)
        })
        .buffer_unordered(TOGETHER)
        .collect()
        .await;
    let now = app.world.elapsed();
    let mut failed = None;
    for (node, result) in told {
        if let Ok(told) = &result {
            app.counters.asked("alertmanager", told.is_ok());
        }
        let refused = match result {
            Ok(Ok(())) => false,
            Ok(Err(error)) if error.is_about_the_question() => {
                tracing::warn!(%node, %error, "Alertmanager refuses what it is told about a node");
                true
            }
            Ok(Err(error)) => {
                failed = Some(error.to_string());
                false
            }
            Err(refusal) => {
                failed = Some(refusal.to_string());
                false
            }
        };
        memory.told.insert(node, (now, refused));
    }
    let Some(error) = failed else {
        memory.failures = 0;
        return Duration::ZERO;
    };
    memory.failures = memory.failures.saturating_add(1);
    let rest = (LOOK * 2_u32.saturating_pow(memory.failures.min(10))).min(LONGEST_REST);
    // Apart from others that wait for the same Alertmanager.
    let [random] = app.world.random::<1>();
    let rest = rest / 2 + rest * u32::from(random) / 512;
    tracing::warn!(error, rest = ?rest, "what Alertmanager is to be told about nodes in maintenance waits");
    rest
}
