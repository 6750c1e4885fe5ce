//! Fetches what the tests stand on into the cache, so that the suites themselves only test.
//!
//! Engines always; root file systems as root alone, since only root can make them. With the word `more`, those that only
//! the stories of `make more` boot.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use anyhow::Result;
use rig::{Packed, Release, Root, cache, engines};

type Fetch = Box<dyn FnOnce() -> Result<()> + Send>;

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == "more") {
        return here(of_roots([Root::Furnished, Root::WithoutSystemd]));
    }
    let mut fetches: Vec<(String, Fetch)> = vec![
        ("engines".to_owned(), Box::new(engines::fetch)),
        (
            "node_exporter for nodes".to_owned(),
            Box::new(|| Packed::node_exporter().map(drop)),
        ),
        (
            "OpenSSH's client, and shells for nodes".to_owned(),
            Box::new(|| {
                rig::ssh::client("ssh-keygen")
                    .and_then(|_| rig::ssh::shells())
                    .map(drop)
            }),
        ),
    ];
    if rustix::process::geteuid().is_root() {
        fetches.extend(of_roots(Release::ALL.map(Root::Of)));
    }
    here(fetches)
}

fn of_roots(roots: impl IntoIterator<Item = Root>) -> Vec<(String, Fetch)> {
    let one = |root: Root| -> (String, Fetch) {
        let name = format!("root file system: {root:?}");
        (name, Box::new(move || root.rootfs().map(drop)))
    };
    roots.into_iter().map(one).collect()
}

/// Fetches all of them beside each other, and says how it went.
fn here(fetches: Vec<(String, Fetch)>) -> ExitCode {
    let started: Vec<_> = fetches
        .into_iter()
        .map(|(name, fetch)| (name, std::thread::spawn(fetch)))
        .collect();
    let mut code = ExitCode::SUCCESS;
    for (name, fetching) in started {
        if let Ok(Ok(())) = fetching
            .join()
            .map(|fetched| fetched.inspect_err(|error| eprintln!("{name}: {error:#}")))
        {
            println!("{name}: here");
        } else {
            eprintln!("{name}: could not be fetched");
            code = ExitCode::FAILURE;
        }
    }
    if let Ok(folder) = cache::folder() {
        println!("cache: {}", folder.display());
    }
    code
}
