//! What the firmware says the machine is.

use serde::Serialize;

use crate::error::one_line;
use crate::host::Host;

/// SMBIOS as the kernel shows it below `/sys/class/dmi/id`. Values that firmware leaves at its
/// placeholders are `None`. UUID and serials are readable by root alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Smbios {
    /// System UUID, lower case.
    pub uuid: Option<String>,
    /// Serial number of the system.
    pub product_serial: Option<String>,
    /// Serial number of the main board.
    pub board_serial: Option<String>,
    /// Serial number of the chassis.
    pub chassis_serial: Option<String>,
    /// Maker.
    pub vendor: Option<String>,
    /// Model.
    pub product: Option<String>,
    /// Firmware version.
    pub bios_version: Option<String>,
}

/// Reads SMBIOS. A container sees its host's, which is not its own: there everything is absent.
pub fn smbios(host: &Host<'_>, in_container: bool) -> Smbios {
    if in_container {
        return Smbios::default();
    }
    let value = |file: &str| {
        let text = host.read(&format!("/sys/class/dmi/id/{file}"))?;
        present(&text)
    };
    Smbios {
        uuid: value("product_uuid").map(|uuid| uuid.to_ascii_lowercase()),
        product_serial: value("product_serial"),
        board_serial: value("board_serial"),
        chassis_serial: value("chassis_serial"),
        vendor: value("sys_vendor"),
        product: value("product_name"),
        bios_version: value("bios_version"),
    }
}

/// What boards carry when nobody has filled the field in. Compared in lower case, by beginning.
const PLACEHOLDERS: [&str; 21] = [
    "to be filled",
    "to be set",
    "not specified",
    "not available",
    "not applicable",
    "not present",
    "not settable",
    "default string",
    "default_string",
    "system serial number",
    "base board serial number",
    "chassis serial number",
    "serial number",
    "system product name",
    "system manufacturer",
    "o.e.m.",
    "oem",
    "invalid",
    "unknown",
    "none",
    "n/a",
];

/// UUIDs that whole series of boards share: AMI's sample, and 12345678-... typed by hand.
const SHARED_UUIDS: [&str; 2] = [
    "03000200-0400-0500-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
];

/// A value, unless it is a placeholder: nothing, one character over and over (zeros, `FFFF...`,
/// dots), counting digits, or one of the phrases above.
fn present(text: &str) -> Option<String> {
    let text = one_line(text);
    let lower = text.to_ascii_lowercase();
    let mut significant = lower.chars().filter(char::is_ascii_alphanumeric);
    let first = significant.next()?;
    let is_uniform = significant.all(|c| c == first);
    let is_counting = "0123456789".starts_with(&lower) || "1234567890".starts_with(&lower);
    let is_placeholder =
        PLACEHOLDERS.iter().any(|phrase| lower.starts_with(phrase)) || SHARED_UUIDS.contains(&lower.as_str());
    (!is_uniform && !is_counting && !is_placeholder).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_count_as_absent() {
        for text in [
            "",
            "   ",
            "0",
            "0000000000",
            "00000000-0000-0000-0000-000000000000",
            "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
            "................",
            "To be filled by O.E.M.",
            "TO BE FILLED BY O.E.M.",
            "Not Specified",
            "Default string",
            "System Serial Number",
            "03000200-0400-0500-0006-000700080009",
            "0123456789",
            "123456789",
            "N/A",
            "None",
        ] {
            assert_eq!(present(text), None, "{text:?}");
        }
    }

    #[test]
    fn real_values_are_kept_as_they_stand() {
        for text in [
            "S4RX0N0R100123",
            "4c4c4544-0042-3510-8052-b4c04f4a3333",
            "VMware-56 4d",
        ] {
            assert_eq!(present(text).as_deref(), Some(text));
        }
    }
}
