//! GPU memory: full, or held while nothing runs.
//!
//! Stock exporters tell no total, so what is in use is compared with what is in use and free together (the driver's
//! reserve left out). That share is recorded once, under [`USED`].

use aami_model::finding::Severity;

use super::GPU;
use crate::rules::{Recording, Rule};

/// The share of GPU memory in use.
pub(crate) const USED: &str = "aami:gpu_fb_used:ratio";

/// What is recorded for these rules.
pub(crate) fn used() -> Recording {
    Recording {
        record: USED.to_owned(),
        expr: "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)".to_owned(),
        labels: Default::default(),
    }
}

/// Worth knowing and no more: frameworks take the memory beforehand.
pub(super) fn high() -> Vec<Rule> {
    vec![
        Rule::new("GPUMemoryHigh", Severity::Info, "15m", format!("{USED} > 0.98")).saying(
            "The memory of GPU {{ $labels.gpu }} of {{ $labels.node }} is full",
            "{{ $value | humanizePercentage }} of it is in use. Many frameworks take all memory beforehand, and then this \
             is normal; otherwise the next allocation of the job may fail.",
        ),
    ]
}

/// A leak cannot be proven from metrics; memory that is held for an hour while the GPU does nothing can. The whole hour
/// has to have been seen.
pub(super) fn leak() -> Vec<Rule> {
    vec![
        Rule::new(
            "GPUMemoryHeldIdle",
            Severity::Warning,
            "15m",
            format!(
                "min_over_time({USED}[1h]) > 0.5 \
                 and on ({GPU}, GPU_I_ID) max_over_time(DCGM_FI_DEV_GPU_UTIL[1h]) == 0 \
                 and on ({GPU}, GPU_I_ID) {USED} offset 1h"
            ),
        )
        .saying(
            "GPU {{ $labels.gpu }} of {{ $labels.node }} holds memory and does nothing",
            "{{ $value | humanizePercentage }} of its memory has been in use for an hour without any work. A job that hangs \
             or a process that outlived its job may hold it: `nvidia-smi --query-compute-apps=pid,process_name,used_memory \
             --format=csv` on {{ $labels.node }} names processes.",
        ),
    ]
}
