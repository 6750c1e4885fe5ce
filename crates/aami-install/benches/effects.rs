//! What recording costs: effects brought about by the installer, against the same files written and made
//! durable by hand, in turn on the same disk.

#![allow(clippy::print_stdout, reason = "a bench reports on the terminal")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::fs::{File, create_dir, rename};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use aami_install::{
    Content, Effect, Host, HostPath, Installer, Mode, Options, Plan, Step, StepError, Survey,
};

/// How many effects, each a step of its own: the dearest way to do them.
const EFFECTS: usize = 60;
/// How many times each way is measured; the medians are compared.
const ROUNDS: usize = 7;
/// How much of a file's bytes there is.
const SIZE: usize = 4096;
/// The most the installer may take, as a multiple.
const WANTED: f64 = 1.3;
/// The most times an effect may wait for the disk, on average.
const SYNCS: f64 = 4.0;

struct One(String);

impl Step for One {
    fn id(&self) -> &str {
        &self.0
    }
    fn title(&self) -> String {
        self.0.clone()
    }
    fn desired(&self, _: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        let path = HostPath::root().join(&self.0).unwrap();
        Ok(vec![Effect::file(
            path,
            Content::bytes(vec![7; SIZE]),
            0o644,
            None,
        )])
    }
}

/// Runs the plan in `folder`; how long it took, how often it synced, what the receipt holds at the end.
fn installed(folder: &Path) -> (Duration, u64, usize) {
    let steps = (0..EFFECTS).map(|n| Box::new(One(format!("file{n}"))) as Box<dyn Step>);
    let plan = Plan::new("bench", "Bench", steps.collect()).unwrap();
    let host = Host::folder(folder).unwrap();
    let options = Options {
        parallel: 1,
        ..Options::default()
    };
    std::fs::create_dir_all(folder.join("var/lib")).unwrap();
    std::fs::create_dir_all(folder.join("run")).unwrap();
    let installer = Installer::new(&host, &plan, options).unwrap();
    let started = Instant::now();
    let report = installer.run(Mode::Fresh).unwrap();
    let took = started.elapsed();
    assert_eq!((report.failure(), report.executed.len()), (None, EFFECTS));
    let receipt = folder.join("var/lib/aami/install/default/bench/receipt.json");
    (
        took,
        host.root.counts().syncs,
        usize::try_from(receipt.metadata().unwrap().len()).unwrap(),
    )
}

/// Puts `bytes` at `path` durably: the file, its name, its folder. Two syncs.
fn placed(folder: &Path, name: &str, bytes: &[u8]) {
    let (path, temporary) = (folder.join(name), folder.join("temporary"));
    let mut file = File::create(&temporary).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
    rename(temporary, path).unwrap();
    File::open(folder).unwrap().sync_all().unwrap();
}

/// The same files, and a record as long as the receipt before each of them.
fn by_hand(folder: &Path, receipt: usize) -> (Duration, u64) {
    create_dir(folder.join("files")).unwrap();
    create_dir(folder.join("record")).unwrap();
    let (files, record) = (folder.join("files"), folder.join("record"));
    let started = Instant::now();
    for n in 0..EFFECTS {
        placed(&record, "receipt.json", &vec![b'x'; receipt * (n + 1) / EFFECTS]);
        placed(&files, &format!("file{n}"), &[7; SIZE]);
    }
    (started.elapsed(), 4 * EFFECTS as u64)
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

fn main() {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let (mut syncs, mut bare_syncs) = (0, 0);
    for _ in 0..ROUNDS {
        // On the disk, not in memory: /var/tmp is kept over a boot.
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let (took, counted, receipt) = installed(folder.path());
        ours.push(took);
        syncs = counted;
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let (took, counted) = by_hand(folder.path(), receipt);
        bare.push(took);
        bare_syncs = counted;
    }
    let (ours, bare) = (median(ours), median(bare));
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let each = syncs as f64 / EFFECTS as f64;
    println!("| what | measured | wanted | |\n|---|---|---|---|");
    row(
        &format!("syncs an effect, {EFFECTS} effects in steps of their own"),
        &format!("{each:.2}"),
        &format!("at most {SYNCS}"),
        each <= SYNCS,
    );
    row(
        &format!("the same files and records by hand, with {bare_syncs} syncs"),
        &format!("{ours:.1?} to {bare:.1?} (ratio {ratio:.2})"),
        &format!("ratio at most {WANTED}"),
        ratio <= WANTED,
    );
}

fn row(what: &str, measured: &str, wanted: &str, holds: bool) {
    let verdict = if holds { "holds" } else { "DOES NOT HOLD" };
    println!("| {what} | {measured} | {wanted} | {verdict} |");
}
