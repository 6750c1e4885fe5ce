//! The rig's own tests: what the stories of AAMI stand on.

mod engines;
mod network;
mod nodes;
