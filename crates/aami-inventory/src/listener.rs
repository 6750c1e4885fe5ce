//! Who listens on a TCP port: the process, its program, and the systemd unit it runs in.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Serialize;

use crate::error::one_line;
use crate::host::Host;

/// A listening socket and who holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// The process; `None` when it is another user's and the reader is not root.
    pub pid: Option<u32>,
    /// The process' name, as the kernel keeps it (15 characters).
    pub process: Option<String>,
    /// The program it runs.
    pub program: Option<String>,
    /// The systemd unit it runs in, `x.service`.
    pub unit: Option<String>,
    /// The container it runs in, the first 12 characters of its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

impl Listener {
    /// `grafana (pid 1234, grafana-server.service)`, with what is known.
    pub fn holder(&self) -> String {
        let name = self.process.as_deref().unwrap_or("a process of another user");
        let pid = self.pid.map(|pid| format!("pid {pid}"));
        let known: Vec<String> = pid.into_iter().chain(self.unit.clone()).collect();
        if known.is_empty() {
            name.to_owned()
        } else {
            format!("{name} ({})", known.join(", "))
        }
    }
}

/// Everybody who listens on `port`, on any address.
pub fn listeners(host: &Host<'_>, port: u16) -> Vec<Listener> {
    listeners_on(host, &[port])
}

/// Everybody who listens on one of `ports`, on any address; the processes are gone through once.
pub fn listeners_on(host: &Host<'_>, ports: &[u16]) -> Vec<Listener> {
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = host.read(table).unwrap_or_default();
        sockets.extend(
            text.lines()
                .filter_map(listening)
                .filter(|(address, _)| ports.contains(&address.port())),
        );
    }
    if sockets.is_empty() {
        return Vec::new();
    }
    let wanted: BTreeSet<u64> = sockets.iter().map(|(_, inode)| *inode).collect();
    let holders = holders(host, &wanted);
    sockets
        .into_iter()
        .map(|(address, inode)| {
            let pid = holders
                .iter()
                .find(|(held, _)| *held == inode)
                .map(|(_, pid)| *pid);
            let text = |file: &str| Some(one_line(&host.read(&format!("/proc/{}/{file}", pid?))?));
            Listener {
                address,
                pid,
                process: text("comm"),
                program: pid.and_then(|pid| {
                    let target = std::fs::read_link(host.path(&format!("/proc/{pid}/exe"))).ok()?;
                    Some(one_line(target.to_str()?))
                }),
                unit: pid.and_then(|pid| unit_in(&host.read(&format!("/proc/{pid}/cgroup"))?)),
                container: pid.and_then(|pid| container_in(&host.read(&format!("/proc/{pid}/cgroup"))?)),
            }
        })
        .collect()
}

/// A row of `/proc/net/tcp` whose socket listens: its address and inode (proc_net_tcp(5); state 0A is
/// TCP_LISTEN of `include/net/tcp_states.h`).
fn listening(row: &str) -> Option<(SocketAddr, u64)> {
    let mut fields = row.split_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?.parse().ok()?;
    if state != "0A" {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    Some((
        SocketAddr::new(address_of(address)?, u16::from_str_radix(port, 16).ok()?),
        inode,
    ))
}

/// Addresses stand there as words in the byte order of the machine, which is little-endian on both
/// architectures this is built for.
fn address_of(hex: &str) -> Option<IpAddr> {
    let words: Vec<u32> = hex
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok())
        .collect::<Option<_>>()?;
    match words[..] {
        [v4] if hex.len() == 8 => Some(Ipv4Addr::from(v4.to_le_bytes()).into()),
        [a, b, c, d] if hex.len() == 32 => {
            let mut bytes = [0_u8; 16];
            for (at, word) in [a, b, c, d].into_iter().enumerate() {
                bytes[at * 4..][..4].copy_from_slice(&word.to_le_bytes());
            }
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// The processes that hold the sockets with these inodes.
fn holders(host: &Host<'_>, wanted: &BTreeSet<u64>) -> Vec<(u64, u32)> {
    let mut found = Vec::new();
    let Ok(processes) = std::fs::read_dir(host.path("/proc")) else {
        return found;
    };
    for process in processes.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        for file in files.flatten() {
            let Ok(target) = std::fs::read_link(file.path()) else {
                continue;
            };
            let inode = target
                .to_str()
                .and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(inode) = inode.filter(|inode| wanted.contains(inode)) {
                found.push((inode, pid));
            }
        }
        if found.len() == wanted.len() {
            break;
        }
    }
    found
}

/// The service or scope in a `/proc/PID/cgroup`: `0::/system.slice/x.service`, or the `name=systemd`
/// line of the older layout.
fn unit_in(cgroup: &str) -> Option<String> {
    let paths = cgroup.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        (id == "0" || controllers == "name=systemd").then_some(path)
    });
    let mut units = paths
        .flat_map(|path| path.rsplit('/'))
        .filter(|part| part.ends_with(".service"));
    units.next().map(one_line)
}

/// The container a `/proc/PID/cgroup` tells of: Docker, podman and containerd put the 64 hexadecimal
/// digits of its id into the path (`docker-ID.scope`, `/docker/ID`, `libpod-ID.scope`).
pub(crate) fn container_in(cgroup: &str) -> Option<String> {
    let is_id = |word: &&str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let id = cgroup.split(|c: char| !c.is_ascii_alphanumeric()).find(is_id)?;
    Some(id[..12].to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:238C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:238C 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20 4 30 10 -1";

    #[test]
    fn only_listening_sockets_count() {
        let found: Vec<_> = TCP.lines().filter_map(listening).collect();
        assert_eq!(found, [("127.0.0.1:9100".parse().unwrap(), 4711)]);
        assert_eq!(
            address_of("00000000000000000000000000000000"),
            Some(Ipv6Addr::UNSPECIFIED.into())
        );
        assert_eq!(
            address_of("0000000000000000FFFF00000100007F"),
            Some(Ipv4Addr::LOCALHOST.into())
        );
    }

    #[test]
    fn the_unit_is_read_from_either_layout() {
        let unified = "0::/system.slice/grafana-server.service\n";
        let hybrid = "12:pids:/system.slice/x\n1:name=systemd:/system.slice/grafana-server.service\n0::/\n";
        for text in [unified, hybrid] {
            assert_eq!(unit_in(text).as_deref(), Some("grafana-server.service"));
        }
        assert_eq!(unit_in("0::/user.slice/user-0.slice/session-1.scope"), None);
    }

    #[test]
    fn a_container_is_read_from_its_control_group() {
        let id = "0123456789abcdef".repeat(4);
        for text in [
            format!("0::/system.slice/docker-{id}.scope"),
            format!("5:cpu:/docker/{id}\n"),
        ] {
            assert_eq!(container_in(&text).as_deref(), Some("0123456789ab"));
        }
        assert_eq!(container_in("0::/system.slice/x.service"), None);
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_parser(text in "(?s).{0,120}", hex in "[0-9a-fA-Fé]{0,33}") {
            let _ = listening(&text);
            let _ = unit_in(&text);
            let _ = address_of(&hex);
        }
    }
}
