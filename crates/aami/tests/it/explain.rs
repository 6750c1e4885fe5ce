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
