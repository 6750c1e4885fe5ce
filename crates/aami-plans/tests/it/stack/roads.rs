//! What happens on the way to a mirror in the middle of an installation. Whatever it is, it has a name and a code, nothing
//! is half-placed, and the same command with `--resume` comes to what it would have been; under systemd and in containers.

use aami_install::Mode;
use aami_model::{Exit, code};

use super::house::{House, Picture};
use crate::fickle::{Fault, Fickle, Trouble};

/// The installation is in the middle when this is fetched: Prometheus is there, Grafana is not.
const MIDDLE: &str = "alertmanager";
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
            if matches!(fault, Fault::Drops | Fault::Stalls) {
                let asked = stage.mirror.asked(MIDDLE);
                assert!(asked.iter().any(|from| *from > 0), "{story}: {asked:?}");
            }
            // and the same command finishes it.
            stage.is_continued(&story);
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
