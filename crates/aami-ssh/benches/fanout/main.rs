//! A command on a thousand hosts: this crate beside clush, pssh and ansible, in turn, on the same fleet, in one run.
//!
//! `cargo bench -p aami-ssh --bench fanout`, or with `-- HOSTS` for fewer. The fleet is one process with an SSH
//! server on as many loopback addresses. It is measured twice: with hosts that say at once that the command went well,
//! for a thousand hosts have processors of their own and what they do costs the operator's machine nothing; and with
//! hosts that run each command by a shell, all on this one machine. What the fleet costs is in everybody's time and is
//! told. Everybody signs in with the same key, knows the hosts' key before, and works on the same number of
//! hosts at a time. What is measured is a process from its start to its end.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod drive;
mod fleet;
mod peers;

#[path = "../../../aami-server/benches/fleet/process.rs"]
#[allow(dead_code, reason = "shared with the control plane's benches")]
mod process;
#[path = "../../../aami-server/benches/fleet/report.rs"]
#[allow(dead_code, reason = "shared with the control plane's benches")]
mod report;
#[path = "../../tests/it/server.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
mod server;

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use fleet::Fleet;
use peers::Peer;
use report::{mb, median, row};
use server::Manner;

/// As in `aami`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HOSTS: usize = 1_000;
/// How many at a time, for everybody: what `ssh.max_parallel` is unless it is set.
const PARALLEL: usize = 50;
const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve"] => fleet::serve(Manner::Good),
        ["serve-idle"] => fleet::serve(Manner::Idle),
        ["drive", folder, port, hosts] => drive::drive(folder, port.parse().unwrap(), hosts.parse().unwrap()),
        [] => measure_both(HOSTS),
        [hosts] => measure_both(hosts.parse().unwrap()),
        other => panic!("{other:?}: a number of hosts, or nothing"),
    }
}

/// The address of the host with this number, from 0.
fn address(number: usize) -> Ipv4Addr {
    let [_, a, b, c] = u32::try_from(number + 1).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 64 + a, b, c)
}

/// A process from its start to its end.
struct Round {
    took: Duration,
    /// Processor time of the fleet meanwhile, in seconds.
    fleet: f64,
}

fn measure_both(hosts: usize) {
    println!("| what | measured | wanted | |\n|---|---|---|---|");
    measure(hosts, true);
    measure(hosts, false);
}

/// One table's rows. Where hosts are `idle` the ratio is what is wanted; where all of them share this machine it is told.
fn measure(hosts: usize, idle: bool) {
    let mut fleet = Fleet::start(hosts, idle);
    let manner = if idle {
        "that answer at once"
    } else {
        "that run it, all on this machine"
    };
    let folder = fleet.folder().to_owned();
    let ours = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .arg("drive")
            .arg(&folder)
            .arg(fleet.port().to_string())
            .arg(hosts.to_string());
        command
    };
    let mut contenders: Vec<(&'static str, Command)> = vec![("aami-ssh", ours())];
    for peer in [Peer::Clush, Peer::Pssh, Peer::Ansible] {
        match peer.command(&folder, hosts, PARALLEL) {
            Ok(command) => contenders.push((peer.name(), command)),
            Err(why) => println!("{}: not measured: {why}", peer.name()),
        }
    }
    let mut rounds: Vec<Vec<Round>> = contenders.iter().map(|_| Vec::new()).collect();
    let mut peak = 0;
    // In turn, so that everybody sees the same machine.
    for _ in 0..ROUNDS {
        for (place, (name, command)) in contenders.iter_mut().enumerate() {
            let (round, said) = one(name, command, &mut fleet, hosts);
            if *name == "aami-ssh" {
                peak = peak.max(said.trim().parse().unwrap());
            }
            rounds[place].push(round);
        }
    }
    let times: Vec<f64> = rounds
        .iter()
        .map(|all| median(all.iter().map(|round| round.took.as_secs_f64()).collect()))
        .collect();
    for ((name, _), (time, all)) in contenders.iter().zip(times.iter().zip(&rounds)) {
        let of_the_fleet = median(all.iter().map(|round| round.fleet).collect());
        println!(
            "| `true` on {hosts} hosts {manner}, by {name}, {PARALLEL} at a time | {time:.2} s, of the fleet {of_the_fleet:.2} s \
             of processor time | | |"
        );
    }
    if let Some(fastest) = times[1..].iter().copied().min_by(f64::total_cmp) {
        let ratio = fastest / times[0];
        let what = format!("`true` on {hosts} hosts {manner}, against the fastest of the others");
        if idle {
            row(
                &what,
                &format!("ratio {ratio:.1}"),
                "ratio at least 5",
                ratio >= 5.0,
            );
        } else {
            println!("| {what} | ratio {ratio:.1} | | |");
        }
    }
    row(
        "the most memory of it",
        &format!("{:.0} MB", mb(peak)),
        "under 100 MB",
        peak < 100_000_000,
    );
}

/// Runs one of them, and holds that every host ran the command once.
fn one(name: &str, command: &mut Command, fleet: &mut Fleet, hosts: usize) -> (Round, String) {
    let (commands, spent) = (fleet.commands(), fleet.spent());
    let began = Instant::now();
    let output = command.output().unwrap();
    let took = began.elapsed();
    assert!(
        output.status.success(),
        "{name}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        fleet.commands() - commands,
        hosts,
        "{name} did not run it on every host"
    );
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let fleet = (fleet.spent() - spent) as f64 / 100.0;
    (
        Round { took, fleet },
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}
