//! The Xid and SXid catalogue, and the kernel's log as the NVIDIA driver writes it.
//!
//! The kernel's log is the only complete source of what went wrong on a GPU: metrics of the last code hide bursts and
//! repeats. From the log to what is told, one step a module:
//!
//! 1. [`kmsg::Follower`] reads `/dev/kmsg`, where it stopped last, and says how many records were overwritten;
//! 2. [`Event::of_record`] takes the driver's lines from the kernel's own records; [`Event::of_line`] does the same for
//!    a line of `dmesg`;
//! 3. [`fold::Folder`] turns a storm of one line into one report with a count;
//! 4. [`counters::Counters`] counts every line for the metrics, from 0.
//!
//! A log that lies there whole is read by [`log::read`]: `dmesg`, the journal's text, syslog.
//!
//! What a code means is in [`catalogue`]: [`explain`] and [`explain_sxid`]. The codes 144 to 150 mean nothing without
//! the words of their line: [`nvlink5`].
//!
//! Every line is hostile until parsed: user processes write into the same log, choose the names in it, and a broken
//! device can write anything. Nothing here panics, and nothing grows without an end.
//!
//! This room opens no file and knows no clock: what is read, and when it is, come in as values.

pub mod catalogue;
pub mod counters;
mod event;
pub mod fold;
pub mod kmsg;
pub mod log;
pub mod nvlink5;
mod pci;
mod plain;

pub use catalogue::{Entry, Resolution, explain, explain_sxid};
pub use event::{Event, Kind, Mig, Process, RecoveryAction};
pub use pci::PciAddress;
