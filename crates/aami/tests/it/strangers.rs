//! The way to nodes where something answers that is no SSH server as it should be: `nodes test` gives each its row and its
//! code, and is held up by none. Nodes as they should be are the rig's stories.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::plane::{Said, aami};

/// How long a connection may take, in seconds.
const CONNECT: &str = "2";
/// How long the command may take: the greeting and the keys have no time of their own, but this machine is not idle.
const IN_TIME: Duration = Duration::from_secs(15);

/// What a stranger does with who connects.
type Manner = fn(TcpStream);

/// Takes the connection and says nothing, until the other end has had enough.
fn hangs(mut stream: TcpStream) {
    let mut nothing = [0; 1024];
    while stream.read(&mut nothing).is_ok_and(|count| count > 0) {}
}

/// Is another service, and says so.
fn lies(mut stream: TcpStream) {
    let _ = stream.write_all(b"220 mail.example.com ESMTP ready\r\n");
    hangs(stream);
}

/// Talks for ever before it greets.
fn chats(mut stream: TcpStream) {
    while stream.write_all(b"Welcome! Please wait.\r\n").is_ok() {}
}

/// Says half a line, and no more.
fn stops(mut stream: TcpStream) {
    let _ = stream.write_all(b"SSH-2.0-Half");
    hangs(stream);
}

/// Greets as it should, and says no more.
fn greets(mut stream: TcpStream) {
    let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
    hangs(stream);
}

/// Says its greeting a byte at a time, and takes minutes over it.
fn drips(mut stream: TcpStream) {
    let _ = stream.write_all(b"SSH-2.0-");
    while stream.write_all(b"x").is_ok() {
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Closes at once, as a server does that has too many guests.
fn closes(stream: TcpStream) {
    drop(stream);
}

/// Greets as it should, and then says what no key exchange is.
fn babbles(mut stream: TcpStream) {
    let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
    let _ = stream.write_all(&[0xff; 4096]);
    hangs(stream);
}

/// Lets one stand at an address of loopback. It ends with the process.
fn stands(address: Ipv4Addr, manner: Manner) -> u16 {
    let listener = TcpListener::bind(SocketAddrV4::new(address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || manner(stream));
        }
    });
    port
}

#[test]
fn each_stranger_has_a_row_with_its_code_and_none_is_waited_for_long() {
    // Given a node for each way in which something may answer, and one where nobody does,
    let root = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = aami(arguments);
        command.arg("--root").arg(root.path()).env("HOME", root.path());
        Said::by(&mut command)
    };
    let well = |arguments: &[&str]| {
        let said = run(arguments);
        assert_eq!(said.exit, 0, "{arguments:?}: {said:?}");
        said
    };
    well(&["init", "--no-install"]);
    for (field, value) in [
        ("connect_timeout", CONNECT),
        ("retry.max_attempts", "1"),
        ("use_agent", "false"),
        ("use_ssh_config", "false"),
    ] {
        well(&["config", "set", &format!("ssh.{field}"), value]);
    }
    // In the order in which they are listed: by their names.
    let strangers: [(&str, Option<Manner>, &str); 9] = [
        ("babbles", Some(babbles), "SSH_NOT_SSH"),
        ("chats", Some(chats), "SSH_NOT_SSH"),
        ("closes", Some(closes), "SSH_BUSY"),
        ("drips", Some(drips), "SSH_TIMEOUT"),
        ("greets", Some(greets), "SSH_TIMEOUT"),
        ("hangs", Some(hangs), "SSH_TIMEOUT"),
        ("lies", Some(lies), "SSH_NOT_SSH"),
        ("nobody", None, "SSH_REFUSED"),
        ("stops", Some(stops), "SSH_TIMEOUT"),
    ];
    for (last, (name, manner, _)) in (11..).zip(strangers) {
        let address = Ipv4Addr::new(127, 0, 0, last);
        let port = match manner {
            Some(manner) => stands(address, manner),
            // It was free a moment ago.
            None => TcpListener::bind((address, 0))
                .unwrap()
                .local_addr()
                .unwrap()
                .port(),
        };
        let (address, port) = (address.to_string(), port.to_string());
        well(&["nodes", "add", name, "--ip", &address, "--port", &port]);
    }
    // when the way to them is tried, then each row says which it is, with a hint, and all of it is over in time.
    let begun = Instant::now();
    let said = run(&["nodes", "test", "--all", "-o", "json"]);
    let took = begun.elapsed();
    assert!(took < IN_TIME, "it took {took:?}: {said:?}");
    assert_eq!(said.exit, 1, "{said:?}");
    let rows: Value = serde_json::from_str(&said.out).unwrap();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), strangers.len(), "{said:?}");
    for (row, (name, _, code)) in rows.iter().zip(strangers) {
        assert_eq!((&row["node"], &row["ok"]), (&name.into(), &false.into()), "{row}");
        assert_eq!(row["code"], code, "{row}");
        assert!(
            ["error", "hint"]
                .map(|member| &row[member])
                .iter()
                .all(|text| { text.as_str().is_some_and(|text| !text.is_empty()) }),
            "{row}"
        );
        // What was not seen is not told.
        assert!(
            ["host_key", "login", "root", "system"]
                .map(|member| &row[member])
                .iter()
                .all(|text| **text == Value::Null),
            "{row}"
        );
    }
    let lie = rows.iter().find(|row| row["node"] == "lies").unwrap()["error"].to_string();
    assert!(lie.contains("220 mail.example.com"), "{lie}");
    // No key of theirs is believed.
    let known = root.path().join(".ssh/known_hosts");
    let known = std::fs::read_to_string(known).unwrap_or_default();
    assert_eq!(known, "");
    // People read the same of each, and what another service said.
    let said = run(&["nodes", "test", "chats,nobody"]);
    for part in ["SSH_NOT_SSH: ", "Welcome! Please wait.", "SSH_REFUSED: "] {
        assert!(said.out.contains(part), "no {part}: {said:?}");
    }
}
