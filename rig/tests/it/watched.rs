//! What a machine's processes show of themselves: each command line and environment that anybody could have read while
//! something went on. A sampler looks through `/proc` without a pause, for as long as it lives.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Node, Process, wait_until};

/// Prints each command line (`C`) and environment (`E`) it has not printed yet, one a line. Its own are left out.
const SAMPLER: &str = r#"exec perl -e '
$| = 1; my %seen; print "watching\n";
while (1) {
    opendir(my $proc, "/proc") or die; my @pids = grep { /^\d+$/ && $_ != $$ } readdir($proc); closedir($proc);
    for my $pid (@pids) { for my $kind ("cmdline", "environ") {
        open(my $file, "<", "/proc/$pid/$kind") or next; local $/; my $text = <$file>; close($file);
        next unless defined $text && length $text; $text =~ tr/\0\n/  /;
        my $line = ($kind eq "cmdline" ? "C " : "E ") . $text;
        print "$line\n" unless $seen{$line}++;
    } }
}'"#;

/// A sampler at work on a node.
pub(crate) struct Watched {
    process: Process,
    _folder: tempfile::TempDir,
}

impl Watched {
    /// Begins to look.
    pub(crate) fn begin(node: &Node) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        let process = Process::start("sampler", node.background(SAMPLER), &log)?;
        let mut watched = Self {
            process,
            _folder: folder,
        };
        wait_until(Duration::from_secs(20), "the sampler looks", || {
            watched.process.check()?;
            let log = watched.process.log();
            ensure!(log.starts_with("watching\n") && log.contains("\nC "), "{log}");
            Ok(())
        })?;
        Ok(watched)
    }

    /// Waits until it has seen a process with these words in its command line: that it sees at all is shown by this.
    pub(crate) fn has_seen(&self, words: &str) -> Result<()> {
        wait_until(Duration::from_secs(10), &format!("{words} was seen"), || {
            let seen = self.process.log();
            let is_it = |line: &str| line.starts_with("C ") && line.contains(words);
            ensure!(
                seen.lines().any(is_it),
                "{} lines, none of them",
                seen.lines().count()
            );
            Ok(())
        })
    }

    /// Stops looking, and gives all it saw.
    pub(crate) fn end(mut self) -> Result<Seen> {
        self.process.kill()?;
        Ok(Seen(self.process.log().lines().map(str::to_owned).collect()))
    }
}

/// What stood in command lines (`C ...`) and environments (`E ...`).
pub(crate) struct Seen(Vec<String>);

impl Seen {
    /// The lines in which `secret` stands, but for those that are `excepted`.
    pub(crate) fn with(&self, secret: &str, excepted: impl Fn(&str) -> bool) -> Vec<&String> {
        let lines = self.0.iter();
        lines
            .filter(|line| line.contains(secret) && !excepted(line))
            .collect()
    }
}

/// A secret, and the files that are meant to hold it, which are root's or a service's alone.
pub(crate) struct Canary<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: String,
    pub(crate) kept_in: &'a [&'a str],
}

/// Where a node's secrets lie that must be nowhere else: every file of it, and what its journal tells. Answers with the
/// places that are not meant for them, and those whose mode is not theirs.
pub(crate) fn astray(node: &Node, canaries: &[Canary<'_>]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for canary in canaries {
        ensure!(
            canary.text.len() >= 12,
            "{} is no secret: {:?}",
            canary.name,
            canary.text
        );
        // The secret comes by standard input, so that no command line holds it. Binary files count as others do.
        let script = "read -r secret; for place in / /run /tmp /dev/shm; do \
             printf '%s' \"$secret\" | grep -rlaF -f - --devices=skip --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev \
             \"$place\" 2>/dev/null; done | sort -u; \
             journalctl --no-pager --output=export 2>/dev/null | grep -aqF -- \"$secret\" && echo the journal; true";
        let said = node.sh_within(
            Duration::from_secs(120),
            script,
            format!("{}\n", canary.text).as_bytes(),
        )?;
        ensure!(said.code == 0, "{}", said.said());
        let places: Vec<&str> = said.stdout.lines().collect();
        for kept in canary.kept_in {
            ensure!(
                places.contains(kept),
                "{} is not in {kept}, but in {places:?}",
                canary.name
            );
            let rights = node.sh(&format!("stat -c %a {kept}"))?.ok()?;
            let rights = rights.trim();
            if rights != "600" {
                found.push(format!("{} in {kept} of mode {rights}", canary.name));
            }
        }
        let strays = places.iter().filter(|place| !canary.kept_in.contains(place));
        found.extend(strays.map(|place| format!("{} in {place}", canary.name)));
    }
    Ok(found)
}

/// One secret out of a file of the node.
pub(crate) fn secret_in(node: &Node, file: &str) -> Result<String> {
    let text = String::from_utf8(node.read(file)?).with_context(|| file.to_owned())?;
    Ok(text.trim().to_owned())
}
