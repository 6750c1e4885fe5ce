//! What is written down.

use super::*;

#[test]
fn a_new_key_is_learned_once_and_the_file_keeps_its_mode_and_place() {
    // Given a file that others may read, reached over a link, whose last line was cut off
    let story = Story::new("# mine");
    let real = story.folder.path().join("real");
    std::fs::rename(story.file(), &real).expect("moved");
    std::os::unix::fs::symlink(&real, story.file()).expect("linked");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o644)).expect("mode");
    let inode = std::fs::metadata(&real).expect("there").ino();

    // When two hosts are met for the first time, one of them twice
    let trust = story.trust(HostKeyPolicy::AcceptNew);
    let learned = trust
        .judge(&host("10.0.0.1", 22), &offered(ED25519))
        .expect("learned");
    assert!(matches!(&learned, Known::Learned { fingerprint, .. } if fingerprint == ED25519_PRINT));
    let again = trust
        .judge(&host("10.0.0.1", 22), &offered(ED25519))
        .expect("known");
    assert_eq!(again, Known::Before);
    trust
        .judge(&host("fe80::1", 2222), &offered(RSA))
        .expect("learned");

    // Then two lines stand below, in the same file, as ssh writes them
    assert_eq!(
        story.text(),
        format!(
            "# mine\n10.0.0.1 {}\n[fe80::1]:2222 {}\n",
            two_words(ED25519),
            two_words(RSA)
        )
    );
    let metadata = std::fs::metadata(&real).expect("there");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o644);
    assert_eq!(metadata.ino(), inode);
    assert!(trust.judge(&host("10.0.0.1", 22), &offered(ECDSA)).is_err());
}

#[test]
fn twenty_hosts_met_at_once_leave_twenty_whole_lines() {
    let story = Story::new("");
    let trust = story.trust(HostKeyPolicy::AcceptNew);
    std::thread::scope(|scope| {
        for at in 0..20 {
            let trust = &trust;
            scope.spawn(move || {
                // Two of each, so that who is second finds what the first has learned.
                let host = host(&format!("gpu-{}", at / 2), 22);
                trust.judge(&host, &offered(ED25519)).expect("learned or known");
            });
        }
    });
    let text = story.text();
    assert_eq!(text.lines().count(), 10, "{text}");
    assert!(text.lines().all(|line| line.ends_with(&two_words(ED25519))));
}

#[test]
fn without_any_file_a_key_can_only_be_refused() {
    let trust = Trust::new(HostKeyPolicy::AcceptNew, Vec::new(), Vec::new());
    let error = trust
        .judge(&host("gpu-1", 22), &offered(ED25519))
        .expect_err("nowhere to learn");
    assert_eq!(error.class(), ErrorClass::Local);

    let folder = tempfile::tempdir().expect("a folder");
    let system = folder.path().join("system");
    std::fs::write(&system, format!("gpu-1 {}\n", two_words(ED25519))).expect("written");
    let trust = Trust::new(HostKeyPolicy::Strict, Vec::new(), vec![system]);
    assert!(
        trust.judge(&host("gpu-1", 22), &offered(ED25519)).is_ok(),
        "the system's file counts"
    );
}

#[test]
fn what_is_learned_is_known_without_reading_the_file_again_unless_somebody_else_wrote_to_it() {
    // Given a file whose last line is cut off, and a key that was learned into it,
    let story = Story::new(&format!("# mine\nold {}", two_words(RSA)));
    let trust = story.trust(HostKeyPolicy::AcceptNew);
    let read = || {
        let files = trust.files.lock().expect("whole");
        files.get(&story.file()).map(Arc::as_ptr)
    };
    let judge = |name: &str, key: &str| trust.judge(&host(name, 22), &offered(key));
    let learned = |known| matches!(known, Ok(Known::Learned { .. }));
    assert!(learned(judge("gpu-1", ED25519)));
    let first = read();
    // when more are learned, then the file is what it was, and all of them are known, each by its line.
    for name in ["gpu-2", "gpu-3"] {
        assert!(learned(judge(name, ED25519)), "{name}");
        assert_eq!(read(), first, "{name}");
    }
    assert_eq!(judge("gpu-2", ED25519).expect("known"), Known::Before);
    let error = judge("gpu-3", ECDSA).expect_err("another key").to_string();
    assert!(error.contains("known_hosts:5"), "{error}");
    // What somebody else writes is read.
    let text = format!("{}gpu-4 {}\n", story.text(), two_words(RSA));
    std::fs::write(story.file(), text).expect("written");
    assert!(judge("gpu-4", ECDSA).is_err());
    assert_eq!(judge("gpu-1", ED25519).expect("known"), Known::Before);
}
