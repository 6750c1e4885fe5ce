//! Many agents at once, over whatever kind of stream.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use crate::speech::Speech;

/// How often an agent says that it is there.
pub(crate) const BEAT: Duration = Duration::from_secs(30);
/// How long one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(20);
/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often due heartbeats are sent.
const TICK: Duration = Duration::from_millis(20);

/// Agents that are connected, in the order of their machines.
pub(crate) struct Agents<S> {
    speech: Speech,
    streams: Vec<S>,
}

/// How a fleet came to be connected.
pub(crate) struct Came {
    /// From the first attempt to the last greeting taken.
    pub(crate) took: Duration,
    /// Attempts that failed and were made again.
    pub(crate) again: usize,
}

impl<S> Agents<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Connects one agent for each request, so many at once; one that fails tries again a moment later.
    pub(crate) async fn connect<O, F>(
        speech: Speech,
        requests: &Arc<Vec<Vec<u8>>>,
        together: usize,
        open: O,
    ) -> (Self, Came)
    where
        O: Fn(usize) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = io::Result<S>> + Send + 'static,
    {
        let begun = Instant::now();
        let room = Arc::new(Semaphore::new(together));
        let again = Arc::new(AtomicUsize::new(0));
        let tasks = (0..requests.len()).map(|n| {
            let (requests, room, again, open) = (requests.clone(), room.clone(), again.clone(), open.clone());
            tokio::spawn(async move {
                let _place = room.acquire_owned().await.unwrap();
                loop {
                    let attempt = async {
                        let mut stream = open(n).await?;
                        speech.connect(&mut stream, &requests[n]).await?;
                        io::Result::Ok(stream)
                    };
                    let error = match tokio::time::timeout(ATTEMPT, attempt).await {
                        Ok(Ok(stream)) => return stream,
                        Ok(Err(error)) => error,
                        Err(_) => io::ErrorKind::TimedOut.into(),
                    };
                    if again.fetch_add(1, Ordering::Relaxed) == 0 {
                        eprintln!("the first attempt that failed: {error}");
                    }
                    assert!(
                        begun.elapsed() < PATIENCE,
                        "agent {n} does not come through: {error}"
                    );
                    // Not all of those that failed together in the same moment again.
                    let spread = Duration::from_millis(200 + (n as u64 * 7919) % 800);
                    tokio::time::sleep(spread).await;
                }
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut streams = Vec::with_capacity(tasks.len());
        for task in tasks {
            streams.push(task.await.unwrap());
        }
        let came = Came {
            took: begun.elapsed(),
            again: again.load(Ordering::Relaxed),
        };
        (Self { speech, streams }, came)
    }

    /// Sends heartbeats, each agent's every [`BEAT`] in its own moment, so many rounds of them; resources go along
    /// with every second one.
    pub(crate) async fn beat(&mut self, rounds: usize) {
        for round in 0..rounds {
            let (begun, mut sent) = (Instant::now(), 0);
            let mut ticks = tokio::time::interval(TICK);
            while sent < self.streams.len() {
                ticks.tick().await;
                let due = due(self.streams.len(), begun.elapsed());
                // Made anew each time: it says what time it is.
                let beat = self.speech.heartbeat(round % 2 == 1);
                for stream in &mut self.streams[sent..due] {
                    stream.write_all(&beat).await.unwrap();
                    stream.flush().await.unwrap();
                }
                sent = due;
            }
        }
    }

    /// Each says the same bytes once, as fast as they are taken.
    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        for stream in &mut self.streams {
            stream.write_all(bytes).await.unwrap();
            stream.flush().await.unwrap();
        }
    }

    /// So many of them, apart from the others.
    pub(crate) fn part(&mut self, count: usize) -> Self {
        Self {
            speech: self.speech,
            streams: self.streams.split_off(self.streams.len() - count),
        }
    }

    /// Those that were apart are among the others again.
    pub(crate) fn rejoin(&mut self, part: Self) {
        self.streams.extend(part.streams);
    }

    /// One of them.
    pub(crate) fn one(&mut self, n: usize) -> &mut S {
        &mut self.streams[n]
    }

    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }
}

/// How many of so many have had their moment.
fn due(all: usize, since: Duration) -> usize {
    let share = since.as_millis().min(BEAT.as_millis());
    usize::try_from(all as u128 * share / BEAT.as_millis()).unwrap()
}
