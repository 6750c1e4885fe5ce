//! What the engine alone does with the keys of a registration: the same seven, values of the same sizes,
//! the same compares, as many callers.

use std::sync::Arc;
use std::time::Instant;

use aami_model::{NodeId, OrgId, Timestamp, TokenId};
use aami_store::{Revision, Store, Txn, TxnOutcome, keys};
use tempfile::TempDir;

/// Bytes of each value, as registrations of this bench leave them.
const NODE: usize = 1150;
const POINTER: usize = 33;
const OUTBOX: usize = 1050;

/// A store and the token whose uses are counted in it; it grows with each measurement, as the control plane's does.
pub(crate) struct Engine {
    store: Arc<dyn Store>,
    token: TokenId,
    revision: Revision,
    _folder: TempDir,
}

impl Engine {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        let store = aami_store::open(&url).await.unwrap();
        let token = TokenId::from_random([7; 10]);
        let made = store
            .txn(Txn::new().put(keys::token(&token), vec![b'x'; 400]))
            .await
            .unwrap();
        let TxnOutcome::Committed(revision) = made else {
            panic!("{made:?}")
        };
        Self {
            store,
            token,
            revision,
            _folder: folder,
        }
    }

    /// Commits the transactions of machines `from..from + count`, by so many callers; answers how many a second.
    pub(crate) async fn register(&self, from: usize, count: usize, callers: usize) -> f64 {
        let revision = self.revision;
        let start = Instant::now();
        let tasks = (0..callers).map(|caller| {
            let (store, token) = (Arc::clone(&self.store), self.token.clone());
            tokio::spawn(async move {
                let mut n = from + caller;
                while n < from + count {
                    let outcome = store.txn(registration(n, &token, revision)).await.unwrap();
                    assert!(matches!(outcome, TxnOutcome::Committed(_)), "{outcome:?}");
                    n += callers;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = count as f64 / start.elapsed().as_secs_f64();
        rate
    }
}

/// As registrations make them: ids ascend, indexes and slots are spread.
fn registration(n: usize, token: &TokenId, revision: Revision) -> Txn {
    let spread = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let now = Timestamp::from_millis(1_800_000_000_000 + i64::try_from(n / 3).unwrap());
    let node = NodeId::at(now, u32::try_from(n).unwrap().to_be_bytes());
    let absent = [
        (keys::node(&node), NODE),
        (
            keys::hostname_index(&OrgId::default(), &format!("gpu-{n}.example.com")),
            POINTER,
        ),
        (keys::machine_index(&format!("{spread:064x}")), POINTER),
        (
            keys::node_key_index(&format!("{:044}", spread.rotate_left(17))),
            POINTER,
        ),
        (
            keys::token_use(token, u32::try_from(n).unwrap().reverse_bits()),
            POINTER,
        ),
    ];
    let mut txn = Txn::new().when_unchanged(keys::token(token), revision);
    for (key, size) in absent {
        txn = txn.when_absent(key.clone()).put(key, vec![b'x'; size]);
    }
    txn.put(keys::outbox(node.as_str()), vec![b'x'; OUTBOX])
}
