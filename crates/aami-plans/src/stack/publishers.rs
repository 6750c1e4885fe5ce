//! Which hosts out there an installation will ask for components, before anything is fetched.
//!
//! [`publishers`] looks at the catalogue and at the folders that were named. It asks nobody.

use std::collections::BTreeSet;

use ureq::http::Uri;

use super::StackOptions;
use super::part::Part;
use super::session::{AGENT, NODE_EXPORTER};
use crate::components::Catalogue;
use crate::obtain::{self, Source};

/// The addresses (`https://HOST/`) of all publishers that something has to be fetched from, since no folder carries
/// it. `None` where that cannot be told now: a mirror brings a catalogue of its own, or a catalogue cannot be read,
/// which the installation itself says.
pub fn publishers(options: &StackOptions) -> Option<BTreeSet<String>> {
    let has_mirror = (options.sources.iter()).any(|source| matches!(source, Source::Mirror(_)));
    if has_mirror {
        return None;
    }
    let known = Catalogue::of(options.known.iter().cloned());
    let catalogue = obtain::catalogue(&options.sources, &options.downloader).ok()?;
    let catalogue = catalogue.overlaid(known);
    let foreign = Part::FOREIGN
        .into_iter()
        .filter(|part| options.wishes.wants(*part));
    let mut wanted: Vec<_> = foreign.map(|part| (part.name(), options.arch)).collect();
    // Nodes of a processor are served what there is an agent for.
    wanted.extend(options.agents.iter().map(|(arch, _)| (NODE_EXPORTER, *arch)));
    if !options.agents.iter().any(|(arch, _)| *arch == options.arch) {
        wanted.extend([(AGENT, options.arch), (NODE_EXPORTER, options.arch)]);
    }
    // What no catalogue has is asked of nobody.
    let builds = wanted
        .into_iter()
        .filter_map(|(name, arch)| Some((catalogue.build(name, arch).ok()?.1, arch)));
    let urls = builds.flat_map(|(build, arch)| obtain::outside(build, arch, &options.sources));
    Some(urls.filter_map(address).collect())
}

fn address(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    Some(format!("{}://{}/", uri.scheme_str()?, uri.authority()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_asked_by_its_address_alone() {
        let of = |url| address(url);
        assert_eq!(
            of("https://github.com/prometheus/x.tar.gz"),
            Some("https://github.com/".to_owned())
        );
        assert_eq!(
            of("http://files.example:8080/x?y"),
            Some("http://files.example:8080/".to_owned())
        );
        assert_eq!(of("/x.tar.gz"), None);
    }
}
