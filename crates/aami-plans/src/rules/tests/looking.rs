//! A Prometheus whose endpoint for being told is closed: one that looks for itself, one that does not, and one under a unit.

use super::*;

/// As `aami server install` starts one in a container that listens for other machines.
const LOOKS: [(&str, &str); 2] = [
    ("enable-feature", "exemplar-storage,auto-reload-config"),
    ("config.auto-reload-interval", "300ms"),
];

#[test]
fn one_that_looks_for_itself_is_waited_for_and_told_nothing() {
    let (stage, played) = Stage::new();
    played.is_started_with(&LOOKS);
    // When rules are applied, then it loads them when it looks next, and no program was asked to tell it.
    let first = [file("aami-group-a.yaml", "A")];
    assert_eq!(stage.apply(&first).unwrap().0, Applied::Loaded(vec![]));
    assert_eq!(stage.site().seen(&first).unwrap(), Seen::Loaded(vec![]));
    assert_eq!(played.reloads.load(Ordering::SeqCst), 1);
    let asked = stage.promtool.asked.borrow().join("\n");
    assert!(!asked.contains("systemctl"), "{asked}");
    // When it refuses what it finds, then the folder is what it was, and it goes on with what it had.
    let before = stage.files();
    let second = [
        file("aami-group-a.yaml", "Changed"),
        file("aami-group-b.yaml", "B"),
    ];
    played.refuses.store(true, Ordering::SeqCst);
    let error = stage.apply(&second).unwrap_err();
    assert_eq!(error.code(), code::ALERT_RULES_NOT_LOADED);
    assert!(error.to_string().contains("refuses its configuration"), "{error}");
    assert_eq!(stage.files(), before);
    assert_eq!(stage.site().seen(&first).unwrap(), Seen::Loaded(vec![]));
    // It found nothing new since and still says that the last reading failed; what comes next is loaded all the same.
    played.refuses.store(false, Ordering::SeqCst);
    assert_eq!(stage.apply(&second).unwrap().0, Applied::Loaded(vec![]));
    assert_eq!(stage.site().seen(&second).unwrap(), Seen::Loaded(vec![]));
}

#[test]
fn one_that_can_be_told_by_nobody_and_looks_too_rarely_or_never_gets_no_rules() {
    for flags in [
        &[][..],
        // One before 3.0 takes the feature's name, and knows nothing of it.
        &[("enable-feature", "auto-reload-config")],
        &[("enable-feature", ""), ("config.auto-reload-interval", "30s")],
        &[
            ("enable-feature", "auto-reload-config"),
            ("config.auto-reload-interval", "10m"),
        ],
    ] {
        let (stage, played) = Stage::new();
        played.is_started_with(flags);
        let error = stage.apply(&[file("aami-group-a.yaml", "A")]).unwrap_err();
        assert_eq!(error.code(), code::ALERT_RULES_NOT_LOADED, "{flags:?}");
        assert!(
            error.to_string().contains("Lifecycle API is not enabled"),
            "{flags:?}: {error}"
        );
        assert!(stage.files().is_empty(), "{flags:?}");
    }
}

#[test]
fn one_under_a_unit_is_told_by_its_unit_where_it_does_not_look_for_itself() {
    let (mut stage, played) = Stage::new();
    played.is_started_with(&[]);
    stage.promtool.says = Some(Output {
        status: Some(1),
        stderr: "Job type reload is not applicable for unit x.service.\n".to_owned(),
        ..Output::default()
    });
    let mut site = stage.site();
    site.unit = Some("x.service");
    // No promtool judges here, since the one program there is refuses everything.
    let told = load::told_to_reload(&site).err().unwrap();
    assert!(
        told.contains("`systemctl reload x.service`: Job type reload") && told.contains("Lifecycle API"),
        "{told}"
    );
    assert_eq!(*stage.promtool.asked.borrow(), ["systemctl reload x.service"]);
}
