//! Explains a log: every Xid and SXid in it, and what each GPU and switch needs now.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use aami_install::render::Colour;
use aami_model::Exit;
use aami_model::finding::Severity;
use aami_xid::log::{Extent, Moment, Seen, Summary, Verdict};
use aami_xid::{Event, Kind, Process, RecoveryAction};
use serde::Serialize;

use super::xid::severity;
use crate::cli::failure::Failure;
use crate::cli::paint::{Paint, painted};
use crate::cli::screen::Screen;
use crate::cli::table::Table;

/// What a log says, to programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    verdict: &'static str,
    devices: Vec<Device>,
    events: Vec<Row>,
    /// Events of further kinds, of which there were too many to tell apart.
    beyond: u64,
    lines: u64,
    bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    device: String,
    is_switch: bool,
    severity: &'static str,
    action: &'static str,
    because: String,
    line: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    kind: &'static str,
    code: u32,
    name: &'static str,
    severity: &'static str,
    device: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu_instance: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compute_instance: Option<u32>,
    count: u64,
    first_line: u64,
    last_line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_when: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_when: Option<String>,
    processes: Vec<String>,
    /// What the words of the line say, where they have to be decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    decoded: Option<Decoded>,
    action: &'static str,
    text: String,
}

/// The words of a line without which its number says little.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Decoded {
    /// Of the Xids 144 to 150.
    Link {
        unit: String,
        is_fatal: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        link: Option<u16>,
        sub_code: u32,
        /// The vendor's name for what to do, where its table has such an event.
        #[serde(skip_serializing_if = "Option::is_none")]
        resolution: Option<&'static str>,
    },
    /// Of an Xid 154.
    Recovery {
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<&'static str>,
        to: &'static str,
    },
}

impl Decoded {
    fn of(event: &Event) -> Option<Self> {
        match &event.kind {
            Kind::Xid {
                nvlink5: Some(told), ..
            } => Some(Self::Link {
                unit: told.unit.clone(),
                is_fatal: told.is_fatal,
                link: told.link,
                sub_code: told.sub_code(),
                resolution: event.link_verdict().map(|verdict| verdict.resolution.name()),
            }),
            Kind::Xid {
                recovery: Some(to),
                recovery_before: from,
                ..
            } => Some(Self::Recovery {
                from: from.map(RecoveryAction::name),
                to: to.name(),
            }),
            Kind::Xid { .. } | Kind::Sxid { .. } | Kind::BusLost => None,
        }
    }
}

impl std::fmt::Display for Decoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link {
                unit,
                is_fatal,
                link,
                sub_code,
                resolution,
            } => {
                write!(f, "{unit} {}", if *is_fatal { "fatal" } else { "nonfatal" })?;
                if let Some(link) = link {
                    write!(f, ", link {link}")?;
                }
                write!(f, ", sub-code {sub_code}: ")?;
                f.write_str(resolution.unwrap_or("in no row of the vendor's table"))
            }
            Self::Recovery { from: Some(from), to } => write!(f, "from {from} to {to}"),
            Self::Recovery { from: None, to } => write!(f, "to {to}"),
        }
    }
}

/// Reads the log and shows what it says; answers 3 when something critical stands.
pub(super) fn explain(screen: &mut Screen, file: &Path) -> Result<Exit, Failure> {
    let mut summary = Summary::default();
    let extent = if file == Path::new("-") {
        read(io::stdin().lock(), &mut summary)
    } else {
        File::open(file).and_then(|log| read(log, &mut summary))
    };
    let extent = extent.map_err(|source| Failure::File {
        path: file.to_owned(),
        doing: "read",
        source,
    })?;
    if screen.format().is_for_programs() {
        screen.show(&Told::of(&summary, extent), |_| Table::of_one())?;
    } else {
        let page = page(&summary, extent, screen.colour());
        screen.write(&page)?;
    }
    Ok(match summary.severity() {
        Some(Severity::Critical) => Exit::NotHealthy,
        Some(Severity::Warning | Severity::Info) | None => Exit::Ok,
    })
}

fn read(log: impl Read, summary: &mut Summary) -> io::Result<Extent> {
    aami_xid::log::read(log, |line| summary.add(line))
}

fn kind(event: &Event) -> &'static str {
    if event.is_sxid() { "SXid" } else { "Xid" }
}

fn process(process: &Process) -> String {
    process.name.as_ref().map_or_else(
        || process.pid.to_string(),
        |name| format!("{name} ({})", process.pid),
    )
}

impl Told {
    fn of(summary: &Summary, extent: Extent) -> Self {
        Self {
            verdict: summary.severity().map_or("nothing", severity),
            devices: summary.verdicts().into_iter().map(Device::of).collect(),
            events: summary.seen().into_iter().map(Row::of).collect(),
            beyond: summary.beyond(),
            lines: extent.lines,
            bytes: extent.bytes,
        }
    }
}

impl Device {
    fn of(verdict: &Verdict) -> Self {
        Self {
            device: verdict.device.to_string(),
            is_switch: verdict.is_switch,
            severity: severity(verdict.severity),
            action: verdict.action(),
            because: because(verdict),
            line: verdict.at.line,
        }
    }
}

/// `Xid 79, GPU has fallen off the bus`.
fn because(verdict: &Verdict) -> String {
    let event = &verdict.deciding;
    format!("{} {}, {}", kind(event), event.code(), event.name())
}

impl Row {
    fn of(seen: &Seen) -> Self {
        let event = &seen.event;
        Self {
            kind: kind(event),
            code: event.code(),
            name: event.name(),
            severity: severity(event.severity()),
            device: event.pci.device().to_string(),
            gpu_instance: event.mig.map(|mig| mig.gpu_instance),
            compute_instance: event.mig.and_then(|mig| mig.compute_instance),
            count: seen.count(),
            first_line: seen.first.line,
            last_line: seen.last.line,
            first_when: seen.first.when.clone(),
            last_when: seen.last.when.clone(),
            processes: seen.processes.iter().map(process).collect(),
            decoded: Decoded::of(event),
            action: event.action(),
            text: event.line.clone(),
        }
    }
}

fn page(summary: &Summary, extent: Extent, colour: Colour) -> String {
    let lines = format!(
        "{} line{}",
        extent.lines,
        if extent.lines == 1 { "" } else { "s" }
    );
    let seen = summary.seen();
    if seen.is_empty() {
        return format!("No Xid and no SXid in {lines}.\n");
    }
    let mut headings = vec![
        "LINE", "WHEN", "GPU", "CODE", "SEVERITY", "TIMES", "WHAT", "PROCESS",
    ];
    if seen.iter().any(|one| Decoded::of(&one.event).is_some()) {
        headings.push("DECODED");
    }
    let mut table = Table::new(&headings, "nothing");
    for one in &seen {
        let row = Row::of(one);
        table.row([
            row.first_line.to_string(),
            when(&one.first, &one.last),
            device(&row),
            format!("{} {}", row.kind, row.code),
            row.severity.to_owned(),
            row.count.to_string(),
            row.name.to_owned(),
            row.processes.join(", "),
            row.decoded.as_ref().map_or_else(String::new, ToString::to_string),
        ]);
        table.paint(4, Paint::of(one.event.severity()));
    }
    let mut page = format!("{}\n", table.in_colour(colour));
    if summary.beyond() > 0 {
        page.push_str(&format!(
            "And {} more of further kinds, too many to tell apart.\n\n",
            summary.beyond()
        ));
    }
    let verdicts = summary.verdicts();
    let shown = |grave| painted(severity(grave), Paint::of(grave), colour);
    let worst = (summary.severity()).map_or_else(|| "nothing stands".to_owned(), shown);
    page.push_str(&format!("Verdict over {lines}: {worst}\n"));
    for verdict in verdicts {
        page.push_str(&format!(
            "  {} {}: {}: {} ({}, line {})\n",
            if verdict.is_switch { "switch" } else { "GPU" },
            verdict.device,
            shown(verdict.severity),
            verdict.action(),
            because(verdict),
            verdict.at.line,
        ));
    }
    page.push_str("\n`aami explain xid NUMBER` tells more of each.\n");
    page
}

fn device(row: &Row) -> String {
    let mut device = row.device.clone();
    if let Some(instance) = row.gpu_instance {
        device.push_str(&format!(" MIG {instance}"));
    }
    if let Some(instance) = row.compute_instance {
        device.push_str(&format!("/{instance}"));
    }
    device
}

fn when(first: &Moment, last: &Moment) -> String {
    match (&first.when, &last.when) {
        (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
        (Some(first), _) => first.clone(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(log: &str) -> (Summary, Extent) {
        let mut summary = Summary::default();
        let extent = read(log.as_bytes(), &mut summary).unwrap();
        (summary, extent)
    }

    #[test]
    fn a_log_as_people_see_it() {
        let log = "\
[    1.000000] NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.95.05
[  812.004411] NVRM: Xid (PCI:0000:18:00): 13, pid=41201, name=python3, Graphics SM Warp Exception
[  812.004529] NVRM: Xid (PCI:0000:18:00): 13, pid=41202, name=python3, Graphics Exception
[ 1300.000000] NVRM: Xid (PCI:0000:ab:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.
[ 1300.000050] NVRM: GPU 0000:ab:00.0: GPU has fallen off the bus.
[ 1300.000500] NVRM: Xid (PCI:0000:ab:00): 154, pid='<unknown>', name=<unknown>, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)
[ 1700.000001] NVRM: Xid (PCI:0000:3a:00 GPU-I:01 GPU-CI:00): 94, pid=80001, name=python3, Contained: SM (0x1). RST: No, D-RST: No
[ 1800.000001] NVRM: Xid (PCI:0018:01:00): 150, MSE_WATCHDOG Fatal XC0 i0 Link 08 (0x00000000 0x00000000 0x00000000 0x00000000 0x00000000 0x00000000)
[ 2000.000002] nvidia-nvswitch0: SXid (PCI:0000:c4:00.0): 20034, Fatal, Link 30 LTSSM Fault Up
";
        let (summary, extent) = summary(log);
        insta::assert_snapshot!(page(&summary, extent, Colour::Never));
    }

    #[test]
    fn a_healthy_log_says_so() {
        let (summary, extent) = summary("[ 0.0] Linux version 6.8\n[ 1.0] all is well\n");
        assert_eq!(
            page(&summary, extent, Colour::Never),
            "No Xid and no SXid in 2 lines.\n"
        );
    }
}
