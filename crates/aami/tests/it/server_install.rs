//! What `aami server install` is given and cannot use: refused with its exit status and code, before anything is asked,
//! and without a secret in the answer. Always with `--dry-run`, so that no machine that runs the tests becomes a server.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::plane::{Said, aami};

/// A password nobody else has.
const CANARY: &str = "canary-5d1e-hunter2";

/// Types it with more options.
fn install(options: &[&str]) -> Said {
    let words = [&["server", "install", "--dry-run", "--unattended"], options].concat();
    Said::by(&mut aami(&words))
}

/// Refused with this exit status and these words, and nothing secret among them.
#[track_caller]
fn is_refused(options: &[&str], exit: i32, words: &[&str]) {
    let said = install(options);
    assert_eq!(said.exit, exit, "{options:?}: {said:?}");
    for word in words {
        assert!(said.err.contains(word), "{options:?}: no {word:?} in {said:?}");
    }
    assert!(
        !said.err.contains(CANARY) && !said.out.contains(CANARY),
        "{options:?}: {said:?}"
    );
    assert!(!said.err.contains("panicked"), "{options:?}: {said:?}");
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_certificate_of_lets_encrypt_is_refused_and_told_what_there_is() {
    // It is no promise that is broken later: nothing is planned, and the ways there are are named.
    is_refused(
        &["--https"],
        2,
        &["ACME_NOT_YET", "hint: ", "--tls-cert", "--tls-key"],
    );
    is_refused(&["--https", "--domain", "aami.example.com"], 2, &["ACME_NOT_YET"]);
}

#[test]
fn a_password_that_is_none_or_is_given_twice_is_refused_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(folder.path(), "good", &format!("{CANARY}\n"));
    // Two forms of one password: nobody knows which is meant.
    for (flag, other) in [
        ("--grafana-password", "--grafana-password-file"),
        ("--postgres-password", "--postgres-password-file"),
    ] {
        is_refused(&[flag, "one", other, &good], 2, &["cannot be used with", other]);
    }
    // A file that is not there, a folder, more than a line, nothing, what no keyboard has, too much.
    let missing = folder.path().join("missing").to_str().unwrap().to_owned();
    let at = folder.path().to_str().unwrap();
    for bad in [
        missing.as_str(),
        at,
        &file(folder.path(), "lines", &format!("{CANARY}\nmore\n")),
        &file(folder.path(), "empty", "\n"),
        &file(folder.path(), "bell", &format!("{CANARY}\u{7}\n")),
        &file(folder.path(), "long", &CANARY.repeat(20)),
        &file(folder.path(), "huge", &CANARY.repeat(100_000)),
    ] {
        is_refused(
            &["--grafana-password-file", bad],
            2,
            &["SECRET_UNUSABLE", bad, "hint: "],
        );
    }
    // On the command line, too.
    is_refused(
        &["--grafana-password", ""],
        2,
        &["SECRET_UNUSABLE", "--grafana-password"],
    );
    let lines = format!("{CANARY}\nmore");
    is_refused(
        &["--grafana-password", &lines],
        2,
        &["SECRET_UNUSABLE", "--grafana-password"],
    );
}

#[test]
fn a_certificate_without_its_key_or_with_something_else_in_its_place_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let chain = file(
        folder.path(),
        "chain.pem",
        "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n",
    );
    let key = file(
        folder.path(),
        "key.pem",
        &format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n"),
    );
    is_refused(&["--tls-cert", &chain], 2, &["--tls-key"]);
    is_refused(&["--tls-key", &key], 2, &["--tls-cert"]);
    // One in the other's place, and nothing in either's.
    is_refused(
        &["--tls-cert", &key, "--tls-key", &chain],
        2,
        &["CERTIFICATE_UNUSABLE", &key, "hint: "],
    );
    is_refused(
        &["--tls-cert", &chain, "--tls-key", &chain],
        2,
        &["CERTIFICATE_UNUSABLE", &chain],
    );
    let missing = folder.path().join("missing").to_str().unwrap().to_owned();
    is_refused(
        &["--tls-cert", &missing, "--tls-key", &key],
        2,
        &["CERTIFICATE_UNUSABLE", &missing],
    );
    // Well formed, and not of one another: said now, and not by a control plane that does not start.
    is_refused(
        &["--tls-cert", &chain, "--tls-key", &key],
        2,
        &["CERTIFICATE_UNUSABLE"],
    );
}

#[test]
fn what_is_out_of_bounds_is_refused_by_the_name_of_its_option() {
    for (options, option) in [
        (["--token-max-uses", "0"], "--token-max-uses"),
        (["--token-max-uses", "100001"], "--token-max-uses"),
        (["--token-ttl", "soon"], "--token-ttl"),
        (["--server-port", "0"], "--server-port"),
        (["--alertmanager-port", "65536"], "--alertmanager-port"),
        (["--grafana-port", "x"], "--grafana-port"),
        (["--install-dir", "opt/aami"], "--install-dir"),
        (["--data-dir", "/var/../etc"], "--data-dir"),
        (["--components", "prometheus,nagios"], "nagios"),
        (["--mirror", "https://me:secret@mirror.example.com"], "--mirror"),
        (["--runtime", "kubernetes"], "--runtime"),
        (["--version", "0.0.1"], "VERSION_ELSEWHERE"),
    ] {
        is_refused(&options, 2, &[option]);
    }
    for pair in [
        ["--resume", "--repair"],
        ["--reset", "--repair"],
        ["--reset", "--dry-run"],
        ["--status", "--dry-run"],
    ] {
        let words = [&["server", "install"], &pair[..]].concat();
        let said = Said::by(&mut aami(&words));
        assert_eq!(said.exit, 2, "{pair:?}: {said:?}");
        assert!(said.err.contains("cannot be used with"), "{pair:?}: {said:?}");
    }
}
