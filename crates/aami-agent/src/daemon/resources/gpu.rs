//! How busy GPUs are: NVIDIA's tool is asked, AMD's driver says it in `/sys`.

use aami_api::link::GpuUse;
use aami_inventory::gpu::{nvidia_table, pci_address};
use aami_inventory::{CommandError, Host};

/// At most this many are told.
const MOST: usize = 64;
/// Fields that every driver since 2013 knows.
const QUESTION: [&str; 2] = [
    "--query-gpu=index,pci.bus_id,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw",
    "--format=csv,noheader,nounits",
];
/// How many those are.
const WIDTH: usize = 7;
/// What stands in the cells of a GPU that answers no more.
const LOST: [&str; 2] = ["[Unknown Error]", "[GPU is lost]"];
/// Vendor numbers of the PCI bus.
const NVIDIA: &str = "0x10de";
const AMD: &str = "0x1002";
const INTEL: &str = "0x8086";

/// The GPUs that can be used now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Visible {
    /// Each with its vendor's name, by address.
    pub(in super::super) gpus: Vec<(&'static str, String)>,
    /// Why that is not known, where it is not.
    pub(in super::super) unknown: Option<String>,
}

impl Visible {
    /// How many there are of a vendor, or of all.
    pub(in super::super) fn count(&self, vendor: Option<&str>) -> usize {
        let is_meant = |gpu: &&(&str, String)| vendor.is_none_or(|vendor| vendor == gpu.0);
        self.gpus.iter().filter(is_meant).count()
    }
}

/// One look at all of them.
pub(super) fn look(host: &Host<'_>) -> (Vec<GpuUse>, Visible) {
    let mut found: Vec<(&'static str, GpuUse)> = Vec::new();
    let mut visible = Visible::default();
    let mut nvidia = Vec::new();
    for address in host.list("/sys/bus/pci/devices") {
        let device = format!("/sys/bus/pci/devices/{address}");
        // Display and 3D controllers, and accelerators (PCI Code and ID Assignment, classes 03 and 12).
        let class = host.read(&format!("{device}/class")).unwrap_or_default();
        if !["0x0300", "0x0302", "0x0380", "0x1200"]
            .iter()
            .any(|kind| class.starts_with(kind))
        {
            continue;
        }
        match host.read(&format!("{device}/vendor")).as_deref() {
            Some(NVIDIA) => nvidia.push(("nvidia", bare(address))),
            Some(AMD) => found.extend(amd(host, &device, &address).map(|gpu| ("amd", gpu))),
            Some(INTEL) => found.push(("intel", bare(address))),
            _ => {}
        }
    }
    if !nvidia.is_empty() {
        match host.commands.run("nvidia-smi", &QUESTION) {
            Ok(output) => {
                let (rows, complaints) = nvidia_table(&output.stdout, WIDTH);
                // 6 is "nothing found", which is an answer (nvidia-smi(1), RETURN VALUE). One lost GPU makes the tool
                // fail: those that it shows beside the error can be used, and that one cannot.
                let is_answer = matches!(output.status, Some(0 | 6)) && complaints.is_empty();
                if rows.is_empty() && !is_answer {
                    visible.unknown = Some(said(&output.stdout, &output.stderr));
                }
                found.extend(
                    rows.iter()
                        .filter_map(|row| usage(row))
                        .map(|gpu| ("nvidia", gpu)),
                );
            }
            // Where nobody can say more than the bus, the bus is believed.
            Err(CommandError::NotInstalled(_)) => found.append(&mut nvidia),
            Err(error) => visible.unknown = Some(error.to_string()),
        }
    }
    found.sort_by(|a, b| a.1.pci.cmp(&b.1.pci));
    visible.gpus = found
        .iter()
        .map(|(vendor, gpu)| (*vendor, gpu.pci.clone()))
        .collect();
    found.truncate(MOST);
    (found.into_iter().map(|(_, gpu)| gpu).collect(), visible)
}

/// A GPU of which nothing is known but where it is.
fn bare(pci: String) -> GpuUse {
    GpuUse {
        pci,
        ..GpuUse::default()
    }
}

fn said(stdout: &str, stderr: &str) -> String {
    let line = [stdout, stderr]
        .into_iter()
        .flat_map(str::lines)
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("nothing");
    let line: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
    format!("nvidia-smi said: {line}")
}

/// A row of the tool: what it does not measure is `[N/A]` or `[Not Supported]`. Nothing of a GPU that is lost.
fn usage(row: &[&str]) -> Option<GpuUse> {
    let mut cells = row.iter().skip(1);
    let pci = pci_address(cells.next()?)?;
    if cells.clone().any(|cell| LOST.contains(cell)) {
        return None;
    }
    let mut number = || -> Option<f32> {
        let number: f32 = cells.next()?.parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number)
    };
    let utilization_percent = number();
    let mebibytes = |number: f32| super::whole(f64::from(number)).saturating_mul(1024 * 1024);
    let memory_used = number().map(mebibytes);
    let memory_total = number().map(mebibytes);
    Some(GpuUse {
        pci,
        utilization_percent,
        memory_used,
        memory_total,
        temperature_celsius: number(),
        power_watts: number(),
    })
}

fn amd(host: &Host<'_>, device: &str, address: &str) -> Option<GpuUse> {
    let number = |file: &str| -> Option<u64> { host.read(&format!("{device}/{file}"))?.parse().ok() };
    // Only where its driver is bound can it be used.
    let memory_total = number("mem_info_vram_total")?;
    let sensors = host.list(&format!("{device}/hwmon"));
    let sensor = |file: &str| number(&format!("hwmon/{}/{file}", sensors.first()?));
    #[expect(clippy::cast_precision_loss, reason = "no digit beyond matters")]
    let scaled = |value: u64, by: f32| value as f32 / by;
    Some(GpuUse {
        pci: address.to_owned(),
        utilization_percent: number("gpu_busy_percent").map(|value| scaled(value.min(100), 1.0)),
        memory_used: number("mem_info_vram_used"),
        memory_total: Some(memory_total),
        temperature_celsius: sensor("temp1_input").map(|value| scaled(value, 1000.0)),
        power_watts: sensor("power1_average").map(|value| scaled(value, 1_000_000.0)),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use aami_inventory::{Commands, Output};

    use super::*;

    /// A tool that ends with this status and says so, or does not answer.
    struct Says(Result<(i32, &'static str), ()>);

    impl Commands for Says {
        fn run(&self, program: &str, _: &[&str]) -> Result<Output, CommandError> {
            match self.0 {
                Ok((status, stdout)) => Ok(Output {
                    status: Some(status),
                    stdout: stdout.to_owned(),
                    stderr: String::new(),
                }),
                Err(()) => Err(CommandError::TimedOut {
                    program: program.to_owned(),
                    limit: std::time::Duration::from_secs(10),
                }),
            }
        }
    }

    fn bus(root: &Path, devices: &[(&str, &str)]) {
        for (address, vendor) in devices {
            let folder = root.join("sys/bus/pci/devices").join(address);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("class"), "0x030200\n").unwrap();
            fs::write(folder.join("vendor"), format!("{vendor}\n")).unwrap();
        }
    }

    fn look_at(root: &Path, commands: &Says) -> (Vec<GpuUse>, Visible) {
        look(&Host {
            root,
            privileged: false,
            commands,
        })
    }

    #[test]
    fn nvidias_tool_is_read_and_what_it_does_not_measure_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        bus(folder.path(), &[("0000:65:00.0", NVIDIA)]);
        let says = Says(Ok((
            0,
            "1, 00000000:B3:00.0, 3, 10, 143771, 30, 90.5\n0, 00000000:65:00.0, 97, 1024, 143771, 71, [N/A]\nnonsense\n",
        )));
        let (gpus, visible) = look_at(folder.path(), &says);
        let at = |address: &str| ("nvidia", address.to_owned());
        assert_eq!(visible.gpus, [at("0000:65:00.0"), at("0000:b3:00.0")]);
        assert_eq!(
            (visible.count(Some("nvidia")), visible.count(Some("amd"))),
            (2, 0)
        );
        assert_eq!(gpus[0].memory_used, Some(1024 * 1024 * 1024));
        assert_eq!((gpus[0].power_watts, gpus[1].power_watts), (None, Some(90.5)));
    }

    #[test]
    fn the_gpus_beside_a_lost_one_can_be_used_although_the_tool_fails() {
        let folder = tempfile::tempdir().unwrap();
        bus(
            folder.path(),
            &[("0000:65:00.0", NVIDIA), ("0000:b3:00.0", NVIDIA)],
        );
        for (status, beside) in [
            (
                15,
                "Unable to determine the device handle for GPU0000:B3:00.0: GPU is lost.",
            ),
            (
                0,
                "1, 00000000:B3:00.0, [Unknown Error], [GPU is lost], [GPU is lost], [N/A], [N/A]",
            ),
        ] {
            let said = format!("0, 00000000:65:00.0, 97, 1024, 143771, 71, [N/A]\n{beside}\n");
            let (_, visible) = look_at(folder.path(), &Says(Ok((status, said.leak()))));
            assert_eq!(visible.gpus, [("nvidia", "0000:65:00.0".to_owned())], "{beside}");
            assert_eq!(visible.unknown, None);
        }
        // Without any row nobody knows.
        for (status, said) in [
            (15, "Unable to determine the device handle: GPU is lost."),
            (18, ""),
        ] {
            let (_, visible) = look_at(folder.path(), &Says(Ok((status, said))));
            assert!(visible.unknown.is_some() && visible.gpus.is_empty(), "{said}");
        }
        let (_, visible) = look_at(folder.path(), &Says(Ok((6, "No devices were found\n"))));
        assert_eq!(visible, Visible::default());
    }

    #[test]
    fn a_tool_that_hangs_is_no_lost_gpu() {
        let folder = tempfile::tempdir().unwrap();
        bus(folder.path(), &[("0000:65:00.0", NVIDIA)]);
        let (gpus, visible) = look_at(folder.path(), &Says(Err(())));
        assert!(gpus.is_empty() && visible.unknown.is_some());
    }

    #[test]
    fn amds_driver_is_read_and_no_tool_is_run() {
        let folder = tempfile::tempdir().unwrap();
        bus(folder.path(), &[("0000:03:00.0", AMD)]);
        let device = folder.path().join("sys/bus/pci/devices/0000:03:00.0");
        fs::create_dir_all(device.join("hwmon/hwmon4")).unwrap();
        for (file, text) in [
            ("mem_info_vram_total", "1000"),
            ("mem_info_vram_used", "10"),
            ("gpu_busy_percent", "42"),
            ("hwmon/hwmon4/temp1_input", "51000"),
        ] {
            fs::write(device.join(file), text).unwrap();
        }
        let (gpus, _) = look_at(folder.path(), &Says(Err(())));
        assert_eq!(gpus[0].temperature_celsius, Some(51.0));
        assert_eq!(gpus[0].utilization_percent, Some(42.0));
    }
}
