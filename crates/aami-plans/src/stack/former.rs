//! What earlier runs made on a server and this one does not want any more.

use aami_install::{Content, Effect, Host, InstallError, Installer, Options, Owner, UninstallReport};
use aami_monitor::rules;

use super::{Session, Stack};

/// Takes back what is former: the rules that earlier versions wrote beside an operator's, which the control plane brings
/// to Prometheus by now, and what a mirror that is asked no more wanted to see. To be called before the plan is run, which
/// then makes Prometheus read anew.
///
/// In: the plan that is to be run. Out: what became of them; nothing where none are on record. What an operator changed
/// since stays, and is said to. Fails where another command is changing this host.
pub fn take_back_former(
    host: &Host,
    stack: &Stack,
    options: &Options,
) -> Result<Option<UninstallReport>, InstallError> {
    let installer = || Installer::new(host, stack.plan(), options.clone());
    let recorded = installer()?.recorded()?;
    let mut former = unwanted(stack.session());
    former.retain(|effect| recorded.contains(&effect.key().to_string()));
    if former.is_empty() {
        return Ok(None);
    }
    installer()?.take_back(&former).map(Some)
}

/// What no run of today makes, where `session` is what is wanted.
fn unwanted(session: &Session) -> Vec<Effect> {
    let (wishes, layout) = (session.wishes(), session.layout());
    let mut files = Vec::new();
    if wishes.control_plane {
        let rules = rules::FILES
            .iter()
            .filter_map(|name| layout.rules.join(name).ok());
        files.extend(rules.map(|path| (path, 0o644)));
    }
    if !wishes.mirror_credential {
        files.push((layout.mirror_credential.clone(), 0o600));
    }
    let file = |(path, mode)| Effect::file(path, Content::bytes(Vec::new()), mode, Some(Owner::root()));
    files.into_iter().map(file).collect()
}
