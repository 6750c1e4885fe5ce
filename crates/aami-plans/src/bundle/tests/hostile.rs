//! Archives that ask for what must never happen. Whatever they say, nothing outside the new folder is written, and
//! that folder appears only when all of it was right.

use proptest::prelude::*;
use tar::EntryType;

use super::*;

/// The pieces with another header for the entry at `number`.
fn with_header(number: usize, header: Vec<u8>) -> Vec<Piece> {
    let mut all = pieces();
    all[number].0 = header;
    all
}

#[test]
fn whatever_is_no_plain_file_of_the_manifest_is_refused_and_named() {
    let bench = Bench::new(Form::Zstd);
    let empty = |path: &str, kind, link: &str| header(path, kind, 0, link);
    for (header, named, said) in [
        (
            empty("amd64/aami", EntryType::Symlink, "/etc/passwd"),
            "amd64/aami",
            "symbolic link",
        ),
        (
            empty("amd64/aami", EntryType::Link, "manifest.json"),
            "amd64/aami",
            "hard link",
        ),
        (
            empty("amd64", EntryType::Symlink, "/etc"),
            "amd64",
            "symbolic link",
        ),
        (empty("amd64/", EntryType::Directory, ""), "amd64/", "a folder"),
        (empty("amd64/aami", EntryType::Char, ""), "amd64/aami", "a device"),
        (
            empty("amd64/aami", EntryType::Block, ""),
            "amd64/aami",
            "a device",
        ),
        (empty("amd64/aami", EntryType::Fifo, ""), "amd64/aami", "a pipe"),
        (
            empty("././@LongLink", EntryType::GNULongName, ""),
            "@LongLink",
            "no plain file",
        ),
        (
            empty("PaxHeader/x", EntryType::XHeader, ""),
            "PaxHeader/x",
            "no plain file",
        ),
        (
            empty("/etc/cron.d/x", EntryType::Regular, ""),
            "/etc/cron.d/x",
            "absolute",
        ),
        (
            empty("../../etc/x", EntryType::Regular, ""),
            "../../etc/x",
            "climbs out",
        ),
        (
            empty("amd64/../../x", EntryType::Regular, ""),
            "amd64/../../x",
            "climbs out",
        ),
        (
            empty("./amd64/aami", EntryType::Regular, ""),
            "./amd64/aami",
            "not written the plain way",
        ),
        (
            empty("amd64//aami", EntryType::Regular, ""),
            "amd64//aami",
            "not written the plain way",
        ),
        (
            empty("amd64/more", EntryType::Regular, ""),
            "amd64/more",
            "not in the manifest",
        ),
    ] {
        bench.put(&packed(Form::Zstd, &with_header(2, header)));
        bench.refuses("BUNDLE_REFUSED", named);
        bench.refuses("BUNDLE_REFUSED", said);
    }
}

#[test]
fn order_number_size_and_mode_are_the_manifests() {
    let bench = Bench::new(Form::Gzip);
    let good = pieces();
    let changed = |change: &dyn Fn(&mut Vec<Piece>)| {
        let mut all = good.clone();
        change(&mut all);
        packed(Form::Gzip, &all)
    };
    let twice = changed(&|all| all.insert(3, all[2].clone()));
    bench.put(&twice);
    bench.refuses("BUNDLE_REFUSED", "it stands in the archive twice");
    bench.put(&changed(&|all| all.swap(3, 4)));
    bench.refuses(
        "BUNDLE_DAMAGED",
        "amd64/aami-agent is missing: components/amd64/x.tar.gz stands in its place",
    );
    bench.put(&changed(&|all| {
        all.pop();
    }));
    bench.refuses(
        "BUNDLE_DAMAGED",
        "rules/empty.yaml is missing: the archive ends before it",
    );
    bench.put(&changed(&|all| all.push(piece("rules/z.yaml", 0o644, b""))));
    bench.refuses(
        "BUNDLE_REFUSED",
        "rules/z.yaml is not taken out of it: it is not in the manifest",
    );
    bench.put(&changed(&|all| {
        all[2].0 = header("amd64/aami", EntryType::Regular, 511, "");
    }));
    bench.refuses(
        "BUNDLE_DAMAGED",
        "amd64/aami: expected 512 bytes, the archive says 511",
    );
    bench.put(&changed(&|all| {
        all[2].0 = header("amd64/aami", EntryType::Regular, 1 << 40, "");
    }));
    bench.refuses("BUNDLE_DAMAGED", "the archive says 1099511627776");
    bench.put(&changed(&|all| {
        all[2] = piece("amd64/aami", 0o4755, &good[2].1);
    }));
    bench.refuses(
        "BUNDLE_DAMAGED",
        "amd64/aami: what the archive says about it was changed",
    );
    bench.put(&changed(&|all| all[0] = piece(MANIFEST, 0o600, &good[0].1)));
    bench.refuses("BUNDLE_DAMAGED", "manifest.json: what the archive says");
    // What lies between a content and the next block, and behind the end.
    let mut padded = good.clone();
    padded[3].1.resize(1024, 7);
    bench.put(&packed(Form::Gzip, &padded));
    bench.refuses(
        "BUNDLE_DAMAGED",
        "amd64/aami-agent: the bytes behind it were changed",
    );
    bench.put(&packed_with_end(Form::Gzip, &good, &[0; tape::BLOCK]));
    bench.refuses("BUNDLE_DAMAGED", "its end is missing");
    bench.put(&packed_with_end(Form::Gzip, &good, &[0; 3 * tape::BLOCK]));
    bench.refuses("BUNDLE_DAMAGED", "something stands in the archive after its end");
}

/// A bundle whose manifest is this text, signed.
fn signed(form: Form, text: &str) -> Vec<u8> {
    let signature = signer().sign(text.as_bytes(), "aami-bundle 0.1.0");
    let mut all = pieces();
    all[0] = piece(MANIFEST, 0o644, text.as_bytes());
    all[1] = piece(SIGNATURE, 0o644, signature.as_bytes());
    packed(form, &all)
}

#[test]
fn a_manifest_breaks_no_rule_whoever_signed_it() {
    let bench = Bench::new(Form::Zstd);
    let good = contents().manifest().text().unwrap();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from:?} is not in {good}");
        good.replacen(from, to, 1)
    };
    for (text, said) in [
        (with("\"format\": 1", "\"format\": 2"), "format 2"),
        (with("\"format\"", "\"more\": 1, \"format\""), "unknown field"),
        (with("\"amd64/aami\"", "\"../etc/passwd\""), "not a plain one"),
        (with("\"amd64/aami\"", "\"/etc/passwd\""), "not a plain one"),
        (with("\"amd64/aami\"", "\"amd64/./aami\""), "not a plain one"),
        (with("\"amd64/aami\"", "\"amd64/aa\\u0000mi\""), "not a plain one"),
        (with("\"amd64/aami\"", "\"etc/cron.d\""), "does not lie there"),
        (with("\"amd64/aami\"", "\"arm64/aami\""), "does not lie there"),
        (
            with("\"dashboards/x.json\"", "\"dashboards/x.sh\""),
            "does not lie there",
        ),
        (
            with("\"amd64/aami-agent\"", "\"amd64/aami\"").replacen("\"aami-agent\"", "\"aami\"", 1),
            "twice",
        ),
        (
            with("\"size\": 512", "\"size\": 99999999999"),
            "larger than 1 GiB",
        ),
        (with("\"size\": 512", "\"size\": -1"), "cannot be read"),
        (
            with("\"version\": \"0.1.0\"", "\"version\": \"../0.1.0\""),
            "not a plain word",
        ),
        (with("\"MIT\"", "\"MIT\\u001b[2J\""), "not a short line"),
        (
            with("\"amd64\"\n  ]", "\"arm64\"\n  ]"),
            "a processor that the bundle is not for",
        ),
        ("[]".to_owned(), "cannot be read"),
        ("{".to_owned(), "cannot be read"),
    ] {
        bench.put(&signed(Form::Zstd, &text));
        bench.refuses("NOT_A_BUNDLE", said);
    }
}

#[test]
fn a_file_that_would_become_far_more_than_it_is_is_refused_before_it_is_unpacked() {
    let bench = Bench::new(Form::Zstd);
    let good = contents().manifest().text().unwrap();
    let text = good.replacen("\"size\": 512", "\"size\": 1000000000", 1);
    bench.put(&signed(Form::Zstd, &text));
    bench.refuses("BUNDLE_REFUSED", "more than 200 times as many");
    // A head that never ends is not read for long.
    let mut packer = Packer::new(Form::Zstd, Vec::new()).unwrap();
    packer
        .write_all(&header(MANIFEST, EntryType::Regular, 1 << 33, ""))
        .unwrap();
    for _ in 0..64 {
        packer.write_all(&[b' '; 1 << 20]).unwrap();
    }
    bench.put(&packer.finish().unwrap());
    bench.refuses("NOT_A_BUNDLE", "its manifest is larger than 1 MiB");
}

/// What a hostile hand does to one header.
#[derive(Debug, Clone)]
enum Twist {
    Path(String),
    Kind(u8),
    Size(u64),
    Link(String),
    Byte(usize, u8),
}

fn twist() -> impl Strategy<Value = Twist> {
    let path = prop_oneof![
        "[a-z./]{1,40}",
        "(\\.\\./){1,6}[a-z]{1,8}",
        "/[a-z]{1,8}/[a-z]{1,8}",
        "(amd64|rules|components)/(\\.\\./)*[a-z.]{1,10}",
    ];
    prop_oneof![
        path.clone().prop_map(Twist::Path),
        any::<u8>().prop_map(Twist::Kind),
        prop_oneof![0_u64..2000, any::<u64>()].prop_map(Twist::Size),
        path.prop_map(Twist::Link),
        (0_usize..512, any::<u8>()).prop_map(|(at, byte)| Twist::Byte(at, byte)),
    ]
}

fn twisted(block: &[u8], twists: &[Twist], mends: bool) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes().copy_from_slice(block);
    for twist in twists {
        match twist {
            Twist::Path(path) => {
                header.as_mut_bytes()[..100].fill(0);
                let length = path.len().min(100);
                header.as_mut_bytes()[..length].copy_from_slice(&path.as_bytes()[..length]);
            }
            Twist::Kind(kind) => header.as_mut_bytes()[156] = *kind,
            Twist::Size(size) => header.set_size(*size),
            Twist::Link(link) => {
                header.as_mut_bytes()[157..257].fill(0);
                header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
            }
            Twist::Byte(at, byte) => header.as_mut_bytes()[*at] = *byte,
        }
    }
    if mends {
        header.set_cksum();
    }
    header.as_bytes().to_vec()
}

/// A place in which everything but the bundle can be seen: the folder it goes to, and neighbours it must not touch.
fn look_around(root: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    tree(root)
        .into_iter()
        .filter(|name| name != "bundle")
        .map(|name| {
            let bytes = fs::read(root.join(&name)).ok();
            (name, bytes)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_outside_is_ever_written(
        twists in proptest::collection::vec((0_usize..9, proptest::collection::vec(twist(), 1..4)), 1..4),
        order in proptest::collection::vec((0_usize..9, 0_usize..9), 0..3),
        mends in any::<bool>(),
        zstd in any::<bool>(),
        believes in any::<bool>(),
    ) {
        // Given an archive in which headers say anything, some things swapped, and neighbours of the new folder,
        let bench = Bench::new(Form::Zstd);
        let mut all = pieces();
        for (number, twists) in &twists {
            let block = all[*number].0.clone();
            all[*number].0 = twisted(&block, twists, mends);
        }
        for (one, other) in &order {
            all.swap(*one, *other);
        }
        let is_good = all == pieces();
        bench.put(&packed(if zstd { Form::Zstd } else { Form::Gzip }, &all));
        fs::create_dir_all(bench.at("neighbour/amd64")).unwrap();
        fs::write(bench.at("neighbour/amd64/aami"), "mine").unwrap();
        fs::write(bench.at("amd64"), "mine, too").unwrap();
        let before = look_around(bench.folder.path());
        // when it is placed, whoever is believed,
        let trust = if believes { Trust::Unsigned } else { trust() };
        let placed = Bundle::open(&bench.bundle, &trust)
            .and_then(|bundle| bundle.place(&bench.at("placed"), Arch::Amd64, &mut quiet));
        // then it is the good one, or nothing changed.
        match placed {
            Ok(_) => prop_assert!(is_good, "taken: {:?}", twists),
            Err(error) => {
                prop_assert!(!is_good, "{error}");
                prop_assert_eq!(error.code().exit.number(), 10, "{}", error);
                prop_assert_eq!(look_around(bench.folder.path()), before);
            }
        }
    }

    #[test]
    fn no_bytes_break_it(
        start in prop_oneof![
            Just(vec![0x28, 0xb5, 0x2f, 0xfd]),
            Just(vec![0x1f, 0x8b, 8]),
            Just(Vec::new()),
        ],
        noise in proptest::collection::vec(any::<u8>(), 0..3000),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        mangles in any::<bool>(),
    ) {
        let bench = Bench::new(Form::Zstd);
        let good = bench.bytes();
        let mut bytes = if mangles { good.clone() } else { [start, noise].concat() };
        for (at, byte) in &flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
        }
        bench.put(&bytes);
        let read = bench.place();
        prop_assert_eq!(read.is_ok(), bytes == good);
        if read.is_err() {
            prop_assert_eq!(bench.names(), vec!["bundle".to_owned()]);
        }
    }
}
