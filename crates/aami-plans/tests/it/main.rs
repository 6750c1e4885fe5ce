//! Downloads and archives against a real web server, and against servers and archives that lie.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod archives;
mod disk;
mod extraction;
mod fickle;
mod liars;
mod mended;
mod mirror;
mod nginx;
mod node;
mod preflight;
mod stack;
mod telemetry;
