//! AMD GPUs, as all-smi tells of them.
//!
//! all-smi exports no memory errors, no resets and no links; a GPU that is gone is noticed by the agent and the check of
//! GPUs, as for any vendor.

use aami_model::finding::Severity;

use crate::rules::Rule;

/// AMD's among all that all-smi may see; `gpu` is the model there.
const AMD: &str = "gpu=~\"(?i).*(AMD|Radeon|Instinct).*\"";

/// Where a GPU tells no threshold of its own.
const HOT: u32 = 100;
const WARM: u32 = 90;

const DO: &str = "It is at {{ $value }} °C. Look at fans, airflow and the room; `amd-smi metric --temperature` on the node \
                  shows every sensor.";

pub(super) fn temperature() -> Vec<Rule> {
    let threshold = format!("all_smi_gpu_temperature_threshold_slowdown_celsius{{{AMD}}}");
    let now = format!("all_smi_gpu_temperature_celsius{{{AMD}}}");
    vec![
        Rule::new(
            "AMDGPUTemperatureCritical",
            Severity::Critical,
            "2m",
            format!("{now} >= ({threshold} > 0) or ({now} >= {HOT} unless {threshold} > 0)"),
        )
        .saying("GPU {{ $labels.gpu_index }} of {{ $labels.node }} is too hot", DO),
        Rule::new(
            "AMDGPUTemperatureWarning",
            Severity::Warning,
            "10m",
            format!(
                "{now} >= {threshold} - 10 < {threshold} or ({now} >= {WARM} < {HOT} unless {threshold} > 0)"
            ),
        )
        .saying(
            "GPU {{ $labels.gpu_index }} of {{ $labels.node }} is close to its thermal limit",
            DO,
        ),
    ]
}

pub(super) fn memory() -> Vec<Rule> {
    vec![
        Rule::new(
            "AMDGPUMemoryHigh",
            Severity::Info,
            "15m",
            format!(
                "all_smi_gpu_memory_used_bytes{{{AMD}}} / (all_smi_gpu_memory_total_bytes{{{AMD}}} > 0) > 0.98"
            ),
        )
        .saying(
            "The memory of GPU {{ $labels.gpu_index }} of {{ $labels.node }} is full",
            "{{ $value | humanizePercentage }} of it is in use. Many frameworks take all memory beforehand, and then this \
             is normal; otherwise the next allocation of the job may fail.",
        ),
    ]
}
