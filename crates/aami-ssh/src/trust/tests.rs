//! Judging keys with files as OpenSSH writes them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use super::*;
use crate::ErrorClass;

const ED25519: &str = include_str!("../../tests/files/host_ed25519.pub");
const ECDSA: &str = include_str!("../../tests/files/host_ecdsa.pub");
const RSA: &str = include_str!("../../tests/files/host_rsa.pub");
const AUTHORITY: &str = include_str!("../../tests/files/ca.pub");
const CERTIFICATE: &str = include_str!("../../tests/files/host_ed25519-cert.pub");
const HASHED: &str = include_str!("../../tests/files/known_hosts_hashed");

const ED25519_PRINT: &str = "SHA256:FGcfi9Ubq0JMzcX4ubMRpNPv6PUo9+4ALiN5MkSzSYE";
const ECDSA_PRINT: &str = "SHA256:C5kcJYHbAcD2hA+xZGfzqAFwXgQTTtCMfIKrn3Apk7s";

/// Within the dates of the certificates.
fn in_2026() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_780_000_000)
}

struct Story {
    folder: tempfile::TempDir,
}

impl Story {
    fn new(lines: &str) -> Self {
        let story = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        std::fs::write(story.file(), lines).expect("written");
        story
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).expect("readable")
    }

    fn trust(&self, policy: HostKeyPolicy) -> Trust {
        Trust::new(policy, vec![self.file()], Vec::new()).clock(in_2026)
    }

    fn judge(&self, policy: HostKeyPolicy, host: &Host, key: &str) -> Result<Known, SshError> {
        self.trust(policy).judge(host, &offered(key))
    }
}

fn offered(text: &str) -> Offered {
    if text.contains("-cert-v01@") {
        Offered::Certificate(Box::new(Certificate::from_openssh(text).expect("a certificate")))
    } else {
        Offered::Key(PublicKey::from_openssh(text).expect("a key"))
    }
}

fn two_words(key: &str) -> String {
    key.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn host(address: &str, port: u16) -> Host {
    Host {
        port,
        ..Host::new("node", address, "root")
    }
}

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

#[test]
fn a_certificate_of_a_believed_authority_is_enough() {
    let story = Story::new(&format!("@cert-authority gpu-* {}\n", two_words(AUTHORITY)));
    let host = host("gpu-7", 22);
    let wanted = story
        .trust(HostKeyPolicy::Strict)
        .algorithms(&host)
        .expect("readable");
    assert!(!wanted.certificates.is_empty(), "certificates are asked for");
    let known = story
        .judge(HostKeyPolicy::Strict, &host, CERTIFICATE)
        .expect("certified");
    assert_eq!(
        known,
        Known::Certified {
            id: "gpu-7".to_owned()
        }
    );

    let by_name = Host::new("gpu-7", "10.0.0.7", "root");
    let known = story.judge(HostKeyPolicy::Strict, &by_name, CERTIFICATE);
    assert!(
        matches!(known, Ok(Known::Certified { .. })),
        "reached by address, named by name"
    );
}

#[test]
fn a_certificate_that_lacks_something_is_refused_with_the_reason() {
    let story = Story::new(&format!("@cert-authority * {}\n", two_words(AUTHORITY)));
    let late = || UNIX_EPOCH + Duration::from_secs(1_900_000_000);
    let early = || UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let user = include_str!("../../tests/files/user-cert.pub");
    let no_principal = include_str!("../../tests/files/no-principal-cert.pub");
    type Clock = fn() -> SystemTime;
    let cases: [(&str, &str, Clock, &str); 5] = [
        (CERTIFICATE, "gpu-8", in_2026, "it is for"),
        (CERTIFICATE, "gpu-7", late, "was valid until 2027-01-01"),
        (CERTIFICATE, "gpu-7", early, "not valid before 2026-01-01"),
        (user, "root", in_2026, "a user's certificate"),
        (no_principal, "gpu-7", in_2026, "it is for"),
    ];
    for (certificate, address, clock, reason) in cases {
        let trust = Trust::new(HostKeyPolicy::Strict, vec![story.file()], Vec::new()).clock(clock);
        let error = trust
            .judge(&host(address, 22), &offered(certificate))
            .expect_err("refused");
        assert_eq!(error.class(), ErrorClass::HostKey);
        assert!(error.to_string().contains(reason), "{error} says {reason}");
    }
}

#[test]
fn a_certificate_altered_after_it_was_signed_is_refused() {
    let story = Story::new(&format!("@cert-authority * {}\n", two_words(AUTHORITY)));
    let base64 = CERTIFICATE.split(' ').nth(1).expect("three words");
    let mut bytes = data_encoding::BASE64.decode(base64.as_bytes()).expect("base64");
    let at = bytes
        .windows(5)
        .position(|window| window == b"gpu-7")
        .expect("its id");
    bytes[at + 4] = b'8';
    let forged = Certificate::from_bytes(&bytes).expect("still a certificate");

    let judged = story
        .trust(HostKeyPolicy::AcceptNew)
        .judge(&host("gpu-7", 22), &Offered::Certificate(Box::new(forged)));
    let error = judged.expect_err("refused");
    assert!(error.to_string().contains("signature"), "{error}");
}

#[test]
fn a_wildcard_in_a_certificate_names_the_hosts_below_it() {
    let story = Story::new(&format!("@cert-authority * {}\n", two_words(AUTHORITY)));
    let starred = include_str!("../../tests/files/wildcard-cert.pub");
    assert!(
        story
            .judge(HostKeyPolicy::Strict, &host("a.example.org", 22), starred)
            .is_ok()
    );
    assert!(
        story
            .judge(HostKeyPolicy::Strict, &host("example.net", 22), starred)
            .is_err()
    );
}

#[test]
fn a_certificate_of_a_stranger_is_judged_by_the_key_in_it() {
    let story = Story::new(&format!("gpu-7 {}\n", two_words(ED25519)));
    let known = story.judge(HostKeyPolicy::Strict, &host("gpu-7", 22), CERTIFICATE);
    assert_eq!(known.expect("the key is known"), Known::Before);
    let story = Story::new(&format!("@cert-authority * {}\n", two_words(ED25519)));
    assert!(
        story
            .judge(HostKeyPolicy::Strict, &host("gpu-7", 22), CERTIFICATE)
            .is_err()
    );
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
