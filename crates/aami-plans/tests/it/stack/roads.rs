//! What happens on the way to a mirror in the middle of an installation. Whatever it is, it has a name and a code, nothing
//! is half-placed, and the same command with `--resume` comes to what it would have been; under systemd and in containers.

use std::sync::Arc;

use aami_install::Mode;
use aami_install::doubles::FullDisk;
use aami_model::{Exit, code};

use super::house::{House, Picture};
use crate::fickle::{Fault, Fickle, Trouble};

/// The installation is in the middle when this is fetched: Prometheus is there, Grafana is not.
const MIDDLE: &str = "alertmanager";
/// Where downloads lie until they are placed.
const STAGING: &str = "var/lib/aami/install/default/stack/staging";
/// More answers than anybody waits for.
const ALWAYS: u32 = u32::MAX;

/// A host that fetches what it needs from a mirror.
struct Stage {
    house: House,
    mirror: Fickle,
    /// What an undisturbed installation from that mirror makes.
    wanted: Picture,
}

impl Stage {
    fn set(fresh: fn() -> House, is_encrypted: bool) -> Self {
        let mut house = fresh();
        let mirror = Fickle::of(house.components(), is_encrypted);
        house.mirror = Some(mirror.mirror.clone());
        // A copy takes its components where the first one has them.
        let undisturbed = house.copy();
        undisturbed.install();
        let wanted = undisturbed.picture();
        Self {
            house,
            mirror,
            wanted,
        }
    }

    fn has(&self, fault: Fault, times: u32) {
        self.mirror.has(Some(Trouble {
            fault,
            since: MIDDLE,
            times,
        }));
    }

    /// Each program and page that is there is whole.
    fn nothing_is_half_placed(&self, story: &str) {
        let picture = self.house.picture();
        let torn: Vec<&String> = picture
            .names()
            .filter(|name| name.ends_with(".aami-new") || name.ends_with(".partial"))
            .collect();
        assert!(torn.is_empty(), "{story}: {torn:?}");
        picture.must_be_part_of(&self.wanted, "/opt/aami/", story);
    }

    /// How many bytes are here of each file that is here in part.
    fn parts(&self) -> Vec<usize> {
        let files = std::fs::read_dir(self.house.real(STAGING)).into_iter().flatten();
        let parts = files
            .map(|file| file.unwrap())
            .filter(|file| file.path().extension().is_some_and(|kind| kind == "partial"));
        parts
            .map(|part| usize::try_from(part.metadata().unwrap().len()).unwrap())
            .collect()
    }

    /// With the road as it should be, the same command finishes.
    fn is_continued(&self, story: &str) {
        self.mirror.has(None);
        let (report, missing) = self.house.run(Mode::Resume, None).unwrap();
        let failure = report.failure().map(|(code, why)| format!("{code}: {why}"));
        assert_eq!((failure, missing), (None, Vec::new()), "{story}");
        self.house.picture().must_be(&self.wanted, story);
        let (again, _) = self.house.run(Mode::Fresh, None).unwrap();
        assert!(!again.wrote, "{story}: {:?}", again.executed);
    }
}

const BOTH: [fn() -> House; 2] = [House::new, House::of_containers];

#[test]
fn a_mirror_that_fails_half_way_leaves_what_it_could_not_give_to_the_next_run() {
    for (number, fresh) in BOTH.into_iter().enumerate() {
        for (fault, word) in [
            (Fault::Stranger, "the certificate cannot be trusted"),
            (Fault::HangsUp, "127.0.0.1"),
            (Fault::Drops, "broke off after"),
            (Fault::Stalls, "broke off after"),
            (Fault::NameGone, "gone.invalid"),
            (Fault::Says(500), "HTTP status 500"),
            (Fault::Says(503), "HTTP status 503"),
            (Fault::Says(429), "HTTP status 429"),
        ] {
            let story = format!("runtime {number}, {fault:?}");
            // Given a mirror that is broken from the middle of the installation on,
            let stage = Stage::set(fresh, fault == Fault::Stranger);
            stage.has(fault, ALWAYS);
            // when a server is installed,
            let (report, missing) = stage.house.run(Mode::Fresh, None).unwrap();
            // then what was on its way and what came after it is named, and everything else is installed,
            assert_eq!(report.failure(), None, "{story}");
            assert_eq!(missing, ["alertmanager", "grafana", "node_exporter"], "{story}");
            assert_eq!(code::STACK_INCOMPLETE.exit, Exit::Partial, "{story}");
            let said = stage.house.read("var/lib/aami/install/default/stack/log");
            let warned = said
                .lines()
                .find(|line| line.contains("alertmanager is missing: "));
            assert!(
                warned.is_some_and(|line| line.contains(word)),
                "{story}: {warned:?}"
            );
            stage.nothing_is_half_placed(&story);
            assert!(!stage.house.status().is_healthy(), "{story}");
            // a transfer that broke off was gone on with from there,
            let breaks_off = matches!(fault, Fault::Drops | Fault::Stalls);
            if breaks_off {
                let asked = stage.mirror.asked(MIDDLE);
                assert!(asked.iter().any(|from| *from > 0), "{story}: {asked:?}");
            }
            // and the same command finishes it, from where it broke off.
            let parts = stage.parts();
            assert_eq!(parts.len(), if breaks_off { 3 } else { 0 }, "{story}: {parts:?}");
            stage.is_continued(&story);
            for file in ["alertmanager", "grafana", "node_exporter"] {
                let asked = stage.mirror.asked(file);
                let [from] = asked.as_slice() else {
                    panic!("{story}: {file} was asked for from {asked:?}")
                };
                assert!(
                    parts.contains(from) || parts.is_empty() && *from == 0,
                    "{story}: {from}"
                );
            }
            // What was kept for that is gone.
            assert!(!stage.house.exists(STAGING), "{story}");
        }
    }
}

#[test]
fn a_mirror_that_is_busy_for_a_while_is_asked_again() {
    for fresh in BOTH {
        for fault in [
            Fault::HangsUp,
            Fault::Drops,
            Fault::Says(429),
            Fault::Says(500),
            Fault::Says(503),
        ] {
            // Given a mirror that is in trouble for two answers,
            let stage = Stage::set(fresh, false);
            stage.has(fault, 2);
            // when a server is installed, then nobody has to do anything about it.
            let (report, missing) = stage.house.run(Mode::Fresh, None).unwrap();
            assert_eq!((report.failure(), missing), (None, Vec::new()), "{fault:?}");
            stage
                .house
                .picture()
                .must_be(&stage.wanted, &format!("{fault:?} for a while"));
        }
    }
}

/// A server without what its mirror broke off in the middle of, of which parts are here.
fn with_parts(fresh: fn() -> House) -> Stage {
    let stage = Stage::set(fresh, false);
    stage.has(Fault::Drops, ALWAYS);
    let (report, missing) = stage.house.run(Mode::Fresh, None).unwrap();
    assert_eq!((report.failure(), missing.len()), (None, 3));
    stage
}

#[test]
fn parts_of_files_are_kept_as_long_as_they_are_wanted_and_no_longer() {
    // Given a server of which three files are here in part,
    let stage = with_parts(House::new);
    let kept = stage.parts();
    assert!(kept.len() == 3 && kept.iter().all(|part| *part > 0), "{kept:?}");
    // and parts of files that nobody wants any more, older than those,
    for name in ["older", "oldest"] {
        let path = stage.house.real(&format!("{STAGING}/{name}.partial"));
        std::fs::write(&path, "half of it").unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    // when the mirror still breaks off, then there are never more than files that could not be had.
    stage.has(Fault::Drops, ALWAYS);
    let (report, missing) = stage.house.run(Mode::Resume, None).unwrap();
    assert_eq!((report.failure(), missing.len()), (None, 3));
    let still = stage.parts();
    assert!(
        still.len() == 3 && still.iter().all(|part| *part > 0),
        "{still:?}"
    );
    // What is not whole is taken back with the rest.
    stage.house.uninstall(true);
    assert!(!stage.house.exists("var/lib/aami"));
}

#[test]
fn a_full_disk_keeps_no_parts_of_files() {
    // Given a server of which files are here in part,
    let stage = with_parts(House::new);
    assert_eq!(stage.parts().len(), 3);
    // when the disk is full by the time the mirror is well again,
    stage.mirror.has(None);
    let full = |room| {
        stage
            .house
            .run(Mode::Resume, Some(Arc::new(FullDisk::after(room))))
    };
    let (report, _) = (0..9)
        .find_map(|room| full(room).ok())
        .expect("no room for the lock is as far as it gets");
    // then that is said, and the room they took is free.
    assert_eq!(report.failure().map(|(failed, _)| failed), Some(code::DISK_FULL));
    assert_eq!(stage.parts(), Vec::<usize>::new());
    stage.is_continued("with room again");
}
