//! A private key in a file: what it is without its passphrase, and the key itself once it is needed.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::{Certificate, PrivateKey, PublicKey, decode_secret_key};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::{Identities, Question};
use crate::SshError;

/// A file that is larger is no key.
const LARGEST: u64 = 1024 * 1024;
/// How often a passphrase is asked for, as OpenSSH does.
const ASKED: u32 = 3;

/// A key file, read once.
#[derive(Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
    /// The public half, from the file itself or from the one beside it.
    pub(crate) public: Option<PublicKey>,
    /// A certificate for it, from `FILE-cert.pub`.
    pub(crate) certificate: Option<Certificate>,
    key: OnceCell<Result<Arc<PrivateKey>, SshError>>,
}

/// What a file held.
enum Content {
    Key(Box<PrivateKey>),
    /// It wants a passphrase.
    Locked(Zeroizing<String>),
}

impl KeyFile {
    /// Looks at a file without asking anybody. What is wrong with it shows when it is used.
    pub(super) fn at(path: &Path) -> Self {
        let beside = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            std::fs::read_to_string(PathBuf::from(name)).ok()
        };
        let inside = || {
            let text = read(path).ok()?;
            let key = PrivateKey::from_openssh(text.as_bytes()).ok()?;
            Some(key.public_key().clone())
        };
        let public = inside().or_else(|| PublicKey::from_openssh(beside(".pub")?.trim()).ok());
        let certificate = beside("-cert.pub")
            .and_then(|text| Certificate::from_openssh(text.trim()).ok())
            // One for another key would only cost an attempt.
            .filter(|certificate| {
                public
                    .as_ref()
                    .is_none_or(|public| public.key_data() == certificate.public_key())
            });
        Self {
            path: path.to_owned(),
            public,
            certificate,
            key: OnceCell::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The key; the passphrase is asked for once, for whoever comes first.
    pub(crate) async fn key(&self, identities: &Identities) -> Result<Arc<PrivateKey>, SshError> {
        self.key
            .get_or_init(|| async { self.unlock(identities).await.map(Arc::new) })
            .await
            .clone()
    }

    async fn unlock(&self, identities: &Identities) -> Result<PrivateKey, SshError> {
        let text = match self.content()? {
            Content::Key(key) => return Ok(*key),
            Content::Locked(text) => text,
        };
        for wrong in 0..ASKED {
            let question = Question::Passphrase {
                file: self.path.clone(),
                wrong,
            };
            let Some(answer) = identities.ask(question).await else {
                return Err(self.unusable("it is locked by a passphrase, and nobody answered what it is"));
            };
            let text = text.clone();
            // Made slow on purpose.
            let opened =
                tokio::task::spawn_blocking(move || decode_secret_key(&text, Some(answer.reveal())).ok())
                    .await;
            if let Ok(Some(key)) = opened {
                return Ok(key);
            }
        }
        Err(self.unusable("the passphrase was wrong"))
    }

    fn content(&self) -> Result<Content, SshError> {
        let text = read(&self.path).map_err(|error| self.unusable(&error.to_string()))?;
        if !text.contains("-----BEGIN ") {
            return Err(self.unusable("it is not a private key"));
        }
        match decode_secret_key(&text, None) {
            Ok(key) => Ok(Content::Key(Box::new(key))),
            Err(_) if locked(&text) => Ok(Content::Locked(text)),
            Err(error) => Err(self.unusable(&format!(
                "its format is not understood ({error}); `ssh-keygen -p -f FILE` writes it anew"
            ))),
        }
    }

    fn unusable(&self, why: &str) -> SshError {
        SshError::Key {
            file: self.path.clone(),
            why: why.to_owned(),
        }
    }
}

/// Whether a key wants a passphrase, by what its format says about itself.
fn locked(text: &str) -> bool {
    text.contains("BEGIN ENCRYPTED PRIVATE KEY")
        || text.contains("Proc-Type: 4,ENCRYPTED")
        || PrivateKey::from_openssh(text.as_bytes()).is_ok_and(|key| key.is_encrypted())
}

/// Reads a key file, which nobody else may read.
fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() > LARGEST {
        return Err(io::Error::other("it is too large for a private key"));
    }
    // As ssh: of keys that are one's own only. One that root wrote for others is theirs to judge.
    let mine = metadata.uid() == rustix::process::geteuid().as_raw();
    if mine && metadata.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!(
            "others may read it (mode {:04o}); `chmod 600` it",
            metadata.mode() & 0o7777
        )));
    }
    let mut text = Zeroizing::new(String::with_capacity(
        usize::try_from(metadata.len()).unwrap_or_default() + 1,
    ));
    file.by_ref().take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Mutex;

    use super::*;
    use crate::identities::{Ask, Passphrase};

    /// Answers from a list, and counts.
    struct Person {
        answers: Mutex<Vec<&'static str>>,
        asked: Mutex<Vec<Question>>,
    }

    impl Ask for Person {
        fn ask(&self, question: &Question) -> Option<Passphrase> {
            self.asked.lock().expect("not poisoned").push(question.clone());
            let mut answers = self.answers.lock().expect("not poisoned");
            (!answers.is_empty()).then(|| Passphrase::new(answers.remove(0).to_owned()))
        }
    }

    fn person(answers: &[&'static str]) -> Arc<Person> {
        Arc::new(Person {
            answers: Mutex::new(answers.to_vec()),
            asked: Mutex::default(),
        })
    }

    /// A key as it lies in a home folder: nobody else may read it.
    fn place(folder: &Path, name: &str) -> PathBuf {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/files")
            .join(name);
        let to = folder.join(name);
        std::fs::copy(&from, &to).expect("copied");
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).expect("mode");
        to
    }

    fn public(name: &str) -> PublicKey {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/files")
            .join(format!("{name}.pub"));
        PublicKey::from_openssh(&std::fs::read_to_string(from).expect("readable")).expect("a key")
    }

    #[tokio::test]
    async fn keys_in_every_format_of_ssh_keygen_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [
            "id_ed25519",
            "id_rsa_pkcs1",
            "id_ecdsa_pkcs8",
            "id_ecdsa_sec1",
            "id_ed25519_locked",
            "id_rsa_pkcs1_locked",
            "id_ecdsa_pkcs8_locked",
        ] {
            let person = person(&["open sesame"]);
            let identities = Identities::new(person.clone());
            let file = KeyFile::at(&place(folder.path(), name));
            let key = file
                .key(&identities)
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(key.public_key().key_data(), public(name).key_data(), "{name}");
            let asked = usize::from(name.ends_with("locked"));
            assert_eq!(person.asked.lock().expect("not poisoned").len(), asked, "{name}");
        }
    }

    #[tokio::test]
    async fn a_passphrase_is_asked_for_once_for_all_hosts_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let person = person(&["wrong", "open sesame"]);
        let path = place(folder.path(), "id_ed25519_locked");
        let identities = Arc::new(Identities::new(person.clone()));
        let mut hosts = Vec::new();
        for _ in 0..20 {
            let (identities, path) = (Arc::clone(&identities), path.clone());
            hosts.push(tokio::spawn(async move {
                let file = identities.keys_of(&[path]).remove(0);
                assert!(file.public.is_some(), "known before it is unlocked");
                file.key(&identities).await.is_ok()
            }));
        }
        for host in hosts {
            assert!(host.await.expect("no panic"));
        }
        let asked = person.asked.lock().expect("not poisoned").clone();
        let wrong: Vec<u32> = asked
            .iter()
            .map(|question| match question {
                Question::Passphrase { wrong, .. } => *wrong,
                other => panic!("asked {other:?}"),
            })
            .collect();
        assert_eq!(wrong, [0, 1]);
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_used_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = place(folder.path(), "id_ed25519");
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).expect("mode");
        let rubbish = folder.path().join("rubbish");
        std::fs::write(&rubbish, "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n").expect("written");
        std::fs::set_permissions(&rubbish, std::fs::Permissions::from_mode(0o600)).expect("mode");
        let locked = place(folder.path(), "id_rsa_pkcs1_locked");

        for (path, why) in [
            (folder.path().join("none"), "No such file"),
            (open, "others may read it"),
            (rubbish, "format is not understood"),
            (locked, "nobody answered"),
        ] {
            let identities = Identities::new(person(&[]));
            let error = KeyFile::at(&path).key(&identities).await.expect_err("unusable");
            assert!(error.to_string().contains(why), "{error} says {why}");
        }
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", Passphrase::new("abc".to_owned())), "(hidden)");
    }
}
