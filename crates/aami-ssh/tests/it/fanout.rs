//! Stories about a thousand hosts, each an SSH server at an address of its own in this process. Some refuse, some
//! hang, some lie: whatever they do, all of them are told about, once, and nothing waits for ever.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aami_ssh::fanout::{
    Event, Fanout, Fault, Journal, Limits, LogFolder, Outcome, Output, Pull, Report, Stop, Turn, brake,
};
use aami_ssh::{
    AgentSocket, Client, Command, ErrorClass, Exit, Host, HostKeyPolicy, Identities, Settings, Silent, Trust,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::server::{Manner, Server, key_file};

/// No story here takes longer.
const PATIENCE: Duration = Duration::from_secs(240);

/// The address of the host with this number, from 1.
fn address(number: usize) -> Ipv4Addr {
    let [_, a, b, c] = u32::try_from(number).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 64 + a, b, c)
}

fn name(number: usize) -> String {
    format!("gpu{number:04}")
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(name).collect()
}

/// A client that signs in with the key everybody here knows, and how it reaches the host with this number.
struct Way {
    client: Client,
    port: u16,
}

impl Way {
    fn to(server: &Server, folder: &std::path::Path, settings: Settings) -> Arc<Self> {
        let trust = Trust::new(
            HostKeyPolicy::AcceptNew,
            vec![folder.join("known_hosts")],
            Vec::new(),
        );
        Arc::new(Self {
            client: Client::new(settings, trust, Identities::new(Arc::new(Silent))),
            port: server.port(),
        })
    }

    fn host(&self, number: usize) -> Host {
        let mut host = Host::new(&name(number), &address(number).to_string(), "root");
        host.port = self.port;
        host.keys = vec![key_file()];
        host.agent = AgentSocket::None;
        host
    }

    /// Runs a command on a host, as the work of a fan-out.
    async fn run(&self, host: &Host, command: &Command, output: &mut Output) -> Result<(), Fault> {
        let failed = |error: aami_ssh::SshError| Fault::ssh(&error, false);
        let connection = self.client.connect(host).await.map_err(failed)?;
        match connection.run(command, output).await.map_err(failed)? {
            Exit::Code(0) => Ok(()),
            other => {
                let sentence = format!("the command ended with {other:?}");
                Err(Fault::new(
                    ErrorClass::Remote,
                    aami_model::code::SSH_COMMAND_FAILED,
                    sentence,
                ))
            }
        }
    }
}

/// Short enough for a test, long enough for two busy cores.
fn settings() -> Settings {
    Settings {
        connect_timeout: Duration::from_secs(10),
        login_timeout: Duration::from_secs(8),
        command_timeout: Duration::from_secs(60),
        ..Settings::default()
    }
}

fn limits() -> Limits {
    Limits {
        max_parallel: 200,
        backoff_base: Duration::from_millis(50),
        backoff_max: Duration::from_millis(200),
        ..Limits::default()
    }
}

fn class_of(outcome: &Outcome) -> Option<ErrorClass> {
    match outcome {
        Outcome::Failed(fault) => Some(fault.class),
        _ => None,
    }
}

/// Every tenth host misbehaves, each in its own way; two in a thousand of each kind.
fn manner(number: usize) -> Manner {
    match number % 500 {
        10 => Manner::Hangs,
        20 => Manner::Slow(Duration::from_secs(1)),
        30 => Manner::Locked,
        40 => Manner::Resets,
        50 => Manner::Lies,
        60 => Manner::Chats,
        70 => Manner::Busy(2),
        _ => Manner::Good,
    }
}

fn number(address: Ipv4Addr) -> usize {
    let [_, a, b, c] = address.octets();
    u32::from_be_bytes([0, a - 64, b, c]) as usize
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_hosts_every_one_is_told_about() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|address| manner(number(address))).await;
    let way = Way::to(&server, folder.path(), settings());
    let logs = LogFolder::create(&folder.path().join("logs")).unwrap();
    let path = folder.path().join("resume");
    let names = names(1_000);
    let journal = Journal::create(&path, "uname", &names).unwrap();
    let (sender, mut events) = mpsc::channel(64);
    let ends = tokio::spawn(async move {
        let mut ends = vec![0; 1_000];
        while let Some(event) = events.recv().await {
            if let Event::Ended { host, .. } = event {
                ends[host] += 1;
            }
        }
        ends
    });
    let closed = server.closed_port();
    let fanout = Fanout::new(limits(), 7)
        .events(sender)
        .logs(Arc::new(logs.clone()))
        .journal(journal);
    let began = Instant::now();
    let report: Report<()> = timeout(
        PATIENCE,
        fanout.run(&names, |turn, mut output| {
            let way = Arc::clone(&way);
            async move {
                let mut host = way.host(turn.host + 1);
                if (turn.host + 1) % 500 == 80 {
                    host.port = closed;
                }
                way.run(&host, &Command::script("echo hello"), &mut output).await
            }
        }),
    )
    .await
    .unwrap();
    assert_eq!(ends.await.unwrap(), vec![1; 1_000], "each host ends once");
    for (place, host) in report.hosts.iter().enumerate() {
        let (class, attempts) = match (place + 1) % 500 {
            10 | 60 => (Some(ErrorClass::TimedOut), 3),
            30 => (Some(ErrorClass::Authentication), 1),
            40 => (Some(ErrorClass::Lost), 1),
            50 => (Some(ErrorClass::Protocol), 1),
            80 => (Some(ErrorClass::Refused), 3),
            _ => (None, 1),
        };
        if (place + 1) % 500 == 60 {
            // Endless talk is either cut off for its length or when its time is up.
            let class = class_of(&host.outcome);
            assert!(
                matches!(class, Some(ErrorClass::TimedOut | ErrorClass::Protocol)),
                "{}: {:?}",
                host.name,
                host.outcome
            );
            continue;
        }
        assert_eq!(
            class_of(&host.outcome),
            class,
            "{}: {:?}",
            host.name,
            host.outcome
        );
        // On a busy machine a good host may need another attempt.
        let as_expected = host.attempts == attempts || class.is_none();
        assert!(
            as_expected,
            "{}: {} attempts, {:?}",
            host.name, host.attempts, host.outcome
        );
        assert_eq!(&*host.stdout.text == "hello\n", class.is_none(), "{}", host.name);
    }
    assert_eq!((report.ok(), report.failed()), (988, 12));
    // Never more than 200 are asked for at once; that one has ended a server notices a little later.
    assert!(server.most_at_once() <= 250, "{}", server.most_at_once());
    // A refused login is asked for once, and a command that may have run is not run again.
    assert_eq!(
        (
            server.connections_at(address(30)),
            server.commands_at(address(40))
        ),
        (1, 1)
    );
    assert_eq!(server.commands_at(address(1)), 1);
    // All that went well, and the two that were cut off in a command.
    assert_eq!(server.commands(), 990);
    assert!(
        report.hosts[69].attempts >= 3,
        "it takes connections from the third one on"
    );

    let told: Vec<String> = report.summary().iter().map(ToString::to_string).collect();
    assert!(
        told[0].starts_with("gpu[0001-0009,0011-0029,0031-0039,"),
        "{told:#?}"
    );
    assert!(
        told.iter().any(|line| line.starts_with("gpu[0030,0530]: AAMI-")),
        "{told:#?}"
    );
    assert_eq!(report.alike().len(), 1, "all said the same");
    assert_eq!(std::fs::read(logs.path("gpu0001")).unwrap(), b"hello\n");

    // What is left stands in the file.
    drop(report);
    let (left, _journal) = Journal::resume(&path, "uname").unwrap();
    assert_eq!((left.hosts.len(), left.done), (12, 988));
    assert!(began.elapsed() < PATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_finishes_what_runs_and_a_second_one_cuts_it_off() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Manner::Good).await;
    let way = Way::to(&server, folder.path(), settings());
    let names = names(200);
    let gate = folder.path().join("gate");
    // A command that ends when the file is there.
    let command = Command::script(format!(
        "while ! test -e '{}'; do sleep 0.05; done; echo done",
        gate.display()
    ));
    let go = |twice: bool| {
        let (way, names, command, gate) = (Arc::clone(&way), names.clone(), command.clone(), gate.clone());
        async move {
            let (brake, braked) = brake();
            let (sender, mut events) = mpsc::channel(64);
            let limits = Limits {
                max_parallel: 20,
                ..limits()
            };
            let fanout = Fanout::new(limits, 7).events(sender).brake(braked);
            let pull = async move {
                let mut begun = 0;
                while begun < 20 {
                    if let Some(Event::Started { .. }) = events.recv().await {
                        begun += 1;
                    }
                }
                assert_eq!(brake.pull(), Pull::Drain);
                while let Some(event) = events.recv().await {
                    if let Event::Stopping { .. } = event {
                        break;
                    }
                }
                if twice {
                    assert_eq!(brake.pull(), Pull::Abort);
                } else {
                    std::fs::write(&gate, "").unwrap();
                }
                while events.recv().await.is_some() {}
            };
            let work = |turn: Turn, mut output: Output| {
                let (way, command) = (Arc::clone(&way), command.clone());
                async move { way.run(&way.host(turn.host + 1), &command, &mut output).await }
            };
            timeout(PATIENCE, async { tokio::join!(fanout.run(&names, work), pull) })
                .await
                .unwrap()
                .0
        }
    };
    let began = Instant::now();
    let report: Report<()> = go(true).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(
        (report.ok(), report.not_done()),
        (0, 200),
        "{:?}",
        report.summary()
    );
    let report: Report<()> = go(false).await;
    assert_eq!(
        (report.ok(), report.not_done()),
        (20, 180),
        "{:?}",
        report.summary()
    );
    assert_eq!(report.stopped, Some(Stop::Told));
}

#[test]
fn what_a_second_ctrl_c_cuts_off_is_ended_on_the_hosts_before_the_program_is() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (hosts, ours) = (runtime(), runtime());
    let folder = tempfile::tempdir().unwrap();
    let server = hosts.block_on(Server::start(|_| Manner::Good));
    let way = Way::to(&server, folder.path(), settings());
    let names = names(10);
    // Given a command on every host that would run for long,
    let report: Report<()> = ours.block_on(async {
        let (brake, braked) = brake();
        let begun = folder.path().to_owned();
        let work = |turn: Turn, mut output: Output| {
            let (way, file) = (Arc::clone(&way), begun.join(&*turn.name));
            async move {
                let script = format!("echo $$ > {}; exec sleep 1000", file.display());
                way.run(&way.host(turn.host + 1), &Command::script(script), &mut output)
                    .await
            }
        };
        // when it is told twice to stop,
        let pull = async {
            let has_begun = |name: &String| {
                std::fs::read_to_string(begun.join(name)).is_ok_and(|text| text.ends_with('\n'))
            };
            while !names.iter().all(has_begun) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!((brake.pull(), brake.pull()), (Pull::Drain, Pull::Abort));
        };
        let run = Fanout::new(limits(), 7).brake(braked).run(&names, work);
        let (mut report, ()) = timeout(PATIENCE, async { tokio::join!(run, pull) })
            .await
            .unwrap();
        report.untold = way.client.settle(Duration::from_secs(20)).await;
        report
    });
    ours.shutdown_background();
    // then none of them runs any more once that is over.
    assert_eq!((report.not_done(), report.untold.as_slice()), (10, &[][..]));
    for name in &names {
        let pid = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{name}: {state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn much_output_of_many_hosts_stays_within_its_limits() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Manner::Good).await;
    let way = Way::to(&server, folder.path(), settings());
    // Two megabytes of each, all different.
    let names = names(100);
    let report: Report<()> = timeout(
        PATIENCE,
        Fanout::new(limits(), 7).run(&names, |turn, mut output| {
            let way = Arc::clone(&way);
            async move {
                let command = Command::script(format!(
                    "yes '{} says the same again' | head -c 2000000",
                    turn.name
                ));
                way.run(&way.host(turn.host + 1), &command, &mut output).await
            }
        }),
    )
    .await
    .unwrap();
    assert_eq!(report.ok(), 100, "{:?}", report.summary());
    let kept: usize = report.hosts.iter().map(|host| host.stdout.text.len()).sum();
    assert!(kept < 17 * 1024 * 1024, "{kept}");
    assert!(report.hosts.iter().all(|host| host.stdout.left_out > 1_900_000));
    assert_eq!(report.alike().len(), 100);
}
