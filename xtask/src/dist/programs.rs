//! The two programs, for each processor: built, or built before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// What is released, the operator's first.
pub(super) const NAMES: [&str; 2] = ["aami", "aami-agent"];

/// Builds both for each processor and says in which folder they are. Fails, with what is missing, when one cannot be
/// built: a release that was to have a processor and does not is no release.
pub(super) fn build(root: &Path, architectures: &[String]) -> Result<PathBuf> {
    for name in NAMES {
        let status = Command::new("scripts/with-tools.sh")
            .args(["scripts/build-static.sh", name])
            .args(architectures)
            .current_dir(root)
            .status()
            .context("cannot start scripts/with-tools.sh")?;
        ensure!(
            status.success(),
            "{name} cannot be built for {}; what is missing stands above, and --arch leaves an architecture out",
            architectures.join(" and ")
        );
    }
    Ok(root.join("target/dist"))
}

/// Reads one; fails when it is not a static program for that processor.
pub(super) fn read(folder: &Path, arch: &str, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(arch).join(name);
    let bytes = fs::read(&path).with_context(|| format!("there is no {}", path.display()))?;
    let path = path.display();
    let elf = Elf::read(&bytes).with_context(|| format!("{path} is not a 64-bit Linux program"))?;
    let machine = match arch {
        "amd64" => 0x3e,
        "arm64" => 0xb7,
        _ => bail!("no programs for {arch}"),
    };
    ensure!(elf.machine == machine, "{path} is built for another processor");
    ensure!(
        !elf.has_interpreter,
        "{path} is not static: it would start on the machines it was built for and nowhere else"
    );
    Ok(bytes)
}

/// What the header of an executable says.
struct Elf {
    machine: u16,
    /// It is loaded by a dynamic linker.
    has_interpreter: bool,
}

impl Elf {
    fn read(bytes: &[u8]) -> Option<Self> {
        let u16_at = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        // Class 64 bit, little endian.
        if bytes.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let headers = usize::try_from(u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?)).ok()?;
        let (size, count) = (usize::from(u16_at(54)?), usize::from(u16_at(56)?));
        let mut has_interpreter = false;
        for index in 0..count {
            let at = headers.checked_add(index.checked_mul(size)?)?;
            let kind = u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?);
            has_interpreter |= kind == 3;
        }
        Some(Self {
            machine: u16_at(18)?,
            has_interpreter,
        })
    }
}
