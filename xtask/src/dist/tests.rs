//! Folders made of programs that were built before: only the header of these is a program's.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use aami_inventory::Arch;
use aami_plans::components::{Catalogue, Checksum};
use aami_plans::release::{self, Demand, PublicKey};

use super::*;
use crate::house;

/// An executable's header for a processor; `interpreted` adds what makes it a dynamic one.
fn program(machine: u8, interpreted: bool, salt: &str) -> Vec<u8> {
    let mut bytes = vec![0; 64 + 56];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[18] = machine;
    bytes[32] = 64;
    bytes[54] = 56;
    bytes[56] = 1;
    bytes[64] = if interpreted { 3 } else { 1 };
    bytes.extend_from_slice(salt.as_bytes());
    bytes
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for (arch, machine) in [("amd64", 0x3e), ("arm64", 0xb7)] {
            for name in programs::NAMES {
                bench.put(&format!("built/{arch}/{name}"), &program(machine, false, name));
            }
        }
        key::make(&bench.at("key")).unwrap();
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        place(&self.at(name), bytes, 0o644).unwrap();
    }

    fn made(&self, out: &str) -> Result<PathBuf> {
        let options = Options {
            architectures: vec!["amd64".to_owned(), "arm64".to_owned()],
            out: self.at(out),
            key: self.at("key"),
            binaries: Some(self.at("built")),
            components: self.at("components").is_dir().then(|| self.at("components")),
            base_url: "https://releases.example".to_owned(),
        };
        write(&house::root(), &options)
    }

    fn refused(&self) -> String {
        let error = self.made("refused").unwrap_err();
        assert!(!self.at("refused").join(VERSION).exists(), "a folder was left");
        format!("{error:#}")
    }
}

/// Every file below a folder, with its mode.
fn tree(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path).into_iter().map(|(below, file)| {
                let name = Path::new(path.file_name().unwrap()).join(below);
                (name, file)
            }));
        } else {
            let mode = path.metadata().unwrap().permissions().mode();
            found.insert(path.file_name().unwrap().into(), (mode, fs::read(&path).unwrap()));
        }
    }
    found
}

#[test]
fn what_is_made_is_judged_whole_by_who_installs_from_it() {
    let bench = Bench::new();
    let folder = bench.made("out").unwrap();
    let key = PublicKey::read(&fs::read_to_string(bench.at("key.pub")).unwrap()).unwrap();
    let demand = Demand {
        key: &key,
        version: Some(VERSION),
        partial: false,
    };
    let found = release::verify(&folder, demand).unwrap();
    for name in ["install.sh", "amd64/aami", "arm64/aami-agent", "minisign.pub"] {
        assert!(found.file(name).is_some(), "{name}");
    }
    // minisign's own reading of the signature agrees.
    let list = fs::read(folder.join("SHA256SUMS")).unwrap();
    let signature = minisign::SignatureBox::from_file(folder.join("SHA256SUMS.minisig")).unwrap();
    let public = minisign::PublicKey::from_file(bench.at("key.pub")).unwrap();
    minisign::verify(
        &public,
        &signature,
        std::io::Cursor::new(list),
        true,
        false,
        false,
    )
    .unwrap();
    // What lies above it is what the one line fetches.
    let script = fs::read_to_string(bench.at("out/install.sh")).unwrap();
    assert_eq!(script, fs::read_to_string(folder.join("install.sh")).unwrap());
    assert!(script.contains("base='https://releases.example'"), "{script}");
    let sum = found.file("amd64/aami").unwrap().1;
    assert!(script.contains(&format!("sum_amd64='{sum}'")), "{script}");
    assert_eq!(
        fs::read_to_string(bench.at("out/latest")).unwrap(),
        format!("{VERSION}\n")
    );
}

#[test]
fn two_runs_give_the_same_bytes() {
    let bench = Bench::new();
    bench.made("one").unwrap();
    bench.made("two").unwrap();
    // Into a folder that is there already, too.
    bench.made("two").unwrap();
    assert_eq!(tree(&bench.at("one")), tree(&bench.at("two")));
}

#[test]
fn the_package_holds_both_programs_and_says_what_it_is() {
    let bench = Bench::new();
    let folder = bench.made("out").unwrap();
    let mut package =
        ar::Archive::new(fs::File::open(folder.join(deb::file_name(VERSION, "arm64"))).unwrap());
    let mut names = Vec::new();
    while let Some(entry) = package.next_entry() {
        let entry = entry.unwrap();
        let part = String::from_utf8(entry.header().identifier().to_vec()).unwrap();
        if part == "debian-binary" {
            names.push(part);
            continue;
        }
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(entry));
        for file in archive.entries().unwrap() {
            let mut file = file.unwrap();
            let name = String::from_utf8(file.path_bytes().into_owned()).unwrap();
            if name == "./control" {
                let text = std::io::read_to_string(&mut file).unwrap();
                assert!(
                    text.contains(&format!("Version: {VERSION}\nArchitecture: arm64\n")),
                    "{text}"
                );
            }
            names.push(format!("{name} {:o}", file.header().mode().unwrap()));
        }
    }
    for wanted in [
        "debian-binary",
        "./control 644",
        "./postinst 755",
        "./usr/ 755",
        "./usr/bin/aami 755",
        "./usr/bin/aami-agent 755",
        "./usr/share/doc/aami/copyright 644",
    ] {
        assert!(
            names.iter().any(|name| name == wanted),
            "{wanted} is not in {names:?}"
        );
    }
}

#[test]
fn what_would_not_run_everywhere_is_not_released() {
    let bench = Bench::new();
    let dynamic = program(0x3e, true, "");
    for (bytes, why) in [
        (dynamic.as_slice(), "is not static"),
        (&program(0xb7, false, ""), "another processor"),
        (b"#!/bin/sh\n", "is not a 64-bit Linux program"),
    ] {
        bench.put("built/amd64/aami-agent", bytes);
        let said = bench.refused();
        assert!(said.contains("amd64/aami-agent") && said.contains(why), "{said}");
    }
    fs::remove_file(bench.at("built/arm64/aami")).unwrap();
    bench.put("built/amd64/aami-agent", &program(0x3e, false, ""));
    assert!(bench.refused().contains("arm64/aami"));
}

#[test]
fn components_are_taken_as_their_catalogue_names_them() {
    let bench = Bench::new();
    let sum = checksum(b"an archive");
    let catalogue = format!(
        "format = 1\n\n[[component]]\nname = \"x\"\nversion = \"1\"\nkind = \"exporter\"\nlicense = \"MIT\"\narchive = \"tar.gz\"\n\
         [component.build.amd64]\nfile = \"x.tar.gz\"\nsha256 = \"{sum}\"\nprograms = {{ x = \"x/x\" }}\n"
    );
    bench.put("components/components.toml", catalogue.as_bytes());
    bench.put("components/x.tar.gz", b"an archive");
    bench.put("components/not-named", b"left behind");
    let folder = bench.made("out").unwrap();
    assert_eq!(
        fs::read(folder.join("components/x.tar.gz")).unwrap(),
        b"an archive"
    );
    assert!(!folder.join("components/not-named").exists());
    // Who installs reads the catalogue, and finds each file where it says.
    let text = fs::read_to_string(folder.join("components/components.toml")).unwrap();
    let catalogue = Catalogue::parse(&text, "the release").unwrap();
    let (_, build) = catalogue.build("x", Arch::Amd64).unwrap();
    assert_eq!(build.checksum, Checksum::Pinned(sum.parse().unwrap()));

    bench.put("components/x.tar.gz", b"another archive");
    assert!(
        bench
            .refused()
            .contains("is not the file that components.toml names")
    );
}

#[test]
fn a_key_is_for_its_owner_alone_and_never_written_over() {
    let bench = Bench::new();
    let mode = bench.at("key").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(key::make(&bench.at("key")).is_err());
    let encrypted = minisign::KeyPair::generate_encrypted_keypair(Some("x".to_owned())).unwrap();
    fs::write(bench.at("key"), encrypted.sk.to_box(None).unwrap().into_string()).unwrap();
    assert!(bench.refused().contains("without a password"));
}

#[test]
fn a_release_without_a_key_is_not_asked_for_by_mistake() {
    let root = house::root();
    for words in [
        &[][..],
        &["--key"],
        &["--arch", "riscv64", "--key", "x"],
        &["--jump"],
    ] {
        assert!(options::read(&root, words).is_err(), "{words:?}");
    }
}
