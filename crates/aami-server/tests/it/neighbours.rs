//! What one who was let in can do to the others.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Barrier;

use aami_api::client::ClientError;
use aami_api::key::CreateKey;
use aami_api::node::NodeView;
use aami_api::token::Validated;
use aami_model::access::Role;
use serde_json::Value;

use crate::house::{House, Machine, code_of, until};

#[test]
fn a_machine_retired_by_one_organisation_is_not_named_to_another() {
    let house = House::new();
    let client = house.stranger();
    let red = house.token(|t| t.org = Some("red".parse().unwrap())).token;
    let blue = house.token(|t| t.org = Some("blue".parse().unwrap())).token;
    let fingerprint = Some("a".repeat(64));
    let machine = Machine::new("red-secret-01", 1).with(|r| r.machine.clone_from(&fingerprint));
    let id = machine.register(&client, &red).unwrap().node.id;
    house.admin().retire(&id).unwrap();

    // The same hardware under a new key, and the same key: neither learns whose it was.
    let anew = Machine::new("blue-01", 2).with(|r| r.machine.clone_from(&fingerprint));
    for machine in [anew, Machine::new("blue-01", 1)] {
        match machine.register(&client, &blue) {
            Err(ClientError::Refused(problem)) => {
                assert_eq!(problem.code, "ALREADY_ENROLLED");
                let told = format!("{problem:?}");
                assert!(
                    !told.contains("red-secret") && !told.contains(id.as_str()),
                    "{told}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_hash_of_a_credential_that_was_seen_going_by_is_of_no_use() {
    let house = House::new();
    let client = house.stranger();
    let token = house.token(|t| t.max_uses = Some(9)).token;
    let honest = Machine::new("gpu-01", 1);
    let id = honest.register(&client, &token).unwrap().node.id;

    let seen = honest.request.credential_hash.clone();
    let thief = Machine::new("gpu-02", 2).with(|r| r.credential_hash = seen);
    assert_eq!(code_of(thief.register(&client, &token)), "INVALID");

    let own = client.with_bearer(&honest.credential);
    assert_eq!(own.node(&id).unwrap().body.hostname.as_str(), "gpu-01");
}

#[test]
fn a_run_loses_its_node_to_the_next_enrolment() {
    let house = House::new();
    let client = house.stranger();
    let token = house.token(|t| t.max_uses = Some(9)).token;
    let opened: Validated = client.with_bearer(&token).validate().unwrap().body;
    let run = opened.run.unwrap();
    let first = Machine::new("gpu-01", 1).with(|r| r.run_id = Some(run.id.clone()));
    let id = first.register(&client, &token).unwrap().node.id;
    let installer = client.with_bearer(&run.credential);
    assert!(installer.node(&id).is_ok());

    // Taken from the first machine and given to another, whose node the first one's run must not touch.
    house.admin().retire(&id).unwrap();
    house
        .admin()
        .post::<(), NodeView>(&format!("/api/v1/nodes/{id}/restore"), None)
        .unwrap();
    assert_eq!(code_of(installer.retire(&id)), "FORBIDDEN");
    house.forward(std::time::Duration::from_secs(60));
    let meant = house.token(|t| t.only_node = Some(id.clone())).token;
    assert_eq!(
        Machine::new("gpu-01", 2)
            .register(&client, &meant)
            .unwrap()
            .node
            .id,
        id
    );
    assert_eq!(code_of(installer.retire(&id)), "FORBIDDEN");
}

#[test]
fn who_guesses_behind_an_address_does_not_shut_out_who_works_there() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    let guesser = house.stranger().with_bearer("aamik_guess_aaaa");
    let codes: Vec<String> = (0..260).map(|_| code_of(guesser.keys())).collect();
    assert_eq!(codes[0], "UNAUTHENTICATED");
    assert_eq!(codes.last().unwrap(), "RATE_LIMITED");

    assert_eq!(house.stranger().health().unwrap().body.status, "ok");
    house.admin().keys().unwrap();
    Machine::new("gpu-01", 1)
        .register(&house.stranger(), &token)
        .unwrap();
}

#[test]
fn strangers_share_bounded_room_and_crowd_out_nobody_with_a_token() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    let begun = [
        b"POST /api/v1/bootstrap/register HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n",
        " ".repeat(1024 * 1024 - 1).as_bytes(),
    ]
    .concat();
    // 64 MiB are theirs. Each leaves out its last byte, so that none is done; who is refused is cut off.
    let crowd: Vec<TcpStream> = (0..70)
        .map(|_| {
            let mut stream = TcpStream::connect(house.running().address()).unwrap();
            let _ = stream.write_all(&begun);
            stream
        })
        .collect();
    until("those who found no room are refused", || {
        let metrics = house.admin().text("/metrics").unwrap();
        let refused = r#"aami_refusals_total{code="RATE_LIMITED"} 6"#;
        if metrics.contains(refused) {
            Ok(())
        } else {
            Err(metrics.lines().filter(|line| line.contains("refusals")).count())
        }
    });
    Machine::new("gpu-01", 1)
        .register(&house.stranger(), &token)
        .unwrap();
    drop(crowd);
}

#[test]
fn made_up_methods_are_counted_together() {
    let house = House::new();
    let mut stream = BufReader::new(TcpStream::connect(house.running().address()).unwrap());
    for n in 0..50 {
        let request = format!("MADEUP{n} /health HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).unwrap();
    }
    let metrics = house.admin().text("/metrics").unwrap();
    assert!(!metrics.contains("MADEUP"), "{metrics}");
    assert!(
        metrics.contains(r#"aami_http_requests_total{route="/health",method="other",status="405"} 50"#),
        "{metrics}"
    );
}

#[test]
fn two_admins_who_revoke_each_other_do_not_both_win() {
    let house = House::new();
    let mut admin = house.admin();
    let mut own = admin.keys().unwrap().items.remove(0).id;
    for round in 0..8 {
        let other = admin
            .create_key(&CreateKey {
                name: format!("admin {round}"),
                role: Some(Role::Admin),
                ..CreateKey::default()
            })
            .unwrap();
        let second = house.stranger().with_bearer(&other.key);
        let (own_path, other_path) = (
            format!("/api/v1/keys/{own}"),
            format!("/api/v1/keys/{}", other.view.id),
        );
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            let revoke = |client: aami_api::client::Client, path: String| {
                let start = &start;
                move || {
                    start.wait();
                    let _ = client.delete(&path);
                }
            };
            scope.spawn(revoke(admin.clone(), other_path));
            scope.spawn(revoke(second.clone(), own_path));
        });
        let left = [(admin.clone(), own.clone()), (second, other.view.id.clone())]
            .into_iter()
            .find(|(client, _)| client.get::<Value>("/api/v1/keys").is_ok());
        (admin, own) = left.expect("somebody still rules");
    }
}
