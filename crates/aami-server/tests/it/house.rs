//! A control plane of one's own on a free loopback port, and those who talk to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use aami_api::PROOF_CONTEXT;
use aami_api::client::{Client, ClientError, Settings, Trust};
use aami_api::key::CreateKey;
use aami_api::register::{ExporterInfo, RegisterRequest, Registered};
use aami_api::token::{CreateToken, CreatedToken};
use aami_model::Timestamp;
use aami_model::access::Role;
use aami_model::exporter::ExporterKind;
use aami_server::{Clock, Config, Running, World, start};
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A clock that a test can put forward. The one that nobody sets can only leap, as it seems to do to a process that
/// was stopped for a while.
pub struct TestClock(AtomicI64, AtomicI64, Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        let leapt = u64::try_from(self.1.load(Ordering::SeqCst)).unwrap();
        self.2.elapsed() + Duration::from_millis(leapt)
    }
}

/// A control plane at work, ended when dropped.
pub struct House {
    pub folder: TempDir,
    pub clock: Arc<TestClock>,
    pub admin_key: String,
    pub base: String,
    runtime: Runtime,
    running: Option<Running>,
}

impl House {
    /// On the embedded store.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::for_data_dir(folder.path().join("data")).unwrap();
        config.listen = "127.0.0.1:0".parse().unwrap();
        change(&mut config);
        Self::open(folder, config, 1_800_000_000_000)
    }

    fn open(folder: TempDir, config: Config, now: i64) -> Self {
        let clock = Arc::new(TestClock(AtomicI64::new(now), AtomicI64::new(0), Instant::now()));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let running = runtime
            .block_on(start(config, World::with_clock(clock.clone())))
            .unwrap();
        // Of several replicas one has made the first key.
        let admin_key = std::fs::read_to_string(running.admin_key())
            .unwrap_or_default()
            .trim()
            .to_owned();
        let base = format!("http://{}", running.address());
        Self {
            folder,
            clock,
            admin_key,
            base,
            runtime,
            running: Some(running),
        }
    }

    /// Stops it and starts it again on the same data.
    pub fn restart(mut self, change: impl FnOnce(&mut Config)) -> Self {
        self.stop();
        let mut config = Config::for_data_dir(self.folder.path().join("data")).unwrap();
        config.listen = "127.0.0.1:0".parse().unwrap();
        change(&mut config);
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Self::open(folder, config, self.clock.now().millis())
    }

    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub fn forward(&self, by: Duration) {
        self.clock
            .0
            .fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// As if the process had been stopped for this long.
    pub fn leap(&self, by: Duration) {
        self.forward(by);
        self.clock
            .1
            .fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Somebody without a credential.
    pub fn stranger(&self) -> Client {
        Client::new(&Settings::new(self.base.clone())).unwrap()
    }

    pub fn admin(&self) -> Client {
        self.stranger().with_bearer(&self.admin_key)
    }

    /// An admin of one organisation.
    pub fn admin_of(&self, org: &str) -> Client {
        let wanted = CreateKey {
            name: org.into(),
            role: Some(Role::Admin),
            orgs: vec![org.parse().unwrap()],
            ..CreateKey::default()
        };
        self.stranger()
            .with_bearer(&self.admin().create_key(&wanted).unwrap().key)
    }

    /// Says one request as if it came unencrypted from `peer`, and hears the whole answer, head and body.
    pub fn heard_from(&self, peer: &str, request: &str) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
        let peer = std::net::SocketAddr::new(peer.parse().unwrap(), 40_000);
        let serving = self.running().converse(theirs, peer);
        let speaking = async {
            let served = tokio::spawn(serving);
            ours.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let hearing = ours.read_to_end(&mut answer);
            tokio::time::timeout(Duration::from_secs(30), hearing)
                .await
                .unwrap()
                .unwrap();
            served.await.unwrap();
            String::from_utf8(answer).unwrap()
        };
        self.runtime.block_on(speaking)
    }

    /// Over TLS, trusting only this control plane's CA.
    pub fn encrypted(&self) -> Client {
        let mut settings = Settings::new(self.base.replace("http:", "https:"));
        settings.trust = Trust::Only(self.running().ca().unwrap().to_owned());
        Client::new(&settings).unwrap()
    }

    pub fn token(&self, change: impl FnOnce(&mut CreateToken)) -> CreatedToken {
        let mut wanted = CreateToken {
            name: "test".into(),
            ..CreateToken::default()
        };
        change(&mut wanted);
        self.admin().create_token(&wanted).unwrap()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A machine that wants to become a node, with a key of its own.
#[derive(Clone)]
pub struct Machine {
    pub key: SigningKey,
    pub credential: String,
    pub request: RegisterRequest,
}

impl Machine {
    /// A machine with a key and a credential that follow from `seed`.
    pub fn new(hostname: &str, seed: u8) -> Self {
        Self::numbered(hostname, seed.into())
    }

    /// As [`Machine::new`], for fleets.
    pub fn numbered(hostname: &str, seed: u64) -> Self {
        let bytes = [seed.to_le_bytes(); 4].concat();
        let key = SigningKey::from_bytes(bytes.as_slice().try_into().unwrap());
        let secret = aami_model::secret::Secret::from_random(
            aami_model::secret::SecretKind::NodeCredential,
            &hostname.split('.').next().unwrap().to_lowercase(),
            bytes[..20].try_into().unwrap(),
        );
        let credential = secret.reveal().to_owned();
        let request = RegisterRequest {
            hostname: hostname.into(),
            ip_address: "127.9.2.10".into(),
            node_key: Some(BASE64.encode(key.verifying_key().as_bytes())),
            credential_hash: Some(HEXLOWER.encode(&Sha256::digest(credential.as_bytes()))),
            exporters: vec![ExporterInfo::new(ExporterKind::NodeExporter, 9100)],
            ..RegisterRequest::default()
        };
        Self {
            key,
            credential,
            request,
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut RegisterRequest)) -> Self {
        change(&mut self.request);
        self
    }

    pub fn sign(&self, body: &[u8]) -> String {
        let message = [PROOF_CONTEXT, body].concat();
        BASE64.encode(&self.key.sign(&message).to_bytes())
    }

    pub fn register(&self, client: &Client, token: &str) -> Result<Registered, ClientError> {
        self.register_as(client, token, None)
    }

    pub fn register_as(
        &self,
        client: &Client,
        token: &str,
        old: Option<&Self>,
    ) -> Result<Registered, ClientError> {
        let body = serde_json::to_vec(&self.request).unwrap();
        let proof = self.request.node_key.is_some().then(|| self.sign(&body));
        let old = old.map(|old| old.sign(&body));
        client
            .with_bearer(token)
            .register(&body, proof.as_deref(), old.as_deref())
    }
}

/// The code a call was refused with.
pub fn code_of<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    match result {
        Err(ClientError::Refused(problem)) => problem.code,
        other => format!("{other:?}"),
    }
}

/// Waits for a condition; panics with what was seen last.
pub fn until<T: std::fmt::Debug>(what: &str, look: impl FnMut() -> Result<(), T>) {
    until_within(Duration::from_secs(20), what, look);
}

pub fn until_within<T: std::fmt::Debug>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<(), T>,
) {
    let deadline = Instant::now() + patience;
    loop {
        match look() {
            Ok(()) => return,
            Err(seen) if Instant::now() > deadline => panic!("{what}: last seen {seen:?}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
