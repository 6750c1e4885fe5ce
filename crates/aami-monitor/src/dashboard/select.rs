//! What the queries of several dashboards have in common: what is chosen, and GPUs as different exporters tell them.

/// The chosen nodes, also what names none while all are chosen.
pub(super) const NODES: &str = r#"cluster=~"$cluster", node=~"$node""#;

/// What is scraped on the chosen nodes; not what Prometheus scrapes of itself and of the control plane.
pub(super) const EXPORTERS: &str = r#"cluster=~"$cluster", node=~"$node", node!="""#;

/// What tells one GPU, or one MIG instance of it, from all others.
const ONE_GPU: &str = "cluster, node, gpu, UUID, GPU_I_ID";

/// What a GPU is called in a legend.
pub(super) const GPU_LEGEND: &str = "{{node}} GPU {{gpu}} {{GPU_I_ID}}";

/// Which GPUs are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gpus {
    /// All of the chosen nodes.
    OfNodes,
    /// Those that are chosen by their number.
    Chosen,
}

impl Gpus {
    /// The label matchers of dcgm-exporter's series.
    const fn of_dcgm(self) -> &'static str {
        match self {
            Self::OfNodes => NODES,
            Self::Chosen => r#"cluster=~"$cluster", node=~"$node", gpu=~"$gpu""#,
        }
    }

    /// Of all-smi's, where `gpu` is the model.
    const fn of_all_smi(self) -> &'static str {
        match self {
            Self::OfNodes => NODES,
            Self::Chosen => r#"cluster=~"$cluster", node=~"$node", gpu_index=~"$gpu""#,
        }
    }

    /// A metric that dcgm-exporter alone has.
    ///
    /// Old exporters print DCGM's "no value" as a number near 2^63, which is no measurement.
    pub(super) fn dcgm(self, metric: &str) -> String {
        format!("max by ({ONE_GPU}) ({metric}{{{}}} < 9e18)", self.of_dcgm())
    }

    /// The same a second, of a counter.
    pub(super) fn dcgm_rate(self, metric: &str) -> String {
        format!(
            "max by ({ONE_GPU}) (rate({metric}{{{}}}[$__rate_interval]))",
            self.of_dcgm()
        )
    }

    /// A metric of all-smi, under the labels of dcgm-exporter.
    fn all_smi(self, metric: &str) -> String {
        format!(
            r#"max by ({ONE_GPU}) (label_replace(label_replace({metric}{{{}}}, "UUID", "$1", "gpu_uuid", "(.*)"), "gpu", "$1", "gpu_index", "(.*)"))"#,
            self.of_all_smi()
        )
    }

    /// A metric as dcgm-exporter has it, and for GPUs it tells nothing of, as all-smi has it.
    fn either(self, dcgm: &str, all_smi: &str) -> String {
        format!("{} or {}", self.dcgm(dcgm), self.all_smi(all_smi))
    }

    /// How busy each is, 0 to 100.
    pub(super) fn utilisation(self) -> String {
        self.either("DCGM_FI_DEV_GPU_UTIL", "all_smi_gpu_utilization")
    }

    /// How hot each is.
    pub(super) fn temperature(self) -> String {
        self.either("DCGM_FI_DEV_GPU_TEMP", "all_smi_gpu_temperature_celsius")
    }

    /// What each takes, in watts.
    pub(super) fn power(self) -> String {
        self.either("DCGM_FI_DEV_POWER_USAGE", "all_smi_gpu_power_consumption_watts")
    }

    /// How much of each one's memory is used, in bytes. DCGM counts in MiB.
    pub(super) fn memory_used(self) -> String {
        format!(
            "{} * 1048576 or {}",
            self.dcgm("DCGM_FI_DEV_FB_USED"),
            self.all_smi("all_smi_gpu_memory_used_bytes")
        )
    }

    /// How much of each one's memory is used, 0 to 1. A stock dcgm-exporter has no total.
    pub(super) fn memory_share(self) -> String {
        let (used, free) = (self.dcgm("DCGM_FI_DEV_FB_USED"), self.dcgm("DCGM_FI_DEV_FB_FREE"));
        format!(
            "{used} / ({used} + {free}) or {} / {}",
            self.all_smi("all_smi_gpu_memory_used_bytes"),
            self.all_smi("all_smi_gpu_memory_total_bytes")
        )
    }

    /// Every GPU once, whoever tells of it: 1 each.
    pub(super) fn each(self) -> String {
        // A MIG instance is a part of a GPU.
        format!(
            "count by (cluster, node, UUID) ({})",
            self.either("DCGM_FI_DEV_GPU_TEMP", "all_smi_gpu_temperature_celsius")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_told_under_the_same_labels_whoever_tells_of_it() {
        assert_eq!(
            Gpus::Chosen.temperature(),
            "max by (cluster, node, gpu, UUID, GPU_I_ID) \
             (DCGM_FI_DEV_GPU_TEMP{cluster=~\"$cluster\", node=~\"$node\", gpu=~\"$gpu\"} < 9e18) or \
             max by (cluster, node, gpu, UUID, GPU_I_ID) (label_replace(label_replace(\
             all_smi_gpu_temperature_celsius{cluster=~\"$cluster\", node=~\"$node\", gpu_index=~\"$gpu\"}, \
             \"UUID\", \"$1\", \"gpu_uuid\", \"(.*)\"), \"gpu\", \"$1\", \"gpu_index\", \"(.*)\"))"
        );
    }
}
