//! The guides, followed: a site is built and run by the lines of their code blocks, read out of the pages and typed in
//! their order. What a reader puts in is put in here: names, addresses, tokens.
//!
//! What is typed nowhere stands in [`Pages::open`] with the reason; a line that is neither typed nor there fails the
//! story. The quick start and releases have their own story (`release::followed`), since they need static programs.

mod fleet;
mod nodes;
pub(crate) mod page;
mod place;
mod upkeep;

use anyhow::{Context as _, Result, ensure};
use rig::Net;

use crate::site::Typing as _;
use crate::workshop::Workshop;
use page::Page;
use place::Guided;
use upkeep::Upkeep;

/// Who types a line that this story does not.
const RELEASES: &str = "release::followed types it";

/// The pages this story follows.
struct Pages {
    offline: Page,
    tokens: Page,
    bootstrap: Page,
    registration: Page,
    bulk: Page,
    pipelines: Page,
    troubleshooting: Page,
    security: Page,
}

impl Pages {
    fn open() -> Result<Self> {
        let offline = [
            (
                "make components",
                "it fetches Debian's packages, as the suite did before",
            ),
            ("cargo xtask dist", "release::shelf makes a release with it"),
            ("files.inside.example", RELEASES),
            ("/mnt/install.sh", RELEASES),
            ("aami release verify", RELEASES),
        ];
        let bulk = [("runcmd:", "it is cloud-init's word for the line below it")];
        let pipelines = [("set -o pipefail", RELEASES), ("releases.example.com", RELEASES)];
        Ok(Self {
            offline: Page::open("OFFLINE", &offline)?,
            tokens: Page::open("TOKENS", &[])?,
            bootstrap: Page::open("BOOTSTRAP", &[])?,
            registration: Page::open("NODE-REGISTRATION", &[])?,
            bulk: Page::open("BULK", &bulk)?,
            pipelines: Page::open("CI-CD", &pipelines)?,
            troubleshooting: Page::open("TROUBLESHOOTING", &[])?,
            security: Page::open("SECURITY", &[])?,
        })
    }

    /// Fails where a line of any of them is left.
    fn end(self) -> Result<()> {
        self.offline.ends()?;
        self.tokens.ends()?;
        self.bootstrap.ends()?;
        self.registration.ends()?;
        self.bulk.ends()?;
        self.pipelines.ends()?;
        self.troubleshooting.ends()?;
        self.security.ends()
    }
}

#[test]
fn a_site_without_internet_is_built_and_run_by_the_guides_alone() -> Result<()> {
    // Given bundles that were made where there is internet, and machines where there is none,
    let mut pages = Pages::open()?;
    let upkeep = Upkeep::open()?;
    let workshop = Workshop::open()?;
    makes_bundles(&mut pages.offline, &workshop)?;
    let net = Net::new()?;
    let site = Guided::boot(&net, &workshop)?;
    let before = (site.first.picture()?, site.second.picture()?);

    // when the guides are followed, then one machine becomes the server, by a bundle alone,
    becomes_a_server(&mut pages.offline, &site)?;
    // each way of enrolling makes a machine a node,
    let token = site.makes_a_token(&mut pages.tokens)?;
    nodes::bootstrap(&mut pages.bootstrap, &site, &token)?;
    nodes::looks_first(&mut pages.bootstrap, &site)?;
    nodes::registration(&mut pages.registration, &site, &token)?;
    fleet::in_bulk(&mut pages.bulk, &site)?;
    // what pipelines type works on them, and so does what is looked at when something does not,
    fleet::in_pipelines(&mut pages.pipelines, &site)?;
    fleet::troubleshooting(&mut pages.troubleshooting, &site)?;
    // what is typed while it runs,
    upkeep.goes_on(&site, &token)?;
    // what is said of security holds,
    fleet::is_as_secure_as_it_says(&site)?;
    // and what is taken back is gone.
    site.types(&site.server.node, &pages.tokens.next("tokens revoke rack-a1")?)?;
    nodes::takes_back(&mut pages.bootstrap, &site, before)?;
    pages.end()
}

/// Makes a key and two bundles with it, looks at one and verifies it.
fn makes_bundles(page: &mut Page, workshop: &Workshop) -> Result<()> {
    workshop.types(&page.next("aami bundle new-key ~/bundle.key")?)?;
    for file in ["aami-offline.tar.zst", "aami-offline.tar.gz"] {
        // The publishers cannot be reached here; the table on the page says how a folder is named in their place.
        let line = page.next("aami bundle create --key ~/bundle.key")?;
        let said = workshop.types(&format!("{line} --from root"))?;
        ensure!(workshop.at(file).exists(), "{line} made no {file}");
        ensure!(
            said.contains("SHA-256") || said.contains("sha256"),
            "no checksum of the file: {said}"
        );
    }
    let said = workshop.types(&page.next("aami bundle inspect aami-offline.tar.zst")?)?;
    ensure!(
        said.contains("aami-agent") && said.contains("prometheus"),
        "{said}"
    );
    workshop
        .types(&page.next("aami bundle verify aami-offline.tar.zst --key bundle.pub")?)
        .map(drop)
}

/// A machine that has nothing of AAMI becomes a server; with the other bundle nothing is left to do.
fn becomes_a_server(page: &mut Page, site: &Guided) -> Result<()> {
    let server = &site.server;
    site.types(&server.node, &page.next("tar -xf aami-offline.tar.gz")?)?;
    site.types(&server.node, &page.next("sudo sh aami-offline/install.sh")?)?;
    server.all_well()?;
    let pids = server.pids()?;
    site.types(
        &server.node,
        &page.next("sudo aami server install --unattended --offline")?,
    )?;
    ensure!(server.pids()? == pids, "something was started again");
    let left = server.node.types_well("ls -A /var/tmp")?.stdout;
    ensure!(!left.contains("aami-bundle"), "left behind: {left}");
    Ok(())
}

/// What a page has in single quotes, which a tool is told to run elsewhere.
fn quoted(line: &str, quote: char) -> Result<&str> {
    let inside = line
        .split_once(quote)
        .and_then(|(_, rest)| rest.rsplit_once(quote));
    inside
        .map(|(inside, _)| inside)
        .with_context(|| format!("nothing is quoted in {line}"))
}

/// The whole of what a command said, where it has to have this in it.
fn has(said: &str, wanted: &str) -> Result<()> {
    ensure!(said.contains(wanted), "no {wanted:?} in:\n{said}");
    Ok(())
}
