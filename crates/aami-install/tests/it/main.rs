//! What installing and uninstalling promise, told as stories on a temporary root with doubles of
//! systemd and shadow's programs.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene fails there")]

mod apart;
mod edits;
mod engines;
mod full_disk;
mod house;
mod interrupt;
mod kill;
mod late;
mod locking;
mod looking;
mod mending;
mod outside;
mod picture;
mod plan;
mod receipt;
mod registering;
mod roundtrip;
mod second_run;
mod sharing;
mod telling;
mod tools;
mod toolshed;
mod tree;
