//! The one form of tar that bundles have: plain files, one header each, nothing else.
//!
//! A header is compared as a whole with the one that the manifest asks for. So whatever an archive could say about an
//! entry (a link, a device, another path, size, owner or mode) is not followed and then found wrong, but never read.

use std::io;

/// Tar is written in blocks of this many bytes.
pub(super) const BLOCK: usize = 512;
/// Two empty blocks end an archive.
pub(super) const END: usize = 2 * BLOCK;

/// A block.
pub(super) type Block = [u8; BLOCK];

/// The header of a plain file.
pub(super) fn header(path: &str, size: u64, mode: u32, time: u64) -> io::Result<Block> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time);
    header.set_cksum();
    Ok(*header.as_bytes())
}

/// The bytes between the end of a content of this size and the next block.
pub(super) fn padding(size: u64) -> usize {
    // Less than a block.
    usize::try_from(size.next_multiple_of(BLOCK as u64) - size).unwrap_or(0)
}

/// What a header says that is not the one that was expected.
pub(super) enum Found {
    /// Nothing: the archive ends here.
    End,
    /// Bytes that are no header.
    Broken,
    /// Something that is never in a bundle.
    Refused {
        /// Its path, cut to a short line.
        path: String,
        /// The rule it breaks.
        why: String,
    },
    /// A plain file.
    File {
        /// Its path.
        path: String,
        /// Its size.
        size: u64,
    },
}

/// Looks at a header that nothing is done with, to say what it is.
pub(super) fn look(block: &Block) -> Found {
    if block.iter().all(|byte| *byte == 0) {
        return Found::End;
    }
    let header = tar::Header::from_byte_slice(block);
    if header.cksum().ok() != Some(sum(block)) {
        return Found::Broken;
    }
    let path = header.path_bytes();
    let refused = |why: &str| Found::Refused {
        path: shown(&path),
        why: why.to_owned(),
    };
    let kind = header.entry_type();
    let what = match kind {
        tar::EntryType::Regular => None,
        tar::EntryType::Symlink => Some("it is a symbolic link"),
        tar::EntryType::Link => Some("it is a hard link"),
        tar::EntryType::Directory => Some("it is a folder, which bundles have none of"),
        tar::EntryType::Char | tar::EntryType::Block => Some("it is a device"),
        tar::EntryType::Fifo => Some("it is a pipe"),
        _ => Some("it is no plain file"),
    };
    if let Some(why) = what {
        return refused(why);
    }
    let parts = || path.split(|byte| *byte == b'/');
    if path.first() == Some(&b'/') {
        return refused("its path is absolute");
    }
    if parts().any(|part| part == b"..") {
        return refused("its path climbs out of the archive");
    }
    if parts().any(|part| part.is_empty() || part == b".") {
        return refused("its path is not written the plain way");
    }
    let (Ok(size), Ok(path)) = (header.entry_size(), std::str::from_utf8(&path)) else {
        return Found::Broken;
    };
    Found::File {
        path: path.to_owned(),
        size,
    }
}

/// The sum of a header's bytes, its own field counted as spaces (POSIX, pax: "chksum").
fn sum(block: &Block) -> u32 {
    let field = 148..156;
    let count = |(at, byte): (usize, &u8)| {
        if field.contains(&at) {
            u32::from(b' ')
        } else {
            u32::from(*byte)
        }
    };
    block.iter().enumerate().map(count).sum()
}

/// A path of somebody else's choosing, fit for a line.
pub(super) fn shown(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    let text: String = text.chars().filter(|c| !c.is_control()).take(120).collect();
    if text.is_empty() {
        "an entry without a name".to_owned()
    } else {
        text
    }
}
