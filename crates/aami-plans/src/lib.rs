//! What AAMI installs: the plans, and how the programs in them are obtained.
//!
//! [`node`] is the plan that makes a machine a node, `stack` the one that makes it a server. [`components`] is the catalogue of foreign programs, [`obtain`] fetches one of them from a folder,
//! a mirror or its publisher, through [`download`] and [`extract`]. `release` judges a release folder by its signature,
//! `bundle` makes and reads what a site without internet installs from.
//!
//! `rules` brings alert rules to the Prometheus of this machine, whoever has them, and takes them back when it refuses.
//!
//! One rule runs through the whole: nothing unverified is ever placed or run. A download becomes a
//! [`download::Verified`] only by its SHA-256, and a program becomes an [`extract::Program`] only out
//! of a verified file and with the header of this machine's processor. There is no way around either
//! type, so no flag can be the hole.
//!
//! Steps and effects come from `aami-install`; this room says what to do with them. It never prints,
//! never reads the environment, and never writes outside the folders it is given.

#[cfg(feature = "bundle")]
pub mod bundle;
pub mod components;
pub mod download;
pub mod extract;
#[cfg(any(feature = "node", feature = "stack"))]
mod fetch;
mod mirror_address;
#[cfg(feature = "node")]
pub mod node;
pub mod obtain;
#[cfg(any(feature = "node", feature = "stack"))]
mod place;
#[cfg(feature = "preflight")]
pub mod preflight;
#[cfg(feature = "release")]
pub mod release;
pub mod rules;
#[cfg(feature = "stack")]
pub mod stack;
#[cfg(feature = "telemetry")]
pub mod telemetry;
#[cfg(any(feature = "node", feature = "stack"))]
mod unit_words;
#[cfg(feature = "preflight")]
mod units;
pub mod whole_file;

pub use mirror_address::mirror_address;
