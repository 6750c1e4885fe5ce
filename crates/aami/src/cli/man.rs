//! `aami man`.

use std::path::{Path, PathBuf};

use aami_model::Exit;
use clap::Args;

use super::each::Done;
use super::failure::Failure;
use super::screen::{Format, Screen};
use super::secret::written;

/// Print the manual page, or write the pages of all commands into a folder
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami man | man -l -
  sudo aami man --dir /usr/local/share/man/man1
  aami man --dir /usr/local/share/man/man1 --dry-run")]
pub(crate) struct Man {
    /// Folder for the pages, e.g. /usr/local/share/man/man1
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Say which pages --dir would write, and write nothing
    #[arg(long, requires = "dir")]
    dry_run: bool,
}

impl Man {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let command = super::command();
        if let Some(dir) = self.dir {
            if self.dry_run {
                return would_write(command, &dir);
            }
            clap_mangen::generate_to(command, &dir).map_err(written(&dir))?;
        } else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command)
                .render(&mut page)
                .map_err(Failure::Output)?;
            Screen::new(Format::Table).write(&String::from_utf8_lossy(&page))?;
        }
        Ok(Exit::Ok)
    }
}

/// Says which pages would be written. A folder that is not there, or not to be written to, is the failure it would be.
fn would_write(command: clap::Command, dir: &Path) -> Result<Exit, Failure> {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).map_err(|error| written(dir)(error.into()))?;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut names = Vec::new();
    pages(&command, &mut names);
    let mut screen = Screen::new(Format::Table);
    for name in names {
        let path = dir.join(name);
        let done = Done::would(path.display(), format!("{} would be written", path.display()));
        screen.show_one(&done, &done.line())?;
    }
    Ok(Exit::Ok)
}

/// The names of the pages of a command and of all below it, as they are written.
fn pages(command: &clap::Command, names: &mut Vec<String>) {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, names);
    }
    names.push(clap_mangen::Man::new(command.clone()).get_filename());
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn there_is_a_page_for_every_command_and_no_other() {
        fn words(command: &clap::Command, called: &str, all: &mut Vec<String>) {
            for below in (command.get_subcommands()).filter(|below| below.get_name() != "help") {
                words(below, &format!("{called}-{}", below.get_name()), all);
            }
            all.push(format!("{called}.1"));
        }
        let folder = tempfile::tempdir().unwrap();
        let man = Man {
            dir: Some(folder.path().to_owned()),
            dry_run: false,
        };
        assert_eq!(man.run().unwrap(), Exit::Ok);
        let mut expected = Vec::new();
        words(&super::super::command(), "aami", &mut expected);
        expected.sort();
        let mut there: Vec<String> = (fs::read_dir(folder.path()).unwrap())
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort();
        assert_eq!(there, expected);
        // Examples are in it, and by what it acts.
        let page = fs::read_to_string(folder.path().join("aami-nodes-list.1")).unwrap();
        assert!(
            page.contains("Examples:") && page.contains("Acts by the control plane"),
            "{page}"
        );
    }

    #[test]
    fn a_dry_run_names_the_pages_that_are_written_and_writes_none() {
        let folder = tempfile::tempdir().unwrap();
        let exit = would_write(super::super::command(), folder.path()).unwrap();
        assert_eq!(
            (exit, fs::read_dir(folder.path()).unwrap().count()),
            (Exit::Ok, 0)
        );
        assert!(would_write(super::super::command(), &folder.path().join("no")).is_err());
        // The same names as are written then.
        let mut command = super::super::command().disable_help_subcommand(true);
        command.build();
        let mut names = Vec::new();
        pages(&command, &mut names);
        names.sort();
        clap_mangen::generate_to(super::super::command(), folder.path()).unwrap();
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut there: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort();
        assert_eq!(names, there);
    }
}
