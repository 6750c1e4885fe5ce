//! Authorities and their certificates.

use super::*;

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
    let user = include_str!("../../../tests/files/user-cert.pub");
    let no_principal = include_str!("../../../tests/files/no-principal-cert.pub");
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
    let starred = include_str!("../../../tests/files/wildcard-cert.pub");
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
