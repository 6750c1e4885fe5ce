//! NVIDIA: `nvidia-smi`, asked once, for fields that every driver since 2013 knows. One unknown
//! field name fails the whole question, so nothing newer is asked for here.

use super::{Gpu, ToolAnswer, Vendor, measured, pci_address, tool};
use crate::error::{Warning, one_line};
use crate::host::Host;

const QUESTION: [&str; 2] = [
    "--query-gpu=index,uuid,pci.bus_id,name,serial,driver_version,memory.total",
    "--format=csv",
];

pub(super) fn ask(host: &Host<'_>, hardware_is_there: bool) -> ToolAnswer {
    let output = match tool(host, hardware_is_there, "nvidia-smi", &QUESTION) {
        Ok(output) => output,
        Err(warning) => return (Vec::new(), warning.into_iter().collect()),
    };
    let (gpus, mut complaints) = parse(&output.stdout);
    // Exit status 6 is "nothing found", which is an answer (nvidia-smi(1), RETURN VALUE).
    if output.status != Some(0) && output.status != Some(6) && complaints.is_empty() {
        let said = [&output.stdout, &output.stderr]
            .into_iter()
            .map(|text| one_line(text))
            .find(|line| !line.is_empty())
            .unwrap_or_else(|| "nothing".to_owned());
        complaints.push(said);
    }
    let status = output.status.map_or("a signal".to_owned(), |n| n.to_string());
    let warnings = complaints
        .into_iter()
        .map(|said| Warning::tool(explain(&said, &status)))
        .collect();
    (gpus, warnings)
}

/// What the tool said, with what it means where that is known.
fn explain(said: &str, status: &str) -> String {
    if said.contains("Driver/library version mismatch") {
        return format!(
            "nvidia-smi: {said} (the kernel module is older than the library since an upgrade: reload \
             the module or reboot)"
        );
    }
    if said.contains("couldn't communicate with the NVIDIA driver") {
        return format!("nvidia-smi: {said} (the kernel module is not loaded)");
    }
    format!("nvidia-smi: {said} (exit status {status})")
}

/// Reads `--format=csv` with or without its header: `, ` between cells, no quoting. Lines that are
/// no row (one GPU's error among the others) come back as complaints.
fn parse(text: &str) -> (Vec<Gpu>, Vec<String>) {
    let columns = text.lines().find_map(|line| Columns::of_header(&cells(line)));
    let columns = columns.unwrap_or(Columns::ASKED);
    let (rows, complaints) = table(text, columns.width);
    (rows.iter().map(|row| columns.row(row)).collect(), complaints)
}

fn cells(line: &str) -> Vec<&str> {
    line.split(',').map(str::trim).collect()
}

/// What `nvidia-smi --query-gpu=index,… --format=csv` printed, whatever its exit status: the cells of each row that is
/// as wide as what was asked for, and the lines that are no row. One lost GPU makes it fail, with an error in that
/// GPU's place and rows for the others.
pub fn table(text: &str, width: usize) -> (Vec<Vec<&str>>, Vec<String>) {
    let (mut rows, mut complaints) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let row = cells(line);
        if row.len() == width && row[0].parse::<u32>().is_ok() {
            rows.push(row);
        } else if row[0] != "index" && !line.contains("No devices were found") {
            complaints.push(one_line(line));
        }
    }
    (rows, complaints)
}

/// Where each field stands in a row.
#[derive(Clone, Copy)]
struct Columns {
    uuid: Option<usize>,
    address: Option<usize>,
    name: Option<usize>,
    serial: Option<usize>,
    driver: Option<usize>,
    memory: Option<usize>,
    /// How many cells a row has.
    width: usize,
}

impl Columns {
    /// The order of [`QUESTION`].
    const ASKED: Self = Self {
        uuid: Some(1),
        address: Some(2),
        name: Some(3),
        serial: Some(4),
        driver: Some(5),
        memory: Some(6),
        width: 7,
    };

    /// Whether these cells are a header; its names may carry units (`memory.total [MiB]`).
    fn of_header(cells: &[&str]) -> Option<Self> {
        let at = |name: &str| {
            cells
                .iter()
                .position(|cell| cell.split_whitespace().next() == Some(name))
        };
        at("index").and(at("uuid"))?;
        Some(Self {
            uuid: at("uuid"),
            address: at("pci.bus_id"),
            name: at("name"),
            serial: at("serial"),
            driver: at("driver_version"),
            memory: at("memory.total"),
            width: cells.len(),
        })
    }

    fn row(&self, cells: &[&str]) -> Gpu {
        let cell = |at: Option<usize>| at.and_then(|at| measured(cells.get(at)?)).map(one_line);
        Gpu {
            vendor: Vendor::Nvidia,
            uuid: cell(self.uuid),
            pci_address: cell(self.address).and_then(|text| pci_address(&text)),
            model: cell(self.name).map(|name| short_model(&name)),
            serial: cell(self.serial),
            driver: cell(self.driver),
            memory_bytes: cell(self.memory).and_then(|text| mebibytes(&text)),
        }
    }
}

/// `143771 MiB`, or `143771` under `nounits`.
fn mebibytes(text: &str) -> Option<u64> {
    let number = text.strip_suffix("MiB").unwrap_or(text).trim();
    number.parse::<u64>().ok()?.checked_mul(1024 * 1024)
}

/// `NVIDIA H100 80GB HBM3` is `H100 80GB HBM3`: the vendor has a label of its own.
pub(super) fn short_model(name: &str) -> String {
    name.strip_prefix("NVIDIA ").unwrap_or(name).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_are_found_by_the_header_whatever_was_asked() {
        let (gpus, complaints) = parse(include_str!(
            "../../tests/fixtures/nvidia_smi_query_gpu_h200.csv.txt"
        ));
        assert_eq!(complaints, Vec::<String>::new());
        assert_eq!(gpus.len(), 8);
        assert_eq!(gpus[0].model.as_deref(), Some("H200"));
        assert_eq!(gpus[0].pci_address.as_deref(), Some("0000:18:00.0"));
        assert_eq!(gpus[0].memory_bytes, Some(143_771 * 1024 * 1024));
        assert_eq!(gpus[0].driver.as_deref(), Some("590.48.01"));
    }

    #[test]
    fn a_consumer_card_without_serial_is_read() {
        let (gpus, _) = parse(include_str!(
            "../../tests/fixtures/nvidia_smi_query_gpu_consumer.csv.txt"
        ));
        assert_eq!(gpus.len(), 2);
        assert_eq!(gpus[1].model.as_deref(), Some("GeForce RTX 4090"));
        assert_eq!(gpus[1].serial, None);
    }

    #[test]
    fn one_lost_gpu_does_not_lose_the_others() {
        let text = "index, uuid, pci.bus_id, name, serial, driver_version, memory.total [MiB]\n\
                    0, GPU-a, 00000000:07:00.0, NVIDIA A100-SXM4-80GB, 16, 535.183.06, 81920 MiB\n\
                    2, [Unknown Error], 00000000:47:00.0, [Unknown Error], [N/A], 535.183.06, [Unknown Error]\n\
                    Unable to determine the device handle for gpu 0000:3A:00.0: Unknown Error\n";
        let (gpus, complaints) = parse(text);
        assert_eq!(gpus.len(), 2);
        assert_eq!(gpus[1].model, None, "not measured is not a model");
        assert_eq!(gpus[1].pci_address.as_deref(), Some("0000:47:00.0"));
        assert_eq!(
            complaints,
            ["Unable to determine the device handle for gpu 0000:3A:00.0: Unknown Error"]
        );
    }

    #[test]
    fn what_is_not_the_table_is_a_complaint() {
        let (gpus, complaints) = parse("Failed to initialize NVML: Driver/library version mismatch\n");
        assert!(gpus.is_empty());
        assert!(explain(&complaints[0], "18").contains("reload the module or reboot"));
        assert_eq!(parse("No devices were found\n"), (Vec::new(), Vec::new()));
    }

    #[test]
    fn rows_without_a_header_are_not_guessed_at() {
        let (gpus, complaints) = parse(include_str!(
            "../../tests/fixtures/nvidia_smi_query_gpu_noheader_nounits_a100.csv.txt"
        ));
        assert!(gpus.is_empty(), "these rows answer another question");
        assert_eq!(complaints.len(), 4);
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(?s).{0,300}", row in "[0-9]{1,3}(, [^\n]{0,12}){0,9}") {
            let _ = parse(&text);
            let _ = parse(&format!("index, uuid, name, memory.total [MiB]\n{row}\n"));
        }
    }
}
