//! Asking an exporter on this host for its metrics.

use std::net::SocketAddr;
use std::time::Duration;

use aami_install::{StepError, Voice, host::Clock};

/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(3);
/// How much of an answer is read; a busy GPU node's is about 1 MB.
const ENOUGH: u64 = 16 * 1024 * 1024;

/// The metrics at an address of this host, or why there are none.
pub(crate) fn metrics(address: SocketAddr) -> Result<String, String> {
    let agent = ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(true)
        .timeout_global(Some(ANSWER))
        .build()
        .new_agent();
    let response = agent
        .get(format!("http://{address}/metrics"))
        .call()
        .map_err(|error| error.to_string())?;
    let body = response
        .into_body()
        .into_with_config()
        .limit(ENOUGH)
        .read_to_string();
    body.map_err(|error| error.to_string())
}

/// Waits until the exporter at `address` answers with `expected` in its metrics. Answers what was seen
/// last when it does not in time.
pub(crate) fn wait_for(
    clock: &dyn Clock,
    voice: &Voice<'_>,
    address: SocketAddr,
    expected: &str,
    patience: Duration,
) -> Result<Result<(), String>, StepError> {
    let deadline = clock.elapsed() + patience;
    let mut pause = Duration::from_millis(20);
    loop {
        let last = match metrics(address) {
            Ok(text) if text.contains(expected) => return Ok(Ok(())),
            Ok(_) => format!("http://{address}/metrics answers without {expected}"),
            Err(why) => format!("http://{address}/metrics: {why}"),
        };
        voice.check()?;
        if clock.elapsed() >= deadline {
            return Ok(Err(last));
        }
        clock.wait(pause);
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}
