//! NVMe controllers by sysfs, which needs no rights: whether they live, and how hot they are.

use aami_inventory::Host;

use super::{Report, Status, worst};

const FOLDER: &str = "/sys/class/nvme";

pub(super) fn run(host: &Host<'_>) -> Report {
    let mut findings = Vec::new();
    let mut values: Vec<(String, &str, f64)> = Vec::new();
    let controllers = host.list(FOLDER);
    for name in &controllers {
        let state = host.read(&format!("{FOLDER}/{name}/state"));
        let is_live = state.as_deref() == Some("live");
        values.push((name.clone(), "live", f64::from(u8::from(is_live))));
        match state.as_deref() {
            Some("live") => {}
            // On its way: a reset or a reconnect.
            Some(state @ ("new" | "resetting" | "connecting")) => {
                findings.push((Status::Warning, format!("{name} is {state}")));
            }
            Some(state) => findings.push((Status::Critical, format!("{name} is {state:.40}"))),
            None => findings.push((Status::Unknown, format!("{name} does not say how it is"))),
        }
        if let Some((now, limit)) = temperature(host, name) {
            values.push((name.clone(), "temperature_celsius", now));
            if limit.is_some_and(|limit| now >= limit) {
                findings.push((
                    Status::Critical,
                    format!("{name} is at {now:.0} degrees Celsius, its limit"),
                ));
            }
        }
    }
    let mut report = worst(findings, &format!("{} controllers live", controllers.len()));
    for (controller, name, value) in &values {
        report = report.with(name, &[("device", controller)], *value);
    }
    report
}

/// The composite temperature and the critical one, in degrees Celsius
/// (kernel, Documentation/hwmon/sysfs-interface.rst: thousandths).
fn temperature(host: &Host<'_>, controller: &str) -> Option<(f64, Option<f64>)> {
    // Under the controller itself, or since 5.5 under its device folder.
    let folders = [
        FOLDER.to_owned() + "/" + controller,
        format!("{FOLDER}/{controller}/device"),
    ];
    let hwmon = folders.iter().find_map(|folder| {
        let inner = format!("{folder}/hwmon");
        let named = host
            .list(&inner)
            .into_iter()
            .map(|name| format!("{inner}/{name}"));
        let beside = host
            .list(folder)
            .into_iter()
            .filter(|name| name.starts_with("hwmon"));
        let beside = beside.map(|name| format!("{folder}/{name}"));
        named
            .chain(beside)
            .find(|path| host.exists(&format!("{path}/temp1_input")))
    })?;
    let degrees = |file: &str| {
        let text = host.read(&format!("{hwmon}/{file}"))?;
        text.parse::<f64>().ok().map(|thousandths| thousandths / 1000.0)
    };
    Some((degrees("temp1_input")?, degrees("temp1_crit")))
}
