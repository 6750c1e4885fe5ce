//! Users, groups, and who is in which.

use super::{EffectError, Key, Scene, Signature, Standing};
use crate::host::{AccountError, CommandError, Group};
use crate::path::HostPath;
use crate::receipt::{Before, Recorded};
use crate::undo::Undone;

/// A group. One that exists is right as it is.
#[derive(Debug, Clone)]
pub struct CreateGroup {
    /// Its name.
    pub name: String,
    /// Whether its number comes from the range for system groups.
    pub system: bool,
}

/// A user without a password. One that exists is right as it is.
#[derive(Debug, Clone)]
pub struct CreateUser {
    /// Its name.
    pub name: String,
    /// Its primary group, which must exist.
    pub group: String,
    /// Its home folder, which is not made.
    pub home: HostPath,
    /// Its log-in shell.
    pub shell: HostPath,
    /// Whether its number comes from the range for system users.
    pub system: bool,
    pub(crate) comment: String,
}

/// A user in a group besides its primary one.
#[derive(Debug, Clone)]
pub struct GroupMembership {
    /// The user.
    pub user: String,
    /// The group.
    pub group: String,
}

impl CreateGroup {
    /// A system group.
    pub fn system(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            system: true,
        }
    }

    pub(super) fn detail(&self) -> String {
        if self.system {
            "system group".into()
        } else {
            String::new()
        }
    }

    pub(super) fn inspect(&self, scene: Scene<'_>) -> Result<Standing, EffectError> {
        let found = scene.host.accounts().group(&self.name)?;
        Ok(found.map_or_else(|| Standing::due("missing", Before::Absent), |_| Standing::Holds))
    }

    pub(super) fn apply(&self, scene: Scene<'_>) -> Result<(), EffectError> {
        let mut argv = vec!["groupadd"];
        argv.extend(self.system.then_some("--system"));
        argv.extend(["--", &self.name]);
        change(scene, &argv, || {
            Ok(matches!(self.inspect(scene)?, Standing::Holds))
        })
    }
}

impl CreateUser {
    /// A system user that cannot log in, with `/nonexistent` for its home.
    pub fn system(
        name: impl Into<String>,
        group: impl Into<String>,
        home: HostPath,
        shell: HostPath,
    ) -> Self {
        Self {
            name: name.into(),
            group: group.into(),
            home,
            shell,
            system: true,
            comment: String::new(),
        }
    }

    pub(super) fn sealed(&self, signature: &Signature) -> Self {
        Self {
            comment: signature.comment(),
            ..self.clone()
        }
    }

    pub(super) fn detail(&self) -> String {
        let kind = if self.system { "system user" } else { "user" };
        format!(
            "{kind}, group {}, home {}, shell {}",
            self.group, self.home, self.shell
        )
    }

    pub(super) fn record(&self) -> Recorded {
        Recorded::CreateUser {
            name: self.name.clone(),
            comment: self.comment.clone(),
        }
    }

    pub(super) fn inspect(&self, scene: Scene<'_>) -> Result<Standing, EffectError> {
        let found = scene.host.accounts().user(&self.name)?;
        Ok(found.map_or_else(|| Standing::due("missing", Before::Absent), |_| Standing::Holds))
    }

    pub(super) fn apply(&self, scene: Scene<'_>) -> Result<(), EffectError> {
        let mut argv = vec!["useradd", "--no-create-home", "--home-dir", self.home.as_str()];
        argv.extend([
            "--shell",
            self.shell.as_str(),
            "--gid",
            &self.group,
            "--comment",
            &self.comment,
        ]);
        argv.extend(self.system.then_some("--system"));
        argv.extend(["--", &self.name]);
        change(scene, &argv, || {
            Ok(matches!(self.inspect(scene)?, Standing::Holds))
        })
    }
}

impl GroupMembership {
    pub(super) fn key(&self) -> Key {
        Key::named("member", &format!("{} {}", self.user, self.group))
    }

    pub(super) fn record(&self) -> Recorded {
        Recorded::GroupMembership {
            user: self.user.clone(),
            group: self.group.clone(),
        }
    }

    pub(super) fn inspect(&self, scene: Scene<'_>) -> Result<Standing, EffectError> {
        let group = scene.host.accounts().group(&self.group)?;
        if group.is_some_and(|group| group.members.contains(&self.user)) {
            return Ok(Standing::Holds);
        }
        Ok(Standing::due("not a member", Before::Absent))
    }

    pub(super) fn apply(&self, scene: Scene<'_>) -> Result<(), EffectError> {
        let argv = ["usermod", "--append", "--groups", &self.group, "--", &self.user];
        Ok(scene.host.accounts().change(&argv)?)
    }
}

/// Runs one of shadow's programs. That it refuses is no failure where what was wanted holds by then: a program that a
/// killed run had started goes on by itself, and may end after this one looked.
fn change(
    scene: Scene<'_>,
    argv: &[&str],
    holds: impl FnOnce() -> Result<bool, EffectError>,
) -> Result<(), EffectError> {
    match scene.host.accounts().change(argv) {
        Err(AccountError::Command(CommandError::Failed { .. })) if holds()? => Ok(()),
        changed => Ok(changed?),
    }
}

/// Removes a user of ours: one whose comment still says so.
pub(super) fn undo_user(scene: Scene<'_>, name: &str, comment: &str) -> Result<Undone, EffectError> {
    let Some(user) = scene.host.accounts().user(name)? else {
        return Ok(Undone::Gone);
    };
    if user.comment != comment {
        return Ok(Undone::Left(format!(
            "the user {name} is another by now (comment {:?})",
            user.comment
        )));
    }
    change(scene, &["userdel", "--", name], || {
        Ok(scene.host.accounts().user(name)?.is_none())
    })?;
    Ok(Undone::Gone)
}

/// Removes a group of ours that nobody else is in.
pub(super) fn undo_group(scene: Scene<'_>, name: &str) -> Result<Undone, EffectError> {
    let accounts = scene.host.accounts();
    let Some(Group { gid, members, .. }) = accounts.group(name)? else {
        return Ok(Undone::Gone);
    };
    if let Some(member) = members.first() {
        return Ok(Undone::Left(format!("the group {name} has members ({member})")));
    }
    if let Some(user) = accounts.user_of_group(gid)? {
        return Ok(Undone::Left(format!(
            "the group {name} is the primary group of {}",
            user.name
        )));
    }
    change(scene, &["groupdel", "--", name], || {
        Ok(accounts.group(name)?.is_none())
    })?;
    Ok(Undone::Gone)
}

/// Takes a user out of a group.
pub(super) fn undo_membership(scene: Scene<'_>, user: &str, group: &str) -> Result<Undone, EffectError> {
    let is_member = || -> Result<bool, EffectError> {
        let group = scene.host.accounts().group(group)?;
        Ok(group.is_some_and(|group| group.members.iter().any(|member| member == user)))
    };
    if is_member()? {
        change(scene, &["gpasswd", "--delete", user, group], || Ok(!is_member()?))?;
    }
    Ok(Undone::Gone)
}
