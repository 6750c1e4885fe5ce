//! A command with a supervisor of our own beside it: for every host there is, and below sudo.
//!
//! The line is `exec /bin/sh -c 'eval "$(printf %b "$@")"' sh 'PIECE' 'PIECE'...`. The supervisor starts the command in a
//! session of its own, so that all of it can be ended at once, with a watch beside it that does so when the time is up
//! and nobody else has. That takes a handful of processes; [`super::timed`] takes fewer.

use super::SudoMarks;
use super::words::{halves, push};
use crate::Sudo;
use crate::command::quote;

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

/// The line for a script, with how sudo is asked for where it is needed.
pub(super) fn line(
    script: &str,
    begin: &str,
    (watch, grace): (u64, u64),
    sudo: Option<(Sudo, &SudoMarks)>,
) -> Vec<u8> {
    let mut text = format!("set -- {} {watch} {grace} {}", split(begin), quote(script));
    match sudo {
        None => {
            text.push('\n');
            text.push_str(SUPERVISE);
        }
        Some((how, marks)) => {
            let told = match how {
                Sudo::WithoutPassword => "-n".to_owned(),
                Sudo::WithPassword => format!("-S -p {}", marks.prompt),
            };
            text.push_str(&format!(
                " {} {} {}\n{BECOME_ROOT}",
                quote(SUPERVISE),
                quote(&told),
                split(&marks.before)
            ));
        }
    }
    let mut line = br#"exec /bin/sh -c 'eval "$(printf %b "$@")"' sh "#.to_vec();
    push(&mut line, &text);
    line
}

/// A word for a shell that does not stand in the line as it is.
fn split(word: &str) -> String {
    let (head, tail) = halves(word);
    format!("{head}''{tail}")
}
