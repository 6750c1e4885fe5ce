//! Folders that are whole, and every way in which they are not.

use std::path::Path;

use minisign::KeyPair;

use super::*;

/// Who signs here.
struct Signer(KeyPair);

impl Signer {
    fn new() -> Self {
        Self(KeyPair::generate_unencrypted_keypair().unwrap())
    }

    fn key(&self) -> PublicKey {
        PublicKey::read(&self.0.pk.to_base64()).unwrap()
    }

    fn sign(&self, folder: &Path, comment: &str) {
        let list = fs::read(folder.join(SUMS)).unwrap();
        let signature = minisign::sign(None, &self.0.sk, list.as_slice(), Some(comment), None).unwrap();
        fs::write(folder.join(SIGNATURE), signature.to_string()).unwrap();
    }
}

const FILES: [(&str, &str); 3] = [
    ("install.sh", "#!/bin/sh\n"),
    ("amd64/aami", "a program"),
    ("components/components.toml", "format = 1\n"),
];

fn release(signer: &Signer) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut sums = Sums::default();
    for (name, content) in FILES {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        assert!(sums.add(name, Sha256Sum(Sha256::digest(content).into())));
    }
    fs::write(folder.path().join(SUMS), sums.to_string()).unwrap();
    signer.sign(folder.path(), &signed_comment("1.2.3"));
    folder
}

fn judged(folder: &Path, key: &PublicKey) -> Result<Release, ReleaseError> {
    let demand = Demand {
        key,
        version: Some("1.2.3"),
        partial: false,
    };
    verify(folder, demand)
}

#[test]
fn a_whole_folder_is_a_release() {
    let signer = Signer::new();
    let folder = release(&signer);
    let found = judged(folder.path(), &signer.key()).unwrap();
    assert_eq!(found.version(), "1.2.3");
    assert_eq!(found.files().count(), FILES.len());
    let (path, sum) = found.file("amd64/aami").unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), "a program");
    assert_eq!(sum, Sha256Sum(Sha256::digest("a program").into()));
    assert!(found.file("arm64/aami").is_none());
}

#[test]
fn agents_are_updated_from_the_signed_list_and_the_agents_that_are_here() {
    // Given a release with agents for two processors, of which only one was fetched,
    let signer = Signer::new();
    let folder = release(&signer);
    let mut sums = Sums::read(&fs::read_to_string(folder.path().join(SUMS)).unwrap()).unwrap();
    let sum = |text: &str| Sha256Sum(Sha256::digest(text).into());
    for (name, text) in [("amd64/aami-agent", "an agent"), ("arm64/aami-agent", "another")] {
        assert!(sums.add(name, sum(text)));
    }
    fs::write(folder.path().join(SUMS), sums.to_string()).unwrap();
    fs::write(folder.path().join("amd64/aami-agent"), "an agent").unwrap();
    signer.sign(folder.path(), &signed_comment("1.2.3"));
    let key = signer.key();
    let demand = Demand {
        key: &key,
        version: None,
        partial: true,
    };
    // then that one goes with what it is judged by, and nothing else of the release.
    let files = verify(folder.path(), demand).unwrap().updates().unwrap();
    let names: Vec<&str> = files.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, [SUMS, SIGNATURE, "amd64/aami-agent"]);
    assert_eq!(files[2].2, sum("an agent"));
    assert_eq!(files[2].1, folder.path().join("amd64/aami-agent"));
}

#[test]
fn one_flipped_bit_anywhere_is_caught_and_the_file_is_named() {
    let signer = Signer::new();
    for name in FILES.map(|(name, _)| name).into_iter().chain([SUMS, SIGNATURE]) {
        let folder = release(&signer);
        let path = folder.path().join(name);
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).unwrap();
            match judged(folder.path(), &signer.key()) {
                Err(error) => assert!(error.to_string().contains(name), "{error}"),
                // What minisign calls the untrusted comment is the one part nobody signs.
                Ok(_) => assert!(name == SIGNATURE && at < 90, "byte {at} of {name}"),
            }
        }
    }
}

#[test]
fn each_way_of_being_wrong_has_its_code() {
    let signer = Signer::new();
    let with = |change: &dyn Fn(&Path)| {
        let folder = release(&signer);
        change(folder.path());
        judged(folder.path(), &signer.key()).unwrap_err()
    };
    let remove = |name: &'static str| with(&move |folder| fs::remove_file(folder.join(name)).unwrap());

    assert_eq!(remove(SUMS).code(), code::RELEASE_MISSING);
    assert_eq!(remove(SIGNATURE).code(), code::SIGNATURE_MISSING);
    let error = remove("amd64/aami");
    assert_eq!(error.code(), code::RELEASE_DAMAGED);
    assert!(error.to_string().contains("amd64/aami is missing"), "{error}");

    let error = with(&|folder| fs::write(folder.join("extra"), "x").unwrap());
    assert!(error.to_string().contains("extra is not in the list"), "{error}");
    let error = with(&|folder| {
        fs::remove_file(folder.join("install.sh")).unwrap();
        std::os::unix::fs::symlink("/bin/sh", folder.join("install.sh")).unwrap();
    });
    assert!(error.to_string().contains("install.sh is missing"), "{error}");

    let error = with(&|folder| signer.sign(folder, &signed_comment("1.2.2")));
    assert_eq!(error.code(), code::RELEASE_MISMATCH);
    assert!(
        error.to_string().contains("is release 1.2.2, not 1.2.3"),
        "{error}"
    );
    let error = with(&|folder| signer.sign(folder, "timestamp:0"));
    assert_eq!(error.code(), code::SIGNATURE_INVALID);
    let error = with(&|folder| Signer::new().sign(folder, &signed_comment("1.2.3")));
    assert!(error.to_string().contains("another key"), "{error}");
    for page in [
        "",
        "<!doctype html><html>Sign in</html>",
        "untrusted comment: x\nAAAA\n",
    ] {
        let error = with(&|folder| fs::write(folder.join(SIGNATURE), page).unwrap());
        assert_eq!(error.code(), code::SIGNATURE_INVALID, "{page:?}");
    }
}

#[test]
fn while_it_is_fetched_files_may_be_absent_and_none_may_be_wrong() {
    let signer = Signer::new();
    let folder = release(&signer);
    let key = signer.key();
    let demand = Demand {
        key: &key,
        version: None,
        partial: true,
    };
    fs::remove_file(folder.path().join("install.sh")).unwrap();
    verify(folder.path(), demand).unwrap();
    fs::write(folder.path().join("amd64/aami"), "another").unwrap();
    assert_eq!(
        verify(folder.path(), demand).unwrap_err().code(),
        code::RELEASE_DAMAGED
    );
}

#[test]
fn a_key_is_read_in_both_its_forms() {
    let signer = Signer::new();
    let boxed = signer.0.pk.to_box().unwrap().to_string();
    assert!(PublicKey::read(&boxed).is_ok());
    assert!(PublicKey::read(&format!("{}\n", signer.0.pk.to_base64())).is_ok());
    for text in ["", "RW", "nonsense\nnonsense"] {
        assert!(matches!(PublicKey::read(text), Err(ReleaseError::NotAKey)));
    }
}
