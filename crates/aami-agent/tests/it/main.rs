//! The program as it is shipped: what it says to bad input, how the children of its foreground form end, and its
//! daemon against a control plane that is played. What it does with a real one is the rig's to test.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod children;
mod command_line;
mod daemon;
mod detached;
mod hostile;
mod published;
