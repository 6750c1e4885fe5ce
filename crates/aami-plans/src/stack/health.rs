//! Asking each part whether it is well, at its own address, until a deadline.

use std::time::Duration;

use aami_install::host::{Command, telling};
use aami_install::{Host, StepError, Voice};
use aami_model::code;

use super::part::Part;
use super::session::Session;
use super::wishes::Runtime;

/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(3);
/// How much of an answer is read.
const ENOUGH: u64 = 64 * 1024;
/// How long a part may take from its start to its first good answer. Prometheus reads its data first.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long after its first death one that is dead again is given up: longer than the pause before systemd starts
/// it anew.
const GIVES_UP: Duration = Duration::from_secs(8);
/// How many lines of its log are looked at.
const LOOKED_AT: usize = 40;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Who is asked.
    pub part: Part,
    /// Where.
    pub url: String,
}

/// Asks over HTTP. An answer of another program at the same address is no good answer.
pub fn ask(question: &Question) -> Result<(), String> {
    let agent = ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(true)
        .timeout_global(Some(ANSWER))
        .build()
        .new_agent();
    let response = agent
        .get(&question.url)
        .call()
        .map_err(|error| error.to_string())?;
    let body = response
        .into_body()
        .into_with_config()
        .limit(ENOUGH)
        .read_to_string()
        .map_err(|error| error.to_string())?;
    if body.contains(question.part.health_word()) {
        Ok(())
    } else {
        Err(format!("another program answers, not {}", question.part))
    }
}

/// The question for a part.
pub(crate) fn question(session: &Session, part: Part) -> Question {
    let url = format!("{}{}", session.wishes().near(part), part.health_path());
    Question { part, url }
}

/// Asks once.
pub(crate) fn is_well(session: &Session, part: Part) -> Result<(), String> {
    let question = question(session, part);
    (session.options.ask)(&question).map_err(|why| format!("{}: {why}", question.url))
}

/// Waits until a part is well. Fails with what was seen last and the last lines of its log.
pub(crate) fn wait(session: &Session, host: &Host, voice: &Voice<'_>, part: Part) -> Result<(), StepError> {
    let began = host.clock.elapsed();
    let mut failed_since = None;
    let mut pause = Duration::from_millis(20);
    loop {
        let seen = match is_well(session, part) {
            Ok(()) => return Ok(()),
            Err(seen) => seen,
        };
        voice.check()?;
        let now = host.clock.elapsed();
        if has_failed(session, host, part) {
            let since = *failed_since.get_or_insert(now);
            if now.saturating_sub(since) >= GIVES_UP {
                return Err(silent(
                    session,
                    host,
                    part,
                    &format!("it ends again and again; {seen}"),
                    now - began,
                ));
            }
        }
        if now.saturating_sub(began) >= PATIENCE {
            return Err(silent(session, host, part, &seen, now - began));
        }
        host.clock.wait(pause);
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// Whether systemd says that it died, and maybe that it will be started again.
fn has_failed(session: &Session, host: &Host, part: Part) -> bool {
    let units = host
        .units
        .as_ref()
        .filter(|_| session.wishes().runtime == Runtime::Systemd);
    let unit = units.and_then(|units| units.show(part.unit()).ok());
    unit.is_some_and(|unit| unit.has_failed())
}

fn silent(session: &Session, host: &Host, part: Part, seen: &str, waited: Duration) -> StepError {
    let waited = waited.as_secs();
    let mut message = format!("{part} did not answer within {waited} s: {seen}");
    let journal = match session.wishes().runtime {
        Runtime::Systemd => host
            .units
            .as_ref()
            .map_or_else(Vec::new, |units| units.journal(part.unit(), LOOKED_AT)),
        Runtime::Compose => container_log(host, part),
    };
    let journal = telling(&journal);
    if !journal.is_empty() {
        message.push_str(&format!("; its last words: {}", journal.join(" | ")));
    }
    let hint = match session.wishes().runtime {
        Runtime::Systemd => format!("Read its log with `journalctl -u {}`.", part.unit()),
        Runtime::Compose => format!("Read its log with `docker logs {}`.", part.container()),
    };
    StepError::new(code::STACK_UNHEALTHY, message).with_hint(hint)
}

/// The last lines a container wrote; none where the engine does not answer.
fn container_log(host: &Host, part: Part) -> Vec<String> {
    let Some(commands) = &host.commands else {
        return Vec::new();
    };
    let tail = format!("--tail={LOOKED_AT}");
    let command = Command::look(["docker", "logs", &tail, part.container()]);
    let Ok(output) = commands.run(&command) else {
        return Vec::new();
    };
    let clean = |line: &str| line.chars().filter(|c| !c.is_control()).take(300).collect();
    // Programs in containers log to standard error.
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    said.iter().flat_map(|text| text.lines()).map(clean).collect()
}
