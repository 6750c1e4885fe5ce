//! Running the host's own tools for an effect: a checkpoint before every one that changes something,
//! and the tool's complaint told as a condition people know.

use std::time::Duration;

use aami_model::Code;

use super::{EffectError, Scene};
use crate::checkpoint::Act;
use crate::host::{Command, CommandError, Commands, Ended, Host, Output};
use crate::path::HostPath;
use crate::root::Entry;
use crate::step::{StepError, Voice};

/// Where programs lie; the same folders the real [`Commands`] looks in.
const FOLDERS: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];

/// How long is waited between two tries when a tool is busy.
const AGAIN: Duration = Duration::from_secs(2);

/// Whether the host has `program`. Looks at files only.
pub(super) fn is_there(host: &Host, program: &str) -> Result<bool, EffectError> {
    for folder in FOLDERS {
        let path = HostPath::root().below(&format!("{folder}/{program}"));
        if matches!(host.root.entry(&path)?, Entry::File(_) | Entry::Symlink(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Runs a program that only looks, to whatever end it comes to.
pub(super) fn look<S: Into<String>>(
    host: &Host,
    argv: impl IntoIterator<Item = S>,
) -> Result<Output, EffectError> {
    // Lists of packages and rules are long, and the beginning counts as much as the end.
    let mut command = Command::look(argv).within(Duration::from_secs(60));
    command.keep = 8 << 20;
    Ok(commands(host, &command)?.run(&command)?)
}

/// Passes a checkpoint and runs a program that changes the host, to whatever end it comes to.
pub(super) fn change(host: &Host, command: &Command) -> Result<Output, EffectError> {
    let what = command.line();
    if let Err(source) = host.root.checkpoint(Act::Command, &what) {
        return Err(EffectError::Cut { what, source });
    }
    Ok(commands(host, command)?.run(command)?)
}

fn commands<'a>(host: &'a Host, command: &Command) -> Result<&'a dyn Commands, EffectError> {
    host.commands
        .as_deref()
        .ok_or_else(|| CommandError::NoSystem { line: command.line() }.into())
}

/// Whether a program ended well.
pub(super) fn is_well(output: &Output) -> bool {
    output.ended == Ended::Status(0)
}

/// All a program said, its complaints first.
pub(super) fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stderr), output.text())
}

/// A tool that refused: what was wanted of it, under which condition, and the line of its output
/// that says why.
pub(super) fn refused(code: Code, what: impl Into<String>, output: &Output, telling: &[&str]) -> EffectError {
    let said = said(output);
    let line = said
        .lines()
        .map(str::trim)
        .find(|line| telling.iter().any(|word| line.contains(word)));
    let complaint = line.map_or_else(|| output.complaint(), short);
    EffectError::Refused {
        code,
        what: what.into(),
        complaint,
    }
}

fn short(line: &str) -> String {
    line.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect()
}

/// Tries again while the tool says that somebody else holds its lock (`busy`), for at most
/// `patience`, and says once what is waited for.
pub(super) fn patient<T>(
    scene: Scene<'_>,
    voice: Option<&Voice<'_>>,
    (busy, patience): (Code, Duration),
    mut attempt: impl FnMut() -> Result<T, EffectError>,
) -> Result<T, StepError> {
    let started = scene.host.clock.elapsed();
    let mut said = false;
    loop {
        match attempt() {
            Err(error) if error.code() == busy => {
                let waited = scene.host.clock.elapsed().saturating_sub(started);
                if waited >= patience {
                    return Err(error.into());
                }
                if let Some(voice) = voice {
                    voice.check()?;
                    if !said {
                        voice.note(format!("waiting up to {} s, because {error}", patience.as_secs()));
                        said = true;
                    }
                }
                scene.host.clock.wait(AGAIN.min(patience.saturating_sub(waited)));
            }
            ended => return Ok(ended?),
        }
    }
}
