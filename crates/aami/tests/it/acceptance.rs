//! The first commands an operator types, one after the other on one machine, and what they print.

use crate::plane::{Said, aami};

#[test]
fn each_of_the_first_commands_prints_what_it_promises() {
    let root = tempfile::tempdir().unwrap();
    let on_this_machine = |arguments: &[&str]| {
        let mut command = aami(arguments);
        command.arg("--root").arg(root.path()).env("HOME", root.path());
        Said::by(&mut command)
    };

    let version = Said::by(&mut aami(&["version"]));
    assert!(
        version.out.starts_with("AAMI v0.1.0 (commit: ") && version.out.contains(", built: "),
        "{version:?}"
    );

    let init = on_this_machine(&["init", "--no-install"]);
    let config = root.path().join("etc/aami/config.yaml");
    assert!(
        init.out.contains("Created") && init.out.contains("/etc/aami/config.yaml"),
        "{init:?}"
    );
    assert!(config.exists());

    let add = on_this_machine(&["nodes", "add", "test", "--ip", "1.2.3.4"]);
    assert_eq!(add.out, "✅ Node test added\n", "{add:?}");

    let list = on_this_machine(&["nodes", "list"]);
    assert!(
        list.out.starts_with("NAME") && list.out.contains("test") && list.out.contains("1.2.3.4"),
        "{list:?}"
    );

    // No Prometheus of another program on this machine is told to read anything.
    assert_eq!(
        on_this_machine(&["config", "set", "prometheus.port", "9"]).exit,
        0
    );
    let apply = on_this_machine(&["alerts", "apply-preset", "gpu-production"]);
    assert_eq!(
        apply.out, "✅ Applied preset gpu-production (8 rules)\n",
        "{apply:?}"
    );

    let status = on_this_machine(&["status"]);
    for component in ["Prometheus", "Alertmanager", "Grafana"] {
        assert!(status.out.contains(component), "{status:?}");
    }

    let xid = Said::by(&mut aami(&["explain", "xid", "79"]));
    assert_eq!(xid.exit, 0);
    for part in [
        "Xid 79: GPU has fallen off the bus",
        "Severity: Critical",
        "Meaning:",
        "Common Causes:",
        "Recommended Actions:",
        "Reference:",
    ] {
        assert!(xid.out.contains(part), "{part}: {xid:?}");
    }
}
