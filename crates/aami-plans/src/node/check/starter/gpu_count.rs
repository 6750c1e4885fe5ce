//! A lost GPU vanishes from its exporter's metrics; so what is visible is compared with what was there.

use aami_inventory::Host;
use aami_inventory::gpu;

use super::{Expected, Report, Status};

pub(super) fn run(host: &Host<'_>, expected: &Expected) -> Report {
    let in_container = aami_inventory::system::system(host).container.is_some();
    let found = gpu::gpus(host, in_container);
    let visible = found.count();
    let told: Vec<&str> = found
        .warnings
        .iter()
        .map(|warning| warning.message.as_str())
        .collect();
    let (status, message) = match expected.gpus {
        Some(wanted) if visible < wanted => (
            Status::Critical,
            format!("{visible} of {wanted} GPUs are visible {}", told.join("; ")),
        ),
        Some(wanted) if visible > wanted => (
            Status::Warning,
            format!("{visible} GPUs are visible, and {wanted} were there when this node enrolled"),
        ),
        _ if !told.is_empty() => (Status::Warning, told.join("; ")),
        _ => (Status::Ok, format!("{visible} GPUs")),
    };
    let report = Report::new(status, message).with("gpus_visible", &[], f64::from(visible));
    match expected.gpus {
        Some(wanted) => report.with("gpus_expected", &[], f64::from(wanted)),
        None => report,
    }
}
