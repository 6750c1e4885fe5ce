//! Running a program of this machine to its end.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// The project's own scripts, where this was built.
pub(crate) fn script(name: &str) -> PathBuf {
    let rig = Path::new(env!("CARGO_MANIFEST_DIR"));
    rig.parent().unwrap_or(rig).join("scripts").join(name)
}

/// Runs a command to its end and gives what it printed; fails, with what it complained about, unless it ends
/// with 0.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        bail!(
            "{} failed ({}): {}",
            line(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command to its end, whichever it is.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    let output = command.stdin(Stdio::null()).output();
    output.with_context(|| {
        format!(
            "cannot start {:?}; scripts/prerequisites.sh says what to install",
            command.get_program()
        )
    })
}

/// Fails unless this runs as root.
pub(crate) fn need_root(what: &str) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("{what} needs root; `make test` runs these tests as root");
    }
    Ok(())
}

fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}
