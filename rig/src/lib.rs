//! Real parts to test against: nodes with a real systemd, a network of their own, and the engines that AAMI
//! talks to.
//!
//! - [`Net`] is a network that no other process sees; [`Net::host`] adds a host to run servers on.
//! - [`Node::boot`] starts Debian 11, 12 or 13 in it, or another [`Root`]; run commands, read files, and compare two
//!   [`Picture`]s of its file system.
//! - [`Hardware::power_on`] starts a machine with disks of its own, [`Machine::cut`] cuts its power.
//! - [`engines`] starts etcd, Prometheus, node_exporter and nginx, on loopback or on a host of a [`Net`].
//! - [`exporter`] serves the metrics of the stand-ins for exporters.
//! - [`Receiver`] is an HTTP service that is told things, and misbehaves when asked to.
//! - [`guide`] has the command lines that people are told to type.
//! - [`MailServer`] takes mail over TLS and tells what it was told.
//! - [`ssh`] has OpenSSH's client programs and more login shells for nodes.
//! - [`Mirror`] serves components the way their publishers pack them.
//! - [`wait_until`] is how a test waits: for a condition, with a deadline, saying what it saw last.
//!
//! Everything it starts dies with the test, however the test ends; what it downloads stays in [`cache`]. Nodes
//! and hosts need root, engines on loopback do not. A missing prerequisite is an error that says what to
//! install, never a test skipped in silence.
//!
//! It only supports tests: nothing that is shipped depends on it, and it knows nothing of AAMI but the shape of
//! the components that AAMI installs.

pub mod cache;
pub mod engines;
pub mod exporter;
pub mod guide;
mod keeper;
mod machine;
mod mail;
mod mirror;
mod net;
mod node;
mod place;
mod process;
mod receiver;
mod rootfs;
pub mod ssh;
mod tool;
mod wait;

pub use machine::{Disk, Hardware, Image, Machine, Plug, Watched};
pub use mail::{MailServer, Secured};
pub use mirror::{Mirror, Packed};
pub use net::{Host, Net};
pub use node::{Booting, Ended, Node, Picture};
pub use place::Place;
pub use process::Process;
pub use receiver::{Got, Receiver};
pub use rootfs::{Release, Root};
pub use wait::wait_until;
