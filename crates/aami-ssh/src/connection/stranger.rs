//! Who answers, told from how it began: a server that has no room, one that stands still, another service.

use std::io;
use std::time::Duration;

use crate::{Host, SshError, Waiting};

/// Of what came first, from the line on that is the greeting, or begins as one (RFC 4253, 4.2): others may stand before
/// it.
fn greeting(beginning: &[u8]) -> Option<&[u8]> {
    let at = match beginning.starts_with(b"SSH-") {
        true => 0,
        false => beginning.windows(5).position(|window| window == b"\nSSH-")? + 1,
    };
    beginning.get(at..)
}

/// Says why its time was up. Who says whole lines and no greeting is another service, which says no
/// more: most say theirs and wait then themselves.
pub(super) fn late(host: &Host, limit: Duration, beginning: &[u8]) -> SshError {
    let waiting = match greeting(beginning) {
        Some(greeting) if greeting.contains(&b'\n') => Waiting::Keys,
        None if beginning.contains(&b'\n') => return no_ssh(host, beginning),
        Some(_) | None => Waiting::Greeting,
    };
    SshError::TimedOut {
        waiting,
        after: limit,
    }
}

fn no_ssh(host: &Host, beginning: &[u8]) -> SshError {
    let said = printable(&String::from_utf8_lossy(beginning), 120);
    SshError::Protocol {
        endpoint: host.endpoint(),
        why: format!("it began with {said:?}"),
    }
}

/// Says what went wrong before the session stood.
pub(super) fn failed(host: &Host, error: &russh::Error, beginning: &[u8]) -> SshError {
    let said = printable(&String::from_utf8_lossy(beginning), 120);
    let greeted = greeting(beginning).is_some();
    let closed = match error {
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::SendError => true,
        russh::Error::IO(error) => matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        ),
        _ => false,
    };
    let busy = said.contains("MaxStartups") || said.contains("Not allowed at this time");
    if busy || (closed && beginning.is_empty()) {
        return SshError::Congested {
            why: if busy {
                format!("it said: {said}")
            } else {
                "it closed the connection before its greeting".to_owned()
            },
        };
    }
    if closed && greeted {
        return SshError::Congested {
            why: "it closed the connection in the middle of the key exchange".to_owned(),
        };
    }
    if greeted {
        SshError::Protocol {
            endpoint: host.endpoint(),
            why: error.to_string(),
        }
    } else {
        no_ssh(host, beginning)
    }
}

/// What a stranger said, fit to be shown: one line, no control characters, at most that many characters.
pub(super) fn printable(text: &str, limit: usize) -> String {
    let line: String = text
        .trim()
        .chars()
        .take(limit)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorClass;

    const LIMIT: Duration = Duration::from_secs(20);

    fn class(error: russh::Error, beginning: &[u8]) -> ErrorClass {
        failed(&Host::new("a", "192.0.2.1", "root"), &error, beginning).class()
    }

    #[test]
    fn a_server_that_has_no_room_is_told_from_one_that_is_none() {
        let reset = || russh::Error::IO(io::Error::from(io::ErrorKind::ConnectionReset));
        assert_eq!(class(russh::Error::Disconnect, b""), ErrorClass::Congestion);
        assert_eq!(class(reset(), b""), ErrorClass::Congestion);
        assert_eq!(
            class(russh::Error::Disconnect, b"Exceeded MaxStartups\r\n"),
            ErrorClass::Congestion
        );
        assert_eq!(
            class(russh::Error::Disconnect, b"SSH-2.0-OpenSSH_9.2\r\n"),
            ErrorClass::Congestion
        );
        assert_eq!(
            class(russh::Error::Version, b"HTTP/1.1 400 Bad Request\r\n"),
            ErrorClass::Protocol
        );
        assert_eq!(
            class(russh::Error::Disconnect, b"220 mail ESMTP\r\n"),
            ErrorClass::Protocol
        );
    }

    #[test]
    fn whole_lines_without_a_greeting_are_another_service_and_silence_is_none() {
        let class = |beginning: &[u8]| late(&Host::new("a", "192.0.2.1", "root"), LIMIT, beginning).class();
        assert_eq!(class(b"220 mail ESMTP\r\n"), ErrorClass::Protocol);
        for beginning in [
            &b""[..],
            b"Wel",
            b"SSH-2.0-Half",
            b"Welcome\r\nSSH-2.0-OpenSSH_9.2\r\n",
        ] {
            assert_eq!(class(beginning), ErrorClass::TimedOut, "{beginning:?}");
        }
        // What is missing is named: half a greeting is none.
        let waiting = |beginning: &[u8]| match late(&Host::new("a", "192.0.2.1", "root"), LIMIT, beginning) {
            SshError::TimedOut {
                waiting,
                after: LIMIT,
            } => waiting,
            other => panic!("{other}"),
        };
        assert_eq!(waiting(b"SSH-2.0-Half"), Waiting::Greeting);
        assert_eq!(waiting(b"Welcome\r\nSSH-2.0-Half"), Waiting::Greeting);
        assert_eq!(waiting(b"SSH-2.0-OpenSSH_9.2\r\n\0"), Waiting::Keys);
    }

    #[test]
    fn what_a_stranger_says_cannot_move_the_cursor() {
        assert_eq!(printable("a\x1b[2Jb\r\n c\u{7}", 100), "a [2Jb c");
        assert_eq!(printable(&"x".repeat(1000), 10), "x".repeat(10));
    }
}
