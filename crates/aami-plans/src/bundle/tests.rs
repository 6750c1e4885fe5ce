//! Bundles made for tests: good ones, and archives that a hostile hand would write.

mod hostile;
mod trusted;
mod whole;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::create::{About, Contents, Item};
use super::form::Packer;
use super::*;
use crate::release::signer::Signer;

/// A tar header and its content, written as they stand.
type Piece = (Vec<u8>, Vec<u8>);

fn signer() -> Signer {
    Signer::new([1; 8], &[2; 32])
}

fn trust() -> Trust {
    Trust::Signed(vec![signer().public_key().unwrap()])
}

fn quiet(_: &Entry, _: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn about(path: &str, kind: Kind, arch: Option<Arch>) -> About {
    About {
        path: path.to_owned(),
        kind,
        name: path.rsplit('/').next().unwrap().to_owned(),
        version: "0.1.0".to_owned(),
        arch,
        license: "MIT".to_owned(),
        source: "a test".to_owned(),
    }
}

/// Bytes that do not repeat, so that no compressor makes them few.
fn noise(seed: u32, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    })
    .take(size)
    .collect()
}

fn items() -> Vec<Item> {
    vec![
        Item::bytes(about("install.sh", Kind::Script, None), "#!/bin/sh\n"),
        Item::bytes(
            about("amd64/aami-agent", Kind::Program, Some(Arch::Amd64)),
            noise(1, 700),
        ),
        Item::bytes(
            about("amd64/aami", Kind::Program, Some(Arch::Amd64)),
            noise(2, 512),
        ),
        Item::bytes(
            about("components/components.toml", Kind::Catalogue, None),
            "format = 1\n",
        ),
        Item::bytes(
            about("components/amd64/x.tar.gz", Kind::Component, Some(Arch::Amd64)),
            noise(3, 300),
        ),
        Item::bytes(about("dashboards/x.json", Kind::Dashboard, None), "{}"),
        Item::bytes(about("rules/empty.yaml", Kind::Rules, None), ""),
    ]
}

fn contents() -> Contents {
    let architectures = BTreeSet::from([Arch::Amd64]);
    Contents::new("0.1.0", None, architectures, items()).unwrap()
}

/// A folder to work in, with a good bundle.
struct Bench {
    folder: tempfile::TempDir,
    bundle: PathBuf,
}

impl Bench {
    fn new(form: Form) -> Self {
        Self::with(form, Some(&signer()))
    }

    fn with(form: Form, signer: Option<&Signer>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("bundle");
        contents().write(&bundle, form, signer, &mut quiet).unwrap();
        Self { folder, bundle }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.bundle).unwrap()
    }

    /// Another file in the place of the bundle.
    fn put(&self, bytes: &[u8]) {
        fs::write(&self.bundle, bytes).unwrap();
    }

    fn verify(&self) -> Result<Manifest, BundleError> {
        Bundle::open(&self.bundle, &trust())?.verify(&mut quiet)
    }

    fn place(&self) -> Result<Placed, BundleError> {
        Bundle::open(&self.bundle, &trust())?.place(&self.at("placed"), Arch::Amd64, &mut quiet)
    }

    /// The names in the working folder.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Placing fails with this code, says this, and leaves nothing.
    fn refuses(&self, code: &str, said: &str) {
        let error = self.place().expect_err(said);
        assert!(error.to_string().contains(said), "{said:?} is not in: {error}");
        assert_eq!(error.code().symbol, code, "{error}");
        assert_eq!(error.code().exit.number(), 10, "{error}");
        assert_eq!(self.names(), ["bundle"], "{error}");
        let error = self.verify().expect_err(said);
        assert_eq!(error.code().symbol, code, "verifying says the same: {error}");
    }
}

/// The pieces of the good bundle: head, then entries.
fn pieces() -> Vec<Piece> {
    let contents = contents();
    let manifest = contents.manifest();
    let text = manifest.text().unwrap();
    let signature = signer().sign(text.as_bytes(), &format!("{COMMENT}0.1.0"));
    let mut pieces = vec![
        piece(MANIFEST, 0o644, text.as_bytes()),
        piece(SIGNATURE, 0o644, signature.as_bytes()),
    ];
    let mut items = items();
    items.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
    for item in items {
        let (path, mode) = (item.entry.path.clone(), item.entry.mode());
        pieces.push(piece(&path, mode, &bytes_of(&item)));
    }
    pieces
}

fn bytes_of(item: &Item) -> Vec<u8> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut item.open().unwrap(), &mut bytes).unwrap();
    bytes
}

fn piece(path: &str, mode: u32, bytes: &[u8]) -> Piece {
    let time = contents().manifest().time();
    let header = tape::header(path, bytes.len() as u64, mode, time).unwrap();
    (header.to_vec(), bytes.to_vec())
}

/// A header that says what it likes.
fn header(path: &str, kind: tar::EntryType, size: u64, link: &str) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(size);
    header.set_mtime(contents().manifest().time());
    if !link.is_empty() {
        header.set_link_name_literal(link).unwrap();
    }
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// An archive of these, compressed and sealed as a good one is.
fn packed(form: Form, pieces: &[Piece]) -> Vec<u8> {
    packed_with_end(form, pieces, &[0; tape::END])
}

fn packed_with_end(form: Form, pieces: &[Piece], end: &[u8]) -> Vec<u8> {
    let mut packer = Packer::new(form, Vec::new()).unwrap();
    for (header, bytes) in pieces {
        packer.write_all(header).unwrap();
        packer.write_all(bytes).unwrap();
        let padding = tape::padding(bytes.len() as u64);
        packer.write_all(&[0; tape::BLOCK][..padding]).unwrap();
    }
    packer.write_all(end).unwrap();
    packer.finish().unwrap()
}

/// Every path below a folder.
fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            }
            found.push(name);
        }
    }
    found.sort();
    found
}
