//! Whose bundle it is, and every way in which it may not be the one that was made.

use super::*;
use crate::components::Sha256Sum;

#[test]
fn only_a_key_that_is_believed_signs() {
    let bench = Bench::new(Form::Zstd);
    let stranger = Signer::new([3; 8], &[4; 32]).public_key().unwrap();
    let open = |trust: Trust| Bundle::open(&bench.bundle, &trust).map(|bundle| bundle.is_signed());
    assert!(matches!(
        open(Trust::Signed(Vec::new())),
        Err(BundleError::NoKey(_))
    ));
    let error = open(Trust::Signed(vec![stranger.clone()])).unwrap_err();
    assert!(error.to_string().contains("made by another key"), "{error}");
    assert_eq!(error.code().symbol, "BUNDLE_SIGNATURE_INVALID");
    let both = vec![stranger, signer().public_key().unwrap()];
    assert!(open(Trust::Signed(both)).unwrap());
    assert!(!open(Trust::Unsigned).unwrap());

    let unsigned = Bench::with(Form::Zstd, None);
    unsigned.refuses("BUNDLE_UNSIGNED", "is not signed");
    let opened = Bundle::open(&unsigned.bundle, &Trust::Unsigned).unwrap();
    assert!(opened.verify(&mut quiet).is_ok());
}

#[test]
fn a_signature_of_something_else_signs_no_bundle() {
    let bench = Bench::new(Form::Zstd);
    let text = pieces()[0].1.clone();
    for (comment, said) in [
        ("aami 0.1.0", "signature of something else"),
        ("aami-bundle 0.2.0", "signature of something else"),
    ] {
        let mut all = pieces();
        let signature = signer().sign(&text, comment);
        all[1] = piece(SIGNATURE, 0o644, signature.as_bytes());
        bench.put(&packed(Form::Zstd, &all));
        bench.refuses("BUNDLE_SIGNATURE_INVALID", said);
    }
    for (signature, said) in [
        (b"nonsense".to_vec(), "it is not a signature"),
        (vec![0xff; 100], "it is not a signature"),
        (
            signer()
                .sign(b"another manifest", "aami-bundle 0.1.0")
                .into_bytes(),
            "changed after it was signed",
        ),
    ] {
        let mut all = pieces();
        all[1] = piece(SIGNATURE, 0o644, &signature);
        bench.put(&packed(Form::Zstd, &all));
        bench.refuses("BUNDLE_SIGNATURE_INVALID", said);
    }
}

/// Verifies a bundle, and places one in sixty-four as well, which costs more.
fn is_caught(bench: &Bench, trust: &Trust, number: usize) -> BundleError {
    let open = || Bundle::open(&bench.bundle, trust);
    let verified = open().and_then(|bundle| bundle.verify(&mut quiet));
    let error = verified.expect_err("it is not the one that was made");
    assert_eq!(error.code().exit.number(), 10, "{error}");
    if number.is_multiple_of(64) {
        let placed = open().and_then(|bundle| bundle.place(&bench.at("placed"), Arch::Amd64, &mut quiet));
        let same = placed.expect_err("it is not the one that was made");
        assert_eq!(same.to_string(), error.to_string());
        assert_eq!(bench.names(), ["bundle"]);
    }
    error
}

#[test]
fn every_flipped_bit_is_caught() {
    for form in [Form::Zstd, Form::Gzip] {
        for trust in [trust(), Trust::Unsigned] {
            let bench = Bench::new(form);
            let good = bench.bytes();
            // The file has some thousand bytes; of every byte one bit is flipped, each bit in its turn. Once: what is
            // looked at in the other forms is the same.
            let step = if form == Form::Zstd && matches!(trust, Trust::Unsigned) {
                1
            } else {
                7
            };
            for at in (0..good.len()).step_by(step) {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << (at % 8);
                bench.put(&bytes);
                is_caught(&bench, &trust, at);
            }
        }
    }
}

#[test]
fn every_cut_and_everything_appended_is_caught() {
    for form in [Form::Zstd, Form::Gzip] {
        let bench = Bench::new(form);
        let good = bench.bytes();
        let step = if form == Form::Zstd { 1 } else { 7 };
        for length in (0..good.len()).step_by(step) {
            bench.put(&good[..length]);
            is_caught(&bench, &trust(), length);
        }
        for more in [b"x".as_slice(), &[0; 512], &good] {
            bench.put(&[&good, more].concat());
            let error = is_caught(&bench, &trust(), 0);
            assert!(error.to_string().contains("bytes stand after its end"), "{error}");
            assert_eq!(error.code().symbol, "BUNDLE_DAMAGED");
        }
    }
}

#[test]
fn all_entries_that_were_changed_are_named_with_what_they_should_be() {
    let bench = Bench::new(Form::Zstd);
    let mut all = pieces();
    let mut expected = Vec::new();
    for number in [2, 4] {
        let before = crate::bundle::create::Item::bytes(
            about("install.sh", Kind::Script, None),
            all[number].1.clone(),
        );
        all[number].1[7] ^= 0x20;
        let after = crate::bundle::create::Item::bytes(
            about("install.sh", Kind::Script, None),
            all[number].1.clone(),
        );
        expected.push((before.entry.sha256, after.entry.sha256));
    }
    bench.put(&packed(Form::Zstd, &all));
    let error = bench.verify().unwrap_err().to_string();
    let said = |name: &str, (before, after): &(Sha256Sum, Sha256Sum)| {
        format!("{name} was changed: expected SHA-256 {before}, got {after}")
    };
    assert!(error.contains(&said("amd64/aami", &expected[0])), "{error}");
    assert!(
        error.contains(&said("components/amd64/x.tar.gz", &expected[1])),
        "{error}"
    );
    bench.refuses("BUNDLE_DAMAGED", "amd64/aami was changed");
}

#[test]
fn a_folder_is_judged_as_a_file_is() {
    let bench = Bench::new(Form::Zstd);
    let placed = bench.place().unwrap();
    let verify = || Bundle::open(placed.root(), &trust()).and_then(|bundle| bundle.verify(&mut quiet));
    verify().unwrap();
    let agent = placed.agent(Arch::Amd64).unwrap();
    let good = fs::read(&agent).unwrap();
    let mut changed = good.clone();
    changed[3] ^= 1;
    let refuses = |said: &str| {
        let error = verify().expect_err(said);
        assert!(error.to_string().contains(said), "{said}: {error}");
        assert_eq!(error.code().symbol, "BUNDLE_DAMAGED", "{error}");
    };

    fs::write(&agent, &changed).unwrap();
    refuses("amd64/aami-agent was changed: expected SHA-256");
    fs::write(&agent, &good[1..]).unwrap();
    refuses("amd64/aami-agent: expected 700 bytes, got 699");
    fs::remove_file(&agent).unwrap();
    refuses("amd64/aami-agent is missing");
    // A link to the right content may lead elsewhere a moment later.
    fs::write(bench.at("elsewhere"), &good).unwrap();
    std::os::unix::fs::symlink(bench.at("elsewhere"), &agent).unwrap();
    refuses("amd64/aami-agent is missing");
    fs::remove_file(&agent).unwrap();
    fs::create_dir(&agent).unwrap();
    refuses("amd64/aami-agent is missing");
    fs::remove_dir(&agent).unwrap();
    fs::write(&agent, &good).unwrap();
    verify().unwrap();
    fs::write(placed.root().join("rules/more.yaml"), "").unwrap();
    fs::create_dir_all(placed.root().join("a/b")).unwrap();
    fs::write(placed.root().join("a/b/c"), "").unwrap();
    refuses("rules/more.yaml is not in the manifest");
    refuses("a/b/c is not in the manifest");

    // And so is its manifest.
    let text = fs::read_to_string(placed.root().join(MANIFEST)).unwrap();
    fs::write(placed.root().join(MANIFEST), text.replace("MIT", "GPL")).unwrap();
    let error = verify().unwrap_err();
    assert_eq!(error.code().symbol, "BUNDLE_SIGNATURE_INVALID", "{error}");
    fs::remove_file(placed.root().join(MANIFEST)).unwrap();
    assert_eq!(verify().unwrap_err().code().symbol, "NOT_A_BUNDLE");
}

#[test]
fn what_is_no_bundle_is_called_that() {
    let bench = Bench::new(Form::Zstd);
    for (bytes, said) in [
        (Vec::new(), "neither zstd nor gzip"),
        (
            b"<!doctype html><title>Sign in</title>".to_vec(),
            "neither zstd nor gzip",
        ),
        (
            packed(Form::Gzip, &[piece("README", 0o644, b"x")]),
            "its manifest is not what it begins with",
        ),
        (packed(Form::Zstd, &[]), "its manifest is not what it begins with"),
    ] {
        bench.put(&bytes);
        bench.refuses("NOT_A_BUNDLE", said);
    }
    let missing = Bundle::open(&bench.at("missing"), &trust())
        .map(|_| ())
        .unwrap_err();
    assert_eq!(missing.code().symbol, "BUNDLE_UNREADABLE");
    let device = Bundle::open(Path::new("/dev/zero"), &trust())
        .map(|_| ())
        .unwrap_err();
    assert_eq!(device.code().symbol, "NOT_A_BUNDLE", "{device}");
    let empty = Bundle::open(bench.folder.path(), &trust())
        .map(|_| ())
        .unwrap_err();
    assert!(empty.to_string().contains("has no manifest.json"), "{empty}");
}
