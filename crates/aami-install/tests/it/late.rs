//! A program that a killed run had started goes on by itself: it may end after the next run looked.

use std::sync::Arc;

use aami_install::host::{Command, CommandError, Commands, Output};
use aami_install::{Host, Installer, Mode};

use crate::house::{House, options};
use crate::plan;

/// A host on which whatever changes users and groups was begun before, and comes to its end just before it is begun again.
struct Late(Arc<dyn Commands>);

impl Commands for Late {
    fn run(&self, command: &Command) -> Result<Output, CommandError> {
        let accounts = ["groupadd", "useradd", "usermod", "userdel", "groupdel", "gpasswd"];
        if accounts.contains(&command.argv[0].as_str()) {
            self.0.run(command)?;
        }
        self.0.run(command)
    }
}

fn late(house: &House) -> Host {
    let mut host = house.host(None);
    host.commands = host
        .commands
        .map(|commands| Arc::new(Late(commands)) as Arc<dyn Commands>);
    host
}

#[test]
fn an_account_that_comes_or_goes_by_the_tool_of_a_killed_run_is_no_failure() {
    let undisturbed = House::new();
    undisturbed.install(&plan::node(&undisturbed));
    // Given a host on which a killed run's tools still make users and groups,
    let house = House::new();
    let before = house.picture();
    let (plan, host) = (plan::node(&house), late(&house));
    let installer = || Installer::new(&host, &plan, options()).unwrap();
    // when the plan is run again, then what they made is what was wanted,
    let report = installer().run(Mode::Fresh).unwrap();
    let failure = report.failure().map(|(code, why)| format!("{code}: {why}"));
    assert_eq!(failure, None);
    house.picture().must_be(&undisturbed.picture(), "made by two");
    // and the same holds for taking it back.
    let report = installer().uninstall(Some(&house.control_plane())).unwrap();
    assert!(report.failed.is_empty(), "{:#?}", report.failed);
    house.picture().must_be(&before, "taken back by two");
}
