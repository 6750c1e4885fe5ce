//! Many nodes at work, as they are shown: one line a node on a terminal, sentences elsewhere.
//!
//! [`Live::start`] gives a sender of events for [`Fanout::events`](aami_ssh::fanout::Fanout::events) and draws on a
//! thread of its own until that is dropped. What nodes say on standard output is data and goes there; everything
//! else goes to standard error.

mod picture;

use std::io::{self, IsTerminal as _, Write};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aami_ssh::fanout::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use picture::{Picture, Stays};

use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::cli::surroundings::Surroundings;

/// How many events may wait to be drawn.
const EVENTS: usize = 4096;
/// How often lines are drawn anew.
const FRAME: Duration = Duration::from_millis(100);
/// No more lines than this, however high the terminal is.
const HIGHEST: usize = 40;

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Lines that are redrawn.
    Lines,
    /// Sentences, one after the other.
    Sentences,
    /// What nodes say, and what goes wrong.
    Terse,
    /// Only what nodes say on standard output: what went wrong stands in what follows.
    DataOnly,
}

/// The thread that draws.
pub(crate) struct Live(JoinHandle<io::Result<()>>);

impl Live {
    /// Begins to draw: these names are the hosts of the events.
    pub(crate) fn start(
        names: &[String],
        screen: &Screen,
        surroundings: &Surroundings,
    ) -> Result<(Sender<Event>, Self), Failure> {
        let dumb = surroundings
            .variables
            .get("TERM")
            .is_none_or(|term| term == "dumb");
        let manner = if screen.format().is_for_programs() {
            Manner::DataOnly
        } else if screen.is_quiet() {
            Manner::Terse
        } else if io::stderr().is_terminal() && !dumb {
            Manner::Lines
        } else {
            Manner::Sentences
        };
        let paper: Box<dyn Paper> = match manner {
            Manner::Lines => Box::new(Drawn::new()),
            Manner::Sentences => Box::new(Plain(Beside::Everything)),
            Manner::Terse => Box::new(Plain(Beside::Complaints)),
            Manner::DataOnly => Box::new(Plain(Beside::Nothing)),
        };
        let picture = Picture::new(names, manner == Manner::Sentences);
        let (sender, events) = channel(EVENTS);
        let thread = std::thread::Builder::new()
            .name("live".into())
            .spawn(move || draw(picture, events, paper))
            .map_err(Failure::Runtime)?;
        Ok((sender, Self(thread)))
    }

    /// Waits until everything is drawn. All senders must be gone.
    pub(crate) fn end(self) -> Result<(), Failure> {
        match self.0.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Closed),
            Ok(Err(error)) => Err(Failure::Output(error)),
            Err(_) => Err(Failure::Output(io::Error::other("what draws broke off"))),
        }
    }
}

/// Draws until nobody is left who could tell anything.
fn draw(mut picture: Picture, mut events: Receiver<Event>, mut paper: Box<dyn Paper>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let began = Instant::now();
    let mut written = Ok(());
    loop {
        let first = runtime.block_on(async { timeout(FRAME, events.recv()).await });
        let mut next = match first {
            Ok(None) => break,
            Ok(Some(event)) => Some(event),
            Err(_) => None,
        };
        let (mut stays, mut taken) = (Vec::new(), 0);
        while let Some(event) = next {
            stays.extend(picture.saw(event, began.elapsed()));
            taken += 1;
            next = events.try_recv().ok().filter(|_| taken < EVENTS);
        }
        // Once nobody reads on, the work goes on without being shown.
        if written.is_ok() {
            written = paper.put(&stays, &|height| picture.lines(height, began.elapsed()));
        }
    }
    paper.end();
    written
}

/// What is drawn on.
trait Paper: Send {
    /// Adds what stays, and shows the lines as they are now; the height is given to who makes them.
    fn put(&mut self, stays: &[Stays], lines: &dyn Fn(usize) -> Vec<String>) -> io::Result<()>;
    /// Takes the lines away.
    fn end(&mut self) {}
}

/// What is written beside data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Complaints,
    Everything,
}

/// One text after the other.
struct Plain(Beside);

impl Paper for Plain {
    fn put(&mut self, stays: &[Stays], _: &dyn Fn(usize) -> Vec<String>) -> io::Result<()> {
        write(stays, self.0)
    }
}

/// A terminal.
struct Drawn {
    all: MultiProgress,
    lines: Vec<ProgressBar>,
    style: ProgressStyle,
}

impl Drawn {
    fn new() -> Self {
        Self {
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)),
            lines: Vec::new(),
            // Cut where the terminal ends.
            style: ProgressStyle::with_template("{wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        }
    }
}

impl Paper for Drawn {
    fn put(&mut self, stays: &[Stays], lines: &dyn Fn(usize) -> Vec<String>) -> io::Result<()> {
        if !stays.is_empty() {
            self.all.suspend(|| write(stays, Beside::Everything))?;
        }
        let height = rustix::termios::tcgetwinsize(io::stderr()).map_or(24, |size| usize::from(size.ws_row));
        let texts = lines(height.saturating_sub(1).min(HIGHEST));
        for gone in self.lines.drain(texts.len().min(self.lines.len())..) {
            self.all.remove(&gone);
        }
        while self.lines.len() < texts.len() {
            let line = self.all.add(ProgressBar::new_spinner());
            line.set_style(self.style.clone());
            self.lines.push(line);
        }
        for (line, text) in self.lines.iter().zip(texts) {
            line.set_message(text);
        }
        Ok(())
    }

    fn end(&mut self) {
        // A terminal that is gone needs no tidying.
        let _ = self.all.clear();
    }
}

/// Data to standard output, all else to standard error, in their order.
fn write(stays: &[Stays], beside: Beside) -> io::Result<()> {
    if stays.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    let mut written = Ok(());
    for text in stays {
        let remark = match text {
            Stays::Data(line) => {
                written = written.and_then(|()| writeln!(out, "{line}"));
                continue;
            }
            Stays::Complaint(line) => Some(line).filter(|_| beside != Beside::Nothing),
            Stays::Remark(line) => Some(line).filter(|_| beside == Beside::Everything),
        };
        if let Some(line) = remark {
            written = written.and_then(|()| out.flush());
            // Nobody listens on a closed standard error; the data is what counts.
            let _ = writeln!(io::stderr().lock(), "{line}");
        }
    }
    written.and_then(|()| out.flush())
}
