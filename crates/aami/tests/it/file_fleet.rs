//! A fleet that a file declares, over the binary: no control plane, no network.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::plane::{Plane, Said, aami};

/// A machine of a test's own: a folder that stands for `/`.
pub(crate) struct Machine(tempfile::TempDir);

impl Machine {
    fn bare() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// One on which `aami init` was.
    pub(crate) fn with_fleet() -> Self {
        let machine = Self::bare();
        let said = machine.aami(&["init", "--no-install"]);
        assert_eq!(said.exit, 0, "{said:?}");
        machine
    }

    pub(crate) fn aami(&self, arguments: &[&str]) -> Said {
        // Before the rest: what follows `--` is for the nodes.
        let mut command = aami(&arguments[..1]);
        command
            .arg("--root")
            .arg(self.0.path())
            .args(&arguments[1..])
            .env("HOME", self.0.path());
        Said::by(&mut command)
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn config(&self) -> String {
        fs::read_to_string(self.path("etc/aami/config.yaml")).unwrap()
    }
}

#[test]
fn from_nothing_to_a_declared_node() {
    // Given a machine without anything of AAMI's,
    let machine = Machine::bare();
    // when it is made one, then the configuration is there, for its owner alone,
    let said = machine.aami(&["init", "--no-install"]);
    let path = machine.path("etc/aami/config.yaml");
    assert_eq!(
        (said.exit, said.out),
        (0, format!("Created {}\n", path.display())),
        "{}",
        said.err
    );
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // and nodes are declared and listed.
    let said = machine.aami(&["nodes", "add", "test", "--ip", "1.2.3.4"]);
    assert_eq!(
        (said.exit, said.out.as_str()),
        (0, "✅ Node test added\n"),
        "{said:?}"
    );
    assert!(said.err.contains("the file fleet"), "{said:?}");
    let said = machine.aami(&["nodes", "list"]);
    assert_eq!(said.out, "NAME  IP       USER  LABELS\ntest  1.2.3.4  root  -\n");
    // A second time nothing is overwritten.
    let before = machine.config();
    let said = machine.aami(&["init", "--no-install"]);
    assert_eq!((said.exit, said.out.as_str()), (0, ""), "{said:?}");
    assert_eq!(machine.config(), before);
}

#[test]
fn a_range_of_nodes_is_one_command_and_comments_stay() {
    let machine = Machine::with_fleet();
    let said = machine.aami(&[
        "nodes",
        "add",
        "gpu[001-128]",
        "--ip",
        "10.0.0.[1-128]",
        "--user",
        "ops",
        "--labels",
        "rack=A1,row=3",
    ]);
    assert_eq!(
        (said.exit, said.out.as_str()),
        (0, "✅ 128 nodes added: gpu[001-128]\n"),
        "{said:?}"
    );
    assert!(machine.config().contains("# The nodes."), "{}", machine.config());
    let listed = machine
        .aami(&["nodes", "list", "gpu[007-008]", "-l", "rack=A1", "-o", "json"])
        .json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(
        (&listed[0]["name"], &listed[0]["ip"]),
        (&"gpu007".into(), &"10.0.0.7".into())
    );
    assert_eq!(listed[0]["user"], "ops");
    // One of them goes, and the others stay.
    let said = machine.aami(&["nodes", "remove", "gpu[002-128]", "--yes"]);
    assert_eq!(said.exit, 0, "{said:?}");
    let left = machine.aami(&["nodes", "list", "-o", "json"]).json();
    assert_eq!(left.as_array().unwrap().len(), 1);
    // Nobody is removed without being asked, and there is nobody to ask here.
    let said = machine.aami(&["nodes", "remove", "gpu001"]);
    assert_eq!(said.exit, 2, "{said:?}");
    assert!(said.err.contains("--yes"), "{said:?}");
    assert!(machine.config().contains("gpu001"));
}

#[test]
fn a_long_list_with_three_bad_lines_names_all_three_and_adds_nothing() {
    let machine = Machine::with_fleet();
    let mut list: Vec<String> = (0..20_000)
        .map(|n| format!("gpu{n:05} 10.{}.{}.{}", n / 65_536, n / 256 % 256, n % 256))
        .collect();
    list[99] = "gpu00099 10.0.0.999".into();
    list[9_999] = "bad_name! 10.1.1.1".into();
    list[19_999] = "gpu19999".into();
    let file = machine.path("nodes.txt");
    fs::write(&file, list.join("\n")).unwrap();
    let before = machine.config();
    let said = machine.aami(&["nodes", "add", "--file", file.to_str().unwrap()]);
    assert_eq!(said.exit, 2, "{said:?}");
    for line in ["line 100", "line 10000", "line 20000"] {
        assert!(said.err.contains(line), "{line}\n{}", said.err);
    }
    assert!(
        said.err.contains("FLEET_LIST_INVALID") && said.err.contains("3 lines"),
        "{}",
        said.err
    );
    assert_eq!(machine.config(), before);
}

#[test]
fn duplicates_are_refused_with_what_they_clash_with() {
    let machine = Machine::with_fleet();
    machine.aami(&["nodes", "add", "gpu-01", "--ip", "10.0.0.1"]);
    for (arguments, clash) in [
        (["gpu-01", "--ip", "10.0.0.2"], "10.0.0.1"),
        (["GPU-01", "--ip", "10.0.0.2"], "10.0.0.1"),
        (["gpu-02", "--ip", "10.0.0.1"], "gpu-01"),
        (["gpu-02", "--ip", "::ffff:10.0.0.1"], "gpu-01"),
    ] {
        let said = machine.aami(&[&["nodes", "add"][..], &arguments[..]].concat());
        assert_eq!(said.exit, 6, "{arguments:?}: {said:?}");
        assert!(
            said.err.contains("NODE_DECLARED") && said.err.contains(clash),
            "{said:?}"
        );
    }
}

#[test]
fn what_needs_a_control_plane_says_so_with_the_way_out() {
    let machine = Machine::with_fleet();
    machine.aami(&["nodes", "add", "gpu-01", "--ip", "10.0.0.1"]);
    for arguments in [
        &["nodes", "maintenance", "gpu-01"][..],
        &["nodes", "token", "gpu-01"],
        &["nodes", "retire", "gpu-01"],
        &["nodes", "list", "--status", "online"],
        &["tokens", "list"],
        &["groups", "list"],
    ] {
        let said = machine.aami(arguments);
        assert_eq!(said.exit, 1, "{arguments:?}: {said:?}");
        assert!(
            said.err.contains("NEEDS_CONTROL_PLANE") && said.err.contains("hint:"),
            "{said:?}"
        );
    }
}

#[test]
fn a_broken_configuration_is_told_line_by_line_and_stays_as_it_is() {
    let machine = Machine::with_fleet();
    let broken =
        "cluster:\n  name: x\nnodes:\n  - name: gpu-01\n    ipp: 10.0.0.1\nssh:\n  max_paralell: 5\n";
    fs::write(machine.path("etc/aami/config.yaml"), broken).unwrap();
    let said = machine.aami(&["nodes", "add", "gpu-02", "--ip", "10.0.0.2"]);
    assert_eq!(said.exit, 2, "{said:?}");
    for part in ["line 5", "line 7", "max_parallel", "FLEET_INVALID"] {
        assert!(said.err.contains(part), "{part}\n{}", said.err);
    }
    assert_eq!(machine.config(), broken);
}

#[test]
fn two_commands_at_once_lose_nothing() {
    let machine = Machine::with_fleet();
    std::thread::scope(|scope| {
        for n in 1..=8 {
            let machine = &machine;
            scope.spawn(move || {
                let (name, ip) = (format!("gpu-{n}"), format!("10.0.0.{n}"));
                let said = machine.aami(&["nodes", "add", &name, "--ip", &ip]);
                assert_eq!(said.exit, 0, "{said:?}");
            });
        }
    });
    let listed = machine.aami(&["nodes", "list", "-o", "json"]).json();
    assert_eq!(listed.as_array().unwrap().len(), 8, "{listed}");
}

#[test]
fn a_fleet_without_a_configuration_names_the_command_that_makes_one() {
    let machine = Machine::bare();
    let said = machine.aami(&["nodes", "list"]);
    assert_eq!(said.exit, 5, "{said:?}");
    assert!(
        said.err.contains("FLEET_MISSING") && said.err.contains("aami init"),
        "{said:?}"
    );
}

#[test]
fn hosts_that_do_not_answer_are_told_one_by_one_and_folded() {
    // Given nodes on a port nobody listens on,
    let machine = Machine::with_fleet();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    machine.aami(&["config", "set", "ssh.retry.max_attempts", "1"]);
    let said = machine.aami(&[
        "nodes",
        "add",
        "gpu[1-5]",
        "--ip",
        "127.0.0.[1-5]",
        "--port",
        &port,
    ]);
    assert_eq!(said.exit, 0, "{said:?}");
    // when the way to them is tried, then each has a row, and the summary folds them.
    let said = machine.aami(&["nodes", "test", "--all"]);
    assert_ne!(said.exit, 0, "{said:?}");
    assert_eq!(said.out.matches("SSH_REFUSED").count(), 5, "{said:?}");
    assert!(said.err.contains("gpu[1-5]"), "{said:?}");
    let rows = machine.aami(&["nodes", "test", "gpu1", "-o", "json"]);
    assert!(
        rows.out.contains("\"ok\": false") && rows.out.contains("SSH_REFUSED"),
        "{rows:?}"
    );
    // Nothing is done on nobody.
    let said = machine.aami(&["nodes", "exec", "--", "true"]);
    assert_eq!(said.exit, 2, "{said:?}");
    let said = machine.aami(&["nodes", "exec", "gpu9", "--", "true"]);
    assert_eq!(said.exit, 5, "{said:?}");
}

#[test]
fn nothing_is_installed_without_an_agent_to_carry() {
    let machine = Machine::with_fleet();
    machine.aami(&["nodes", "add", "gpu-01", "--ip", "127.0.0.1"]);
    let file = machine.path("agent");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    let said = machine.aami(&["nodes", "install", "gpu-01", "--agent", file.to_str().unwrap()]);
    assert_eq!(said.exit, 10, "{said:?}");
    assert!(said.err.contains("NOT_A_PROGRAM"), "{said:?}");
    let said = machine.aami(&["nodes", "install", "--resume", "/no/such/file"]);
    assert_ne!(said.exit, 0, "{said:?}");
    assert!(said.err.contains("/no/such/file"), "{said:?}");
}

#[test]
fn a_resume_file_in_which_all_is_done_is_no_failure() {
    let machine = Machine::with_fleet();
    machine.aami(&["nodes", "add", "gpu-01", "--ip", "127.0.0.1"]);
    // Given the file of a command that ended between its last node and its end,
    let file = machine.path("resume");
    let text =
        "{\"aami_resume\":1,\"command\":\"nodes install\",\"hosts\":[\"gpu-01\"]}\n{\"done\":\"gpu-01\"}\n";
    fs::write(&file, text).unwrap();
    let resume = |more: &[&str]| {
        let words = ["nodes", "install", "--resume", file.to_str().unwrap()];
        machine.aami(&[&words[..], more].concat())
    };
    // when it is looked at, nothing is changed;
    let said = resume(&["--dry-run"]);
    assert!(said.exit == 0 && file.exists(), "{said:?}");
    // when it is gone on with, then that is said, and the file has done its work.
    let said = resume(&[]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(
        said.err.contains("nothing is left to be done: 1 node"),
        "{said:?}"
    );
    assert!(!file.exists());
}

#[test]
fn a_declared_fleet_moves_into_a_control_plane_once() {
    // Given a declared fleet and a control plane,
    let machine = Machine::with_fleet();
    machine.aami(&[
        "nodes", "add", "gpu-01", "--ip", "10.0.0.1", "--labels", "rack=A1", "--group", "racks",
    ]);
    machine.aami(&["nodes", "add", "gpu-02", "--ip", "10.0.0.2"]);
    let plane = Plane::start();
    let import = |more: &[&str]| {
        let key = plane.data().join("admin.key");
        let mut command = aami(&["config", "import", "--server", &plane.address(), "-o", "json"]);
        command.arg("--key-file").arg(key).args(more);
        command
            .arg("--root")
            .arg(machine.0.path())
            .env("HOME", machine.0.path());
        Said::by(&mut command)
    };
    let results = |said: &Said| -> Vec<String> {
        (said.json().as_array().unwrap().iter())
            .map(|one| {
                format!(
                    "{} {}",
                    one["name"].as_str().unwrap(),
                    one["result"].as_str().unwrap()
                )
            })
            .collect()
    };
    // when it is tried, then nothing is there yet;
    let tried = import(&["--dry-run"]);
    assert_eq!(
        results(&tried),
        ["racks moved", "gpu-01 moved", "gpu-02 moved"],
        "{tried:?}"
    );
    assert_eq!(
        plane.aami(&["nodes", "list", "-o", "json"]).json(),
        serde_json::json!([])
    );
    // when it is moved, then it is, once,
    let moved = import(&[]);
    assert_eq!(
        results(&moved),
        ["racks moved", "gpu-01 moved", "gpu-02 moved"],
        "{moved:?}"
    );
    assert!(moved.err.contains("not moved: "), "{moved:?}");
    let again = import(&[]);
    assert_eq!(
        results(&again),
        ["racks there", "gpu-01 there", "gpu-02 there"],
        "{again:?}"
    );
    let listed = plane.aami(&["nodes", "list", "-o", "json"]).json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    // and what is there with another address is told and left.
    plane.aami(&["nodes", "add", "gpu-03", "--ip", "10.9.9.9"]);
    machine.aami(&["nodes", "add", "gpu-03", "--ip", "10.0.0.3"]);
    let other = import(&[]);
    assert_eq!(other.exit, 7, "{other:?}");
    assert!(
        other.out.contains("10.9.9.9") && other.err.contains("gpu-03"),
        "{other:?}"
    );
}

#[test]
fn with_a_control_plane_the_same_words_act_through_it() {
    let plane = Plane::start();
    let added = plane.aami(&[
        "nodes",
        "add",
        "gpu[1-2]",
        "--ip",
        "10.0.0.[1-2]",
        "--labels",
        "rack=A1",
    ]);
    assert_eq!(added.exit, 0, "{added:?}");
    assert!(added.out.starts_with("✅ Node gpu1 added ("), "{added:?}");
    let listed = plane
        .aami(&["nodes", "list", "gpu2", "-l", "rack=A1", "-o", "json"])
        .json();
    assert_eq!(listed[0]["hostname"], "gpu2");
    // What only a file fleet does names what does it here.
    let said = plane.aami(&["nodes", "remove", "gpu1", "--yes"]);
    assert_eq!(said.exit, 1, "{said:?}");
    assert!(
        said.err.contains("NEEDS_FILE_FLEET") && said.err.contains("nodes retire"),
        "{said:?}"
    );
}

#[test]
fn a_node_that_is_mistyped_is_told_the_one_that_is_like_it() {
    let machine = Machine::with_fleet();
    let added = machine.aami(&["nodes", "add", "gpu-[01-02]", "--ip", "10.0.0.[1-2]"]);
    assert_eq!(added.exit, 0, "{added:?}");
    let said = machine.aami(&["nodes", "list", "gup-01"]);
    assert_eq!(said.exit, 5, "{said:?}");
    assert!(said.err.contains("Did you mean `gpu-01`?"), "{said:?}");
}
