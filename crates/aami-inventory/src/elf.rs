//! Which processor a program is built for, from the header of the program itself.
//!
//! `uname` says what the kernel runs on; a 32-bit user land on a 64-bit kernel, or an emulated
//! container, makes that the wrong answer to "which build do I need". The header of the running
//! program is the right one.

use serde::{Deserialize, Serialize};

use crate::error::InventoryError;
use crate::host::Host;

/// A processor AAMI is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

impl Arch {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The name used everywhere: `amd64`, `arm64`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// From any of the names in use: `amd64`, `x86_64`, `arm64`, `aarch64`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "amd64" | "x86_64" => Some(Self::Amd64),
            "arm64" | "aarch64" => Some(Self::Arm64),
            _ => None,
        }
    }
}

/// What the first bytes of a file say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// A 64-bit little-endian program for a processor known here.
    Program(Arch),
    /// An ELF file, but for another processor (its `e_machine`), another word size, or no program.
    OtherElf(u16),
    /// Not an ELF file.
    NotElf,
}

/// How many bytes [`header`] needs.
pub const HEADER_BYTES: usize = 20;

/// Reads the start of an ELF file (System V ABI, chapter 4; machine numbers as in Linux
/// `include/uapi/linux/elf-em.h`).
pub fn header(start: &[u8]) -> Header {
    let Some(start) = start.get(..HEADER_BYTES) else {
        return Header::NotElf;
    };
    if start[..4] != *b"\x7fELF" {
        return Header::NotElf;
    }
    let (is_64_bit, is_little_endian) = (start[4] == 2, start[5] == 1);
    let word = |at: usize| {
        let bytes = [start[at], start[at + 1]];
        if is_little_endian {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        }
    };
    // ET_EXEC, or ET_DYN as position-independent programs are.
    let is_program = matches!(word(16), 2 | 3);
    match word(18) {
        62 if is_64_bit && is_little_endian && is_program => Header::Program(Arch::Amd64),
        183 if is_64_bit && is_little_endian && is_program => Header::Program(Arch::Arm64),
        other => Header::OtherElf(other),
    }
}

/// What a program on this machine is built for; none where it is not one.
pub fn built_for(path: &std::path::Path) -> Option<Arch> {
    use std::io::Read as _;

    let mut start = [0; HEADER_BYTES];
    std::fs::File::open(path).ok()?.read_exact(&mut start).ok()?;
    match header(&start) {
        Header::Program(arch) => Some(arch),
        Header::OtherElf(_) | Header::NotElf => None,
    }
}

/// What this program itself is built for.
pub fn own_arch(host: &Host<'_>) -> Result<Arch, InventoryError> {
    use std::io::Read as _;

    let path = host.path("/proc/self/exe");
    let mut start = [0_u8; HEADER_BYTES];
    std::fs::File::open(&path)
        .and_then(|mut file| file.read_exact(&mut start))
        .map_err(|error| InventoryError::Architecture(format!("{}: {error}", path.display())))?;
    match header(&start) {
        Header::Program(arch) => Ok(arch),
        Header::OtherElf(machine) => Err(InventoryError::Architecture(format!(
            "ELF machine {machine} is neither amd64 nor arm64"
        ))),
        Header::NotElf => Err(InventoryError::Architecture(format!(
            "{} is not an ELF file",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn elf(class: u8, data: u8, kind: u16, machine: u16) -> Vec<u8> {
        let mut bytes = b"\x7fELF".to_vec();
        bytes.extend([class, data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(kind.to_le_bytes());
        bytes.extend(machine.to_le_bytes());
        bytes
    }

    #[test]
    fn programs_are_told_apart_by_their_header() {
        assert_eq!(header(&elf(2, 1, 3, 62)), Header::Program(Arch::Amd64));
        assert_eq!(header(&elf(2, 1, 2, 183)), Header::Program(Arch::Arm64));
        assert_eq!(header(&elf(1, 1, 2, 3)), Header::OtherElf(3), "32-bit x86");
        assert_eq!(header(&elf(2, 1, 1, 62)), Header::OtherElf(62), "an object file");
        assert_eq!(header(b"<!DOCTYPE html><html>"), Header::NotElf);
        assert_eq!(header(b"\x7fELF"), Header::NotElf);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes: Vec<u8>) {
            let _ = header(&bytes);
        }
    }
}
