//! Links that should be up. A port its operator disabled is meant to be down (`phys_state` 3).

use aami_inventory::{Host, infiniband};

use super::{Report, Status, worst};

pub(super) fn run(host: &Host<'_>) -> Report {
    let ports = infiniband::ports(host);
    let mut findings = Vec::new();
    let mut values = Vec::new();
    for port in &ports {
        let name = format!("{} port {}", port.device, port.port);
        let physical = port.physical_state.as_deref();
        if physical == Some("Disabled") {
            continue;
        }
        let is_active = port.state.as_deref() == Some("ACTIVE");
        values.push((port, is_active));
        match (port.state.as_deref(), physical) {
            (Some("ACTIVE"), _) => {}
            // A driver that does not answer says nothing about the link.
            (None, _) => findings.push((Status::Unknown, format!("{name} does not say how it is"))),
            // There is light, and no way through: no subnet manager, or a cable on its way out.
            (Some(state), Some("LinkUp")) => findings.push((Status::Critical, format!("{name} is {state}"))),
            (Some(state), physical) => {
                let physical = physical.unwrap_or("unknown");
                findings.push((Status::Warning, format!("{name} is {state} ({physical})")));
            }
        }
    }
    let well = format!("{} links are up", values.iter().filter(|(_, up)| *up).count());
    let mut report = worst(findings, &well);
    for (port, is_active) in values {
        let number = port.port.to_string();
        let labels = [("device", port.device.as_str()), ("port", number.as_str())];
        report = report.with("port_active", &labels, f64::from(u8::from(is_active)));
        if let Some(rate) = port.rate_gbit {
            report = report.with("port_rate_gbit", &labels, f64::from(rate));
        }
    }
    report
}
