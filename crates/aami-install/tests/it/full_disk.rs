//! A disk that fills up: one clear sentence, nothing half-placed, and the same command goes on later.

use std::sync::Arc;

use aami_install::Plan;
use aami_install::doubles::FullDisk;
use aami_model::{Exit, code};

use crate::house::House;
use crate::plan;
use crate::toolshed::{self, SHEDS};
use crate::tree;

#[test]
fn at_every_write_a_full_disk_leaves_nothing_half_done() {
    fill(House::new, plan::node, 20);
    fill(House::new, |_| tree::plan(), 12);
    for shed in [0, 1, 2] {
        let houses: [fn() -> House; 3] = [|| SHEDS[0].house(), || SHEDS[1].house(), || SHEDS[2].house()];
        fill(houses[shed], |_| toolshed::plan(), 12);
    }
}

fn fill(new: fn() -> House, plan: fn(&House) -> Plan, least: u64) {
    let undisturbed = new();
    undisturbed.install(&plan(&undisturbed));
    let wanted = undisturbed.picture();
    let before = new().picture();
    let mut hits = 0;
    for room in 0.. {
        // Given a disk with room for so many writes,
        let house = new();
        let watch = Arc::new(FullDisk::after(room));
        // when the plan is run on it,
        let report = house.run(&plan(&house), Some(watch.clone()));
        if !watch.was_hit() {
            assert!(room > least, "the disk was never full");
            break;
        }
        hits += 1;
        // then it says so (only the log and the state may go missing without a word),
        let failed = match &report {
            Ok(report) => report.failure(),
            Err(error) => Some((error.code(), error.to_string())),
        };
        if let Some((failed, sentence)) = &failed {
            assert_eq!(*failed, code::DISK_FULL, "room {room}: {sentence}");
            assert!(sentence.contains('/'), "{sentence:?} names no path");
            assert_eq!(failed.exit, Exit::Failed);
        }
        // nothing torn stands anywhere,
        for path in house.picture().paths.keys() {
            assert!(
                !path.ends_with(".aami-new"),
                "room {room}: {path} was left behind"
            );
        }
        // and with room again either way is open.
        if room % 2 == 0 {
            house.install(&plan(&house));
            house
                .picture()
                .must_be(&wanted, &format!("disk full after {room} writes, then continued"));
        } else {
            house.uninstall(&plan(&house));
            house.picture().must_be(
                &before,
                &format!("disk full after {room} writes, then uninstalled"),
            );
        }
    }
    assert!(hits > least, "only {hits} writes were refused");
}
