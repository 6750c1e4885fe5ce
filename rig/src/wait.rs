//! Waiting for a condition with a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Why waiting longer is of no use: who should bring it about is gone.
#[derive(Debug)]
pub(crate) struct Hopeless(pub(crate) String);

impl std::fmt::Display for Hopeless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Hopeless {}

/// Looks until `look` gives a value, at growing intervals; fails once `limit` has passed, with `what` was waited
/// for and the error that was seen last. A [`Process`](crate::Process) that ended ends the waiting for it at once.
pub fn wait_until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let seen = match look() {
            Ok(value) => return Ok(value),
            Err(seen) => seen,
        };
        if seen.is::<Hopeless>() {
            return Err(seen.context(format!("waiting for: {what}")));
        }
        if start.elapsed() >= limit {
            bail!("{what}: not within {limit:?}; seen last: {seen:#}");
        }
        std::thread::sleep(pause.min(limit.saturating_sub(start.elapsed())));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn gives_the_first_value() {
        let mut looks = 0;
        let value = wait_until(Duration::from_secs(5), "three looks", || {
            looks += 1;
            if looks == 3 {
                Ok(looks)
            } else {
                Err(anyhow!("look {looks}"))
            }
        });
        assert_eq!(value.expect("it is there in time"), 3);
    }

    #[test]
    fn does_not_wait_for_the_dead() {
        let mut looks = 0;
        let failed = wait_until(Duration::from_secs(60), "the door opens", || -> Result<()> {
            looks += 1;
            Err(Hopeless("nobody is in".to_owned()).into())
        });
        assert!(failed.is_err());
        assert_eq!(looks, 1);
    }

    #[test]
    fn says_what_it_saw_last() {
        let failed = wait_until(Duration::from_millis(30), "the door opens", || -> Result<()> {
            Err(anyhow!("still shut"))
        });
        let text = failed.expect_err("it never opens").to_string();
        assert!(
            text.contains("the door opens") && text.contains("still shut"),
            "{text}"
        );
    }
}
