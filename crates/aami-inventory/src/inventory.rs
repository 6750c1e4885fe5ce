//! Everything known of a host, gathered in one pass.

use aami_model::hostname::Hostname;
use aami_model::label::Labels;
use aami_model::machine::SystemInfo;
use serde::Serialize;

use crate::disk::Disk;
use crate::elf::{self, Arch};
use crate::error::{InventoryError, Warning};
use crate::gpu::Gpus;
use crate::host::Host;
use crate::infiniband::Port;
use crate::nic::Nic;
use crate::smbios::Smbios;
use crate::system::{Cpu, System};
use crate::{disk, fingerprint, gpu, infiniband, name, nic, smbios, system};

/// What a host is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// Its name, fully qualified where it knows its domain.
    pub hostname: Hostname,
    /// What this program, and so what is installed beside it, is built for.
    pub arch: Arch,
    /// Operating system.
    pub system: System,
    /// Processor.
    pub cpu: Cpu,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Disks.
    pub disks: Vec<Disk>,
    /// Network cards.
    pub nics: Vec<Nic>,
    /// Firmware's word on the machine.
    pub smbios: Smbios,
    /// GPUs.
    pub gpus: Gpus,
    /// InfiniBand and RoCE ports.
    pub infiniband: Vec<Port>,
    /// The machine's fingerprint, where it can be told.
    pub machine: Option<String>,
    /// What a reader should know besides; GPUs carry their own.
    pub warnings: Vec<Warning>,
}

impl Inventory {
    /// Looks at a host. Takes as long as the slowest vendor tool, at most the time its
    /// [`Commands`](crate::Commands) allow.
    ///
    /// # Errors
    /// Only for what nothing can go on without: a usable host name and a known architecture.
    pub fn collect(host: &Host<'_>) -> Result<Self, InventoryError> {
        let hostname = name::hostname(host)?;
        let arch = elf::own_arch(host)?;
        let system = system::system(host);
        let in_container = system.container.is_some();
        let smbios = smbios::smbios(host, in_container);
        let nics = nic::nics(host);
        let machine = fingerprint::machine_fingerprint(host.privileged, &smbios, &nics);
        let mut warnings = Vec::new();
        if name::is_generic(&hostname) {
            warnings.push(Warning::detection(format!(
                "the host name is {hostname}, which many machines carry; set one of its own with hostnamectl"
            )));
        }
        Ok(Self {
            hostname,
            arch,
            cpu: system::cpu(host),
            memory_bytes: system::memory_bytes(host),
            disks: disk::disks(host),
            gpus: gpu::gpus(host, in_container),
            infiniband: infiniband::ports(host),
            system,
            nics,
            smbios,
            machine,
            warnings,
        })
    }

    /// What registration carries of it.
    pub fn system_info(&self) -> SystemInfo {
        const GIB: u64 = 1024 * 1024 * 1024;
        let memory = self.memory_bytes.unwrap_or(0);
        SystemInfo {
            os: self.system.os.clone(),
            os_version: self.system.os_version.clone(),
            architecture: self.arch.name().to_owned(),
            kernel: self.system.kernel.clone(),
            cpu_cores: self.cpu.cores.unwrap_or(0),
            // Rounded, not cut: the kernel keeps some of 4 GiB for itself, and 3 would be wrong.
            memory_gb: u32::try_from((memory + GIB / 2) / GIB).unwrap_or(u32::MAX),
            gpu_vendor: self.gpus.vendor().map(|vendor| vendor.name().to_owned()),
            gpu_model: self.gpus.model().map(str::to_owned),
            gpu_count: Some(self.gpus.count()).filter(|count| *count > 0),
            gpu_memory_bytes: self.gpus.memory_bytes(),
        }
    }

    /// The labels a node carries for its hardware: `gpu_vendor`, `gpu_count`, `gpu_model`; none on a
    /// node without GPUs.
    pub fn labels(&self) -> Labels {
        let mut labels = Labels::default();
        if let Some(vendor) = self.gpus.vendor() {
            labels.0.insert("gpu_vendor".into(), vendor.name().into());
            labels.0.insert("gpu_count".into(), self.gpus.count().to_string());
        }
        if let Some(model) = self.gpus.model() {
            labels.0.insert("gpu_model".into(), model.into());
        }
        labels
    }
}
