//! Stories about what answers a connection and then stands still, at any point up to the end of the key exchange.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aami_ssh::{
    AgentSocket, Client, ErrorClass, Host, HostKeyPolicy, Identities, Settings, Silent, SshError, Trust,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::jump::{Jump, Way};
use crate::server::key_file;

/// How long a connection may take here.
const CONNECT: Duration = Duration::from_secs(1);
/// How much later than that it may be told, on a machine with much else to do.
const SLACK: Duration = Duration::from_secs(8);
/// Between two bytes of one that drips: many come before the time is up, and it would take minutes with all of them.
const DRIP: Duration = Duration::from_millis(40);

/// What is said, all at once and then byte by byte.
#[derive(Debug, Clone, Copy)]
struct Says {
    at_once: &'static [u8],
    drips: Option<u8>,
}

/// A greeting as it should be.
const GREETING: &[u8] = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n";
/// The same, and the beginning of a packet of a kilobyte.
const PACKET: &[u8] = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\x00\x00\x04\x00\x08\x14";

/// Listens, says that to whoever comes, and no more.
async fn listening(says: Says) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.9:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(say(stream, says));
        }
    });
    address
}

/// Says it until the other end has had enough.
async fn say(mut stream: TcpStream, says: Says) {
    let _ = stream.write_all(says.at_once).await;
    if let Some(byte) = says.drips {
        while stream.write_all(&[byte]).await.is_ok() {
            tokio::time::sleep(DRIP).await;
        }
        return;
    }
    let mut nothing = [0; 4096];
    while stream.read(&mut nothing).await.is_ok_and(|count| count > 0) {}
}

fn client(folder: &tempfile::TempDir, connect: Duration) -> Client {
    let known = folder.path().join("known_hosts");
    let trust = Trust::new(HostKeyPolicy::AcceptNew, vec![known], Vec::new());
    let settings = Settings {
        connect_timeout: connect,
        // No part of it: who is waited for that long is not held to the other.
        login_timeout: Duration::from_secs(120),
        ..Settings::default()
    };
    Client::new(settings, trust, Identities::new(Arc::new(Silent)))
}

fn host(name: &str, address: SocketAddr) -> Host {
    Host {
        port: address.port(),
        keys: vec![key_file()],
        agent: AgentSocket::None,
        ..Host::new(name, &address.ip().to_string(), "ada")
    }
}

/// Connects, which fails; answers with why, once it is sure that it failed when the time was up and no later.
async fn late(client: &Client, host: &Host, limit: Duration) -> SshError {
    let begun = Instant::now();
    let error = client.connect(host).await.unwrap_err();
    let took = begun.elapsed();
    assert!(
        (limit..limit + SLACK).contains(&took),
        "after {took:?} instead of {limit:?}: {error}"
    );
    error
}

#[tokio::test]
async fn who_stands_still_before_the_keys_are_exchanged_is_left_when_the_time_to_connect_is_up() {
    let cases = [
        (
            Says {
                at_once: b"",
                drips: None,
            },
            "connected, but no SSH greeting within 1 s",
        ),
        (
            Says {
                at_once: b"SSH-2.0-",
                drips: Some(b'x'),
            },
            "connected, but no SSH greeting within 1 s",
        ),
        (
            Says {
                at_once: GREETING,
                drips: None,
            },
            "connected and greeted, but no key exchange within 1 s",
        ),
        (
            Says {
                at_once: PACKET,
                drips: Some(0),
            },
            "connected and greeted, but no key exchange within 1 s",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let client = client(&folder, CONNECT);
    for (says, sentence) in cases {
        // Given one that takes the connection and stands still,
        let host = host("gpu1", listening(says).await);
        // when it is connected to, then it is left in time, and what did not come is named; another attempt may go well.
        let error = late(&client, &host, CONNECT).await;
        assert_eq!(error.to_string(), sentence, "{says:?}");
        assert_eq!(error.class(), ErrorClass::TimedOut);
        assert!(error.class().may_retry() && !error.command_may_have_run());
    }
    // One that drips words that are no greeting is another service.
    let chatting = Says {
        at_once: b"220 mail.example.com ESMTP\r\n",
        drips: Some(b'.'),
    };
    let host = host("gpu1", listening(chatting).await);
    let error = late(&client, &host, CONNECT).await;
    assert_eq!(error.class(), ErrorClass::Protocol, "{error}");
    assert!(error.to_string().contains("220 mail.example.com"), "{error}");
    // None of them left anything behind that would be believed.
    assert!(!folder.path().join("known_hosts").exists());
}

#[tokio::test]
async fn behind_a_jump_host_the_time_to_connect_is_the_targets_own() {
    // Given a jump host that is as it should be, and behind it one that only greets,
    let folder = tempfile::tempdir().unwrap();
    let jump = Jump::start(Way::Forwards).await;
    let address = listening(Says {
        at_once: GREETING,
        drips: None,
    })
    .await;
    let mut target = host("gpu1", address);
    target.jumps = vec![Host {
        port: jump.port(),
        keys: vec![key_file()],
        agent: AgentSocket::None,
        ..Host::new("bastion", "127.0.0.1", "ada")
    }];
    // when it is connected to, with a time of its own, then it is left in time as if it were near, and the jump host is
    // not blamed.
    let limit = Duration::from_secs(3);
    target.connect_timeout = Some(limit);
    let error = late(&client(&folder, Duration::from_secs(60)), &target, limit).await;
    assert_eq!(
        error.to_string(),
        "connected and greeted, but no key exchange within 3 s"
    );
}
