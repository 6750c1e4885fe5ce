//! What the control plane does by its own clock. Each task does a bounded piece of work, then waits.
//!
//! Where several replicas share a store, only the one that holds the lead does them (see [`lead`]);
//! verifying, our own target file, the rules of the Prometheus beside it and its memory are each replica's own.

mod batches;
mod history;
mod lead;
mod links;
mod memory;
mod nodes;
mod pace;
mod replica;
mod rollout;
mod rules;
mod silences;
mod targets;
mod up;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;

pub(crate) use lead::Lead;

/// Starts them all.
pub(crate) fn start(tasks: &mut JoinSet<()>, app: &Arc<App>, lead: &Lead, stop: &CancellationToken) {
    lead.keep(tasks, app, stop);
    tasks.spawn(history::copy(app.clone(), lead.clone(), stop.clone()));
    for _ in 0..nodes::VERIFIERS {
        tasks.spawn(nodes::verify(app.clone(), stop.clone()));
    }
    every(tasks, Duration::from_secs(30), stop, {
        let app = app.clone();
        move || nodes::verify_again(app.clone())
    });
    every(tasks, Duration::from_secs(20), stop, {
        let (app, lead) = (app.clone(), lead.clone());
        move || nodes::give_up(app.clone(), lead.clone())
    });
    every(tasks, Duration::from_secs(300), stop, {
        let (app, lead) = (app.clone(), lead.clone());
        let pace = Arc::new(Mutex::new(pace::Pace::default()));
        move || history::tidy(app.clone(), lead.clone(), pace.clone())
    });
    every(tasks, memory::EVERY, stop, memory::give_back);
    links::start(tasks, app, lead, stop);
    tasks.spawn(silences::keep(app.clone(), lead.clone(), stop.clone()));
    tasks.spawn(rules::deliver(app.clone(), stop.clone()));
    tasks.spawn(up::ask(app.clone(), lead.clone(), stop.clone()));
    tasks.spawn(batches::work(app.clone(), lead.clone(), stop.clone()));
    every(tasks, Duration::from_secs(300), stop, {
        let (app, lead) = (app.clone(), lead.clone());
        move || batches::sweep(app.clone(), lead.clone())
    });
    crate::dashboards::keeper::start(tasks, app, stop);
    every(tasks, Duration::from_secs(30), stop, {
        let (app, lead) = (app.clone(), lead.clone());
        move || links::sweep_tickets(app.clone(), lead.clone())
    });
    replica::keep(tasks, app, stop);
    crate::peers::keep(tasks, app, stop);
    every(tasks, Duration::from_secs(2), stop, {
        let (app, lead) = (app.clone(), lead.clone());
        move || links::sweep(app.clone(), lead.clone())
    });
    every(tasks, Duration::from_secs(2), stop, {
        let (app, lead) = (app.clone(), lead.clone());
        move || links::end_maintenance(app.clone(), lead.clone())
    });
    every(tasks, rollout::EVERY, stop, {
        let (app, lead, mut turn) = (app.clone(), lead.clone(), 0_u32);
        move || {
            turn = turn.wrapping_add(1);
            rollout::drive(app.clone(), lead.clone(), turn)
        }
    });
    crate::notify::keep(tasks, app, lead, stop);
    if let Some(path) = app.config.file_sd.clone() {
        tasks.spawn(targets::write(app.clone(), path, stop.clone()));
    }
}

/// Does something every `interval`, never twice at once.
fn every<F, W>(tasks: &mut JoinSet<()>, interval: Duration, stop: &CancellationToken, mut work: F)
where
    F: FnMut() -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let stop = stop.clone();
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = work() => {}
            }
        }
    });
}
