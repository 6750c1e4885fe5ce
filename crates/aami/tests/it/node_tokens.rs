//! The install script of one node, as an operator gets it.

use std::os::unix::fs::PermissionsExt as _;

use crate::plane::Plane;

/// A control plane that has an agent to hand out, and knows a node.
fn with_a_node() -> Plane {
    let plane = Plane::start();
    for arch in ["amd64", "arm64"] {
        let folder = plane.data().join("dist").join(arch);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("aami-agent"), "an agent").unwrap();
    }
    let added = plane.aami(&[
        "nodes",
        "add",
        "gpu-01",
        "--ip",
        "127.9.2.1",
        "--labels",
        "rack=A1",
    ]);
    assert_eq!(added.exit, 0, "{added:?}");
    assert!(
        added.out.contains("Node gpu-01 added") && added.out.contains("pending"),
        "{added:?}"
    );
    plane
}

#[test]
fn the_script_goes_to_a_file_of_its_owner_and_is_said_nowhere() {
    let plane = with_a_node();
    let file = plane.folder.path().join("gpu-01.sh");
    let file = file.to_str().unwrap();
    let made = plane.aami(&["nodes", "token", "gpu-01", "--save-to", file]);
    assert_eq!(made.exit, 0, "{made:?}");
    assert!(
        !made.out.contains("aami_") && made.out.contains("ssh gpu-01 sudo sh < "),
        "{made:?}"
    );
    let script = std::fs::read_to_string(file).unwrap();
    assert!(script.starts_with("#!/bin/sh\n") && script.contains("'gpu-01'") && script.contains("aami_"));
    assert!(script.ends_with("{ main \"$@\"; exit $?; }\n"), "it is whole");
    let mode = std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    // Programs get where it is.
    let made = plane.aami(&["nodes", "token", "gpu-01", "-o", "json"]).json();
    assert!(
        made["scriptFile"]
            .as_str()
            .is_some_and(|file| file.contains("/scripts/")),
        "{made}"
    );
    assert!(!made.to_string().contains("aami_"), "{made}");
    assert!(
        made["checksum"]
            .as_str()
            .is_some_and(|sum| sum.starts_with("sha256:")),
        "{made}"
    );
    // A pipe gets it when that is asked for.
    let shown = plane.aami(&["nodes", "rotate", "gpu-01", "--show-secret"]);
    assert!(shown.out.starts_with("#!/bin/sh\n"), "{shown:?}");
    assert!(shown.err.contains("are refused from now on"), "{shown:?}");
    // Each ended the one before.
    let tokens = plane.aami(&["tokens", "list", "-o", "json"]).json();
    let states: Vec<&str> = tokens
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|token| token["state"].as_str())
        .collect();
    assert_eq!(
        states.iter().filter(|state| **state == "revoked").count(),
        2,
        "{states:?}"
    );
}

#[test]
fn what_cannot_be_made_is_said_with_its_code_and_nothing_is_left_of_it() {
    let plane = with_a_node();
    let file = plane.folder.path().join("never.sh");
    let saved = file.to_str().unwrap();
    for (arguments, exit, said) in [
        (vec!["gpu-01", "--expires-in", "30m"], 2, "3600 to 31536000"),
        (vec!["gpu-01", "--agent-version", "9.9.9"], 5, "no agent 9.9.9"),
        (vec!["gpu-02"], 5, "gpu-02"),
    ] {
        let refused = plane.aami(&[&["nodes", "token", "--save-to", saved], &arguments[..]].concat());
        assert_eq!(refused.exit, exit, "{arguments:?}: {refused:?}");
        assert!(refused.err.contains(said), "{arguments:?}: {refused:?}");
        assert!(!file.exists(), "{arguments:?}");
    }
    assert_eq!(
        plane.aami(&["tokens", "list", "-o", "json"]).json(),
        serde_json::json!([])
    );
}
