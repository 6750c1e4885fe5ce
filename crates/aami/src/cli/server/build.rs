//! The stack plan as the commands of this program use it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aami_install::Host;
use aami_inventory::elf::built_for;
use aami_inventory::{Arch, SystemCommands, listener};
use aami_model::code;
use aami_plans::bundle::Placed;
use aami_plans::components::Component;
use aami_plans::download::{Access, Credential, Downloader, Proxies, Settings, sum_of};
use aami_plans::obtain::{Mirror, Source};
use aami_plans::preflight::{self, Category, Outcome, Request};
use aami_plans::release::{self, Demand, Release};
use aami_plans::stack::{
    Api, Layout, LookFirst, Looked, Note, Part, Purpose, Released, Render, Runtime, Stack, StackOptions,
    TokenWish, Wishes, has_image, health, kept_credential, publishers, room,
};

use super::chosen::Chosen;
use super::install::Install;
use crate::cli::failure::Failure;
use crate::cli::offline;
use crate::cli::random::random;
use crate::cli::surroundings::Surroundings;
use crate::cli::trusted;

/// What this machine is called, as its node would be; nothing where it has no name.
pub(crate) fn hostname() -> String {
    let commands = SystemCommands::default();
    aami_inventory::name::hostname(&aami_inventory::Host::this(&commands))
        .map_or_else(|_| String::new(), |name| name.to_string())
}

/// The plan that is run.
pub(super) fn install(
    flags: &Install,
    chosen: &Chosen,
    host: &Host,
    surroundings: &Surroundings,
    bundle: Option<&Placed>,
    render: Option<Box<Render>>,
) -> Result<Stack, Failure> {
    let wishes = chosen.wishes.clone();
    let layout = layout(&wishes)?;
    let release = released(flags)?;
    let mut options = options(
        wishes,
        layout.clone(),
        Purpose::Install,
        surroundings.proxies.clone(),
    )?;
    options.sources = sources(flags, &chosen.wishes, host, release.as_ref(), bundle)?;
    options.known = known(flags, host);
    options.render = render;
    // Without a control plane nobody hands them out.
    if chosen.wishes.control_plane {
        options.agents = agents(
            &options.program,
            release.as_ref(),
            bundle
                .map(Placed::root)
                .or(chosen.wishes.components_dir.as_deref()),
            &handed_out(host, &layout),
        )?;
        options.released = updates(release.as_ref(), host)?;
    }
    options.look_first = look_first(flags, host, &options, surroundings);
    options.why_runtime.clone_from(&chosen.why_runtime);
    options.grafana_password.clone_from(&chosen.grafana_password);
    options.certificate.clone_from(&chosen.certificate);
    options.skip_preflight = flags.skip_preflight;
    options.token = TokenWish {
        max_uses: flags.token_max_uses,
        ttl: std::time::Duration::from_secs(flags.token_ttl.0),
    };
    Ok(Stack::new(options)?)
}

/// The plan as it was installed, for looking at it and taking it back; as it would be where nothing says how
/// it was.
pub(super) fn look(host: &Host) -> Result<(Stack, Option<Note>), Failure> {
    let note = Note::read(host);
    let wishes = match &note {
        Some(note) => note.wishes.clone(),
        None => Wishes::usual().map_err(|error| Failure::invalid(error.to_string()))?,
    };
    let looked_at = note.clone().unwrap_or_else(|| Note {
        wishes: wishes.clone(),
        installed: Default::default(),
        copied: Default::default(),
    });
    let layout = layout(&wishes)?;
    let purpose = Purpose::Look(Box::new(looked_at));
    let stack = Stack::new(options(wishes, layout, purpose, Proxies::default())?)?;
    Ok((stack, note))
}

fn layout(wishes: &Wishes) -> Result<Layout, Failure> {
    Layout::of(wishes).map_err(|error| Failure::invalid(error.to_string()))
}

fn options(
    wishes: Wishes,
    layout: Layout,
    purpose: Purpose,
    proxies: Proxies,
) -> Result<StackOptions, Failure> {
    let server = wishes.near(Part::ControlPlane);
    Ok(StackOptions {
        purpose,
        why_runtime: "as it was installed".to_owned(),
        grafana_password: None,
        render: None,
        certificate: None,
        token: TokenWish {
            max_uses: 1,
            ttl: std::time::Duration::from_secs(3600),
        },
        skip_preflight: false,
        sources: Vec::new(),
        known: Vec::new(),
        downloader: Downloader::new(Settings::new(proxies, random)),
        program: std::env::current_exe().map_err(Failure::Runtime)?,
        agents: Vec::new(),
        released: BTreeMap::new(),
        arch: offline::arch()?,
        look_first: Box::new(Looked::default),
        listeners: Box::new(|port| {
            let commands = SystemCommands::default();
            listener::listeners(&aami_inventory::Host::this(&commands), port)
        }),
        ask: Box::new(health::ask),
        control_plane: Box::new(Api::new(server, layout.admin_key.as_str())),
        wishes,
    })
}

/// The release that is named, after its signature and every file that is there were found right. A folder that others
/// may write into could change after that, so it is none to install from.
fn released(flags: &Install) -> Result<Option<Release>, Failure> {
    let Some(folder) = &flags.release else {
        return Ok(None);
    };
    let Some(key) = &flags.public_key else {
        return Err(Failure::invalid(
            "--release needs --public-key, which says who signs it",
        ));
    };
    trusted::check(folder)?;
    let key = crate::cli::release::key(key)?;
    let demand = Demand {
        key: &key,
        version: None,
        // install.sh fetches what this machine needs of it.
        partial: true,
    };
    Ok(Some(release::verify(folder, demand)?))
}

/// The bundle alone where there is one. Else the release, the folder and the mirror where they are named, and then
/// nothing else: whoever names one may have no way out. Otherwise each publisher.
fn sources(
    flags: &Install,
    wishes: &Wishes,
    host: &Host,
    release: Option<&Release>,
    bundle: Option<&Placed>,
) -> Result<Vec<Source>, Failure> {
    if let Some(bundle) = bundle {
        return Ok(vec![Source::Folder(bundle.components())]);
    }
    let mut sources = Vec::new();
    sources.extend(wishes.components_dir.clone().map(Source::Folder));
    if let Some(url) = &wishes.mirror {
        sources.push(Source::Mirror(Mirror {
            url: url.clone(),
            access: Access {
                credential: mirror_credential(flags, wishes, host)?,
                ..Access::default()
            },
        }));
    }
    // What the release's list does not name is not the release's, and verifying would have refused it.
    let carried = release.and_then(|release| release.file("components/components.toml"));
    let carried = carried.and_then(|(catalogue, _)| {
        let folder = catalogue.parent()?.to_owned();
        catalogue.is_file().then_some(folder)
    });
    let is_named = !sources.is_empty();
    sources.extend(carried.map(Source::Folder));
    if !is_named {
        sources.push(Source::Publisher);
    }
    Ok(sources)
}

/// What the mirror wants to see: as it is named now, else as an earlier run was told about this mirror.
fn mirror_credential(flags: &Install, wishes: &Wishes, host: &Host) -> Result<Option<Credential>, Failure> {
    if let Some(file) = &flags.mirror_credential_file {
        let named = Credential::from_file(file);
        return named
            .map(Some)
            .map_err(|error| Failure::invalid(error.to_string()));
    }
    kept_credential(host, wishes).map_err(|error| {
        Failure::found_with(
            code::INVALID,
            error.to_string(),
            "Name it with --mirror-credential-file FILE, or another place with --mirror or --components-dir.",
        )
    })
}

/// The same look that `aami preflight` takes, as far as it matters here: ports are this plan's own, since they
/// can be moved, and hosts out there only where something is fetched from them.
fn look_first(
    flags: &Install,
    host: &Host,
    options: &StackOptions,
    surroundings: &Surroundings,
) -> Box<LookFirst> {
    let wishes = &options.wishes;
    let fetches = options
        .sources
        .iter()
        .any(|source| !matches!(source, Source::Folder(_)));
    let request = Request {
        mode: Some(preflight::Mode::Server),
        runtime: Some(match wishes.runtime {
            Runtime::Systemd => preflight::Runtime::Systemd,
            Runtime::Compose => preflight::Runtime::Compose,
        }),
        mirror: wishes.mirror.clone(),
        publishers: publishers(options),
        room: Some(room(options, |folder| Path::new(folder.as_str()).is_dir())),
        has_images: has_images(host, wishes),
        prometheus_data: prometheus_elsewhere(wishes),
        proxies: surroundings.proxies.clone(),
        data_dir: wishes.data_dir.to_string(),
        install_dir: wishes.install_dir.to_string(),
        sizes: preflight::Sizes::Written,
        installing: true,
        // A unit of ours that is masked is what a repair is for.
        ignored: if flags.repair {
            vec![code::UNIT_BLOCKED]
        } else {
            Vec::new()
        },
        ..Request::new(preflight::Mode::Server)
    };
    let clock = host.clock.clone();
    Box::new(move || {
        let commands = SystemCommands::default();
        let now = || clock.now();
        let road = preflight::RealRoad { clock: &now };
        let world = preflight::World {
            host: aami_inventory::Host::this(&commands),
            road: &road,
            now: clock.now(),
        };
        let report = preflight::look(&world, &request);
        let mut looked = Looked::default();
        for check in &report.checks {
            match check.category {
                Category::Ports | Category::Hardware => continue,
                Category::Network if !fetches => continue,
                _ => {}
            }
            let found = check.code.map(|code| (code, check.message.clone()));
            match check.outcome {
                Outcome::Failed => looked.errors.extend(found),
                Outcome::Warned => looked.warnings.extend(found),
                Outcome::Passed if !check.quiet => {
                    looked.notes.push(format!("{}: {}", check.title, check.summary))
                }
                Outcome::Passed | Outcome::Ignored | Outcome::Skipped => {}
            }
        }
        looked
    })
}

/// Where Prometheus keeps its data, where there is one and that is not below the data folder.
fn prometheus_elsewhere(wishes: &Wishes) -> Option<String> {
    let elsewhere = wishes.prometheus_data.as_ref();
    let elsewhere = elsewhere.filter(|_| wishes.wants(Part::Prometheus));
    elsewhere.map(ToString::to_string)
}

/// Whether the image of its containers is there already.
fn has_images(host: &Host, wishes: &Wishes) -> bool {
    wishes.runtime == Runtime::Compose && has_image(host, &wishes.image)
}

/// What a look at the machine has to know of the server that is installed on it, beside what is asked for.
pub(crate) fn as_installed(host: &Host, request: &mut Request, names_data: bool) {
    let is_nodes = match request.mode {
        Some(mode) => mode == preflight::Mode::Node,
        None => request.server.is_some(),
    };
    let Some(Note { wishes, .. }) = Note::read(host).filter(|_| !is_nodes) else {
        return;
    };
    if !names_data {
        request.data_dir = wishes.data_dir.to_string();
        request.prometheus_data = prometheus_elsewhere(&wishes);
    }
    request.has_images = has_images(host, &wishes);
}

/// The components of an earlier run of this version: they change when somebody names a place to take them from,
/// or with another version of AAMI, and not because the same command is given once more.
fn known(flags: &Install, host: &Host) -> Vec<Component> {
    let names_a_place = flags.mirror.is_some()
        || flags.components_dir.is_some()
        || flags.release.is_some()
        || flags.offline.is_given();
    let note =
        Note::read(host).filter(|note| !names_a_place && note.wishes.version == env!("CARGO_PKG_VERSION"));
    note.map_or_else(Vec::new, |note| note.installed.into_values().collect())
}

/// What nodes already download from this server, with its sum as it was placed.
fn handed_out(host: &Host, layout: &Layout) -> Vec<PathBuf> {
    let Some(note) = Note::read(host) else {
        return Vec::new();
    };
    let unchanged = |arch: &Arch| {
        let path = Path::new(layout.dist.as_str())
            .join(arch.name())
            .join("aami-agent");
        let placed = note.copied.get(&format!("aami-agent/{}", arch.name()))?;
        let is_there = path.symlink_metadata().is_ok_and(|meta| meta.is_file());
        (is_there && sum_of(&path).is_ok_and(|sum| sum == *placed)).then_some(path)
    };
    Arch::ALL.iter().filter_map(unchanged).collect()
}

/// What nodes are updated from: the release that is named, else what an earlier run was given.
fn updates(release: Option<&Release>, host: &Host) -> Result<BTreeMap<String, Released>, Failure> {
    let Some(release) = release else {
        let copied = Note::read(host).map(|note| note.copied).unwrap_or_default();
        let files = copied.into_iter().filter_map(|(name, sum)| {
            let name = name.strip_prefix("release/")?.to_owned();
            Some((name, Released { from: None, sum }))
        });
        return Ok(files.collect());
    };
    let version = release.version();
    let files = release.updates()?.into_iter();
    let named = files.map(|(name, path, sum)| {
        let from = Some(path);
        (format!("{version}/{name}"), Released { from, sum })
    });
    Ok(named.collect())
}

/// Agents on this machine, one a processor, by what their own header says they are built for: of the release,
/// in the folder of components, beside this program, where a build leaves them, and last those handed out
/// already. One that somebody else could have put there is refused: every node would run it as root.
fn agents(
    program: &Path,
    release: Option<&Release>,
    components: Option<&Path>,
    handed_out: &[PathBuf],
) -> Result<Vec<(Arch, PathBuf)>, Failure> {
    const AGENT: &str = "aami-agent";
    let beside = program.parent();
    let built = beside.and_then(Path::parent).map(|target| target.join("dist"));
    let mut places: Vec<PathBuf> = Vec::new();
    let named = Arch::ALL.iter().map(|arch| format!("{}/{AGENT}", arch.name()));
    let of_release = |name: String| release?.file(&name).map(|(path, _)| path);
    places.extend(named.filter_map(of_release));
    for folder in [components, built.as_deref()].into_iter().flatten() {
        places.extend(Arch::ALL.iter().map(|arch| folder.join(arch.name()).join(AGENT)));
        places.push(folder.join(AGENT));
    }
    places.extend(beside.map(|folder| folder.join(AGENT)));
    places.extend(handed_out.iter().cloned());
    let mut agents: Vec<(Arch, PathBuf)> = Vec::new();
    for place in places {
        if let Some(arch) = built_for(&place)
            && !agents.iter().any(|(known, _)| *known == arch)
        {
            // Those handed out already were compared with what was placed.
            if !handed_out.contains(&place) {
                trusted::check(&place)?;
            }
            agents.push((arch, place));
        }
    }
    agents.sort();
    Ok(agents)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        install: Install,
    }

    #[test]
    fn a_release_is_judged_before_anything_of_it_is_taken() {
        // Given a folder that only looks like a release,
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().to_str().unwrap();
        std::fs::create_dir(folder.path().join("amd64")).unwrap();
        std::fs::write(folder.path().join("amd64/aami-agent"), "").unwrap();
        // when it is named, then nobody takes it without saying who signs,
        assert!(Line::try_parse_from(["install", "--release", at]).is_err());
        // and not with that either.
        let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        let line = Line::try_parse_from(["install", "--release", at, "--public-key", key]).unwrap();
        let failed = released(&line.install).unwrap_err();
        assert_eq!(failed.code(), Some(code::RELEASE_MISSING));
        std::fs::write(folder.path().join(release::SUMS), "").unwrap();
        let failed = released(&line.install).unwrap_err();
        assert_eq!(failed.code(), Some(code::SIGNATURE_MISSING));
    }

    #[test]
    fn what_is_kept_for_one_mirror_is_shown_to_no_other_and_can_be_named_again() {
        // Given a server whose mirror wants to see something, which a file keeps,
        let folder = tempfile::tempdir().unwrap();
        let host = Host::folder(folder.path()).unwrap();
        let secrets = folder.path().join("etc/aami/secrets");
        std::fs::create_dir_all(&secrets).unwrap();
        let (mine, other) = ("https://mirror.example.com", "https://other.example.com");
        let keep = |mirror: &str| {
            let text = format!("{mirror}\nBearer hunter2\n");
            std::fs::write(secrets.join("mirror-credential"), text).unwrap();
        };
        let mut wishes = Wishes::usual().unwrap();
        (wishes.mirror, wishes.mirror_credential) = (Some(mine.to_owned()), true);
        let asked = |options: &[&str]| {
            let line = Line::try_parse_from([&["install"], options].concat()).unwrap();
            mirror_credential(&line.install, &wishes, &host)
        };
        keep(mine);
        let kept = asked(&[]).unwrap();
        assert_eq!(kept, Credential::bearer("hunter2"));
        // when it is another mirror's, or is gone, then it is not used, and the hint says what to name,
        let says_what_to_name = || {
            let failed = asked(&[]).unwrap_err();
            assert_eq!(failed.code(), Some(code::INVALID));
            let hint = failed.hint().unwrap();
            assert!(hint.contains("--mirror-credential-file FILE"), "{hint}");
            assert!(failed.to_string().contains(mine), "{failed}");
            assert!(!failed.to_string().contains("hunter2"), "{failed}");
        };
        keep(other);
        says_what_to_name();
        std::fs::remove_file(secrets.join("mirror-credential")).unwrap();
        says_what_to_name();
        // which is all that it takes.
        let named = folder.path().join("credential");
        std::fs::write(&named, "hunter2\n").unwrap();
        let named = asked(&["--mirror-credential-file", named.to_str().unwrap()]).unwrap();
        assert_eq!(named, kept);
    }

    #[test]
    fn an_agent_that_somebody_else_could_have_put_there_is_not_handed_out() {
        use std::os::unix::fs::PermissionsExt as _;

        // Given an agent beside this program,
        let folder = tempfile::tempdir().unwrap();
        let beside = folder.path().join("programs");
        std::fs::create_dir(&beside).unwrap();
        let program = beside.join("aami");
        let agent = beside.join("aami-agent");
        // One this test itself is: a program of this machine.
        std::fs::copy(std::env::current_exe().unwrap(), &agent).unwrap();
        let found = || agents(&program, None, None, &[]);
        assert_eq!(found().unwrap().len(), 1);
        // when everybody may write beside it, then it is refused, and named.
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o777)).unwrap();
        let failed = found().unwrap_err();
        assert_eq!(failed.code(), Some(code::SOURCE_UNTRUSTED));
        assert!(failed.to_string().contains("programs/aami-agent"), "{failed}");
    }
}
