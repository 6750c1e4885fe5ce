//! The Debian package: both programs in `/usr/bin`, nothing configured, nothing started.
//!
//! It is an `ar` archive of two `tar.gz` and a format line, which every dpkg since Debian 11 reads. What a host is
//! changed by is `aami server install` and `aami-agent bootstrap`, and they take it back themselves: removing the
//! package removes the programs alone.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};

/// What dpkg is told.
const CONTROL: &str = "Package: aami
Version: @VERSION@
Architecture: @ARCH@
Maintainer: AAMI <aami@localhost>
Installed-Size: @SIZE@
Section: admin
Priority: optional
Description: monitoring for accelerator machines
 AAMI takes machines with GPUs from bare metal to monitored. This package
 brings the two programs: aami for operators and the control plane, and
 aami-agent for nodes. It starts nothing.
";

/// What is said once, when it is first installed.
const POSTINST: &str = "#!/bin/sh
set -e
if [ \"$1\" = configure ] && [ -z \"$2\" ]; then
  echo 'aami: nothing runs yet; `aami server install` sets up a control plane.'
fi
";

/// The package's file.
pub(super) fn file_name(version: &str, arch: &str) -> String {
    format!("aami_{version}_{arch}.deb")
}

/// Packs the programs. The same programs, version and time give the same bytes.
pub(super) fn package(
    root: &Path,
    version: &str,
    arch: &str,
    programs: &[(&str, Vec<u8>)],
    time: u64,
) -> Result<Vec<u8>> {
    let license = fs::read(root.join("LICENSE")).context("there is no LICENSE")?;
    let mut files: Vec<(String, &[u8], u32)> = programs
        .iter()
        .map(|(name, bytes)| (format!("usr/bin/{name}"), bytes.as_slice(), 0o755))
        .collect();
    files.push(("usr/share/doc/aami/copyright".to_owned(), &license, 0o644));
    let size: usize = files.iter().map(|(_, bytes, _)| bytes.len().div_ceil(1024)).sum();
    let control = CONTROL
        .replace("@VERSION@", version)
        .replace("@ARCH@", arch)
        .replace("@SIZE@", &size.to_string());
    let about: [(String, &[u8], u32); 2] = [
        ("control".to_owned(), control.as_bytes(), 0o644),
        ("postinst".to_owned(), POSTINST.as_bytes(), 0o755),
    ];

    let mut package = ar::Builder::new(Vec::new());
    for (name, bytes) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", packed(&about, time)?),
        ("data.tar.gz", packed(&files, time)?),
    ] {
        let mut header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
        header.set_mtime(time);
        header.set_mode(0o100_644);
        package.append(&header, bytes.as_slice())?;
    }
    package.into_inner().context("the package cannot be ended")
}

/// A `tar.gz` of files, each with the folders above it, owned by root.
fn packed(files: &[(String, &[u8], u32)], time: u64) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzBuilder::new().write(Vec::new(), Compression::best()));
    let mut folders = vec![String::new()];
    for (name, _, _) in files {
        for (at, _) in name.match_indices('/') {
            let folder = name[..=at].to_owned();
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    let header = |kind, size: usize, mode| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_mode(mode);
        header.set_mtime(time);
        header
    };
    for folder in &folders {
        let mut header = header(tar::EntryType::Directory, 0, 0o755);
        append(&mut archive, &mut header, &format!("./{folder}"), &[])?;
    }
    for (name, bytes, mode) in files {
        let mut header = header(tar::EntryType::Regular, bytes.len(), *mode);
        append(&mut archive, &mut header, &format!("./{name}"), bytes)?;
    }
    let mut packed = archive.into_inner()?;
    packed.flush()?;
    packed.finish().context("an archive cannot be ended")
}

fn append<W: std::io::Write>(
    archive: &mut tar::Builder<W>,
    header: &mut tar::Header,
    path: &str,
    bytes: &[u8],
) -> Result<()> {
    // dpkg wants the `./` in front, which `set_path` would take away.
    let name = &mut header.as_old_mut().name;
    name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    archive.append(header, bytes)?;
    Ok(())
}
