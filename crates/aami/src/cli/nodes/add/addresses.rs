//! As many addresses as there are names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aami_model::nodeset::NodeSet;

use crate::cli::failure::Failure;

/// `10.0.0.7` for one node, `10.0.0.[1-128]` for 128, `10.0.0.1+` for as many as there are from there on.
pub(super) fn of(text: &str, count: usize) -> Result<Vec<IpAddr>, Failure> {
    let parse = |text: &str| {
        text.parse::<IpAddr>()
            .map_err(|_| Failure::invalid(format!("--ip: {text:?} is no IPv4 or IPv6 address")))
    };
    if let Some(first) = text.strip_suffix('+') {
        return from(parse(first)?, count);
    }
    // A colon in brackets is no range: an IPv6 address alone is taken as it is.
    if let Ok(address) = text.parse::<IpAddr>() {
        return counted(vec![address], count);
    }
    let set = NodeSet::parse(text, count.saturating_mul(2).max(1_000)).map_err(|error| {
        Failure::invalid(format!(
            "--ip: {text:?} is no address, and no range of them: {error}"
        ))
    })?;
    let addresses = set.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    counted(addresses, count)
}

fn counted(addresses: Vec<IpAddr>, count: usize) -> Result<Vec<IpAddr>, Failure> {
    if addresses.len() == count {
        return Ok(addresses);
    }
    let have = match addresses.len() {
        1 => "1 address".to_owned(),
        many => format!("{many} addresses"),
    };
    let nodes = if count == 1 { "node" } else { "nodes" };
    let way = match addresses.first() {
        Some(first) if addresses.len() == 1 => format!("; {first}+ counts on from there"),
        _ => String::new(),
    };
    Err(Failure::invalid(format!("--ip: {have} for {count} {nodes}{way}")))
}

/// `count` addresses from `first` on.
fn from(first: IpAddr, count: usize) -> Result<Vec<IpAddr>, Failure> {
    let end = || Failure::invalid(format!("--ip: there are no {count} addresses from {first} on"));
    (0..count)
        .map(|number| {
            Some(match first {
                IpAddr::V4(ip) => {
                    let number = u32::try_from(number).ok()?;
                    IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits().checked_add(number)?))
                }
                IpAddr::V6(ip) => {
                    let number = u128::try_from(number).ok()?;
                    IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits().checked_add(number)?))
                }
            })
        })
        .collect::<Option<_>>()
        .ok_or_else(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, count: usize) -> Vec<String> {
        of(text, count).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn as_many_addresses_as_names() {
        assert_eq!(texts("10.0.0.7", 1), ["10.0.0.7"]);
        assert_eq!(texts("2001:db8::7", 1), ["2001:db8::7"]);
        assert_eq!(texts("10.0.0.[9-11]", 3), ["10.0.0.9", "10.0.0.10", "10.0.0.11"]);
        assert_eq!(texts("10.0.0.254+", 3), ["10.0.0.254", "10.0.0.255", "10.0.1.0"]);
        assert_eq!(texts("2001:db8::ff+", 2), ["2001:db8::ff", "2001:db8::100"]);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_way_out() {
        for (text, count, said) in [
            ("10.0.0.7", 3, "10.0.0.7+ counts on"),
            ("10.0.0.[1-4]", 3, "4 addresses for 3 nodes"),
            ("10.0.0.[1-300]", 300, "10.0.0.256"),
            ("255.255.255.255+", 2, "no 2 addresses"),
            ("gpu-01", 1, "gpu-01"),
            ("", 1, "\"\""),
            ("10.0.0.[1-999999999]", 2, "stands for more"),
        ] {
            let failure = of(text, count).unwrap_err().to_string();
            assert!(failure.contains(said), "{text}: {failure}");
        }
    }
}
