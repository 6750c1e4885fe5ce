//! Configurations as people have them.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::AgentSocket;

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new(config: &str) -> Self {
        let home = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        home.write(".ssh/config", config);
        home
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    fn config(&self) -> SshConfig {
        SshConfig::read(Some(self.path().join(".ssh/config")), None, self.path())
    }

    fn whose(&self) -> Whose {
        Whose {
            user: "ada".to_owned(),
            home: self.path().to_owned(),
        }
    }

    fn host(&self, name: &str) -> crate::Host {
        self.config()
            .host(&Wanted::named(name), &self.whose())
            .unwrap_or_else(|why| panic!("{name}: {why}"))
    }
}

#[test]
fn the_first_value_wins_and_key_files_add_up() {
    let home = Home::new(
        "Port 2200\n\nHost gpu-* !gpu-9\n  HostName %h.example.org\n  User root\n  IdentityFile ~/.ssh/fleet\n  \
         Port 2222\nHost *\n  User nobody\n  IdentityFile ~/.ssh/%r\n  IdentitiesOnly yes\n",
    );
    let host = home.host("gpu-1");
    assert_eq!(host.address, "gpu-1.example.org");
    assert_eq!((host.user.as_str(), host.port), ("root", 2200));
    assert_eq!(
        host.keys,
        [home.path().join(".ssh/fleet"), home.path().join(".ssh/root")]
    );
    assert!(host.identities_only);

    let host = home.host("gpu-9");
    assert_eq!((host.address.as_str(), host.user.as_str()), ("gpu-9", "nobody"));
}

#[test]
fn what_is_declared_goes_before_what_the_files_say() {
    let home =
        Home::new("Host 10.0.0.*\n User root\n Port 2222\n IdentityFile /keys/a\n HostName 10.9.9.9\n");
    let wanted = Wanted {
        address: Some("10.0.0.7".to_owned()),
        port: Some(22),
        key: Some("~/id".to_owned()),
        ..Wanted::named("gpu-7")
    };
    let host = home.config().host(&wanted, &home.whose()).expect("fine");
    // By its address the section is its own; its name is what people read.
    assert_eq!((host.name.as_str(), host.address.as_str()), ("gpu-7", "10.0.0.7"));
    assert_eq!((host.user.as_str(), host.port), ("root", 22));
    assert_eq!(host.keys, [home.path().join("id")]);
    let bare = home.host("other");
    assert_eq!((bare.user.as_str(), bare.port), ("ada", 22));
}

#[test]
fn everything_about_keys_is_understood() {
    let home = Home::new(
        "Host a\n StrictHostKeyChecking accept-new\n HashKnownHosts yes\n UserKnownHostsFile ~/k1 \"/k 2\"\n \
         HostKeyAlias rack\n IdentityAgent ~/agent-%u.sock\n ConnectTimeout 3\nHost b\n StrictHostKeyChecking no\n \
         IdentityAgent none\nHost c\n StrictHostKeyChecking ask\n IdentityAgent $SOCK\n",
    );
    let host = home.host("a");
    assert_eq!(host.policy, Some(HostKeyPolicy::AcceptNew));
    assert_eq!(host.hash_known_hosts, Some(true));
    assert_eq!(host.known_hosts, [home.path().join("k1"), PathBuf::from("/k 2")]);
    assert_eq!(host.key_alias.as_deref(), Some("rack"));
    assert_eq!(host.agent, AgentSocket::At(home.path().join("agent-ada.sock")));
    assert_eq!(host.connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(home.host("b").connect_timeout, None);
    assert_eq!(home.host("b").policy, Some(HostKeyPolicy::Off));
    assert_eq!(home.host("b").agent, AgentSocket::None);
    assert_eq!(home.host("c").policy, Some(HostKeyPolicy::Strict));
    assert_eq!(home.host("c").agent, AgentSocket::Usual);
}

#[test]
fn jump_hosts_have_their_own_lines() {
    let home = Home::new(
        "Host gpu-*\n ProxyJump bastion,ops@inner:2222\nHost bastion\n HostName 192.0.2.1\n User jump\n \
         ProxyJump outer\nHost outer\n Port 443\nHost direct\n ProxyJump none\nHost six\n ProxyJump ssh://a@[2001:db8::1]:2200\n",
    );
    let jumps = home.host("gpu-1").jumps;
    let shown: Vec<String> = jumps
        .iter()
        .map(|hop| format!("{}@{}", hop.user, hop.endpoint()))
        .collect();
    assert_eq!(shown, ["ada@outer:443", "jump@192.0.2.1:22", "ops@inner:2222"]);
    assert!(jumps.iter().all(|hop| hop.jumps.is_empty()));
    assert!(home.host("direct").jumps.is_empty());
    assert_eq!(home.host("six").jumps[0].endpoint(), "[2001:db8::1]:2200");
}

#[test]
fn a_circle_of_jump_hosts_is_an_error_and_no_endless_loop() {
    let home = Home::new("Host a\n ProxyJump b\nHost b\n ProxyJump a\nHost bad\n ProxyJump x:y\n");
    for name in ["a", "bad"] {
        let error = home
            .config()
            .host(&Wanted::named(name), &home.whose())
            .expect_err("refused");
        assert!(!error.is_empty());
    }
}

#[test]
fn a_host_behind_a_proxy_command_is_refused_and_not_dialled_directly() {
    let home = Home::new(
        "Host b\n ProxyJump gate\nHost a b\n ProxyCommand nc %h %p\nHost c\n ProxyCommand none\nHost *\n ProxyJump last\n",
    );
    let refused = home.config().host(&Wanted::named("a"), &home.whose());
    assert!(refused.expect_err("refused").contains("ProxyCommand"));
    assert!(home.host("c").jumps.is_empty());
    // What is declared elsewhere stands over it.
    let wanted = Wanted {
        has_its_way: true,
        ..Wanted::named("a")
    };
    let host = home.config().host(&wanted, &home.whose()).expect("fine");
    assert!(host.jumps.is_empty());
}

#[test]
fn includes_are_followed_inside_their_section_and_not_for_ever() {
    let home =
        Home::new("Include conf.d/*.conf\nHost gpu-*\n Include ~/extra\n Port 2222\nHost *\n User last\n");
    home.write(".ssh/conf.d/b.conf", "User b\n");
    home.write(".ssh/conf.d/a.conf", "Host gpu-1\n User a\n");
    home.write(".ssh/conf.d/.hidden.conf", "Host *\n User hidden\n");
    home.write(
        "extra",
        "IdentityFile /only/gpu\nHost gpu-2\n Port 9\nInclude ~/extra\n",
    );
    assert_eq!(home.host("gpu-1").user, "a");
    assert_eq!(home.host("gpu-2").port, 9);
    let host = home.host("gpu-3");
    assert_eq!((host.user.as_str(), host.port), ("b", 2222));
    assert!(host.keys.contains(&PathBuf::from("/only/gpu")));
    assert!(home.host("web").keys.is_empty(), "it stands inside Host gpu-*");
    assert!(
        home.config()
            .notes()
            .iter()
            .any(|note| note.why.contains("include each other")),
        "{:?}",
        home.config().notes()
    );
}

#[test]
fn what_is_not_understood_is_named_and_passed_over() {
    let home = Home::new(
        "Host *\n Port 99999\n Porrt 22\n ProxyUseFdpass yes\n User \"open\n ForwardAgent yes\nMatch exec \"rm -rf /\"\n \
         User evil\nMatch all\n User all\nHost\n User none\n",
    );
    let config = home.config();
    let lines: Vec<usize> = config.notes().iter().map(|note| note.line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 7, 11], "{:?}", config.notes());
    let host = home.host("x");
    assert_eq!((host.user.as_str(), host.port), ("all", 22));
}

#[test]
fn tokens_that_stand_for_nothing_are_refused() {
    let home =
        Home::new("Host a\n IdentityFile ~/%z\nHost b\n IdentityFile ~/%\nHost c\n IdentityFile /100%%\n");
    assert!(home.config().host(&Wanted::named("a"), &home.whose()).is_err());
    assert!(home.config().host(&Wanted::named("b"), &home.whose()).is_err());
    assert_eq!(home.host("c").keys, [PathBuf::from("/100%")]);
}

#[test]
fn files_that_are_not_there_say_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = SshConfig::read(Some(folder.path().join("none")), None, folder.path());
    assert!(config.notes().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_makes_it_panic(text in "(Host|Match|Include|Port|User|ProxyJump|[a-z%*!\"\\\\@:,/ \n#=]){0,60}") {
        let home = Home::new(&text);
        let _ = home.config().host(&Wanted::named("gpu-1"), &home.whose());
    }
}
