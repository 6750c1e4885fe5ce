//! `aami preflight` on the machine of the test, whatever that is like: nothing listens where its mirror should be, so
//! there is one issue at least, and each form tells of the same.

use serde_json::Value;

use crate::plane::{Said, aami};

/// Nobody listens on the port of tcpmux.
const LOOK: [&str; 7] = [
    "preflight",
    "--mode",
    "server",
    "--runtime",
    "systemd",
    "--mirror",
    "http://127.0.0.1:1",
];

fn look(more: &[&str]) -> Said {
    Said::by(aami(&LOOK).args(more))
}

#[test]
fn a_server_is_looked_at_and_every_form_tells_of_the_same() {
    // Given a machine on which a server could not be installed,
    let usual = look(&[]);
    // then the operator's program says so to people,
    assert_eq!(usual.exit, 1, "{usual:?}");
    assert!(
        usual.out.starts_with(
            "AAMI Preflight Check v1.0\n=========================\n\nMode: Server Installation\nRuntime: systemd\n"
        ),
        "{usual:?}"
    );
    let refused = "Code: CONNECTION_REFUSED (";
    assert!(
        usual.out.contains(refused) && usual.out.ends_with("Exit code: 1\n"),
        "{usual:?}"
    );
    // with everything it looked at where that is asked for: what was skipped, and where each fact is from,
    let verbose = look(&["--verbose"]);
    assert_eq!(verbose.exit, 1, "{verbose:?}");
    for more in [
        "  [-] Docker: skipped: the systemd runtime needs no containers\n",
        "  [-] Port 5432: skipped: ",
        "from /etc/os-release\n",
    ] {
        assert!(
            verbose.out.contains(more) && !usual.out.contains(more),
            "{more}: {verbose:?}"
        );
    }
    // with the errors alone where nothing else is,
    let quiet = look(&["--quiet"]);
    assert_eq!(quiet.exit, 1, "{quiet:?}");
    assert!(
        quiet.out.starts_with("ERRORS:\n") && quiet.out.contains(refused),
        "{quiet:?}"
    );
    for less in ["System Requirements", "Result:", "WARNINGS:", "Exit code:"] {
        assert!(!quiet.out.contains(less), "{less}: {quiet:?}");
    }
    // and to programs as the one document, quiet or not.
    for form in [&["--json"][..], &["--json", "--quiet"]] {
        let told = look(form);
        assert_eq!(told.exit, 1, "{told:?}");
        let told: Value = serde_json::from_str(&told.out).unwrap();
        assert_eq!(
            (&told["mode"], &told["passed"]),
            (&"server".into(), &false.into())
        );
        for (category, keys) in [
            ("system", &["os", "cpu", "ram_gb", "disk_gb"][..]),
            ("software", &["docker", "docker_compose", "curl"]),
            ("network", &["dns", "mirror", "docker.io", "ghcr.io"]),
            ("ports", &["8080", "9090", "3000", "5432", "6379"]),
            ("permissions", &["sudo", "docker_socket"]),
        ] {
            assert!(told["checks"][category]["passed"].is_boolean(), "{category}");
            for key in keys {
                assert!(
                    told["checks"][category][*key].is_object(),
                    "{category}.{key}: {told}"
                );
            }
        }
        let errors = told["errors"].as_array().unwrap();
        assert!(
            errors
                .iter()
                .any(|error| error["category"] == "network" && error["code"] == "CONNECTION_REFUSED"),
            "{told}"
        );
    }
    // What is named is let pass, and is then no error in any form.
    let ignoring = look(&["--quiet", "--ignore", "connection_refused"]);
    assert!(!ignoring.out.contains(refused), "{ignoring:?}");
}

#[test]
fn what_means_nothing_is_a_usage_error() {
    for wrong in [
        &["--verbose", "--quiet"][..],
        &["--verbose", "--json"],
        &["--ignore", "everything"],
        &["--server", "control"],
        &["--dry-run"],
        &["--fix", "--undo-fix"],
        &["--port", "0"],
    ] {
        let said = look(wrong);
        assert_eq!(said.exit, 2, "{wrong:?}: {said:?}");
        assert_eq!(said.out, "", "{wrong:?}");
    }
    let nodes = Said::by(&mut aami(&[
        "preflight",
        "--mode",
        "node",
        "--data-dir",
        "/srv/aami",
    ]));
    assert_eq!(nodes.exit, 2, "{nodes:?}");
    assert!(nodes.err.contains("--data-dir"), "{nodes:?}");
}
