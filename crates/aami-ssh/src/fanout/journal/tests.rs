use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn hosts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_is_not_done_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resume");
    let mut journal = Journal::create(&path, "nodes install", &hosts(&["a", "b", "c"])).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    journal.done("b").unwrap();
    let kept = journal.finish().unwrap();
    assert_eq!(kept.as_deref(), Some(path.as_path()));

    let (left, mut journal) = Journal::resume(&path, "nodes install").unwrap();
    assert_eq!((left.hosts, left.done), (hosts(&["a", "c"]), 1));
    journal.done("a").unwrap();
    journal.done("c").unwrap();
    assert_eq!(journal.finish().unwrap(), None);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn a_line_that_was_cut_off_does_not_count_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resume");
    let mut journal = Journal::create(&path, "x", &hosts(&["a", "b"])).unwrap();
    journal.done("a").unwrap();
    drop(journal);
    let whole = std::fs::read(&path).unwrap();
    let torn = [&whole[..], b"{\"done\":\"b"].concat();
    std::fs::write(&path, &torn).unwrap();
    let (left, mut journal) = Journal::resume(&path, "x").unwrap();
    assert_eq!(left.hosts, ["b"]);
    journal.done("b").unwrap();
    drop(journal);
    assert_eq!(Journal::resume(&path, "x").unwrap().0.done, 2);
    // Wherever the file ends, it is read or refused, and what it calls done was done.
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        if let Ok((left, _)) = Journal::resume(&path, "x") {
            assert_eq!(left.hosts, ["a", "b"], "{length}");
        }
    }
}

#[test]
fn a_file_that_is_there_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resume");
    // Given a file that says who is left of a run,
    let mut journal = Journal::create(&path, "x", &hosts(&["a", "b"])).unwrap();
    journal.done("a").unwrap();
    drop(journal);
    let before = std::fs::read(&path).unwrap();
    // when another one is to be made in its place, that is refused, nothing is left of it, and the first says what it said.
    let error = Journal::create(&path, "x", &hosts(&["c"])).unwrap_err();
    assert!(error.is_there(), "{error:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn another_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resume");
    for (text, expected) in [
        ("", "line 1"),
        ("gpu1\ngpu2\n", "line 1"),
        (
            "{\"aami_resume\":2,\"command\":\"x\",\"hosts\":[]}\n",
            "version 2 is not known",
        ),
        (
            "{\"aami_resume\":1,\"command\":\"x\",\"hosts\":[\"a\"]}\n{\"done\":\"b\"}\n",
            "line 2",
        ),
        (
            "{\"aami_resume\":1,\"command\":\"x\",\"hosts\":[\"a\"]}\n\n{\"done\":\"a\"}\n",
            "line 2",
        ),
        (
            "{\"aami_resume\":1,\"command\":\"rm\",\"hosts\":[\"a\"]}\n",
            "is of `rm`, and this is `x`",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Journal::resume(&path, "x").unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
        assert_eq!(error.code(), code::RESUME_FILE_INVALID);
    }
    let error = Journal::resume(&folder.path().join("none"), "x").unwrap_err();
    assert_eq!(error.code(), code::RESUME_FILE_UNUSABLE);
    let error = Journal::create(&folder.path().join("no/folder"), "x", &[]).unwrap_err();
    assert_eq!(error.code(), code::RESUME_FILE_UNUSABLE);
}

#[test]
fn two_commands_do_not_share_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resume");
    let journal = Journal::create(&path, "x", &hosts(&["a"])).unwrap();
    let error = Journal::resume(&path, "x").unwrap_err();
    assert_eq!(error.code(), code::RESUME_FILE_IN_USE);
    drop(journal);
    assert!(Journal::resume(&path, "x").is_ok());
}
