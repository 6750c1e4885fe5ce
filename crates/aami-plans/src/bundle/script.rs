//! The script that somebody runs who has unpacked a bundle and has nothing else of AAMI.

use std::collections::BTreeMap;

use aami_inventory::Arch;

use crate::components::Sha256Sum;

/// The script for a bundle, with the checksum of the operator's program for each processor.
pub(super) fn text(version: &str, programs: &BTreeMap<Arch, Sha256Sum>) -> String {
    let names: Vec<&str> = programs.keys().map(|arch| arch.name()).collect();
    let mut text = include_str!("install.sh")
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURES@", &names.join(" and "));
    for arch in Arch::ALL {
        let sum = programs.get(&arch).map(Sha256Sum::to_string);
        let place = format!("@SHA256_{}@", arch.name().to_ascii_uppercase());
        text = text.replace(&place, &sum.unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_script_starts_the_program_it_knows_and_no_other() {
        // Given an unpacked bundle whose program says what it was started with,
        let folder = tempfile::tempdir().unwrap();
        let arch = Arch::parse(std::env::consts::ARCH).unwrap();
        let program = folder.path().join(arch.name()).join("aami");
        std::fs::create_dir(folder.path().join(arch.name())).unwrap();
        std::fs::write(&program, "#!/bin/sh\nprintf '%s|' \"$@\"\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let sum = crate::download::sum_of(&program).unwrap();
        let script = folder.path().join("install.sh");
        let run = |programs: BTreeMap<Arch, Sha256Sum>| {
            std::fs::write(&script, text("0.1.0", &programs)).unwrap();
            let ended = Command::new("sh")
                .arg(&script)
                .args(["--bundle-key", "a b"])
                .output()
                .unwrap();
            let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
            (ended.status.code(), said(&ended.stdout), said(&ended.stderr))
        };
        // when it is run, then that program installs from the folder;
        let (code, out, error) = run([(arch, sum)].into());
        assert_eq!(code, Some(0), "{error}");
        let here = folder.path().canonicalize().unwrap();
        let expected = format!("server|install|--offline|{}|--bundle-key|a b|", here.display());
        assert_eq!(out, expected);
        // one that was changed is not started,
        let (code, out, error) = run([(arch, Sha256Sum([7; 32]))].into());
        assert_eq!((code, out.as_str()), (Some(10), ""), "{error}");
        assert!(error.contains("was changed"), "{error}");
        // and none where there is none for this machine.
        let other = Arch::ALL.into_iter().find(|one| *one != arch).unwrap();
        let (code, out, error) = run([(other, sum)].into());
        assert_eq!((code, out.as_str()), (Some(5), ""), "{error}");
        assert!(error.contains(&format!("it is for {}", other.name())), "{error}");
    }
}
