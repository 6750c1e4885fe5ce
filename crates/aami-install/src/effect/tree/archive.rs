//! Reading a `.tar.gz` entry by entry, as if whoever packed it meant harm.
//!
//! An entry that may not stand anywhere below the tree refuses the whole archive: a path that climbs, a
//! link that leads out, a device, a name of our own, more than fits. Long names are read here, and not by
//! the tar reader, so that none is longer than a path can be.

use std::collections::BTreeMap;
use std::io::{self, Read};

use aami_model::Code;
use aami_model::code;
use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::list::LIST;
use crate::effect::EffectError;
use crate::step::StepError;

/// The most an archive may unpack to, in bytes, whether it is wanted or not.
const LARGEST_ARCHIVE: u64 = 4 << 30;
/// The largest file of a tree, in bytes.
const LARGEST_FILE: u64 = 1 << 30;
/// The most entries an archive may have.
const MOST_ENTRIES: usize = 100_000;
/// The most all names together may take, in bytes.
const LONGEST_NAMES: usize = 16 << 20;
/// The longest name, and what a long name's own entry may take.
const LONGEST_NAME: usize = 2048;
/// The longest name as its own entry, with other things that are said about the next one.
const LONGEST_AHEAD: u64 = 16 << 10;
/// The most folders one below another.
const DEEPEST: usize = 64;

/// Why an archive makes no tree.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Something in it may not be unpacked.
    #[error("{archive}: {entry} may not be unpacked: {why}; nothing of the archive was placed")]
    Refused {
        /// The archive.
        archive: String,
        /// The entry, cut to a short line.
        entry: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Not the archive it should be.
    #[error("{archive} is not a readable tar.gz archive: {source}")]
    Broken {
        /// The archive.
        archive: String,
        /// What the reader says.
        #[source]
        source: io::Error,
    },
}

impl ArchiveError {
    pub(super) fn broken(archive: &str, source: io::Error) -> Self {
        let archive = archive.to_owned();
        Self::Broken { archive, source }
    }

    pub(crate) const fn code(&self) -> Code {
        match self {
            Self::Refused { .. } => code::EXTRACTION_REFUSED,
            Self::Broken { .. } => code::NOT_A_PROGRAM,
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File { executable: bool },
    Link { target: String },
}

/// Takes the entries of the tree one after another: where below the tree, what, and its bytes.
pub(super) type Take<'t> = dyn FnMut(&str, &Kind, &mut dyn Read) -> Result<(), StepError> + 't;

/// Reads the archive in `from`, which people call `name`, and hands every entry below its folder `inside`
/// to `take`, each folder before what lies in it.
pub(super) fn read(from: impl Read, name: &str, inside: &str, take: &mut Take<'_>) -> Result<(), StepError> {
    let broken = |source| EffectError::from(ArchiveError::broken(name, source));
    // One byte more than allowed, so that reaching it is told from ending at it.
    let unpacked = MultiGzDecoder::new(from).take(LARGEST_ARCHIVE + 1);
    let mut archive = Archive::new(unpacked);
    let mut ahead = Ahead::default();
    let mut seen = Seen::default();
    for (count, entry) in archive.entries().map_err(broken)?.raw(true).enumerate() {
        let mut entry = entry.map_err(broken)?;
        let said = ahead
            .path
            .clone()
            .unwrap_or_else(|| entry.path_bytes().into_owned());
        let refused = |why| {
            let (archive, entry) = (name.to_owned(), shown(&said));
            EffectError::from(ArchiveError::Refused { archive, entry, why })
        };
        if count >= MOST_ENTRIES {
            return Err(refused("it is one of more than 100,000 entries").into());
        }
        if ahead.takes(&mut entry).map_err(broken)?.map_err(refused)? {
            continue;
        }
        let ahead = std::mem::take(&mut ahead);
        let path = relative(&said).map_err(refused)?;
        let Some(path) = below(&path, inside).map_err(refused)? else {
            continue;
        };
        let kind = kind(&entry, &ahead, &said, &path).map_err(refused)?;
        for folder in seen.admit(&path, &kind).map_err(refused)? {
            take(&folder, &Kind::Folder, &mut io::empty())?;
        }
        if !path.is_empty() && (kind != Kind::Folder || seen.is_new) {
            take(&path, &kind, &mut entry)?;
        }
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(broken)?;
    if rest.limit() == 0 {
        return Err(broken(io::Error::other("it unpacks to more than 4 GiB")).into());
    }
    if seen.all.is_empty() {
        return Err(broken(io::Error::other(format!("it holds nothing below {inside:?}"))).into());
    }
    Ok(())
}

/// What entries before an entry say about it: names that do not fit into its header.
#[derive(Default)]
struct Ahead {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<Vec<u8>>,
}

type Rule<T> = Result<T, &'static str>;

impl Ahead {
    /// Whether `entry` is about the next one, or about the archive; then it is taken in.
    fn takes<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> io::Result<Rule<bool>> {
        let kind = entry.header().entry_type();
        let is_ahead = kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions();
        if !is_ahead && !kind.is_pax_global_extensions() {
            return Ok(Ok(false));
        }
        if entry.size() > LONGEST_AHEAD {
            return Ok(Err("what is said about it is too long"));
        }
        if kind.is_pax_local_extensions() {
            for said in entry.pax_extensions()?.into_iter().flatten() {
                let said = said?;
                let into = match said.key_bytes() {
                    b"path" => &mut self.path,
                    b"linkpath" => &mut self.target,
                    b"size" => &mut self.size,
                    key if key.starts_with(b"GNU.sparse.") => return Ok(Err("it is a file with holes")),
                    _ => continue,
                };
                *into = Some(said.value_bytes().to_owned());
            }
        } else if is_ahead {
            let mut text = Vec::new();
            entry.read_to_end(&mut text)?;
            while text.last() == Some(&0) {
                text.pop();
            }
            let into = if kind.is_gnu_longname() {
                &mut self.path
            } else {
                &mut self.target
            };
            *into = Some(text);
        }
        Ok(Ok(true))
    }
}

fn kind<R: Read>(entry: &Entry<'_, R>, ahead: &Ahead, said: &[u8], path: &str) -> Rule<Kind> {
    let header = entry.header();
    let size = entry.size();
    if size > LARGEST_FILE {
        return Err("it is larger than 1 GiB");
    }
    // A size that does not fit into the header is larger than any we take.
    if ahead
        .size
        .as_ref()
        .is_some_and(|said| *said != size.to_string().as_bytes())
    {
        return Err("its size is told in two ways");
    }
    let kind = match header.entry_type() {
        // As tar wrote folders before it had a type for them.
        EntryType::Regular if said.ends_with(b"/") && size == 0 => Kind::Folder,
        EntryType::Regular | EntryType::Continuous => Kind::File {
            executable: header.mode().is_ok_and(|mode| mode & 0o111 != 0),
        },
        EntryType::Directory => Kind::Folder,
        EntryType::Symlink => {
            let target = ahead.target.clone();
            let target = target.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
            Kind::Link {
                target: inward(&target.unwrap_or_default(), path)?,
            }
        }
        _ => return Err("it is neither a file nor a folder nor a symbolic link"),
    };
    if kind == Kind::Folder || !path.is_empty() {
        Ok(kind)
    } else {
        Err("it stands where the tree's own folder does")
    }
}

/// The path of an entry, `a/b`; `./` in front of it says nothing.
fn relative(said: &[u8]) -> Rule<String> {
    let text = std::str::from_utf8(said).map_err(|_| "its name is not UTF-8")?;
    if text.starts_with('/') {
        return Err("its path is absolute");
    }
    if text.len() > LONGEST_NAME {
        return Err("its path is too long");
    }
    if text.chars().any(char::is_control) {
        return Err("its name holds a control character");
    }
    let parts: Vec<&str> = text
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.contains(&"..") {
        return Err("its path climbs out of the archive");
    }
    if parts.len() > DEEPEST || parts.iter().any(|part| part.len() > 255) {
        return Err("its path is too long");
    }
    let is_ours = |part: &&&str| part.ends_with(".aami-new") || part.contains(".aami-kept") || **part == LIST;
    if parts.iter().any(|part| is_ours(&part)) {
        return Err("its name is one AAMI gives to files of its own");
    }
    Ok(parts.join("/"))
}

/// Where `path` lies below the folder that becomes the tree; none where it is a folder above that.
fn below(path: &str, inside: &str) -> Rule<Option<String>> {
    if inside.is_empty() || path == inside {
        let rest = path.strip_prefix(inside).unwrap_or_default();
        return Ok(Some(rest.to_owned()));
    }
    if let Some(rest) = path.strip_prefix(inside).and_then(|rest| rest.strip_prefix('/')) {
        return Ok(Some(rest.to_owned()));
    }
    let is_above = path.is_empty()
        || inside
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('/'));
    if is_above {
        Ok(None)
    } else {
        Err("it lies beside the folder that is placed")
    }
}

/// A link's target that stays below the tree wherever it is followed from. It may climb only first, from
/// the link's own folder, which is no link: what climbs behind another link leads nobody knows where.
fn inward(target: &[u8], path: &str) -> Rule<String> {
    let text = std::str::from_utf8(target).map_err(|_| "its target is not UTF-8")?;
    if text.is_empty() || text.len() > LONGEST_NAME || text.chars().any(char::is_control) {
        return Err("its target is no path");
    }
    if text.starts_with('/') {
        return Err("it is a link with an absolute target");
    }
    let mut depth = path.split('/').count() - 1;
    let mut climbs = true;
    for part in text.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part != ".." {
            climbs = false;
        } else if !climbs || depth == 0 {
            return Err("it is a link that leads out");
        } else {
            depth -= 1;
        }
    }
    Ok(text.to_owned())
}

/// What stood in the archive so far, by path.
#[derive(Default)]
struct Seen {
    /// Whether it is a folder.
    all: BTreeMap<String, bool>,
    names: usize,
    /// Whether the last one admitted was there for the first time.
    is_new: bool,
}

impl Seen {
    /// Lets an entry in and gives the folders above it that no entry of their own told.
    fn admit(&mut self, path: &str, kind: &Kind) -> Rule<Vec<String>> {
        let mut told = Vec::new();
        for (end, _) in path.match_indices('/') {
            let folder = &path[..end];
            match self.all.get(folder) {
                Some(true) => {}
                Some(false) => return Err("it lies below something that is no folder"),
                None => {
                    self.note(folder, true)?;
                    told.push(folder.to_owned());
                }
            }
        }
        self.is_new = !self.all.contains_key(path);
        let is_folder = *kind == Kind::Folder;
        match self.all.get(path) {
            Some(true) if is_folder => {}
            Some(_) => return Err("it stands in the archive twice"),
            None => self.note(path, is_folder)?,
        }
        Ok(told)
    }

    fn note(&mut self, path: &str, is_folder: bool) -> Rule<()> {
        self.names += path.len();
        // Folders nobody told count as well.
        if self.names > LONGEST_NAMES || self.all.len() >= MOST_ENTRIES {
            return Err("there are too many names");
        }
        self.all.insert(path.to_owned(), is_folder);
        Ok(())
    }
}

fn shown(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
#[path = "archive/tests.rs"]
mod tests;
