//! What the NVIDIA driver says went wrong (Xids), and GPUs that are gone.
//!
//! The agent reads the kernel's log, which is the only complete source: `aami_xid_last_seen_timestamp_seconds` with the
//! gravity of the line itself. Where no agent runs, dcgm-exporter is the next best: Xids within its window, and where it
//! does not export those, the last Xid. One event alerts by one of them. A lost GPU vanishes from its exporter's metrics,
//! so what is there is compared with what was there.
//!
//! The driver's wish for a reset (`gpu_recovery_action`) is exported by nobody here; Xid 154, which carries it, is read
//! from the log. SXids of NVSwitches are among the rules about links.

use aami_model::finding::Severity;

use super::{GPU, NODE};
use crate::rules::Rule;

/// Xids that are grave by their number alone: the critical ones of the catalogue without those that have to be decoded
/// (149, 150).
pub(crate) const CRITICAL: &str =
    "46|48|54|62|64|74|79|95|109|110|119|120|136|140|143|151|158|167|169|171|172|173";

/// Xids of applications; the hardware's only when they keep coming.
pub(crate) const APPLICATION: &str = "13|31|43|94";

/// How long after the last line an alert lasts, in seconds.
pub(super) const RECENT: u32 = 900;

pub(super) fn errors() -> Vec<Rule> {
    let critical = |basis, label, expr| {
        Rule::new("GPUXidCritical", Severity::Critical, "0m", expr)
            .labelled("basis", basis)
            .saying(
                &format!("Xid {{{{ $labels.{label} }}}} on {{{{ $labels.node }}}}"),
                &format!(
                    "The driver reported a grave error of a GPU. `aami explain xid {{{{ $labels.{label} }}}}` says what it \
                     means and what to do first."
                ),
            )
    };
    let mut rules = vec![
        // The node's clock may be ahead; an event of the future is not one of the last minutes.
        critical(
            "kernel_log",
            "code",
            format!("abs(time() - aami_xid_last_seen_timestamp_seconds{{severity=\"critical\"}}) < {RECENT}"),
        ),
        critical(
            "dcgm_window",
            "xid",
            format!("DCGM_EXP_XID_ERRORS_COUNT{{xid=~\"{CRITICAL}\"}} > 0 unless on ({NODE}) aami_xid_total"),
        ),
        // Stays at the last code until the exporter restarts, so what was there a quarter of an hour ago is no news.
        critical(
            "dcgm_last",
            "err_code",
            format!(
                "DCGM_FI_DEV_XID_ERRORS{{err_code=~\"{CRITICAL}\"}} unless DCGM_FI_DEV_XID_ERRORS offset 15m \
                 and on ({NODE}) up{{job=\"dcgm\"}} offset 15m == 1 \
                 unless on ({GPU}) DCGM_EXP_XID_ERRORS_COUNT unless on ({NODE}) aami_xid_total"
            ),
        ),
        Rule::new(
            "GPUXidApplication",
            Severity::Warning,
            "0m",
            format!("increase(aami_xid_total{{code=~\"{APPLICATION}\"}}[1h]) > 5"),
        )
        .saying(
            "Xid {{ $labels.code }} keeps coming on {{ $labels.node }}",
            "The GPU {{ $labels.pci }} reported it {{ $value | humanize }} times within an hour. Usually a job is at fault: \
             tell its owner. When it comes with other jobs on the same GPU, `aami explain xid {{ $labels.code }}` says \
             what to do.",
        ),
    ];
    rules.extend(lost());
    rules.push(
        Rule::new(
            "GPUMetricsBlank",
            Severity::Critical,
            "3m",
            format!("up{{job=\"dcgm\"}} == 1 unless on ({NODE}) DCGM_FI_DEV_GPU_TEMP"),
        )
        .saying(
            "The GPU exporter of {{ $labels.node }} answers and tells of no GPU",
            "DCGM stops asking the driver after some Xids (119), and every GPU may be gone. `aami diagnose \
             {{ $labels.node }}` shows what the node tells; `aami explain xid 119` says what to do.",
        ),
    );
    rules
}

/// GPUs that were there: by the agent, by the check of GPUs, by what is declared.
///
/// An agent that knows how many there were and cannot count them now (the driver hangs, or is gone) keeps silent about
/// how many are left: then the others speak, and that it cannot count is told as well.
pub(super) fn lost() -> Vec<Rule> {
    let rule = |basis, expr| {
        Rule::new("GPULost", Severity::Critical, "2m", expr)
            .labelled("basis", basis)
            .saying(
                "{{ $labels.node }} has lost a GPU",
                "Fewer GPUs can be used than were there. `aami diagnose {{ $labels.node }}` shows which; `aami explain xid \
                 79` says what to do about one that has fallen off the bus.",
            )
    };
    let visible = format!("count by ({NODE}) (count by ({GPU}) (DCGM_FI_DEV_GPU_TEMP))");
    vec![
        rule(
            "agent",
            "aami_agent_gpus_usable < aami_agent_gpus_expected".to_owned(),
        ),
        rule(
            "check",
            format!(
                "aami_check_status{{check=\"gpu_count\"}} == 2 unless on ({NODE}) aami_agent_gpus_usable"
            ),
        ),
        rule(
            "declared",
            format!(
                "aami_declared_gpus > on ({NODE}) ({visible} or on ({NODE}) 0 * max by ({NODE}) (up{{job=\"dcgm\"}} == 1)) \
                 unless on ({NODE}) aami_agent_gpus_usable \
                 unless on ({NODE}) aami_check_value{{check=\"gpu_count\",name=\"gpus_expected\"}}"
            ),
        ),
        Rule::new(
            "GPULost",
            Severity::Critical,
            "5m",
            format!("aami_agent_gpus_expected > 0 unless on ({NODE}) aami_agent_gpus_usable"),
        )
        .labelled("basis", "agent_cannot_count")
        .saying(
            "The GPUs of {{ $labels.node }} cannot be counted",
            "{{ $value }} were there, and the driver does not answer the agent: it hangs or is gone. `aami diagnose {{ \
             $labels.node }}` shows what the node tells; `nvidia-smi` on the node hangs or says what is wrong.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grave_xids_are_those_of_the_catalogue() {
        // The catalogue is a sibling's; what has to be decoded is grave by its words alone.
        let catalogue = include_str!("../../../aami-xid/data/xid.tsv");
        let of = |severity: &str| -> Vec<&str> {
            let rows = catalogue
                .lines()
                .skip(1)
                .map(|line| line.split('\t').collect::<Vec<_>>());
            rows.filter(|row| row[2] == severity).map(|row| row[0]).collect()
        };
        let critical: Vec<&str> = of("critical")
            .into_iter()
            .filter(|code| !["149", "150"].contains(code))
            .collect();
        assert_eq!(CRITICAL.split('|').collect::<Vec<_>>(), critical);
        for code in APPLICATION.split('|') {
            assert!(of("warning").contains(&code), "{code}");
        }
    }
}
