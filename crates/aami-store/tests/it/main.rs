//! The store on its engines, all of them real.
//!
//! [`conformance`] runs every story of [`stories`] on every backend: that suite is what makes a backend
//! one. What only one engine can suffer (a killed process, a full disk, a cut connection) has a file of
//! its own.

#![expect(
    clippy::print_stdout,
    reason = "a test says its seed, and what it could not do"
)]

mod conformance;
mod disk;
mod engine;
#[cfg(feature = "etcd")]
mod etcd_faults;
#[cfg(feature = "etcd")]
mod etcd_server;
mod history;
mod model;
#[cfg(feature = "etcd")]
mod proxy;
mod seed;
mod sqlite_crash;
mod sqlite_failing;
mod sqlite_file;
mod sqlite_full;
mod stories;
mod watching;
