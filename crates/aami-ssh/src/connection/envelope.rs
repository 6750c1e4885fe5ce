//! The one line that a login shell is given, whatever shell it is, and the scripts in it.
//!
//! The line is `exec /bin/sh -c 'eval "$(printf %b "$@")"' sh 'PIECE' 'PIECE'...`. sh, bash, csh, tcsh and fish all
//! read it the same way: the pieces stand in single quotes and hold no quote, no backslash that is not before a
//! digit, no exclamation mark and no newline; those are written as octal numbers. The shell is replaced, so nothing
//! of its own comes after the command.
//!
//! In there runs a small supervisor. It starts the command in a session of its own, so that all of it can be ended
//! at once, with a watch beside it that does so when the time is up and nobody else has: a command ends even where
//! the connection is gone. Before the command's own output it prints a marker, on both streams.

use std::time::Duration;

use data_encoding::HEXLOWER;

use crate::command::quote;
use crate::{Command, Host, SshError, Sudo};

/// Old shells take no longer words.
const PIECE: usize = 900;
/// A longer line is turned down by kernels (`MAX_ARG_STRLEN`), servers or shells.
const LONGEST: usize = 120 * 1024;

/// The supervisor. `$1` is the marker, `$2` the seconds the command may run, `$3` those it may take to end, `$4` the
/// command.
///
/// The command's standard input is handed over as descriptor 3: shells give what runs in the background /dev/null.
/// The watch asks whether the supervisor is still there, since process numbers are used again. The supervisor keeps
/// neither of the output streams open: what ends them is the command's end, and shells remark on killed children.
const SUPERVISE: &str = r#"m=$1; t=$2; k=$3; u=$4
s=; command -v setsid >/dev/null 2>&1 && s=setsid
b='m=$1; s=$2; u=$3; set --; printf "\n%s %s%s\n" "$m" "$s" "$$"; printf "\n%s\n" "$m" >&2; eval "$u"'
exec 3<&0 </dev/null
$s /bin/sh -c "$b" sh "$m" "${s:+s}" "$u" <&3 3<&- &
p=$!
exec 3<&- >/dev/null 2>&1
g=$p; [ -z "$s" ] || g=-$p
trap 'kill -TERM $g 2>/dev/null || kill -TERM $p 2>/dev/null' HUP INT TERM
$s /bin/sh -c "sleep $t; kill -0 $$ && kill -TERM $g; sleep $k; kill -0 $$ && kill -KILL $g" &
w=$!
wait $p; c=$?
while kill -0 $p 2>/dev/null; do wait $p; c=$?; done
kill -TERM -$w 2>/dev/null || kill -TERM $w 2>/dev/null
exit $c
"#;

/// What goes before the supervisor where root is needed: `$1` to `$4` are the supervisor's, `$5` its text, `$6` what
/// sudo is told, `$7` a marker of sudo's own.
///
/// The supervisor runs under sudo, not around it: only root can end what runs as root. Messages of sudo are only
/// understood in one language.
const BECOME_ROOT: &str = r#"if [ "$(id -u)" = 0 ]; then r=$5; eval "$r"; exit; fi
PATH=$PATH:/usr/local/bin:/usr/bin:/bin; export PATH
command -v sudo >/dev/null 2>&1 || { printf '\n%s missing\n' "$7" >&2; exit 127; }
LC_ALL=C; LANGUAGE=C; export LC_ALL LANGUAGE
printf '\n%s\n' "$7" >&2
exec sudo $6 -- /bin/sh -c "unset LC_ALL LANGUAGE
$5" sh "$1" "$2" "$3" "$4"
"#;

/// A command on its way to a host.
#[derive(Debug)]
pub(super) struct Envelope {
    /// What the login shell is given.
    pub(super) line: Vec<u8>,
    /// In front of the command's output.
    pub(super) begin: String,
    /// How sudo is asked for, where it is.
    pub(super) sudo: Option<SudoMarks>,
}

/// By what sudo's words are told from others.
#[derive(Debug)]
pub(super) struct SudoMarks {
    /// Printed before sudo is started.
    pub(super) before: String,
    /// What sudo prints when it wants a password.
    pub(super) prompt: String,
}

impl Envelope {
    /// Closes a command in, for a host and a time it may run.
    pub(super) fn new(
        command: &Command,
        host: &Host,
        limit: Duration,
        kill_after: Duration,
    ) -> Result<Self, SshError> {
        if command.text().contains('\0') {
            return Err(SshError::Local {
                why: "a command with a zero byte in it cannot be sent".to_owned(),
            });
        }
        let grace = seconds(kill_after);
        // Later than we end it ourselves: the watch is for when we cannot.
        let watch = seconds(limit)
            .saturating_add(grace.saturating_mul(2))
            .saturating_add(5);
        Self::watched(command, host, watch, grace)
    }

    fn watched(command: &Command, host: &Host, watch: u64, grace: u64) -> Result<Self, SshError> {
        let script = command.text();
        let begin = nonce()?;
        let needs_sudo = command.root && (host.user != "root" || host.sudo_for_root);
        let mut text = format!("set -- {} {watch} {grace} {}", halves(&begin), quote(script));
        let sudo = if needs_sudo {
            let marks = SudoMarks {
                before: nonce()?,
                prompt: format!("{}:", nonce()?),
            };
            let told = match host.sudo {
                Sudo::WithoutPassword => "-n".to_owned(),
                Sudo::WithPassword => format!("-S -p {}", marks.prompt),
            };
            text.push_str(&format!(
                " {} {} {}\n{BECOME_ROOT}",
                quote(SUPERVISE),
                quote(&told),
                halves(&marks.before)
            ));
            Some(marks)
        } else {
            text.push('\n');
            text.push_str(SUPERVISE);
            None
        };
        let line = line(&text);
        if line.len() > LONGEST {
            return Err(SshError::Local {
                why: format!(
                    "the command is too long to be sent as one line ({} bytes, {LONGEST} at most)",
                    line.len()
                ),
            });
        }
        Ok(Self { line, begin, sudo })
    }
}

/// The line that makes any login shell run a script with `/bin/sh`.
fn line(script: &str) -> Vec<u8> {
    let mut line = br#"exec /bin/sh -c 'eval "$(printf %b "$@")"' sh '"#.to_vec();
    let mut length = 0;
    for byte in script.bytes() {
        let plain = matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'\\' | b'!');
        let width = if plain { 1 } else { 5 };
        if length + width > PIECE {
            line.extend_from_slice(b"' '");
            length = 0;
        }
        length += width;
        if plain {
            line.push(byte);
        } else {
            line.extend_from_slice(format!("\\0{byte:03o}").as_bytes());
        }
    }
    line.push(b'\'');
    line
}

/// A word nobody else prints.
fn nonce() -> Result<String, SshError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| SshError::Local {
        why: format!("no random numbers: {error}"),
    })?;
    Ok(format!("AAMI-{}", HEXLOWER.encode(&bytes)))
}

/// The same word for a shell, but not in a reader's eyes: start files may print the line they were started for.
fn halves(word: &str) -> String {
    let (head, tail) = word.split_at(word.len() / 2);
    format!("{head}''{tail}")
}

fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command as Process, Stdio};
    use std::time::Instant;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::marker::{Finder, Piece};
    use super::*;

    struct Ran {
        stdout: Vec<u8>,
        stderr: Vec<u8>,
        group: String,
        code: Option<i32>,
    }

    fn envelope(script: &str, limit: Duration) -> Envelope {
        let host = Host::new("here", "127.0.0.1", "root");
        Envelope::new(&Command::script(script), &host, limit, Duration::from_secs(1)).expect("short enough")
    }

    /// Runs an envelope as a login shell would.
    fn run(shell: &[&str], script: &str, input: &[u8]) -> Ran {
        let envelope = envelope(script, Duration::from_secs(60));
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
            Piece::Begins(rest, output) => (rest, output.to_vec()),
            other => panic!("no marker: {other:?}"),
        };
        let (group, stdout) = behind(output.stdout);
        let (_, stderr) = behind(output.stderr);
        Ran {
            stdout,
            stderr,
            group,
            code: output.status.code(),
        }
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
        for shell in shells() {
            let ran = run(
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
            let ran = run(&["/bin/sh", "-c"], &script, b"");
            assert_eq!(String::from_utf8_lossy(&ran.stdout), word);
        }
    }

    #[test]
    fn the_words_of_a_program_are_its_own() {
        let command = Command::program(["printf", "%s|", "a b", "c'd", ""]);
        let ran = run(&["/bin/sh", "-c"], command.text(), b"");
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "a b|c'd||");
    }

    #[test]
    fn the_watch_ends_a_command_with_all_it_started_and_leaves_nothing_behind() {
        // Given a command that ignores being asked to end, and what it starts
        let script = "trap '' TERM; sleep 3600 & echo $! $$; wait; sleep 3600";
        let host = Host::new("here", "127.0.0.1", "root");
        let envelope = Envelope::watched(&Command::script(script), &host, 1, 1).expect("short enough");
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
        for pid in pids.split(' ') {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            assert!(
                state.is_empty() || state.contains(" Z "),
                "{pid} is gone: {state}"
            );
        }
    }

    #[test]
    fn a_marker_does_not_stand_in_the_line_itself() {
        let mut host = Host::new("gpu-1", "gpu-1", "operator");
        host.sudo = Sudo::WithPassword;
        let command = Command::script("id").as_root();
        let envelope =
            Envelope::new(&command, &host, Duration::from_secs(5), Duration::from_secs(5)).expect("short");
        let text = String::from_utf8(envelope.line).expect("ASCII");
        assert!(!text.contains(&envelope.begin));
        assert!(!text.contains(&envelope.sudo.expect("sudo is needed").before));
    }

    #[test]
    fn what_cannot_be_sent_is_said_before_anything_is() {
        let host = Host::new("here", "127.0.0.1", "root");
        for script in ["x".repeat(200_000), "a\0b".to_owned()] {
            let refused = Envelope::new(&Command::script(script), &host, Duration::ZERO, Duration::ZERO);
            assert!(matches!(refused, Err(SshError::Local { .. })));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_text_arrives_at_the_shell(word in "[^\0]{0,300}") {
            let ran = run(&["/bin/sh", "-c"], &format!("printf %s {}", quote(&word)), b"");
            prop_assert_eq!(String::from_utf8_lossy(&ran.stdout), word);
        }

        #[test]
        fn no_piece_is_long_and_none_holds_what_a_shell_would_read(script in ".{0,3000}") {
            let text = String::from_utf8(line(&script)).expect("ASCII");
            let pieces = text.split_once(" sh '").expect("the pieces").1;
            for piece in pieces.trim_end_matches('\'').split("' '") {
                prop_assert!(piece.len() <= PIECE);
                prop_assert!(!piece.contains(['\'', '!', '\n']));
            }
        }
    }
}
