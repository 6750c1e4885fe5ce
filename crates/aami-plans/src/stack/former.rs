//! What earlier runs made on a server and this one does not want any more.

use aami_install::{
    Content, Effect, Host, HostPath, InstallError, Installer, Options, Owner, UninstallReport,
};
use aami_monitor::rules;

use super::{Note, Stack};

/// Takes back the rules that earlier versions wrote beside an operator's, which the control plane brings to Prometheus by
/// now. To be called before the plan is run, which then makes Prometheus read anew.
///
/// In: the plan that is to be run. Out: what became of them; nothing where none are on record. What an operator changed
/// since stays, and is said to. Fails where another command is changing this host.
pub fn take_back_former(
    host: &Host,
    stack: &Stack,
    options: &Options,
) -> Result<Option<UninstallReport>, InstallError> {
    let (wishes, layout) = (stack.session().wishes(), stack.session().layout());
    if !wishes.control_plane {
        return Ok(None);
    }
    let names = rules::FILES.iter();
    let files = names.filter_map(|name| Some((layout.rules.join(name).ok()?, 0o644)));
    take_back(host, stack, options, files.collect())
}

/// Takes back what a mirror wanted to see that is asked no more. To be called after the plan was run, however that ended:
/// as long as the note on the host says that the next run needs it, it stays.
///
/// In, out and failing: as above.
pub fn take_back_credential(
    host: &Host,
    stack: &Stack,
    options: &Options,
) -> Result<Option<UninstallReport>, InstallError> {
    let session = stack.session();
    let is_needed = Note::read(host).is_none_or(|note| note.wishes.mirror_credential);
    if is_needed || session.wishes().mirror_credential {
        return Ok(None);
    }
    let file = (session.layout().mirror_credential.clone(), 0o600);
    take_back(host, stack, options, vec![file])
}

/// Takes these files back, as far as they are on record.
fn take_back(
    host: &Host,
    stack: &Stack,
    options: &Options,
    files: Vec<(HostPath, u32)>,
) -> Result<Option<UninstallReport>, InstallError> {
    let installer = || Installer::new(host, stack.plan(), options.clone());
    let recorded = installer()?.recorded()?;
    let file = |(path, mode)| Effect::file(path, Content::bytes(Vec::new()), mode, Some(Owner::root()));
    let mut former: Vec<Effect> = files.into_iter().map(file).collect();
    former.retain(|effect| recorded.contains(&effect.key().to_string()));
    if former.is_empty() {
        return Ok(None);
    }
    installer()?.take_back(&former).map(Some)
}
