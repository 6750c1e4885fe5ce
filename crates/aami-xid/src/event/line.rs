//! Takes one line of the driver apart.
//!
//! The form is the driver's `printf`, and grew with its branches:
//!
//! - `NVRM: Xid (0000:03:00): 13, 0003 ...`, without `PCI:`
//! - `NVRM: Xid (PCI:0000:3b:00): 31, Ch 00000010, ...`, without a process
//! - `NVRM: Xid (PCI:0000:3b:00): 31, pid=41202, name=python3, Ch 00000008, ...`
//! - `NVRM: Xid (PCI:0000:3b:00 GPU-I:01 GPU-CI:00): 94, pid='<unknown>', name=<unknown>, ...`
//!
//! A line counts from its first letter on, and only up to the first line break: in between and behind stands text that
//! processes can choose.

use aami_model::finding::LONGEST_TEXT;

use super::{Event, Kind, Mig, Process, RecoveryAction};
use crate::nvlink5;
use crate::pci::PciAddress;
use crate::plain::plain;

/// More of a line is not looked at; the kernel's own limit is lower.
const LONGEST_LINE: usize = 8192;
/// The longest name of a process that is kept; the kernel's own limit is 15.
const LONGEST_NAME: usize = 32;
/// What the driver prints where there is no process.
const UNKNOWN: &str = "<unknown>";

/// The event of a message that begins with its first letter.
pub(super) fn event(message: &str) -> Option<Event> {
    let message = &message[..message.floor_char_boundary(LONGEST_LINE)];
    let first_line = message.lines().next()?.trim_end();
    if let Some(rest) = first_line.strip_prefix("NVRM: Xid (") {
        return xid(rest, message);
    }
    if let Some(rest) = message.strip_prefix("NVRM: ") {
        return bus_lost(rest);
    }
    sxid(first_line.strip_prefix("nvidia-nvswitch")?, message)
}

/// A line of `dmesg` without its level and time: `<3>[   12.345678][ T1234] text`.
pub(super) fn without_time(line: &str) -> &str {
    let mut text = line;
    if let Some((level, rest)) = text.strip_prefix('<').and_then(|rest| rest.split_once('>'))
        && level.len() <= 3
        && level.bytes().all(|byte| byte.is_ascii_digit())
    {
        text = rest;
    }
    let is_time = |inside: &str| {
        inside.len() <= 32
            && inside
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'.' | b'T' | b'C'))
    };
    while let Some((inside, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        && is_time(inside)
    {
        text = rest.trim_start_matches(' ');
    }
    text
}

/// What follows `NVRM: Xid (`.
fn xid(text: &str, message: &str) -> Option<Event> {
    let (pci, text) = PciAddress::beginning(text.strip_prefix("PCI:").unwrap_or(text))?;
    let (mig, text) = mig(text)?;
    let (code, text) = code(text.strip_prefix("): ")?)?;
    let (process, text) = process(text);
    let caused_by = text
        .rsplit_once(" caused by previous Xid ")
        .and_then(|(_, number)| number.trim_end_matches('.').parse().ok());
    let nvlink5 = nvlink5::CODES.contains(&code).then(|| told(text)).flatten();
    let changed = (code == 154).then(|| recovery(text)).flatten();
    Some(Event {
        kind: Kind::Xid {
            code,
            nvlink5,
            recovery: changed.map(|(_, to)| to),
            recovery_before: changed.and_then(|(from, _)| from),
        },
        pci,
        mig,
        process,
        caused_by,
        line: plain(message, LONGEST_TEXT),
        branch: None,
    })
}

/// ` GPU-I:01 GPU-CI:00`, both, the first or neither. `None` where something else stands there.
fn mig(text: &str) -> Option<(Option<Mig>, &str)> {
    let Some(rest) = text.strip_prefix(" GPU-I:") else {
        return Some((None, text));
    };
    let (gpu_instance, rest) = number(rest)?;
    let (compute_instance, rest) = match rest.strip_prefix(" GPU-CI:") {
        Some(rest) => {
            let (instance, rest) = number(rest)?;
            (Some(instance), rest)
        }
        None => (None, rest),
    };
    let mig = Mig {
        gpu_instance,
        compute_instance,
    };
    Some((Some(mig), rest))
}

/// A code and what follows its comma.
fn code(text: &str) -> Option<(u32, &str)> {
    let (code, rest) = number(text)?;
    let ends = rest.is_empty() || rest.starts_with([',', ' ']);
    ends.then(|| (code, rest.strip_prefix(',').unwrap_or(rest).trim_start()))
}

/// A decimal number of at most ten digits.
fn number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(digits)?;
    Some((digits.parse().ok()?, rest))
}

/// `pid=1, name=a,b, ` and what follows. Names are not quoted and may hold commas; what ends one is a comma and a space.
fn process(text: &str) -> (Option<Process>, &str) {
    let Some(rest) = text.strip_prefix("pid=") else {
        return (None, text);
    };
    let (pid, rest) = rest.split_once(',').unwrap_or((rest, ""));
    let rest = rest.trim_start();
    let (name, rest) = match rest.strip_prefix("name=") {
        Some(name) => name.split_once(", ").unwrap_or((name, "")),
        None => ("", rest),
    };
    let name = Some(name)
        .filter(|name| !name.is_empty() && *name != UNKNOWN)
        .map(|name| plain(name, LONGEST_NAME));
    let process = pid.parse().ok().map(|pid| Process { pid, name });
    (process, rest)
}

/// `RLW_REMAP Nonfatal XC0 i0 Link 03 (0x00000004 0x80000000 ...)`.
fn told(text: &str) -> Option<nvlink5::Told> {
    let words = [(" Fatal ", true), (" Nonfatal ", false), (" Non-fatal ", false)];
    let (unit, is_fatal, rest) = words
        .into_iter()
        .find_map(|(word, is_fatal)| text.split_once(word).map(|(unit, rest)| (unit, is_fatal, rest)))?;
    let (before, registers) = rest.split_once('(')?;
    let mut registers = registers.trim_end_matches(')').split(' ').map(register);
    Some(nvlink5::Told {
        unit: plain(unit, LONGEST_NAME),
        is_fatal,
        link: link(before),
        interrupt: registers.next()??,
        // A line that was cut has no second; 0 is what it mostly is.
        status: registers.next().flatten().unwrap_or(0),
    })
}

fn register(word: &str) -> Option<u32> {
    u32::from_str_radix(word.trim_end_matches(')').strip_prefix("0x")?, 16).ok()
}

/// The number behind the first ` Link ` or at the beginning.
fn link(text: &str) -> Option<u16> {
    let rest = text
        .strip_prefix("Link ")
        .or_else(|| text.split_once(" Link ").map(|(_, rest)| rest))?;
    u16::try_from(number(rest)?.0).ok()
}

/// `GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)`.
fn recovery(text: &str) -> Option<(Option<RecoveryAction>, RecoveryAction)> {
    let action = |text: &str| {
        let digits = text.split(' ').next()?;
        u32::from_str_radix(digits, 16).ok().map(RecoveryAction::from)
    };
    let rest = text.strip_prefix("GPU recovery action changed from ")?;
    let (from, to) = rest.split_once(") to 0x")?;
    Some((from.strip_prefix("0x").and_then(action), action(to)?))
}

/// What follows `nvidia-nvswitch`.
fn sxid(text: &str, message: &str) -> Option<Event> {
    let (switch, text) = number(text)?;
    let text = text.strip_prefix(": SXid (")?;
    let (pci, text) = PciAddress::beginning(text.strip_prefix("PCI:").unwrap_or(text))?;
    let (code, text) = code(text.strip_prefix("): ")?)?;
    let (is_fatal, text) = match (text.strip_prefix("Fatal, "), text.strip_prefix("Non-fatal, ")) {
        (Some(rest), _) => (Some(true), rest),
        (None, Some(rest)) => (Some(false), rest),
        (None, None) => (None, text),
    };
    Some(Event {
        kind: Kind::Sxid {
            code,
            switch,
            is_fatal,
            link: link(text),
            is_detail: text.starts_with("Severity ") || text.starts_with("Data {"),
        },
        pci,
        mig: None,
        process: None,
        caused_by: None,
        line: plain(message, LONGEST_TEXT),
        branch: None,
    })
}

/// What follows `NVRM: `, where it says that a GPU is gone:
///
/// - `GPU 0000:ab:00.0: GPU has fallen off the bus.`
/// - `GPU at PCI:0000:ab:00.0 has fallen off the bus.`
/// - `The NVIDIA GPU 0000:ba:00.0`, two more lines, the last with `fallen off the bus`
fn bus_lost(text: &str) -> Option<Event> {
    let rest = text.strip_prefix("The NVIDIA ").unwrap_or(text);
    let rest = rest.strip_prefix("GPU ")?;
    let rest = rest.strip_prefix("at ").unwrap_or(rest);
    let (pci, rest) = PciAddress::beginning(rest.strip_prefix("PCI:").unwrap_or(rest))?;
    if !rest.contains("fallen off the bus") {
        return None;
    }
    Some(Event {
        kind: Kind::BusLost,
        pci,
        mig: None,
        process: None,
        caused_by: None,
        line: plain(&format!("NVRM: {text}"), LONGEST_TEXT),
        branch: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Event {
        Event::of_line(line).unwrap_or_else(|| panic!("{line}"))
    }

    #[test]
    fn every_branch_of_the_driver_is_read() {
        for (line, pci, code, pid) in [
            (
                "NVRM: Xid (0000:03:00): 13, 0003 00000000 00008597",
                "0000:03:00",
                13,
                None,
            ),
            (
                "NVRM: Xid (PCI:0000:3b:00.0): 31, Ch 00000010",
                "0000:3b:00.0",
                31,
                None,
            ),
            (
                "NVRM: Xid (PCI:0000:3b:00): 31, pid=7, Ch 00000010",
                "0000:3b:00",
                31,
                Some(7),
            ),
            (
                "NVRM: Xid (PCI:0000:3b:00): 79, pid=9, name=x, gone",
                "0000:3b:00",
                79,
                Some(9),
            ),
            ("NVRM: Xid (PCI:0000:3b:00): 79", "0000:3b:00", 79, None),
            (
                "<3>[ 1234.567890][ T4242] NVRM: Xid (PCI:0000:3b:00): 62, 1a2b",
                "0000:3b:00",
                62,
                None,
            ),
        ] {
            let event = of(line);
            assert_eq!(
                (
                    event.pci.to_string().as_str(),
                    event.code(),
                    event.process.map(|of| of.pid)
                ),
                (pci, code, pid),
                "{line}"
            );
        }
    }

    #[test]
    fn a_bus_lost_without_a_number_is_told_in_three_forms() {
        for line in [
            "NVRM: GPU 0000:ab:00.0: GPU has fallen off the bus.",
            "NVRM: GPU at PCI:0000:ab:00.0 has fallen off the bus.",
            "NVRM: The NVIDIA GPU 0000:ab:00.0\nNVRM: (PCI ID: 10de:2335) installed in this system has\nNVRM: fallen \
             off the bus and is not responding to commands.",
        ] {
            let event = of(line);
            assert_eq!((event.kind.clone(), event.code()), (Kind::BusLost, 79), "{line}");
            assert_eq!(event.pci.in_sysfs(), "0000:ab:00.0");
            assert!(!event.line.contains('\n'));
        }
        assert_eq!(
            Event::of_line("NVRM: GPU 0000:ab:00.0: GPU serial number is 1."),
            None
        );
    }

    #[test]
    fn what_a_process_can_choose_makes_no_event() {
        for line in [
            // Fifteen letters is the longest name of a process, and the kernel prints it first.
            "NVRM: Xid (PCI:[999]: segfault at 0 ip 0 sp 0 error 4 in libc.so",
            "python3[999]: segfault at 0 NVRM: Xid (PCI:0000:3b:00): 79, gone",
            "EXT4-fs (sda1): mounted x\nNVRM: Xid (PCI:0000:3b:00): 79, gone",
            " NVRM: Xid (PCI:0000:3b:00): 79, gone",
            "[NVRM] NVRM: Xid (PCI:0000:3b:00): 79, gone",
            "nvidia-nvswitch: SXid (PCI:0000:05:00.0): 12028, Fatal, x",
            "NVRM: Xid (PCI:0000:3b:00): 79000000000, gone",
            "NVRM: Xid (PCI:0000:3b:00): 7x9, gone",
            "NVRM: Xid (PCI:0000:3b:00 GPU-I:): 79, gone",
            "NVRM: Xid (PCI:0000:3b:00 x): 79, gone",
        ] {
            assert_eq!(Event::of_line(line), None, "{line}");
        }
    }

    #[test]
    fn a_name_with_a_comma_is_one_name() {
        let process = of("NVRM: Xid (PCI:0000:18:00): 999, pid=1, name=a,b, made up")
            .process
            .unwrap();
        assert_eq!((process.pid, process.name.as_deref()), (1, Some("a,b")));
        let hostile = of("NVRM: Xid (PCI:0000:18:00): 43, pid=1, name=\x1b]0;x\x07, Ch 1");
        assert_eq!(hostile.process.unwrap().name.unwrap(), "\u{fffd}]0;x\u{fffd}");
        assert!(!hostile.line.contains('\x1b'), "{}", hostile.line);
    }

    #[test]
    fn a_line_that_was_cut_keeps_what_is_there() {
        let event = of("NVRM: Xid (PCI:0018:01:00): 149, NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x0045");
        let Kind::Xid {
            nvlink5: Some(told), ..
        } = event.kind
        else {
            panic!("{event:?}")
        };
        assert_eq!((told.link, told.interrupt, told.status), (Some(8), 0x45, 0));
        let short = of("NVRM: Xid (PCI:0018:01:00): 149, NETIR_LI");
        assert!(matches!(short.kind, Kind::Xid { nvlink5: None, .. }));
    }
}
