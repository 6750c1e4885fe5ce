//! The configuration as others see it: its schema, its guide, and the words of its problems.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod generated;
mod guide;
