//! SSH over its public face: one host in [`one`], one that stands still in [`still`], what lies between in [`between`], many
//! at once in [`fanout`]. The servers are in this process ([`server`], [`jump`]); stories on real OpenSSH servers are the
//! rig's.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod between;
mod fanout;
mod jump;
mod one;
mod passwords;
mod server;
mod still;
