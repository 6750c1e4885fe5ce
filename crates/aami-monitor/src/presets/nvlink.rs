//! Links between GPUs, and the switches and the fabric manager behind them.
//!
//! How many links should be up is exported by nobody here; a link that goes down writes an Xid 74 (or 149, decoded) or an
//! SXid, which the agent reads. `nvidia-fabricmanager.service` itself would need node_exporter's collector `systemd`,
//! which is off; what DCGM says of the fabric is asked instead.

use aami_model::finding::Severity;

use super::WHOLE_GPU;
use super::xid::RECENT;
use crate::rules::Rule;

/// CRC errors a second from which a link is bad: the limit of DCGM's own health check.
const MOST_CRC: u32 = 100;

pub(super) fn errors() -> Vec<Rule> {
    vec![
        Rule::new(
            "GPUNVLinkDegraded",
            Severity::Warning,
            "5m",
            format!(
                "max without ({WHOLE_GPU}) (rate(DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL[5m]) > {MOST_CRC} \
                 or rate(DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL[5m]) > {MOST_CRC})"
            ),
        )
        .saying(
            "NVLink of GPU {{ $labels.gpu }} of {{ $labels.node }} has many errors",
            "{{ $value | humanize }} checksum errors a second: the link repeats what it sends and is slow. Look at its peer, \
             too; `aami explain xid 74` says what to do.",
        ),
        Rule::new(
            "GPUNVLinkError",
            Severity::Critical,
            "0m",
            format!(
                "max without ({WHOLE_GPU}) (increase(DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL[10m]) > 0 \
                 or increase(DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL[10m]) > 0)"
            ),
        )
        .saying(
            "NVLink of GPU {{ $labels.gpu }} of {{ $labels.node }} fails",
            "The link had to recover or to send again within the last ten minutes. Look at its peer, too; `aami explain xid \
             74` says what to do.",
        ),
        Rule::new(
            "NVSwitchSXidCritical",
            Severity::Critical,
            "0m",
            format!("abs(time() - aami_sxid_last_seen_timestamp_seconds{{severity=\"critical\"}}) < {RECENT}"),
        )
        .saying(
            "SXid {{ $labels.code }} on {{ $labels.node }}",
            "An NVSwitch ({{ $labels.pci }}) reported a grave error. `aami explain sxid {{ $labels.code }}` says what it \
             means and what to do first.",
        ),
    ]
}

/// What DCGM says of the fabric: 2 is in progress, 4 failed; 0 (no fabric), 1 (not started, as on GPUs without switches)
/// and 3 are well.
pub(super) fn fabric() -> Vec<Rule> {
    let state =
        |state: u32| format!("max without ({WHOLE_GPU}) (DCGM_FI_DEV_FABRIC_MANAGER_STATUS == {state})");
    vec![
        Rule::new("GPUFabricFailed", Severity::Critical, "1m", state(4)).saying(
            "GPU {{ $labels.gpu }} of {{ $labels.node }} could not join its fabric",
            "Jobs on more than one GPU fail there. `journalctl -u nvidia-fabricmanager` on {{ $labels.node }} says why; the \
             fabric manager and the driver have to be of one version.",
        ),
        Rule::new("GPUFabricWaiting", Severity::Warning, "15m", state(2)).saying(
            "GPU {{ $labels.gpu }} of {{ $labels.node }} does not get into its fabric",
            "It has been joining for a quarter of an hour, and a minute is usual. `journalctl -u nvidia-fabricmanager` on \
             {{ $labels.node }} says what it waits for.",
        ),
    ]
}
