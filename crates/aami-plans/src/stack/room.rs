//! How much room the chosen parts will take, before anything is fetched.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use aami_install::HostPath;

use super::part::Part;
use super::{Layout, StackOptions};
use crate::components::{Archive, Catalogue};
use crate::obtain::{self, Source};
use crate::preflight::Room;

/// What an archive unpacks to, times its size, where it does not say: more than any of those in the catalogue does.
const FACTOR: u64 = 4;

/// What the parts that were chosen take. The best that is known of each counts: the archive itself where a folder
/// carries it, else what the catalogues say of the component. It asks nobody. One that is there already, as `is_there`
/// says of its folder, takes nothing: whoever repairs a server need not have the room of a second one.
pub fn room(options: &StackOptions, is_there: impl Fn(&HostPath) -> bool) -> Room {
    let itself = std::fs::metadata(&options.program).map_or(0, |meta| meta.len());
    let built_in = Catalogue::embedded().unwrap_or_default();
    let folders: Vec<Source> = options
        .sources
        .iter()
        .filter(|source| matches!(source, Source::Folder(_)))
        .cloned()
        .collect();
    let has_mirror = (options.sources.iter()).any(|source| matches!(source, Source::Mirror(_)));
    // One that cannot be read is named when something is wanted from it.
    let catalogue = obtain::catalogue(&folders, &options.downloader).unwrap_or_else(|_| built_in.clone());
    let layout = Layout::of(&options.wishes).ok();
    let is_placed = |name: &str, version: &str| {
        let folder = layout.as_ref()?.component(name, version).ok()?;
        is_there(&folder).then_some(())
    };
    let parts = Part::FOREIGN
        .into_iter()
        .filter(|part| options.wishes.wants(*part));
    parts.fold(Room::of_itself(itself), |room, part| {
        let name = part.name();
        let known = catalogue.build(name, options.arch).ok();
        // What nobody offers is not installed; a mirror may have it yet.
        if known.is_none() && !has_mirror {
            return room;
        }
        let kept = (options.known.iter()).find(|component| component.name == name);
        let version = kept.or(known.map(|(component, _)| component));
        if version.is_some_and(|component| is_placed(name, &component.version).is_some()) {
            return room;
        }
        let here = known.and_then(|(component, build)| {
            let file = obtain::at_hand(build, options.arch, &folders)?;
            unpacked(&file, component.archive)
        });
        let said = || catalogue.unpacked(name).or_else(|| built_in.unpacked(name));
        let bytes = here.or_else(said).unwrap_or(0);
        room.and(bytes, part.needs_its_tree())
    })
}

/// What a file unpacks to. Nothing of it is unpacked for that: gzip's last four bytes are the size of what it holds
/// (RFC 1952, ISIZE), and no archive of 4 GiB is taken. One of several members says only what the last one holds.
fn unpacked(path: &Path, archive: Archive) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    let packed = file.metadata().ok()?.len();
    if archive == Archive::None {
        return Some(packed);
    }
    file.seek(SeekFrom::End(-4)).ok()?;
    let mut last = [0; 4];
    file.read_exact(&mut last).ok()?;
    let said = u64::from(u32::from_le_bytes(last));
    Some(if said >= packed {
        said
    } else {
        packed.saturating_mul(FACTOR)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn an_archive_says_what_it_unpacks_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar.gz");
        let member = |bytes: &[u8]| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(bytes).unwrap();
            gzip.finish().unwrap()
        };
        let write = |bytes: &[u8]| std::fs::write(&path, bytes).unwrap();
        // Given an archive as everybody packs one, then its size is exact,
        write(&member(&vec![7; 5_000_000]));
        assert_eq!(unpacked(&path, Archive::TarGz), Some(5_000_000));
        // of one whose last member is small it is guessed,
        let two = [member(&vec![7; 5_000_000]), member(b"")].concat();
        write(&two);
        assert_eq!(unpacked(&path, Archive::TarGz), Some(two.len() as u64 * FACTOR));
        // a program is what it is, and what is no archive or not there says nothing.
        assert_eq!(unpacked(&path, Archive::None), Some(two.len() as u64));
        write(b"abc");
        assert_eq!(unpacked(&path, Archive::TarGz), None);
        assert_eq!(unpacked(&folder.path().join("nowhere"), Archive::TarGz), None);
    }
}
