//! A folder that looks like a machine from inside, and programs that say what a test wants.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use aami_inventory::{CommandError, Commands, Host, Output};

/// A machine's files and its vendor tools.
pub(crate) struct Machine {
    root: tempfile::TempDir,
    programs: BTreeMap<&'static str, Result<Output, ()>>,
    /// The programs that were run.
    pub(crate) ran: RefCell<Vec<String>>,
}

impl Machine {
    /// A machine with a name and a program of the given ELF machine number.
    pub(crate) fn named(name: &str) -> Self {
        let machine = Self {
            root: tempfile::tempdir().unwrap(),
            programs: BTreeMap::new(),
            ran: RefCell::new(Vec::new()),
        };
        machine.file("/proc/sys/kernel/hostname", name);
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
        elf.extend(62_u16.to_le_bytes());
        let exe = machine.path("/proc/self/exe");
        fs::create_dir_all(exe.parent().unwrap()).unwrap();
        fs::write(exe, elf).unwrap();
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn file(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    /// A PCI function.
    pub(crate) fn pci(&self, address: &str, vendor: &str, class: &str) {
        self.file(&format!("/sys/bus/pci/devices/{address}/vendor"), vendor);
        self.file(&format!("/sys/bus/pci/devices/{address}/class"), class);
    }

    /// A program that says `stdout` and ends with `status`.
    pub(crate) fn program(&mut self, name: &'static str, status: i32, stdout: &str) {
        let output = Output {
            status: Some(status),
            stdout: stdout.to_owned(),
            stderr: String::new(),
        };
        self.programs.insert(name, Ok(output));
    }

    /// A program that never answers.
    pub(crate) fn hanging_program(&mut self, name: &'static str) {
        self.programs.insert(name, Err(()));
    }

    pub(crate) fn host(&self) -> Host<'_> {
        Host {
            root: self.root.path(),
            privileged: true,
            commands: self,
        }
    }
}

impl Commands for Machine {
    fn run(&self, program: &str, _arguments: &[&str]) -> Result<Output, CommandError> {
        self.ran.borrow_mut().push(program.to_owned());
        match self.programs.get(program) {
            None => Err(CommandError::NotInstalled(program.to_owned())),
            Some(Ok(output)) => Ok(output.clone()),
            Some(Err(())) => Err(CommandError::TimedOut {
                program: program.to_owned(),
                limit: std::time::Duration::from_secs(20),
            }),
        }
    }
}
