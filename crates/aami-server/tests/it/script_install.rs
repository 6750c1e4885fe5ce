//! The script that installs a server, run by real shells against releases that a control plane serves. The program it
//! fetches is a stand-in that says how it was called; what judges a signature is tested with it, and on real nodes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::house::House;
use crate::script::{ARCH, left_in, no_prefix_does_anything, present, programs, run, said};

/// Says how it was called, and what lies beside it.
const PROGRAM: &str = r#"#!/bin/sh
if [ "$1 $2" = 'release verify' ]; then
  [ -s "$3/SHA256SUMS.minisig" ] || exit 10
  echo "judged: $4 $5 $6 $7" >"${0%/*}/judged"
  exit 0
fi
echo "args: $*"
cat "${0%/*}/judged"
for file in "${0%/*}"/../components/components.toml "${0%/*}"/../*/aami-agent; do echo "there: ${file#*release/}"; done
exit 6
"#;
pub(crate) const VERSION: &str = "7.8.9";

/// A release in the folder of a control plane that serves it, with the script that was made for it.
pub(crate) struct Release {
    house: House,
    script: String,
}

impl Release {
    pub(crate) fn new() -> Self {
        let house = House::new();
        let folder = house.folder.path().join("data/dist").join(VERSION);
        let files = [
            (format!("{ARCH}/aami"), PROGRAM),
            (format!("{ARCH}/aami-agent"), "an agent"),
            ("other/aami".to_owned(), "not for this machine"),
            ("other/aami-agent".to_owned(), "an agent for other nodes"),
            ("components/components.toml".to_owned(), "format = 1\n"),
            ("install.sh".to_owned(), "#!/bin/sh\n"),
        ];
        let mut list = String::new();
        for (name, text) in &files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
            list.push_str(&format!("{}  {name}\n", sum(text)));
        }
        std::fs::write(folder.join("SHA256SUMS"), list).unwrap();
        std::fs::write(folder.join("SHA256SUMS.minisig"), "signed\n").unwrap();
        std::fs::write(folder.join("../latest"), format!("{VERSION}\n")).unwrap();
        let script = made_for(VERSION, "RWkey", PROGRAM);
        Self { house, script }
    }

    fn base(&self) -> String {
        format!("{}/dist", self.house.base)
    }

    pub(crate) fn script(&self) -> &str {
        &self.script
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.house
            .folder
            .path()
            .join("data/dist")
            .join(VERSION)
            .join(name)
    }

    fn go(&self, args: &[&str]) -> (Option<i32>, String) {
        self.go_with(&self.script, args, None)
    }

    fn go_with(&self, script: &str, args: &[&str], bin: Option<&Path>) -> (Option<i32>, String) {
        let tmp = tempfile::tempdir().unwrap();
        let base = self.base();
        let args = [&["--base-url", &base], args].concat();
        let output = run(&["/bin/sh"], script, &args, tmp.path(), bin);
        assert_eq!(left_in(tmp.path()), 0, "nothing is left behind");
        (output.status.code(), said(&output))
    }

    /// Changes the release, and expects it to be refused.
    fn refuses(&self, change: impl FnOnce(&Self), exit: i32, symbol: &str) -> String {
        change(self);
        let (code, said) = self.go(&[]);
        assert_eq!((code, said.contains(symbol)), (Some(exit), true), "{said}");
        assert!(said.contains("hint: ") && !said.contains("args:"), "{said}");
        assert_eq!(
            said.lines().filter(|line| line.starts_with("error: ")).count(),
            1,
            "{said}"
        );
        said
    }
}

fn sum(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

/// The script as `cargo xtask dist` renders it.
fn made_for(version: &str, key: &str, program: &str) -> String {
    let asset = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    let pin = |arch: &str| if arch == ARCH { sum(program) } else { String::new() };
    asset("install.sh")
        .replace("@FETCH@\n", &asset("fetch.sh"))
        .replace("@VERSION@", version)
        .replace("@BASE_URL@", "''")
        .replace("@PUBLIC_KEY@", key)
        .replace("@CA@", "''")
        .replace("@SHA256_AMD64@", &format!("'{}'", pin("amd64")))
        .replace("@SHA256_ARM64@", &format!("'{}'", pin("arm64")))
}

#[test]
fn every_shell_fetches_the_release_judges_it_and_runs_the_install() {
    let release = Release::new();
    for shell in [
        &["sh"][..],
        &["dash"],
        &["bash"],
        &["bash", "--posix"],
        &["busybox", "sh"],
    ] {
        if !present(shell[0]) {
            assert!(std::env::var_os("CI").is_none(), "{} is missing", shell[0]);
            println!("skipped: {} is missing", shell[0]);
            continue;
        }
        let tmp = tempfile::tempdir().unwrap();
        let base = release.base();
        let args = ["--base-url", &base, "--domain", "a b.example", "--unattended"];
        let output = run(shell, &release.script, &args, tmp.path(), None);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(6), "{shell:?}: {said}");
        assert!(said.contains(" --domain a b.example --unattended"), "{said}");
        assert!(
            said.contains("judged: --public-key RWkey --version 7.8.9"),
            "{said}"
        );
        for there in ["components/components.toml", "/../other/aami-agent"] {
            assert!(
                said.lines()
                    .any(|line| line.starts_with("there: ") && line.ends_with(there)),
                "{there}: {said}"
            );
        }
        assert_eq!(left_in(tmp.path()), 0, "nothing is left behind");
    }
}

#[test]
fn the_release_is_named_in_three_ways() {
    let release = Release::new();
    for args in [
        &["--version", "latest"][..],
        &["--version=v7.8.9"],
        &["--version", "7.8.9"],
    ] {
        let (code, said) = release.go(args);
        assert_eq!(code, Some(6), "{said}");
        assert!(said.contains("args: server install --release /"), "{said}");
        assert!(said.contains("/release --public-key RWkey"), "{said}");
        assert!(
            !said
                .lines()
                .any(|line| line.starts_with("args:") && line.contains("--version")),
            "{said}"
        );
    }
    // Without a web server, from a folder.
    let folder = format!("file://{}", release.at("..").canonicalize().unwrap().display());
    let (code, said) = release.go(&["--base-url", &folder]);
    assert_eq!(code, Some(6), "{said}");
}

#[test]
fn a_release_by_another_script_is_judged_by_the_program_that_script_knows() {
    let release = Release::new();
    let newer = release.at("../8.0.0");
    let copied = std::process::Command::new("cp")
        .args(["-r", release.at("").to_str().unwrap(), newer.to_str().unwrap()])
        .status()
        .unwrap();
    assert!(copied.success());
    let (code, said) = release.go(&["--version", "8.0.0"]);
    // The stand-in leaves its judgement beside itself, which is not beside the newer program.
    assert_eq!(code, Some(6), "{said}");
    assert!(
        said.contains("args: server install") && !said.contains("judged: --"),
        "{said}"
    );
    // The one it knows is gone: nobody can judge.
    std::fs::remove_file(release.at(&format!("{ARCH}/aami"))).unwrap();
    let (code, said) = release.go(&["--version", "8.0.0"]);
    assert_eq!(code, Some(10), "{said}");
    assert!(
        said.contains("RELEASE_DAMAGED") && said.contains("7.8.9"),
        "{said}"
    );
}

#[test]
fn what_is_not_as_it_was_released_is_named_and_nothing_is_run() {
    for name in [
        format!("{ARCH}/aami"),
        format!("{ARCH}/aami-agent"),
        "components/components.toml".into(),
    ] {
        let release = Release::new();
        let flipped = |release: &Release| {
            let mut bytes = std::fs::read(release.at(&name)).unwrap();
            bytes[3] ^= 1;
            std::fs::write(release.at(&name), bytes).unwrap();
        };
        let said = release.refuses(flipped, 10, "RELEASE_DAMAGED");
        assert!(said.contains(&name), "{said}");
        for other in ["", "<!doctype html><html>Sign in</html>"] {
            let said = release.refuses(
                |release| std::fs::write(release.at(&name), other).unwrap(),
                10,
                "RELEASE_DAMAGED",
            );
            assert!(said.contains(&name), "{said}");
        }
        let gone = |release: &Release| std::fs::remove_file(release.at(&name)).unwrap();
        let said = release.refuses(gone, 10, "RELEASE_DAMAGED");
        assert!(said.contains(&name), "{said}");
    }
    let remove =
        |name: &'static str| move |release: &Release| std::fs::remove_file(release.at(name)).unwrap();
    Release::new().refuses(remove("SHA256SUMS.minisig"), 10, "SIGNATURE_MISSING");
    Release::new().refuses(remove("SHA256SUMS"), 5, "RELEASE_MISSING");
    let page =
        |release: &Release| std::fs::write(release.at("SHA256SUMS"), "<html>Sign in</html>\n").unwrap();
    Release::new().refuses(page, 10, "RELEASE_DAMAGED");
}

#[test]
fn what_cannot_be_asked_for_or_judged_is_refused() {
    let release = Release::new();
    let script = &release.script;
    let refused = |script: &str, args: &[&str], bin: Option<&Path>, exit: i32, symbol: &str| {
        let (code, said) = release.go_with(script, args, bin);
        assert_eq!((code, said.contains(symbol)), (Some(exit), true), "{said}");
        assert!(said.contains("hint: ") && !said.contains("args:"), "{said}");
    };
    refused(script, &["--version", "1.0.0"], None, 5, "RELEASE_MISSING");
    for odd in ["../../etc", "1 2", "-x", "<html>"] {
        refused(script, &["--version", odd], None, 2, "INVALID");
    }
    refused(script, &["--base-url", "gpu01:80"], None, 2, "INVALID");
    refused(script, &["--base-url", ""], None, 2, "INVALID");
    refused(script, &["--base-url"], None, 2, "INVALID");
    // Nobody to judge the signature, nobody whose signature it would be, no way to compare.
    refused(
        &made_for("''", "RWkey", PROGRAM),
        &[],
        None,
        10,
        "VERIFIER_MISSING",
    );
    refused(
        &made_for(VERSION, "''", PROGRAM),
        &[],
        None,
        10,
        "VERIFIER_MISSING",
    );
    refused(
        &made_for(VERSION, "RWkey", "another program"),
        &[],
        None,
        10,
        "RELEASE_DAMAGED",
    );
    let tools = ["curl", "cut", "mktemp", "rm", "chmod", "cat", "mkdir"];
    let bin = programs(&[&tools[..], &["uname"]].concat());
    refused(script, &[], Some(bin.path()), 10, "TOOL_MISSING");
    let bin = programs(&[&tools[..], &["sha256sum"]].concat());
    std::fs::write(bin.path().join("uname"), "#!/bin/sh\necho riscv64\n").unwrap();
    std::fs::set_permissions(bin.path().join("uname"), std::fs::Permissions::from_mode(0o755)).unwrap();
    refused(script, &[], Some(bin.path()), 5, "ARCH_NOT_SUPPORTED");
}

#[test]
fn a_control_plane_hands_out_the_script_of_the_release_it_holds() {
    let release = Release::new();
    let own = env!("CARGO_PKG_VERSION");
    let ask = || release.house.stranger().text("/install.sh").unwrap();
    let tmp = tempfile::tempdir().unwrap();
    let output = run(&["/bin/sh"], &ask(), &[], tmp.path(), None);
    assert_eq!(output.status.code(), Some(5));
    assert!(
        said(&output).contains(&format!("no release {own}")),
        "{}",
        said(&output)
    );

    let folder = release.house.folder.path().join("data/dist").join(own);
    std::fs::rename(release.at(""), &folder).unwrap();
    std::fs::write(folder.join("minisign.pub"), "untrusted comment: ours\nRWkey\n").unwrap();
    let script = ask();
    assert!(script.contains("base='https://127.0.0.1:") && script.contains("key='RWkey'"));
    let output = run(&["/bin/sh"], &script, &["--unattended"], tmp.path(), None);
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
    assert!(said(&output).contains(" --unattended"), "{}", said(&output));
}

#[test]
fn every_truncation_of_it_is_harmless() {
    let script = made_for(VERSION, "RWkey", PROGRAM);
    no_prefix_does_anything(&script.replace("base=''", "base='http://127.0.0.1:1'"));
}
