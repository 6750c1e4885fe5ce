//! A file is placed on a host: whole, or not at all.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256, digest};
use tokio::io::AsyncReadExt as _;

use super::Connection;
use crate::SshError;
use crate::command::{Command, Exit, Stdin, quote};

/// How much of what the host says is kept.
const SAID: usize = 4096;
/// How much is read of a local file at a time.
const PIECE: usize = 64 * 1024;
/// The host's script found no program that computes SHA-256.
const NO_TOOL: u32 = 71;
/// What arrived is not what was sent.
const DAMAGED: u32 = 72;

/// A file to place.
#[derive(Debug, Clone)]
pub struct Upload {
    content: Stdin,
    path: String,
    mode: u32,
    root: bool,
    timeout: Option<Duration>,
}

/// What had to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uploaded {
    /// It was sent and took its place.
    Written,
    /// It was there, byte for byte.
    AlreadyThere,
}

impl Upload {
    /// These bytes, at this absolute path, with this mode.
    pub fn bytes(content: impl Into<Bytes>, path: impl Into<String>, mode: u32) -> Self {
        Self::new(Stdin::Bytes(content.into()), path, mode)
    }

    /// What a file of this machine holds, at this absolute path, with this mode.
    pub fn file(content: impl Into<PathBuf>, path: impl Into<String>, mode: u32) -> Self {
        Self::new(Stdin::File(content.into()), path, mode)
    }

    fn new(content: Stdin, path: impl Into<String>, mode: u32) -> Self {
        Self {
            content,
            path: path.into(),
            mode,
            root: false,
            timeout: None,
        }
    }

    /// As root; the file is then root's.
    pub const fn as_root(mut self) -> Self {
        self.root = true;
        self
    }

    /// How long it may take.
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    fn command(&self, script: String) -> Command {
        let mut command = Command::script(script);
        command.root = self.root;
        command.timeout = self.timeout;
        command
    }

    fn failed(&self, why: impl Into<String>) -> SshError {
        SshError::Upload {
            path: self.path.clone(),
            why: why.into(),
        }
    }
}

/// Computes a file's SHA-256 with what is there; sets `sum`.
const SUM: &str = r#"sum_of() {
if command -v sha256sum >/dev/null 2>&1; then sum=$(sha256sum < "$1"); sum=${sum%% *}
elif command -v shasum >/dev/null 2>&1; then sum=$(shasum -a 256 < "$1"); sum=${sum%% *}
elif command -v openssl >/dev/null 2>&1; then sum=$(openssl dgst -sha256 < "$1"); sum=${sum##* }
else echo "there is no sha256sum, shasum or openssl" >&2; exit 71
fi
}
"#;

pub(super) async fn upload(connection: &Connection, upload: &Upload) -> Result<Uploaded, SshError> {
    if !upload.path.starts_with('/') || upload.path.ends_with('/') || upload.path.contains('\0') {
        return Err(SshError::Local {
            why: format!("{:?} is not an absolute path of a file", upload.path),
        });
    }
    let wanted = sum_of(&upload.content).await?;
    if is_there(connection, upload, &wanted).await? {
        return Ok(Uploaded::AlreadyThere);
    }
    let command = upload
        .command(place_script(upload, &wanted))
        .stdin(upload.content.clone());
    let output = connection.output(&command, SAID).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.exit {
        Exit::Code(0) => Ok(Uploaded::Written),
        Exit::Code(DAMAGED) => Err(upload.failed("what arrived is not what was sent; it was removed again")),
        Exit::Code(code) => Err(upload.failed(format!("exit code {code}: {}", said.trim()))),
        Exit::Signal(signal) => Err(upload.failed(format!("ended by signal {signal}: {}", said.trim()))),
    }
}

async fn is_there(connection: &Connection, upload: &Upload, wanted: &str) -> Result<bool, SshError> {
    let path = quote(&upload.path);
    let script = format!(
        "{SUM}f={path}\n[ -f \"$f\" ] && [ ! -L \"$f\" ] || exit 1\nsum_of \"$f\"\n\
         [ \"$sum\" = {wanted} ] && chmod {:o} \"$f\"\n",
        upload.mode
    );
    let output = connection.output(&upload.command(script), SAID).await?;
    match output.exit {
        Exit::Code(NO_TOOL) => Err(upload.failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        exit => Ok(exit.success()),
    }
}

fn place_script(upload: &Upload, wanted: &str) -> String {
    let path = quote(&upload.path);
    let mode = format!("{:o}", upload.mode);
    // The folder is made, never its mode changed; the temporary file is in the same folder, so that moving it is
    // one step and it gets the labels of that folder.
    format!(
        "{SUM}f={path}\numask 077\nd=${{f%/*}}\n[ -d \"${{d:-/}}\" ] || (umask 022; mkdir -p \"$d\") || exit 1\n\
         t=\"$d/.aami-$$.${{f##*/}}\"\ntrap 'rm -f \"$t\"' EXIT\ntrap 'exit 1' HUP INT TERM\n\
         cat > \"$t\" || exit 1\nsum_of \"$t\"\n[ \"$sum\" = {wanted} ] || exit {DAMAGED}\n\
         chmod {mode} \"$t\" && mv -f \"$t\" \"$f\" || exit 1\n"
    )
}

/// The SHA-256 of what will be sent.
async fn sum_of(content: &Stdin) -> Result<String, SshError> {
    let sum = match content {
        Stdin::Empty => digest(&SHA256, b""),
        Stdin::Bytes(bytes) => digest(&SHA256, bytes),
        Stdin::File(path) => {
            let unreadable = |error: std::io::Error| SshError::Local {
                why: format!("{}: {error}", path.display()),
            };
            let mut file = tokio::fs::File::open(path).await.map_err(unreadable)?;
            let mut context = Context::new(&SHA256);
            let mut piece = vec![0; PIECE];
            loop {
                let read = file.read(&mut piece).await.map_err(unreadable)?;
                if read == 0 {
                    break;
                }
                context.update(&piece[..read]);
            }
            context.finish()
        }
    };
    Ok(HEXLOWER.encode(sum.as_ref()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command as Process, Stdio};

    use super::*;
    use crate::ErrorClass;

    fn run(script: &str, input: &[u8]) -> i32 {
        let mut child = Process::new("/bin/sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let _ = child.stdin.take().expect("its input").write_all(input);
        child.wait().expect("it ends").code().expect("a code")
    }

    #[tokio::test]
    async fn what_arrives_whole_is_placed_and_what_does_not_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("sub dir/it's a file");
        let upload = Upload::bytes(&b"content"[..], place.to_str().expect("text"), 0o640);
        let wanted = sum_of(&upload.content).await.expect("bytes");
        let script = place_script(&upload, &wanted);

        assert_eq!(run(&script, b"conte"), 72, "cut off");
        assert!(!place.exists());
        assert_eq!(run(&script, b"content"), 0);

        assert_eq!(std::fs::read(&place).expect("placed"), b"content");
        let mode = std::fs::metadata(&place).expect("placed").permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let left = std::fs::read_dir(place.parent().expect("a folder"))
            .expect("readable")
            .count();
        assert_eq!(left, 1, "nothing else is left there");
    }

    #[test]
    fn failures_of_a_placement_are_the_hosts() {
        let failed = Upload::bytes(&b""[..], "/x", 0o600).failed("no space");
        assert_eq!(failed.class(), ErrorClass::Remote);
    }
}
