//! `aami-agent exporters`: what this node serves beside its node_exporter.

use std::path::PathBuf;

use aami_install::{Installer, Mode};
use aami_model::{Exit, code};
use aami_plans::node::{Change, Enrolment, Node, NodeOptions, Purpose};
use clap::{Args, Subcommand};

use super::bootstrap::{Named, image, signals, sources};
use super::failure::Failure;
use super::node::{Which, api_of};
use super::surroundings::Surroundings;
use super::{screen, uninstall};

/// List, install or remove exporters on this node
#[derive(Debug, Args)]
pub(crate) struct Exporters {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    List(List),
    Install(Install),
    Remove(Remove),
}

/// Show the exporters that are installed, and those that could be
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    which: Which,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Install an exporter and register it: dcgm_exporter, all_smi, or one of a site's own catalogue
#[derive(Debug, Args)]
struct Install {
    /// Its name in the catalogue
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    how: How,
    /// A web server that carries exporters, in place of the control plane and their publishers
    #[arg(long, value_name = "URL", value_parser = aami_plans::mirror_address)]
    mirror: Option<String>,
    /// A file with what the mirror wants to see: a token, or user:password
    #[arg(long, value_name = "FILE", requires = "mirror")]
    mirror_credential_file: Option<PathBuf>,
    /// A folder that carries exporters, and a components.toml that names them
    #[arg(long, value_name = "DIR")]
    components: Option<PathBuf>,
    /// The container image to run dcgm-exporter in, by its digest: NAME@sha256:... [default: the catalogue's, if any]
    #[arg(long, value_name = "IMAGE", value_parser = image)]
    dcgm_image: Option<String>,
    /// Do not touch a firewall
    #[arg(long)]
    skip_firewall: bool,
    /// An address or network that exporters are scraped from; may be given several times [default: the control plane]
    #[arg(long, value_name = "ADDRESS")]
    scrape_from: Vec<String>,
}

/// Take an exporter off this node, and out of the control plane
#[derive(Debug, Args)]
struct Remove {
    /// Its name
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct How {
    #[command(flatten)]
    which: Which,
    /// Show what would change and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Never ask anything; this command asks nothing anyway
    #[arg(long)]
    unattended: bool,
    /// Show more
    #[arg(long, short)]
    verbose: bool,
    /// Speak JSON lines
    #[arg(long)]
    json: bool,
}

/// A component's name as a catalogue has it; whether there is one of that name is for the plan to say.
fn name(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    match text {
        "node_exporter" | "node-exporter" => {
            Err("node_exporter comes with `aami-agent bootstrap` and goes with `uninstall`".to_owned())
        }
        _ if fits => Ok(text.to_owned()),
        _ => Err("a name is made of a-z, 0-9, _ and -, at most 64 of them".to_owned()),
    }
}

impl Exporters {
    pub(crate) const fn is_json(&self) -> bool {
        match &self.what {
            What::List(list) => list.json,
            What::Install(install) => install.how.json,
            What::Remove(remove) => remove.how.json,
        }
    }

    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        match self.what {
            What::List(list) => list.run(surroundings),
            What::Install(install) => install.run(surroundings),
            What::Remove(remove) => remove.run(surroundings),
        }
    }
}

impl List {
    fn run(&self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let enrolment = enrolled(&self.which)?;
        let api = api_of(&enrolment, &surroundings.proxies)?;
        let node = self
            .which
            .look(Some(enrolment), api, surroundings.proxies.clone())?;
        let all = node.exporters(&self.which.host()?)?;
        if self.json {
            screen::json(&all);
            return Ok(Exit::Ok);
        }
        for one in all {
            let port = one.port.map_or_else(|| "-".to_owned(), |port| port.to_string());
            let version = one.version.as_deref().unwrap_or("-");
            let answers = match (one.standing, one.answers) {
                (_, true) => "answers",
                ("installed", false) => "does not answer",
                _ => "",
            };
            let line = format!(
                "{:<16} {port:<6} {version:<12} {:<10} {answers}",
                one.name, one.standing
            );
            screen::line(line.trim_end());
        }
        Ok(Exit::Ok)
    }
}

impl Install {
    fn run(&self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        if self.dcgm_image.is_some() && self.name.replace('-', "_") != "dcgm_exporter" {
            return Err(Failure::invalid("--dcgm-image goes with dcgm_exporter alone"));
        }
        let enrolment = begin(&self.how)?;
        let api = api_of(&enrolment, &surroundings.proxies)?;
        let sources = sources(&Named {
            api: api.as_ref(),
            mirror: self.mirror.as_deref(),
            mirror_credential: self.mirror_credential_file.as_deref(),
            components: self.components.as_deref(),
        })?;
        let node = Node::new(NodeOptions {
            purpose: Purpose::Exporters {
                enrolment: Box::new(enrolment),
                change: Change::Add(self.name.clone()),
            },
            sources,
            dcgm_image: self.dcgm_image.clone(),
            skip_firewall: self.skip_firewall,
            scrape_from: super::bootstrap::networks(&self.scrape_from)?,
            ..self.how.which.bare(api, surroundings.proxies.clone())
        })?;
        self.how.make_so(&node, surroundings)
    }
}

impl Remove {
    fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let enrolment = begin(&self.how)?;
        let api = api_of(&enrolment, &surroundings.proxies)?;
        let node = Node::new(NodeOptions {
            purpose: Purpose::Exporters {
                enrolment: Box::new(enrolment),
                change: Change::Remove(self.name.clone()),
            },
            ..self.how.which.bare(api, surroundings.proxies.clone())
        })?;
        let host = self.how.which.host()?;
        let installer = || self.how.which.installer(&host, &node);
        // Nobody comes in between: what is looked at is what goes.
        let held = if self.how.dry_run {
            None
        } else {
            Some(installer()?.hold()?)
        };
        let name = node.exporter(&host)?.unwrap_or_else(|| self.name.clone());
        let part = node.exporter_effects(&host, &name)?;
        let Some(held) = &held else {
            for effect in part.iter().rev() {
                screen::line(&format!("would take back {}", effect.key()));
            }
            return Ok(Exit::Ok);
        };
        // First nobody looks for it any more, then it goes.
        let exit = self
            .how
            .carry_out(installer()?.within(held), &node, surroundings)?;
        if exit != Exit::Ok {
            return Ok(exit);
        }
        let report = installer()?
            .cancelled_by(signals::cancel_on_signals()?)
            .within(held)
            .take_back(&part)?;
        uninstall::show(&report, self.how.json, &format!("{name} is gone."));
        Ok(report.code().map_or(Exit::Ok, |code| code.exit))
    }
}

impl How {
    fn make_so(&self, node: &Node, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let host = self.which.host()?;
        let installer = self.which.installer(&host, node)?;
        if self.dry_run {
            return super::bootstrap::show(&installer.dry_run()?, self.json);
        }
        self.carry_out(installer, node, surroundings)
    }

    fn carry_out(
        &self,
        installer: Installer<'_>,
        node: &Node,
        surroundings: &Surroundings,
    ) -> Result<Exit, Failure> {
        let how = screen::How {
            json: self.json,
            // The screen of eight steps is for the bootstrap.
            verbose: true,
            colour: surroundings.colour,
        };
        let installer = installer.cancelled_by(signals::cancel_on_signals()?);
        let report = screen::attach(installer, node.session(), node.plan().title(), how).run(Mode::Fresh)?;
        if self.verbose && !self.json {
            for effect in &report.executed {
                screen::line(&format!("changed: {effect}"));
            }
        }
        match report.failure() {
            Some((code, sentence)) if self.json => screen::complain(&Failure::new(code, sentence), true),
            // The lines above have said what failed and what to do.
            Some((code, _)) => screen::aside(&format!("code: {} ({})", code.symbol, code.id())),
            None => {}
        }
        Ok(report.exit())
    }
}

fn begin(how: &How) -> Result<Enrolment, Failure> {
    if how.which.root.is_some() {
        return Err(Failure::invalid(
            "exporters are installed on a host, not in a folder",
        ));
    }
    if !how.dry_run {
        how.which.need_root()?;
    }
    enrolled(&how.which)
}

fn enrolled(which: &Which) -> Result<Enrolment, Failure> {
    which.enrolment()?.ok_or_else(|| {
        let sentence = "this machine is not enrolled, or its files are not readable for you";
        Failure::new(code::NOT_FOUND, sentence)
            .with_hint("Enrol it with the line that `aami tokens create` prints; run this as root.")
    })
}
