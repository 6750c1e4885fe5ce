//! A folder of rules and a Prometheus that is played: every step can be refused, and the process can die after each.

mod looking;
mod played;

use std::fs;
use std::net::TcpListener;
use std::sync::atomic::Ordering;

use aami_inventory::Output;
use aami_model::code;

use super::*;
use played::{Played, Stage, configuration, file};

#[test]
fn rules_are_loaded_and_what_is_no_longer_wanted_goes() {
    // Given a folder with a file of somebody else,
    let (stage, played) = Stage::new();
    fs::create_dir(stage.folder()).unwrap();
    fs::write(stage.folder().join("aami-handmade.yaml"), "Theirs\n").unwrap();
    // when rules are applied, then they are loaded, and seen so;
    let first = [file("aami-group-a.yaml", "A"), file("aami-group-b.yaml", "B")];
    assert_eq!(
        stage.apply(&first).unwrap(),
        (Applied::Loaded(vec![]), Judged::Nobody)
    );
    assert_eq!(stage.site().seen(&first).unwrap(), Seen::Loaded(vec![]));
    // when fewer are, then what is ours and not wanted goes, and what is theirs stays.
    let second = [file("aami-group-b.yaml", "B")];
    stage.apply(&second).unwrap();
    let names: Vec<String> = stage.files().into_keys().collect();
    assert_eq!(names, ["aami-group-b.yaml", "aami-handmade.yaml"]);
    assert!(matches!(stage.site().seen(&first).unwrap(), Seen::Otherwise(_)));
    stage.apply(&[]).unwrap();
    assert_eq!(
        stage.files().into_keys().collect::<Vec<_>>(),
        ["aami-handmade.yaml"]
    );
    assert!(played.reloads.load(Ordering::SeqCst) >= 3);
}

#[test]
fn what_prometheus_refuses_is_taken_back_whole() {
    let (stage, played) = Stage::new();
    stage.apply(&[file("aami-group-a.yaml", "A")]).unwrap();
    let before = stage.files();
    played.refuses.store(true, Ordering::SeqCst);
    let error = stage
        .apply(&[
            file("aami-group-a.yaml", "Changed"),
            file("aami-group-b.yaml", "B"),
        ])
        .unwrap_err();
    assert_eq!(error.code(), code::ALERT_RULES_NOT_LOADED);
    assert_eq!(stage.files(), before);
    played.refuses.store(false, Ordering::SeqCst);
    let same = [file("aami-group-a.yaml", "A")];
    assert_eq!(stage.site().seen(&same).unwrap(), Seen::Loaded(vec![]));
}

#[test]
fn who_dies_in_the_middle_leaves_the_way_back() {
    // Given rules, and a process that dies with others in place: after they were seen to be loaded, and before;
    let (stage, played) = Stage::new();
    let first = [file("aami-group-a.yaml", "A")];
    let second = [
        file("aami-group-a.yaml", "Changed"),
        file("aami-group-b.yaml", "B"),
    ];
    stage.apply(&first).unwrap();
    let before = stage.files();
    drop(stage.site().apply(&second).unwrap());
    assert_ne!(stage.files(), before);
    assert!(matches!(stage.site().seen(&second).unwrap(), Seen::Otherwise(_)));
    // when the next one comes and Prometheus takes nothing, then what is there is what was there first,
    played.refuses.store(true, Ordering::SeqCst);
    stage.apply(&second).unwrap_err();
    assert_eq!(stage.files(), before);
    // also where only some of the files had been placed;
    let mut folder = Folder::open(&stage.folder()).unwrap();
    let was = folder.before(&stage.owner).unwrap();
    folder.begin(&stage.owner, &was, &second).unwrap();
    fs::write(stage.folder().join("aami-group-b.yaml"), "B\n").unwrap();
    let drafts = [
        ".aami-group-b.yaml.7.1.new".to_owned(),
        format!(".{NOTE}.7.2.new"),
    ];
    for draft in &drafts {
        fs::write(stage.folder().join(draft), "gr").unwrap();
    }
    stage.apply(&second).unwrap_err();
    assert_eq!(stage.files(), before);
    for draft in &drafts {
        assert!(!stage.folder().join(draft).exists(), "{draft}");
    }
    // and when it takes them, then they are there.
    played.refuses.store(false, Ordering::SeqCst);
    stage.apply(&second).unwrap();
    assert_eq!(stage.site().seen(&second).unwrap(), Seen::Loaded(vec![]));
}

#[test]
fn a_folder_has_one_owner_and_the_note_is_the_way_out() {
    let (mut stage, _played) = Stage::new();
    let rules = [file("aami-group-a.yaml", "A")];
    stage.apply(&rules).unwrap();
    // Another's rules are refused, and so is the look at them,
    stage.owner = configuration("/home/ada/try.yaml");
    let error = stage.apply(&[]).unwrap_err();
    assert_eq!(error.code(), code::ALERT_RULES_ELSEWHERE);
    assert!(error.to_string().contains("/etc/aami/config.yaml"), "{error}");
    assert!(error.hint().unwrap().contains(NOTE));
    assert!(stage.site().seen(&rules).is_err());
    assert_eq!(stage.files().len(), 1);
    // unless it follows the other one, or the note is gone.
    let mut site = stage.site();
    site.follows = &|owner| matches!(owner, Owner::Configuration { cluster, .. } if cluster == "main");
    site.look().unwrap();
    fs::remove_file(stage.folder().join(NOTE)).unwrap();
    stage.apply(&rules).unwrap();
    // A note nobody can read is no free folder.
    for text in ["", "{", "{\"version\": 2}", "[]"] {
        fs::write(stage.folder().join(NOTE), text).unwrap();
        let error = stage.apply(&rules).unwrap_err();
        assert_eq!(error.code(), code::ALERT_RULES_NOT_PLACED, "{text}: {error}");
    }
}

#[test]
fn a_note_that_names_files_elsewhere_leads_nowhere() {
    let (stage, _played) = Stage::new();
    fs::create_dir(stage.folder()).unwrap();
    let victim = stage.root.path().join("aami-victim.yaml");
    fs::write(&victim, "keep\n").unwrap();
    let evil = r#"{"version": 1, "files": ["../aami-victim.yaml"],
        "before": {"owner": null, "files": {"../aami-planted.yaml": "eA=="}}}"#;
    fs::write(stage.folder().join(NOTE), evil).unwrap();
    stage.apply(&[file("aami-group-a.yaml", "A")]).unwrap();
    assert!(victim.exists());
    assert!(!stage.root.path().join("aami-planted.yaml").exists());
}

#[test]
fn what_promtool_refuses_is_never_placed_and_nobody_there_is_waited_for() {
    let (mut stage, _played) = Stage::new();
    let rules = [file("aami-group-a.yaml", "A")];
    stage.promtool.says = Some(Output {
        status: Some(1),
        stderr: "FAILED: bad rule\n".to_owned(),
        ..Output::default()
    });
    let error = stage.apply(&rules).unwrap_err();
    assert_eq!(error.code(), code::ALERT_RULE_INVALID);
    assert!(error.to_string().contains("bad rule"), "{error}");
    assert!(!stage.folder().exists());
    stage.promtool.says = Some(Output {
        status: Some(0),
        ..Output::default()
    });
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    stage.prometheus = Engine::here(free);
    let (applied, judged) = stage.apply(&rules).unwrap();
    assert!(matches!(applied, Applied::Waiting(_)), "{applied:?}");
    assert_eq!(judged, Judged::Sound);
    assert!(stage.promtool.asked.borrow()[0].starts_with("promtool check rules /"));
    assert!(matches!(stage.site().seen(&rules).unwrap(), Seen::Waiting(_)));
    // Names that lead elsewhere are refused before anybody is asked.
    let error = stage.apply(&[file("aami-../../x.yaml", "A")]).unwrap_err();
    assert_eq!(error.code(), code::ALERT_RULE_INVALID);
}

#[test]
fn kept_and_taken_back_are_what_they_say() {
    let (stage, _played) = Stage::new();
    let first = [file("aami-group-a.yaml", "A")];
    stage.apply(&first).unwrap();
    let second = [file("aami-group-b.yaml", "B")];
    let site = stage.site();
    let placed = site.apply(&second).unwrap();
    assert_eq!(placed.applied(), &Applied::Loaded(vec![]));
    assert_eq!(placed.judged(), Judged::Nobody);
    placed.take_back().unwrap();
    assert_eq!(site.seen(&first).unwrap(), Seen::Loaded(vec![]));
}

#[test]
fn files_of_a_fleet_that_nobody_noted_are_a_configurations_alone() {
    // Given a folder with the rules of a declared fleet whose program noted nothing,
    let (mut stage, _played) = Stage::new();
    fs::create_dir(stage.folder()).unwrap();
    fs::write(stage.folder().join("aami-preset-thermal.yaml"), "Theirs\n").unwrap();
    let agents = Owner::Agent {
        prometheus: "p0".to_owned(),
        address: "http://127.0.0.1:9090".to_owned(),
    };
    let server = Owner::Server {
        prometheus: "local".to_owned(),
    };
    let rules = [file("aami-group-a.yaml", "A")];
    // when a control plane's rules come first, then they are refused and everything is as it was;
    for owner in [agents, server] {
        stage.owner = owner;
        assert!(stage.site().look().is_err());
        for wanted in [&rules[..], &[]] {
            let error = stage.apply(wanted).unwrap_err();
            assert_eq!(error.code(), code::ALERT_RULES_ELSEWHERE);
            assert!(error.to_string().contains("aami-preset-thermal.yaml"), "{error}");
        }
        assert_eq!(
            stage.files().into_keys().collect::<Vec<_>>(),
            ["aami-preset-thermal.yaml"]
        );
        assert!(!stage.folder().join(NOTE).exists());
    }
    // when a configuration comes, then they are its own.
    stage.owner = configuration("/etc/aami/config.yaml");
    stage.apply(&rules).unwrap();
    assert_eq!(
        stage.files().into_keys().collect::<Vec<_>>(),
        ["aami-group-a.yaml"]
    );
}

#[test]
fn a_prometheus_that_is_starting_is_waited_for_and_nothing_is_touched() {
    let (stage, played) = Stage::new();
    let rules = [file("aami-group-a.yaml", "A")];
    stage.apply(&rules).unwrap();
    // Given a Prometheus that reads back what it stored,
    played.starting.store(true, Ordering::SeqCst);
    // when it is looked at, then it is waited for;
    let seen = stage.site().seen(&rules).unwrap();
    assert!(
        matches!(&seen, Seen::Waiting(why) if why.contains("starting")),
        "{seen:?}"
    );
    // when it should take others over, then it is not told, and the old ones are where they were.
    let (before, began) = (stage.files(), std::time::Instant::now());
    let error = stage.apply(&[file("aami-group-b.yaml", "B")]).unwrap_err();
    assert!(matches!(error, RulesError::Starting(_)), "{error:?}");
    assert!(began.elapsed() < LOADING, "it was not waited for here");
    assert_eq!(stage.files(), before);
    played.starting.store(false, Ordering::SeqCst);
    assert_eq!(stage.site().seen(&rules).unwrap(), Seen::Loaded(vec![]));
}

#[test]
fn a_prometheus_that_comes_while_rules_are_placed_is_told_of_them() {
    // Given nobody who listens, and a file in the way that is read only as far as somebody writes to it,
    let (mut stage, _played) = Stage::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    stage.prometheus = Engine::here(address.port());
    fs::create_dir(stage.folder()).unwrap();
    let pipe = stage.folder().join("aami-group-a.yaml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    // when a Prometheus comes after it was asked and before the rules are in place,
    let folder = stage.folder();
    std::thread::spawn(move || {
        // This opens when placing has come so far, and placing goes on when it is closed.
        let writer = fs::File::options().write(true).open(&pipe).unwrap();
        let played = Played::on(TcpListener::bind(address).unwrap(), &folder);
        drop(writer);
        played
    });
    // then it has them.
    let (applied, _) = stage.apply(&[file("aami-group-a.yaml", "A")]).unwrap();
    assert_eq!(applied, Applied::Loaded(vec![]));
}
