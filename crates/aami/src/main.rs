//! `aami`, the operator's binary: the control plane, and every command that talks to it.
//!
//! Start at [`cli`]: one file per command; [`fleet`] is what commands act on. This is one of the two places that print; it must not decide
//! what a node or token is: that lives in `aami-model` and `aami-server`.

mod cli;
mod fleet;

use std::process::ExitCode;

/// The control plane makes and drops many small things from all threads at once; the C library's allocator
/// spends a quarter of a registration on that (`docs/benchmarks.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
