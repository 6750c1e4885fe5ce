//! Where on the PCI bus something sits, in the forms in which drivers and tools write it.

use std::fmt;
use std::str::FromStr;

/// A PCI address, e.g. `0000:3b:00` or `0000:3b:00.0`. Shown as it was written, in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: Option<u8>,
}

/// A text that is no PCI address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no PCI address; one looks like 0000:3b:00.0")]
pub struct NotAnAddress;

impl PciAddress {
    /// The device without its function: what an Xid names, and a GPU is one.
    #[must_use]
    pub const fn device(self) -> Self {
        Self {
            function: None,
            ..self
        }
    }

    /// As sysfs names it: with a function, 0 where none was written.
    #[must_use]
    pub fn in_sysfs(self) -> String {
        Self {
            function: Some(self.function.unwrap_or(0)),
            ..self
        }
        .to_string()
    }

    /// The address a text begins with, and what follows it.
    pub(crate) fn beginning(text: &str) -> Option<(Self, &str)> {
        let (first, text) = hex(text, 8)?;
        let (second, text) = hex(text.strip_prefix(':')?, 2)?;
        // Old drivers left out the domain.
        let (domain, bus, (device, text)) = match text.strip_prefix(':') {
            Some(text) => (first, u8::try_from(second).ok()?, hex(text, 2)?),
            None => (0, u8::try_from(first).ok()?, (second, text)),
        };
        let device = u8::try_from(device).ok().filter(|device| *device < 32)?;
        let (function, text) = match text.strip_prefix('.') {
            Some(text) => {
                let (function, text) = hex(text, 1)?;
                (
                    Some(u8::try_from(function).ok().filter(|function| *function < 8)?),
                    text,
                )
            }
            None => (None, text),
        };
        let address = Self {
            domain,
            bus,
            device,
            function,
        };
        Some((address, text))
    }
}

/// At most `most` hexadecimal digits, at least one.
fn hex(text: &str, most: usize) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    if digits > most {
        return None;
    }
    let (digits, rest) = text.split_at_checked(digits)?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

impl FromStr for PciAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        match Self::beginning(text) {
            Some((address, "")) => Ok(address),
            _ => Err(NotAnAddress),
        }
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}", self.domain, self.bus, self.device)?;
        match self.function {
            Some(function) => write!(f, ".{function}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, shown, in_sysfs) in [
            ("0000:3b:00", "0000:3b:00", "0000:3b:00.0"),
            ("0000:3B:00.0", "0000:3b:00.0", "0000:3b:00.0"),
            ("00000018:01:00.0", "0018:01:00.0", "0018:01:00.0"),
            ("10000:01:1f.7", "10000:01:1f.7", "10000:01:1f.7"),
            ("03:00", "0000:03:00", "0000:03:00.0"),
        ] {
            let address: PciAddress = text.parse().unwrap();
            assert_eq!(
                (address.to_string().as_str(), address.in_sysfs().as_str()),
                (shown, in_sysfs)
            );
        }
        let one: PciAddress = "0000:3b:00.0".parse().unwrap();
        assert_eq!(one.device(), "0000:3b:00".parse().unwrap());
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            ":",
            "3b",
            "0000:3b:",
            "0000:3b:00.",
            "0000:3b:00.8",
            "0000:3b:20",
            "0000:3b:00 ",
            "0000:3bb:00",
            "000000000:3b:00",
            "0000:3b:00.0.0",
            "é:3b:00",
            "-1:00:00",
        ] {
            assert_eq!(text.parse::<PciAddress>(), Err(NotAnAddress), "{text:?}");
        }
    }
}
