//! `aami config set`.

use std::io::{self, BufRead as _, Read as _};

use aami_model::{Exit, code};
use clap::Args;

use super::field;
use crate::cli::dry::Dry;
use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::fleet::{FileFleet, Fleet as _};

/// Set one field of the configuration; comments, order and `${VAR}` elsewhere stay as they are
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami config set ssh.max_parallel 100
  aami config set grafana.admin_password '${GRAFANA_ADMIN_PASSWORD}'
  aami config set grafana.admin_password - < password.txt
  aami config set ssh.host_key_policy strict --dry-run

What comes out is read before it is written: a value that cannot be is refused with its reason.")]
pub(crate) struct Set {
    /// The field, such as ssh.max_parallel or nodes[0].labels.rack
    field: String,
    /// The value, which may hold ${VAR}; `-` reads one line of standard input
    #[arg(allow_hyphen_values = true)]
    value: String,
    #[command(flatten)]
    dry: Dry,
}

/// The longest value that is read from standard input.
const LONGEST: u64 = 64 * 1024;

impl Set {
    pub(super) fn run(self, fleet: &mut FileFleet) -> Result<Exit, Failure> {
        let path = field::named(&self.field)?;
        if path.is_secret() && self.value != "-" && !self.value.contains("${") {
            return Err(Failure::found_with(
                code::INVALID,
                format!("{path} is a secret, and every user of this machine can read command lines"),
                format!(
                    "Name a variable, '${{VAR}}', or give it on standard input: `aami config set {path} -`."
                ),
            ));
        }
        let value = match self.value.as_str() {
            "-" => one_line()?,
            _ => self.value,
        };
        if self.dry.dry_run {
            let settings = fleet.read()?;
            fleet.edited(&settings, |document, _| document.set(&path, &value))?;
            return Done::would(&path, format!("{path} would be set")).tell(fleet.screen());
        }
        fleet.change(|document, _| document.set(&path, &value))?;
        fleet.screen().write(&format!("✅ Set {path}\n"))?;
        Ok(Exit::Ok)
    }
}

/// The first line of standard input.
fn one_line() -> Result<String, Failure> {
    let mut line = String::new();
    io::BufReader::new(io::stdin().lock().take(LONGEST))
        .read_line(&mut line)
        .map_err(|source| Failure::File {
            path: "standard input".into(),
            doing: "read",
            source,
        })?;
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(Failure::invalid("standard input has no value"));
    }
    Ok(line.to_owned())
}
