//! The scripts that look at a host and take AAMI off it: the same text as the one that enrols, with another errand. Cut off
//! anywhere they do as little as that one: a word and a comment are all they differ by.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::house::House;
use crate::script::{house_with, programs, run, said};

/// Says how it was called.
const AGENT: &str = "#!/bin/sh\necho \"fetched: $*\"\nexit 1\n";
const TOOLS: [&str; 8] = [
    "curl",
    "sha256sum",
    "cut",
    "uname",
    "mktemp",
    "rm",
    "chmod",
    "cat",
];

/// The usual programs, and an agent that was installed before.
fn with_an_installed_agent() -> tempfile::TempDir {
    let bin = programs(&TOOLS);
    let agent = bin.path().join("aami-agent");
    std::fs::write(&agent, "#!/bin/sh\necho \"installed: $*\"\nexit 3\n").unwrap();
    std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

fn go(house: &House, path: &str, args: &[&str], bin: Option<&Path>) -> (Option<i32>, String) {
    let script = house.stranger().text(path).unwrap();
    let tmp = tempfile::tempdir().unwrap();
    let output = run(&["/bin/sh"], &script, args, tmp.path(), bin);
    (output.status.code(), said(&output))
}

#[test]
fn preflight_fetches_the_agent_and_its_exit_code_is_the_script_s() {
    let house = house_with(AGENT);
    let server = house.base.clone();
    let (code, said) = go(
        &house,
        "/preflight-check.sh",
        &["--mode", "node", "--server", &server, "--json"],
        None,
    );
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(&format!(
            "fetched: preflight --server {server} --mode node --json"
        )),
        "{said}"
    );
}

#[test]
fn preflight_without_a_server_uses_the_agent_that_is_installed() {
    let house = house_with(AGENT);
    let bin = with_an_installed_agent();
    let (code, said) = go(&house, "/preflight-check.sh", &["--quiet"], Some(bin.path()));
    assert_eq!((code, said.as_str()), (Some(3), "installed: preflight --quiet\n"));
    // With neither there is nothing to run.
    let bin = programs(&TOOLS);
    let (code, said) = go(&house, "/preflight-check.sh", &[], Some(bin.path()));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("INVALID") && said.contains("--server"), "{said}");
}

#[test]
fn uninstall_uses_the_agent_that_is_installed_and_hides_the_token_from_its_arguments() {
    let house = house_with(AGENT);
    let token = house.token(|_| {}).token;
    let bin = with_an_installed_agent();
    let args = ["--unregister", "--server", &house.base, "--token", &token];
    let (code, said) = go(&house, "/uninstall.sh", &args, Some(bin.path()));
    assert_eq!(code, Some(3), "{said}");
    let called = said.lines().find(|line| line.starts_with("installed: ")).unwrap();
    assert!(called.starts_with(&format!(
        "installed: uninstall --server {} --unregister",
        house.base
    )));
    assert!(
        called.contains("--token-file") && !called.contains(&token),
        "{called}"
    );
    assert!(said.contains("warning: sudo logs command lines"), "{said}");

    // Where it is gone, the control plane has another.
    let bin = programs(&TOOLS);
    let (code, said) = go(
        &house,
        "/uninstall.sh",
        &["--server", &house.base],
        Some(bin.path()),
    );
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("fetched: uninstall"), "{said}");
}
