//! Offline bundles, as an operator makes, looks at and verifies them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::plane::{Said, aami};

/// A place to make bundles in: programs of which only the header is one, and one component.
struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    fn new() -> Self {
        let workshop = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for (arch, machine) in [("amd64", 62), ("arm64", 183)] {
            for name in ["aami", "aami-agent"] {
                let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
                bytes.extend([machine, 0, 0, 0]);
                bytes.extend(name.as_bytes());
                workshop.put(&format!("from/{arch}/{name}"), &bytes);
            }
        }
        fs::create_dir(workshop.at("keys")).unwrap();
        let archive = b"\x1f\x8b\x08 what a publisher packed";
        workshop.put("from/thing-1.tar.gz", archive);
        let catalogue = format!(
            "format = 1\n[[component]]\nname = \"thing\"\nversion = \"1\"\nkind = \"exporter\"\nlicense = \"MIT\"\n\
             archive = \"tar.gz\"\n[component.build.amd64]\nfile = \"thing-1.tar.gz\"\nsha256 = \"{}\"\n\
             programs = {{ thing = \"thing-1/thing\" }}\n",
            sum(&workshop.at("from/thing-1.tar.gz"))
        );
        workshop.put("from/components.toml", catalogue.as_bytes());
        workshop
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn bundle(&self, line: &str) -> Said {
        Said::by(
            aami(&["bundle"])
                .args(line.split_whitespace())
                .current_dir(self.folder.path())
                .env("HOME", self.folder.path())
                .env_remove("SOURCE_DATE_EPOCH")
                .env_remove("XDG_CACHE_HOME"),
        )
    }

    fn well(&self, line: &str) -> Said {
        let said = self.bundle(line);
        assert_eq!(said.exit, 0, "{line}: {said:?}");
        said
    }

    fn in_vain(&self, line: &str, exit: i32, code: &str) -> Said {
        let said = self.bundle(line);
        assert_eq!(said.exit, exit, "{line}: {said:?}");
        assert!(said.err.contains(code), "{line}: {said:?}");
        assert!(said.err.contains("hint: "), "{line}: {said:?}");
        said
    }
}

fn sum(path: &Path) -> String {
    aami_plans::download::sum_of(path).unwrap().to_string()
}

#[test]
fn a_bundle_is_made_twice_the_same_looked_at_and_verified() {
    let workshop = Workshop::new();
    let key = workshop.well("new-key keys/site.key");
    let key = key.out.trim();
    workshop.in_vain("new-key keys/site.key", 6, "CONFLICT");
    let secret = workshop.at("keys/site.key");
    assert_eq!(secret.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let create = "create --from from --components thing --arch amd64 --key keys/site.key";
    let made = workshop.well(create);
    assert!(
        made.out.starts_with("aami-offline.tar.zst: AAMI ") && made.out.contains(" for amd64, "),
        "{made:?}"
    );
    assert!(
        made.out.contains(&sum(&workshop.at("aami-offline.tar.zst"))),
        "{made:?}"
    );
    assert!(made.out.contains(&format!("signed by {key}")), "{made:?}");
    workshop.well(&format!("{create} --output again.tar.zst"));
    let (one, other) = (
        fs::read(workshop.at("aami-offline.tar.zst")),
        fs::read(workshop.at("again.tar.zst")),
    );
    assert_eq!(one.unwrap(), other.unwrap());

    let shown = workshop.well("inspect aami-offline.tar.zst -o json").json();
    assert_eq!(shown["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(shown["signature"], "not_judged");
    let paths: Vec<&str> = shown["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["path"].as_str().unwrap())
        .collect();
    for path in [
        "amd64/aami",
        "amd64/aami-agent",
        "components/amd64/thing-1.tar.gz",
        "components/components.toml",
        "dashboards/aami-installation.json",
        "install.sh",
        "rules/aami-installation.yaml",
    ] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
    assert!(!paths.iter().any(|path| path.contains("arm64")), "{paths:?}");
    let table = workshop.well("inspect aami-offline.tar.zst").out;
    assert!(
        table.contains("amd64/aami-agent") && table.contains("LICENCE"),
        "{table}"
    );
    let said = workshop.well("verify aami-offline.tar.zst --key keys/site.pub");
    assert!(said.out.contains("is signed and whole"), "{said:?}");
    workshop.well(&format!("verify aami-offline.tar.zst --key {key}"));
    let said = workshop.well("verify aami-offline.tar.zst --unsigned");
    assert!(said.out.contains("who made it was not asked"), "{said:?}");
}

#[test]
fn what_is_not_the_bundle_that_was_made_is_refused_with_what_is_wrong() {
    let workshop = Workshop::new();
    workshop.well("new-key site.key");
    workshop.well("new-key other.key");
    workshop.well("create --from from --components thing --arch amd64 --key site.key --output b.tar.gz");
    workshop.well("create --from from --components= --arch amd64,arm64 --output unsigned.tgz");
    workshop.in_vain("verify b.tar.gz --key other.pub", 10, "BUNDLE_SIGNATURE_INVALID");
    workshop.in_vain("verify unsigned.tgz --key site.pub", 10, "BUNDLE_UNSIGNED");
    workshop.in_vain("verify from/thing-1.tar.gz --key site.pub", 10, "NOT_A_BUNDLE");
    workshop.in_vain("verify missing.tar.gz --key site.pub", 5, "BUNDLE_UNREADABLE");
    workshop.in_vain("verify b.tar.gz --key site.key", 2, "INVALID");
    let good = fs::read(workshop.at("b.tar.gz")).unwrap();
    let mut bytes = good.clone();
    let middle = bytes.len() * 3 / 4;
    bytes[middle] ^= 0x10;
    workshop.put("flipped.tar.gz", &bytes);
    workshop.in_vain("verify flipped.tar.gz --key site.pub", 10, "BUNDLE_DAMAGED");
    workshop.put("cut.tar.gz", &good[..good.len() - 1]);
    workshop.in_vain("verify cut.tar.gz --key site.pub", 10, "BUNDLE_DAMAGED");
    // An operator's tar unpacks it, and then the folder is one: a file that was changed there is named.
    fs::create_dir(workshop.at("unpacked")).unwrap();
    let tar = std::process::Command::new("tar")
        .args(["-xzf", "../b.tar.gz"])
        .current_dir(workshop.at("unpacked"))
        .status()
        .unwrap();
    assert!(tar.success());
    workshop.well("verify unpacked --key site.pub");
    workshop.put("unpacked/rules/aami-installation.yaml", b"groups: []\n");
    let said = workshop.in_vain("verify unpacked --key site.pub", 10, "BUNDLE_DAMAGED");
    assert!(
        said.err.contains("rules/aami-installation.yaml: expected "),
        "{said:?}"
    );
}

#[test]
fn what_cannot_be_made_is_said_before_anything_is_written() {
    let workshop = Workshop::new();
    workshop.well("new-key site.key");
    let create = "create --from from --components thing --arch amd64";
    for (line, exit, code) in [
        (format!("{create} --output b.zip"), 2, "INVALID"),
        (format!("{create} --arch riscv64"), 2, "INVALID"),
        (format!("{create} --key site.pub"), 2, "BUNDLE_KEY_UNUSABLE"),
        (format!("{create} --key missing"), 2, "BUNDLE_KEY_UNUSABLE"),
        (
            "create --from from --arch amd64 --components nothing".to_owned(),
            1,
            "COMPONENT_MISSING",
        ),
        (
            "create --from from --arch amd64 --components grafana".to_owned(),
            1,
            "COMPONENT_MISSING",
        ),
        (
            "create --from from --arch arm64 --components thing".to_owned(),
            1,
            "COMPONENT_MISSING",
        ),
    ] {
        let line = line.replace("--arch amd64 --arch", "--arch");
        let said = workshop.bundle(&line);
        assert_eq!(said.exit, exit, "{line}: {said:?}");
        assert!(said.err.contains(code), "{line}: {said:?}");
    }
    // A component that is not what its checksum says,
    workshop.put("from/thing-1.tar.gz", b"\x1f\x8b\x08 something else");
    workshop.in_vain(create, 10, "CHECKSUM_MISMATCH");
    // and a look at what would go in, leave nothing.
    let shown = workshop.well(&format!("{create} --dry-run")).out;
    assert!(
        shown.contains("components/amd64/thing-1.tar.gz") && shown.contains("install.sh"),
        "{shown}"
    );
    let names: Vec<_> = fs::read_dir(workshop.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("tar") || name.starts_with(".aami"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn what_is_made_is_told_to_programs_and_whoever_wants_it_quiet_sees_nothing_drawn() {
    let workshop = Workshop::new();
    let key = workshop.well("new-key keys/site.key -o json").json();
    assert_eq!(key["public_key_file"], "keys/site.pub");
    let planned = workshop
        .well("create --from from --components thing --arch amd64 --dry-run -o json")
        .json();
    let paths: Vec<&str> = (planned.as_array().unwrap().iter())
        .map(|one| one["path"].as_str().unwrap())
        .collect();
    assert!(
        paths.contains(&"amd64/aami-agent") && paths.contains(&"install.sh"),
        "{paths:?}"
    );
    let made = workshop
        .well("create --from from --components thing --arch amd64 --key keys/site.key -o json")
        .json();
    assert_eq!(made["bundle"], "aami-offline.tar.zst");
    assert_eq!(made["sha256"], sum(&workshop.at("aami-offline.tar.zst")));
    assert_eq!(made["signed_by"], key["public_key"]);
    let verify = [
        "bundle",
        "verify",
        "aami-offline.tar.zst",
        "--key",
        "keys/site.pub",
    ];
    let found = workshop
        .well(&format!("{} -o json", verify[1..].join(" ")))
        .json();
    assert_eq!(
        (&found["signed"], &found["files"]),
        (&true.into(), &made["files"]),
        "{found}"
    );
    // A person sees how far it is, unless told otherwise.
    let on_terminal = |more: &[&str]| {
        let words = [&verify[..], more].concat();
        let said = crate::terminal::on_terminal(&words, |command| {
            command.current_dir(workshop.folder.path());
        });
        assert_eq!(said.exit, 0, "{said:?}");
        said.out
    };
    let loud = on_terminal(&[]);
    assert!(
        loud.contains("\r\u{1b}[K") && loud.contains("verifying"),
        "{loud:?}"
    );
    let quiet = on_terminal(&["--quiet"]);
    assert!(
        !quiet.contains('\u{1b}') && quiet.contains("is signed and whole"),
        "{quiet:?}"
    );
    // What is a remark is none when it is quiet.
    let quiet = workshop.well("create --from from --components thing --arch amd64 --output q.tar.gz --quiet");
    assert_eq!(quiet.err, "", "{quiet:?}");
}
