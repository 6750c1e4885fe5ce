//! Stories about what lies between: jump hosts, agents, cables.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aami_ssh::{
    AgentSocket, Client, Command, ErrorClass, Host, HostKeyPolicy, Identities, Settings, Silent, SshError,
    Trust,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::jump::{Jump, Way};
use crate::server::{Manner, Server, key_file};

fn client(folder: &TempDir, identities: Identities, settings: Settings) -> Client {
    let known = folder.path().join("known_hosts");
    let trust = Trust::new(HostKeyPolicy::AcceptNew, vec![known], Vec::new());
    Client::new(settings, trust, identities)
}

fn settings() -> Settings {
    Settings {
        login_timeout: Duration::from_secs(10),
        ..Settings::default()
    }
}

fn silent() -> Identities {
    Identities::new(Arc::new(Silent))
}

fn host(name: &str, address: &str, port: u16) -> Host {
    Host {
        port,
        keys: vec![key_file()],
        agent: AgentSocket::None,
        ..Host::new(name, address, "ada")
    }
}

#[tokio::test]
async fn forty_targets_share_one_connection_to_their_jump_host() {
    let folder = tempfile::tempdir().unwrap();
    let (server, jump) = (
        Server::start(|_| Manner::Good).await,
        Jump::start(Way::Forwards).await,
    );
    let few = Settings {
        channels_per_jump: 5,
        ..settings()
    };
    let client = client(&folder, silent(), few);
    let mut running = Vec::new();
    for at in 1..=40_u8 {
        let mut target = host(&format!("gpu{at}"), &format!("127.0.1.{at}"), server.port());
        target.jumps = vec![host("bastion", "127.0.0.1", jump.port())];
        let client = client.clone();
        running.push(tokio::spawn(async move {
            let connection = client.connect(&target).await?;
            let output = connection.output(&Command::script("echo here"), 100).await?;
            assert_eq!(output.stdout, b"here\n");
            connection.close().await;
            Ok::<_, SshError>(())
        }));
    }
    for one in running {
        one.await.unwrap().unwrap();
    }
    assert_eq!(jump.connections(), 1);
    assert!(jump.most_at_once() <= 5, "{}", jump.most_at_once());
    let known = std::fs::read_to_string(folder.path().join("known_hosts")).unwrap();
    assert_eq!(
        known.lines().count(),
        41,
        "the jump host's own key is learned as well"
    );
}

#[tokio::test]
async fn several_hops_lead_to_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Manner::Good).await;
    let (outer, inner) = (Jump::start(Way::Forwards).await, Jump::start(Way::Forwards).await);
    let mut target = host("gpu1", "127.0.0.9", server.port());
    target.jumps = vec![
        host("outer", "127.0.0.1", outer.port()),
        host("inner", "127.0.0.1", inner.port()),
    ];
    let client = client(&folder, silent(), settings());
    let connection = client.connect(&target).await.unwrap();
    let output = connection
        .output(&Command::script("echo there"), 100)
        .await
        .unwrap();
    assert_eq!(output.stdout, b"there\n");
    assert_eq!((outer.connections(), inner.connections()), (1, 1));
}

#[tokio::test]
async fn a_jump_host_that_lets_nobody_in_is_asked_once_for_all_who_wait() {
    let folder = tempfile::tempdir().unwrap();
    let jump = Jump::start(Way::Locked).await;
    let client = client(&folder, silent(), settings());
    let mut running = Vec::new();
    for at in 1..=20_u8 {
        let mut target = host(&format!("gpu{at}"), &format!("127.0.1.{at}"), 1);
        target.jumps = vec![host("bastion", "127.0.0.1", jump.port())];
        let client = client.clone();
        running.push(tokio::spawn(async move { client.connect(&target).await }));
    }
    for one in running {
        let error = one.await.unwrap().unwrap_err();
        assert_eq!(error.class(), ErrorClass::Authentication, "{error}");
        assert!(error.to_string().starts_with("jump host bastion: "), "{error}");
    }
    assert_eq!(jump.connections(), 1);
}

#[tokio::test]
async fn what_fails_behind_a_jump_host_is_told_from_the_jump_host_itself() {
    let folder = tempfile::tempdir().unwrap();
    let client = client(&folder, silent(), settings());
    for (way, class) in [
        (Way::Forwards, ErrorClass::Unreachable),
        (Way::Forbids, ErrorClass::Remote),
    ] {
        let jump = Jump::start(way).await;
        // Nobody listens there.
        let mut target = host("gpu1", "127.0.0.9", 1);
        target.jumps = vec![host("bastion", "127.0.0.1", jump.port())];
        let error = client.connect(&target).await.unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains("bastion"), "{error}");
    }
}

#[tokio::test]
async fn an_agent_signs_and_its_other_keys_stay_unused_where_that_is_wished() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    let streams = futures::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    tokio::spawn(russh::keys::agent::server::serve(Box::pin(streams), ()));
    let mut holder = russh::keys::agent::client::AgentClient::connect_uds(&socket)
        .await
        .unwrap();
    let key = russh::keys::load_secret_key(key_file(), None).unwrap();
    holder.add_identity(&key, &[]).await.unwrap();

    let server = Server::start(|_| Manner::Good).await;
    let client = client(&folder, silent().agent(Some(socket)), settings());
    let mut target = host("gpu1", "127.0.0.9", server.port());
    target.keys = Vec::new();
    target.agent = AgentSocket::Usual;
    let connection = client.connect(&target).await.unwrap();
    assert_eq!(
        connection
            .output(&Command::script("echo in"), 10)
            .await
            .unwrap()
            .stdout,
        b"in\n"
    );

    target.identities_only = true;
    let error = client.connect(&target).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Authentication, "{error}");
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_named_where_nothing_else_helps() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Manner::Locked).await;
    let socket = folder.path().join("gone");
    let client = client(&folder, silent().agent(Some(socket)), settings());
    let mut target = host("gpu1", "127.0.0.9", server.port());
    target.agent = AgentSocket::Usual;
    let error = client.connect(&target).await.unwrap_err().to_string();
    assert!(
        error.contains("the agent at") && error.contains("id_ed25519"),
        "{error}"
    );
}

/// A cable that can be pulled: what goes through it then is swallowed, and nobody is told.
async fn cable(to: SocketAddr, pulled: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(to).await.unwrap();
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            for (mut from, mut into) in [(near_read, far_write), (far_read, near_write)] {
                let pulled = Arc::clone(&pulled);
                tokio::spawn(async move {
                    let mut bytes = vec![0; 16 * 1024];
                    while let Ok(count @ 1..) = from.read(&mut bytes).await {
                        if !pulled.load(Ordering::SeqCst) && into.write_all(&bytes[..count]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
    port
}

#[tokio::test]
async fn a_host_that_cannot_be_told_to_end_what_it_runs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Manner::Good).await;
    let pulled = Arc::new(AtomicBool::new(false));
    let to = SocketAddr::from(([127, 0, 0, 9], server.port()));
    let port = cable(to, Arc::clone(&pulled)).await;
    let client = client(&folder, silent(), settings());
    // Given a command on a host behind a cable, and one on a host beside it,
    let mut running = Vec::new();
    for (name, port) in [("gpu1", port), ("gpu2", server.port())] {
        let connection = client.connect(&host(name, "127.0.0.1", port)).await.unwrap();
        let file = folder.path().join(name);
        let command = Command::script(format!("echo > {}; exec sleep 20", file.display()));
        running.push(tokio::spawn(async move { connection.output(&command, 10).await }));
        let deadline = Instant::now() + Duration::from_secs(10);
        while !file.exists() {
            assert!(Instant::now() < deadline, "the command begins");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    // when the cable is pulled and both are cut off,
    pulled.store(true, Ordering::SeqCst);
    running.iter().for_each(|one| one.abort());
    for one in running {
        assert!(one.await.unwrap_err().is_cancelled());
    }
    // then the first is named in time, and only that.
    let begun = Instant::now();
    assert_eq!(client.settle(Duration::from_secs(4)).await, ["gpu1"]);
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn a_pulled_cable_is_noticed_in_the_middle_of_a_silent_command() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Manner::Good).await;
    let pulled = Arc::new(AtomicBool::new(false));
    let port = cable(
        SocketAddr::from(([127, 0, 0, 9], server.port())),
        Arc::clone(&pulled),
    )
    .await;
    let lively = Settings {
        keepalive: Duration::from_millis(200),
        keepalive_misses: 2,
        ..settings()
    };
    let client = client(&folder, silent(), lively);
    let connection = client.connect(&host("gpu1", "127.0.0.1", port)).await.unwrap();
    let other = connection.clone();
    let file = folder.path().join("begun");
    let command = Command::script(format!("echo > {}; exec sleep 20", file.display()));
    let running = tokio::spawn(async move { other.output(&command, 10).await });
    let deadline = Instant::now() + Duration::from_secs(10);
    while !file.exists() {
        assert!(Instant::now() < deadline, "the command begins");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // It is quiet for longer than all keep-alives together, and nothing is wrong.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(!running.is_finished());

    pulled.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(error.class(), ErrorClass::Lost, "{error}");
    assert!(error.to_string().contains("did not answer any more"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(connection.is_closed());
}
