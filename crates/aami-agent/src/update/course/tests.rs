use std::cell::{Cell, RefCell};
use std::path::Path;

use super::super::journal::Standing;
use super::*;

/// What cuts the updater off: thrown, and caught by whoever begins it again.
struct Cut;

/// A host in memory that outlives the updater, with what could go wrong.
#[derive(Default)]
struct World {
    /// What is installed, and what the unit runs.
    installed: RefCell<String>,
    on_trial: Cell<bool>,
    running: RefCell<String>,
    fetched: RefCell<Option<String>>,
    settles: Cell<u32>,
    elapsed: Cell<u64>,
    /// Cuts after so many steps; counted down.
    cut: Cell<Option<u32>>,
    cuts: Cell<u32>,
    bad_release: Cell<bool>,
    /// The new agent does not start, does not connect, cannot install itself.
    no_start: Cell<bool>,
    no_connection: Cell<bool>,
    no_settle: Cell<bool>,
    /// The new agent dies two seconds after it came up, again and again.
    dies: Cell<bool>,
    /// It installs itself, and what it installed never connects.
    settled_mute: Cell<bool>,
    /// What the service manager still has in its memory.
    loaded_trial: Cell<bool>,
    /// So many of these fail from now on: reading units again, the old agent's install, a restart.
    no_reload: Cell<u32>,
    no_resettle: Cell<u32>,
    no_restart: Cell<u32>,
    /// How often the daemon was started, and when last.
    lives: Cell<u64>,
    born: Cell<u64>,
    /// Another installer is at work for so many tries.
    locked: Cell<u32>,
    outcomes: RefCell<Vec<String>>,
    /// The agents that lie installed, and whether they cannot be removed.
    older: RefCell<Vec<String>>,
    no_prune: Cell<bool>,
}

struct Doubles<'a>(&'a World, &'a Book);

impl Doubles<'_> {
    /// The daemon comes up, and is acknowledged unless it is the bad one.
    fn comes_up(&self) {
        let version = if self.0.loaded_trial.get() {
            self.0
                .fetched
                .borrow()
                .clone()
                .expect("what is on trial lies there")
        } else {
            self.0.installed.borrow().clone()
        };
        *self.0.running.borrow_mut() = version.clone();
        self.0.lives.set(self.0.lives.get() + 1);
        self.0.born.set(self.0.elapsed.get());
        if version == "2.0.0" && self.0.no_connection.get() {
            return;
        }
        let standing = Standing {
            version,
            life: self.life().unwrap().unwrap(),
            at: Timestamp::EPOCH,
        };
        self.1.set_standing(Some(&standing)).unwrap();
    }

    /// Whether one of so many failures is left.
    fn fails(left: &Cell<u32>) -> bool {
        let is_left = left.get() > 0;
        left.set(left.get().saturating_sub(1));
        is_left
    }

    fn cut(&self) {
        if let Some(left) = self.0.cut.get() {
            if left == 0 {
                self.0.cut.set(None);
                self.0.cuts.set(self.0.cuts.get() + 1);
                std::panic::panic_any(Cut);
            }
            self.0.cut.set(Some(left - 1));
        }
    }
}

impl Pieces for Doubles<'_> {
    fn fetch(&self, version: &str) -> Result<(), Wrong> {
        self.cut();
        if self.0.bad_release.get() {
            return Err(Wrong::new(code::SIGNATURE_INVALID, "it does not hold"));
        }
        *self.0.fetched.borrow_mut() = Some(version.to_owned());
        self.cut();
        Ok(())
    }

    fn put_on_trial(&self) -> Result<(), Wrong> {
        self.0.on_trial.set(true);
        self.cut();
        self.0.loaded_trial.set(true);
        if self.0.no_start.get() {
            self.0.running.borrow_mut().clear();
            return Err(Wrong::new(code::UNIT_FAILED, "it died"));
        }
        self.comes_up();
        self.cut();
        Ok(())
    }

    fn end_trial(&self) -> Result<(), Wrong> {
        self.0.on_trial.set(false);
        self.cut();
        if Self::fails(&self.0.no_reload) {
            return Err(Wrong::new(code::UNIT_FAILED, "the manager does not answer"));
        }
        self.0.loaded_trial.set(false);
        Ok(())
    }

    fn restart(&self) -> Result<(), Wrong> {
        if Self::fails(&self.0.no_restart) {
            return Err(Wrong::new(code::UNIT_FAILED, "it is not started"));
        }
        self.comes_up();
        self.cut();
        Ok(())
    }

    fn settle(&self, version: Option<&str>) -> Result<(), Wrong> {
        self.0.settles.set(self.0.settles.get() + 1);
        if self.0.locked.get() > 0 {
            self.0.locked.set(self.0.locked.get() - 1);
            return Err(Wrong::new(code::LOCKED, "another installer is at work"));
        }
        if version.is_none() && self.0.no_settle.get() {
            // It came half way.
            *self.0.installed.borrow_mut() = "half".to_owned();
            return Err(Wrong::new(code::STEP_FAILED, "the disk is full"));
        }
        if version.is_some() && Self::fails(&self.0.no_resettle) {
            return Err(Wrong::new(code::STEP_FAILED, "the disk is still full"));
        }
        let is_mute = version.is_none() && self.0.settled_mute.get();
        let version = match version {
            Some(version) => version.to_owned(),
            None => self.0.fetched.borrow().clone().expect("what settles lies there"),
        };
        self.cut();
        *self.0.installed.borrow_mut() = version;
        self.cut();
        if is_mute {
            *self.0.running.borrow_mut() = self.0.installed.borrow().clone();
            self.0.lives.set(self.0.lives.get() + 1);
        } else {
            self.comes_up();
        }
        Ok(())
    }

    fn life(&self) -> Result<Option<String>, Wrong> {
        let running = self.0.running.borrow();
        if running.is_empty() {
            return Ok(None);
        }
        let again = if self.0.dies.get() && *running == "2.0.0" {
            (self.0.elapsed.get() - self.0.born.get()) / 2000
        } else {
            0
        };
        Ok(Some(format!("{}.{again}", self.0.lives.get())))
    }

    fn is_on_trial(&self) -> bool {
        self.0.on_trial.get() || self.0.loaded_trial.get()
    }

    fn clear(&self) -> io::Result<()> {
        *self.0.fetched.borrow_mut() = None;
        self.cut();
        Ok(())
    }

    fn last_words(&self) -> String {
        String::new()
    }

    fn prune(&self, keep: [&str; 2]) -> Result<Vec<String>, Wrong> {
        self.cut();
        if self.0.no_prune.get() {
            return Err(Wrong::new(code::LOCKED, "another installer is at work"));
        }
        let mut gone = Vec::new();
        self.0.older.borrow_mut().retain(|version| {
            let stays = keep.contains(&version.as_str());
            if !stays {
                gone.push(version.clone());
            }
            stays
        });
        self.cut();
        Ok(gone)
    }

    fn wait(&self, pause: Duration) {
        let millis = u64::try_from(pause.as_millis()).unwrap();
        self.0.elapsed.set(self.0.elapsed.get() + millis);
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.elapsed.get())
    }

    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }

    fn say(&self, line: &str) {
        self.0.outcomes.borrow_mut().push(line.to_owned());
    }

    fn between(&self) {
        self.cut();
    }
}

struct Stage {
    world: World,
    book: Book,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spool = folder.path().join("spool");
        std::fs::create_dir(&spool).unwrap();
        let book = Book::below(folder.path(), &spool);
        std::fs::create_dir_all(book.folder()).unwrap();
        let world = World::default();
        *world.installed.borrow_mut() = "1.0.0".to_owned();
        *world.running.borrow_mut() = "1.0.0".to_owned();
        *world.older.borrow_mut() = ["0.8.0", "0.9.0", "1.0.0", "2.0.0"].map(str::to_owned).into();
        Self {
            world,
            book,
            _folder: folder,
        }
    }

    fn ask(&self, version: &str, pinned: bool) {
        self.ask_at(version, pinned, Timestamp::EPOCH);
    }

    fn ask_at(&self, version: &str, pinned: bool, asked: Timestamp) {
        let request = Request {
            command_id: "c1".parse().unwrap(),
            version: version.to_owned(),
            pinned,
            asked,
        };
        self.book.ask(&request).unwrap();
    }

    /// Runs the updater as its unit does: again and again until it ends by itself.
    fn run(&self) {
        loop {
            let begun = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                // After it settled the unit runs the new agent.
                let own = match self.world.installed.borrow().as_str() {
                    "2.0.0" => "2.0.0",
                    _ => "1.0.0",
                };
                run(&Doubles(&self.world, &self.book), &self.book, own).unwrap();
            }));
            match begun {
                Ok(()) => return,
                Err(cause) if cause.is::<Cut>() => {}
                Err(cause) => std::panic::resume_unwind(cause),
            }
        }
    }

    fn outcome(&self) -> Outcome {
        self.book.outcome().expect("it ended")
    }

    /// What must hold however it ended and wherever it was cut.
    fn is_tidy(&self, version: &str) {
        assert_eq!(*self.world.installed.borrow(), version);
        assert_eq!(*self.world.running.borrow(), version);
        assert!(!self.world.on_trial.get() && !self.world.loaded_trial.get());
        assert_eq!(*self.world.fetched.borrow(), None);
        assert_eq!(self.book.journal(), None);
        assert_eq!(self.book.request(), None);
    }
}

/// How often one run without a cut could have been cut.
fn boundaries(set: impl Fn(&Stage)) -> u32 {
    let stage = Stage::new();
    set(&stage);
    stage.ask("2.0.0", false);
    stage.world.cut.set(Some(u32::MAX));
    stage.run();
    u32::MAX - stage.world.cut.get().unwrap()
}

/// Cuts at every boundary, then at every pair of them.
fn at_every_cut(set: impl Fn(&Stage) + Copy, check: impl Fn(&Stage)) {
    // A cut is no failure of the test, and says nothing.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Cut>() {
            before(info);
        }
    }));
    let all = boundaries(set);
    assert!(all > 8, "{all}");
    for first in 0..all {
        let stage = Stage::new();
        set(&stage);
        stage.ask("2.0.0", false);
        stage.world.cut.set(Some(first));
        stage.run();
        assert_eq!(stage.world.cuts.get(), 1, "cut {first} of {all}");
        check(&stage);
    }
    let _ = std::panic::take_hook();
}

#[test]
fn a_good_release_is_installed_wherever_the_updater_is_cut_off() {
    at_every_cut(
        |_| {},
        |stage| {
            assert!(stage.outcome().ok, "{:?}", stage.outcome());
            stage.is_tidy("2.0.0");
            // What runs and what ran before stay, and nothing older.
            assert_eq!(*stage.world.older.borrow(), ["1.0.0", "2.0.0"]);
        },
    );
}

#[test]
fn older_agents_stay_where_an_update_was_taken_back_and_hold_up_none_that_was_not() {
    let stage = Stage::new();
    stage.world.no_connection.set(true);
    stage.ask("2.0.0", false);
    stage.run();
    assert!(!stage.outcome().ok);
    assert_eq!(stage.world.older.borrow().len(), 4);
    let stage = Stage::new();
    stage.world.no_prune.set(true);
    stage.ask("2.0.0", false);
    stage.run();
    assert!(stage.outcome().ok);
    stage.is_tidy("2.0.0");
    let said = stage.world.outcomes.borrow().join("\n");
    assert!(said.contains("older agents stay for now"), "{said}");
}

#[test]
fn one_that_does_not_start_or_connect_or_install_or_last_is_taken_back_wherever_it_is_cut_off() {
    for set in [
        (|stage: &Stage| stage.world.no_start.set(true)) as fn(&Stage),
        |stage| stage.world.no_connection.set(true),
        |stage| stage.world.no_settle.set(true),
        |stage| stage.world.dies.set(true),
        |stage| stage.world.settled_mute.set(true),
    ] {
        at_every_cut(set, |stage| {
            let outcome = stage.outcome();
            assert!(!outcome.ok, "{outcome:?}");
            stage.is_tidy("1.0.0");
        });
    }
}

#[test]
fn a_release_that_is_not_ours_changes_nothing() {
    let stage = Stage::new();
    stage.world.bad_release.set(true);
    stage.ask("2.0.0", true);
    stage.run();
    assert_eq!(stage.outcome().code.as_deref(), Some("SIGNATURE_INVALID"));
    assert_eq!(stage.world.settles.get(), 0);
    stage.is_tidy("1.0.0");
}

#[test]
fn an_older_release_is_taken_only_where_the_node_is_pinned_to_it() {
    let stage = Stage::new();
    stage.ask("0.9.0", false);
    stage.run();
    assert_eq!(stage.outcome().code.as_deref(), Some("UPDATE_DOWNGRADE"));
    stage.is_tidy("1.0.0");
    let stage = Stage::new();
    stage.ask("0.9.0", true);
    stage.run();
    assert!(stage.outcome().ok);
    stage.is_tidy("0.9.0");
}

#[test]
fn a_version_that_is_a_path_is_no_version() {
    for version in ["../../tmp/x", "2.0.0/../..", "", "latest", "2.0.0 --help"] {
        let stage = Stage::new();
        stage.ask(version, true);
        stage.run();
        assert_eq!(stage.outcome().code.as_deref(), Some("INVALID"), "{version:?}");
        stage.is_tidy("1.0.0");
    }
}

#[test]
fn another_installer_is_waited_for() {
    let stage = Stage::new();
    stage.world.locked.set(3);
    stage.ask("2.0.0", false);
    stage.run();
    assert!(stage.outcome().ok);
    assert_eq!(stage.world.settles.get(), 4);
    stage.is_tidy("2.0.0");
}

#[test]
fn a_machine_that_dies_in_each_trial_gets_its_old_agent_back() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Cut>() {
            before(info);
        }
    }));
    // Given a journal that says the trial was begun too often already
    let stage = Stage::new();
    *stage.world.fetched.borrow_mut() = Some("2.0.0".to_owned());
    stage.world.on_trial.set(true);
    stage.world.loaded_trial.set(true);
    let journal = Journal {
        command_id: "c1".parse().unwrap(),
        version: "2.0.0".to_owned(),
        from: "1.0.0".to_owned(),
        phase: Phase::Trial { begun: MOST_BEGUN },
    };
    stage.book.set_journal(Some(&journal)).unwrap();
    // when the unit begins it once more, then the old one is back.
    stage.run();
    assert_eq!(stage.outcome().code.as_deref(), Some("UPDATE_ROLLED_BACK"));
    stage.is_tidy("1.0.0");
}

#[test]
fn a_request_that_was_answered_is_not_done_again() {
    let stage = Stage::new();
    stage.ask("2.0.0", false);
    stage.run();
    let settles = stage.world.settles.get();
    // The daemon's file came back, from a backup, say.
    stage.ask("2.0.0", false);
    stage.run();
    assert_eq!(stage.world.settles.get(), settles);
    stage.is_tidy("2.0.0");
    assert!(Path::new(stage.book.folder()).is_dir());
}

#[test]
fn one_acknowledgement_of_an_agent_that_dies_is_not_enough() {
    let stage = Stage::new();
    stage.world.dies.set(true);
    stage.ask("2.0.0", false);
    stage.run();
    let outcome = stage.outcome();
    assert_eq!(outcome.code.as_deref(), Some("UPDATE_ROLLED_BACK"));
    assert!(
        outcome.message.contains("ended 2 s after it was connected"),
        "{outcome:?}"
    );
    assert_eq!(stage.world.settles.get(), 0, "it was not installed");
    stage.is_tidy("1.0.0");
}

#[test]
fn one_that_connects_on_trial_and_not_as_it_was_installed_is_taken_back() {
    let stage = Stage::new();
    stage.world.settled_mute.set(true);
    stage.ask("2.0.0", false);
    stage.run();
    let outcome = stage.outcome();
    assert_eq!(outcome.code.as_deref(), Some("UPDATE_ROLLED_BACK"));
    assert!(outcome.message.contains("as it was installed"), "{outcome:?}");
    stage.is_tidy("1.0.0");
}

#[test]
fn a_way_back_that_fails_is_gone_again_and_every_step_of_it() {
    for set in [
        (|stage: &Stage| stage.world.no_resettle.set(2)) as fn(&Stage),
        |stage| stage.world.no_restart.set(3),
        |stage| {
            // The end of the trial before the install holds, and what follows does not.
            stage.world.no_settle.set(true);
            stage.world.no_resettle.set(1);
            stage.world.no_restart.set(2);
        },
    ] {
        let stage = Stage::new();
        stage.world.settled_mute.set(true);
        set(&stage);
        stage.ask("2.0.0", false);
        stage.run();
        let outcome = stage.outcome();
        assert!(
            !outcome.ok && outcome.code.as_deref() != Some("UPDATE_STUCK"),
            "{outcome:?}"
        );
        stage.is_tidy("1.0.0");
    }
    // One whose trial cannot be ended at first,
    let stage = Stage::new();
    stage.world.no_connection.set(true);
    stage.ask("2.0.0", false);
    // where the look for a forgotten trial is the first of them.
    stage.world.no_reload.set(4);
    stage.run();
    assert_eq!(stage.outcome().code.as_deref(), Some("UPDATE_ROLLED_BACK"));
    stage.is_tidy("1.0.0");
}

#[test]
fn where_there_is_no_way_back_that_is_said_and_what_the_unit_may_start_stays() {
    let stage = Stage::new();
    stage.world.no_connection.set(true);
    stage.world.no_reload.set(u32::MAX);
    stage.ask("2.0.0", false);
    stage.run();
    let outcome = stage.outcome();
    assert_eq!(outcome.code.as_deref(), Some("UPDATE_STUCK"), "{outcome:?}");
    assert!(outcome.message.contains("the manager does not answer"));
    assert_eq!(stage.world.fetched.borrow().as_deref(), Some("2.0.0"));
    assert_eq!((stage.book.journal(), stage.book.request()), (None, None));
}

#[test]
fn a_fetch_that_is_cut_off_again_and_again_is_given_up() {
    let stage = Stage::new();
    let journal = Journal {
        command_id: "c1".parse().unwrap(),
        version: "2.0.0".to_owned(),
        from: "1.0.0".to_owned(),
        phase: Phase::Fetching { begun: MOST_BEGUN },
    };
    stage.book.set_journal(Some(&journal)).unwrap();
    stage.run();
    assert_eq!(stage.outcome().code.as_deref(), Some("COMMAND_INTERRUPTED"));
    stage.is_tidy("1.0.0");
}

#[test]
fn a_request_nobody_waits_for_any_more_is_not_carried_out() {
    let stage = Stage::new();
    let weeks = Timestamp::EPOCH.plus(Duration::from_secs(14 * 24 * 3600));
    stage.ask_at("2.0.0", false, weeks);
    stage.run();
    assert_eq!(stage.outcome().code.as_deref(), Some("COMMAND_TIMED_OUT"));
    stage.is_tidy("1.0.0");
}
