//! How many connections each address holds.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections by address. One IPv6 host has a whole /64 to itself, so that counts as one address.
#[derive(Clone)]
pub(super) struct Crowd {
    most: usize,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection's place; given back when dropped.
pub(super) struct Place {
    crowd: Crowd,
    address: IpAddr,
}

fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Crowd {
    /// At most so many connections an address.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            held: Arc::default(),
        }
    }

    /// A place for one more from there; `None` when that address has as many as it may.
    pub(super) fn place(&self, address: IpAddr) -> Option<Place> {
        let address = counted(address);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place {
            crowd: self.clone(),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.crowd.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                held.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_takes_no_more_than_its_share_and_leaves_nothing_behind() {
        let crowd = Crowd::new(2);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let one = crowd.place(address("192.0.2.1")).unwrap();
        let _two = crowd.place(address("::ffff:192.0.2.1")).unwrap();
        assert!(crowd.place(address("192.0.2.1")).is_none());
        assert!(crowd.place(address("192.0.2.2")).is_some());
        drop(one);
        assert!(crowd.place(address("192.0.2.1")).is_some());

        let six: Vec<Place> = ["2001:db8::1", "2001:db8::2"]
            .iter()
            .map(|text| crowd.place(address(text)).unwrap())
            .collect();
        assert!(crowd.place(address("2001:db8::3")).is_none());
        assert!(crowd.place(address("2001:db8:0:1::3")).is_some());
        drop(six);
        drop(_two);
        assert!(crowd.held.lock().unwrap().is_empty());
    }
}
