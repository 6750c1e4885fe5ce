use super::super::state::stage;
use super::*;

/// A log of the kernel's: each read gives a record.
struct Log(VecDeque<String>);

impl Log {
    /// Lines of these codes of one GPU, numbered from 0, all of a second ago.
    fn of(codes: impl IntoIterator<Item = u32>) -> Self {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let now = Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap());
        let up = now.since(began(now)).as_micros() - 1_000_000;
        let record = |(number, code): (usize, u32)| {
            format!("3,{number},{up},-;NVRM: Xid (PCI:0000:3b:00): {code}, pid=1, name=x, y\n")
        };
        Self(codes.into_iter().enumerate().map(record).collect())
    }
}

impl Read for Log {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.pop_front() {
            Some(record) => record.as_bytes().read(buffer),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// A life of the loop that keeps what it tells in memory.
struct Life {
    folder: tempfile::TempDir,
    shared: Shared,
    reader: Reader,
    kept: Vec<XidTold>,
    /// How many more the disk takes.
    room: usize,
}

impl Life {
    fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            shared: stage(folder.path()),
            folder,
            reader: Reader::default(),
            kept: Vec::new(),
            room: usize::MAX,
        }
    }

    fn turn(&mut self, follower: &mut Follower<Log>) -> bool {
        let (kept, room) = (&mut self.kept, &mut self.room);
        let mut keep = |_, what| keep(kept, room, what);
        self.reader.turn(&self.shared, follower, &mut keep).unwrap()
    }

    fn end(&mut self) {
        let (kept, room) = (&mut self.kept, &mut self.room);
        self.reader.finish();
        self.reader.tell(&mut |_, what| keep(kept, room, what));
    }

    fn lines(&self) -> u64 {
        self.kept.iter().map(|xid| xid.count).sum()
    }
}

fn keep(kept: &mut Vec<XidTold>, room: &mut usize, what: Told) -> bool {
    let Told::Xid(xid) = what else {
        panic!("an Xid is told")
    };
    if *room == 0 {
        return false;
    }
    *room -= 1;
    kept.push(xid);
    true
}

fn follower(log: Log, from: Option<&Position>) -> Follower<Log> {
    Follower::new(log, "boot-1", from)
}

#[test]
fn an_xid_is_told_with_what_it_means_and_what_to_do() {
    let mut life = Life::begin();
    assert!(life.turn(&mut follower(Log::of([79]), None)));
    let xid = &life.kept[0];
    assert_eq!((xid.code, xid.pid, xid.count), (79, Some(1), 1));
    assert_eq!(xid.severity, aami_model::finding::Severity::Critical);
    assert!(xid.pci.starts_with("0000:3b:00"), "{}", xid.pci);
    assert!(!xid.name.is_empty() && !xid.action.is_empty() && !xid.line.is_empty());
}

#[test]
fn a_burst_of_more_kinds_than_may_wait_is_told_whole() {
    let mut life = Life::begin();
    let codes = 1..=u32::try_from(3 * MOST_WAITING).unwrap();
    let mut follower = follower(Log::of(codes.clone()), None);
    life.turn(&mut follower);
    assert!(life.kept.iter().map(|xid| xid.code).eq(codes));
}

#[test]
fn while_the_disk_refuses_the_rest_stays_with_the_kernel() {
    // Given a disk that is full,
    let mut life = Life::begin();
    life.room = 10;
    let all = 3 * MOST_WAITING;
    let mut follower = follower(Log::of(1..=u32::try_from(all).unwrap()), None);
    // when more comes than may wait,
    life.turn(&mut follower);
    life.turn(&mut follower);
    // then it is not read, what is noted is what was kept, and it is tried again soon.
    assert_eq!(life.kept.len(), 10);
    assert_eq!(follower.source().0.len(), all - 10 - MOST_WAITING);
    assert_eq!(life.reader.told_to(&follower).unwrap().next, 10);
    assert_eq!(life.reader.wait(Timestamp::EPOCH), RETRY);
    // Once there is room, all of it is told.
    life.room = usize::MAX;
    life.turn(&mut follower);
    assert_eq!(life.kept.len(), all);
    assert_eq!(life.reader.told_to(&follower), follower.position());
}

#[test]
fn a_storm_is_not_lost_where_the_agent_is_stopped() {
    let mut life = Life::begin();
    let mut follower = follower(Log::of(vec![31; 1000]), None);
    life.turn(&mut follower);
    assert_eq!(life.lines(), 1, "the rest waits for the end of its window");
    life.end();
    assert_eq!(life.lines(), 1000);
    assert_eq!(life.reader.told_to(&follower).unwrap().next, 1000);
}

#[test]
fn an_agent_that_is_killed_in_a_storm_goes_on_from_the_first_line_it_has_not_told() {
    // Given an agent that is killed while a storm waits,
    let mut first = Life::begin();
    let mut before = follower(Log::of(vec![31; 1000]), None);
    first.turn(&mut before);
    let noted = first.reader.told_to(&before).unwrap();
    assert_eq!(noted.next, 1);
    // when it begins again with what it noted,
    let mut second = Life::begin();
    second.turn(&mut follower(Log::of(vec![31; 1200]), Some(&noted)));
    second.end();
    // then each line is told once.
    assert_eq!(first.lines() + second.lines(), 1200);
}

#[test]
fn the_loop_ends_at_once_and_notes_how_far_it_told() {
    let life = Life::begin();
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            run(&life.shared);
            ended.send(()).unwrap();
        });
        life.shared.stop();
        assert!(end.recv_timeout(LONGEST_WAIT / 2).is_ok(), "it waits on");
    });
    drop(life.folder);
}

/// A GPU, an NVSwitch, and a bridge and a GPU of others, as the PCI bus shows them.
fn bus(root: &std::path::Path) {
    for (address, vendor, class) in [
        ("0000:3b:00.0", "0x10de", "0x030200"),
        ("0000:05:00.0", "0x10de", "0x068000"),
        ("0000:00:1f.0", "0x8086", "0x060100"),
        ("0000:41:00.0", "0x1002", "0x038000"),
    ] {
        let folder = root.join("sys/bus/pci/devices").join(address);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("vendor"), vendor).unwrap();
        std::fs::write(folder.join("class"), class).unwrap();
    }
}

#[test]
fn a_line_of_a_gpu_and_one_of_a_switch_come_out_of_the_log_as_reports_and_counts_from_0() {
    // Given a machine with a GPU and a switch, whose counters stand at 0,
    let life = Life::begin();
    bus(life.folder.path());
    let commands = aami_inventory::SystemCommands::default();
    let host = Host {
        root: life.folder.path(),
        ..Host::this(&commands)
    };
    know(&life.shared, &host);
    let counted = |is_sxid: bool, code: u32| -> Vec<(String, u64, bool)> {
        let counters = life.shared.xids.lock().unwrap();
        let of_code = counters
            .series()
            .filter(|series| series.is_sxid == is_sxid && series.code == code);
        of_code
            .map(|series| {
                (
                    series.pci.in_sysfs(),
                    series.count,
                    series.last_of_all().is_some(),
                )
            })
            .collect()
    };
    assert_eq!(counted(false, 79), [("0000:3b:00.0".to_owned(), 0, false)]);
    assert_eq!(counted(true, 12028), [("0000:05:00.0".to_owned(), 0, false)]);

    // when both write into a log that is followed as the kernel's is,
    let path = life.folder.path().join("kmsg");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::CLOEXEC).bits()).unwrap();
    let log = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(&path)
        .unwrap();
    let mut writes = OpenOptions::new().write(true).open(&path).unwrap();
    let now = life.shared.wall();
    let up = now.since(began(now)).as_micros();
    let spooled = |wanted: usize| {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while life.shared.spool().len() < wanted {
            assert!(std::time::Instant::now() < deadline, "nothing is told");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| follow(&life.shared, log));
        for (n, line) in [
            "NVRM: Xid (PCI:0000:3b:00): 79, pid=1, name=x, GPU has fallen off the bus.",
            "nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32 egress error",
        ]
        .iter()
        .enumerate()
        {
            use std::io::Write as _;
            // A read gives one record, as the kernel's does: the next is written when this one was taken.
            writes
                .write_all(format!("3,{n},{up},-;{line}\n").as_bytes())
                .unwrap();
            spooled(n + 1);
        }
        life.shared.stop();
    });

    // then each is told for what it is, and counted from 0 on with when it was.
    let text = std::fs::read_to_string(life.folder.path().join("spool/reports.jsonl")).unwrap();
    let told: Vec<XidTold> = text
        .lines()
        .filter_map(|line| match serde_json::from_str(line).ok()? {
            aami_api::link::Up::Report(report) => match report.what {
                Told::Xid(xid) => Some(xid),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let kinds: Vec<(bool, u32)> = told.iter().map(|xid| (xid.is_sxid, xid.code)).collect();
    assert_eq!(kinds, [(false, 79), (true, 12028)]);
    assert_eq!(told[1].pci, "0000:05:00.0");
    assert!(!told[1].action.is_empty() && told[1].severity == aami_model::finding::Severity::Critical);
    assert_eq!(counted(false, 79), [("0000:3b:00.0".to_owned(), 1, true)]);
    assert_eq!(counted(true, 12028), [("0000:05:00.0".to_owned(), 1, true)]);
}
