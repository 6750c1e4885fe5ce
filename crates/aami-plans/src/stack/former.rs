//! What earlier runs made on a server and this one does not want any more.

use aami_install::{
    Content, Effect, Held, Host, HostPath, InstallError, Installer, Options, Owner, Plan, UninstallReport,
};
use aami_monitor::rules;

use super::uninstall::TakeBackError;
use super::{Note, Stack, keep};

/// Takes back the rules that earlier versions wrote beside an operator's, which the control plane brings to Prometheus by
/// now. To be called before the plan is run, which then makes Prometheus read anew, and while the same `held` keeps others
/// out.
///
/// In: the plan that is to be run. Out: what became of them; nothing where none are on record. What an operator changed
/// since stays, and is said to.
pub fn take_back_former(
    host: &Host,
    stack: &Stack,
    options: &Options,
    held: &Held<'_>,
) -> Result<Option<UninstallReport>, InstallError> {
    let (wishes, layout) = (stack.session().wishes(), stack.session().layout());
    if !wishes.control_plane {
        return Ok(None);
    }
    let names = rules::FILES.iter();
    let files: Vec<_> = names
        .filter_map(|name| Some((layout.rules.join(name).ok()?, 0o644)))
        .collect();
    take_back(host, stack.plan(), options, held, &files)
}

/// Takes back what a mirror wanted to see that is asked no more. To be called after the plan was run, however that ended:
/// as long as the note on the host says that the next run needs it, it stays.
///
/// In and out: as above.
pub fn take_back_credential(
    host: &Host,
    stack: &Stack,
    options: &Options,
    held: &Held<'_>,
) -> Result<Option<UninstallReport>, TakeBackError> {
    let session = stack.session();
    let is_needed = Note::read(host).is_none_or(|note| note.wishes.mirror_credential);
    if is_needed || session.wishes().mirror_credential {
        return Ok(None);
    }
    let files = [(session.layout().mirror_credential.clone(), 0o600)];
    // Where a server was taken back before, it was kept with the data as well.
    let data = keep::plan(session.wishes())?;
    take_back(host, &data, options, held, &files)?;
    Ok(take_back(host, stack.plan(), options, held, &files)?)
}

/// Takes these files back, as far as they are on record.
fn take_back(
    host: &Host,
    plan: &Plan,
    options: &Options,
    held: &Held<'_>,
    files: &[(HostPath, u32)],
) -> Result<Option<UninstallReport>, InstallError> {
    let installer = || Ok::<_, InstallError>(Installer::new(host, plan, options.clone())?.within(held));
    let recorded = installer()?.recorded()?;
    let file = |(path, mode): &(HostPath, u32)| {
        Effect::file(
            path.clone(),
            Content::bytes(Vec::new()),
            *mode,
            Some(Owner::root()),
        )
    };
    let mut former: Vec<Effect> = files.iter().map(file).collect();
    former.retain(|effect| recorded.contains(&effect.key().to_string()));
    if former.is_empty() {
        return Ok(None);
    }
    installer()?.take_back(&former).map(Some)
}
