//! What earlier versions of this plan made on a server and this one does not want any more.

use aami_install::{Content, Effect, Host, InstallError, Installer, Options, Owner, UninstallReport};
use aami_monitor::rules;

use super::Stack;

/// Takes back the rules that earlier versions wrote beside an operator's: the control plane brings them to Prometheus by
/// now, which would evaluate both. To be called before the plan is run, which then makes Prometheus read anew.
///
/// In: the plan that is to be run. Out: what became of them; nothing where none are on record. What an operator changed
/// since stays, and is said to. Fails where another command is changing this host.
pub fn take_back_former(
    host: &Host,
    stack: &Stack,
    options: &Options,
) -> Result<Option<UninstallReport>, InstallError> {
    let (session, installer) = (stack.session(), || {
        Installer::new(host, stack.plan(), options.clone())
    });
    if !session.wishes().control_plane {
        return Ok(None);
    }
    let recorded = installer()?.recorded()?;
    let former: Vec<Effect> = (rules::FILES.iter())
        .filter_map(|name| session.layout().rules.join(name).ok())
        .map(|path| Effect::file(path, Content::bytes(Vec::new()), 0o644, Some(Owner::root())))
        .filter(|effect| recorded.contains(&effect.key().to_string()))
        .collect();
    if former.is_empty() {
        return Ok(None);
    }
    installer()?.take_back(&former).map(Some)
}
