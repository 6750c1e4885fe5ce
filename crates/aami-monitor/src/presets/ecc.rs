//! Memory errors of a GPU that were not corrected, and rows that are being replaced.
//!
//! Levels, not increases: one uncorrectable error is enough, and a counter that is born with it shows no increase.

use aami_model::finding::Severity;

use super::WHOLE_GPU;
use crate::rules::Rule;

/// What exporters of old print for "not measured" is above this.
const MEASURED: &str = "< 9e18";

pub(super) fn errors() -> Vec<Rule> {
    let level = |metric: &str| format!("max without ({WHOLE_GPU}) ({metric} > 0 {MEASURED})");
    vec![
        Rule::new(
            "GPUUncorrectableECC",
            Severity::Critical,
            "0m",
            level("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"),
        )
        .saying(
            "GPU {{ $labels.gpu }} of {{ $labels.node }} had {{ $value }} memory errors that were not corrected",
            "Work on this GPU was lost or is wrong. Drain {{ $labels.node }} and reset the GPU; on Ampere and later that \
             replaces the bad row. `aami explain xid 48` says more.",
        ),
        Rule::new(
            "GPURowRemapFailure",
            Severity::Critical,
            "0m",
            level("DCGM_FI_DEV_ROW_REMAP_FAILURE"),
        )
        .saying(
            "GPU {{ $labels.gpu }} of {{ $labels.node }} has no spare memory rows left",
            "A bad row could not be replaced. Drain {{ $labels.node }} and have the GPU replaced; `aami explain xid 64` \
             says more.",
        ),
        Rule::new(
            "GPURowRemapPending",
            Severity::Warning,
            "0m",
            level("DCGM_FI_DEV_ROW_REMAP_PENDING"),
        )
        .saying(
            "GPU {{ $labels.gpu }} of {{ $labels.node }} waits for a reset to replace a memory row",
            "Reset it when {{ $labels.node }} is drained next. `aami explain xid 63` says more.",
        ),
        Rule::new(
            "GPUPageRetirementPending",
            Severity::Warning,
            "0m",
            level("DCGM_FI_DEV_RETIRED_PENDING"),
        )
        .saying(
            "GPU {{ $labels.gpu }} of {{ $labels.node }} waits for a reset to retire memory pages",
            "Reset it when {{ $labels.node }} is drained next. `aami explain xid 63` says more.",
        ),
        Rule::new(
            "GPUNewRemappedRows",
            Severity::Warning,
            "0m",
            // Without the driver's version, which may have changed within the day.
            format!(
                "max without ({WHOLE_GPU}, DCGM_FI_DRIVER_VERSION) (DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS {MEASURED}) \
                 > max without ({WHOLE_GPU}, DCGM_FI_DRIVER_VERSION) (DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS offset 1d)"
            ),
        )
        .saying(
            "GPU {{ $labels.gpu }} of {{ $labels.node }} has replaced memory rows within a day",
            "{{ $value }} rows have been replaced after uncorrectable errors in the life of this GPU, more than a day ago. \
             A few are what spare rows are for; when they keep coming, have it replaced.",
        ),
    ]
}
