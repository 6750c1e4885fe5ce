//! What is wanted of a server: flags, else what was chosen the last time, else what is usual; on a
//! terminal, what is needed is asked for.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use aami_install::Host;
use aami_install::host::{Command, Ended};
use aami_model::code::{self, Code};
use aami_plans::stack::uninstall::is_recorded;
use aami_plans::stack::{Certificate, Given, Note, Part, Runtime, Wishes};

use super::install::{Install, RuntimeWish};
use crate::cli::ask::question;
use crate::cli::failure::Failure;

/// The longest file a password or certificate is read from.
const LONGEST: u64 = 1024 * 1024;

/// Everything that was chosen.
pub(super) struct Chosen {
    pub(super) wishes: Wishes,
    pub(super) why_runtime: String,
    pub(super) grafana_password: Option<Given>,
    pub(super) certificate: Option<Certificate>,
    /// What somebody should know that stops nothing.
    pub(super) warnings: Vec<String>,
}

/// Puts flags, note and defaults together.
pub(super) fn choose(flags: &Install, host: &Host, asks: bool) -> Result<Chosen, Failure> {
    let note = Note::read(host);
    let usual = Wishes::usual().map_err(|error| Failure::invalid(error.to_string()))?;
    let mut wishes = note
        .as_ref()
        .map_or_else(|| usual.clone(), |note| note.wishes.clone());
    version(flags, &usual)?;
    wishes.version = usual.version;
    // A declared fleet's programs get one beside them.
    wishes.control_plane = true;
    if flags.https && flags.tls_cert.is_none() {
        return Err(Failure::found(code::ACME_NOT_YET, code::ACME_NOT_YET.sentence));
    }
    if let (Some(note), Some(wanted)) = (&note, &flags.data_dir)
        && note.wishes.data_dir != *wanted
    {
        return Err(elsewhere(&format!("its data lies in {}", note.wishes.data_dir)));
    }
    if let (Some(note), Some(wanted)) = (&note, &flags.cluster)
        && note.wishes.cluster != *wanted
    {
        return Err(elsewhere(&format!(
            "it is the server of the cluster {}",
            note.wishes.cluster
        )));
    }
    take(flags, &mut wishes)?;
    // Whatever is wrong with what was given is said before anything is asked.
    let grafana_password = match (&flags.grafana_password, &flags.grafana_password_file) {
        (Some(text), _) => Some(password(text, "--grafana-password")?),
        (None, Some(file)) => Some(password(
            &text(file, code::SECRET_UNUSABLE)?,
            &file.display().to_string(),
        )?),
        (None, None) => None,
    };
    let certificate = match (&flags.tls_cert, &flags.tls_key) {
        (Some(chain), Some(key)) => Some(certificate(chain, key)?),
        _ => None,
    };
    let (runtime, why_runtime) = runtime(flags, host, note.as_ref())?;
    if let Some(note) = &note
        && note.wishes.runtime != runtime
        && is_installed(host, &note.wishes)?
    {
        return Err(elsewhere(&format!(
            "it runs under {}",
            note.wishes.runtime.name()
        )));
    }
    wishes.runtime = runtime;
    let mut warnings = Vec::new();
    if asks && note.is_none() {
        ask(flags, &mut wishes)?;
    }
    if flags.postgres_password.is_some() || flags.postgres_password_file.is_some() {
        let what = "no PostgreSQL is installed (the data lies in SQLite), so its password is not used";
        warnings.push(what.to_owned());
    }
    for (given, flag) in [
        (flags.grafana_password.is_some(), "--grafana-password"),
        (flags.postgres_password.is_some(), "--postgres-password"),
    ] {
        if given {
            warnings.push(format!(
                "{flag} stands in the process list for everybody; prefer {flag}-file"
            ));
        }
    }
    if wishes.expose {
        warnings.push(
            "Prometheus and Alertmanager are open to other machines without a password, and Grafana's login is plain \
             HTTP"
                .to_owned(),
        );
    }
    wishes.own_certificate |= certificate.is_some();
    Ok(Chosen {
        wishes,
        why_runtime,
        grafana_password,
        certificate,
        warnings,
    })
}

fn elsewhere(how: &str) -> Failure {
    Failure::found(
        code::STACK_ELSEWHERE,
        format!("a server is installed here already, and {how}"),
    )
}

fn version(flags: &Install, usual: &Wishes) -> Result<(), Failure> {
    let Some(wanted) = &flags.version else {
        return Ok(());
    };
    if wanted == "latest" || wanted.trim_start_matches('v') == usual.version {
        return Ok(());
    }
    Err(Failure::found(
        code::VERSION_ELSEWHERE,
        format!("this program is AAMI {}, not {wanted}", usual.version),
    ))
}

fn take(flags: &Install, wishes: &mut Wishes) -> Result<(), Failure> {
    if let Some(path) = &flags.install_dir {
        wishes.install_dir = path.clone();
    }
    if let Some(path) = &flags.data_dir {
        wishes.data_dir = path.clone();
    }
    if let Some(cluster) = &flags.cluster {
        wishes.cluster.clone_from(cluster);
    }
    if let Some(image) = &flags.image {
        wishes.image.clone_from(image);
    }
    if flags.domain.is_some() {
        wishes.domain.clone_from(&flags.domain);
    }
    if let Some(names) = &flags.components {
        let parts = names
            .iter()
            .filter(|name| !name.is_empty())
            .map(|name| name.trim().parse());
        let parts: Result<_, aami_plans::stack::NotAPart> = parts.collect();
        wishes.components = parts.map_err(|error| Failure::invalid(format!("--components: {error}")))?;
    }
    for (part, port) in [
        (Part::ControlPlane, flags.server_port),
        (Part::Prometheus, flags.prometheus_port),
        (Part::Alertmanager, flags.alertmanager_port),
        (Part::Grafana, flags.grafana_port),
    ] {
        wishes.ports.extend(port.map(|port| (part, port)));
    }
    if let Some(expose) = flags.expose {
        wishes.expose = expose;
    }
    if let Some(leave) = flags.skip_firewall {
        wishes.leave_firewall = leave;
    }
    if let (Some(_), Some(key)) = (&flags.release, &flags.public_key) {
        wishes.release_key = Some(crate::cli::release::key(key)?.line().to_owned());
    }
    // Where components come from is one choice: a new one replaces the old as a whole.
    if flags.mirror.is_some() || flags.components_dir.is_some() || flags.offline.is_given() {
        // What one mirror wants to see is shown to no other.
        wishes.mirror_credential &= flags.mirror.is_some() && flags.mirror == wishes.mirror;
        wishes.mirror.clone_from(&flags.mirror);
        let folder = flags.components_dir.as_ref().map(std::path::absolute).transpose();
        wishes.components_dir = folder.map_err(Failure::Runtime)?;
    }
    wishes.mirror_credential |= wishes.mirror.is_some() && flags.mirror_credential_file.is_some();
    Ok(())
}

/// Which runtime, and why.
fn runtime(flags: &Install, host: &Host, note: Option<&Note>) -> Result<(Runtime, String), Failure> {
    let systemd = host.units.is_some();
    let missing = |what: &str| Err(Failure::found(code::RUNTIME_MISSING, what.to_owned()));
    match flags.runtime {
        Some(RuntimeWish::Systemd) if systemd => Ok((Runtime::Systemd, "asked for".to_owned())),
        Some(RuntimeWish::Systemd) => missing("systemd is not the running init of this machine"),
        Some(RuntimeWish::Compose) if compose(host) => Ok((Runtime::Compose, "asked for".to_owned())),
        Some(RuntimeWish::Compose) => missing("no Docker engine with compose answers on this machine"),
        None if note.is_some() => {
            let runtime = note.map_or(Runtime::Systemd, |note| note.wishes.runtime);
            Ok((runtime, "as it was installed".to_owned()))
        }
        Some(RuntimeWish::Auto) | None if systemd => {
            Ok((Runtime::Systemd, "systemd is the init of this machine".to_owned()))
        }
        Some(RuntimeWish::Auto) | None if compose(host) => Ok((
            Runtime::Compose,
            "systemd is not the init of this machine, and a Docker engine answers".to_owned(),
        )),
        Some(RuntimeWish::Auto) | None => {
            missing("neither systemd nor a Docker engine with compose is on this machine")
        }
    }
}

/// Whether a Docker engine answers, with either compose in front of it.
fn compose(host: &Host) -> bool {
    let Some(commands) = &host.commands else {
        return false;
    };
    let well = |argv: &[&str]| {
        let output = commands.run(&Command::look(argv.iter().copied()));
        output.is_ok_and(|output| output.ended == Ended::Status(0))
    };
    well(&["docker", "version", "--format", "{{.Server.Version}}"])
        && (well(&["docker", "compose", "version"]) || well(&["docker-compose", "version"]))
}

/// Whether there is more than data left of an earlier one.
fn is_installed(host: &Host, wishes: &Wishes) -> Result<bool, Failure> {
    Ok(is_recorded(
        host,
        &super::options_for(wishes),
        aami_plans::stack::NAME,
    )?)
}

/// Asks for what only a person knows.
fn ask(flags: &Install, wishes: &mut Wishes) -> Result<(), Failure> {
    if flags.domain.is_none() {
        let answer = question("Name nodes and people reach this server by (empty: its address)? ")?;
        if !answer.is_empty() {
            wishes.domain = Some(answer);
        }
    }
    let parts: Vec<&str> = wishes.components.iter().map(|part| part.name()).collect();
    let what = format!(
        "AAMI {} with {} goes to {}, its data to {}. Go on [Y/n]? ",
        wishes.version,
        if parts.is_empty() {
            "nothing beside it".to_owned()
        } else {
            parts.join(", ")
        },
        wishes.install_dir,
        wishes.data_dir
    );
    match question(&what)?.to_ascii_lowercase().as_str() {
        "" | "y" | "yes" => Ok(()),
        _ => Err(Failure::found_with(
            code::INTERRUPTED,
            "nothing was changed",
            "Run it again with the options you want; --dry-run shows all of it.",
        )),
    }
}

/// What a small file holds. What is longer, or never ends, is no password and no certificate.
fn text(path: &Path, code: Code) -> Result<String, Failure> {
    let unreadable = |why: String| Failure::found(code, format!("{} cannot be read: {why}", path.display()));
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
    let read = read.map_err(|error| unreadable(error.to_string()))?;
    if read as u64 > LONGEST {
        return Err(unreadable("it is too long".to_owned()));
    }
    Ok(text)
}

/// One line of printable characters; the error never repeats it.
fn password(text: &str, from: &str) -> Result<Given, Failure> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let fits = (1..=256).contains(&line.chars().count()) && !line.chars().any(char::is_control);
    if fits {
        Ok(Given::new(line))
    } else {
        Err(Failure::found(
            code::SECRET_UNUSABLE,
            format!("the password in {from} is not one line of 1 to 256 printable characters"),
        ))
    }
}

fn certificate(chain: &Path, key: &Path) -> Result<Certificate, Failure> {
    let unusable = code::CERTIFICATE_UNUSABLE;
    let (chain_text, key_text) = (text(chain, unusable)?, text(key, unusable)?);
    aami_server::judge_certificate((chain, &chain_text), (key, &key_text)).map_err(|error| {
        let why = std::error::Error::source(&error).map_or_else(String::new, |why| format!(": {why}"));
        Failure::found(
            unusable,
            format!("{error}{why} ({}, {})", chain.display(), key.display()),
        )
    })?;
    Ok(Certificate {
        chain: chain_text,
        key: Given::new(key_text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_from_a_pipe_is_read_once() {
        // What a shell makes of `<(...)`, and whoever hands a key over without leaving it on a disk.
        let folder = tempfile::tempdir().unwrap();
        let [chain, key] = ["chain", "key"].map(|name| folder.path().join(name));
        for pipe in [&chain, &key] {
            let rights = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, pipe, rustix::fs::FileType::Fifo, rights, 0).unwrap();
        }
        for (pipe, text) in [(chain.clone(), "no certificate"), (key.clone(), "hunter2")] {
            std::thread::spawn(move || std::fs::write(pipe, text));
        }
        let (judged, verdict) = std::sync::mpsc::channel();
        std::thread::spawn(move || drop(judged.send(certificate(&chain, &key).err())));
        let wait = std::time::Duration::from_secs(20);
        let failure = verdict.recv_timeout(wait).expect("it waits for nobody").unwrap();
        assert_eq!(failure.code(), Some(code::CERTIFICATE_UNUSABLE));
        let said = failure.to_string();
        assert!(
            said.contains("holds no certificate") && !said.contains("hunter2"),
            "{said}"
        );
    }

    #[test]
    fn a_password_is_one_line_and_is_never_repeated() {
        for text in ["secret", "secret\n", "secret\r\n", "zwei Wörter"] {
            assert!(password(text, "--x").is_ok(), "{text:?}");
        }
        for text in ["", "\n", "hunter2\nmore", "hunter2\u{7}", &"hunter2".repeat(60)] {
            let failure = password(text, "the file").unwrap_err();
            assert_eq!(failure.code(), Some(code::SECRET_UNUSABLE));
            assert!(!failure.to_string().contains("hunter2"), "{failure}");
        }
    }
}
