//! The image that containers are made from.

use aami_install::Host;
use aami_install::host::{Command, Ended};

/// Whether the engine has this image, so that nothing of it is fetched. Where no engine answers it has none.
pub fn has_image(host: &Host, image: &str) -> bool {
    let Some(commands) = &host.commands else {
        return false;
    };
    let look = Command::look(["docker", "image", "inspect", "--format={{.Id}}", image]);
    commands
        .run(&look)
        .is_ok_and(|output| output.ended == Ended::Status(0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aami_install::host::{CommandError, Commands, Output};

    use super::*;

    /// An engine that has one image.
    struct Engine;

    impl Commands for Engine {
        fn run(&self, command: &Command) -> Result<Output, CommandError> {
            let has = command
                .line()
                .ends_with("image inspect --format={{.Id}} sha256:5b");
            Ok(Output {
                ended: Ended::Status(i32::from(!has)),
                stdout: Vec::new(),
                stderr: Vec::new(),
            })
        }
    }

    #[test]
    fn only_an_image_that_the_engine_has_need_not_be_fetched() {
        let folder = tempfile::tempdir().unwrap();
        let mut host = Host::folder(folder.path()).unwrap();
        assert!(!has_image(&host, "sha256:5b"), "nobody to ask");
        host.commands = Some(Arc::new(Engine));
        assert!(has_image(&host, "sha256:5b"));
        assert!(!has_image(&host, "sha256:5c"));
    }
}
