//! Archives packed to do harm, and the ordinary ways of packing.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// One entry as it stands: nothing here corrects a hostile name.
struct Packed<'a>(&'a str, EntryType, &'a [u8]);

fn file<'a>(name: &'a str, bytes: &'a [u8]) -> Packed<'a> {
    Packed(name, EntryType::Regular, bytes)
}

fn link<'a>(name: &'a str, target: &'a str) -> Packed<'a> {
    Packed(name, EntryType::Symlink, target.as_bytes())
}

fn folder(name: &str) -> Packed<'_> {
    Packed(name, EntryType::Directory, b"")
}

fn header(Packed(name, kind, bytes): &Packed<'_>) -> (tar::Header, Vec<u8>) {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(*kind);
    header.set_mode(0o644);
    let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
    let bytes = if is_link {
        header.as_mut_bytes()[157..157 + bytes.len()].copy_from_slice(bytes);
        Vec::new()
    } else {
        bytes.to_vec()
    };
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    (header, bytes)
}

fn tar_gz(entries: &[Packed<'_>]) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        let (header, mut bytes) = header(entry);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        tar.extend_from_slice(header.as_bytes());
        tar.extend(bytes);
    }
    tar.resize(tar.len() + 1024, 0);
    gz(&tar)
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

/// What is taken from an archive, a line each, or why nothing is.
fn taken(archive: &[u8], inside: &str) -> Result<Vec<String>, String> {
    let mut told = Vec::new();
    let taken = read(archive, "x.tar.gz", inside, &mut |path, kind, bytes| {
        let mut text = String::new();
        let broken = |error| EffectError::from(ArchiveError::broken("x.tar.gz", error));
        bytes.read_to_string(&mut text).map_err(broken)?;
        told.push(match kind {
            Kind::Folder => format!("{path}/"),
            Kind::File { .. } => format!("{path} = {text}"),
            Kind::Link { target } => format!("{path} -> {target}"),
        });
        Ok(())
    });
    match taken {
        Ok(()) => Ok(told),
        Err(error) => Err(format!("{}: {error}", error.code().symbol)),
    }
}

#[test]
fn a_tree_is_taken_with_its_folders_links_and_long_names() {
    let long = format!("x/{}/file", "long".repeat(40));
    let pax = format!("{} path={long}2\n", long.len() + 11);
    let entries = [
        Packed(
            "pax_global_header",
            EntryType::XGlobalHeader,
            b"19 comment=abcdefg\n",
        ),
        folder("./"),
        folder("x/"),
        folder("x/"),
        file("x/bin/run", b"1"),
        link("x/bin/other", "run"),
        link("x/bin/up", "../bin/run"),
        Packed("././@LongLink", EntryType::GNULongName, long.as_bytes()),
        file("x/cut", b"2"),
        Packed("x/PaxHeaders/cut", EntryType::XHeader, pax.as_bytes()),
        file("x/cut", b"3"),
    ];
    let long = long.strip_prefix("x/").unwrap();
    let folder = long.strip_suffix("/file").unwrap();
    let wanted = [
        "bin/".to_owned(),
        "bin/run = 1".to_owned(),
        "bin/other -> run".to_owned(),
        "bin/up -> ../bin/run".to_owned(),
        format!("{folder}/"),
        format!("{long} = 2"),
        format!("{long}2 = 3"),
    ];
    assert_eq!(taken(&tar_gz(&entries), "x").unwrap(), wanted);
}

#[test]
fn what_could_do_harm_refuses_the_whole_archive() {
    let good = || file("x/good", b"1");
    for (entry, why) in [
        (file("/etc/shadow", b""), "its path is absolute"),
        (file("x/../../etc/shadow", b""), "climbs out"),
        (file("../x", b""), "climbs out"),
        (file("y/other", b""), "beside the folder"),
        (link("x/l", "/etc"), "absolute target"),
        (link("x/l", "../.."), "leads out"),
        (link("x/l", ".."), "leads out"),
        // Behind a link `..` is not where it seems.
        (link("x/a/l", "b/../../c"), "leads out"),
        (link("x/l", ""), "no path"),
        (Packed("x/h", EntryType::Link, b"x/good"), "neither a file"),
        (Packed("x/d", EntryType::Char, b""), "neither a file"),
        (Packed("x/d", EntryType::Block, b""), "neither a file"),
        (Packed("x/d", EntryType::Fifo, b""), "neither a file"),
        (Packed("x/d", EntryType::GNUSparse, b""), "neither a file"),
        (file("x", b"1"), "where the tree's own folder"),
        (file("x/good", b"2"), "twice"),
        (folder("x/good"), "twice"),
        (file("x/good/below", b""), "below something that is no folder"),
        (file("x/a\nb", b""), "control character"),
        (file("x/.aami-tree", b""), "AAMI gives"),
        (file("x/.good.aami-new", b""), "AAMI gives"),
        (file("x/good.aami-kept.2", b""), "AAMI gives"),
    ] {
        let name = entry.0.to_owned();
        // Some in the place after, some where nothing was placed yet: all is read before anything is.
        let said = taken(&tar_gz(&[good(), entry]), "x").expect_err(&name);
        assert!(
            said.starts_with("EXTRACTION_REFUSED: x.tar.gz: ") && said.contains(why),
            "{name}: {said}"
        );
    }
    for deep in ["d/".repeat(70), "d".repeat(256), "d/".repeat(1500)] {
        let deep = format!("x/{deep}");
        let named = Packed("././@LongLink", EntryType::GNULongName, deep.as_bytes());
        let said = taken(&tar_gz(&[named, file("x/cut", b"")]), "x").unwrap_err();
        assert!(said.contains("its path is too long"), "{said}");
    }
    let below_a_link = [link("x/l", "good"), file("x/l/passwd", b"")];
    let said = taken(&tar_gz(&below_a_link), "x").unwrap_err();
    assert!(said.contains("below something that is no folder"), "{said}");
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    // A file that says it is larger than any of ours,
    let (mut large, _) = header(&file("x/large", b""));
    large.set_size(LARGEST_FILE + 1);
    large.set_cksum();
    let said = taken(&gz(large.as_bytes()), "x").unwrap_err();
    assert!(said.contains("larger than 1 GiB"), "{said}");
    // a name of megabytes,
    let name = vec![b'a'; 1 << 20];
    let named = Packed("././@LongLink", EntryType::GNULongName, &name);
    let said = taken(&tar_gz(&[named, file("x/a", b"")]), "x").unwrap_err();
    assert!(said.contains("what is said about it is too long"), "{said}");
    // one whose size is told in two ways,
    let size = Packed("x/PaxHeaders/a", EntryType::XHeader, b"22 size=99999999999999\n");
    let said = taken(&tar_gz(&[size, file("x/a", b"1")]), "x").unwrap_err();
    assert!(
        said.contains("told in two ways") || said.contains("malformed"),
        "{said}"
    );
    // and more entries than any program has.
    let names: Vec<String> = (0..=MOST_ENTRIES).map(|n| format!("x/{n}")).collect();
    let many: Vec<_> = names.iter().map(|name| file(name, b"")).collect();
    let said = taken(&tar_gz(&many), "x").unwrap_err();
    assert!(said.contains("100,000") || said.contains("too many"), "{said}");
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let whole = tar_gz(&[file("x/a", &[7; 3000])]);
    for (bytes, inside) in [
        (&b"<!DOCTYPE html>"[..], "x"),
        (&whole[..whole.len() - 20], "x"),
        (&gz(b"no tar")[..], "x"),
        (&tar_gz(&[])[..], "x"),
        (&tar_gz(&[folder("x")])[..], "x/y"),
    ] {
        let said = taken(bytes, inside).unwrap_err();
        assert!(said.starts_with("NOT_A_PROGRAM: x.tar.gz is not"), "{said}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000)) {
        let _ = read(&*gz(&bytes), "x", "", &mut |_, _, _| Ok(()));
        let _ = read(&*bytes, "x", "", &mut |_, _, _| Ok(()));
    }

    #[test]
    fn a_name_that_is_taken_stays_below(name in "[./a\\\\-]{0,12}", target in "[./a]{0,12}") {
        if let Ok(path) = relative(name.as_bytes()) {
            proptest::prop_assert!(path.split('/').all(|part| part != ".." && part != "."));
            if let (false, Ok(target)) = (path.is_empty(), inward(target.as_bytes(), &path)) {
                // Followed part by part it never goes above the tree.
                let mut depth = i32::try_from(path.split('/').count()).unwrap() - 1;
                for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
                    depth += if part == ".." { -1 } else { 1 };
                    proptest::prop_assert!(depth >= 0, "{} -> {}", path, target);
                }
            }
        }
    }
}
