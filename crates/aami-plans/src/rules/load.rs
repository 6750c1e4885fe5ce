//! Prometheus told of its rules, and asked until it has them.

use std::time::{Duration, Instant};

use aami_model::rule_file::RuleFile;

use super::compared::compared;
use super::judge::shown;
use super::{EngineError, LOADING, Reload, RulesError, Site};

/// How often it is asked meanwhile.
const OFTEN: Duration = Duration::from_millis(100);
/// One that looks for itself is waited for where it looks at least so often.
const LOOKING: Duration = Duration::from_secs(60);

/// What a Prometheus makes of being told to read its configuration.
pub(super) enum Told {
    /// It has read it.
    Read,
    /// It has read it, and cannot load it.
    Refused,
    /// It will.
    Asked,
    /// It looks for itself, so often.
    Looking(Duration),
    /// It is still starting, and listens to nobody.
    Starting,
}

/// Makes Prometheus read the folder, and waits until it has every rule. Answers those it cannot evaluate.
pub(super) fn load(site: &Site<'_>, earlier: Reload, files: &[RuleFile]) -> Result<Vec<String>, RulesError> {
    let prometheus = &site.prometheus;
    let refused = || {
        RulesError::NotLoaded(format!(
            "Prometheus at {} refuses its configuration with these rules",
            prometheus.url()
        ))
    };
    let within = match told_to_reload(site) {
        Ok(Told::Read | Told::Asked) => LOADING,
        Ok(Told::Looking(every)) => LOADING + every,
        Ok(Told::Refused) => return Err(refused()),
        Ok(Told::Starting) => return Err(RulesError::Starting(starting(site))),
        Err(why) => {
            let sentence = format!("Prometheus could not be told of the rules: {why}");
            return Err(RulesError::NotLoaded(sentence));
        }
    };
    let until = Instant::now() + within;
    loop {
        let seen = match prometheus.reload() {
            Ok(now) => match read_since(earlier, now) {
                Some(false) => return Err(refused()),
                None => "it has not read its configuration again".to_owned(),
                Some(true) => {
                    match (prometheus.rules_alone())
                        .map(|loaded| compared(&loaded, Some(&site.folder), files).outcome())
                    {
                        Ok(Ok(failing)) => return Ok(failing),
                        Ok(Err(missing)) => format!("it has not loaded {missing}"),
                        Err(error) => error.to_string(),
                    }
                }
            },
            Err(error) => error.to_string(),
        };
        if Instant::now() >= until {
            return Err(RulesError::NotLoaded(format!(
                "Prometheus at {} did not take the rules over within {} s: {seen}",
                prometheus.url(),
                within.as_secs()
            )));
        }
        std::thread::sleep(OFTEN);
    }
}

/// By its own endpoint where that is open, else by its unit. One that looks for itself need not be told. Says why it can be
/// none of them.
pub(super) fn told_to_reload(site: &Site<'_>) -> Result<Told, String> {
    let refused = match site.prometheus.read_again() {
        Ok(()) => return Ok(Told::Read),
        Err(EngineError::Refused { status: 500, .. }) => return Ok(Told::Refused),
        Err(error) if error.is_starting() => return Ok(Told::Starting),
        Err(error @ EngineError::Refused { .. }) => match site.prometheus.looks_every() {
            Some(every) if every <= LOOKING => return Ok(Told::Looking(every)),
            _ => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    let Some(unit) = site.unit else {
        return Err(refused);
    };
    match site.commands.run("systemctl", &["reload", unit]) {
        Ok(output) if output.status == Some(0) => Ok(Told::Asked),
        Ok(output) => {
            let said = shown(&output.stderr);
            Err(format!("{refused}; `systemctl reload {unit}`: {said}"))
        }
        Err(error) => Err(format!("{refused}; {error}")),
    }
}

/// Whether a configuration that was read since went well; nothing where none was, as far as can be seen. One that
/// failed before and fails still looks like one that was not read again.
fn read_since(earlier: Reload, now: Reload) -> Option<bool> {
    if !now.went_well {
        return earlier.went_well.then_some(false);
    }
    (now.at > earlier.at || earlier.at <= 0.0 || !earlier.went_well).then_some(true)
}

/// What is said of a Prometheus that is still starting.
pub(super) fn starting(site: &Site<'_>) -> String {
    format!(
        "Prometheus at {} is still starting, and takes no rules over yet",
        site.prometheus.url()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_failed_before_is_not_refused_before_it_is_read() {
        let state = |at, went_well| Reload { at, went_well };
        assert_eq!(read_since(state(5.0, true), state(5.0, true)), None);
        assert_eq!(read_since(state(5.0, true), state(5.0, false)), Some(false));
        assert_eq!(read_since(state(5.0, false), state(5.0, false)), None);
        assert_eq!(read_since(state(5.0, false), state(6.0, true)), Some(true));
    }
}
