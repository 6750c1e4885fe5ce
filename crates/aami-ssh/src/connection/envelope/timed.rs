//! A command below `timeout`, which nearly every host has: it makes a process group of its own, ends it when the time is
//! up, and needs no shell and no further process beside the command to do so.
//!
//! The line is `exec timeout -k GRACE WATCH /bin/sh -c 'SCRIPT' sh 'MARKER' 'MARKER' 'COMMAND'`. There are other programs of
//! that name, which make no group (busybox) or want other words; so the script looks whether it is in a group that a
//! parent of this name leads, and begins nothing where it is not: ending the group of a stranger might end the server.
//! It says so, the marker's halves the other way round, or the shell says that there is no `timeout`
//! ([`is_missing`]); then [`super::supervised`] does without. Nothing else is taken for that: where a key has a command
//! of its own, that one ran in the place of this line.
//!
//! On a host with a shell that starts quickly this is three programs instead of seven.

use super::words::{halves, is_word, push};

/// Looks whether all of it can be ended at once; says so on both streams; and becomes the command: `$1` and `$2` are the
/// marker, the rest is the command. What is read is `proc_pid_stat(5)`, whose fifth field is the group, and the name of
/// the parent.
const SCRIPT: &str = concat!(
    r#"read -r u u u u g u </proc/$$/stat; read -r u </proc/$PPID/comm; "#,
    r#"[ "$u $g" = "timeout $PPID" ] || { printf "\012%s%s\012" "$2" "$1" >&2; exit 1; }; "#,
    r#"printf "\012%s%s s%s\012" "$1" "$2" "$g"; printf "\012%s%s\012" "$1" "$2" >&2; shift 2; "#,
);
/// The command is one word, as it is.
const AS_IT_IS: &str = r#"u=$1; set --; unset g; eval "$u""#;
/// The command is words for `printf %b`.
const UNFOLDED: &str = r#"u=$(printf %b "$@"); set --; unset g; eval "$u""#;

/// The line for a script: how long it may run, and how long it may take to end, in seconds.
pub(super) fn line(script: &str, begin: &str, (watch, grace): (u64, u64)) -> Vec<u8> {
    let (head, tail) = halves(begin);
    let run = if is_word(script) { AS_IT_IS } else { UNFOLDED };
    let text = format!("exec timeout -k {grace} {watch} /bin/sh -c '{SCRIPT}{run}' sh {head} {tail} ");
    let mut line = text.into_bytes();
    push(&mut line, script);
    line
}

/// Whether a command did not begin since `timeout` is not there, or not as expected: by what came on the error stream
/// before the marker, where that is said in a line of its own. What merely quotes the line, or the word, is another
/// program's.
pub(in crate::connection) fn is_missing(noise: &[u8], begin: &[u8]) -> bool {
    let (head, tail) = begin.split_at(begin.len() / 2);
    noise.split(|byte| *byte == b'\n').any(|line| {
        let line = line.trim_ascii();
        if line.strip_prefix(tail) == Some(head) {
            return true;
        }
        // sh, bash, ksh: `sh: 1: exec: timeout: not found`; csh, and `timeout` itself on words it does not know:
        // `timeout: Command not found.`; fish, zsh: `zsh:1: command not found: timeout`, with the word in quotes or not.
        let text = String::from_utf8_lossy(line);
        let quoted = text.trim_end_matches(['\'', '"', '’', '”', '.', '`']);
        let by_name = text.starts_with("timeout: ")
            || text.starts_with("/usr/bin/timeout: ")
            || text.contains(": timeout: ")
            || text.contains(": /usr/bin/timeout: ");
        by_name && !text.contains("/bin/sh -c")
            || (text.starts_with("fish:") || text.starts_with("zsh:"))
                && quoted
                    .strip_suffix("timeout")
                    .is_some_and(|before| before.ends_with([' ', '\'', '"', '‘', '“']))
    })
}
