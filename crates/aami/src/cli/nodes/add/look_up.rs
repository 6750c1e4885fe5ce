//! The addresses of names, as the system's resolver knows them: many at the same time, and never for ever.
//!
//! A resolver that does not answer takes seconds for every name and cannot be interrupted. So each look-up is a matter
//! of a thread that nobody waits for once the time is up; it ends by itself, or with the program.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aami_config::list::{Addresses, NoAddress};

/// How many names are looked up at the same time.
const AT_ONCE: usize = 64;
/// How long all of them may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Looks up all of these names.
pub(super) fn all(names: &BTreeSet<String>) -> Addresses {
    by(names, address, AT_ONCE, LIMIT)
}

/// Looks them up with `look_up`, so many at the same time; what is not known when the time is up is late.
fn by<F>(names: &BTreeSet<String>, look_up: F, at_once: usize, limit: Duration) -> Addresses
where
    F: Fn(&str) -> Option<IpAddr> + Clone + Send + 'static,
{
    let until = Instant::now() + limit;
    let waiting: Arc<Mutex<VecDeque<String>>> = Arc::new(Mutex::new(names.iter().cloned().collect()));
    let (sender, answers) = channel();
    for _ in 0..at_once.min(names.len()) {
        let (waiting, sender, look_up) = (Arc::clone(&waiting), sender.clone(), look_up.clone());
        let work = move || {
            loop {
                let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(name) = next else { return };
                let found = look_up(&name);
                if sender.send((name, found)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("look-up".to_owned());
        if thread.spawn(work).is_err() {
            // The machine has no more threads; those that there are look up the rest.
            break;
        }
    }
    drop(sender);
    let mut found = Addresses::with_capacity(names.len());
    while found.len() < names.len() {
        match answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok((name, address)) => found.insert(name, address.ok_or(NoAddress::Unknown)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        };
    }
    // Nobody waits for those any more.
    waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    for name in names {
        if !found.contains_key(name) {
            found.insert(name.clone(), Err(NoAddress::Late));
        }
    }
    found
}

/// The address of a name: IPv4 before IPv6.
fn address(name: &str) -> Option<IpAddr> {
    let found: Vec<IpAddr> = (name, 0)
        .to_socket_addrs()
        .ok()?
        .map(|found| found.ip())
        .collect();
    found.iter().find(|ip| ip.is_ipv4()).or(found.first()).copied()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Barrier;

    use super::*;

    fn names(count: u32) -> BTreeSet<String> {
        (0..count).map(|number| format!("gpu{number}")).collect()
    }

    fn number(name: &str) -> Option<IpAddr> {
        let number: u32 = name.strip_prefix("gpu")?.parse().ok()?;
        (number % 100 != 7).then(|| Ipv4Addr::from_bits(0x0a00_0000 + number).into())
    }

    #[test]
    fn twenty_thousand_names_each_have_their_own_address_or_none() {
        let found = by(&names(20_000), number, AT_ONCE, LIMIT);
        assert_eq!(found.len(), 20_000);
        assert_eq!(found["gpu300"], Ok(Ipv4Addr::new(10, 0, 1, 44).into()));
        let unknown = found.values().filter(|one| **one == Err(NoAddress::Unknown));
        assert_eq!(unknown.count(), 200);
    }

    #[test]
    fn many_are_looked_up_at_the_same_time() {
        // Given look-ups that only end when as many others are under way,
        let together = Arc::new(Barrier::new(16));
        let look_up = move |name: &str| {
            together.wait();
            number(name)
        };
        // when there are several rounds of them, then all of them end.
        let found = by(&names(64), look_up, 16, Duration::from_secs(60));
        assert!(
            found.values().all(|one| *one != Err(NoAddress::Late)),
            "{found:?}"
        );
    }

    #[test]
    fn a_resolver_that_does_not_answer_is_not_waited_for() {
        // Given one that hangs on some names,
        let hung = Arc::new(Barrier::new(1_000));
        let look_up = move |name: &str| {
            if name == "gpu1" || name == "gpu2" {
                hung.wait();
            }
            number(name)
        };
        // when the time is up, then these are late and all others are known.
        let begun = Instant::now();
        let found = by(&names(50), look_up, 8, Duration::from_millis(500));
        assert!(begun.elapsed() < Duration::from_secs(20));
        let late: Vec<_> = found
            .iter()
            .filter(|(_, one)| **one == Err(NoAddress::Late))
            .collect();
        assert_eq!(late.len(), 2, "{late:?}");
        assert_eq!(found["gpu3"], Ok(Ipv4Addr::new(10, 0, 0, 3).into()));
    }
}
