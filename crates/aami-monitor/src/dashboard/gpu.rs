//! GPUs one by one.

use super::select::{GPU_LEGEND, Gpus};
use super::variable::{CLUSTER, NODE};
use super::{Colour, Dashboard, Panel, Query, Section, Shown, Unit, Variable};

const HOT: &[(f64, Colour)] = &[(85.0, Colour::Yellow), (90.0, Colour::Red)];
const ANY: &[(f64, Colour)] = &[(1.0, Colour::Red)];
const FULL: &[(f64, Colour)] = &[(0.98, Colour::Yellow)];

/// The GPUs of the chosen nodes, by their numbers there.
const GPU: Variable = Variable {
    name: "gpu",
    label: "GPU",
    query: r#"label_values(DCGM_FI_DEV_GPU_TEMP{cluster=~"$cluster", node=~"$node"}, gpu)"#,
    many: true,
};

/// The panels that need more than a stock dcgm-exporter tells say so.
const MORE: &str = "Needs counters that a stock dcgm-exporter leaves out; empty without them.";

/// `GPUs`: how busy, full, hot and fast each is, its links, and what is wearing out.
pub fn gpu() -> Dashboard {
    Dashboard {
        uid: "aami-gpu",
        title: "GPUs",
        description: "How busy, full, hot and fast each GPU is, its links, and what is wearing out.",
        variables: vec![CLUSTER, NODE, GPU],
        sections: vec![
            Section::of("GPUs", vec![which()]),
            Section::of("Work", work()),
            Section::of("Heat and power", heat()),
            Section::of("Links", links()),
            Section::of("Wear", wear()),
        ],
    }
}

fn lines(title: &'static str, unit: Unit, expr: String) -> Panel {
    Panel::lines(title, unit, GPU_LEGEND, expr)
}

fn which() -> Panel {
    let gpus = Gpus::Chosen;
    let columns = vec![
        Query::of("Utilisation", Unit::Percent, gpus.utilisation()),
        Query::of("Memory", Unit::Share, gpus.memory_share()).coloured(FULL),
        Query::of("Temperature", Unit::Celsius, gpus.temperature()).coloured(HOT),
        Query::of("Power", Unit::Watts, gpus.power()),
    ];
    Panel::table("GPUs", &[], columns)
        .says("A row for each GPU, and for each MIG instance that has numbers of its own.")
}

fn work() -> Vec<Panel> {
    let gpus = Gpus::Chosen;
    vec![
        lines("Utilisation", Unit::Percent, gpus.utilisation()).says(
            "The share of time in which anything ran. It says nothing of how much of the GPU that used.",
        ),
        lines("Memory used", Unit::Bytes, gpus.memory_used()),
        lines(
            "Tensor cores",
            Unit::Share,
            gpus.dcgm("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"),
        )
        .says("The share of cycles in which the tensor pipe was active."),
        lines("Engines", Unit::Share, gpus.dcgm("DCGM_FI_PROF_GR_ENGINE_ACTIVE"))
            .says("The share of time in which a compute or graphics engine was active."),
        lines(
            "Memory bandwidth",
            Unit::Share,
            gpus.dcgm("DCGM_FI_PROF_DRAM_ACTIVE"),
        )
        .says("The share of cycles in which the memory interface moved data."),
        lines("Memory share", Unit::Share, gpus.memory_share()).coloured(FULL),
    ]
}

fn heat() -> Vec<Panel> {
    let gpus = Gpus::Chosen;
    // PromQL has no bitwise and. The bits: 0x20 and 0x40 heat, 0x80 the power brake.
    let reasons = gpus.dcgm("DCGM_FI_DEV_CLOCKS_EVENT_REASONS");
    let bit = |value: u32| format!("floor({reasons} / {value}) % 2");
    vec![
        lines("Temperature", Unit::Celsius, gpus.temperature()).coloured(HOT),
        lines("Memory temperature", Unit::Celsius, gpus.dcgm("DCGM_FI_DEV_MEMORY_TEMP")),
        lines("Degrees left", Unit::Celsius, gpus.dcgm("DCGM_FI_DEV_GPU_TEMP_LIMIT"))
            .says("How far the GPU is from slowing down by itself (from Hopper on). Needs counters that a stock \
                   dcgm-exporter leaves out; empty without them."),
        lines("Power", Unit::Watts, gpus.power()),
        lines(
            "Clock",
            Unit::Hertz,
            format!("{} * 1e6", gpus.dcgm("DCGM_FI_DEV_SM_CLOCK")),
        )
        .says("The clock of the streaming multiprocessors."),
        Panel::new(
            Shown::Bars,
            "Slowed down",
            "{{node}} GPU {{gpu}}: heat",
            format!("clamp_max({} + {}, 1)", bit(32), bit(64)),
        )
        .and("{{node}} GPU {{gpu}}: power brake", bit(128))
        .says("1 while the GPU slows itself down: for heat, or because the power supply asks for it. Needs counters \
               that a stock dcgm-exporter leaves out; empty without them."),
    ]
}

fn links() -> Vec<Panel> {
    let gpus = Gpus::Chosen;
    vec![
        lines(
            "NVLink",
            Unit::PerSecond,
            gpus.dcgm_rate("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"),
        )
        .says("Growth of the counter of all links together, in the units of the driver."),
        lines(
            "PCIe sent",
            Unit::BytesPerSecond,
            gpus.dcgm("DCGM_FI_PROF_PCIE_TX_BYTES"),
        ),
        lines(
            "PCIe received",
            Unit::BytesPerSecond,
            gpus.dcgm("DCGM_FI_PROF_PCIE_RX_BYTES"),
        ),
        lines(
            "PCIe replays",
            Unit::PerSecond,
            gpus.dcgm_rate("DCGM_FI_DEV_PCIE_REPLAY_COUNTER"),
        )
        .says("Transfers that had to be repeated."),
        lines(
            "PCIe lanes missing",
            Unit::Count,
            format!(
                "{} - {}",
                gpus.dcgm("DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH"),
                gpus.dcgm("DCGM_FI_DEV_PCIE_LINK_WIDTH")
            ),
        )
        .coloured(ANY)
        .says(MORE),
        lines(
            "NVLink errors",
            Unit::PerSecond,
            gpus.dcgm_rate("DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL"),
        )
        .says(MORE),
    ]
}

fn wear() -> Vec<Panel> {
    let gpus = Gpus::Chosen;
    vec![
        lines(
            "Remapped rows",
            Unit::Count,
            gpus.dcgm("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS"),
        )
        .says("Rows of memory that were replaced after an uncorrectable error."),
        lines(
            "Row remapping failed",
            Unit::Count,
            gpus.dcgm("DCGM_FI_DEV_ROW_REMAP_FAILURE"),
        )
        .coloured(ANY)
        .says("1 where no spare row was left: the GPU is to be replaced."),
        lines(
            "Rows waiting for a reset",
            Unit::Count,
            gpus.dcgm("DCGM_FI_DEV_ROW_REMAP_PENDING"),
        )
        .coloured(&[(1.0, Colour::Yellow)])
        .says(MORE),
        lines(
            "Uncorrectable errors",
            Unit::Count,
            gpus.dcgm("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"),
        )
        .coloured(ANY)
        .says(MORE),
    ]
}
