//! Does what the schedule says, with tasks and the real clock; what is cut off in the middle is [`abort`]'s.

mod abort;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aami_model::code;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::brake::{Braked, Pull};
use super::event::{Event, Outcome, Stop};
use super::fault::Fault;
use super::journal::{Journal, JournalError};
use super::kept::{Budget, Text, Texts};
use super::logs::Logs;
use super::output::{Keep, Output, Teller};
use super::report::{HostReport, Report};
use super::run::{Fanout, Turn};
use super::schedule::{End, Follows, How, Next, Schedule, Start};
use crate::ErrorClass;

/// How long work that does not heed its deadline is waited for before it is cut off.
const GRACE: Duration = Duration::from_secs(5);

/// No host takes longer, so that times can be added up.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What is remembered of a host.
struct Host<T> {
    name: Arc<str>,
    attempts: u32,
    first: Option<Instant>,
    output: Option<Output>,
    last: Option<Fault>,
    ended: Option<Ended<T>>,
}

/// How a host ended.
struct Ended<T> {
    outcome: Outcome,
    answer: Option<T>,
    took: Duration,
    stdout: Text,
    stderr: Text,
    cut: bool,
}

/// A fan-out under way.
pub(super) struct Drive<F, T> {
    schedule: Schedule,
    hosts: Vec<Host<T>>,
    work: F,
    tasks: JoinSet<Result<T, Fault>>,
    /// Which host a task works on.
    working: HashMap<Id, usize>,
    began: Instant,
    deadline: Duration,
    parallel: usize,
    canaries: Option<usize>,
    told_stop: bool,
    keep: Keep,
    budget: Budget,
    texts: Texts,
    teller: Teller,
    logs: Option<Arc<dyn Logs>>,
    brake: Option<Braked>,
    journal: Option<Journal>,
    journal_broken: Option<String>,
}

impl<F, W, T> Drive<F, T>
where
    F: Fn(Turn, Output) -> W,
    W: Future<Output = Result<T, Fault>> + Send + 'static,
    T: Send + 'static,
{
    pub(super) fn new(mut fanout: Fanout, names: &[String], work: F) -> Self {
        fanout.limits.deadline = fanout.limits.deadline.min(LONGEST);
        let canaries = fanout.limits.canary.min(names.len());
        let hosts = names.iter().map(|name| Host {
            name: name.as_str().into(),
            attempts: 0,
            first: None,
            output: None,
            last: None,
            ended: None,
        });
        Self {
            hosts: hosts.collect(),
            work,
            tasks: JoinSet::new(),
            working: HashMap::new(),
            began: Instant::now(),
            deadline: fanout.limits.deadline,
            parallel: fanout.limits.max_parallel.max(1),
            // That all hosts are canaries is nothing to tell.
            canaries: Some(canaries).filter(|canaries| *canaries > 0 && *canaries < names.len()),
            told_stop: false,
            schedule: Schedule::new(names.len(), fanout.limits, fanout.seed),
            budget: Budget::new(fanout.keep.together),
            keep: fanout.keep,
            texts: Texts::default(),
            teller: fanout.teller,
            logs: fanout.logs,
            brake: fanout.brake,
            journal: fanout.journal,
            journal_broken: None,
        }
    }

    pub(super) async fn finish(mut self) -> Report<T> {
        let aborted = match self.brake.clone() {
            None => {
                self.work_through().await;
                false
            }
            Some(mut brake) => tokio::select! {
                // Whoever draws may be stuck, and must not keep anybody from stopping.
                () = brake.reached(Pull::Abort) => true,
                () = self.work_through() => false,
            },
        };
        if aborted {
            self.abort().await;
        }
        self.report()
    }

    async fn work_through(&mut self) {
        loop {
            self.heed_brake();
            self.tell_changes().await;
            match self.schedule.next(self.began.elapsed()) {
                Next::Start(start) => self.start(start).await,
                Next::End { host, why } => {
                    let outcome = match why {
                        End::NotStarted(why) => Outcome::NotStarted(why),
                        End::LastFailure => self.last_failure(host),
                    };
                    self.end(host, outcome, None).await;
                }
                Next::Wait(until) => self.wait(until).await,
                Next::Over => return,
            }
        }
    }

    fn heed_brake(&mut self) {
        if self
            .brake
            .as_ref()
            .is_some_and(|brake| brake.pulled() >= Pull::Drain)
        {
            self.schedule.stop(Stop::Told);
        }
    }

    /// Tells what became of the whole, once for each change.
    async fn tell_changes(&mut self) {
        if let Some(why) = self.schedule.stopped() {
            if !self.told_stop {
                self.told_stop = true;
                let left = self.schedule.not_begun();
                self.teller.tell(Event::Stopping { why, left }).await;
            }
            return;
        }
        if !self.schedule.on_canaries()
            && let Some(hosts) = self.canaries.take()
        {
            self.teller.tell(Event::CanaryPassed { hosts }).await;
        }
        let parallel = self.schedule.parallel();
        if parallel != self.parallel {
            self.parallel = parallel;
            self.teller.tell(Event::Parallel { hosts: parallel }).await;
        }
    }

    async fn start(&mut self, start: Start) {
        let Start { host, attempt, until } = start;
        let until = self.began + until;
        // Told before anything else: a host that is not told is not begun.
        self.teller.tell(Event::Started { host, attempt }).await;
        let (keep, budget, teller, logs) = (&self.keep, &self.budget, &self.teller, &self.logs);
        let known = &mut self.hosts[host];
        known.attempts = attempt;
        known.first.get_or_insert_with(Instant::now);
        let output = match &known.output {
            Some(output) => {
                output.again(attempt);
                output.clone()
            }
            None => {
                let name = Arc::clone(&known.name);
                let output = Output::new(host, name, keep.per_host, budget, teller.clone(), logs.clone());
                known.output.insert(output).clone()
            }
        };
        let turn = Turn {
            host,
            name: Arc::clone(&known.name),
            attempt,
            until,
        };
        let work = (self.work)(turn, output);
        let deadline = self.deadline;
        let task = self.tasks.spawn(async move {
            timeout_at(until + GRACE, work)
                .await
                .unwrap_or_else(|_| Err(time_up(deadline)))
        });
        self.working.insert(task.id(), host);
    }

    /// Waits until a task has ended, the time has come, or the brake is pulled.
    async fn wait(&mut self, until: Option<Duration>) {
        // Without a time there are tasks, and each of them has an end.
        let at = self.began + until.unwrap_or(self.began.elapsed() + self.deadline + GRACE);
        let braked = self.brake.clone().filter(|_| self.schedule.stopped().is_none());
        let ended = tokio::select! {
            ended = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => ended,
            () = tokio::time::sleep_until(at) => None,
            () = pulled(braked) => None,
        };
        if let Some(ended) = ended {
            self.heard(ended).await;
        }
    }

    /// A task has ended.
    async fn heard(&mut self, ended: Result<(Id, Result<T, Fault>), JoinError>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(broke(&error))),
        };
        let Some(host) = self.working.remove(&id) else {
            return;
        };
        let how = match &result {
            Ok(_) => How::Well,
            Err(fault) if !fault.again => How::Failed,
            Err(fault) if fault.class == ErrorClass::Congestion => How::Congested,
            Err(_) => How::MayRetry,
        };
        match (self.schedule.ended(host, how, self.began.elapsed()), result) {
            (Follows::Retry(after), Err(fault)) => {
                self.hosts[host].last = Some(fault.clone());
                let attempt = self.hosts[host].attempts;
                self.teller
                    .tell(Event::Retrying {
                        host,
                        attempt,
                        after,
                        fault,
                    })
                    .await;
            }
            (_, Ok(answer)) => self.end(host, Outcome::Ok, Some(answer)).await,
            (Follows::Nothing, Err(fault)) => self.end(host, Outcome::Failed(fault), None).await,
        }
    }

    /// A host is done with.
    async fn end(&mut self, host: usize, outcome: Outcome, answer: Option<T>) {
        self.note(host, &outcome, answer);
        for event in self.close(host) {
            self.teller.tell(event).await;
        }
        self.teller.tell(Event::Ended { host, outcome }).await;
    }

    /// Remembers how it ended, before anything is waited for: whatever is cut off later, this stands.
    fn note(&mut self, host: usize, outcome: &Outcome, answer: Option<T>) {
        let known = &mut self.hosts[host];
        known.ended = Some(Ended {
            outcome: outcome.clone(),
            answer,
            took: known.first.map_or(Duration::ZERO, |first| first.elapsed()),
            stdout: Text::nothing(),
            stderr: Text::nothing(),
            cut: false,
        });
        if outcome.is_ok()
            && let Some(journal) = &mut self.journal
            && let Err(error) = journal.done(&known.name)
        {
            self.journal_broken.get_or_insert_with(|| explained(&error));
        }
    }

    /// Puts what it said beside how it ended. Out: what is still to be told.
    fn close(&mut self, host: usize) -> Vec<Event> {
        let known = &mut self.hosts[host];
        let (Some(output), Some(ended)) = (known.output.take(), &mut known.ended) else {
            return Vec::new();
        };
        let closed = output.close();
        (ended.stdout, ended.stderr) = (self.texts.add(closed.out), self.texts.add(closed.err));
        ended.cut = closed.cut;
        closed.events
    }

    fn last_failure(&mut self, host: usize) -> Outcome {
        // It waits because it failed.
        self.hosts[host]
            .last
            .take()
            .map_or(Outcome::Interrupted, Outcome::Failed)
    }

    fn report(self) -> Report<T> {
        let mut broken = self.journal_broken;
        let mut resume: Option<PathBuf> = None;
        if let Some(journal) = self.journal {
            let path = journal.path().to_owned();
            match journal.finish() {
                Ok(left) => resume = left,
                Err(error) => {
                    broken.get_or_insert_with(|| explained(&error));
                    resume = Some(path);
                }
            }
        }
        let hosts = self.hosts.into_iter().map(|host| {
            let ended = host.ended.unwrap_or_else(|| Ended {
                outcome: Outcome::Interrupted,
                answer: None,
                took: Duration::ZERO,
                stdout: Text::nothing(),
                stderr: Text::nothing(),
                cut: false,
            });
            HostReport {
                name: host.name,
                outcome: ended.outcome,
                answer: ended.answer,
                attempts: host.attempts,
                took: ended.took,
                stdout: ended.stdout,
                stderr: ended.stderr,
                cut: ended.cut,
            }
        });
        Report {
            hosts: hosts.collect(),
            stopped: self.schedule.stopped(),
            took: self.began.elapsed(),
            resume,
            resume_broken: broken,
            untold: Vec::new(),
        }
    }
}

async fn pulled(brake: Option<Braked>) {
    match brake {
        Some(mut brake) => brake.reached(Pull::Drain).await,
        None => std::future::pending().await,
    }
}

fn time_up(after: Duration) -> Fault {
    let sentence = format!(
        "it was not done within {} s, and was cut off",
        after.as_secs_f64()
    );
    Fault::new(ErrorClass::TimedOut, code::NODE_TIME_UP, sentence)
}

/// Work that panicked, or was ended from outside.
fn broke(error: &JoinError) -> Fault {
    let sentence = format!("the work on this host broke off by a defect of AAMI: {error}");
    Fault::new(ErrorClass::Local, code::SSH_LOCAL, sentence)
}

/// With its cause, for it is only shown.
fn explained(error: &JournalError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
