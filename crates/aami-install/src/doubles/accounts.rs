//! Shadow's programs, as far as this project calls them: `useradd(8)`, `userdel(8)`, `usermod(8)`,
//! `groupadd(8)`, `groupdel(8)`, `gpasswd(1)`, with their exit codes.

use std::path::Path;

use super::system::Answer;

struct Tables {
    passwd: Vec<Vec<String>>,
    group: Vec<Vec<String>>,
}

fn read(root: &Path, name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root.join("etc").join(name)).unwrap_or_default();
    text.lines()
        .map(|line| line.split(':').map(str::to_owned).collect())
        .collect()
}

fn write(root: &Path, name: &str, table: &[Vec<String>]) {
    let text: String = table.iter().map(|line| line.join(":") + "\n").collect();
    let path = root.join("etc").join(name);
    let temporary = path.with_extension("+");
    let written = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, &path));
    assert!(
        written.is_ok(),
        "the test's {} cannot be written: {written:?}",
        path.display()
    );
}

pub(super) fn run(root: &Path, program: &str, args: &[&str]) -> Answer {
    let mut tables = Tables {
        passwd: read(root, "passwd"),
        group: read(root, "group"),
    };
    let answer = match program {
        "groupadd" => tables.groupadd(args),
        "groupdel" => tables.groupdel(args),
        "useradd" => tables.useradd(args),
        "userdel" => tables.userdel(args),
        "usermod" => tables.usermod(args),
        _ => tables.gpasswd(args),
    };
    if answer.0 == 0 {
        write(root, "passwd", &tables.passwd);
        write(root, "group", &tables.group);
    }
    answer
}

/// The value after `option`, and the last word, the name.
fn option<'a>(args: &[&'a str], option: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| *arg == option)?;
    args.get(at + 1).copied()
}

fn name<'a>(args: &[&'a str]) -> &'a str {
    args.last().copied().unwrap_or_default()
}

/// A free number, from 999 down as for system accounts.
fn free(table: &[Vec<String>]) -> String {
    let taken = |n: u32| {
        table
            .iter()
            .any(|line| line.get(2).is_some_and(|number| *number == n.to_string()))
    };
    (100..1000).rev().find(|n| !taken(*n)).unwrap_or(100).to_string()
}

/// The number of a new user. Without root, files can be given to nobody but oneself, so every user
/// has one's own.
fn free_user(table: &[Vec<String>]) -> String {
    let me = rustix::process::geteuid();
    if me.is_root() {
        free(table)
    } else {
        me.as_raw().to_string()
    }
}

impl Tables {
    fn user(&self, name: &str) -> Option<&Vec<String>> {
        self.passwd.iter().find(|line| line[0] == name)
    }

    fn group(&self, name: &str) -> Option<&Vec<String>> {
        self.group.iter().find(|line| line[0] == name)
    }

    fn groupadd(&mut self, args: &[&str]) -> Answer {
        let name = name(args);
        if self.group(name).is_some() {
            return Answer::failed(9, format!("groupadd: group '{name}' already exists"));
        }
        let gid = free(&self.group);
        self.group.push(vec![name.into(), "x".into(), gid, String::new()]);
        Answer::done()
    }

    fn groupdel(&mut self, args: &[&str]) -> Answer {
        let name = name(args);
        let Some(gid) = self.group(name).map(|group| group[2].clone()) else {
            return Answer::failed(6, format!("groupdel: group '{name}' does not exist"));
        };
        if let Some(user) = self
            .passwd
            .iter()
            .find(|user| user[3] == gid && user[0] != "root")
        {
            return Answer::failed(
                8,
                format!("groupdel: cannot remove the primary group of user '{}'", user[0]),
            );
        }
        self.group.retain(|group| group[0] != name);
        Answer::done()
    }

    fn useradd(&mut self, args: &[&str]) -> Answer {
        let name = name(args);
        if self.user(name).is_some() {
            return Answer::failed(9, format!("useradd: user '{name}' already exists"));
        }
        let group = option(args, "--gid").unwrap_or_default();
        let Some(gid) = self.group(group).map(|group| group[2].clone()) else {
            return Answer::failed(6, format!("useradd: group '{group}' does not exist"));
        };
        let comment = option(args, "--comment").unwrap_or_default();
        if comment.contains(':') {
            return Answer::failed(3, format!("useradd: invalid comment '{comment}'"));
        }
        let uid = free_user(&self.passwd);
        let home = option(args, "--home-dir").unwrap_or("/");
        let shell = option(args, "--shell").unwrap_or("/bin/sh");
        self.passwd.push(
            [name, "x", &uid, &gid, comment, home, shell]
                .map(str::to_owned)
                .to_vec(),
        );
        Answer::done()
    }

    fn userdel(&mut self, args: &[&str]) -> Answer {
        let name = name(args);
        let Some(gid) = self.user(name).map(|user| user[3].clone()) else {
            return Answer::failed(6, format!("userdel: user '{name}' does not exist"));
        };
        self.passwd.retain(|user| user[0] != name);
        for group in &mut self.group {
            let members: Vec<&str> = group[3].split(',').filter(|member| *member != name).collect();
            group[3] = members.join(",");
        }
        // USERGROUPS_ENAB: the group of the same name goes with the user when nobody else is in it.
        let alone = !self.passwd.iter().any(|user| user[3] == gid && user[0] != "root");
        self.group
            .retain(|group| !(alone && group[0] == name && group[3].is_empty()));
        Answer::done()
    }

    fn usermod(&mut self, args: &[&str]) -> Answer {
        let (user, group) = (name(args), option(args, "--groups").unwrap_or_default());
        if self.user(user).is_none() {
            return Answer::failed(6, format!("usermod: user '{user}' does not exist"));
        }
        let Some(line) = self.group.iter_mut().find(|line| line[0] == group) else {
            return Answer::failed(6, format!("usermod: group '{group}' does not exist"));
        };
        let mut members: Vec<&str> = line[3].split(',').filter(|member| !member.is_empty()).collect();
        if !members.contains(&user) {
            members.push(user);
        }
        line[3] = members.join(",");
        Answer::done()
    }

    fn gpasswd(&mut self, args: &[&str]) -> Answer {
        let (user, group) = (option(args, "--delete").unwrap_or_default(), name(args));
        let Some(line) = self.group.iter_mut().find(|line| line[0] == group) else {
            return Answer::failed(
                3,
                format!("gpasswd: group '{group}' does not exist in /etc/group"),
            );
        };
        let members: Vec<&str> = line[3].split(',').collect();
        if !members.contains(&user) {
            return Answer::failed(3, format!("gpasswd: user '{user}' is not a member of '{group}'"));
        }
        line[3] = members
            .into_iter()
            .filter(|member| *member != user)
            .collect::<Vec<_>>()
            .join(",");
        Answer::done()
    }
}
