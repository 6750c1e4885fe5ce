//! Stories about passwords: asked for once for all hosts, and never so often that an account is locked.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aami_ssh::{
    AgentSocket, Ask, Client, ErrorClass, Host, HostKeyPolicy, Identities, Passphrase, Question, Settings,
    SshError, Trust,
};

use crate::jump::{Jump, Way};
use crate::server::{Manner, Server, key_file};

/// Answers every question alike, and counts them.
#[derive(Default)]
struct Person(AtomicUsize);

impl Ask for Person {
    fn ask(&self, question: &Question) -> Option<Passphrase> {
        assert!(
            matches!(question, Question::Password { host: None, .. }),
            "{question:?}"
        );
        self.0.fetch_add(1, Ordering::SeqCst);
        Some(Passphrase::new("right".to_owned()))
    }
}

const HOSTS: u8 = 30;

fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 3, host)
}

/// Signs in to all hosts at once. Out: how many questions were asked, and how it went on each host.
async fn all(server: &Server) -> (usize, Vec<Result<(), SshError>>) {
    all_with(server, &[]).await
}

/// The same, with keys as well.
async fn all_with(server: &Server, keys: &[PathBuf]) -> (usize, Vec<Result<(), SshError>>) {
    let folder = tempfile::tempdir().unwrap();
    let person = Arc::<Person>::default();
    let known = vec![folder.path().join("known_hosts")];
    let client = Client::new(
        Settings::default(),
        Trust::new(HostKeyPolicy::AcceptNew, known, Vec::new()),
        Identities::new(person.clone()),
    );
    let mut running = Vec::new();
    for at in 0..HOSTS {
        let host = Host {
            port: server.port(),
            agent: AgentSocket::None,
            password: true,
            keys: keys.to_vec(),
            ..Host::new(&format!("gpu{at}"), &address(at).to_string(), "ada")
        };
        let client = client.clone();
        running.push(tokio::spawn(async move { client.connect(&host).await.map(drop) }));
    }
    let mut results = Vec::new();
    for one in running {
        results.push(one.await.unwrap());
    }
    (person.0.load(Ordering::SeqCst), results)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_password_opens_all_hosts_and_is_asked_for_once() {
    for manner in [Manner::Password("right"), Manner::Pam("right")] {
        let server = Server::start(move |_| manner).await;
        let (asked, results) = all(&server).await;
        assert!(results.iter().all(Result::is_ok), "{manner:?}: {results:?}");
        assert_eq!((asked, server.passwords()), (1, usize::from(HOSTS)), "{manner:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_on_one_host_alone() {
    for manner in [Manner::Password("other"), Manner::Pam("other")] {
        let server = Server::start(move |_| manner).await;
        let (asked, results) = all(&server).await;
        for result in results {
            let error = result.unwrap_err();
            assert_eq!(error.class(), ErrorClass::Authentication, "{manner:?}: {error}");
        }
        assert_eq!((asked, server.passwords()), (1, 1), "{manner:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_ends_the_connection_on_a_password_too_many_has_refused_it() {
    let server = Server::start(|_| Manner::Impatient).await;
    let (asked, results) = all(&server).await;
    let errors: Vec<String> = results
        .into_iter()
        .map(|result| {
            let error = result.unwrap_err();
            assert_eq!(error.class(), ErrorClass::Authentication, "{error}");
            error.to_string()
        })
        .collect();
    // One host had it, and all others were spared.
    let had = |part: &str| errors.iter().filter(|error| error.contains(part)).count();
    assert_eq!(asked, 1);
    assert_eq!(had("gave up"), 1, "{errors:?}");
    assert_eq!(
        had("another host refused it"),
        usize::from(HOSTS) - 1,
        "{errors:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_ends_the_connection_on_a_password_gets_it_once() {
    let server = Server::start(|_| Manner::Drops).await;
    let (_, results) = all(&server).await;
    for result in results {
        let error = result.unwrap_err();
        assert!(!error.class().may_retry(), "{error}");
        assert!(error.to_string().contains("not sent again"), "{error}");
    }
    for host in 0..HOSTS {
        assert_eq!(server.passwords_at(address(host)), 1, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_want_a_password_and_a_key_get_both() {
    let server = Server::start(|_| Manner::Both("right")).await;
    let (asked, results) = all_with(&server, &[key_file()]).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!((asked, server.passwords()), (1, usize::from(HOSTS)));
    // Without the key the password is not held against anybody.
    let (asked, results) = all(&server).await;
    assert!(results.iter().all(Result::is_err));
    assert_eq!((asked, server.passwords()), (1, 2 * usize::from(HOSTS)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_another_password_than_all_others_gets_it_once() {
    let odd = address(HOSTS - 1);
    let server = Server::start(move |address| {
        // The others may come first or not: one that takes a while does.
        match address == odd {
            true => Manner::Pam("other"),
            false => Manner::Pam("right"),
        }
    })
    .await;
    let (_, results) = all(&server).await;
    assert!(server.passwords_at(odd) <= 1);
    // It was first and nobody else got it, or it was not and everybody else is in.
    let fine = results.iter().filter(|result| result.is_ok()).count();
    let tried = server.passwords();
    assert!(
        (fine, tried) == (0, 1) || (fine, tried) == (usize::from(HOSTS) - 1, usize::from(HOSTS)),
        "{fine} of {tried}"
    );
}

/// Says what is asked of whom.
#[derive(Default)]
struct Listener(std::sync::Mutex<Vec<Question>>);

impl Ask for Listener {
    fn ask(&self, question: &Question) -> Option<Passphrase> {
        self.0.lock().unwrap().push(question.clone());
        Some(Passphrase::new("right".to_owned()))
    }
}

#[tokio::test]
async fn the_password_of_a_jump_host_is_one_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let listener = Arc::<Listener>::default();
    let known = vec![folder.path().join("known_hosts")];
    let client = Client::new(
        Settings::default(),
        Trust::new(HostKeyPolicy::AcceptNew, known, Vec::new()),
        Identities::new(listener.clone()),
    );
    let jump = Jump::start(Way::Locked).await;
    let mut host = Host::new("gpu1", "127.0.0.9", "ada");
    host.jumps = vec![Host {
        port: jump.port(),
        agent: AgentSocket::None,
        password: true,
        ..Host::new("bastion", "127.0.0.1", "ada")
    }];
    let error = client.connect(&host).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Authentication, "{error}");
    let asked = listener.0.lock().unwrap().clone();
    let of_the_bastion = Question::Password {
        user: "ada".to_owned(),
        host: Some("bastion".to_owned()),
    };
    assert_eq!(asked, [of_the_bastion]);
}
