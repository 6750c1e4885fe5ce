//! A file of known hosts.
//!
//! Lines of `[@marker] names type key [comment]`; names are patterns separated by commas, or one hashed name. A
//! line that is not understood counts for nothing and is noted; it never hides the others. Only one that revokes
//! something makes the whole file unusable.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::{BASE64, BASE64_NOPAD};
use ring::digest::{SHA256, digest};
use ring::hmac;

use super::learn::Appended;
use super::pattern;

/// A file that is larger is none.
const LARGEST: u64 = 32 * 1024 * 1024;
/// How many lines that are not understood are noted.
const NOTES: usize = 100;

/// A file, as it was read.
#[derive(Debug)]
pub(super) struct KnownFile {
    pub(super) path: PathBuf,
    /// Line and reason, of what is not understood.
    pub(super) notes: Vec<(usize, String)>,
    lines: Vec<Line>,
    /// The lines of a name that stands there as it is.
    by_name: HashMap<String, Vec<usize>>,
    /// Lines with patterns: compared one by one.
    patterns: Vec<usize>,
    /// Lines with a hashed name.
    hashed: Vec<usize>,
    /// What was found among those. A thousand hosts in a file of a thousand hashed lines are a million comparisons, and each
    /// host is asked about several times.
    found: Mutex<HashMap<String, Found>>,
    /// How many lines it has, those that count for nothing as well.
    length: usize,
    stamp: Option<Stamp>,
}

/// The hashed lines of a name, among the first so many.
#[derive(Debug, Clone, Default)]
struct Found {
    among: usize,
    lines: Vec<usize>,
}

/// By what a change of a file is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// What stands in front of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    None,
    Authority,
    Revoked,
}

/// A line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) marker: Marker,
    pub(super) kind: String,
    pub(super) blob: Vec<u8>,
    names: Names,
}

#[derive(Debug)]
enum Names {
    Patterns(String),
    Hashed { salt: hmac::Key, hash: Vec<u8> },
}

impl Line {
    /// `SHA256:...`.
    pub(super) fn fingerprint(&self) -> String {
        format!(
            "SHA256:{}",
            BASE64_NOPAD.encode(digest(&SHA256, &self.blob).as_ref())
        )
    }

    /// Whether its patterns take one of these names.
    fn takes(&self, names: &[String]) -> bool {
        match &self.names {
            Names::Patterns(patterns) => pattern::list_matches(patterns.split(','), names),
            Names::Hashed { .. } => false,
        }
    }

    /// Whether its hashed name is this one.
    fn hides(&self, name: &str) -> bool {
        match &self.names {
            Names::Patterns(_) => false,
            Names::Hashed { salt, hash } => hmac::verify(salt, name.as_bytes(), hash).is_ok(),
        }
    }
}

impl KnownFile {
    /// The lines for any of these names, which are in lower case, in the order of the file.
    pub(super) fn matching<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = &'a Line> {
        let mut found: Vec<usize> = names
            .iter()
            .filter_map(|name| self.by_name.get(name))
            .flatten()
            .copied()
            .chain(self.those(&self.patterns, |line| line.takes(names)))
            .chain(names.iter().flat_map(|name| self.hashed(name)))
            .collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().filter_map(|at| self.lines.get(at))
    }

    /// Those of these lines of which this is true.
    fn those(&self, lines: &[usize], is_true: impl Fn(&Line) -> bool) -> impl Iterator<Item = usize> {
        lines
            .iter()
            .copied()
            .filter(move |at| self.lines.get(*at).is_some_and(&is_true))
    }

    /// The lines with this name, hashed. Compared with each line once, however often it is asked for.
    fn hashed(&self, name: &str) -> Vec<usize> {
        let known = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let Found { among, mut lines } = known().get(name).cloned().unwrap_or_default();
        let rest = self.hashed.get(among..).unwrap_or_default();
        if !rest.is_empty() {
            lines.extend(self.those(rest, |line| line.hides(name)));
            let found = Found {
                among: self.hashed.len(),
                lines: lines.clone(),
            };
            known().insert(name.to_owned(), found);
        }
        lines
    }

    /// Fails with a `@revoked` line that is not understood: passed over, it would let in whom it keeps out.
    fn parse(path: &Path, text: &str, stamp: Option<Stamp>) -> io::Result<Self> {
        let mut file = Self {
            path: path.to_owned(),
            notes: Vec::new(),
            lines: Vec::new(),
            by_name: HashMap::new(),
            patterns: Vec::new(),
            hashed: Vec::new(),
            found: Mutex::default(),
            length: text.lines().count(),
            stamp,
        };
        for (at, text) in text.lines().enumerate() {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            match line(at + 1, text) {
                Ok(line) => file.add(line),
                Err(why) if revokes(text) => {
                    let number = at + 1;
                    return Err(io::Error::other(format!(
                        "line {number} revokes a key and is not understood: {why}"
                    )));
                }
                Err(why) if file.notes.len() < NOTES => file.notes.push((at + 1, why.to_owned())),
                Err(_) => {}
            }
        }
        Ok(file)
    }

    /// Takes a line that was appended to the file by ourselves, so that the file is not read again for it. Where
    /// anybody else has touched it, what is here stays as it is, and the file is read when it is wanted next.
    pub(super) fn appended(&mut self, text: &str, by: &Appended) {
        let untouched = self.stamp == Some(stamp(&by.before))
            && by.before.len().checked_add(by.length) == Some(by.after.len())
            && by.after.len() <= LARGEST;
        if untouched && let Ok(line) = line(self.length + 1, text.trim()) {
            self.length += 1;
            self.add(line);
            self.stamp = Some(stamp(&by.after));
        }
    }

    fn add(&mut self, line: Line) {
        let at = self.lines.len();
        match &line.names {
            Names::Patterns(patterns) if !patterns.contains(['*', '?', '!']) => {
                for name in patterns.split(',').filter(|name| !name.is_empty()) {
                    self.by_name
                        .entry(name.to_ascii_lowercase())
                        .or_default()
                        .push(at);
                }
            }
            Names::Patterns(_) => self.patterns.push(at),
            Names::Hashed { .. } => self.hashed.push(at),
        }
        self.lines.push(line);
    }
}

/// Reads a file, unless it is the one that was read before. One that does not exist is empty.
pub(super) fn read(path: &Path, had: Option<Arc<KnownFile>>) -> io::Result<Arc<KnownFile>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Arc::new(KnownFile::parse(path, "", None)?));
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        // `/dev/null` is how people say that there is none.
        return Ok(Arc::new(KnownFile::parse(path, "", None)?));
    }
    let stamp = stamp(&metadata);
    if let Some(had) = had
        && had.stamp == Some(stamp)
    {
        return Ok(had);
    }
    if metadata.len() > LARGEST {
        return Err(io::Error::other(format!("it is larger than {LARGEST} bytes")));
    }
    let mut bytes = Vec::new();
    file.by_ref().take(LARGEST + 1).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(Arc::new(KnownFile::parse(path, &text, Some(stamp))?))
}

fn stamp(metadata: &Metadata) -> Stamp {
    Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.len(),
        seconds: metadata.mtime(),
        nanoseconds: metadata.mtime_nsec(),
    }
}

/// Whether a line is meant to keep a key out, however it is written.
fn revokes(text: &str) -> bool {
    text.get(.."@revoked".len())
        .is_some_and(|marker| marker.eq_ignore_ascii_case("@revoked"))
}

fn line(number: usize, text: &str) -> Result<Line, &'static str> {
    let mut words = text.split_ascii_whitespace();
    let mut word = || words.next().ok_or("it is cut off");
    let mut names = word()?;
    let marker = match names {
        "@cert-authority" => Marker::Authority,
        "@revoked" => Marker::Revoked,
        other if other.starts_with('@') => return Err("its marker is not known"),
        _ => Marker::None,
    };
    if marker != Marker::None {
        names = word()?;
    }
    let kind = word()?;
    let key = word()?;
    let blob = BASE64
        .decode(key.as_bytes())
        .map_err(|_| "its key is not base64")?;
    let named = blob
        .get(..4)
        .and_then(|length| <[u8; 4]>::try_from(length).ok())
        .and_then(|length| usize::try_from(u32::from_be_bytes(length)).ok())
        .and_then(|length| blob.get(4..4_usize.checked_add(length)?));
    if named != Some(kind.as_bytes()) {
        return Err("its key is not of the type it says");
    }
    Ok(Line {
        number,
        marker,
        kind: kind.to_owned(),
        blob,
        names: names_of(names)?,
    })
}

fn names_of(text: &str) -> Result<Names, &'static str> {
    let Some(hashed) = text.strip_prefix("|1|") else {
        return if text.starts_with('|') {
            Err("its name is hashed in an unknown way")
        } else {
            Ok(Names::Patterns(text.to_owned()))
        };
    };
    let decoded = hashed.split_once('|').and_then(|(salt, hash)| {
        Some((
            BASE64.decode(salt.as_bytes()).ok()?,
            BASE64.decode(hash.as_bytes()).ok()?,
        ))
    });
    let (salt, hash) = decoded.ok_or("its hashed name is damaged")?;
    let salt = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    Ok(Names::Hashed { salt, hash })
}
