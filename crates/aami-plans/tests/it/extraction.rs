//! What comes out of an archive, and what never does.

use std::path::Path;

use aami_inventory::Arch;
use aami_plans::components::Archive;
use aami_plans::download::Verified;
use aami_plans::extract::{self, ExtractError, Program};
use tar::EntryType;

use crate::archives::{AMD64, ARM64, Entry, file, program, sum, tar_gz};

fn extract_from(
    bytes: &[u8],
    archive: Archive,
    path: &str,
) -> (Result<Program, ExtractError>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original");
    std::fs::write(&original, bytes).unwrap();
    let verified = Verified::from_local(&original, sum(bytes), folder.path()).unwrap();
    let result = extract::program(&verified, archive, path, Arch::Amd64, folder.path());
    (result, folder)
}

/// The names below a folder but for the two files the test itself made.
fn residue(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "original" && name.len() != 64)
        .collect();
    names.sort();
    names
}

#[test]
fn the_wanted_program_comes_out_and_nothing_else() {
    let wanted = program(AMD64, 300_000);
    let bytes = tar_gz(&[
        Entry {
            path: "x-1/",
            kind: EntryType::Directory,
            bytes: b"",
        },
        file("x-1/LICENSE", b"Apache"),
        file("./x-1/x", &wanted),
        file("x-1/NOTICE", b"notice"),
    ]);
    let (result, folder) = extract_from(&bytes, Archive::TarGz, "x-1/x");
    let out = result.unwrap();
    assert_eq!(std::fs::read(out.path()).unwrap(), wanted);
    assert_eq!((out.size, out.sha256), (wanted.len() as u64, sum(&wanted)));
    assert_eq!(
        residue(folder.path()).len(),
        1,
        "only the program's temporary file"
    );
    drop(out);
    assert_eq!(residue(folder.path()), Vec::<String>::new());
}

#[test]
fn one_bad_entry_anywhere_refuses_the_whole_archive() {
    let wanted = program(AMD64, 1000);
    let good = || file("x", &wanted);
    let link = |kind| Entry {
        path: "link",
        kind,
        bytes: b"",
    };
    for (bad, said) in [
        (file("/etc/cron.d/evil", b"x"), "absolute"),
        (file("a/../../evil", b"x"), "climbs"),
        (link(EntryType::Symlink), "neither a file nor a folder"),
        (link(EntryType::Link), "neither a file nor a folder"),
        (link(EntryType::Char), "neither a file nor a folder"),
        (link(EntryType::Fifo), "neither a file nor a folder"),
        (file("x", b"again"), "twice"),
    ] {
        // The bad entry comes last, when the good one is already read.
        let (result, folder) = extract_from(&tar_gz(&[good(), bad]), Archive::TarGz, "x");
        let error = result.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(error.code().symbol, "EXTRACTION_REFUSED");
        assert_eq!(residue(folder.path()), Vec::<String>::new(), "{error}");
    }
}

#[test]
fn what_is_no_archive_or_lacks_the_program_is_said() {
    let archive = tar_gz(&[file("y", b"y")]);
    let cut = &archive[..archive.len() / 2];
    for (bytes, said) in [
        (b"<html>".as_slice(), "not a readable tar.gz"),
        (cut, "not a readable tar.gz"),
        (&archive, "holds no file x"),
    ] {
        let (result, _folder) = extract_from(bytes, Archive::TarGz, "x");
        let error = result.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(error.code().symbol, "NOT_A_PROGRAM");
    }
}

#[test]
fn a_program_for_another_processor_is_refused() {
    let (result, folder) = extract_from(&tar_gz(&[file("x", &program(ARM64, 10))]), Archive::TarGz, "x");
    let error = result.unwrap_err();
    assert_eq!(
        error.to_string(),
        "x is built for arm64, and this machine needs amd64"
    );
    assert_eq!(error.code().symbol, "ARCH_MISMATCH");
    assert_eq!(residue(folder.path()), Vec::<String>::new());

    let (result, _folder) = extract_from(b"#!/bin/sh\nrm -rf /\n#padding", Archive::None, "x");
    assert_eq!(result.unwrap_err().code().symbol, "NOT_A_PROGRAM");
}

#[test]
fn a_bare_program_is_its_own_archive() {
    let wanted = program(AMD64, 5000);
    let (result, _folder) = extract_from(&wanted, Archive::None, "x");
    assert_eq!(std::fs::read(result.unwrap().path()).unwrap(), wanted);
}
