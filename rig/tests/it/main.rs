//! The whole of AAMI on real parts: a control plane, nodes with a real systemd, a real Prometheus, in networks of
//! their own.
//!
//! [`parts`] tests the rig itself, [`effects`] the installer against a node's own tools. [`site`] starts what every
//! other story needs; the other modules are the stories. They run the programs as they are shipped: `make test-build`
//! makes them first.

mod acceptance;
mod agent_trial;
mod agent_update;
mod bad_hosts;
mod bad_roads;
mod bad_tokens;
mod connected;
mod effects;
mod faults;
mod fleet_over_api;
mod fleet_over_ssh;
mod followed;
mod guide;
mod identity;
mod init;
mod interrupted;
mod node_checks;
mod node_cron;
mod node_exporters;
mod node_firewalls;
mod node_flags;
mod node_older;
mod node_parts;
mod node_repair;
mod node_starters;
mod node_ten;
mod node_token;
mod node_vendors;
mod node_whole;
mod offline;
mod other_forms;
mod parts;
mod preflight;
mod release;
mod server_install;
mod server_reset;
mod site;
mod ssh;
mod standalone;
mod thirty_minutes;
mod tracking;
mod watched;
mod whole_path;
mod workshop;
