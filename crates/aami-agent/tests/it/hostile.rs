//! Values that nobody types by accident: each gets one sentence with its code, and nothing is changed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::command_line::{Stage, dead_server, refused};

/// No complaint is longer, whatever is complained about.
const LONGEST: usize = 2000;

#[test]
fn hostile_values_get_one_sentence_and_a_code_and_change_nothing() {
    let stage = Stage::new();
    let server = dead_server();
    let long = "x".repeat(10_000);
    let [long_value, long_name] = [format!("rack={long}"), format!("{long}=x")];
    let long_server = format!("http://{long} ");
    let many: Vec<String> = (0..65)
        .flat_map(|n| ["--labels".to_owned(), format!("l{n}=x")])
        .collect();
    let typed = [
        ["--labels", "__address__=169.254.169.254:80"],
        ["--labels", "__metrics_path__=//evil"],
        ["--labels", "job=node"],
        ["--labels", "node=another"],
        ["--labels", "a\"b=c"],
        ["--labels", "=nameless"],
        ["--labels", "no-value"],
        ["--labels", "rack=x\nup 1"],
        ["--labels", "rack=\u{1b}[2Jx"],
        ["--labels", &long_value],
        ["--labels", &long_name],
        ["--labels", &long],
        // A machine says its own name, and nobody else does.
        ["--hostname", "gpu-01"],
        ["--address", "gpu-01"],
        ["--address", "10.0.0.1\n"],
        ["--address", "10.0.0.1:9100"],
        ["--address", &long],
        ["--port", "9100\u{1b}[2J"],
        ["--server", "http://a b"],
        ["--server", &long_server],
        ["--scrape-from", "10.0.0.0/8; drop"],
    ];
    let mut cases: Vec<Vec<&OsStr>> = typed.iter().map(|case| case.map(OsStr::new).to_vec()).collect();
    cases.push(many.iter().map(OsStr::new).collect());
    for bytes in [&b"rack=\xff\xfe"[..], b"\xff=rack"] {
        cases.push(vec![OsStr::new("--labels"), OsStr::from_bytes(bytes)]);
    }
    for case in cases {
        let mut all = case.clone();
        if case[0] != "--server" {
            all.extend(["--server", server.as_str()].map(OsStr::new));
        }
        let said = refused(&stage.bootstrap(&all), 2, "code: INVALID (");
        let shown = format!("{case:.200?}");
        assert_eq!(said.matches("error: ").count(), 1, "{shown}: {said}");
        assert!(
            said.contains("hint: ") || said.contains("try '--help'"),
            "{shown}: {said}"
        );
        assert!(said.len() < LONGEST, "{shown}: {} bytes", said.len());
        assert!(
            !said.contains(|c: char| c.is_control() && c != '\n'),
            "{shown}: {said:?}"
        );
        assert_eq!(stage.left(), Vec::<String>::new(), "{shown}");
    }
}
