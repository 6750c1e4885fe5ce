//! GPUs that get too hot: by the margin they tell, else by the threshold they tell, else by a number.
//!
//! A fixed number is wrong for most models: some run at 85 °C all day, some slow down at 87 °C. So each GPU is judged by
//! the best it exports (`DCGM_FI_DEV_GPU_TEMP_LIMIT`, degrees left; `DCGM_FI_DEV_SLOWDOWN_TEMP`), and by one rule only.
//! Exporters of old print a number near 2^63 for "not measured"; nothing is that hot.

use aami_model::finding::Severity;

use super::{GPU, WHOLE_GPU};
use crate::rules::Rule;

/// Where a GPU tells no threshold of its own.
const HOT: u32 = 90;
const WARM: u32 = 85;
/// Degrees before the limit from which it is worth a look.
const NEAR: u32 = 5;

const DO: &str = "Look at fans, airflow and the room; `aami diagnose {{ $labels.node }}` shows what the node tells. The \
                  GPU slows down to protect itself, and all GPUs of a job with it.";

pub(super) fn critical() -> Vec<Rule> {
    let rule = |basis, expr| {
        Rule::new("GPUTemperatureCritical", Severity::Critical, "2m", expr)
            .labelled("basis", basis)
            .saying("GPU {{ $labels.gpu }} of {{ $labels.node }} is too hot", DO)
    };
    vec![
        rule(
            "limit",
            format!("min without ({WHOLE_GPU}) (DCGM_FI_DEV_GPU_TEMP_LIMIT) <= 0"),
        ),
        rule(
            "slowdown",
            format!(
                "max without ({WHOLE_GPU}) (DCGM_FI_DEV_GPU_TEMP < 1000 >= (DCGM_FI_DEV_SLOWDOWN_TEMP > 0)) \
                 unless on ({GPU}) DCGM_FI_DEV_GPU_TEMP_LIMIT"
            ),
        ),
        rule(
            "number",
            format!(
                "max without ({WHOLE_GPU}) (DCGM_FI_DEV_GPU_TEMP < 1000 >= {HOT}) \
                 unless on ({GPU}) (DCGM_FI_DEV_GPU_TEMP_LIMIT or DCGM_FI_DEV_SLOWDOWN_TEMP > 0)"
            ),
        ),
    ]
}

pub(super) fn warning() -> Vec<Rule> {
    let rule = |basis, expr| {
        Rule::new("GPUTemperatureWarning", Severity::Warning, "10m", expr)
            .labelled("basis", basis)
            .saying(
                "GPU {{ $labels.gpu }} of {{ $labels.node }} is close to its thermal limit",
                DO,
            )
    };
    vec![
        rule(
            "limit",
            format!("min without ({WHOLE_GPU}) (DCGM_FI_DEV_GPU_TEMP_LIMIT > 0 <= {NEAR})"),
        ),
        rule(
            "slowdown",
            format!(
                "max without ({WHOLE_GPU}) (DCGM_FI_DEV_GPU_TEMP >= DCGM_FI_DEV_SLOWDOWN_TEMP - {NEAR} \
                 < DCGM_FI_DEV_SLOWDOWN_TEMP) unless on ({GPU}) DCGM_FI_DEV_GPU_TEMP_LIMIT"
            ),
        ),
        rule(
            "number",
            format!(
                "max without ({WHOLE_GPU}) (DCGM_FI_DEV_GPU_TEMP >= {WARM} < {HOT}) \
                 unless on ({GPU}) (DCGM_FI_DEV_GPU_TEMP_LIMIT or DCGM_FI_DEV_SLOWDOWN_TEMP > 0)"
            ),
        ),
    ]
}

/// The memory of a GPU, where it has a sensor and tells how hot it may be.
pub(super) fn memory() -> Vec<Rule> {
    vec![
        Rule::new(
            "GPUMemoryTooHot",
            Severity::Warning,
            "5m",
            format!(
                "max without ({WHOLE_GPU}) (DCGM_FI_DEV_MEMORY_TEMP < 1000 >= (DCGM_FI_DEV_MEM_MAX_OP_TEMP > 0))"
            ),
        )
        .saying(
            "The memory of GPU {{ $labels.gpu }} of {{ $labels.node }} is too hot",
            "It is at {{ $value }} °C, above what it may be while it works. Look at fans, airflow and the room; \
             `aami diagnose {{ $labels.node }}` shows what the node tells.",
        ),
    ]
}

/// Clocks that are lower than they could be, for a reason that is somebody's to mend.
///
/// The reasons are a mask, and PromQL has no and of bits. Idle (1), clocks set on purpose (2), a power limit (4) and sync
/// boost (16) are normal and alert nobody.
pub(super) fn throttling() -> Vec<Rule> {
    let bit = |bit: u32| format!("floor(DCGM_FI_DEV_CLOCKS_EVENT_REASONS / {bit}) % 2 == 1");
    vec![
        Rule::new(
            "GPUThermalThrottle",
            Severity::Warning,
            "5m",
            format!("max without ({WHOLE_GPU}) ({} or {})", bit(64), bit(32)),
        )
        .saying(
            "GPU {{ $labels.gpu }} of {{ $labels.node }} runs slower because it is hot",
            "Jobs across many GPUs run as slow as this one. Look at fans, airflow and the room; \
             `aami diagnose {{ $labels.node }}` shows what the node tells.",
        ),
        Rule::new(
            "GPUPowerBrake",
            Severity::Critical,
            "2m",
            format!("max without ({WHOLE_GPU}) ({})", bit(128)),
        )
        .saying(
            "GPU {{ $labels.gpu }} of {{ $labels.node }} is held back by the power supply",
            "The chassis or rack has pulled the power brake: a power supply failed or the rack draws too much. Look at the \
             power supplies of {{ $labels.node }} and its neighbours.",
        ),
    ]
}

/// The node around the GPUs: any sensor above what its own chip calls critical.
pub(super) fn node() -> Vec<Rule> {
    vec![
        Rule::new(
            "NodeTemperatureCritical",
            Severity::Critical,
            "5m",
            "node_hwmon_temp_celsius >= (node_hwmon_temp_crit_celsius > 0)",
        )
        .saying(
            "{{ $labels.node }} is too hot at {{ $labels.chip }} {{ $labels.sensor }}",
            "The sensor says {{ $value }} °C, which its chip calls critical. Look at fans, airflow and the room; \
             `aami diagnose {{ $labels.node }}` shows what the node tells.",
        ),
    ]
}
