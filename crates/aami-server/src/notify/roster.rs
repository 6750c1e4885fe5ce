//! Who is delivered to at this moment: one set of lanes per destination, for as long as this replica leads.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use aami_model::webhook::SERVICE;
use aami_store::Revision;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::feed::Feed;
use super::records::Records;
use super::{Destination, LANES, lane};
use crate::app::App;
use crate::tasks::Lead;

/// How long nothing may change before it is looked all the same: the lead may have.
const IDLE: Duration = Duration::from_secs(1);
/// How often it is looked at most.
const GATHER: Duration = Duration::from_millis(20);

/// The lanes of one destination as it was at one revision.
struct Lanes {
    revision: Revision,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// Ends lanes, all at once: each may wait for a store that does not answer.
async fn end(ended: Vec<Lanes>) {
    for lanes in &ended {
        lanes.stop.cancel();
    }
    futures::future::join_all(ended.into_iter().flat_map(|lanes| lanes.tasks)).await;
}

/// Keeps the lanes in step with the destinations until `stop`.
pub(crate) fn keep(tasks: &mut JoinSet<()>, app: &Arc<App>, lead: &Lead, stop: &CancellationToken) {
    let (app, lead, stop) = (app.clone(), lead.clone(), stop.clone());
    tasks.spawn(async move {
        let mut at_work: HashMap<String, Lanes> = HashMap::new();
        let mut labels: HashMap<String, String> = HashMap::new();
        let written = CancellationToken::new();
        let writing = tokio::spawn(Records::keep(app.clone(), written.clone()));
        let mut feed: Option<(CancellationToken, JoinHandle<()>)> = None;
        while !stop.is_cancelled() {
            let shown = app.view.revision();
            let wanted = if lead.is_held() {
                wanted(&app)
            } else {
                HashMap::new()
            };
            let ended = at_work
                .iter()
                .filter(|(id, lanes)| wanted.get(*id) != Some(&lanes.revision))
                .map(|(id, _)| id.clone())
                .collect::<Vec<_>>();
            end(ended.iter().filter_map(|id| at_work.remove(id)).collect()).await;
            for id in &ended {
                app.notify.forget(id);
            }
            // A destination that is switched off keeps what was counted; one that is gone does not.
            labels.retain(|id, label| {
                let stays = exists(&app, id);
                if !stays {
                    app.counters.forget_deliveries(label);
                }
                stays
            });
            if wanted.is_empty() {
                if let Some((stop, task)) = feed.take() {
                    stop.cancel();
                    let _ = task.await;
                }
            } else if feed.is_none() {
                let stop = CancellationToken::new();
                feed = Some((stop.clone(), tokio::spawn(Feed::follow(app.clone(), stop))));
            }
            for (id, revision) in wanted {
                if !at_work.contains_key(&id)
                    && let Some((label, lanes)) = begin(&app, &id, revision)
                {
                    let former = labels.insert(id.clone(), label.clone());
                    if let Some(former) = former.filter(|former| *former != label) {
                        app.counters.forget_deliveries(&former);
                    }
                    at_work.insert(id, lanes);
                }
            }
            let news = app.view.reached(shown.next(), IDLE);
            tokio::select! { () = stop.cancelled() => break, _ = news => {} }
            tokio::select! { () = stop.cancelled() => break, () = tokio::time::sleep(GATHER) => {} }
        }
        end(at_work.into_values().collect()).await;
        if let Some((stop, task)) = feed {
            stop.cancel();
            let _ = task.await;
        }
        written.cancel();
        let _ = writing.await;
    });
}

/// The destinations there should be, with the revision each was last changed at.
fn wanted(app: &App) -> HashMap<String, Revision> {
    let snapshot = app.view.current();
    let made = snapshot
        .webhooks()
        .filter(|held| held.doc.enabled)
        .map(|held| (held.doc.id.to_string(), held.revision));
    let service = app.config.noti_service_url.as_ref();
    made.chain(service.map(|_| (SERVICE.to_owned(), files_of_the_service(app))))
        .collect()
}

/// Grows, shrinks, in any case changes when one of the files does that the configuration names for its service: a key
/// that is rotated needs no restart.
fn files_of_the_service(app: &App) -> Revision {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let config = &app.config;
    let files = [
        &config.noti_key_file,
        &config.noti_secret_file,
        &config.noti_ca_file,
    ];
    let mut hasher = DefaultHasher::new();
    for path in files.into_iter().flatten() {
        let looked = std::fs::metadata(path).ok();
        let looked = looked.map(|file| (file.len(), file.modified().ok(), file.ino()));
        looked.hash(&mut hasher);
    }
    Revision::new(hasher.finish())
}

/// Whether there is such a destination, at work or not.
fn exists(app: &App, id: &str) -> bool {
    let made = || {
        id.parse()
            .ok()
            .is_some_and(|id| app.view.current().webhook(&id).is_some())
    };
    id == SERVICE || made()
}

fn begin(app: &Arc<App>, id: &str, revision: Revision) -> Option<(String, Lanes)> {
    let destination = Arc::new(app.destination(id)?);
    app.counters.begin_deliveries(&destination.label);
    let gauge = app.notify.gauge_for(&destination);
    let stop = CancellationToken::new();
    let tasks = (0..LANES).map(|number| {
        let work = lane::run(
            app.clone(),
            destination.clone(),
            gauge.clone(),
            number,
            revision,
            stop.clone(),
        );
        tokio::spawn(work)
    });
    let lanes = Lanes {
        revision,
        tasks: tasks.collect(),
        stop,
    };
    Some((destination.label.clone(), lanes))
}

impl App {
    /// Whether the destination is gone, or another than at this revision. A service named by the configuration is looked
    /// at by the roster alone, for that costs a look at its files.
    pub(super) fn destination_changed(&self, id: &str, revision: Revision) -> bool {
        let snapshot = self.view.current();
        let held = || snapshot.webhook(&id.parse().ok()?);
        id != SERVICE && held().is_none_or(|held| held.revision != revision)
    }

    /// The destination of this id, with its secrets opened.
    pub(crate) fn destination(&self, id: &str) -> Option<Destination> {
        if id == SERVICE {
            return Destination::service(&self.notify, &self.config);
        }
        let snapshot = self.view.current();
        let held = snapshot.webhook(&id.parse().ok()?)?;
        Some(Destination::of(&self.notify, held))
    }
}
