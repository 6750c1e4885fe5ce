//! What disks say about themselves, by smartmontools: only the disk knows that it is about to fail.

use aami_inventory::{CommandError, Host, disk};
use serde_json::Value;

use super::{Report, Status, worst};

/// At most this many disks are asked in one run.
const MOST: usize = 64;

pub(super) fn run(host: &Host<'_>) -> Report {
    let mut findings = Vec::new();
    let mut values: Vec<(String, &str, f64)> = Vec::new();
    if aami_inventory::system::system(host).container.is_some() {
        return Report::new(Status::Ok, "a container has no disks of its own");
    }
    let disks = disk::disks(host);
    let mut asked = 0;
    for disk in disks.iter().take(MOST) {
        let device = format!("/dev/{}", disk.name);
        let output = match host
            .commands
            .run("smartctl", &["--json", "--health", "--attributes", &device])
        {
            Ok(output) => output,
            Err(CommandError::NotInstalled(_)) => {
                return Report::new(
                    Status::Unknown,
                    "smartctl is not installed (package smartmontools)",
                );
            }
            Err(error) => {
                findings.push((Status::Unknown, format!("{}: {error}", disk.name)));
                continue;
            }
        };
        let Ok(said) = serde_json::from_str::<Value>(&output.stdout) else {
            findings.push((Status::Unknown, format!("{}: smartctl gave no JSON", disk.name)));
            continue;
        };
        // Virtual disks have none, and that is no fault.
        let Some(passed) = said.pointer("/smart_status/passed").and_then(Value::as_bool) else {
            continue;
        };
        asked += 1;
        values.push((disk.name.clone(), "health_passed", f64::from(u8::from(passed))));
        if !passed {
            findings.push((Status::Critical, format!("{} says that it fails", disk.name)));
        }
        read(&said, &disk.name, &mut findings, &mut values);
    }
    let mut report = worst(findings, &format!("{asked} disks say that they are well"));
    for (disk, name, value) in &values {
        report = report.with(name, &[("device", disk)], *value);
    }
    report
}

fn read(
    said: &Value,
    disk: &str,
    findings: &mut Vec<(Status, String)>,
    values: &mut Vec<(String, &'static str, f64)>,
) {
    let number = |path: &str| said.pointer(path).and_then(Value::as_f64);
    if let Some(degrees) = number("/temperature/current") {
        values.push((disk.to_owned(), "temperature_celsius", degrees));
    }
    if let Some(hours) = number("/power_on_time/hours") {
        values.push((disk.to_owned(), "power_on_hours", hours));
    }
    // NVMe: a mask whose every bit is bad news (NVM Express, SMART log, byte 0).
    let log = "/nvme_smart_health_information_log";
    if let Some(mask) = number(&format!("{log}/critical_warning")) {
        values.push((disk.to_owned(), "critical_warning", mask));
        if mask != 0.0 {
            findings.push((
                Status::Critical,
                format!("{disk} has the critical warning {mask}"),
            ));
        }
    }
    if let Some(errors) = number(&format!("{log}/media_errors")) {
        values.push((disk.to_owned(), "media_errors", errors));
    }
    if let Some(used) = number(&format!("{log}/percentage_used")) {
        values.push((disk.to_owned(), "wear_percent", used));
        if used >= 100.0 {
            findings.push((
                Status::Warning,
                format!("{disk} is worn out ({used} % of its life)"),
            ));
        }
    }
    // SATA: sectors that were replaced (5) and that wait for it (197).
    let table = said
        .pointer("/ata_smart_attributes/table")
        .and_then(Value::as_array);
    for attribute in table.into_iter().flatten() {
        let name = match attribute.get("id").and_then(Value::as_u64) {
            Some(5) => "reallocated_sectors",
            Some(197) => "pending_sectors",
            _ => continue,
        };
        let Some(raw) = attribute.pointer("/raw/value").and_then(Value::as_f64) else {
            continue;
        };
        values.push((disk.to_owned(), name, raw));
        if name == "pending_sectors" && raw > 0.0 {
            findings.push((
                Status::Warning,
                format!("{disk} has {raw} sectors it cannot read"),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_both_kinds_of_disk_are_read() {
        let nvme = serde_json::json!({
            "temperature": {"current": 41}, "power_on_time": {"hours": 9000},
            "nvme_smart_health_information_log": {"critical_warning": 4, "media_errors": 2, "percentage_used": 101}
        });
        let (mut findings, mut values) = (Vec::new(), Vec::new());
        read(&nvme, "nvme0n1", &mut findings, &mut values);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert_eq!(worst(findings, "").status, Status::Critical);
        assert!(values.contains(&("nvme0n1".to_owned(), "media_errors", 2.0)));

        let sata = serde_json::json!({"ata_smart_attributes": {"table": [
            {"id": 5, "raw": {"value": 8}}, {"id": 197, "raw": {"value": 1}}, {"id": 9}]}});
        let (mut findings, mut values) = (Vec::new(), Vec::new());
        read(&sata, "sda", &mut findings, &mut values);
        assert_eq!(worst(findings, "").status, Status::Warning);
        assert_eq!(values.len(), 2);
    }
}
