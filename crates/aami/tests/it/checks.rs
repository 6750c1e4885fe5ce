//! `aami checks`: from a file to the nodes.

use crate::plane::{Plane, Said};

fn apply(plane: &Plane, text: &str, more: &[&str]) -> Said {
    let file = plane.folder.path().join("checks.yaml");
    std::fs::write(&file, text).unwrap();
    let file = file.to_string_lossy().into_owned();
    let mut arguments = vec!["checks", "apply", "-f", &file];
    arguments.extend(more);
    plane.aami(&arguments)
}

#[test]
fn a_file_of_checks_is_applied_once_and_again() {
    // Given a file with two checks, one of them for a group and with its script beside it
    let plane = Plane::start();
    plane.aami(&["groups", "create", "training"]);
    std::fs::write(plane.folder.path().join("mounts.sh"), "echo '{}'\n").unwrap();
    let text = "name: mounts\ndescription: every mount is there\nscript_file: mounts.sh\n---\n\
                name: mounts\ngroup: training\nscript: |\n  echo '{\"a\":1}'\nargs: [/data]\ntimeout_seconds: 5\nrun_as: root\n";

    // when it is only looked at, nothing is made;
    let said = apply(&plane, text, &["--dry-run"]);
    assert_eq!(
        said.out, "check mounts would be made\ncheck mounts would be made\n",
        "{said:?}"
    );
    assert!(
        plane.aami(&["checks", "list"]).out.starts_with("no checks"),
        "a dry run made one"
    );

    // when it is applied, both are there, each for its nodes;
    let said = apply(&plane, text, &[]);
    assert_eq!(
        (said.exit, said.out.as_str()),
        (0, "check mounts is made\ncheck mounts is made\n"),
        "{said:?}"
    );
    let listed = plane.aami(&["checks", "list"]);
    assert!(
        listed.out.contains("every node") && listed.out.contains("group training"),
        "{listed:?}"
    );
    let all = plane.aami(&["checks", "list", "-o", "json"]).json();
    let everywhere = all
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check.get("group").is_none());
    let everywhere = everywhere.unwrap();
    assert_eq!(everywhere["script"], "echo '{}'\n");

    // and a second time changes nothing, while a changed script changes its check alone.
    let said = apply(&plane, text, &[]);
    assert_eq!(said.out.matches("as written already").count(), 2, "{said:?}");
    let said = apply(&plane, &text.replace("\"a\":1", "\"a\":2"), &[]);
    assert_eq!(
        said.out, "check mounts is as written already\ncheck mounts is changed\n",
        "{said:?}"
    );

    // By the name of both, none is shown; by its id one is, and can be deleted.
    let shown = plane.aami(&["checks", "show", "mounts"]);
    assert_eq!(shown.exit, 6, "{shown:?}");
    let id = everywhere["id"].as_str().unwrap();
    let shown = plane.aami(&["checks", "show", id]);
    assert!(shown.out.contains("Signed by:    nobody"), "{shown:?}");
    let deleted = plane.aami(&["checks", "delete", id]);
    assert_eq!(deleted.out, format!("check {id} is deleted\n"), "{deleted:?}");
    let shown = plane.aami(&["checks", "show", "mounts", "-o", "yaml"]);
    assert!(shown.out.contains("run_as: root"), "{shown:?}");
}

#[test]
fn a_file_that_cannot_be_meant_changes_nothing() {
    let plane = Plane::start();
    for (text, word) in [
        ("name: a\nscript: x\ntimeout: 5\n", "timeout"),
        ("name: a\n", "script"),
        ("name: a\nscript: x\nscript_file: y\n", "script_file"),
        ("name: a\nscript_file: /no/such/file\n", "/no/such/file"),
        ("name: A B\nscript: x\n", "name:"),
    ] {
        let said = apply(&plane, text, &[]);
        assert!(said.exit != 0 && said.err.contains(word), "{text:?}: {said:?}");
    }
    assert!(plane.aami(&["checks", "list"]).out.starts_with("no checks"));
}
