use std::io::Write as _;
use std::process::{Command as Process, Stdio};
use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::marker::{Finder, Piece};
use super::*;
use crate::Sudo;
use crate::command::quote;

struct Ran {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    group: String,
    code: Option<i32>,
}

const KEEPERS: [Keeper; 2] = [Keeper::Timeout, Keeper::Supervisor];

fn envelope(keeper: Keeper, script: &str) -> Envelope {
    let host = Host::new("here", "127.0.0.1", "root");
    let (limit, grace) = (Duration::from_secs(60), Duration::from_secs(1));
    Envelope::new(&Command::script(script), &host, keeper, limit, grace).expect("short enough")
}

/// Runs an envelope as a login shell would.
fn run(keeper: Keeper, shell: &[&str], script: &str, input: &[u8]) -> Ran {
    try_run(keeper, shell, script, input)
        .unwrap_or_else(|| panic!("{keeper:?} did not begin it in {shell:?}"))
}

/// The same; nothing where the command did not begin.
fn try_run(keeper: Keeper, shell: &[&str], script: &str, input: &[u8]) -> Option<Ran> {
    let envelope = envelope(keeper, script);
    let text = String::from_utf8(envelope.line.clone()).expect("ASCII");
    let mut child = Process::new(shell[0])
        .args(&shell[1..])
        .arg(text)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    let _ = child.stdin.take().expect("its input").write_all(input);
    let output = child.wait_with_output().expect("it ends");
    let behind = |bytes: Vec<u8>| match Finder::new(&envelope.begin).feed(Bytes::from(bytes)) {
        Piece::Begins(rest, output) => Some((rest, output.to_vec())),
        _ => None,
    };
    let (group, stdout) = behind(output.stdout)?;
    let (_, stderr) = behind(output.stderr)?;
    Some(Ran {
        stdout,
        stderr,
        group,
        code: output.status.code(),
    })
}

fn shells() -> Vec<Vec<&'static str>> {
    [
        vec!["/bin/sh", "-c"],
        vec!["bash", "-c"],
        vec!["dash", "-c"],
        vec!["busybox", "sh", "-c"],
        vec!["fish", "-c"],
        vec!["tcsh", "-c"],
        vec!["bsd-csh", "-c"],
    ]
    .into_iter()
    .filter(|shell| {
        Process::new(shell[0])
            .arg("--help")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .status()
            .is_ok()
    })
    .collect()
}

#[test]
fn input_output_errors_and_code_go_through_every_shell_there_is() {
    let ways = || {
        shells()
            .into_iter()
            .flat_map(|shell| KEEPERS.map(|keeper| (shell.clone(), keeper)))
    };
    for (shell, keeper) in ways() {
        // One that brings a `timeout` of its own is told, and the other way is taken.
        let own = keeper == Keeper::Timeout && shell[0] == "busybox";
        if own && try_run(keeper, &shell, "exit 0", b"").is_none() {
            continue;
        }
        let ran = run(
            keeper,
            &shell,
            "cat; printf 'it'\\''s \"$HOME\" 100%% ok!\\n' >&2; exit 7",
            b"in\nput",
        );
        assert_eq!(ran.stdout, b"in\nput", "{shell:?}");
        assert_eq!(
            String::from_utf8_lossy(&ran.stderr),
            "it's \"$HOME\" 100% ok!\n",
            "{shell:?}"
        );
        assert_eq!(ran.code, Some(7), "{shell:?}");
        assert!(
            ran.group.trim_start_matches('s').parse::<u32>().is_ok(),
            "{}",
            ran.group
        );
    }
}

#[test]
fn what_a_command_is_told_arrives_as_it_is() {
    for word in [
        "",
        "two words",
        "it's",
        "a\\b",
        "new\nline",
        "!!",
        "ü→",
        "$(reboot)",
        "`x`",
        "%s",
        "-n",
        "\t",
    ] {
        let script = format!("printf %s {}", quote(word));
        for keeper in KEEPERS {
            let ran = run(keeper, &["/bin/sh", "-c"], &script, b"");
            assert_eq!(String::from_utf8_lossy(&ran.stdout), word, "{keeper:?}");
        }
    }
}

#[test]
fn the_words_of_a_program_are_its_own() {
    let command = Command::program(["printf", "%s|", "a b", "c'd", ""]);
    for keeper in KEEPERS {
        let ran = run(keeper, &["/bin/sh", "-c"], command.text(), b"");
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "a b|c'd||");
    }
}

#[test]
fn another_program_called_timeout_is_told_and_begins_nothing() {
    use std::os::unix::fs::PermissionsExt as _;

    // Given one that makes no group, one that wants other words, and none at all,
    let folder = tempfile::tempdir().expect("a folder");
    let begun = folder.path().join("begun");
    for program in [
        Some("#!/bin/sh\nshift 3\nexec \"$@\"\n"),
        Some("#!/bin/sh\necho usage >&2\nexit 125\n"),
        None,
    ] {
        let place = folder.path().join("timeout");
        let _ = std::fs::remove_file(&place);
        if let Some(program) = program {
            std::fs::write(&place, program).expect("written");
            std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).expect("made a program");
        }
        let envelope = envelope(Keeper::Timeout, &format!("echo > {}", begun.display()));
        // when a command is to run below it,
        let output = Process::new("/bin/sh")
            .args(["-c", std::str::from_utf8(&envelope.line).expect("ASCII")])
            .env("PATH", folder.path())
            .output()
            .expect("it ends");
        // then that it does not begin shows by what is missing.
        let seen = Finder::new(&envelope.begin).feed(Bytes::from(output.stdout));
        assert_eq!(seen, Piece::Noise, "{program:?}");
        assert!(!output.status.success() && !begun.exists(), "{program:?}");
    }
}

#[test]
fn what_the_shell_was_told_does_not_reach_the_command() {
    for keeper in KEEPERS {
        let ran = run(keeper, &["/bin/sh", "-c"], "echo \"[$*] $# [$g]\"", b"");
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "[] 0 []\n", "{keeper:?}");
    }
}

#[test]
fn the_watch_ends_a_command_with_all_it_started_and_leaves_nothing_behind() {
    // Given a command that ignores being asked to end, and what it starts
    for keeper in KEEPERS {
        ends_by_itself(keeper);
    }
}

fn ends_by_itself(keeper: Keeper) {
    let script = "trap '' TERM; sleep 3600 & echo $! $$; wait; sleep 3600";
    let host = Host::new("here", "127.0.0.1", "root");
    let envelope = Envelope::watched(&Command::script(script), &host, keeper, (1, 1)).expect("short enough");
    let text = String::from_utf8(envelope.line).expect("ASCII");
    let begun = Instant::now();
    let output = Process::new("/bin/sh")
        .args(["-c", &text])
        .stdin(Stdio::null())
        .output()
        .expect("it ends");
    assert!(begun.elapsed() < Duration::from_secs(30), "it was ended");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let pids = said.lines().last().expect("the process numbers").to_owned();
    // What was killed is gone when the kernel has come to it.
    let gone = |pid: &str| {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        state.is_empty() || state.contains(" Z ")
    };
    while !pids.split(' ').all(gone) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{pids} are gone");
        std::thread::yield_now();
    }
}

#[test]
fn a_marker_does_not_stand_in_the_line_itself() {
    let mut host = Host::new("gpu-1", "gpu-1", "operator");
    host.sudo = Sudo::WithPassword;
    let command = Command::script("id").as_root();
    let time = Duration::from_secs(5);
    let below_sudo = Envelope::new(&command, &host, Keeper::Timeout, time, time).expect("short");
    let text = String::from_utf8(below_sudo.line).expect("ASCII");
    assert!(!text.contains(&below_sudo.begin));
    assert!(!text.contains(&below_sudo.sudo.expect("sudo is needed").before));
    // Below sudo only a supervisor of root's can end it.
    assert_eq!(below_sudo.keeper, Keeper::Supervisor);
    for keeper in KEEPERS {
        let envelope = envelope(keeper, "id");
        let text = String::from_utf8(envelope.line).expect("ASCII");
        assert!(!text.contains(&envelope.begin), "{keeper:?}");
    }
}

#[test]
fn what_cannot_be_sent_is_said_before_anything_is() {
    let host = Host::new("here", "127.0.0.1", "root");
    for script in ["x".repeat(200_000), "a\0b".to_owned()] {
        for keeper in KEEPERS {
            let command = Command::script(script.clone());
            let refused = Envelope::new(&command, &host, keeper, Duration::ZERO, Duration::ZERO);
            assert!(matches!(refused, Err(SshError::Local { .. })));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_text_arrives_at_the_shell(word in "[^\0]{0,300}") {
        for keeper in KEEPERS {
            let ran = run(keeper, &["/bin/sh", "-c"], &format!("printf %s {}", quote(&word)), b"");
            prop_assert_eq!(String::from_utf8_lossy(&ran.stdout), word.as_str());
        }
    }

    #[test]
    fn no_piece_is_long_and_none_holds_what_a_shell_would_read(script in ".{0,3000}") {
        let mut line = Vec::new();
        words::push(&mut line, &script);
        let text = String::from_utf8(line).expect("ASCII");
        for piece in text.trim_matches('\'').split("' '") {
            prop_assert!(piece.len() <= words::PIECE);
            prop_assert!(!piece.contains(['\'', '!', '\n']));
        }
    }
}

#[test]
fn a_line_below_no_timeout_that_is_known_says_so_and_begins_nothing() {
    // Given a `timeout` that makes no group: as if it were not in the line,
    let envelope = envelope(Keeper::Timeout, "echo begun");
    let text = String::from_utf8(envelope.line).expect("ASCII");
    let (_, rest) = text.split_once("/bin/sh -c ").expect("the shell");
    // when the line is run,
    let output = Process::new("/bin/sh")
        .args(["-c", &format!("exec /bin/sh -c {rest}")])
        .output()
        .expect("it ends");
    // then it says what is the matter, and nothing else.
    assert!(timed::is_missing(&output.stderr, envelope.begin.as_bytes()));
    assert_eq!(output.stdout, b"");
    // Somebody else's marker is nobody's.
    let other = nonce().expect("random numbers");
    assert!(!timed::is_missing(&output.stderr, other.as_bytes()));
}

#[test]
fn a_shell_that_finds_no_timeout_is_told_from_what_speaks_of_one() {
    let is_missing = |text: &str| timed::is_missing(text.as_bytes(), b"AAMI-0123456789abcdef");
    for shell in [
        "sh: 1: exec: timeout: not found\n",
        "Welcome!\nbash: line 1: exec: timeout: not found\n",
        "timeout: Command not found.\n",
        "fish: Unknown command: timeout\nfish: \nexec timeout -k 5 60 /bin/sh -c 'x'\n",
        "fish: Unknown command 'timeout'\n",
        "zsh:1: command not found: timeout\n",
        "mksh: timeout: inaccessible or not found\r\n",
        "timeout: invalid option -- 'k'\nBusyBox v1.20\n",
        "bash: line 1: /usr/bin/timeout: Permission denied\n",
    ] {
        assert!(is_missing(shell), "{shell}");
    }
    for other in [
        "",
        "backup: the disk had a timeout\n",
        "rsync error: timeout in data send\n",
        "rrsync: SSH_ORIGINAL_COMMAND='exec timeout -k 5 60 /bin/sh -c x' is not rsync\n",
        "This account is currently not available.\n",
    ] {
        assert!(!is_missing(other), "{other}");
    }
}
