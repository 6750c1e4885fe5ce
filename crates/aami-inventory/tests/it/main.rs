//! What a host is, read from folders that hold a machine's files, and from the machine the tests
//! run on.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod folder;
mod machines;
mod this_machine;
