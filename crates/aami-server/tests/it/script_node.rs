//! The install script of one node, run by real shells with real curl and wget: each step and each failure reaches the
//! control plane, and the agent goes on in the same run. The agent is a stand-in; a node with systemd runs the real one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aami_api::node_token::{GenerateToken, GeneratedToken};
use aami_model::NodeId;
use aami_model::node_status::NodeStatus;
use serde_json::{Value, json};

use crate::house::House;
use crate::link::{events, kinds, node};
use crate::node_tokens::{declared, token};
use crate::script::{ARCH, house_with, left_in, no_prefix_in, place, present, programs, run, said};

/// Says how it was called and what it was given in files.
const AGENT: &str = r#"#!/bin/sh
echo "args: $*"
while [ $# -gt 0 ]; do
  case $1 in
    --token-file | --run-file) echo "$1 $(stat -c %a "$2") $(tr '\n' ' ' <"$2")" ;;
  esac
  shift
done
exit "${AGENT_ENDS:-0}"
"#;

/// A machine with a name, in front of whose programs stand-ins may be put.
struct Stage {
    house: House,
    id: NodeId,
    made: GeneratedToken,
    bin: tempfile::TempDir,
    tmp: tempfile::TempDir,
}

impl Stage {
    fn set() -> Self {
        let house = house_with(AGENT);
        let id = declared(&house, "gpu-01");
        let made = token(&house, &id);
        let stage = Self {
            house,
            id,
            made,
            bin: tempfile::tempdir().unwrap(),
            tmp: tempfile::tempdir().unwrap(),
        };
        stage.says("uname", &machine("Linux", "gpu-01.example.com", ARCH));
        stage.says("id", "echo 0");
        stage
    }

    /// A program of this name that does this.
    fn says(&self, name: &str, body: &str) {
        put(self.bin.path(), name, body);
    }

    /// The script, on a machine where systemd runs as far as a folder says so.
    fn script(&self) -> String {
        let systemd = self.bin.path().to_string_lossy().into_owned();
        assert!(self.made.install_script.contains("[ -d /run/systemd/system ]"));
        self.made.install_script.replace("/run/systemd/system", &systemd)
    }

    fn path(&self) -> PathBuf {
        format!("{}:/usr/local/bin:/usr/bin:/bin", self.bin.path().display()).into()
    }

    fn run(&self, shell: &[&str], args: &[&str]) -> (Option<i32>, String) {
        self.run_as(shell, &self.script(), args, &self.path())
    }

    fn run_as(&self, shell: &[&str], script: &str, args: &[&str], path: &Path) -> (Option<i32>, String) {
        let output = run(shell, script, args, self.tmp.path(), Some(path));
        assert_eq!(left_in(self.tmp.path()), 0, "nothing is left behind");
        (output.status.code(), said(&output))
    }

    /// The newest run, as it is shown.
    fn newest_run(&self) -> Value {
        let page: Value = self.house.admin().get("/api/v1/runs").unwrap();
        page["items"]
            .as_array()
            .unwrap()
            .last()
            .cloned()
            .unwrap_or_default()
    }

    fn runs(&self) -> usize {
        let page: Value = self.house.admin().get("/api/v1/runs").unwrap();
        page["items"].as_array().unwrap().len()
    }

    /// What the last event about the node says went wrong.
    fn error(&self) -> Value {
        let told = events(&self.house, &self.id);
        let last = told.last().unwrap();
        assert_eq!(last["type"], "node.installation_failed", "{last}");
        last["data"]["error"].clone()
    }
}

fn put(folder: &Path, name: &str, body: &str) {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A `uname` that says this.
fn machine(system: &str, name: &str, processor: &str) -> String {
    format!("case $1 in -s) echo {system} ;; -n) echo {name} ;; *) echo {processor} ;; esac")
}

#[test]
fn every_shell_tells_each_step_and_hands_its_run_to_the_agent() {
    for shell in [
        &["sh"][..],
        &["dash"],
        &["bash"],
        &["bash", "--posix"],
        &["busybox", "sh"],
    ] {
        if !present(shell[0]) {
            assert!(std::env::var_os("CI").is_none(), "{} is missing", shell[0]);
            println!("skipped: {} is missing", shell[0]);
            continue;
        }
        // Given a node that is pending
        let stage = Stage::set();
        assert_eq!(node(&stage.house, &stage.id).status, NodeStatus::Pending);

        // when its script is run on it,
        let (code, said) = stage.run(shell, &["--labels", "rack=A 1"]);

        // then it says what is installed where, for whom, and where that is explained;
        assert_eq!(code, Some(0), "{shell:?}: {said}");
        let (made, server) = (&stage.made, stage.house.base.replace("http:", "https:"));
        for line in [
            format!("AAMI agent {} for gpu-01 ({})", made.daemon_version, stage.id),
            format!("  control plane: {server}"),
            format!("  guide: {}", made.documentation_url),
        ] {
            assert!(
                said.lines().any(|found| found == line),
                "{shell:?}: no {line:?} in\n{said}"
            );
        }
        // the agent gets what the script was given, secrets by files of its own,
        let args = said.lines().find(|line| line.starts_with("args: ")).unwrap();
        assert!(
            args.contains("bootstrap") && args.contains("--labels rack=A 1"),
            "{args}"
        );
        assert!(
            !args.contains(&stage.made.token) && !args.contains("aamir_"),
            "{args}"
        );
        assert!(
            said.contains(&format!("--token-file 600 {}", stage.made.token)),
            "{said}"
        );
        let handed = said
            .lines()
            .find(|line| line.starts_with("--run-file 600 aamir_"))
            .unwrap();
        // the node is installing, and the run tells what was done so far, up to the number that was handed over.
        assert_eq!(node(&stage.house, &stage.id).status, NodeStatus::Installing);
        let run = stage.newest_run();
        assert_eq!(
            (&run["hostname"], &run["status"]),
            (&json!("gpu-01"), &json!("running"))
        );
        assert!(
            handed.trim().ends_with(&format!(" {}", run["last_event"])),
            "{handed} {run}"
        );
        let steps: Vec<(&str, &str)> = run["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| (step["id"].as_str().unwrap(), step["status"].as_str().unwrap()))
            .collect();
        let done = |id| (id, "completed");
        assert_eq!(
            steps,
            [done("prerequisites"), done("download"), done("integrity")]
        );
        assert_eq!(
            kinds(&stage.house, &stage.id),
            ["node.registered", "node.installation_started"]
        );
    }
}

#[test]
fn a_flipped_byte_is_told_with_both_checksums_and_the_next_try_begins_anew() {
    let stage = Stage::set();
    let flipped = AGENT.replace("args:", "brgs:");
    place(&stage.house, &flipped);
    let (code, said) = stage.run(&["sh"], &[]);
    assert_eq!(code, Some(10), "{said}");
    assert!(
        said.contains("CHECKSUM_MISMATCH") && !said.contains("brgs:"),
        "{said}"
    );
    let error = stage.error();
    let expected = stage.made.checksum.trim_start_matches("sha256:");
    let actual = sha256(&flipped);
    // The whole of it, as it is documented; where it was stands beside it.
    assert_eq!(
        error,
        json!({
            "code": "CHECKSUM_MISMATCH",
            "message": "Downloaded binary checksum does not match",
            "details": { "expected": expected, "actual": actual },
        })
    );
    let told = stage.house.admin().events(0, 500).unwrap().events;
    let failed = told.iter().find(|event| event.kind == "node.installation_failed");
    assert_eq!(failed.unwrap().data["step"], "integrity");
    // Whoever stands before the machine reads both sums as well.
    assert!(said.contains(expected) && said.contains(&actual), "{said}");
    let view = node(&stage.house, &stage.id);
    assert_eq!(view.status, NodeStatus::Error);
    let reason = "CHECKSUM_MISMATCH: Downloaded binary checksum does not match";
    assert_eq!(view.status_reason.as_deref(), Some(reason));
    assert_eq!(stage.newest_run()["status"], "failed");

    place(&stage.house, AGENT);
    let (code, said) = stage.run(&["sh"], &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(node(&stage.house, &stage.id).status, NodeStatus::Installing);
}

#[test]
fn the_wrong_machine_is_refused_before_anything_is_downloaded_and_told() {
    for (name, body, exit, code) in [
        ("uname", machine("Darwin", "gpu-01", "arm64"), 1, "OS_UNSUPPORTED"),
        (
            "uname",
            machine("Linux", "gpu-02", ARCH),
            4,
            "TOKEN_FOR_ANOTHER_NODE",
        ),
        (
            "uname",
            machine("Linux", "gpu-01", "riscv64"),
            5,
            "AGENT_ARCH_MISSING",
        ),
        ("id", "echo 1000".to_owned(), 4, "NOT_ROOT"),
    ] {
        let stage = Stage::set();
        stage.says(name, &body);
        let (ended, said) = stage.run(&["sh"], &[]);
        assert_eq!((ended, said.contains(code)), (Some(exit), true), "{said}");
        assert!(said.contains("hint: ") && !said.contains("args:"), "{said}");
        assert_eq!(stage.error()["code"], code);
        assert_eq!(node(&stage.house, &stage.id).status, NodeStatus::Error);
    }
    // Without systemd; as the script is.
    let stage = Stage::set();
    let script = stage
        .made
        .install_script
        .replace("/run/systemd/system", "/nonexistent");
    let (ended, said) = stage.run_as(&["sh"], &script, &[], &stage.path());
    assert_eq!(
        (ended, said.contains("SYSTEMD_NOT_RUNNING")),
        (Some(1), true),
        "{said}"
    );
    assert_eq!(stage.error()["code"], "SYSTEMD_NOT_RUNNING");
}

#[test]
fn wget_tells_as_much_where_there_is_no_curl() {
    let stage = Stage::set();
    let bin = programs(&[
        "wget",
        "sha256sum",
        "cut",
        "mktemp",
        "rm",
        "chmod",
        "cat",
        "stat",
        "sh",
        "date",
        "tr",
        "sed",
    ]);
    put(bin.path(), "uname", &machine("Linux", "gpu-01", ARCH));
    put(bin.path(), "id", "echo 0");
    let (code, said) = stage.run_as(&["/bin/sh"], &stage.script(), &[], bin.path());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("--run-file 600 aamir_"), "{said}");
    assert_eq!(stage.newest_run()["steps"][2]["status"], "completed");
    place(&stage.house, "#!/bin/sh\necho other\n");
    let (code, said) = stage.run_as(&["/bin/sh"], &stage.script(), &[], bin.path());
    assert_eq!(code, Some(10), "{said}");
    assert_eq!(stage.error()["code"], "CHECKSUM_MISMATCH");
}

#[test]
fn wget_which_knows_no_pin_sends_no_secret_where_one_is_asked_for() {
    let stage = Stage::set();
    // Given a machine that has wget alone,
    let tools = [
        "wget",
        "sha256sum",
        "cut",
        "mktemp",
        "rm",
        "chmod",
        "cat",
        "stat",
        "sh",
        "date",
        "tr",
        "sed",
    ];
    let bin = programs(&tools);
    put(bin.path(), "uname", &machine("Linux", "gpu-01", ARCH));
    put(bin.path(), "id", "echo 0");
    // when a pin is asked for, then nothing is fetched, and nothing was sent before.
    let pin = format!("--pin=sha256//{}=", "A".repeat(43));
    let (code, said) = stage.run_as(&["/bin/sh"], &stage.script(), &[&pin], bin.path());
    assert_ne!(code, Some(0), "{said}");
    assert_eq!(stage.runs(), 0, "{said}");
}

#[test]
fn no_secret_stands_in_any_programs_arguments() {
    for downloader in ["curl", "wget"] {
        let stage = Stage::set();
        let log = stage.bin.path().join("log");
        let tools = [
            "sha256sum",
            "cut",
            "mktemp",
            "rm",
            "chmod",
            "cat",
            "stat",
            "sh",
            "date",
            "tr",
            "sed",
            downloader,
        ];
        // Each program notes how it was called, and is called.
        let bin = tempfile::tempdir().unwrap();
        let real = programs(&tools);
        for tool in tools {
            let real = std::fs::read_link(real.path().join(tool)).unwrap();
            let body = format!(
                "echo \"{tool} $*\" >>{}\nexec {} \"$@\"",
                log.display(),
                real.display()
            );
            put(bin.path(), tool, &body);
        }
        put(bin.path(), "uname", &machine("Linux", "gpu-01", ARCH));
        put(bin.path(), "id", "echo 0");
        let (code, said) = stage.run_as(&["/bin/sh"], &stage.script(), &[], bin.path());
        assert_eq!(code, Some(0), "{said}");
        let handed = said.lines().find_map(|line| line.strip_prefix("--run-file 600 "));
        let credential = handed.unwrap().split(' ').next().unwrap();
        assert!(credential.starts_with("aamir_"), "{said}");
        let called = std::fs::read_to_string(&log).unwrap();
        assert!(
            called.contains(&format!("{downloader} ")) && called.contains("/events"),
            "{called}"
        );
        assert!(
            !called.contains(&stage.made.token) && !called.contains(credential),
            "{called}"
        );
    }
}

#[test]
fn an_agent_that_ends_without_a_word_is_told_by_the_script() {
    let stage = Stage::set();
    place(&stage.house, &AGENT.replace("${AGENT_ENDS:-0}", "139"));
    let made = stage
        .house
        .admin()
        .node_token(&stage.id, &GenerateToken::default())
        .unwrap();
    let stage = Stage { made, ..stage };
    let (code, said) = stage.run(&["sh"], &[]);
    assert_eq!(code, Some(139), "{said}");
    let error = stage.error();
    assert_eq!(
        (&error["code"], &error["message"]),
        (
            &json!("STEP_FAILED"),
            &json!("The agent ended with the status 139.")
        )
    );
    // One that was only interrupted goes on later: that is no failure.
    place(&stage.house, &AGENT.replace("${AGENT_ENDS:-0}", "9"));
    let made = stage
        .house
        .admin()
        .node_token(&stage.id, &GenerateToken::default())
        .unwrap();
    let stage = Stage { made, ..stage };
    let (code, said) = stage.run(&["sh"], &[]);
    assert_eq!(code, Some(9), "{said}");
    assert_eq!(node(&stage.house, &stage.id).status, NodeStatus::Installing);
}

#[test]
fn an_older_script_says_that_it_was_replaced_and_fetches_nothing() {
    let stage = Stage::set();
    token(&stage.house, &stage.id);
    let (code, said) = stage.run(&["sh"], &[]);
    assert_eq!((code, said.contains("TOKEN_REVOKED")), (Some(4), true), "{said}");
    assert!(!said.contains("args:"), "{said}");
    assert_eq!(stage.runs(), 0);
    assert_eq!(node(&stage.house, &stage.id).status, NodeStatus::Pending);
}

#[test]
fn looking_at_the_plan_tells_nothing_and_needs_no_root() {
    let stage = Stage::set();
    stage.says("id", "echo 1000");
    let (code, said) = stage.run(&["sh"], &["--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("--dry-run") && !said.contains("--run-file"),
        "{said}"
    );
    assert_eq!(
        (stage.runs(), node(&stage.house, &stage.id).status),
        (0, NodeStatus::Pending)
    );
}

#[test]
fn what_is_downloaded_elsewhere_is_known_by_the_checksum_in_the_script() {
    // Given a web server of releases on this machine, and what the agent there must be
    let releases = House::new();
    let served = format!("{}/dist", releases.base);
    let folder = releases.folder.path().join("data/dist/1.0.0").join(ARCH);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("aami-agent"), AGENT).unwrap();
    let sum = sha256(AGENT);
    let base = served.clone();
    let house = House::with(move |config| {
        config.releases.base_url = Some(base);
        config.releases.default_version = Some("v1.0.0".into());
        let key = ("1.0.0".to_owned(), ARCH.to_owned());
        config.releases.checksums.insert(key, sum);
    });
    let id = declared(&house, "gpu-01");
    let made = token(&house, &id);
    let stage = Stage {
        house,
        id,
        made,
        ..Stage::set()
    };
    assert_eq!(
        stage.made.download_url,
        format!("{served}/1.0.0/{ARCH}/aami-agent")
    );
    // when the script is run, then it comes from there, and the control plane is still told;
    let (code, said) = stage.run(&["sh"], &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("args: ") && said.contains("--ca-file"), "{said}");
    assert_eq!(stage.newest_run()["steps"][2]["status"], "completed");
    // another file there is not run.
    std::fs::write(folder.join("aami-agent"), "#!/bin/sh\necho args: evil\n").unwrap();
    let (code, said) = stage.run(&["sh"], &[]);
    assert_eq!((code, said.contains("evil")), (Some(10), false), "{said}");
    std::fs::remove_file(folder.join("aami-agent")).unwrap();
    let (code, said) = stage.run(&["sh"], &[]);
    assert_eq!(
        (code, said.contains("AGENT_ARCH_MISSING")),
        (Some(5), true),
        "{said}"
    );
    assert_eq!(stage.error()["code"], "AGENT_ARCH_MISSING");
}

#[test]
fn the_one_line_with_this_token_is_the_same_script() {
    let stage = Stage::set();
    let line = stage
        .house
        .stranger()
        .with_bearer(&stage.made.token)
        .text("/bootstrap.sh")
        .unwrap();
    assert_eq!(line, stage.made.install_script);
    // The token itself stands in it once, and everywhere else by its variable.
    assert_eq!(line.matches(&stage.made.token).count(), 1);
}

#[test]
fn cut_off_in_what_it_tells_it_does_nothing() {
    let stage = Stage::set();
    let script = &stage.made.install_script;
    let from = script.find("# Made for one node").unwrap();
    let to = script.find("plain_elsewhere()").unwrap();
    no_prefix_in(script, from..to);
}

fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(text.as_bytes()))
}
