//! Stories about many hosts, without a socket: the work is a function, and time is Tokio's own, which runs on when
//! nobody has anything to do.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use aami_model::{Code, code};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::{ErrorClass, Stream};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("gpu{n:03}")).collect()
}

fn fault(class: ErrorClass, code: Code) -> Fault {
    Fault {
        again: class.may_retry(),
        ..Fault::new(class, code, format!("{} it is", class.word()))
    }
}

fn limits() -> Limits {
    Limits {
        max_parallel: 10,
        deadline: seconds(60),
        ..Limits::default()
    }
}

/// Takes all events down as they come.
fn notes() -> (mpsc::Sender<Event>, tokio::task::JoinHandle<Vec<Event>>) {
    let (sender, mut events) = mpsc::channel(4);
    let taken = tokio::spawn(async move {
        let mut all = Vec::new();
        while let Some(event) = events.recv().await {
            all.push(event);
        }
        all
    });
    (sender, taken)
}

/// How often each host was told to have ended.
fn ends(events: &[Event]) -> BTreeMap<usize, usize> {
    let mut ends = BTreeMap::new();
    for event in events {
        if let Event::Ended { host, .. } = event {
            *ends.entry(*host).or_default() += 1;
        }
    }
    ends
}

#[tokio::test(start_paused = true)]
async fn every_end_is_told_once() {
    let names = names(200);
    let (sender, taken) = notes();
    let fanout = Fanout::new(limits(), 1).events(sender);
    let report = fanout
        .run(&names, |turn, output| async move {
            match turn.host % 5 {
                0 => {
                    output.say(Stream::Stdout, b"Linux\n").await;
                    Ok(turn.host)
                }
                1 if turn.attempt < 3 => Err(fault(ErrorClass::Refused, code::SSH_REFUSED)),
                1 => Ok(turn.host),
                2 => Err(fault(ErrorClass::Authentication, code::SSH_AUTHENTICATION_FAILED)),
                // Never comes back, and heeds no deadline.
                3 => std::future::pending().await,
                _ => panic!("the work is broken"),
            }
        })
        .await;
    let events = taken.await.unwrap();
    assert_eq!(
        ends(&events),
        (0..200).map(|host| (host, 1)).collect::<BTreeMap<_, _>>()
    );
    assert_eq!((report.ok(), report.failed(), report.not_done()), (80, 120, 0));
    for (place, host) in report.hosts.iter().enumerate() {
        assert_eq!(*host.name, names[place]);
        let (attempts, code) = match place % 5 {
            0 => (1, None),
            1 => (3, None),
            2 => (1, Some(code::SSH_AUTHENTICATION_FAILED)),
            3 => (1, Some(code::NODE_TIME_UP)),
            _ => (1, Some(code::SSH_LOCAL)),
        };
        assert_eq!(host.attempts, attempts, "{}", host.name);
        match (&host.outcome, code) {
            (Outcome::Ok, None) => assert_eq!(host.answer, Some(place)),
            (Outcome::Failed(fault), Some(code)) => assert_eq!(fault.code, code, "{}", fault.sentence),
            (outcome, _) => panic!("{}: {outcome:?}", host.name),
        }
    }
    let told: Vec<String> = report.summary().iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 4, "{told:#?}");
    assert!(
        told[0].starts_with("gpu[001-002,006-007,") && told[0].ends_with(": ok"),
        "{}",
        told[0]
    );
    let refused = format!("{} authentication it is", code::SSH_AUTHENTICATION_FAILED.id());
    assert!(told.iter().any(|line| line.ends_with(&refused)), "{told:#?}");
    let alike = report.alike();
    assert_eq!(
        (alike.len(), alike[0].count, &*alike[0].stdout.text),
        (1, 40, "Linux\n")
    );
}

#[tokio::test(start_paused = true)]
async fn told_once_to_stop_what_runs_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resume");
    let names = names(100);
    let (brake, braked) = brake();
    let (sender, taken) = notes();
    let fanout = Fanout::new(limits(), 1)
        .events(sender)
        .brake(braked)
        .journal(Journal::create(&path, "nodes exec", &names).unwrap());
    let pull = async {
        sleep(seconds(15)).await;
        assert_eq!(brake.pull(), Pull::Drain);
    };
    let work = |_, _| async {
        sleep(seconds(10)).await;
        Ok(())
    };
    let (report, ()) = tokio::join!(fanout.run(&names, work), pull);
    assert_eq!(
        (report.ok(), report.not_done(), report.took),
        (20, 80, seconds(20))
    );
    assert_eq!(report.stopped, Some(Stop::Told));
    assert!(
        report.hosts[20..]
            .iter()
            .all(|host| host.outcome == Outcome::NotStarted(Stop::Told))
    );
    let events = taken.await.unwrap();
    assert_eq!(ends(&events).len(), 100);
    assert!(events.contains(&Event::Stopping {
        why: Stop::Told,
        left: 80
    }));
    // What is left is done by going on from the file, and then nothing is left of it.
    assert_eq!(report.resume.as_deref(), Some(path.as_path()));
    let (left, journal) = Journal::resume(&path, "nodes exec").unwrap();
    assert_eq!(
        (left.hosts.len(), left.hosts[0].as_str(), left.done),
        (80, "gpu021", 20)
    );
    let report = Fanout::new(limits(), 1)
        .journal(journal)
        .run(&left.hosts, |_, _| async { Ok(()) })
        .await;
    assert_eq!((report.ok(), report.resume), (80, None));
    assert!(!path.exists());
}

#[tokio::test(start_paused = true)]
async fn told_twice_to_stop_everything_is_cut_off() {
    let names = names(100);
    let (brake, braked) = brake();
    let pull = async {
        sleep(seconds(15)).await;
        brake.pull();
        sleep(seconds(1)).await;
        assert_eq!(brake.pull(), Pull::Abort);
    };
    let work = |turn: Turn, _| async move {
        sleep(seconds(if turn.host < 10 { 10 } else { 1_000 })).await;
        Ok(())
    };
    let (report, ()) = tokio::join!(Fanout::new(limits(), 1).brake(braked).run(&names, work), pull);
    assert_eq!(report.took, seconds(16));
    for (place, host) in report.hosts.iter().enumerate() {
        let expected = match place {
            0..10 => Outcome::Ok,
            10..20 => Outcome::Interrupted,
            _ => Outcome::NotStarted(Stop::Told),
        };
        assert_eq!(host.outcome, expected, "{place}");
    }
    let told: Vec<String> = report.summary().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "gpu[001-010]: ok",
            "gpu[011-020]: cut off in the middle",
            "gpu[021-100]: not started: stopped before their turn",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn who_draws_and_is_stuck_keeps_nobody_from_stopping() {
    let names = names(100);
    let (brake, braked) = brake();
    let (sender, events) = mpsc::channel(1);
    let fanout = Fanout::new(limits(), 1).events(sender).brake(braked);
    let pull = async {
        sleep(seconds(5)).await;
        brake.pull();
        brake.pull();
    };
    let run = fanout.run(&names, |_, _| async { Ok(()) });
    let (report, ()) = timeout(seconds(30), async { tokio::join!(run, pull) })
        .await
        .unwrap();
    assert!(report.not_done() > 0);
    drop(events);
    // Whoever went away is not missed at all.
    let (sender, events) = mpsc::channel(1);
    drop(events);
    let report = Fanout::new(limits(), 1)
        .events(sender)
        .run(&names, |_, _| async { Ok(()) })
        .await;
    assert_eq!(report.ok(), 100);
}

#[tokio::test(start_paused = true)]
async fn congestion_slows_everything_down() {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    let limits = Limits {
        max_parallel: 200,
        attempts: 20,
        deadline: seconds(3_600),
        ..Limits::default()
    };
    let names = names(500);
    let (sender, taken) = notes();
    // A jump host that takes forty at a time.
    let work = |_, _| async {
        let at_once = RUNNING.fetch_add(1, Ordering::SeqCst);
        sleep(seconds(1)).await;
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        if at_once < 40 {
            Ok(())
        } else {
            Err(fault(ErrorClass::Congestion, code::SSH_BUSY))
        }
    };
    let report = Fanout::new(limits, 1).events(sender).run(&names, work).await;
    assert_eq!(report.ok(), 500, "{:?}", report.summary());
    let slowest = taken.await.unwrap().into_iter().filter_map(|event| match event {
        Event::Parallel { hosts } => Some(hosts),
        _ => None,
    });
    assert!(slowest.min().unwrap() <= 50);
}

/// Logs in memory, of which some cannot be written.
#[derive(Default)]
struct Remembered(std::sync::Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

struct OneLog(std::sync::Arc<Mutex<BTreeMap<String, Vec<u8>>>>, String);

impl Logs for Remembered {
    fn open(&self, host: &str) -> std::io::Result<Box<dyn std::io::Write + Send>> {
        if host == "gpu002" {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        Ok(Box::new(OneLog(self.0.clone(), host.to_owned())))
    }
}

impl std::io::Write for OneLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap()
            .entry(self.1.clone())
            .or_default()
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn much_output_is_kept_in_part_and_logged_whole() {
    let logs = Remembered::default();
    let written = logs.0.clone();
    let (sender, taken) = notes();
    let fanout = Fanout::new(limits(), 1)
        .events(sender)
        .lines()
        .keep(Keep {
            per_host: 100,
            together: 10_000,
        })
        .logs(std::sync::Arc::new(logs));
    let report = fanout
        .run(&names(3), |turn, output| async move {
            if turn.attempt == 1 && turn.host == 0 {
                output.say(Stream::Stdout, b"half a li").await;
                return Err(fault(ErrorClass::Lost, code::SSH_CONNECTION_LOST));
            }
            output.progress("begins").await;
            for n in 0..1_000 {
                output
                    .say(Stream::Stdout, format!("line {n}\r\n").as_bytes())
                    .await;
            }
            output.say(Stream::Stderr, b"no end").await;
            Ok(())
        })
        .await;
    let total: usize = (0..1_000).map(|n| format!("line {n}\r\n").len()).sum();
    for host in &report.hosts {
        let text = &host.stdout.text;
        assert!(
            text.starts_with("line 0\r\n") && text.ends_with("line 999\r\n"),
            "{text}"
        );
        assert_eq!(host.stdout.left_out, (total - 100) as u64);
        assert_eq!(&*host.stderr.text, "no end");
    }
    let events = taken.await.unwrap();
    let lines = |wanted: usize, of: Stream| -> Vec<&str> {
        let texts = events.iter().filter_map(|event| match event {
            Event::Line { host, stream, text } if *host == wanted && *stream == of => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    };
    let expected: Vec<String> = (0..1_000).map(|n| format!("line {n}")).collect();
    for host in 0..3 {
        assert_eq!(
            lines(host, Stream::Stdout),
            expected,
            "half a line of a failed attempt is no line"
        );
        assert_eq!(lines(host, Stream::Stderr), ["no end"]);
    }
    let written = written.lock().unwrap();
    let log = String::from_utf8_lossy(&written["gpu001"]).into_owned();
    assert!(
        log.starts_with("half a li--- attempt 2\n--- begins\nline 0\r\n"),
        "{log:.80}"
    );
    assert_eq!(
        written["gpu003"].len(),
        "--- begins\n".len() + total + "no end".len()
    );
    let broken = events
        .iter()
        .filter(|event| matches!(event, Event::NoLog { host: 1, .. }));
    assert_eq!(broken.count(), 1, "a log that cannot be written is told once");
}

#[tokio::test(start_paused = true)]
async fn a_hostile_host_fills_no_memory() {
    let fanout = Fanout::new(limits(), 1).lines().keep(Keep {
        per_host: 1_000,
        together: 50_000,
    });
    let (sender, taken) = notes();
    let report = fanout
        .events(sender)
        .run(&names(100), |turn, output| async move {
            // One line without an end, different everywhere.
            let piece = vec![b'a' + u8::try_from(turn.host % 26).unwrap(); 32 * 1024];
            for _ in 0..4 {
                output.say(Stream::Stdout, &piece).await;
            }
            output.say(Stream::Stdout, turn.name.as_bytes()).await;
            Ok(())
        })
        .await;
    let kept: usize = report.hosts.iter().map(|host| host.stdout.text.len()).sum();
    assert!(kept < 50_000 + 100 * 40, "{kept}");
    for event in taken.await.unwrap() {
        if let Event::Line { text, .. } = event {
            assert!(text.len() <= 5 * 1024);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_has_one_deadline_for_all_its_attempts() {
    let limits = Limits {
        attempts: 50,
        deadline: seconds(30),
        ..limits()
    };
    let began = Instant::now();
    let report = Fanout::new(limits, 1)
        .run(&names(1), |turn, _| async move {
            assert!(turn.until > Instant::now());
            sleep(seconds(4)).await;
            Err::<(), _>(fault(ErrorClass::TimedOut, code::SSH_TIMEOUT))
        })
        .await;
    assert!(began.elapsed() < seconds(36), "{:?}", began.elapsed());
    assert!(matches!(&report.hosts[0].outcome, Outcome::Failed(fault) if fault.code == code::SSH_TIMEOUT));
}

#[tokio::test(start_paused = true)]
async fn canaries_go_before_the_others() {
    let limits = Limits {
        canary: 2,
        ..limits()
    };
    let (sender, taken) = notes();
    let work = |_, _| async {
        sleep(seconds(1)).await;
        Ok(())
    };
    let report = Fanout::new(limits.clone(), 1)
        .events(sender)
        .run(&names(12), work)
        .await;
    assert_eq!((report.ok(), report.took), (12, seconds(2)));
    let events = taken.await.unwrap();
    let passed = events
        .iter()
        .position(|event| *event == Event::CanaryPassed { hosts: 2 })
        .unwrap();
    let third = events
        .iter()
        .position(|event| matches!(event, Event::Started { host: 2, .. }))
        .unwrap();
    assert!(passed < third);

    let work = |turn: Turn, _| async move {
        if turn.host == 1 {
            return Err(fault(ErrorClass::Remote, code::SSH_COMMAND_FAILED));
        }
        Ok(())
    };
    let report = Fanout::new(limits, 1).run(&names(12), work).await;
    let told: Vec<String> = report.summary().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "gpu001: ok".to_owned(),
            format!("gpu002: {} remote it is", code::SSH_COMMAND_FAILED.id()),
            "gpu[003-012]: not started: stopped because one of the first hosts failed".to_owned(),
        ]
    );
}

#[test]
fn a_share_is_read_as_people_write_it() {
    for (text, expected) in [
        ("5", Some(5)),
        ("5%", Some(5)),
        ("0%", Some(0)),
        ("100", Some(100)),
    ] {
        assert_eq!(text.parse().ok(), expected.and_then(Percent::new), "{text}");
    }
    for text in ["", "%", "101", "-1", "5%%", "1.5", "+5"] {
        assert!(text.parse::<Percent>().is_err(), "{text}");
    }
}
