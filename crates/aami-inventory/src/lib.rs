//! What a host is: its name, system, processor, memory, disks, network cards, GPUs and InfiniBand,
//! read from `/proc`, `/sys`, SMBIOS and the vendors' own tools.
//!
//! The entry point is [`Inventory::collect`] on a [`Host`], which carries everything the outside
//! world is: the root of the file system, whether the reader is root, and how programs are run. So
//! a test looks at a folder that a machine's files were written into.
//!
//! Two rules hold everywhere. "Not measured" is `None`, never 0. And no fact is worth hanging for:
//! vendor tools run in a process group of their own under a deadline (a GPU that fell off the bus
//! makes `nvidia-smi` wait for minutes), files are read up to a limit, and a tool that fails is a
//! [`Warning`] beside what the PCI bus says, not the end.
//!
//! This room changes nothing on the host, opens no connection, and decides nothing about the facts.

pub mod account;
pub mod command;
pub mod confine;
pub mod disk;
pub mod distribution;
pub mod docker;
pub mod driver;
pub mod elf;
mod error;
pub mod fingerprint;
pub mod firewall;
pub mod foreign;
pub mod gpu;
mod host;
pub mod infiniband;
pub mod init;
mod inventory;
pub mod listener;
#[cfg(test)]
mod made_up;
pub mod name;
pub mod nic;
pub mod package;
pub mod route;
pub mod smbios;
pub mod system;
pub mod volume;

pub use command::{CommandError, Commands, Output, SystemCommands};
pub use elf::Arch;
pub use error::{InventoryError, Warning};
pub use host::Host;
pub use inventory::Inventory;
