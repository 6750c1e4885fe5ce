//! The program as it is shipped: what it says to bad input, and how the children of its foreground form
//! end. What it does with a control plane is the rig's to test.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod children;
mod command_line;
