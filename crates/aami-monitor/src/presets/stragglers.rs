//! GPUs that are slower than those they work with: a job over many GPUs runs as slow as the slowest.

use aami_model::finding::Severity;

use super::{GPU, NODE, WHOLE_GPU};
use crate::rules::Rule;

/// A straggler does less than this share of what the middle one does.
const SLOW: &str = "0.7";

/// Work on tensor cores, compared within a job where the exporter knows jobs (`--hpc-job-mapping-dir`, label `hpc_job`),
/// else within a node. Instances of a GPU are left out: they are of different sizes.
pub(super) fn gpu() -> Vec<Rule> {
    let work =
        |of: &str| format!("avg_over_time(DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{{GPU_I_ID=\"\",{of}}}[10m])");
    let slower = |among: &str, of: &str| {
        let work = work(of);
        format!(
            "{work} < on ({among}) group_left () {SLOW} * (quantile by ({among}) (0.5, {work}) > 0.05) \
             and on ({among}) count by ({among}) ({work})"
        )
    };
    let description = "Compared over a quarter of an hour, it does less than {{ $labels.node }}'s other work would have it do: \
                       {{ $value | humanizePercentage }} of the time on tensor cores. Look at its clocks, its PCIe link and \
                       the alerts about heat; `aami diagnose {{ $labels.node }}` shows what the node tells.";
    vec![
        Rule::new(
            "GPUStraggler",
            Severity::Warning,
            "15m",
            format!("{} >= 8", slower("cluster, hpc_job", "hpc_job!=\"\"")),
        )
        .labelled("basis", "job")
        .saying(
            "GPU {{ $labels.gpu }} of {{ $labels.node }} holds the job {{ $labels.hpc_job }} back",
            description,
        ),
        Rule::new(
            "GPUStraggler",
            Severity::Warning,
            "15m",
            format!(
                "{} >= 4 and on ({GPU}) avg_over_time(DCGM_FI_DEV_GPU_UTIL[10m]) > 50",
                slower(NODE, "hpc_job=\"\"")
            ),
        )
        .labelled("basis", "node")
        .saying(
            "GPU {{ $labels.gpu }} of {{ $labels.node }} is slower than the others there",
            description,
        ),
    ]
}

/// Clocks that are stuck low, whether or not the GPU gives a reason.
pub(super) fn clock() -> Vec<Rule> {
    vec![
        Rule::new(
            "GPUClockDropUnderLoad",
            Severity::Warning,
            "10m",
            format!(
                "DCGM_FI_DEV_SM_CLOCK{{GPU_I_ID=\"\"}} \
                 < on ({NODE}) group_left () 0.6 * quantile by ({NODE}) (0.5, DCGM_FI_DEV_SM_CLOCK{{GPU_I_ID=\"\"}}) \
                 and on ({GPU}) DCGM_FI_DEV_GPU_UTIL > 90"
            ),
        )
        .saying(
            "The clock of GPU {{ $labels.gpu }} of {{ $labels.node }} is stuck low under load",
            "It runs at {{ $value }} MHz, far below the others of the node. `nvidia-smi -q -d PERFORMANCE` on the node gives \
             the reason where there is one; resetting the GPU often mends it.",
        ),
    ]
}

/// The way to the GPU. Its generation is lower at idle and says nothing; its width does not change.
pub(super) fn pcie() -> Vec<Rule> {
    vec![
        Rule::new(
            "GPUPCIeReplayRate",
            Severity::Warning,
            "5m",
            // What a sound link of 16 lanes of generation 5 may have a minute.
            format!("max without ({WHOLE_GPU}) (increase(DCGM_FI_DEV_PCIE_REPLAY_COUNTER[5m]) / 5 > 31)"),
        )
        .saying(
            "PCIe of GPU {{ $labels.gpu }} of {{ $labels.node }} sends again and again",
            "{{ $value | humanize }} replays a minute: the link has errors and is slow. Reseat the GPU or its riser.",
        ),
        Rule::new(
            "GPUPCIeWidthDegraded",
            Severity::Warning,
            "10m",
            format!(
                "max without ({WHOLE_GPU}) (DCGM_FI_DEV_PCIE_LINK_WIDTH > 0 < (DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH < 1000))"
            ),
        )
        .saying(
            "PCIe of GPU {{ $labels.gpu }} of {{ $labels.node }} has lost lanes",
            "It uses {{ $value }} lanes of more. Reseat the GPU or its riser; a reboot may train the link again.",
        ),
    ]
}
