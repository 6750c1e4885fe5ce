//! How much room a server is said to need before anything of it is fetched.

use aami_install::HostPath;
use aami_plans::obtain::{Mirror, Source};
use aami_plans::preflight::Room;
use aami_plans::stack::{Part, Purpose, StackOptions, room};

use super::house::House;

/// What everybody who offers Prometheus and Alertmanager has, beside this program.
const BOTH: u64 = 320_000_000 + 80_000_000;

fn options(house: &House, sources: Vec<Source>) -> StackOptions {
    StackOptions {
        sources,
        ..house.options(Purpose::Install)
    }
}

#[test]
fn room_is_what_the_chosen_parts_unpack_to() {
    let house = House::new();
    let itself = house.options(Purpose::Install).program.metadata().unwrap().len();
    let of = |sources| room(&options(&house, sources), |_| false);
    // Given a folder with small archives, it is what they say themselves,
    let folder = Source::Folder(house.components());
    let small = of(vec![folder.clone()]);
    assert!(
        (itself + 1..itself + 1_000_000).contains(&small.programs),
        "{small:?}"
    );
    // of publishers what the catalogue says of what they offer, and Grafana they do not,
    let published = of(vec![Source::Publisher]);
    assert_eq!(
        published,
        Room {
            programs: itself + BOTH,
            downloads: 640_000_000
        }
    );
    // which a mirror may do,
    let mirror = Source::Mirror(Mirror {
        url: "http://127.0.0.1:1".to_owned(),
        access: Default::default(),
    });
    assert_eq!(of(vec![mirror.clone()]).programs, itself + BOTH + 1_000_000_000);
    // unless nobody wants it;
    let mut without = options(&house, vec![mirror]);
    without.wishes.components = [Part::Prometheus, Part::Alertmanager].into_iter().collect();
    assert_eq!(room(&without, |_| false).programs, itself + BOTH);
    // what is there already takes nothing more, as in a repair;
    let there = |folder: &HostPath| folder.as_str().starts_with("/opt/aami/prometheus-");
    let repaired = room(&options(&house, vec![folder.clone()]), there);
    assert!(repaired.programs < small.programs, "{repaired:?} {small:?}");
    let there = |_: &HostPath| true;
    assert_eq!(
        room(&options(&house, vec![folder.clone()]), there),
        Room::of_itself(itself)
    );
    // and what a folder lacks and nobody else may be asked for takes nothing.
    house.offer(&["prometheus"]);
    assert!(of(vec![folder]).programs < small.programs);
}
