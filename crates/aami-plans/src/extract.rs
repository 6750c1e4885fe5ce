//! Taking one program out of a verified file.
//!
//! The whole archive is read before the program counts as found: an entry that may not be unpacked
//! anywhere in it refuses all of it. Only the wanted file is ever written, and only into a temporary
//! file, so no path of the archive's choosing exists on this machine.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use aami_inventory::Arch;
use aami_inventory::elf::{self, Header};
use aami_model::code::{self, Code};
use sha2::{Digest as _, Sha256};
use tar::EntryType;
use tempfile::NamedTempFile;

use crate::components::{Archive, Sha256Sum};
use crate::download::{Verified, storage_code};

/// The largest program taken, in bytes.
const LARGEST_PROGRAM: u64 = 1024 * 1024 * 1024;
/// The most an archive may unpack to, in bytes, whether it is wanted or not.
const LARGEST_ARCHIVE: u64 = 4 * 1024 * 1024 * 1024;
/// The most entries an archive may have.
const MOST_ENTRIES: usize = 100_000;

/// A program out of a verified file, built for the wanted processor. It lies in a temporary file that
/// is gone with this value.
#[derive(Debug)]
pub struct Program {
    file: NamedTempFile,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Sha256Sum,
}

impl Program {
    /// Where it lies for now.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

/// Why no program came out.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// Something in the archive may not be unpacked.
    #[error("{file}: {entry} may not be unpacked: {why}; nothing of the archive was placed")]
    Refused {
        /// The archive.
        file: String,
        /// The entry, cut to a short line.
        entry: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Not the archive it should be.
    #[error("{file} is not a readable tar.gz archive: {source}")]
    NotAnArchive {
        /// The file.
        file: String,
        /// What the reader says.
        source: io::Error,
    },
    /// An archive, but without the program.
    #[error("{file} holds no file {path}")]
    NotInside {
        /// The archive.
        file: String,
        /// What was looked for.
        path: String,
    },
    /// A file that cannot be run.
    #[error("{program} is not a Linux program")]
    NotAProgram {
        /// Which.
        program: String,
    },
    /// For another processor.
    #[error("{program} is built for {found}, and this machine needs {wanted}")]
    OtherArch {
        /// Which.
        program: String,
        /// What its header says.
        found: String,
        /// What is needed.
        wanted: &'static str,
    },
    /// Reading or writing here failed.
    #[error("{}: {source}", .path.display())]
    Storage {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ExtractError {
    /// The registry's entry for it.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused { .. } => code::EXTRACTION_REFUSED,
            Self::NotAnArchive { .. } | Self::NotInside { .. } | Self::NotAProgram { .. } => {
                code::NOT_A_PROGRAM
            }
            Self::OtherArch { .. } => code::ARCH_MISMATCH,
            Self::Storage { source, .. } => storage_code(source),
        }
    }
}

/// Takes the program at `path` out of a verified file, for a processor, into a temporary file in
/// `folder`. Of an archive that is no archive (`Archive::None`), the file itself is the program.
pub fn program(
    verified: &Verified,
    archive: Archive,
    path: &str,
    arch: Arch,
    folder: &Path,
) -> Result<Program, ExtractError> {
    let source = verified.path();
    let storage = |path: &Path| {
        let path = path.to_owned();
        move |source| ExtractError::Storage { path, source }
    };
    let reader = BufReader::new(File::open(source).map_err(storage(source))?);
    let mut file = tempfile::Builder::new()
        .prefix(".aami-program-")
        .tempfile_in(folder)
        .map_err(storage(folder))?;
    let (size, sha256) = match archive {
        Archive::TarGz => from_archive(reader, source, path, &mut file)?,
        Archive::None => copy(reader, &mut file, LARGEST_PROGRAM).map_err(|error| match error {
            CopyError::Read(error) => storage(source)(error),
            CopyError::Write(error) => storage(folder)(error),
        })?,
    };
    check_header(&mut file, path, arch)?;
    file.as_file().sync_all().map_err(storage(folder))?;
    Ok(Program { file, size, sha256 })
}

/// Looks whether a verified archive has the program at `path`, built for a processor. For an archive that is
/// unpacked elsewhere, by rules of its own.
pub fn has_program(verified: &Verified, path: &str, arch: Arch) -> Result<(), ExtractError> {
    let source = verified.path();
    let file = || {
        source
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let broken = |source| ExtractError::NotAnArchive { file: file(), source };
    let opened = File::open(source).map_err(|error| ExtractError::Storage {
        path: source.to_owned(),
        source: error,
    })?;
    let unpacked = flate2::read::MultiGzDecoder::new(BufReader::new(opened)).take(LARGEST_ARCHIVE);
    let mut archive = tar::Archive::new(unpacked);
    for entry in archive.entries().map_err(broken)?.take(MOST_ENTRIES) {
        let entry = entry.map_err(broken)?;
        if same_path(&entry.path().map_err(broken)?, path) {
            let mut start = Vec::new();
            let mut head = entry.take(elf::HEADER_BYTES as u64);
            head.read_to_end(&mut start).map_err(broken)?;
            return check_start(&start, path, arch);
        }
    }
    let (file, path) = (file(), path.to_owned());
    Err(ExtractError::NotInside { file, path })
}

fn from_archive(
    reader: impl Read,
    source: &Path,
    path: &str,
    into: &mut NamedTempFile,
) -> Result<(u64, Sha256Sum), ExtractError> {
    let file = source
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let broken = |source| ExtractError::NotAnArchive {
        file: file.clone(),
        source,
    };
    // One byte more than allowed, so that reaching it is told from ending at it.
    let unpacked = flate2::read::MultiGzDecoder::new(reader).take(LARGEST_ARCHIVE + 1);
    let mut archive = tar::Archive::new(unpacked);
    let mut found = None;
    for (count, entry) in archive.entries().map_err(broken)?.enumerate() {
        let mut entry = entry.map_err(broken)?;
        let entry_path = entry.path().map_err(broken)?.into_owned();
        let refused = |why| ExtractError::Refused {
            file: file.clone(),
            entry: shown(&entry_path),
            why,
        };
        if count >= MOST_ENTRIES {
            return Err(refused("it is one of more than 100,000 entries"));
        }
        match entry.header().entry_type() {
            // A comment about the archive (git's commit id), not an entry of it.
            EntryType::XGlobalHeader => continue,
            EntryType::Regular | EntryType::Continuous | EntryType::Directory => {}
            _ => return Err(refused("it is neither a file nor a folder")),
        }
        if entry_path.is_absolute() {
            return Err(refused("its path is absolute"));
        }
        if entry_path.components().any(|part| part == Component::ParentDir) {
            return Err(refused("its path climbs out of the archive"));
        }
        let is_file = entry.header().entry_type() != EntryType::Directory;
        if is_file && same_path(&entry_path, path) {
            if found.is_some() {
                return Err(refused("it stands in the archive twice"));
            }
            if entry.size() > LARGEST_PROGRAM {
                return Err(refused("it is larger than 1 GiB"));
            }
            let copied = copy(&mut entry, into, LARGEST_PROGRAM).map_err(|error| match error {
                CopyError::Read(error) => broken(error),
                CopyError::Write(source) => ExtractError::Storage {
                    path: into.path().to_owned(),
                    source,
                },
            })?;
            found = Some(copied);
        }
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(broken)?;
    if rest.limit() == 0 {
        return Err(broken(io::Error::other("it unpacks to more than 4 GiB")));
    }
    found.ok_or_else(|| ExtractError::NotInside {
        file,
        path: path.to_owned(),
    })
}

/// Whether an entry is the one wanted; `./` in front of it says nothing.
fn same_path(entry: &Path, wanted: &str) -> bool {
    entry
        .components()
        .filter(|part| *part != Component::CurDir)
        .eq(Path::new(wanted).components())
}

/// Which side of a copy failed: the archive, or the disk here.
enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

fn copy(mut from: impl Read, into: &mut NamedTempFile, most: u64) -> Result<(u64, Sha256Sum), CopyError> {
    let mut sum = Sha256::new();
    let mut size = 0_u64;
    let mut buffer = vec![0_u8; 128 * 1024];
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Read(error)),
        };
        size += n as u64;
        if size > most {
            return Err(CopyError::Read(io::Error::other("it is larger than 1 GiB")));
        }
        sum.update(&buffer[..n]);
        into.write_all(&buffer[..n]).map_err(CopyError::Write)?;
    }
    Ok((size, Sha256Sum(sum.finalize().into())))
}

fn check_header(file: &mut NamedTempFile, path: &str, wanted: Arch) -> Result<(), ExtractError> {
    let mut start = Vec::new();
    let reader = file.as_file_mut();
    reader
        .seek(SeekFrom::Start(0))
        .and_then(|_| reader.take(elf::HEADER_BYTES as u64).read_to_end(&mut start))
        .map_err(|source| ExtractError::Storage {
            path: file.path().to_owned(),
            source,
        })?;
    check_start(&start, path, wanted)
}

/// Judges a program by its first bytes.
fn check_start(start: &[u8], path: &str, wanted: Arch) -> Result<(), ExtractError> {
    let program = path.rsplit('/').next().unwrap_or(path).to_owned();
    match elf::header(start) {
        Header::Program(arch) if arch == wanted => Ok(()),
        Header::Program(arch) => Err(ExtractError::OtherArch {
            program,
            found: arch.name().to_owned(),
            wanted: wanted.name(),
        }),
        Header::OtherElf(machine) => Err(ExtractError::OtherArch {
            program,
            found: format!("ELF machine {machine}"),
            wanted: wanted.name(),
        }),
        Header::NotElf => Err(ExtractError::NotAProgram { program }),
    }
}

fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}
