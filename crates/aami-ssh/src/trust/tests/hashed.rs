//! Names that files do not tell: `HashKnownHosts`.

use std::process::Command;

use super::*;

#[test]
fn names_hashed_by_ssh_keygen_are_found() {
    let story = Story::new(HASHED);
    let known = story.judge(HostKeyPolicy::Strict, &host("gpu-1", 22), ED25519);
    assert_eq!(known.expect("believed"), Known::Before);
    let known = story.judge(HostKeyPolicy::Strict, &host("gpu-2", 2222), ECDSA);
    assert_eq!(known.expect("believed"), Known::Before);
    assert!(
        story
            .judge(HostKeyPolicy::Strict, &host("gpu-2", 22), ECDSA)
            .is_err()
    );
}

#[test]
fn what_is_learned_hashed_does_not_tell_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("new/ssh/known_hosts");
    let trust = Trust::new(HostKeyPolicy::AcceptNew, vec![file.clone()], Vec::new()).hashed(true);
    trust
        .judge(&host("gpu-1", 2200), &offered(ED25519))
        .expect("learned");

    let text = std::fs::read_to_string(&file).expect("made");
    assert!(text.starts_with("|1|") && !text.contains("gpu-1"), "{text}");
    let known = trust.judge(&host("gpu-1", 2200), &offered(ED25519));
    assert_eq!(known.expect("found again"), Known::Before);
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().expect("a folder")), 0o700);
}

#[test]
fn a_hashed_name_is_found_again_whatever_was_asked_and_learned_before() {
    // Given a file of hashed names that was asked for one that is not there,
    let story = Story::new(HASHED);
    let trust = story.trust(HostKeyPolicy::AcceptNew).hashed(true);
    let strict = |address: &str, port, key| {
        let asking = Host {
            policy: Some(HostKeyPolicy::Strict),
            ..host(address, port)
        };
        trust.judge(&asking, &offered(key))
    };
    assert!(strict("gpu-9", 22, RSA).is_err());
    // when it is learned, then it is found, under its own name alone, and so is who stood there before.
    for (address, key) in [("gpu-9", RSA), ("gpu-8", ECDSA)] {
        assert!(strict(address, 22, key).is_err(), "{address}");
        let learned = trust.judge(&host(address, 22), &offered(key));
        assert!(matches!(learned, Ok(Known::Learned { .. })), "{learned:?}");
        assert_eq!(strict(address, 22, key).expect("known"), Known::Before);
    }
    let error = strict("gpu-9", 22, ECDSA).expect_err("another key").to_string();
    assert!(error.contains("known_hosts:3"), "{error}");
    assert_eq!(strict("gpu-1", 22, ED25519).expect("known"), Known::Before);
    assert_eq!(strict("gpu-2", 2222, ECDSA).expect("known"), Known::Before);
}

/// What ssh-keygen says of the file of a story.
fn ssh_keygen(story: &Story, arguments: &[&str]) -> (bool, String) {
    let said = Command::new(rig::ssh::client("ssh-keygen").expect("ssh-keygen"))
        .args(arguments)
        .arg("-f")
        .arg(story.file())
        .output()
        .expect("it runs");
    (
        said.status.success(),
        String::from_utf8_lossy(&said.stdout).into_owned(),
    )
}

#[test]
fn a_file_that_ssh_keygen_hashes_says_the_same_as_before_and_knows_what_is_learned_into_it() {
    // Given a file with hosts by name, by address, by IPv6 and on other ports, a host with another key, one that is
    // revoked and a pattern, which cannot be hashed,
    let story = Story::new(&format!(
        "gpu-1,10.0.0.1 {ed}\n[gpu-2]:2222 {ec}\n[fe80::1]:2222 {rsa}\n2001:db8::7 {ed}\ngpu-3 {rsa}\n\
         @revoked gpu-4 {ed}\n*.example.org {ed}\n",
        ed = two_words(ED25519),
        ec = two_words(ECDSA),
        rsa = two_words(RSA),
    ));
    // when ssh-keygen hashes it,
    assert!(ssh_keygen(&story, &["-H"]).0);
    let text = story.text();
    assert!(
        !text.contains("gpu-1") && !text.contains("2001:db8") && text.contains("|1|"),
        "{text}"
    );
    // then each is known as before, and by no other name or port;
    for (address, port, key) in [
        ("gpu-1", 22, ED25519),
        ("GPU-1", 22, ED25519),
        ("10.0.0.1", 22, ED25519),
        ("gpu-1", 2200, ED25519),
        ("gpu-2", 2222, ECDSA),
        ("fe80::1", 2222, RSA),
        ("2001:DB8:0::7", 22, ED25519),
        ("a.example.org", 22, ED25519),
    ] {
        let known = story.judge(HostKeyPolicy::Strict, &host(address, port), key);
        assert_eq!(known.expect("believed"), Known::Before, "{address}:{port}");
    }
    for (address, port) in [("gpu-2", 22), ("fe80::1", 22), ("gpu-5", 22)] {
        let error = story.judge(HostKeyPolicy::Strict, &host(address, port), ECDSA);
        assert!(
            matches!(error, Err(SshError::HostKeyUnknown { .. })),
            "{address}:{port}: {error:?}"
        );
    }
    let changed = story.judge(HostKeyPolicy::AcceptNew, &host("gpu-3", 22), ED25519);
    assert!(
        matches!(changed, Err(SshError::HostKeyChanged { .. })),
        "{changed:?}"
    );
    let revoked = story.judge(HostKeyPolicy::Off, &host("gpu-4", 22), ED25519);
    assert!(
        matches!(revoked, Err(SshError::HostKeyRevoked { .. })),
        "{revoked:?}"
    );
    // and what is learned hashed is found by ssh-keygen under the name ssh looks for, and under no other.
    let trust = story.trust(HostKeyPolicy::AcceptNew).hashed(true);
    for (address, port) in [("gpu-6", 22), ("gpu-7", 2222), ("fe80::6", 2222)] {
        let learned = trust.judge(&host(address, port), &offered(RSA));
        assert!(matches!(learned, Ok(Known::Learned { .. })), "{learned:?}");
    }
    assert!(story.text().starts_with(&text), "what stood there stays");
    for name in ["gpu-6", "gpu-7", "fe80::6"] {
        assert!(!story.text().contains(name), "{name}");
    }
    for name in ["gpu-6", "[gpu-7]:2222", "[fe80::6]:2222", "gpu-1", "[gpu-2]:2222"] {
        let (is_found, said) = ssh_keygen(&story, &["-F", name]);
        assert!(is_found && said.contains("found: line"), "{name}: {said}");
    }
    assert!(!ssh_keygen(&story, &["-F", "fe80::6"]).0);
}
