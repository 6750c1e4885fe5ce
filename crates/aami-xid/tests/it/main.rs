//! From the kernel's log to what is told of it: whole logs, hostile ones, and a machine that is restarted.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod hostile;
mod log;
mod restart;
mod this_machine;
mod whole_log;
