//! What is known, and what is not.

use super::*;

#[test]
fn a_known_key_is_believed_under_every_form_of_its_name() {
    let story = Story::new(&format!(
        "# comment\n\ngpu-1,10.0.0.1 {ed}\n[gpu-2]:2222 {ed} somebody\n*.example.org,!bad.example.org {ed}\n",
        ed = two_words(ED25519)
    ));
    for (address, port) in [
        ("gpu-1", 22),
        ("GPU-1", 22),
        ("10.0.0.1", 22),
        ("gpu-2", 2222),
        ("a.example.org", 22),
        // Known without a port, reached over another.
        ("gpu-1", 2200),
    ] {
        let known = story.judge(HostKeyPolicy::Strict, &host(address, port), ED25519);
        assert_eq!(known.expect("believed"), Known::Before, "{address}:{port}");
    }
    for (address, port) in [("gpu-2", 22), ("bad.example.org", 22), ("gpu-3", 22)] {
        let error = story
            .judge(HostKeyPolicy::Strict, &host(address, port), ED25519)
            .expect_err("not known");
        assert!(
            matches!(error, SshError::HostKeyUnknown { .. }),
            "{address}: {error}"
        );
    }
}

#[test]
fn a_changed_key_names_both_fingerprints_and_the_line_and_is_not_learned() {
    let before = format!("other {}\ngpu-1 {}\n", two_words(RSA), two_words(ED25519));
    let story = Story::new(&before);

    for policy in [HostKeyPolicy::Strict, HostKeyPolicy::AcceptNew] {
        // Of another type as well: else whoever sits in between would only have to offer one that is not known.
        let error = story
            .judge(policy, &host("gpu-1", 22), ECDSA)
            .expect_err("changed");
        assert_eq!(error.class(), ErrorClass::HostKey);
        assert!(!error.class().may_retry());
        let text = error.to_string();
        for part in [ED25519_PRINT, ECDSA_PRINT, "known_hosts:2", "ssh-ed25519"] {
            assert!(text.contains(part), "{part} stands in: {text}");
        }
    }
    assert_eq!(story.text(), before);
}

#[test]
fn the_nodes_name_counts_where_its_address_is_not_known() {
    let story = Story::new(&format!("node {}\n", two_words(ED25519)));
    assert_eq!(
        story
            .judge(HostKeyPolicy::Strict, &host("10.0.0.9", 22), ED25519)
            .expect("by name"),
        Known::Before
    );
    let error = story.judge(HostKeyPolicy::AcceptNew, &host("10.0.0.9", 22), ECDSA);
    assert!(matches!(error, Err(SshError::HostKeyChanged { .. })));

    let story = Story::new(&format!(
        "node {}\n10.0.0.9 {}\n",
        two_words(ED25519),
        two_words(ECDSA)
    ));
    let known = story.judge(HostKeyPolicy::Strict, &host("10.0.0.9", 22), ECDSA);
    assert_eq!(known.expect("the address decides"), Known::Before);
}

#[test]
fn an_alias_is_the_only_name_of_its_host() {
    let story = Story::new(&format!("rack-7 {}\n", two_words(ED25519)));
    let aliased = Host {
        key_alias: Some("rack-7".to_owned()),
        ..host("10.0.0.9", 2222)
    };
    let known = story.judge(HostKeyPolicy::Strict, &aliased, ED25519);
    assert_eq!(known.expect("by its alias"), Known::Before);
}

#[test]
fn a_host_is_asked_for_the_key_that_is_known() {
    let story = Story::new(&format!("gpu-1 {}\n", two_words(RSA)));
    let trust = story.trust(HostKeyPolicy::Strict);
    let wanted = trust.algorithms(&host("gpu-1", 22)).expect("readable");
    assert!(matches!(
        wanted.keys[0],
        Algorithm::Rsa {
            hash: Some(HashAlg::Sha512)
        }
    ));
    assert!(wanted.certificates.is_empty());
    let wanted = trust.algorithms(&host("gpu-2", 22)).expect("readable");
    assert_eq!(wanted.keys[0], Algorithm::Ed25519);
    assert!(
        !wanted.keys.contains(&Algorithm::Rsa { hash: None }),
        "nothing over SHA-1"
    );
}

#[test]
fn lines_that_are_not_understood_are_named_and_hide_nothing() {
    let story = Story::new(&format!(
        "gpu-1\ngpu-1 ssh-rsa not*base64\n@who gpu-1 {ed}\n|2|x|y {ed}\n|1|x {ed}\ngpu-1 ssh-rsa {blob}\ngpu-1 {ed}\n\u{0}\n",
        ed = two_words(ED25519),
        blob = ED25519.split(' ').nth(1).expect("base64"),
    ));
    let trust = story.trust(HostKeyPolicy::Strict);
    let known = trust.judge(&host("gpu-1", 22), &offered(ED25519));
    assert_eq!(known.expect("the good line counts"), Known::Before);
    let lines: Vec<usize> = trust.notes().iter().map(|(_, line, _)| *line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 6, 8]);
}

#[test]
fn a_revoked_key_is_believed_under_no_policy() {
    let story = Story::new(&format!(
        "gpu-1 {ed}\n@revoked * {ed}\n@revoked gpu-2 {ca}\n@cert-authority * {ca}\n",
        ed = two_words(ED25519),
        ca = two_words(AUTHORITY)
    ));
    for policy in [
        HostKeyPolicy::Strict,
        HostKeyPolicy::AcceptNew,
        HostKeyPolicy::Off,
    ] {
        let error = story
            .judge(policy, &host("gpu-1", 22), ED25519)
            .expect_err("revoked");
        assert!(
            matches!(error, SshError::HostKeyRevoked { line: 2, .. }),
            "{error}"
        );
    }
}

#[test]
fn a_line_that_revokes_something_unreadable_stops_everything() {
    for line in [
        "@revoked * ssh-ed25519 AAAA!",
        "@REVOKED * ssh-ed25519 AAAA",
        "@revoked",
    ] {
        let story = Story::new(&format!("gpu-1 {}\n{line}\n", two_words(ED25519)));
        let trust = story.trust(HostKeyPolicy::Off);
        let error = trust.read(&[host("gpu-1", 22)]).expect_err("refused");
        assert_eq!(error.class(), ErrorClass::Local, "{error}");
        assert!(error.to_string().contains("line 2 revokes"), "{error}");
        assert!(
            story
                .judge(HostKeyPolicy::Off, &host("gpu-1", 22), ED25519)
                .is_err()
        );
    }
}

#[test]
fn with_the_policy_off_any_key_passes_and_it_is_told() {
    let story = Story::new(&format!("gpu-1 {}\n", two_words(ECDSA)));
    let known = story
        .judge(HostKeyPolicy::Off, &host("gpu-1", 22), ED25519)
        .expect("passed");
    assert_eq!(
        known,
        Known::Unchecked {
            fingerprint: ED25519_PRINT.to_owned(),
            differs: true,
        }
    );
    let stranger = story.judge(HostKeyPolicy::Off, &host("gpu-2", 22), ED25519);
    assert!(matches!(stranger, Ok(Known::Unchecked { differs: false, .. })));
    assert!(!story.text().contains("ed25519"), "nothing is learned");
}
