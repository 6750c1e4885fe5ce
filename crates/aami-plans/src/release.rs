//! A release folder, and how it is known to be whole and ours.
//!
//! `SHA256SUMS` names every file with its checksum, and `SHA256SUMS.minisig` signs that list together with the
//! version. [`verify`] judges a folder by a public key; only then there is a [`Release`] to take files from. What is
//! installed from a folder goes through here, so that an unsigned or changed file is never placed.
//!
//! `cargo xtask dist` writes such folders; `install.sh` fetches one.

#[cfg(feature = "bundle")]
pub mod signer;
mod sums;

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aami_model::code::{self, Code};
use sha2::{Digest as _, Sha256};

use crate::components::Sha256Sum;
pub use sums::Sums;
#[cfg(feature = "bundle")]
pub(crate) use sums::is_plain;

/// The list of files.
pub const SUMS: &str = "SHA256SUMS";
/// Its signature.
pub const SIGNATURE: &str = "SHA256SUMS.minisig";
/// The largest list and the largest signature taken, in bytes.
const LARGEST_TEXT: u64 = 1024 * 1024;
/// What begins the line of minisign's files that nobody signs.
const UNTRUSTED: &str = "untrusted comment:";
/// What the signed comment says before the version.
const COMMENT: &str = "aami ";
/// Folders below this depth are not part of any release.
const DEEPEST: usize = 8;

/// Who signs releases.
#[derive(Clone)]
pub struct PublicKey {
    key: minisign_verify::PublicKey,
    line: String,
}

impl PublicKey {
    /// Reads a key as minisign writes it: the file with its comment, or the one line of base64.
    pub fn read(text: &str) -> Result<Self, ReleaseError> {
        let text = text.trim();
        let key = if text.contains('\n') {
            minisign_verify::PublicKey::decode(text)
        } else {
            minisign_verify::PublicKey::from_base64(text)
        };
        let line = text.lines().find(|line| !line.starts_with(UNTRUSTED));
        match (key, line) {
            (Ok(key), Some(line)) => Ok(Self {
                key,
                line: line.trim().to_owned(),
            }),
            _ => Err(ReleaseError::NotAKey),
        }
    }

    /// The key as one line of base64.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The file of a key whose line is known, as minisign writes it and a release carries it.
    pub fn file_of(line: &str) -> String {
        format!("{UNTRUSTED} public key of AAMI releases\n{line}\n")
    }

    /// The comment that is signed with `bytes`, where `signature` is this key's over them; else what is wrong.
    pub(crate) fn comment_of(&self, bytes: &[u8], signature: &str) -> Result<String, &'static str> {
        let signature = minisign_verify::Signature::decode(signature).map_err(|_| "it is not a signature")?;
        match self.key.verify(bytes, &signature, false) {
            Ok(()) => Ok(signature.trusted_comment().to_owned()),
            Err(minisign_verify::Error::UnexpectedKeyId) => Err("it was made by another key"),
            Err(_) => Err("it was changed after it was signed, or by somebody else"),
        }
    }
}

/// A folder whose signature holds.
#[derive(Debug)]
pub struct Release {
    folder: PathBuf,
    version: String,
    sums: Sums,
}

impl Release {
    /// The version that was signed.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Its files, by path relative to the folder, each with its checksum.
    pub fn files(&self) -> impl Iterator<Item = (&str, Sha256Sum)> {
        self.sums.iter()
    }

    /// What agents are updated from, as far as it is here: each file's path relative to the folder, where it lies, and its
    /// checksum. The list and its signature are among them, so that whoever updates can judge the agent.
    pub fn updates(&self) -> Result<Vec<(String, PathBuf, Sha256Sum)>, ReleaseError> {
        let mut files = Vec::new();
        for name in [SUMS, SIGNATURE] {
            let sum =
                file_sum(&self.folder, name)?.ok_or_else(|| ReleaseError::Missing(self.folder.clone()))?;
            files.push((name.to_owned(), self.folder.join(name), sum));
        }
        let agents = self.files().filter(|(name, _)| name.ends_with("/aami-agent"));
        for (name, sum) in agents {
            if file_sum(&self.folder, name)? == Some(sum) {
                files.push((name.to_owned(), self.folder.join(name), sum));
            }
        }
        Ok(files)
    }

    /// Where one of its files lies, and its checksum; none if the release has no such file.
    pub fn file(&self, name: &str) -> Option<(PathBuf, Sha256Sum)> {
        Some((self.folder.join(name), self.sums.get(name)?))
    }
}

/// Why a folder is not installed from.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The key itself is not one.
    #[error("this is not a public key of minisign")]
    NotAKey,
    /// No list.
    #[error("{} is not a release: it has no {SUMS}", .0.display())]
    Missing(PathBuf),
    /// No signature.
    #[error("{} has no signature: {SIGNATURE} is missing", .0.display())]
    Unsigned(PathBuf),
    /// A signature that does not hold.
    #[error("the signature in {} does not hold: {why}", .path.display())]
    Signature {
        /// The signature's file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Signed, but not a list of checksums.
    #[error("{}, line {line}: {why}", .path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// Signed, but another version.
    #[error("{} is release {found}, not {wanted}", .folder.display())]
    Version {
        /// The folder.
        folder: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What was signed.
        found: String,
    },
    /// Files that are not as released, each with what is wrong.
    #[error("{}: {}", .folder.display(), .files.join("; "))]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// File and reason.
        files: Vec<String>,
    },
    /// A file that cannot be read.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ReleaseError {
    /// The registry's entry for it.
    pub const fn code(&self) -> Code {
        match self {
            Self::NotAKey => code::INVALID,
            Self::Missing(_) => code::RELEASE_MISSING,
            Self::Unsigned(_) => code::SIGNATURE_MISSING,
            Self::Signature { .. } => code::SIGNATURE_INVALID,
            Self::Version { .. } => code::RELEASE_MISMATCH,
            Self::List { .. } | Self::Damaged { .. } | Self::Unreadable { .. } => code::RELEASE_DAMAGED,
        }
    }
}

/// What a folder is judged by.
#[derive(Clone, Copy)]
pub struct Demand<'a> {
    /// Who has to have signed it.
    pub key: &'a PublicKey,
    /// Which version it has to be, where that is known.
    pub version: Option<&'a str>,
    /// Whether files of the list may be absent, as while a release is fetched file by file.
    pub partial: bool,
}

/// The comment under a release's signature, which names its version and is signed with it.
pub fn signed_comment(version: &str) -> String {
    format!("{COMMENT}{version}")
}

/// Judges a folder: the signature first, then the version, then every file. All files that are not as released are
/// named in one error.
pub fn verify(folder: &Path, demand: Demand<'_>) -> Result<Release, ReleaseError> {
    let list = folder.join(SUMS);
    let text = text_of(&list)?.ok_or_else(|| ReleaseError::Missing(folder.to_owned()))?;
    let path = folder.join(SIGNATURE);
    let signature = text_of(&path)?.ok_or_else(|| ReleaseError::Unsigned(folder.to_owned()))?;
    let refused = |why: &str| ReleaseError::Signature {
        path: path.clone(),
        why: why.to_owned(),
    };
    let comment = demand
        .key
        .comment_of(text.as_bytes(), &signature)
        .map_err(refused)?;
    let version = comment
        .strip_prefix(COMMENT)
        .ok_or_else(|| refused("it is the signature of something else than a release"))?
        .to_owned();
    if let Some(wanted) = demand.version
        && wanted != version
    {
        return Err(ReleaseError::Version {
            folder: folder.to_owned(),
            wanted: wanted.to_owned(),
            found: version,
        });
    }
    let sums = Sums::read(&text).map_err(|(line, why)| ReleaseError::List {
        path: list,
        line,
        why,
    })?;
    let mut wrong = Vec::new();
    for (name, sum) in sums.iter() {
        match file_sum(folder, name)? {
            None if demand.partial => {}
            None => wrong.push(format!("{name} is missing")),
            Some(found) if found == sum => {}
            Some(found) => wrong.push(format!("{name} was changed: expected {sum}, got {found}")),
        }
    }
    unlisted(folder, "", &sums, 0, &mut wrong)?;
    if wrong.is_empty() {
        Ok(Release {
            folder: folder.to_owned(),
            version,
            sums,
        })
    } else {
        Err(ReleaseError::Damaged {
            folder: folder.to_owned(),
            files: wrong,
        })
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> ReleaseError {
    let path = path.to_owned();
    move |source| ReleaseError::Unreadable { path, source }
}

/// A small text file; none if there is no such file.
fn text_of(path: &Path) -> Result<Option<String>, ReleaseError> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path)(error)),
    };
    let mut text = String::new();
    let read = file.take(LARGEST_TEXT + 1).read_to_string(&mut text);
    match read {
        Ok(length) if length as u64 <= LARGEST_TEXT => Ok(Some(text)),
        Ok(_) => Err(unreadable(path)(io::ErrorKind::FileTooLarge.into())),
        Err(error) => Err(unreadable(path)(error)),
    }
}

/// The checksum of a listed file; none where no plain file of that name is. A link is not followed: what it points at
/// may change after it was judged.
fn file_sum(folder: &Path, name: &str) -> Result<Option<Sha256Sum>, ReleaseError> {
    let mut path = folder.to_owned();
    for part in name.split('/') {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&path)(error)),
        }
    }
    if !path.is_file() {
        return Ok(None);
    }
    let mut file = fs::File::open(&path).map_err(unreadable(&path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer).map_err(unreadable(&path))?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    Ok(Some(Sha256Sum(hasher.finalize().into())))
}

/// What lies in the folder and was not released.
fn unlisted(
    folder: &Path,
    below: &str,
    sums: &Sums,
    depth: usize,
    wrong: &mut Vec<String>,
) -> Result<(), ReleaseError> {
    let here = folder.join(below);
    let entries = fs::read_dir(&here).map_err(unreadable(&here))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable(&here))?;
        let kind = entry.file_type().map_err(unreadable(&here))?;
        names.push((entry.file_name().to_string_lossy().into_owned(), kind));
    }
    names.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, kind) in names {
        let name = if below.is_empty() {
            name
        } else {
            format!("{below}/{name}")
        };
        if kind.is_dir() && depth < DEEPEST {
            unlisted(folder, &name, sums, depth + 1, wrong)?;
        } else if sums.get(&name).is_none() && ![SUMS, SIGNATURE].contains(&name.as_str()) {
            wrong.push(format!("{name} is not in the list"));
        } else if !kind.is_file() {
            wrong.push(format!("{name} is not a file"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
