//! The one task that keeps the board in step with what is: state from the view and the events, and what is live.
//!
//! It begins when the first dashboard comes and lets the board go when the last has been away for a while. What it
//! tells is in the order of the numbers: a row of a revision never comes before the events of an earlier one.

use std::iter::Peekable;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aami_model::access::{Caller, Orgs};
use aami_model::event::Event;
use aami_model::run::RunStatus;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::frame::{Draft, Key};
use super::progress::Pace;
use super::{changes, rows};
use crate::app::App;
use crate::app::events::{self, Wanted, newest};
use crate::link::spread_seconds;
use crate::view::Snapshot;

/// How many events are read at once.
const PAGE: usize = 512;
/// How long nothing may happen before it is looked all the same.
const IDLE: Duration = Duration::from_secs(1);
/// How long what happens together gathers after something was told: the first of a burst waits for nobody. The more
/// there are to be told, the rarer.
const GATHER: Duration = Duration::from_millis(5);
const GATHER_FOR_EACH: Duration = Duration::from_micros(20);
/// How long the board outlives the last who looked at it.
const LINGER: Duration = Duration::from_secs(120);
/// How often it is looked whether all have gone.
const BREATH: Duration = Duration::from_millis(10);

/// Starts it.
pub(crate) fn start(tasks: &mut JoinSet<()>, app: &Arc<App>, stop: &CancellationToken) {
    tasks.spawn(keep(app.clone(), stop.clone()));
    tasks.spawn(farewell(app.clone(), stop.clone()));
}

async fn keep(app: Arc<App>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if app.dashboards.hall.open() == 0 {
            tokio::select! { () = stop.cancelled() => return, () = app.dashboards.bell.notified() => {} }
            continue;
        }
        let snapshot = app.view.current();
        let laid = snapshot.clone();
        // A large fleet takes a moment, in which nothing else should wait.
        let Ok(board) = tokio::task::spawn_blocking(move || lay(&laid)).await else {
            return;
        };
        let mut keeper = Keeper {
            app: &app,
            board,
            pace: Pace::new(app.world.elapsed()),
            seen: snapshot,
            judged: Instant::now(),
            alone: None,
        };
        keeper.show();
        tokio::select! { () = stop.cancelled() => return, () = keeper.follow() => {} }
        app.dashboards.picture.send_replace(None);
        let fractions = app.dashboards.fractions.lock();
        fractions.unwrap_or_else(PoisonError::into_inner).clear();
        drop(app.dashboards.take_told());
    }
}

/// The board as it is when the first one comes.
fn lay(snapshot: &Snapshot) -> Board {
    let epoch = snapshot.epoch().map_or("", |epoch| epoch.epoch.as_str());
    let mut board = Board::new(epoch, newest(snapshot));
    for held in snapshot.nodes(&Orgs::All, None) {
        board.lay(rows::node(&held.doc));
    }
    for held in snapshot
        .runs(&Orgs::All)
        .filter(|held| !held.doc.status.is_final())
    {
        board.lay(rows::run(&held.doc));
        if held.doc.status == RunStatus::Running {
            board.lay(rows::progress(&held.doc, None));
        }
    }
    board
}

struct Keeper<'a> {
    app: &'a Arc<App>,
    board: Board,
    pace: Pace,
    seen: Arc<Snapshot>,
    /// When those who are here were last judged.
    judged: Instant,
    /// Since when nobody is here.
    alone: Option<Instant>,
}

impl Keeper<'_> {
    /// Follows what happens until nobody looks any more, or the store begins another life.
    async fn follow(&mut self) {
        loop {
            let before = self.board.newest();
            if !self.state().await {
                return;
            }
            self.live();
            self.show();
            let open = u32::try_from(self.app.dashboards.hall.open()).unwrap_or(u32::MAX);
            if self.board.newest() != before {
                tokio::time::sleep(GATHER + GATHER_FOR_EACH * open).await;
            }
            if open > 0 {
                self.alone = None;
            } else if self.alone.get_or_insert_with(Instant::now).elapsed() > LINGER {
                return;
            }
            if self.judged.elapsed() >= IDLE {
                self.judge();
            }
            let wait = self.pace.wait(self.app.world.elapsed());
            let news = self.app.view.reached(self.seen.revision.next(), IDLE);
            tokio::select! {
                _ = news => {}
                () = tokio::time::sleep(wait.unwrap_or(IDLE)) => {}
            }
        }
    }

    /// Tells what changed in the view, and the events, in the order of their numbers. False when the store begins
    /// another life.
    async fn state(&mut self) -> bool {
        let snapshot = self.app.view.current();
        if snapshot.revision <= self.seen.revision {
            return true;
        }
        let epoch = |of: &Snapshot| of.epoch().map(|epoch| epoch.epoch.clone());
        if epoch(&snapshot) != epoch(&self.seen) {
            return false;
        }
        let changes = changes::between(&self.seen, &snapshot);
        let (mut through, goal) = (newest(&self.seen), newest(&snapshot));
        let mut frames = changes.frames.into_iter().peekable();
        let mut pause = BREATH;
        if let Some(events) = events::between(&self.seen, &snapshot) {
            self.tell(&mut frames, &events, goal);
            through = goal;
        }
        // What has been moved to the history meanwhile is read there.
        while through < goal {
            let wanted = Wanted {
                after: through,
                limit: PAGE,
                subject: None,
            };
            match self.app.events(&Caller::system(), &wanted).await {
                Ok(page) => {
                    through = page.last_seq.min(goal);
                    self.tell(&mut frames, &page.events, through);
                    self.show();
                    pause = BREATH;
                }
                Err(refusal) => {
                    tracing::warn!(%refusal, "events cannot be read; dashboards wait");
                    self.judge();
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(IDLE);
                }
            }
        }
        self.seen = snapshot;
        let now = self.app.world.elapsed();
        for run in &changes.at_work {
            self.pace.ask(run, now);
        }
        let fractions = &self.app.dashboards.fractions;
        for run in changes.over {
            self.pace.forget(&run);
            fractions
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .forget(&run);
            self.board.drop_row(&Key::Progress(run));
        }
        if changes.keys {
            self.judge();
        }
        true
    }

    /// Puts rows and events up to a number on the board.
    fn tell(
        &mut self,
        frames: &mut Peekable<impl Iterator<Item = (u64, Draft)>>,
        events: &[Event],
        through: u64,
    ) {
        for event in events.iter().filter(|event| event.seq <= through) {
            while let Some((seq, draft)) = frames.next_if(|(seq, _)| *seq < event.seq) {
                self.board.tell(seq, draft);
            }
            self.board.tell(event.seq, rows::event(event));
        }
        while let Some((seq, draft)) = frames.next_if(|(seq, _)| *seq <= through) {
            self.board.tell(seq, draft);
        }
        self.board.reach(through);
    }

    /// Tells how far those are whose time has come.
    fn live(&mut self) {
        let now = self.app.world.elapsed();
        for run in self.app.dashboards.take_told() {
            self.pace.ask(&run, now);
        }
        for run in self.pace.take(self.app.world.elapsed()) {
            let held = self
                .seen
                .run(&run)
                .filter(|held| held.doc.status == RunStatus::Running);
            if let Some(held) = held {
                let fractions = &self.app.dashboards.fractions;
                let fraction = fractions.lock().unwrap_or_else(PoisonError::into_inner).of(&run);
                self.board.tell_live(rows::progress(&held.doc, fraction.as_ref()));
            }
        }
    }

    fn judge(&mut self) {
        let snapshot = self.app.view.current();
        self.app.dashboards.judge(&snapshot, self.app.world.now());
        self.judged = Instant::now();
    }

    /// Shows the board. Nobody is woken where nothing was put on it, unless somebody waits to hear just that.
    fn show(&self) {
        let next = self.board.picture();
        let dashboards = &self.app.dashboards;
        dashboards.picture.send_if_modified(|shown| {
            let waiting = dashboards.unsynced.load(Ordering::SeqCst) > 0;
            let news = shown.as_ref().is_none_or(|shown| {
                shown.newest != next.newest || (waiting && shown.through != next.through)
            });
            *shown = Some(Arc::new(next));
            news
        });
    }
}

/// On a stop, tells everybody to come back, spread, and waits until they have gone.
async fn farewell(app: Arc<App>, stop: CancellationToken) {
    stop.cancelled().await;
    let hall = &app.dashboards.hall;
    hall.drain(spread_seconds(hall.open(), app.config.heartbeat_timeout));
    let gone = async {
        while hall.open() > 0 {
            tokio::time::sleep(BREATH).await;
        }
    };
    if tokio::time::timeout(app.config.drain, gone).await.is_err() {
        tracing::warn!(left = hall.open(), "some dashboards did not take their farewell");
    }
}
