//! This machine as a node, by the real agent in its foreground form.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use aami_api::node::NodeView;
use aami_api::token::CreateToken;
use aami_model::node_status::NodeStatus;
use aami_model::{Code, NodeId, TokenId, code};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::beginning::Plane;
use super::remembered::Remembered;
use super::stop::Stop;
use super::{Places, ports};
use crate::cli::failure::Failure;
use crate::cli::query::Query;
use crate::cli::screen::Screen;
use crate::cli::secret::{self, written};
use crate::cli::surroundings::Surroundings;

/// How long a bootstrap may take; most of it is unpacking.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long the agent may take to end its exporters.
const GRACE: Duration = Duration::from_secs(10);
/// How long the token is good; the bootstrap is over long before.
const TOKEN_SECONDS: u64 = 600;

/// The agent at work.
pub(super) struct Node {
    child: Child,
    token: TokenId,
    log: PathBuf,
    /// What it told the control plane; names the host.
    registration: PathBuf,
    pub(super) hostname: String,
    pub(super) port: u16,
}

impl Node {
    /// Starts the bootstrap with a token of its own. On a machine that is a node already it finds that
    /// everything holds, and brings up the exporters.
    pub(super) fn start(
        plane: &Plane,
        places: &Places,
        surroundings: &Surroundings,
        usual: u16,
        remembered: &mut Remembered,
        screen: &mut Screen,
    ) -> Result<Self, Failure> {
        let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let port = ports::free(everywhere, remembered.exporter, usual).map_err(Failure::Runtime)?;
        ports::say(screen, "node_exporter", usual, port, everywhere);
        remembered.exporter = Some(port);
        let token = plane.client.create_token(&CreateToken {
            name: "this machine, by aami up".to_owned(),
            max_uses: Some(1),
            ttl_seconds: Some(TOKEN_SECONDS),
            // Whoever may read this folder is this machine, whatever happened to its key.
            allow_reenrol: true,
            ..CreateToken::default()
        })?;
        let token_file = token_file(places);
        // Left by a start that was cut short.
        let _ = fs::remove_file(&token_file);
        secret::save(&token_file, &token.token)?;

        let log = places.data.join("bootstrap.log");
        let output = File::create(&log).map_err(written(&log))?;
        let mut command = Command::new(&places.agent);
        command
            .args([
                "bootstrap",
                "--foreground",
                "--until-stdin-closes",
                "--unattended",
                "--root",
            ])
            .arg(&places.data)
            .args([
                "--server",
                plane.url(),
                "--port",
                &port.to_string(),
                "--token-file",
            ])
            .arg(&token_file);
        if places.components.join("components.toml").is_file() {
            command.arg("--components").arg(&places.components);
        }
        for (name, value) in proxies(surroundings) {
            command.env(name, value);
        }
        let child = command
            .stdin(Stdio::piped())
            .stdout(output.try_clone().map_err(Failure::Runtime)?)
            .stderr(output)
            // Ctrl-C at the terminal is for this process, which ends the agent in its turn.
            .process_group(0)
            .spawn()
            .map_err(Failure::Runtime)?;
        screen.note("aami: enrolling this machine");
        Ok(Self {
            child,
            token: token.view.id,
            log,
            registration: places.data.join("node/agent/registration.json"),
            hostname: String::new(),
            port,
        })
    }

    /// Waits until the control plane has verified this machine; `None` when told to stop meanwhile.
    pub(super) fn until_enrolled(&mut self, plane: &Plane, stop: &Stop) -> Result<Option<NodeId>, Failure> {
        let (registration, log) = (self.registration.clone(), self.log.clone());
        let child = &mut self.child;
        let mut last = NodeStatus::Pending;
        let found = stop.until(PATIENCE, || {
            if let Some(status) = child.try_wait().map_err(Failure::Runtime)? {
                return Err(ended(&log, status));
            }
            let Some(hostname) = registered_hostname(&registration) else {
                return Ok(None);
            };
            let mut query = Query::default();
            query.add("hostname", &hostname);
            let node: Option<NodeView> = plane.client.nodes(&query.to_string())?.items.pop();
            Ok(node.and_then(|node| {
                last = node.status;
                (node.status == NodeStatus::Online).then_some((node.id, hostname))
            }))
        })?;
        match found {
            Some((id, hostname)) => {
                self.hostname = hostname;
                Ok(Some(id))
            }
            None if stop.told() => Ok(None),
            None => Err(Failure::found_with(
                code::NOT_VERIFIED,
                format!(
                    "this machine is {} after {} s and not online",
                    last.name(),
                    PATIENCE.as_secs()
                ),
                format!("Read {}.", self.log.display()),
            )),
        }
    }

    /// The token has done its work.
    pub(super) fn forget_token(&self, plane: &Plane, places: &Places) -> Result<(), Failure> {
        plane
            .client
            .delete(&format!("/api/v1/bootstrap-tokens/{}", self.token))?;
        let file = token_file(places);
        fs::remove_file(&file).map_err(written(&file))
    }

    /// Waits until told to stop; says so when the agent ends before.
    pub(super) fn watch(&mut self, stop: &Stop, screen: &mut Screen) {
        let mut gone = false;
        while !stop.wait(Duration::from_millis(500)) {
            if let (false, Ok(Some(status))) = (gone, self.child.try_wait()) {
                gone = true;
                screen.note(&format!(
                    "aami: the agent of this machine ended ({status}); read {}",
                    self.log.display()
                ));
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
            && matches!(self.child.try_wait(), Ok(None))
        {
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

fn token_file(places: &Places) -> PathBuf {
    places.data.join("bootstrap.token")
}

fn proxies(surroundings: &Surroundings) -> Vec<(&'static str, String)> {
    let proxies = &surroundings.proxies;
    let mut variables = Vec::new();
    variables.extend(proxies.http.clone().map(|url| ("http_proxy", url)));
    variables.extend(proxies.https.clone().map(|url| ("https_proxy", url)));
    if !proxies.without.is_empty() {
        variables.push(("no_proxy", proxies.without.join(",")));
    }
    variables
}

/// The name this machine registered under, once it has.
fn registered_hostname(registration: &PathBuf) -> Option<String> {
    let told: Value = serde_json::from_slice(&fs::read(registration).ok()?).ok()?;
    told.pointer("/request/hostname")?.as_str().map(str::to_owned)
}

/// The agent's own last words, and its code where it told one.
fn ended(log: &PathBuf, status: ExitStatus) -> Failure {
    let said = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let code = lines
        .iter()
        .rev()
        .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .find_map(Code::find)
        .copied()
        .unwrap_or(code::STEP_FAILED);
    let last = lines[lines.len().saturating_sub(4)..].join(" / ");
    Failure::found_with(
        code,
        format!("the agent of this machine ended ({status}); it said: {last}"),
        format!("{} Its whole output is in {}.", code.hint, log.display()),
    )
}
