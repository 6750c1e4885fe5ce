//! The agent's program, and whatever else the stories take as it was built and fetched before them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder both programs are built into, with an agent in it that is what this tree says.
///
/// Whoever runs all tests has built it by then; for anybody else it is built here.
pub(crate) fn programs() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_aami")).parent().unwrap().to_owned();
    if !is_of_this_tree(&folder.join("aami-agent")) {
        build(&folder);
    }
    folder
}

/// The agent's program.
pub(crate) fn agent() -> PathBuf {
    programs().join("aami-agent")
}

/// The components in the download cache of this user, fetched where they are not there.
pub(crate) fn components() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".cache"));
    let components = cache.join("aami/components");
    run(Command::new(root().join("scripts/fetch-components.sh")).arg(&components));
    components
}

/// Puts a file there: the same one under another name where the file system can, else a copy.
pub(crate) fn put(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).unwrap();
    }
}

/// Whether a program is there and younger than all it was made of, which Cargo lists beside it: `PROGRAM: FILE FILE`,
/// with `\ ` for a blank in a name.
fn is_of_this_tree(program: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).map(|of| (of.mtime(), of.mtime_nsec()));
    let (Ok(built), Ok(list)) = (changed(program), fs::read_to_string(program.with_extension("d"))) else {
        return false;
    };
    let list = list.lines().next().unwrap_or_default().replace("\\ ", "\0");
    let mut files = list.split_whitespace().skip(1).peekable();
    files.peek().is_some()
        && files.all(|file| changed(Path::new(&file.replace('\0', " "))).is_ok_and(|at| at <= built))
}

fn build(folder: &Path) {
    let mut build = Command::new(env!("CARGO"));
    build.args([
        "build",
        "--quiet",
        "--workspace",
        "--bin",
        "aami-agent",
        "--target-dir",
    ]);
    build.arg(folder.parent().unwrap()).current_dir(root());
    if folder.ends_with("release") {
        build.arg("--release");
    }
    run(&mut build);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn an_agent_that_is_older_than_this_tree_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (program, source) = (folder.path().join("agent"), folder.path().join("a b.rs"));
    let at = |path: &Path, seconds| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
            .unwrap();
    };
    assert!(!is_of_this_tree(&program), "it is not there");
    fs::write(&program, "").unwrap();
    fs::write(&source, "").unwrap();
    assert!(!is_of_this_tree(&program), "nobody knows what it was made of");
    let list = format!(
        "{}: {}\n",
        program.display(),
        source.display().to_string().replace(' ', "\\ ")
    );
    fs::write(program.with_extension("d"), list).unwrap();
    at(&source, 1_000);
    at(&program, 1_001);
    assert!(is_of_this_tree(&program));
    at(&source, 1_002);
    assert!(!is_of_this_tree(&program), "its source changed");
    fs::remove_file(&source).unwrap();
    assert!(!is_of_this_tree(&program), "its source is gone");
}
