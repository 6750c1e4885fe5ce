//! Commands that need no control plane.

use crate::plane::{Said, aami};

#[test]
fn every_code_is_explained_by_either_name() {
    let list = Said::by(&mut aami(&["explain", "list", "-o", "json"])).json();
    assert!(list.as_array().unwrap().len() > 30);
    let by_id = Said::by(&mut aami(&["explain", "AAMI-P-0012"]));
    let by_symbol = Said::by(&mut aami(&["explain", "port_in_use"]));
    assert_eq!(by_id.exit, 0);
    assert_eq!(by_id.out, by_symbol.out);
    let unknown = Said::by(&mut aami(&["explain", "AAMI-X-0001"]));
    assert_eq!(unknown.exit, 5, "{unknown:?}");
}

#[test]
fn what_the_driver_wrote_into_the_kernels_log_is_explained() {
    let lost = Said::by(&mut aami(&["explain", "xid", "79"]));
    assert_eq!(lost.exit, 0, "{lost:?}");
    assert!(
        lost.out.starts_with("Xid 79: GPU has fallen off the bus"),
        "{lost:?}"
    );

    let switch = Said::by(&mut aami(&["explain", "SXid", "12028", "-o", "json"])).json();
    assert_eq!(switch["severity"], "critical");
    assert_eq!(
        (&switch["drain"], &switch["reset"]),
        (&true.into(), &"fabric".into())
    );

    let all = Said::by(&mut aami(&["explain", "xid", "-o", "json"])).json();
    assert_eq!(all.as_array().unwrap().len(), 176);

    for (words, exit) in [
        (["xid", "999"], 5),
        (["sxid", "79"], 5),
        (["xid", "x"], 2),
        (["list", "79"], 2),
    ] {
        let wrong = Said::by(aami(&["explain"]).args(words));
        assert_eq!(wrong.exit, exit, "{words:?}: {wrong:?}");
    }
}

#[test]
fn completions_and_manual_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Said::by(&mut aami(&["completions", shell]));
        assert!(script.out.contains("allow-reenrol"), "{shell}");
    }
    let page = Said::by(&mut aami(&["man"]));
    assert!(page.out.contains(".TH aami"), "{page:?}");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Said::by(aami(&["man", "--dir"]).arg(folder.path())).exit, 0);
    assert!(folder.path().join("aami-nodes-list.1").exists());
}

#[test]
fn the_version_is_told_to_programs_too() {
    let version = Said::by(&mut aami(&["version", "-o", "json"])).json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}
