//! The whole of AAMI on real parts: a control plane, nodes with a real systemd, a real Prometheus, in networks of
//! their own.
//!
//! [`parts`] tests the rig itself. [`site`] starts what every story needs; the other modules are the stories. They
//! run the programs as they are shipped: `make test-build` makes them first.

mod bad_hosts;
mod bad_roads;
mod bad_tokens;
mod identity;
mod interrupted;
mod other_forms;
mod parts;
mod site;
mod whole_path;
