//! `aami bundle new-key`: a key that signs bundles.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aami_install::host::{Random as _, SystemRandom};
use aami_model::{Exit, code};
use aami_plans::release::signer::Signer;
use clap::Args;
use serde::Serialize;

use crate::cli::dry::Dry;
use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::screen::Format;
use crate::cli::secret::{save, written};
use crate::cli::surroundings::Surroundings;
use crate::cli::table::Table;

/// Make a key to sign bundles with, as `minisign -G -W` does
#[derive(Debug, Args)]
#[command(after_help = "\
The secret key goes to FILE, readable by you alone; the public one beside it, with the ending .pub. Take the public
key to where bundles are installed, by another way than the bundles.

Examples:
  aami bundle new-key ~/bundle.key
  aami bundle new-key ~/bundle.key --dry-run")]
pub(crate) struct NewKey {
    /// Where the secret key goes; a file that is there is never overwritten
    file: PathBuf,
    #[command(flatten)]
    dry: Dry,
    #[command(flatten)]
    output: Output,
}

/// What was made, to programs: never the secret.
#[derive(Serialize)]
struct Shown {
    public_key: String,
    secret_key_file: PathBuf,
    public_key_file: PathBuf,
}

impl NewKey {
    pub(crate) const fn format(&self) -> Format {
        self.output.format()
    }

    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let public = self.file.with_extension("pub");
        if public == self.file {
            return Err(Failure::invalid(
                "the secret key's name may not end in .pub, which is the public one's",
            ));
        }
        for path in [&self.file, &public] {
            if path.symlink_metadata().is_ok() {
                return Err(Failure::found(
                    code::CONFLICT,
                    format!("{} exists and is not overwritten", path.display()),
                ));
            }
        }
        if self.dry.dry_run {
            let line = format!(
                "a key would be made: {} and {}",
                self.file.display(),
                public.display()
            );
            return Done::would(self.file.display(), line).tell(&mut self.output.screen(surroundings));
        }
        let mut random = [0; 40];
        SystemRandom.fill(&mut random).map_err(Failure::Runtime)?;
        let (mut id, mut seed) = ([0; 8], [0; 32]);
        id.copy_from_slice(&random[..8]);
        seed.copy_from_slice(&random[8..]);
        let signer = Signer::new(id, &seed);
        let secret = signer.file("secret key for offline bundles of AAMI");
        save(&self.file, secret.trim_end())?;
        let text = format!(
            "untrusted comment: public key for offline bundles of AAMI\n{}\n",
            signer.public()
        );
        create(&public, &text).map_err(written(&public))?;
        let shown = Shown {
            public_key: signer.public(),
            secret_key_file: self.file,
            public_key_file: public,
        };
        let mut screen = self.output.screen(surroundings);
        screen.show(&shown, |_| Table::of_sentence(shown.public_key.clone()))?;
        screen.note(&format!(
            "secret key: {} (keep it; it has no password); public key: {}",
            shown.secret_key_file.display(),
            shown.public_key_file.display()
        ));
        Ok(Exit::Ok)
    }
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
