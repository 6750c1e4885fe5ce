//! The script of the one line, run by real shells with real curl and wget against a real control plane.
//! The agent it fetches is a stand-in that says how it was called: what the agent does is tested with it.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::house::House;

/// Says its arguments, what is in the token file, and the mode of that file.
const AGENT: &str = r#"#!/bin/sh
echo "args: $*"
while [ $# -gt 0 ]; do
  [ "$1" != --token-file ] || { echo "token: $(cat "$2")"; echo "mode: $(stat -c %a "$2")"; }
  shift
done
exit 6
"#;

pub(crate) const ARCH: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};

pub(crate) fn house_with(agent: &str) -> House {
    let house = House::new();
    place(&house, agent);
    house
}

pub(crate) fn place(house: &House, agent: &str) -> PathBuf {
    let folder = house.folder.path().join("data/dist").join(ARCH);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("aami-agent"), agent).unwrap();
    folder.join("aami-agent")
}

/// Runs a script as `... | sh -s -- args` does, with its temporary files in `tmp`.
pub(crate) fn run(shell: &[&str], script: &str, args: &[&str], tmp: &Path, path: Option<&Path>) -> Output {
    let mut command = Command::new(shell[0]);
    command
        .args(&shell[1..])
        .args(["-s", "--"])
        .args(args)
        .env("TMPDIR", tmp);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A shell that has stopped reads no further.
    let _ = child.stdin.take().unwrap().write_all(script.as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn rendered(house: &House, token: &str) -> String {
    // As the node gets it: the control plane names its https address.
    let script = house.stranger().with_bearer(token).text("/bootstrap.sh").unwrap();
    assert!(
        script.contains("https://127.0.0.1:"),
        "the script names the https address"
    );
    script
}

pub(crate) fn present(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .unwrap()
        .status
        .success()
}

pub(crate) fn left_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn every_shell_fetches_verifies_and_runs_the_agent_and_leaves_nothing() {
    let house = house_with(AGENT);
    let token = house.token(|_| {}).token;
    let script = rendered(&house, &token);
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
        let tmp = tempfile::tempdir().unwrap();
        let output = run(
            shell,
            &script,
            &["--labels", "rack=A 1", "--dry-run"],
            tmp.path(),
            None,
        );
        let said = said(&output);
        // The agent's own exit code is the script's.
        assert_eq!(output.status.code(), Some(6), "{shell:?}: {said}");
        assert!(
            said.contains("--labels rack=A 1 --dry-run") && said.contains("--ca-file"),
            "{said}"
        );
        assert!(
            said.contains(&format!("token: {token}")) && said.contains("mode: 600"),
            "{said}"
        );
        let args = said.lines().find(|line| line.starts_with("args: ")).unwrap();
        assert!(!args.contains(&token), "the token is in no argument list");
        assert_eq!(left_in(tmp.path()), 0, "nothing is left behind");
    }
}

#[test]
fn wget_does_where_there_is_no_curl() {
    let house = house_with(AGENT);
    let token = house.token(|_| {}).token;
    let tmp = tempfile::tempdir().unwrap();
    let bin = programs(&[
        "wget",
        "sha256sum",
        "cut",
        "uname",
        "mktemp",
        "rm",
        "chmod",
        "cat",
        "stat",
        "sh",
    ]);
    let output = run(
        &["/bin/sh"],
        &rendered(&house, &token),
        &[],
        tmp.path(),
        Some(bin.path()),
    );
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
}

/// A folder with links to just these programs.
pub(crate) fn programs(names: &[&str]) -> tempfile::TempDir {
    let bin = tempfile::tempdir().unwrap();
    for name in names {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {name}")])
            .output()
            .unwrap();
        let target = String::from_utf8(found.stdout).unwrap();
        assert!(!target.is_empty(), "{name} is missing");
        std::os::unix::fs::symlink(target.trim(), bin.path().join(name)).unwrap();
    }
    bin
}

#[test]
fn what_cannot_be_verified_is_never_run() {
    let house = house_with(AGENT);
    let token = house.token(|t| t.max_uses = Some(9)).token;
    let script = rendered(&house, &token);
    let tmp = tempfile::tempdir().unwrap();
    let attempt = |script: &str, path: Option<&Path>| {
        let output = run(&["/bin/sh"], script, &[], tmp.path(), path);
        let said = said(&output);
        assert!(!said.contains("args:"), "it was run: {said}");
        assert_eq!(left_in(tmp.path()), 0, "nothing is left behind");
        (output.status.code(), said)
    };
    // Another program than the script was rendered for: swapped, cut off, or a captive portal's page.
    for other in [
        "#!/bin/sh\necho args: evil\n",
        &AGENT[..20],
        "",
        "<!doctype html><html>Sign in</html>",
    ] {
        place(&house, other);
        let (code, said) = attempt(&script, None);
        assert_eq!(code, Some(10), "{said}");
        assert!(
            said.contains("CHECKSUM_MISMATCH") && said.contains("Expected") && said.contains("got"),
            "{said}"
        );
    }
    place(&house, AGENT);
    // No program that computes SHA-256.
    let bin = programs(&["curl", "cut", "uname", "mktemp", "rm", "chmod", "cat"]);
    let (code, said) = attempt(&script, Some(bin.path()));
    assert_eq!((code, said.contains("TOOL_MISSING")), (Some(10), true), "{said}");
    // No downloader.
    let bin = programs(&["cut", "uname", "mktemp", "rm", "chmod", "cat"]);
    let (code, said) = attempt(&script, Some(bin.path()));
    assert_eq!((code, said.contains("TOOL_MISSING")), (Some(1), true), "{said}");
    // Another control plane answers at the address: its CA is not the one in the script.
    let other = house_with(AGENT);
    let address = |house: &House| house.running().address().to_string();
    let diverted = script.replace(&address(&house), &address(&other));
    // curl and wget both say so.
    let only_wget = programs(&[
        "wget",
        "sha256sum",
        "cut",
        "uname",
        "mktemp",
        "rm",
        "chmod",
        "cat",
    ]);
    for path in [None, Some(only_wget.path())] {
        let (code, said) = attempt(&diverted, path);
        assert_eq!(
            (code, said.contains("SERVER_NOT_TRUSTED")),
            (Some(10), true),
            "{path:?}: {said}"
        );
        assert!(said.contains("hint: "), "{said}");
    }
}

#[test]
fn an_architecture_without_an_agent_is_named() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    let tmp = tempfile::tempdir().unwrap();
    let output = run(&["sh"], &rendered(&house, &token), &[], tmp.path(), None);
    assert_eq!(output.status.code(), Some(5));
    assert!(said(&output).contains("AGENT_ARCH_MISSING"), "{}", said(&output));
    // A machine of another kind altogether.
    let bin = programs(&["curl", "cut", "mktemp", "rm", "chmod", "cat"]);
    std::fs::write(bin.path().join("uname"), "#!/bin/sh\necho riscv64\n").unwrap();
    std::fs::set_permissions(bin.path().join("uname"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = run(
        &["/bin/sh"],
        &rendered(&house, &token),
        &[],
        tmp.path(),
        Some(bin.path()),
    );
    assert!(
        said(&output).contains("riscv64 [") || said(&output).contains("no agent for riscv64"),
        "{}",
        said(&output)
    );
}

#[test]
fn the_documents_form_works_where_the_server_can_be_trusted() {
    let house = house_with(AGENT);
    let token = house.token(|_| {}).token;
    let generic = house.stranger().text("/bootstrap.sh").unwrap();
    let tmp = tempfile::tempdir().unwrap();
    let go = |args: &[&str]| {
        let output = run(&["bash"], &generic, args, tmp.path(), None);
        (output.status.code(), said(&output))
    };
    let https = house.base.replace("http:", "https:");
    let ca = tmp.path().join("ca.pem");
    std::fs::write(&ca, house.running().ca().unwrap()).unwrap();
    let pin = house.running().pin().unwrap();
    let elsewhere = "http://192.0.2.1:8080";

    // Over loopback, by CA file, by pin.
    for args in [
        vec!["--token", &token, "--server", &house.base],
        vec![
            "--token",
            &token,
            "--server",
            &https,
            "--ca-file",
            ca.to_str().unwrap(),
        ],
        vec!["--token", &token, "--server", &https, "--pin", pin],
    ] {
        let (code, said) = go(&args);
        assert_eq!(code, Some(6), "{said}");
        assert!(said.contains("warning: sudo logs command lines"), "{said}");
        assert!(said.contains(&format!("token: {token}")), "{said}");
    }
    // Otherwise not.
    for (args, code, symbol) in [
        (
            vec!["--token", &token, "--server", &https],
            10,
            "SERVER_NOT_TRUSTED",
        ),
        (
            vec!["--token", &token, "--server", elsewhere],
            10,
            "SERVER_NOT_TRUSTED",
        ),
        (
            vec!["--token", &token, "--server", "http://127.0.0.1.example:8080"],
            10,
            "SERVER_NOT_TRUSTED",
        ),
        (
            vec!["--token", &token, "--server", "http://localhost:8080@192.0.2.1"],
            10,
            "SERVER_NOT_TRUSTED",
        ),
        (vec!["--token", &token, "--server", "gpu01:8080"], 2, "INVALID"),
        (vec!["--token", &token], 2, "INVALID"),
        (vec!["--token"], 2, "INVALID"),
    ] {
        let (got, said) = go(&args);
        assert_eq!(
            (got, said.contains(symbol)),
            (Some(code), true),
            "{args:?}: {said}"
        );
        assert!(!said.contains("args:") && said.contains("hint: "), "{said}");
    }
}

#[test]
fn every_truncation_of_it_is_harmless() {
    let house = house_with(AGENT);
    let token = house.token(|_| {}).token;
    let script = rendered(&house, &token);
    no_prefix_does_anything(&script);
}

/// Runs every prefix of a script, with programs around it that say when they are run.
pub(crate) fn no_prefix_does_anything(script: &str) {
    no_prefix_in(script, 0..script.trim_end().len());
}

/// The same for those that end in a part of it: at every byte near its ends, and at every fifth between them, for each
/// costs a shell (`AAMI_FULL=1`: at every one).
pub(crate) fn no_prefix_in(script: &str, ends: std::ops::Range<usize>) {
    let (first, whole) = (ends.start, ends.end);
    let every = std::env::var_os("AAMI_FULL").is_some();
    let near = |at: usize| at - first < 256 || whole - at < 512;
    let lengths: Vec<usize> = ends
        .filter(|at| every || near(*at) || at.is_multiple_of(5))
        .collect();
    // Programs that would do anything say so instead. `printf` and the like are built in.
    let bin = tempfile::tempdir().unwrap();
    let touched = bin.path().join("touched");
    for name in [
        "curl",
        "wget",
        "mktemp",
        "uname",
        "rm",
        "chmod",
        "cut",
        "sha256sum",
    ] {
        let stub = format!("#!/bin/sh\necho {name} >>{}\nexit 1\n", touched.display());
        std::fs::write(bin.path().join(name), stub).unwrap();
        std::fs::set_permissions(bin.path().join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let tmp = tempfile::tempdir().unwrap();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                loop {
                    let next = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(&length) = lengths.get(next) else {
                        return;
                    };
                    run(&["/bin/sh"], &script[..length], &[], tmp.path(), Some(bin.path()));
                    let did = std::fs::read_to_string(&touched).unwrap_or_default();
                    assert_eq!(did, "", "cut after {length} of {whole} bytes it ran something");
                }
            });
        }
    });
    assert_eq!(left_in(tmp.path()), 0);
    // The stubs do tell: the whole script runs them.
    run(&["/bin/sh"], script, &[], tmp.path(), Some(bin.path()));
    assert_ne!(std::fs::read_to_string(&touched).unwrap_or_default(), "");
}
