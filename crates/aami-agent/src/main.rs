//! `aami-agent`, the node's binary: enrols a machine, looks at it, and takes everything back.
//!
//! Start at [`cli`]: one file per command. [`daemon`] is what stays running, [`detached`] is how a command goes on by itself. This is one of the two places that print, read the
//! environment and exit. It must not decide what is installed or how: that is `aami-plans` and
//! `aami-install`.

mod cli;
mod daemon;
mod detached;
mod update;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
