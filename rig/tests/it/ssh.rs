//! One host over SSH, on real OpenSSH servers.
//!
//! The client is AAMI's library, in a thread of this process that has the network of an operator's machine.

mod ends;
mod keys;
mod roads;
mod shells;
mod sudo;
mod world;
