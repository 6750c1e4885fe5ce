//! Reading along with a run on a node, over as many connections as it takes.
//!
//! A connection that is lost, a node that is restarted and a follower that falls silent are all the same: the run
//! goes on there, or is begun again by the node's own means, and is followed again from the last number that was
//! heard. Only the node's time limit ends that.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aami_api::detached::{Ended, Kind, Line, SILENCE, Told};
use aami_install::render::{self, Progress};
use aami_model::code::{self, Code};
use aami_model::exporter::{Exporter, check_set};
use aami_model::run::{RunEvent, RunEventKind, RunStatus};
use aami_model::{Exit, Timestamp};
use aami_ssh::fanout::{Fault, Output, Turn};
use aami_ssh::{Chunk, Command, Connection, ErrorClass, Sink, SshError, Stream};
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::load::AGENT;
use super::work::{Job, left, said, ssh, strange};

/// No line of an agent is longer; what is longer is not one.
const LONGEST_LINE: usize = 1024 * 1024;
/// After so much silence the connection is as good as lost: a follower says something every [`SILENCE`].
const LOST_AFTER: Duration = SILENCE.saturating_mul(3);

/// A run that has ended, and the connection over which that was heard.
pub(super) struct Followed {
    pub(super) connection: Connection,
    heard: Heard,
    ended: Ended,
}

/// What was heard of a run so far.
#[derive(Debug, Default)]
struct Heard {
    /// The number of the last line.
    last: u64,
    progress: Option<Progress>,
    ended: Option<Ended>,
    failed: Option<(Code, String)>,
    told: Option<Told>,
    node: Option<NodeSays>,
}

/// What the agent says of the node when all is done.
#[derive(Debug, Deserialize)]
struct NodeSays {
    #[serde(default)]
    endpoints: Vec<Exporter>,
}

impl Heard {
    /// Takes a line in. Out: what is worth telling people.
    fn take(&mut self, line: Line) -> Option<String> {
        if let Some(seq) = line.seq {
            // Told twice, where two followers overlapped.
            if seq <= self.last {
                return None;
            }
            self.last = seq;
        }
        match line.kind {
            Kind::Event(kind) => {
                if let RunEventKind::StepFailed { code, message, .. } = &kind {
                    let known = Code::find(code).copied().unwrap_or(code::STEP_FAILED);
                    self.failed = Some((known, message.clone()));
                }
                if matches!(kind, RunEventKind::RunStarted { .. }) {
                    // Another attempt: what failed before is being mended.
                    (self.failed, self.told, self.ended) = (None, None, None);
                }
                let event = RunEvent {
                    seq: line.seq.unwrap_or_default(),
                    at: line.at.unwrap_or(Timestamp::EPOCH),
                    kind,
                };
                let progress = self.progress.get_or_insert_with(Progress::new);
                progress.take(&event);
                render::plain(progress, &event)
            }
            Kind::Ended(ended) => {
                self.ended = Some(ended);
                None
            }
            Kind::Error(told) => {
                let text = format!("error: {}", told.message);
                self.told = Some(told);
                Some(text)
            }
            Kind::Warning(text) => Some(format!("warning: {text}")),
            Kind::Output(text) => Some(text),
            Kind::Alive => None,
            Kind::Other { name, value } => {
                if name == "node" {
                    self.node = value
                        .get("node")
                        .and_then(|node| NodeSays::deserialize(node).ok());
                }
                None
            }
        }
    }
}

impl Followed {
    /// What came of it: the exporters that answer there now.
    pub(super) fn verdict(&self) -> Result<Vec<Exporter>, Fault> {
        let Heard {
            failed, told, node, ..
        } = &self.heard;
        match self.ended.status {
            RunStatus::Completed => {
                let node = node.as_ref();
                let node =
                    node.ok_or_else(|| strange("the run has ended well and did not say what answers there"))?;
                // A node is believed as far as it can harm only itself.
                check_set(&node.endpoints)
                    .map_err(|error| strange(format!("it names exporters that are none: {error}")))?;
                Ok(node.endpoints.clone())
            }
            RunStatus::Interrupted => Err(Fault {
                again: true,
                ..fault(code::INTERRUPTED, self.ended.message.as_deref())
            }),
            status => Err(match (told, failed) {
                (_, Some((code, message))) => Fault::new(ErrorClass::Remote, *code, message.clone()),
                (Some(told), None) => said(told),
                (None, None) => {
                    let what = format!("the run ended as {} with {}", status.name(), self.ended.exit);
                    fault(
                        code::STEP_FAILED,
                        Some(self.ended.message.as_deref().unwrap_or(&what)),
                    )
                }
            }),
        }
    }
}

fn fault(code: Code, message: Option<&str>) -> Fault {
    Fault::new(ErrorClass::Remote, code, message.unwrap_or(code.sentence))
}

/// Reads along until the run has ended.
pub(super) async fn to_the_end(
    job: &Job,
    turn: &Turn,
    output: &Output,
    connection: Connection,
    run: &str,
) -> Result<Followed, Fault> {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut connection = Some(connection);
    let mut pause = job.pauses.0.max(Duration::from_millis(100));
    loop {
        let lost = match connection.take() {
            Some(connection) => match once(job, turn, output, &connection, run, &heard).await {
                Ok(()) => {
                    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                    let heard = std::mem::take(&mut *heard);
                    let Some(ended) = heard.ended.clone() else {
                        return Err(strange("it stopped telling of the run before its end"));
                    };
                    return Ok(Followed {
                        connection,
                        heard,
                        ended,
                    });
                }
                Err(End::Fault(fault)) => return Err(fault),
                Err(End::Lost(why)) => why,
            },
            None => match job.ways.client.connect(&job.ways.hosts[turn.host]).await {
                Ok(fresh) => {
                    connection = Some(fresh);
                    output.progress("connected again").await;
                    continue;
                }
                Err(error) if error.class().may_retry() => error.to_string(),
                Err(error) => return Err(ssh(&error)),
            },
        };
        if left(turn) <= pause {
            let what = format!("the run {run} was not heard any more: {lost}");
            return Err(Fault::new(ErrorClass::Lost, code::NODE_LOST, what));
        }
        output
            .progress(&format!("{lost}; the run goes on there, connecting again"))
            .await;
        sleep(pause).await;
        pause = (pause * 2).min(job.pauses.1.max(pause));
    }
}

/// Why one reading ended without the run's end.
enum End {
    /// Another connection may help.
    Lost(String),
    /// Nothing helps.
    Fault(Fault),
}

/// Reads along over one connection.
async fn once(
    job: &Job,
    turn: &Turn,
    output: &Output,
    connection: &Connection,
    run: &str,
    heard: &Arc<Mutex<Heard>>,
) -> Result<(), End> {
    let after = heard
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .last
        .to_string();
    let words = [AGENT, "run", "follow", run, "--after", &after, "--json"];
    let command = job.ways.as_root(Command::program(words)).timeout(left(turn));
    let alive = Arc::new(Notify::new());
    let mut reader = Reader {
        line: Vec::new(),
        heard: Arc::clone(heard),
        alive: Arc::clone(&alive),
        output: output.clone(),
    };
    let exit = tokio::select! {
        exit = connection.run(&command, &mut reader) => exit,
        () = silence(&alive) => {
            return Err(End::Lost(format!("nothing was heard for {} s", LOST_AFTER.as_secs())));
        }
    };
    let exit = match exit {
        Ok(exit) => exit,
        Err(error) => return Err(lost(&error)),
    };
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    if heard.ended.is_some() {
        return Ok(());
    }
    if exit == aami_ssh::Exit::Code(u32::from(Exit::NotFound.number())) {
        let what = format!("the run {run} is not there any more");
        return Err(End::Fault(Fault::new(ErrorClass::Remote, code::NOT_FOUND, what)));
    }
    match &heard.told {
        Some(told) => Err(End::Fault(said(told))),
        None => Err(End::Lost("reading along ended".to_owned())),
    }
}

fn lost(error: &SshError) -> End {
    if error.class().may_retry() && !matches!(error, SshError::TimedOut { .. }) {
        End::Lost(error.to_string())
    } else {
        End::Fault(ssh(error))
    }
}

/// Ends when nothing was heard for too long.
async fn silence(alive: &Notify) {
    while timeout(LOST_AFTER, alive.notified()).await.is_ok() {}
}

/// Puts pieces of output together to lines, and takes them in.
struct Reader {
    line: Vec<u8>,
    heard: Arc<Mutex<Heard>>,
    alive: Arc<Notify>,
    output: Output,
}

impl Sink for Reader {
    async fn take(&mut self, chunk: Chunk) {
        self.alive.notify_one();
        match chunk.stream {
            // A login's own words, or the agent's last ones.
            Stream::Stderr => self.output.say(Stream::Stderr, &chunk.bytes).await,
            Stream::Stdout => {
                for piece in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
                    self.line.extend_from_slice(piece);
                    if piece.ends_with(b"\n") {
                        self.whole().await;
                    } else if self.line.len() > LONGEST_LINE {
                        self.line.clear();
                    }
                }
            }
        }
    }
}

impl Reader {
    async fn whole(&mut self) {
        let text = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        let Some(line) = Line::parse(&text) else {
            self.output.say(Stream::Stdout, text.as_bytes()).await;
            return;
        };
        let worth = self
            .heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(line);
        if let Some(text) = worth {
            self.output.progress(&text).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(lines: &[&str]) -> Heard {
        let mut heard = Heard::default();
        for line in lines {
            heard.take(Line::parse(line).unwrap());
        }
        heard
    }

    #[test]
    fn a_line_that_is_told_twice_counts_once() {
        let mut heard = hear(&[r#"{"seq":1,"type":"output","message":"a"}"#]);
        assert_eq!(
            heard.take(Line::parse(r#"{"seq":1,"type":"output","message":"a"}"#).unwrap()),
            None
        );
        assert_eq!(
            heard.take(Line::parse(r#"{"seq":2,"type":"output","message":"b"}"#).unwrap()),
            Some("b".to_owned())
        );
        assert_eq!(heard.last, 2);
    }

    #[test]
    fn what_answers_on_a_node_is_what_its_agent_says() {
        let heard = hear(&[
            r#"{"seq":8,"type":"node","node":{"hostname":"gpu-01","endpoints":[{"type":"node_exporter","port":9100}]}}"#,
            r#"{"seq":9,"type":"run_ended","status":"completed","exit":0,"attempt":1}"#,
        ]);
        let node = heard.node.unwrap();
        assert_eq!(node.endpoints[0].port, 9100);
        assert_eq!(heard.ended.unwrap().status, RunStatus::Completed);
    }

    #[test]
    fn another_attempt_forgets_what_failed_before() {
        let failed = r#"{"seq":1,"type":"step_failed","step":"x","code":"PORT_IN_USE","message":"m","hint":"h","duration_ms":1}"#;
        let started = r#"{"seq":3,"type":"run_started","plan":"node","steps":[]}"#;
        let ended = r#"{"seq":2,"type":"run_ended","status":"failed","exit":6,"attempt":1}"#;
        let heard = hear(&[failed, ended]);
        assert_eq!(heard.failed.as_ref().unwrap().0, code::PORT_IN_USE);
        let heard = hear(&[failed, ended, started]);
        assert!(heard.failed.is_none() && heard.ended.is_none());
    }
}
