//! What is done on one node: look, carry, start, read along.
//!
//! Everything here may be done twice: a file that is there is not sent again, and a run that was begun is found by its
//! name. So whatever goes wrong on the way may be tried again.

use std::sync::Arc;
use std::time::Duration;

use aami_api::detached::{Standing, Told};
use aami_inventory::Arch;
use aami_model::code::{self, Code};
use aami_model::run::RunStatus;
use aami_plans::node::PUSHED;
use aami_ssh::fanout::{Fault, Output, Turn};
use aami_ssh::{Command, Connection, ErrorClass, SshError, Upload};
use tokio::time::Instant;

use super::follow;
use super::load::{AGENT, Item, Load};
use crate::fleet::ways::Ways;
use crate::fleet::{Installed, Introduce, Introduction, Member};

/// How much of an answer is kept.
const ENOUGH: usize = 64 * 1024;
/// How the agent is told of its token.
const TOKEN_FILE: &str = "--token-file";
/// What differs from node to node: its processor, and where this machine stands as it sees it.
const FACTS: &str = "uname -m\nset -- $SSH_CONNECTION\necho \"$1\"\n";

/// What is to be done on every node.
pub(super) struct Job {
    pub(super) ways: Ways,
    pub(super) members: Vec<Member>,
    pub(super) load: Load,
    pub(super) introducer: Arc<dyn Introduce>,
    /// Words for the agent that are the same everywhere.
    pub(super) arguments: Vec<String>,
    /// Whom firewalls are opened for; this machine where nobody is named.
    pub(super) scrape_from: Vec<String>,
    /// What the run is called on every node.
    pub(super) run: String,
    /// The shortest and the longest wait before a lost connection is made again.
    pub(super) pauses: (Duration, Duration),
}

/// A fault of SSH; everything may be done twice.
pub(super) fn ssh(error: &SshError) -> Fault {
    Fault::ssh(error, true)
}

/// What the agent on the node said went wrong.
pub(super) fn said(told: &Told) -> Fault {
    let known = Code::find(&told.code).copied().unwrap_or(code::STEP_FAILED);
    let fault = Fault::new(ErrorClass::Remote, known, told.message.clone());
    Fault {
        // Whoever is at work there ends some day.
        again: known == code::LOCKED,
        ..fault
    }
}

/// The node answers in a way nobody expected.
pub(super) fn strange(what: impl Into<String>) -> Fault {
    Fault::new(ErrorClass::Remote, code::NODE_ANSWER_STRANGE, what)
}

/// Installs on one node.
pub(super) async fn on(job: &Job, turn: &Turn, output: &Output) -> Result<Installed, Fault> {
    let member = &job.members[turn.host];
    output.progress("connecting").await;
    let connection = job
        .ways
        .client
        .connect(&job.ways.hosts[turn.host])
        .await
        .map_err(|error| ssh(&error))?;
    let facts = connection
        .output(&Command::script(FACTS), ENOUGH)
        .await
        .map_err(|error| ssh(&error))?;
    let facts = String::from_utf8_lossy(&facts.stdout).into_owned();
    let (arch, here) = read_facts(&facts)?;
    carry(job, turn, &connection, arch, output).await?;
    // A run of an earlier command may still be at work there: then there is nothing to start until it has ended.
    let mut connection = connection;
    if let Some(running) = running(job, &connection).await? {
        output
            .progress(&format!(
                "the run {running} is at work already; waiting for its end"
            ))
            .await;
        let ended = follow::to_the_end(job, turn, output, connection, &running).await?;
        connection = ended.connection;
    }
    let words = command(job, turn, &connection, here.as_deref(), output).await?;
    start(job, &connection, &words).await?;
    let ended = follow::to_the_end(job, turn, output, connection, &job.run).await?;
    if words.iter().any(|word| word == TOKEN_FILE) {
        forget_token(job, &ended.connection, output).await;
    }
    let exporters = ended.verdict()?;
    ended.connection.close().await;
    let installed = Installed {
        name: member.name.clone(),
        exporters,
    };
    // Before the resume file calls it done: what is noted nowhere would be watched by nobody.
    note(job, installed.clone()).await?;
    Ok(installed)
}

/// Processor, and this machine's address as the node sees it.
fn read_facts(facts: &str) -> Result<(Arch, Option<String>), Fault> {
    let mut lines = facts.lines().map(str::trim);
    let machine = lines.next().unwrap_or_default();
    let arch = Arch::parse(machine).ok_or_else(|| {
        let what = format!(
            "nothing is built for its processor, {:?}",
            machine.chars().take(40).collect::<String>()
        );
        Fault::new(ErrorClass::Remote, code::ARCH_NOT_SUPPORTED, what)
    })?;
    let here = lines
        .next()
        .filter(|text| text.parse::<std::net::IpAddr>().is_ok());
    Ok((arch, here.map(str::to_owned)))
}

/// Carries what is not there yet, or differs.
async fn carry(
    job: &Job,
    turn: &Turn,
    connection: &Connection,
    arch: Arch,
    output: &Output,
) -> Result<(), Fault> {
    let agent = job.load.agent(arch).ok_or_else(|| {
        let what = format!("there is no agent here for its processor, {}", arch.name());
        Fault::new(ErrorClass::Local, code::AGENT_NOT_HERE, what)
    })?;
    output.progress("carrying the agent").await;
    place(job, turn, connection, &agent, 0o755).await?;
    let components = job.load.components(arch);
    if !components.is_empty() {
        output.progress("carrying exporters").await;
    }
    for item in &components {
        place(job, turn, connection, item, 0o644).await?;
    }
    Ok(())
}

async fn place(job: &Job, turn: &Turn, connection: &Connection, item: &Item, mode: u32) -> Result<(), Fault> {
    send(job, turn, connection, Upload::file(&item.here, &item.there, mode)).await
}

/// Sends a file for as long as the node has time: how long one takes depends on the line and not on a command.
async fn send(job: &Job, turn: &Turn, connection: &Connection, upload: Upload) -> Result<(), Fault> {
    let upload = upload.timeout(left(turn));
    let upload = if job.ways.uses_sudo() {
        upload.as_root()
    } else {
        upload
    };
    connection.upload(&upload).await.map_err(|error| ssh(&error))?;
    Ok(())
}

/// The words of the bootstrap on this node. A token goes there by standard input, into a file of root's.
async fn command(
    job: &Job,
    turn: &Turn,
    connection: &Connection,
    here: Option<&str>,
    output: &Output,
) -> Result<Vec<String>, Fault> {
    let member = &job.members[turn.host];
    let mut words = vec!["bootstrap".to_owned()];
    let introduction = introduce(job, member).await?;
    match introduction {
        Introduction::Alone => words.push("--standalone".to_owned()),
        Introduction::Register { server, pin, token } => {
            output.progress("carrying its token").await;
            let path = token_there();
            let upload = Upload::bytes(format!("{}\n", token.reveal()), &path, 0o600);
            send(job, turn, connection, upload).await?;
            words.extend(["--server".to_owned(), server, TOKEN_FILE.to_owned(), path]);
            words.extend(pin.into_iter().flat_map(|pin| ["--pin".to_owned(), pin]));
        }
    }
    words.extend(job.arguments.iter().cloned());
    words.extend(["--address".to_owned(), member.address.to_string()]);
    for (name, value) in &member.labels.0 {
        words.extend(["--labels".to_owned(), format!("{name}={value}")]);
    }
    if let Some(folder) = job.load.components_there() {
        words.extend(["--components".to_owned(), folder]);
    }
    let direct = !member.has_jump();
    let scrapers: Vec<String> = match job.scrape_from.is_empty() {
        // Behind a jump host the node sees that one and not this machine.
        true => here.filter(|_| direct).map(str::to_owned).into_iter().collect(),
        false => job.scrape_from.clone(),
    };
    for scraper in scrapers {
        words.extend(["--scrape-from".to_owned(), scraper]);
    }
    Ok(words)
}

/// Where a node's token lies while it is needed.
fn token_there() -> String {
    format!("{PUSHED}/token")
}

/// Removes it when the run has ended, however that was: the next one brings its own. One that stays is of no use to
/// anybody once the node is enrolled, so that it stays fails nothing.
async fn forget_token(job: &Job, connection: &Connection, output: &Output) {
    let remove = job.ways.as_root(Command::program(["rm", "-f", &token_there()]));
    let gone = connection.output(&remove, ENOUGH).await;
    if !gone.is_ok_and(|ended| ended.exit.success()) {
        output.progress("its token could not be removed there").await;
    }
}

/// Asks in a thread of its own: who answers may be a control plane.
async fn introduce(job: &Job, member: &Member) -> Result<Introduction, Fault> {
    let (introducer, member) = (Arc::clone(&job.introducer), member.clone());
    let asked = tokio::task::spawn_blocking(move || introducer.introduce(&member)).await;
    let local = |code: Code, what: String| Fault::new(ErrorClass::Local, code, what);
    match asked {
        Ok(answer) => answer.map_err(|(code, what)| local(code, what)),
        Err(error) => Err(local(code::INTERNAL, error.to_string())),
    }
}

/// Notes a node in a thread of its own: it is written to disk, and others may be at it.
async fn note(job: &Job, installed: Installed) -> Result<(), Fault> {
    let introducer = Arc::clone(&job.introducer);
    let noted = tokio::task::spawn_blocking(move || introducer.installed(installed)).await;
    let local = |code: Code, what: String| Fault::new(ErrorClass::Local, code, what);
    match noted {
        Ok(answer) => answer.map_err(|(code, what)| local(code, what)),
        Err(error) => Err(local(code::INTERNAL, error.to_string())),
    }
}

/// An answer of the agent on the node.
pub(super) async fn ask(job: &Job, connection: &Connection, words: &[&str]) -> Result<String, Fault> {
    let command = job.ways.as_root(Command::program([AGENT].iter().chain(words)));
    let output = connection
        .output(&command, ENOUGH)
        .await
        .map_err(|error| ssh(&error))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.exit.success() {
        return Ok(text);
    }
    let told = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Told>(line).ok())
        .next_back();
    if let Some(told) = told {
        return Err(said(&told));
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last = complaint
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or_default();
    Err(strange(format!(
        "`aami-agent {}` did not do it: {}",
        words.iter().take(2).copied().collect::<Vec<_>>().join(" "),
        last.chars().take(200).collect::<String>()
    )))
}

/// A bootstrap that is at work there under another name.
async fn running(job: &Job, connection: &Connection) -> Result<Option<String>, Fault> {
    let text = ask(job, connection, &["run", "list", "--json"]).await?;
    let runs: Vec<Standing> = serde_json::from_str(text.trim())
        .map_err(|error| strange(format!("its list of runs cannot be read: {error}")))?;
    let at_work = |run: &&Standing| {
        run.status == RunStatus::Running
            && run.id != job.run
            && run.command.first().is_some_and(|word| word == "bootstrap")
    };
    Ok(runs.iter().find(at_work).map(|run| run.id.clone()))
}

/// Starts the run, or finds it started. The answer to an earlier call may have been lost.
async fn start(job: &Job, connection: &Connection, words: &[String]) -> Result<Standing, Fault> {
    let mut all = vec!["run", "start", "--id", &job.run, "--again", "--json", "--"];
    all.extend(words.iter().map(String::as_str));
    let text = ask(job, connection, &all).await?;
    let answer = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Standing>(line).ok())
        .next_back();
    answer.ok_or_else(|| strange("it did not say how the run stands"))
}

/// How long is left.
pub(super) fn left(turn: &Turn) -> Duration {
    turn.until.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_is_and_from_where_it_is_seen() {
        let (arch, here) = read_facts("x86_64\n10.0.0.9\n").unwrap();
        assert_eq!((arch.name(), here.as_deref()), ("amd64", Some("10.0.0.9")));
        assert_eq!(read_facts("aarch64\n\n").unwrap().1, None);
        assert_eq!(read_facts("x86_64\n; rm -rf /\n").unwrap().1, None);
        let fault = read_facts("sparc64\n").unwrap_err();
        assert_eq!(fault.code, code::ARCH_NOT_SUPPORTED);
        assert!(read_facts("").is_err());
    }

    #[test]
    fn who_is_at_work_there_is_waited_for_and_what_failed_is_not_tried_again() {
        let told = |code: &str| Told {
            code: code.to_owned(),
            id: String::new(),
            message: "m".to_owned(),
            hint: String::new(),
        };
        assert!(said(&told("LOCKED")).again);
        let fault = said(&told("PORT_IN_USE"));
        assert_eq!((fault.code, fault.again), (code::PORT_IN_USE, false));
        assert_eq!(said(&told("OF_A_NEWER_AGENT")).code, code::STEP_FAILED);
    }
}
