//! `aami-agent checks`: what this node checks, and one round of it.

use std::path::{Path, PathBuf};

use aami_install::Host;
use aami_install::host::{Clock, SystemClock};
use aami_inventory::SystemCommands;
use aami_model::check::RunAs;
use aami_model::secret::Secret;
use aami_model::{Exit, Timestamp, code};
use aami_plans::node::check::starter::{Expected, Starter};
use aami_plans::node::check::{Places, Round, USER, asker, identity_of, orphans};
use aami_plans::node::{Form, asked_at};
use clap::{Args, Subcommand};
use serde_json::json;

use super::bootstrap::launcher;
use super::failure::Failure;
use super::node::{Which, api_of};
use super::screen;
use super::surroundings::Surroundings;

/// Show this node's checks, or run them
#[derive(Debug, Args)]
pub(crate) struct Checks {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Run(Run),
    List(List),
    Starter(One),
}

/// Run the checks that are due and write their metrics; the timer does so each minute
#[derive(Debug, Args)]
struct Run {
    /// Run all of them, and ask the control plane for definitions first
    #[arg(long)]
    now: bool,
    /// The cluster's name, where a machine is a node of several
    #[arg(long, value_name = "NAME", default_value = "default")]
    cluster: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Show every check of this node, as whom it runs, and what it found last
#[derive(Debug, Args)]
struct List {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Run one check of the starter set here and now, and print its report
#[derive(Debug, Args)]
#[command(hide = true)]
struct One {
    /// Its name
    name: String,
    /// How many GPUs there should be
    #[arg(long, value_name = "COUNT")]
    expected: Option<u32>,
}

impl Checks {
    pub(crate) const fn is_json(&self) -> bool {
        match &self.what {
            What::Run(run) => run.json,
            What::List(list) => list.json,
            What::Starter(_) => false,
        }
    }

    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        match self.what {
            What::Run(run) => run.run(surroundings),
            What::List(list) => list.run(),
            What::Starter(one) => one.run(),
        }
    }
}

/// The round of this host; nothing is asked or run yet.
fn round<'a>(host: &Host, clock: &'a dyn Clock) -> Result<Round<'a>, Failure> {
    Ok(Round {
        places: Places::below(Path::new("/")),
        agent: launcher()?,
        identity: identity_of(host)?,
        expected: Expected::default(),
        control_plane: None,
        now: false,
        clock,
    })
}

/// Whether the daemon was told to have everything run, and some check has not run since.
fn is_asked_for(round: &Round<'_>) -> Result<bool, Failure> {
    let Some(asked) = asked_at(Path::new("/")) else {
        return Ok(false);
    };
    let since = asked.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let asked = Timestamp::EPOCH.plus(since);
    let (_, remembered) = round.look()?;
    Ok(remembered.checks.values().any(|seen| seen.at < asked))
}

impl Run {
    fn run(&self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let which = Which {
            cluster: self.cluster.clone(),
            root: None,
        };
        which.need_root()?;
        let (host, clock) = (which.host()?, SystemClock::new());
        let mut round = round(&host, &clock)?;
        if round.identity.is_none() {
            let sentence = format!("the user {USER}, as whom checks run, is not on this host");
            return Err(Failure::new(code::CHECKS_NOT_RUN, sentence)
                .with_hint("Mend the node with `aami-agent bootstrap --repair`."));
        }
        round.now = self.now || is_asked_for(&round)?;
        // The unit's own folder goes with the unit, also under a round that a person or cron began meanwhile.
        round.places.scripts = surroundings
            .runtime_directory
            .clone()
            .unwrap_or_else(|| PathBuf::from("/run/aami-checks-by-hand"));
        // A node that is not enrolled, or never will be, has its starter set.
        if let Some(enrolment) = which.enrolment()? {
            debug_assert_eq!(which.form(), Form::Host);
            round.expected.gpus = enrolment.gpus();
            let secret = std::fs::read_to_string(&round.places.credential).ok();
            let secret = secret.and_then(|text| Secret::parse(&text).ok());
            let api = api_of(&enrolment, &surroundings.proxies)?;
            if let (Some(secret), Some(api)) = (secret, api) {
                let client = asker(api, &secret)?;
                round.control_plane = Some((client, enrolment.hostname));
            }
        }
        orphans::adopt();
        let outcome = round.run();
        orphans::end();
        let outcome = outcome?;
        if outcome.is_elsewhere {
            screen::aside("Another round is at work; this one did nothing.");
            return Ok(Exit::Ok);
        }
        if let Some(why) = &outcome.not_fetched {
            screen::warn(
                &format!("the control plane was not asked for checks: {why}"),
                self.json,
            );
        }
        for (name, report) in &outcome.ran {
            if self.json {
                screen::json(&json!({ "type": "check", "check": name, "report": report }));
            } else {
                screen::line(&format!("{:<9} {name}: {}", report.status.name(), report.message));
            }
        }
        Ok(Exit::Ok)
    }
}

impl List {
    fn run(&self) -> Result<Exit, Failure> {
        let which = Which {
            cluster: "default".to_owned(),
            root: None,
        };
        which.need_root()?;
        let (host, clock) = (which.host()?, SystemClock::new());
        let (planned, remembered) = round(&host, &clock)?.look()?;
        let mut is_well = true;
        for check in &planned {
            let seen = remembered.checks.get(&check.name);
            is_well &= check.is_fine(seen);
            let user = match check.run_as {
                RunAs::AamiCheck => USER,
                RunAs::Root => "root",
            };
            if self.json {
                screen::json(&json!({
                    "name": check.name, "origin": check.origin, "interval_seconds": check.interval, "run_as": user,
                    "off": check.is_off, "refused": check.refused, "seen": seen,
                }));
                continue;
            }
            let (status, message) = match (check.is_off, &check.refused, seen) {
                (true, ..) => ("off", String::new()),
                (_, Some(why), _) => ("refused", why.clone()),
                (_, _, Some(seen)) => (seen.report.status.name(), seen.report.message.clone()),
                (_, _, None) => ("-", "it has not run yet".to_owned()),
            };
            let origin: String = check.origin.chars().take(12).collect();
            let line = format!("{:<20} {status:<9} {user:<11} {origin:<13} {message}", check.name);
            screen::line(line.trim_end());
        }
        Ok(if is_well { Exit::Ok } else { Exit::NotHealthy })
    }
}

impl One {
    fn run(&self) -> Result<Exit, Failure> {
        let starter = Starter::named(&self.name).ok_or_else(|| {
            let names: Vec<&str> = Starter::ALL.into_iter().map(Starter::name).collect();
            Failure::new(
                code::NOT_FOUND,
                format!("there is no check {:?} in the starter set", self.name),
            )
            .with_hint(format!("There are {}.", names.join(", ")))
        })?;
        let commands = SystemCommands::default();
        let expected = Expected { gpus: self.expected };
        screen::json(&starter.run(&aami_inventory::Host::this(&commands), &expected));
        Ok(Exit::Ok)
    }
}
