//! Stories about one host, an SSH server in this process that runs commands by a real shell.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aami_ssh::{
    AgentSocket, Capture, Chunk, Client, Command, ErrorClass, Exit, Host, HostKeyPolicy, Identities, Known,
    Settings, Silent, Sink, SshError, Stdin, Trust, Upload, Uploaded, Waiting,
};
use tempfile::TempDir;

use crate::server::{Manner, Server, key_file};

const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

struct Story {
    server: Server,
    folder: TempDir,
}

impl Story {
    async fn new(manner: Manner) -> Self {
        Self {
            server: Server::start(move |_| manner).await,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }

    fn client(&self) -> Client {
        client(&self.known_hosts(), settings())
    }

    fn host(&self) -> Host {
        Host {
            port: self.server.port(),
            keys: vec![key_file()],
            agent: AgentSocket::None,
            ..Host::new("node", &HOST.to_string(), "ada")
        }
    }
}

fn settings() -> Settings {
    Settings {
        connect_timeout: Duration::from_secs(3),
        login_timeout: Duration::from_secs(2),
        kill_after: Duration::from_secs(1),
        ..Settings::default()
    }
}

fn client(known_hosts: &Path, settings: Settings) -> Client {
    let trust = Trust::new(HostKeyPolicy::AcceptNew, vec![known_hosts.to_owned()], Vec::new());
    Client::new(settings, trust, Identities::new(Arc::new(Silent)))
}

fn alive(pid: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

/// Waits until a file holds that many process numbers.
async fn pids(file: &Path, count: usize) -> Vec<u32> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let pids: Vec<u32> = text
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect();
        if pids.len() == count && text.ends_with('\n') {
            return pids;
        }
        assert!(Instant::now() < deadline, "the command began: {text:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn gone(pids: &[u32]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while pids.iter().any(|pid| alive(*pid)) {
        assert!(Instant::now() < deadline, "{pids:?} are gone");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_command_gets_its_input_and_says_what_it_has_to_say() {
    let story = Story::new(Manner::Good).await;
    let client = story.client();
    let connection = client.connect(&story.host()).await.unwrap();
    assert!(matches!(connection.host_key(), Known::Learned { .. }));

    let command = Command::script("read line; echo \"got $line\"; echo oops >&2; exit 3")
        .stdin(Stdin::Bytes("it's \\ \"that\"\n".into()));
    let output = connection.output(&command, 1024).await.unwrap();
    assert_eq!(output.exit, Exit::Code(3));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "got it's  \"that\"\n");
    assert_eq!(output.stderr, b"oops\n");

    let file = story.folder.path().join("input");
    std::fs::write(&file, vec![b'x'; 3_000_000]).unwrap();
    let command = Command::program(["wc", "-c"]).stdin(Stdin::File(file));
    let output = connection.output(&command, 1024).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "3000000");

    let again = client.connect(&story.host()).await.unwrap();
    assert_eq!(again.host_key(), &Known::Before);
    again.close().await;
}

#[tokio::test]
async fn a_host_without_timeout_is_noticed_once_and_ends_commands_by_itself() {
    let story = Story::new(Manner::Bare).await;
    let connection = story.client().connect(&story.host()).await.unwrap();
    let command = || Command::script("cat; exit 4").stdin(Stdin::Bytes("input".into()));
    // Given a host that lacks what usually keeps the time, when commands run there, then they do,
    for sent in [2, 3] {
        let output = connection.output(&command(), 100).await.unwrap();
        assert_eq!((output.exit, &output.stdout[..]), (Exit::Code(4), &b"input"[..]));
        // and only the first one finds out.
        assert_eq!(story.server.commands_at(HOST), sent);
    }
    // One whose time is up is ended there as well.
    let file = story.folder.path().join("pids");
    let script = format!("sleep 1000 & echo $$ $! > {}; wait", file.display());
    let late = Command::script(script).timeout(Duration::from_millis(700));
    let error = connection.output(&late, 10).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::TimedOut, "{error}");
    gone(&pids(&file, 2).await).await;
}

#[tokio::test]
async fn a_command_that_belongs_to_the_key_runs_once() {
    let story = Story::new(Manner::Forced).await;
    let connection = story.client().connect(&story.host()).await.unwrap();
    let error = connection.output(&Command::script("true"), 10).await.unwrap_err();
    assert!(
        matches!(&error, SshError::NoShell { said } if said.contains("backed up")),
        "{error}"
    );
    assert_eq!(story.server.commands_at(HOST), 1);
}

#[tokio::test]
async fn who_tells_of_the_end_again_and_again_is_not_waited_for() {
    let story = Story::new(Manner::Repeats).await;
    let connection = story.client().connect(&story.host()).await.unwrap();
    let command = Command::script("echo done; exit 3");
    let output = tokio::time::timeout(Duration::from_secs(30), connection.output(&command, 100))
        .await
        .expect("it comes to an end")
        .unwrap();
    assert_eq!((output.exit, &output.stdout[..]), (Exit::Code(3), &b"done\n"[..]));
}

#[tokio::test]
async fn several_commands_run_over_one_connection_at_once() {
    let story = Story::new(Manner::Good).await;
    let connection = story.client().connect(&story.host()).await.unwrap();
    let mut running = Vec::new();
    for at in 0..20_u32 {
        let connection = connection.clone();
        running.push(tokio::spawn(async move {
            let command = Command::script(format!("echo {at}; exit {at}"));
            connection.output(&command, 100).await.unwrap()
        }));
    }
    for (at, one) in running.into_iter().enumerate() {
        let output = one.await.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{at}\n"));
        assert_eq!(output.exit, Exit::Code(u32::try_from(at).unwrap()));
    }
    assert_eq!(story.server.connections_at(HOST), 1);
}

#[tokio::test]
async fn output_without_end_is_counted_and_not_kept() {
    let story = Story::new(Manner::Good).await;
    let connection = story.client().connect(&story.host()).await.unwrap();
    let command = Command::script("head -c 30000000 /dev/zero; echo end >&2");
    let output = connection.output(&command, 1000).await.unwrap();
    assert_eq!(output.stdout.len(), 1000);
    assert_eq!(output.dropped, 30_000_000 - 1000);
    assert_eq!(output.stderr, b"end\n");
}

/// Takes its time with the first piece.
struct Slow {
    got: usize,
    first: bool,
}

impl Sink for Slow {
    async fn take(&mut self, chunk: Chunk) {
        assert!(chunk.bytes.len() <= 32 * 1024);
        if std::mem::take(&mut self.first) {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.got += chunk.bytes.len();
    }
}

#[tokio::test]
async fn a_slow_taker_gets_all_of_it() {
    let story = Story::new(Manner::Good).await;
    let connection = story.client().connect(&story.host()).await.unwrap();
    let mut sink = Slow { got: 0, first: true };
    let exit = connection
        .run(&Command::script("head -c 8000000 /dev/zero"), &mut sink)
        .await;
    assert_eq!(exit.unwrap(), Exit::Code(0));
    assert_eq!(sink.got, 8_000_000);
}

#[tokio::test]
async fn what_runs_too_long_is_ended_with_all_it_started_by_a_server_that_passes_no_signals_on() {
    let story = Story::new(Manner::Good).await;
    let connection = story.client().connect(&story.host()).await.unwrap();
    let file = story.folder.path().join("pids");
    let script = format!(
        "trap '' TERM; echo begun; sleep 1000 & echo $$ $! > {}; wait; sleep 1000",
        file.display()
    );
    let begun = Instant::now();
    let mut said = Capture::new(100);
    let command = Command::script(script).timeout(Duration::from_millis(700));
    let error = connection.run(&command, &mut said).await.unwrap_err();
    assert!(
        matches!(
            error,
            SshError::TimedOut {
                waiting: Waiting::Command,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.command_may_have_run());
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(said.stdout, b"begun\n", "what it had said is there");
    // When that is told, it is already so.
    let pids = pids(&file, 2).await;
    assert!(pids.iter().all(|pid| !alive(*pid)), "{pids:?}");
    let after = connection
        .output(&Command::script("echo fine"), 10)
        .await
        .unwrap();
    assert_eq!(after.stdout, b"fine\n", "the connection can be used");
}

#[tokio::test]
async fn what_talks_without_end_is_ended_as_quickly_as_what_is_silent() {
    let story = Story::new(Manner::Good).await;
    let client = story.client();
    let connection = client.connect(&story.host()).await.unwrap();
    let begun = Instant::now();
    let command = Command::script("exec yes").timeout(Duration::from_millis(700));
    let error = connection.output(&command, 10).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::TimedOut, "{error}");
    // And where nobody waits for it,
    let other = connection.clone();
    let (mut sink, mut said) = tokio::sync::mpsc::channel(1);
    let running = tokio::spawn(async move { other.run(&Command::script("exec yes"), &mut sink).await });
    said.recv().await.unwrap();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    assert_eq!(client.settle(Duration::from_secs(20)).await, Vec::<String>::new());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // the connection can be used.
    let after = connection
        .output(&Command::script("echo fine"), 10)
        .await
        .unwrap();
    assert_eq!(after.stdout, b"fine\n");
}

#[tokio::test]
async fn a_command_nobody_waits_for_any_more_is_ended() {
    let story = Story::new(Manner::Good).await;
    let connection = story.client().connect(&story.host()).await.unwrap();
    let file = story.folder.path().join("pids");
    let script = format!("sleep 1000 & echo $$ $! > {}; echo begun; wait", file.display());
    let (mut sink, mut said) = tokio::sync::mpsc::channel(8);
    let running = tokio::spawn(async move { connection.run(&Command::script(script), &mut sink).await });
    assert_eq!(&said.recv().await.unwrap().bytes[..], b"begun\n");
    let pids = pids(&file, 2).await;
    running.abort();
    gone(&pids).await;
}

#[tokio::test]
async fn a_command_that_is_cut_off_before_its_first_word_is_ended_or_never_begins() {
    let story = Story::new(Manner::Good).await;
    let client = story.client();
    let connection = client.connect(&story.host()).await.unwrap();
    let file = story.folder.path().join("pids");
    let command = Command::script(format!("echo $$ > {}; exec sleep 1000", file.display()));
    // Given one that is on its way, when nobody waits for it any more,
    let mut running = Box::pin(connection.output(&command, 10));
    while story.server.commands_at(HOST) == 0 {
        let _ = tokio::time::timeout(Duration::from_millis(1), &mut running).await;
    }
    drop(running);
    // then the host hears of it, and nothing is left there.
    assert_eq!(client.settle(Duration::from_secs(20)).await, Vec::<String>::new());
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let left: Vec<u32> = text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    gone(&left).await;
}

#[tokio::test]
async fn what_a_command_leaves_in_the_background_holds_nobody_up() {
    let story = Story::new(Manner::Good).await;
    let connection = story.client().connect(&story.host()).await.unwrap();
    let file = story.folder.path().join("pids");
    let script = format!(
        "(sleep 5; :) >/dev/null 2>&1 & echo $! > {}; echo done",
        file.display()
    );
    let output = connection.output(&Command::script(script), 100).await.unwrap();
    assert_eq!(output.stdout, b"done\n");
    assert!(alive(pids(&file, 1).await[0]), "it may go on");
}

#[tokio::test]
async fn what_talks_on_in_the_background_holds_nobody_up_and_is_said_to_be_cut() {
    let story = Story::new(Manner::Good).await;
    let connection = story.client().connect(&story.host()).await.unwrap();
    let file = story.folder.path().join("pids");
    let script = format!(
        "(while :; do echo more; sleep 0.1; done) & echo $! > {}; echo done; exit 3",
        file.display()
    );
    let begun = Instant::now();
    let output = connection.output(&Command::script(script), 10_000).await.unwrap();
    let pids = pids(&file, 1).await;
    let _ = std::process::Command::new("kill")
        .arg(pids[0].to_string())
        .status();
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(output.exit, Exit::Code(3));
    assert!(output.cut);
    assert!(String::from_utf8_lossy(&output.stdout).contains("done\n"));
    // One whose output ends with it is not.
    let whole = connection
        .output(&Command::script("echo all"), 100)
        .await
        .unwrap();
    assert!(!whole.cut);
}

#[tokio::test]
async fn each_kind_of_bad_host_has_its_own_end_and_none_is_waited_for_long() {
    let cases = [
        (Manner::Hangs, ErrorClass::TimedOut, "no SSH greeting"),
        (Manner::Lies, ErrorClass::Protocol, "220 mail.example.com"),
        (Manner::Chats, ErrorClass::Protocol, "Welcome!"),
        (Manner::Locked, ErrorClass::Authentication, "id_ed25519"),
        (Manner::Busy(1), ErrorClass::Congestion, "before its greeting"),
    ];
    for (manner, class, part) in cases {
        let story = Story::new(manner).await;
        let begun = Instant::now();
        let error = story.client().connect(&story.host()).await.unwrap_err();
        assert_eq!(error.class(), class, "{manner:?}: {error}");
        assert!(error.to_string().contains(part), "{manner:?}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{manner:?}");
        assert_eq!(story.server.connections_at(HOST), 1, "{manner:?}: tried once");
    }

    let story = Story::new(Manner::Good).await;
    let closed = Host {
        port: story.server.closed_port(),
        ..story.host()
    };
    let error = story.client().connect(&closed).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Refused, "{error}");
    let nameless = Host {
        address: "no-such-host.invalid".to_owned(),
        ..story.host()
    };
    let error = story.client().connect(&nameless).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unreachable, "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_says_that_the_command_may_have_run() {
    let story = Story::new(Manner::Resets).await;
    let connection = story.client().connect(&story.host()).await.unwrap();
    let error = connection.output(&Command::script("true"), 10).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Lost, "{error}");
    assert!(error.command_may_have_run());
}

#[tokio::test]
async fn nothing_is_sent_to_a_host_whose_key_has_changed() {
    let story = Story::new(Manner::Good).await;
    let other = include_str!("../files/host_ed25519.pub");
    let line = format!("[{HOST}]:{} {other}", story.server.port());
    std::fs::write(story.known_hosts(), &line).unwrap();

    let error = story.client().connect(&story.host()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::HostKey);
    assert!(!error.class().may_retry());
    let text = error.to_string();
    assert!(
        text.contains("SHA256:FGcfi9Ubq0JMzcX4ubMRpNPv6PUo9+4ALiN5MkSzSYE"),
        "{text}"
    );
    assert!(text.contains("known_hosts:1"), "{text}");
    assert_eq!(std::fs::read_to_string(story.known_hosts()).unwrap(), line);

    let off = Host {
        policy: Some(HostKeyPolicy::Off),
        ..story.host()
    };
    let connection = story.client().connect(&off).await.unwrap();
    assert!(matches!(connection.host_key(), Known::Unchecked { .. }));
}

#[tokio::test]
async fn a_host_is_known_by_its_ipv6_address_and_its_port() {
    // Given a host of IPv6, however its address is written,
    let server = Server::start_on_ipv6().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("known_hosts");
    let host = |address: &str| Host {
        port: server.port(),
        keys: vec![key_file()],
        agent: AgentSocket::None,
        ..Host::new("node", address, "ada")
    };
    // when it is seen for the first time, then its key is learned under that address in brackets and its port,
    let connection = client(&file, settings()).connect(&host("::1")).await.unwrap();
    assert!(
        matches!(connection.host_key(), Known::Learned { .. }),
        "{:?}",
        connection.host_key()
    );
    let output = connection
        .output(&Command::script("echo here"), 100)
        .await
        .unwrap();
    assert_eq!(output.stdout, b"here\n");
    let learned = std::fs::read_to_string(&file).unwrap();
    let name = format!("[::1]:{} ", server.port());
    assert!(
        learned.starts_with(&name) && learned.lines().count() == 1,
        "{learned}"
    );
    // and it is known again, by a client that has read it, and nothing is written twice.
    for address in ["::1", "0:0:0:0:0:0:0:1"] {
        let connection = client(&file, settings()).connect(&host(address)).await.unwrap();
        assert_eq!(connection.host_key(), &Known::Before, "{address}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), learned);
    // When another key is known for it, then nothing is sent there.
    let other = include_str!("../files/host_ed25519.pub");
    std::fs::write(&file, format!("{name}{other}")).unwrap();
    let error = client(&file, settings()).connect(&host("::1")).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::HostKey, "{error}");
    assert!(
        error.to_string().contains("known_hosts:1") && !error.class().may_retry(),
        "{error}"
    );
    assert_eq!(server.commands_at(Ipv4Addr::LOCALHOST), 1);
    // A key that is known for another port there is none of its own.
    std::fs::write(&file, format!("[::1]:{} {other}", server.port() ^ 1)).unwrap();
    let connection = client(&file, settings()).connect(&host("::1")).await.unwrap();
    assert!(matches!(connection.host_key(), Known::Learned { .. }));
}

#[tokio::test]
async fn a_file_is_placed_whole_and_sent_only_once() {
    let story = Story::new(Manner::Good).await;
    let connection = story.client().connect(&story.host()).await.unwrap();
    let place = story.folder.path().join("opt/it's here/agent");
    let content: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let source = story.folder.path().join("source");
    std::fs::write(&source, &content).unwrap();

    let upload = Upload::file(&source, place.to_str().unwrap(), 0o755);
    assert_eq!(connection.upload(&upload).await.unwrap(), Uploaded::Written);
    assert_eq!(std::fs::read(&place).unwrap(), content);
    assert_eq!(place.metadata().unwrap().permissions().mode() & 0o777, 0o755);

    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(connection.upload(&upload).await.unwrap(), Uploaded::AlreadyThere);
    assert_eq!(place.metadata().unwrap().permissions().mode() & 0o777, 0o755);

    let nowhere = Upload::bytes(&b"x"[..], "/proc/nowhere/file", 0o644);
    let error = connection.upload(&nowhere).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Remote, "{error}");
    let relative = connection
        .upload(&Upload::bytes(&b"x"[..], "file", 0o644))
        .await
        .unwrap_err();
    assert_eq!(relative.class(), ErrorClass::Local);
}
