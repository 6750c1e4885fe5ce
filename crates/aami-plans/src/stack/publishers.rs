//! Which hosts out there an installation will ask for components, before anything is fetched.
//!
//! [`publishers`] looks at the catalogue and at the folders that were named. It asks nobody.

use std::collections::BTreeSet;

use ureq::http::Uri;

use super::StackOptions;
use super::part::Part;
use super::session::{AGENT, NODE_EXPORTER};
use super::wishes::Runtime;
use crate::components::Catalogue;
use crate::obtain::{self, Source};
use crate::preflight::needs::DOCKER_HUB;

/// The addresses (`https://HOST/`) of all publishers that something has to be fetched from, since no folder carries
/// it, and of the registry (`https://HOST/v2/`) that the image of containers comes from. `None` where that cannot be told now: a mirror brings a catalogue of its own, or a catalogue cannot be read,
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
    let registry = match options.wishes.runtime {
        Runtime::Systemd => None,
        Runtime::Compose => registry(&options.wishes.image),
    };
    Some(urls.filter_map(address).chain(registry).collect())
}

/// The registry an image is pulled from; none for one that the engine is known to have, by its own id. A name's first
/// part is a host where it could be nothing else:
/// <https://github.com/distribution/reference/blob/main/reference.go>
fn registry(image: &str) -> Option<String> {
    if image.starts_with("sha256:") {
        return None;
    }
    let host = image.split_once('/').map(|(host, _)| host);
    match host.filter(|host| host.contains(['.', ':']) || *host == "localhost") {
        None | Some("docker.io" | "index.docker.io") => Some(DOCKER_HUB.to_owned()),
        Some(host) => Some(format!("https://{host}/v2/")),
    }
}

fn address(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    Some(format!("{}://{}/", uri.scheme_str()?, uri.authority()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_of_an_image_is_asked_and_none_for_an_image_that_is_here() {
        let sum = "5b".repeat(32);
        for (image, asked) in [
            (format!("debian@sha256:{sum}"), Some(DOCKER_HUB)),
            (format!("library/debian@sha256:{sum}"), Some(DOCKER_HUB)),
            (
                format!("docker.io/library/debian:12@sha256:{sum}"),
                Some(DOCKER_HUB),
            ),
            (
                format!("registry.example:5000/base/debian@sha256:{sum}"),
                Some("https://registry.example:5000/v2/"),
            ),
            (
                format!("localhost/debian@sha256:{sum}"),
                Some("https://localhost/v2/"),
            ),
            (format!("sha256:{sum}"), None),
        ] {
            assert_eq!(registry(&image).as_deref(), asked, "{image}");
        }
    }

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
