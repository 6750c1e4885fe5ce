//! Archives made for tests, good ones and bad ones.

use std::io::Write as _;

use aami_plans::components::Sha256Sum;
use sha2::{Digest as _, Sha256};

/// A program's header and `size` further bytes that do not repeat.
pub(crate) fn program(machine: u16, size: usize) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
    bytes.extend(machine.to_le_bytes());
    let mut state = 0x2545_f491_u32;
    bytes.extend(
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        })
        .take(size),
    );
    bytes
}

pub(crate) const AMD64: u16 = 62;
pub(crate) const ARM64: u16 = 183;

/// One entry of an archive, written as it stands: nothing here corrects a hostile path.
pub(crate) struct Entry<'a> {
    pub(crate) path: &'a str,
    pub(crate) kind: tar::EntryType,
    pub(crate) bytes: &'a [u8],
}

pub(crate) fn file<'a>(path: &'a str, bytes: &'a [u8]) -> Entry<'a> {
    Entry {
        path,
        kind: tar::EntryType::Regular,
        bytes,
    }
}

pub(crate) fn tar_gz(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        header.set_entry_type(entry.kind);
        header.set_mode(0o755);
        header.set_size(entry.bytes.len() as u64);
        if matches!(entry.kind, tar::EntryType::Symlink | tar::EntryType::Link) {
            header.set_link_name_literal("/etc/passwd").unwrap();
        }
        header.set_cksum();
        gz.write_all(header.as_bytes()).unwrap();
        gz.write_all(entry.bytes).unwrap();
        gz.write_all(&vec![
            0;
            entry.bytes.len().next_multiple_of(512) - entry.bytes.len()
        ])
        .unwrap();
    }
    gz.write_all(&[0; 1024]).unwrap();
    gz.finish().unwrap()
}

pub(crate) fn sum(bytes: &[u8]) -> Sha256Sum {
    Sha256Sum(Sha256::digest(bytes).into())
}
