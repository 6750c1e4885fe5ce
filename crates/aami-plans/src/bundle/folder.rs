//! A bundle that was unpacked: the same manifest, and every file judged by it.
//!
//! No link is followed, and what is placed is a copy of the very bytes that were summed: whoever may write in the
//! folder can change it at any time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::manifest::{LARGEST_MANIFEST, MANIFEST, Manifest, SIGNATURE};
use super::reading::Reading;
use super::{BundleError, Head, not_a_bundle, tape};

/// Folders below this depth are no part of any bundle.
const DEEPEST: usize = 4;

/// Reads the manifest and its signature.
pub(super) fn head(folder: &Path) -> Result<Head, BundleError> {
    let text = small(folder, MANIFEST)?
        .ok_or_else(|| not_a_bundle(folder, format!("the folder has no {MANIFEST}")))?;
    Ok(Head {
        text,
        signature: small(folder, SIGNATURE)?,
    })
}

/// Reads everything the manifest names, and names what else there is.
pub(super) fn read(folder: &Path, manifest: &Manifest, reading: &mut Reading<'_>) -> Result<(), BundleError> {
    for entry in &manifest.entries {
        let mut file = match plain(folder, &entry.path) {
            Ok(Some(file)) => file,
            Ok(None) => {
                reading.wrong(format!("{} is missing", entry.path));
                continue;
            }
            Err(source) => {
                return Err(BundleError::Unreadable {
                    path: folder.join(&entry.path),
                    source,
                });
            }
        };
        match file.metadata().map(|found| found.len()) {
            Ok(found) if found != entry.size => {
                reading.wrong(format!(
                    "{}: expected {} bytes, got {found}",
                    entry.path, entry.size
                ));
            }
            _ => reading.entry(entry, &mut file)?,
        }
    }
    unlisted(folder, "", manifest, 0, reading).map_err(|source| BundleError::Unreadable {
        path: folder.to_owned(),
        source,
    })
}

fn small(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, BundleError> {
    let unreadable = |source| BundleError::Unreadable {
        path: folder.join(name),
        source,
    };
    let Some(file) = plain(folder, name).map_err(unreadable)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(LARGEST_MANIFEST + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_MANIFEST {
        return Err(not_a_bundle(folder, format!("its {name} is larger than 1 MiB")));
    }
    Ok(Some(bytes))
}

/// Opens a plain file; none where there is none at that very path.
fn plain(folder: &Path, name: &str) -> io::Result<Option<File>> {
    let mut path = folder.to_owned();
    for part in name.split('/') {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    // Follows no link that came meanwhile, and waits for nobody at a pipe.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
        .open(&path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}

/// Names what lies in the folder and is not in the manifest.
fn unlisted(
    folder: &Path,
    below: &str,
    manifest: &Manifest,
    depth: usize,
    reading: &mut Reading<'_>,
) -> io::Result<()> {
    let mut names = Vec::new();
    for found in fs::read_dir(folder.join(below))? {
        let found = found?;
        names.push((
            found.file_name().to_string_lossy().into_owned(),
            found.file_type()?,
        ));
    }
    names.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, kind) in names {
        let path = if below.is_empty() {
            name
        } else {
            format!("{below}/{name}")
        };
        let is_ours =
            [MANIFEST, SIGNATURE].contains(&path.as_str()) || manifest.entries.iter().any(|e| e.path == path);
        if kind.is_dir() && depth < DEEPEST {
            unlisted(folder, &path, manifest, depth + 1, reading)?;
        } else if !is_ours {
            reading.wrong(format!("{} is not in the manifest", tape::shown(path.as_bytes())));
        }
    }
    Ok(())
}
