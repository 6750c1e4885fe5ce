//! Making, reading and placing good bundles.

use super::*;
use crate::bundle::create::Made;

#[test]
fn the_same_contents_make_the_same_bytes() {
    for form in [Form::Zstd, Form::Gzip] {
        let (one, other) = (Bench::new(form), Bench::new(form));
        assert_eq!(one.bytes(), other.bytes(), "{form:?}");
        assert_eq!(
            one.bytes(),
            packed(form, &pieces()),
            "{form:?}: manifest first, then in its order"
        );
        let unsigned = Bench::with(form, None);
        assert_ne!(one.bytes(), unsigned.bytes());
        assert_eq!(one.names(), ["bundle"]);
    }
}

#[test]
fn a_time_that_is_said_is_told_and_changes_nothing_else() {
    let created: aami_model::Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.tar.zst");
    let made: Made = Contents::new("0.1.0", Some(created), [Arch::Amd64].into(), items())
        .unwrap()
        .write(&path, Form::Zstd, None, &mut quiet)
        .unwrap();
    assert_eq!(made.manifest.created, Some(created));
    assert_eq!(made.manifest.entries, contents().manifest().entries);
    assert_eq!(
        (made.size, made.sha256),
        (
            path.metadata().unwrap().len(),
            crate::download::sum_of(&path).unwrap()
        )
    );
    let opened = Bundle::open(&path, &Trust::Unsigned).unwrap();
    assert_eq!(opened.verify(&mut quiet).unwrap(), made.manifest);
}

#[test]
fn any_tool_reads_it() {
    // The seal behind the archive is nothing to a decompressor.
    let zstd = zstd::decode_all(Bench::new(Form::Zstd).bytes().as_slice()).unwrap();
    let mut gzip = Vec::new();
    let bytes = Bench::new(Form::Gzip).bytes();
    io::Read::read_to_end(
        &mut flate2::read::MultiGzDecoder::new(bytes.as_slice()),
        &mut gzip,
    )
    .unwrap();
    assert_eq!(zstd, gzip, "one archive in either");
    let names: Vec<String> = tar::Archive::new(zstd.as_slice())
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(
        names,
        [
            "manifest.json",
            "manifest.json.minisig",
            "amd64/aami",
            "amd64/aami-agent",
            "components/amd64/x.tar.gz",
            "components/components.toml",
            "dashboards/x.json",
            "install.sh",
            "rules/empty.yaml",
        ]
    );
}

#[test]
fn what_is_placed_is_what_went_in_and_is_a_bundle_again() {
    for form in [Form::Zstd, Form::Gzip] {
        let bench = Bench::new(form);
        let placed = bench.place().unwrap();
        assert_eq!(bench.names(), ["bundle", "placed"]);
        for item in items() {
            let path = placed.root().join(&item.entry.path);
            assert_eq!(fs::read(&path).unwrap(), bytes_of(&item), "{}", item.entry.path);
            let mode = path.metadata().unwrap().permissions().mode() & 0o111;
            assert_eq!(mode != 0, item.entry.mode() == 0o755, "{}", item.entry.path);
        }
        assert_eq!(
            placed.agent(Arch::Amd64),
            Some(bench.at("placed/amd64/aami-agent"))
        );
        assert_eq!(
            placed.agents(),
            [(Arch::Amd64, bench.at("placed/amd64/aami-agent"))]
        );
        assert_eq!(placed.program(Arch::Amd64), Some(bench.at("placed/amd64/aami")));
        assert_eq!(placed.program(Arch::Arm64), None);
        assert!(placed.components().join("components.toml").is_file());
        assert!(placed.dashboards().join("x.json").is_file());
        assert!(placed.rules().join("empty.yaml").is_file());

        // The folder is one, too, and can be placed elsewhere.
        let again = Bundle::open(placed.root(), &trust()).unwrap();
        assert!(again.is_signed());
        let again = again.place(&bench.at("again"), Arch::Amd64, &mut quiet).unwrap();
        assert_eq!(again.manifest(), placed.manifest());
        assert_eq!(tree(again.root()), tree(placed.root()));
    }
}

#[test]
fn what_is_there_is_never_written_over() {
    let bench = Bench::new(Form::Zstd);
    for make in [
        |path: &Path| fs::create_dir(path),
        |path: &Path| fs::write(path, "mine"),
        |path: &Path| std::os::unix::fs::symlink("/nowhere", path),
    ] {
        make(&bench.at("placed")).unwrap();
        let error = bench.place().unwrap_err();
        assert_eq!(error.code().symbol, "BUNDLE_OCCUPIED", "{error}");
        assert_eq!(bench.names(), ["bundle", "placed"]);
        fs::remove_dir(bench.at("placed"))
            .or_else(|_| fs::remove_file(bench.at("placed")))
            .unwrap();
    }
}

#[test]
fn another_processor_is_told_in_one_sentence_what_there_is() {
    let bench = Bench::new(Form::Zstd);
    let bundle = Bundle::open(&bench.bundle, &trust()).unwrap();
    let error = bundle
        .place(&bench.at("placed"), Arch::Arm64, &mut quiet)
        .unwrap_err();
    let said = format!(
        "{} has nothing for arm64: it is for amd64",
        bench.bundle.display()
    );
    assert_eq!(error.to_string(), said);
    assert_eq!(error.code().symbol, "BUNDLE_OTHER_ARCH");
    assert_eq!(bench.names(), ["bundle"]);
}

#[test]
fn inspecting_reads_the_head_and_nothing_else() {
    let bench = Bench::new(Form::Zstd);
    let whole = super::super::inspect(&bench.bundle).unwrap();
    assert!(whole.has_signature);
    assert_eq!(whole.manifest, *contents().manifest());
    // Of a bundle whose end is missing as well.
    let mut packer = Packer::new(Form::Gzip, Vec::new()).unwrap();
    for (header, bytes) in pieces().iter().take(3) {
        packer.write_all(header).unwrap();
        packer.write_all(bytes).unwrap();
        let padding = tape::padding(bytes.len() as u64);
        packer.write_all(&[0; tape::BLOCK][..padding]).unwrap();
    }
    bench.put(&packer.finish().unwrap());
    assert_eq!(super::super::inspect(&bench.bundle).unwrap(), whole);
    bench.refuses("BUNDLE_DAMAGED", "amd64/aami-agent is missing");
}

#[test]
fn whoever_watches_may_call_it_off() {
    let bench = Bench::new(Form::Zstd);
    for after in 0..12 {
        let mut left = after;
        let mut told = |_: &Entry, done: u64, all: u64| {
            assert!(done <= all, "{done} of {all}");
            if left == 0 {
                return ControlFlow::Break(());
            }
            left -= 1;
            ControlFlow::Continue(())
        };
        let bundle = Bundle::open(&bench.bundle, &trust()).unwrap();
        let error = bundle
            .place(&bench.at("placed"), Arch::Amd64, &mut told)
            .unwrap_err();
        assert_eq!(error.code().symbol, "INTERRUPTED");
        assert_eq!(bench.names(), ["bundle"]);
        let mut stop = |_: &Entry, _: u64, _: u64| ControlFlow::Break(());
        let error = contents()
            .write(&bench.at("new"), Form::Gzip, None, &mut stop)
            .unwrap_err();
        assert_eq!(error.code().symbol, "INTERRUPTED");
        assert_eq!(bench.names(), ["bundle"]);
    }
}

#[test]
fn a_file_that_changes_while_it_is_packed_spoils_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("aami");
    for later in [b"short".as_slice(), b"longer than before", b"other!"] {
        fs::write(&file, "before").unwrap();
        let item = Item::file(about("amd64/aami", Kind::Program, Some(Arch::Amd64)), &file).unwrap();
        let contents = Contents::new("0.1.0", None, [Arch::Amd64].into(), vec![item]).unwrap();
        fs::write(&file, later).unwrap();
        let into = folder.path().join("b.tar.zst");
        let error = contents.write(&into, Form::Zstd, None, &mut quiet).unwrap_err();
        assert!(error.to_string().contains("was changed while"), "{error}");
        assert_eq!(tree(folder.path()), ["aami"]);
    }
}

#[test]
fn a_name_asks_for_a_form() {
    for (name, form) in [
        ("a.tar.zst", Some(Form::Zstd)),
        ("a.tzst", Some(Form::Zstd)),
        ("x/a.tar.gz", Some(Form::Gzip)),
        ("a.tgz", Some(Form::Gzip)),
        ("a.zip", None),
        (".tar.gz", None),
        ("a.tar", None),
    ] {
        assert_eq!(Form::of_name(Path::new(name)), form, "{name}");
    }
}
