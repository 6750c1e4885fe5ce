//! `aami up`: from nothing to one scraped node, by the real agent and the real Prometheus.

mod stage;

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::SystemTime;

use rustix::process::Signal;

use crate::plane::{Said, until};
use stage::Stage;

#[test]
fn from_nothing_to_one_scraped_node_and_back_again() {
    // Given a user without root, with a home and what `make up` has fetched
    let mut stage = Stage::for_a_user();
    let before = stage.beside(&[]);
    stage.fill_cache();
    assert_eq!((stage.elsewhere(), stage.processes()), (vec![], vec![]));

    // when it is started
    let mut up = stage.up();
    let page = up.page();

    // then this machine is a node and scraped, and the page says what runs where,
    assert!(page.contains("1 node online, scraped"), "{page}");
    for place in [
        stage.data().join("admin.key"),
        stage.data(),
        stage.components.clone(),
    ] {
        assert!(page.contains(place.to_str().unwrap()), "{page}");
    }
    for port in stage.ports {
        assert!(
            page.contains(&format!(":{port}")) || page.contains(&format!("port {port}")),
            "{page}"
        );
    }
    let first = stage.nodes();
    assert_eq!(
        (&first[0]["status"], first.as_array().unwrap().len()),
        (&"online".into(), 1)
    );
    // Prometheus is brought the rules about all of this;
    until("what Prometheus should have", || {
        let said = stage.prometheuses();
        said.exit == 0 && said.out.contains("local")
    });
    // no secret stands on it, nor on anybody's command line, and nothing lies outside the two folders;
    let key = fs::read_to_string(stage.data().join("admin.key")).unwrap();
    assert!(!page.contains(key.trim()) && !page.contains("aami_"), "{page}");
    let running = stage.processes();
    assert!(
        running.iter().any(|line| line.contains("prometheus")),
        "{running:?}"
    );
    for line in running {
        assert!(!line.contains("aami_") && !line.contains("aamik_"), "{line}");
    }
    let two = [stage.data(), stage.cache()];
    assert_eq!((stage.beside(&two), stage.elsewhere()), (before.clone(), vec![]));

    // Ctrl-C at the terminal, which tells the children too, ends all of it;
    let node = first[0]["id"].as_str().unwrap();
    let then = SystemTime::now();
    let scrapes = stage.scrapes(node, then);
    assert!(scrapes >= Some(1.0), "{scrapes:?}");
    up.ctrl_c();
    assert_eq!(up.end(), 0, "{}", up.said);
    stage.until_gone();

    // a second start finds its data: the node, and what was measured of it,
    let mut up = stage.up();
    up.enrolling();
    let again = stage.nodes();
    assert_eq!(
        (&again[0]["id"], again.as_array().unwrap().len()),
        (&first[0]["id"], 1)
    );
    until("what was measured before", || {
        stage.scrapes(node, then) == scrapes
    });

    // and when it is killed, nothing it started outlives it.
    up.signal(Signal::KILL);
    up.end();
    stage.until_gone();
    // Where the two folders are deleted, nothing is left.
    for folder in two {
        fs::remove_dir_all(folder).unwrap();
    }
    assert_eq!((stage.beside(&[]), stage.elsewhere()), (before, vec![]));
}

#[test]
fn ports_of_strangers_are_left_to_them() {
    // Given a program on each usual port
    let stage = Stage::set();
    let strangers = stage
        .ports
        .map(|port| TcpListener::bind(("0.0.0.0", port)).unwrap());

    // when it is started
    let mut up = stage.up();
    let page = up.page();

    // then it runs on others, says so, and the strangers are where they were.
    assert!(page.contains("1 node online, scraped"), "{page}");
    let [server, prometheus, exporter] = stage.ports;
    assert!(
        page.contains(&format!("port {server} is held by another program")),
        "{page}"
    );
    assert!(
        page.contains(&format!("port {prometheus} is held by another program")),
        "{page}"
    );
    assert!(
        page.contains(&format!("port {exporter} is held by another program")),
        "{page}"
    );
    for stranger in strangers {
        assert!(stage.ports.contains(&stranger.local_addr().unwrap().port()));
    }
    // SIGTERM ends it as Ctrl-C does.
    up.signal(Signal::TERM);
    assert_eq!(up.end(), 0, "{}", up.said);
    stage.until_gone();
}

#[test]
fn a_second_one_on_the_same_folder_is_told_and_harms_nothing() {
    let stage = Stage::set();
    let mut up = stage.up();
    up.enrolling();
    let mut second = stage.up();
    assert_eq!(second.end(), 6);
    let said: Vec<String> = second.lines.iter().collect();
    assert!(said.iter().any(|line| line.contains("STORE_LOCKED")), "{said:?}");
    until("a node", || stage.nodes()[0]["status"] == "online");
}

#[test]
fn told_to_stop_while_it_starts_it_leaves_nothing_running() {
    let stage = Stage::set();
    let mut up = stage.up();
    up.enrolling();
    up.ctrl_c();
    assert_eq!(up.end(), 9, "{}", up.said);
    stage.until_gone();
    // What was begun is no obstacle to the next start.
    assert!(stage.up().page().contains("1 node online, scraped"));
}

#[test]
fn without_the_agent_beside_it_it_says_what_to_build() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("aami");
    fs::copy(env!("CARGO_BIN_EXE_aami"), &alone).unwrap();
    let said = Said::by(
        Command::new(&alone)
            .arg("up")
            .env_clear()
            .env("HOME", folder.path()),
    );
    assert_eq!(said.exit, 1, "{said:?}");
    assert!(
        said.err.contains("TOOL_MISSING") && said.err.contains("aami-agent"),
        "{said:?}"
    );
    assert!(!folder.path().join(".local").exists(), "nothing was made");
}
