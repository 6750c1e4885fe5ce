//! Token buckets by client address, in a table of bounded size.
//!
//! Two kinds of requests are limited: those to open routes, and those that failed to sign in. Working
//! credentials are never limited here, so a whole fleet behind one address enrols undisturbed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many addresses are remembered.
const MOST_ADDRESSES: usize = 65_536;

/// One bucket an address.
pub(crate) struct Limiter {
    rate: f64,
    burst: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

/// What is left of a burst that refills by a rate.
pub(crate) struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    /// With all of its burst.
    pub(crate) const fn full(burst: f64, now: Instant) -> Self {
        Self { left: burst, at: now }
    }

    /// Takes one; or says after how long there will be one.
    pub(crate) fn take(&mut self, rate: f64, burst: f64, now: Instant) -> Result<(), Duration> {
        self.refill(rate, burst, now);
        self.has(rate)?;
        self.left -= 1.0;
        Ok(())
    }

    /// Whether nothing is missing: there is nothing to be remembered.
    pub(crate) fn is_full(&self, rate: f64, burst: f64, now: Instant) -> bool {
        self.left + now.saturating_duration_since(self.at).as_secs_f64() * rate >= burst
    }

    fn has(&self, rate: f64) -> Result<(), Duration> {
        if self.left >= 1.0 {
            Ok(())
        } else {
            Err(Duration::from_secs_f64((1.0 - self.left) / rate))
        }
    }

    fn refill(&mut self, rate: f64, burst: f64, now: Instant) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + since * rate).min(burst);
        self.at = now;
    }
}

impl Limiter {
    /// `rate` a second, `burst` at once.
    pub(crate) fn new(rate: f64, burst: f64) -> Self {
        Self {
            rate,
            burst,
            buckets: Mutex::default(),
        }
    }

    /// Takes one; or says after how long there will be one.
    pub(crate) fn take(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        self.with(address, now, |bucket, rate, burst| bucket.take(rate, burst, now))
    }

    /// Whether there is one, without taking it.
    pub(crate) fn has(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        self.with(address, now, |bucket, rate, burst| {
            bucket.refill(rate, burst, now);
            bucket.has(rate)
        })
    }

    fn with<T>(&self, address: IpAddr, now: Instant, act: impl FnOnce(&mut Bucket, f64, f64) -> T) -> T {
        let address = network_of(address);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST_ADDRESSES && !buckets.contains_key(&address) {
            // A full bucket remembers nothing; when that frees none, everybody starts anew rather than
            // the table growing.
            let (rate, burst) = (self.rate, self.burst);
            buckets.retain(|_, bucket| !bucket.is_full(rate, burst, now));
            if buckets.len() >= MOST_ADDRESSES {
                buckets.clear();
            }
        }
        let bucket = buckets
            .entry(address)
            .or_insert_with(|| Bucket::full(self.burst, now));
        act(bucket, self.rate, self.burst)
    }
}

/// A host commands a whole /64 of IPv6 (RFC 4291), so that is what is counted.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let limiter = Limiter::new(10.0, 3.0);
        let start = Instant::now();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..3 {
            assert_eq!(limiter.take(one, start), Ok(()));
        }
        assert_eq!(limiter.take(one, start), Err(Duration::from_millis(100)));
        assert_eq!(limiter.take(one, start + Duration::from_millis(101)), Ok(()));
        assert_eq!(limiter.take("192.0.2.2".parse().unwrap(), start), Ok(()));
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_bucket() {
        let limiter = Limiter::new(1.0, 1.0);
        let now = Instant::now();
        assert_eq!(limiter.take("2001:db8::1".parse().unwrap(), now), Ok(()));
        assert!(limiter.take("2001:db8::2".parse().unwrap(), now).is_err());
    }

    #[test]
    fn the_table_stays_bounded() {
        let limiter = Limiter::new(0.001, 5.0);
        let now = Instant::now();
        for n in 0..(u32::try_from(MOST_ADDRESSES).unwrap() + 10) {
            let _ = limiter.take(IpAddr::V4(n.into()), now);
        }
        assert!(limiter.buckets.lock().unwrap().len() <= MOST_ADDRESSES);
    }
}
