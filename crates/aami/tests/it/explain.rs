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

/// The kernel's log of a machine on which much goes wrong.
const LOG: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../aami-xid/tests/fixtures/xid_dmesg.txt"
);

#[test]
fn a_log_is_explained_from_a_file_and_from_a_pipe() {
    let from_file = Said::by(&mut aami(&["explain", "--log", LOG]));
    // Something critical stands in it.
    assert_eq!(from_file.exit, 3, "{from_file:?}");
    assert!(
        from_file
            .out
            .contains("GPU 0000:ab:00: critical: drain the node; reboot it"),
        "{from_file:?}"
    );
    assert!(
        from_file
            .out
            .contains("RLW_REMAP nonfatal, link 3, sub-code 0: IGNORE")
            && from_file.out.contains("  from None to Node Reboot Required\n"),
        "{from_file:?}"
    );
    let piped = Said::by(aami(&["explain", "--log", "-"]).stdin(std::fs::File::open(LOG).unwrap()));
    assert_eq!((piped.exit, &piped.out), (3, &from_file.out), "{piped:?}");

    let told = Said::by(&mut aami(&["explain", "--log", LOG, "-o", "json"]));
    assert_eq!(told.exit, 3, "{told:?}");
    let told: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(told["verdict"], "critical");
    let decoded = |code: u64| {
        let events = told["events"].as_array().unwrap();
        let event = events.iter().find(|event| event["code"] == code);
        event.unwrap_or_else(|| panic!("{code} in {told}"))["decoded"].clone()
    };
    assert_eq!(
        decoded(145),
        serde_json::json!({
            "unit": "RLW_REMAP", "isFatal": false, "link": 3, "subCode": 0, "resolution": "IGNORE"
        })
    );
    // What the vendor's table does not have for this driver is told as far as it is known.
    assert_eq!(
        decoded(149),
        serde_json::json!({ "unit": "NETIR_LINK_EVT", "isFatal": true, "link": 8, "subCode": 4 })
    );
    assert_eq!(
        decoded(154),
        serde_json::json!({ "from": "None", "to": "Node Reboot Required" })
    );
    assert_eq!(decoded(79), serde_json::Value::Null);
}

#[test]
fn a_log_in_which_nothing_critical_stands_ends_well_and_one_that_is_not_there_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    for (text, exit) in [
        ("[ 1.0] all is well\n", 0),
        ("[ 1.0] NVRM: Xid (PCI:0000:18:00): 31, pid=1, name=x, Ch 1\n", 0),
        ("\u{0}\u{1b}[2J garbage", 0),
        ("", 0),
    ] {
        std::fs::write(&log, text).unwrap();
        let said = Said::by(aami(&["explain", "--log"]).arg(&log));
        assert_eq!(said.exit, exit, "{text:?}: {said:?}");
    }
    let missing = Said::by(&mut aami(&["explain", "--log", "/no/such/log"]));
    assert_eq!(missing.exit, 1, "{missing:?}");
    assert!(missing.err.contains("/no/such/log"), "{missing:?}");
}

#[test]
fn a_search_finds_all_words_in_every_form_or_says_that_it_does_not() {
    let found = Said::by(&mut aami(&["explain", "search", "fallen", "bus", "-o", "json"])).json();
    let codes: Vec<&str> = (found.as_array().unwrap().iter())
        .map(|hit| hit["code"].as_str().unwrap())
        .collect();
    assert!(codes.contains(&"79"), "{codes:?}");
    let yaml = Said::by(&mut aami(&["explain", "search", "fallen", "bus", "-o", "yaml"]));
    assert!(yaml.exit == 0 && yaml.out.contains("kind: Xid"), "{yaml:?}");
    let nothing = Said::by(&mut aami(&["explain", "search", "surely-in-no-entry"]));
    assert_eq!(nothing.exit, 5, "{nothing:?}");
    let empty = Said::by(&mut aami(&["explain", "search"]));
    assert_eq!(empty.exit, 2, "{empty:?}");
}

#[test]
fn a_code_that_is_mistyped_is_told_the_one_that_is_like_it() {
    for (word, meant) in [
        ("port_in_usee", "port_in_use"),
        ("AAMI-P-0O12", "aami-p-0012"),
        ("serach", "search"),
    ] {
        let said = Said::by(&mut aami(&["explain", word]));
        assert_eq!(said.exit, 5, "{said:?}");
        assert!(said.err.contains(&format!("Did you mean `{meant}`?")), "{said:?}");
    }
    let strange = Said::by(&mut aami(&["explain", "zzzzzzzzzzzz"]));
    assert!(!strange.err.contains("Did you mean"), "{strange:?}");
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
    // What was built in a checkout says of which commit it is, and of when; elsewhere nobody knows.
    let (commit, built) = (
        version["commit"].as_str().unwrap(),
        version["built"].as_str().unwrap(),
    );
    let line = Said::by(&mut aami(&["version"])).out;
    assert_eq!(
        line,
        format!(
            "AAMI v{} (commit: {commit}, built: {built})\n",
            env!("CARGO_PKG_VERSION")
        )
    );
    let is_checkout = std::process::Command::new("git")
        .args(["rev-parse", "--verify", "--quiet", "HEAD"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .is_ok_and(|output| output.status.success());
    if is_checkout {
        let hex = commit.chars().take_while(char::is_ascii_hexdigit).count();
        let year = built.chars().take_while(char::is_ascii_digit).count();
        assert!(hex >= 7 && year == 4 && built.as_bytes()[4] == b'-', "{line}");
    } else {
        assert_eq!((commit, built), ("unknown", "unknown"));
    }
}
