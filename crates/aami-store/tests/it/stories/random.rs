//! Random operations, each compared with what the model does.

use aami_store::{Compare, Key, Op, PageRequest, PageToken, Prefix, Revision, StoreError, Txn, WatchStream};

use crate::engine::{Engine, key, prefix};
use crate::model::Model;
use crate::seed::Seed;
use crate::watching::read_until;

const STEPS: usize = 600;

struct Run<'e> {
    engine: &'e Engine,
    model: Model,
    seed: Seed,
    lists: Vec<(Prefix, PageToken)>,
    watches: Vec<(Prefix, Revision, WatchStream)>,
}

pub(crate) async fn random_operations_do_what_the_model_does(engine: &Engine) {
    // Given an empty store, its model, and a watch on each prefix from the beginning
    let mut run = Run {
        engine,
        model: Model::new(),
        seed: Seed::new("random"),
        lists: vec![],
        watches: vec![],
    };
    for of in ["", "s/a/", "s/b/"] {
        let watch = engine.store.watch(&prefix(of), Revision::FIRST);
        run.watches.push((prefix(of), Revision::FIRST, watch));
    }
    // when random things are done, then each answer is the model's
    for _ in 0..STEPS {
        match run.seed.below(100) {
            0..70 => run.txn().await,
            70..78 => run.get().await,
            78..90 => run.list().await,
            90..98 => run.watch(),
            _ => run.compact().await,
        }
    }
    // and each watch has told what the model knows, from where it began
    run.drain().await;
}

impl Run<'_> {
    fn key(&mut self) -> Key {
        let room = ["s/a/", "s/b/", "h/"][self.seed.below(3) as usize];
        key(&format!("{room}{}", self.seed.below(5)))
    }

    fn prefix(&mut self) -> Prefix {
        prefix(["", "s/", "s/a/", "s/b/", "h/", "s/none/"][self.seed.below(6) as usize])
    }

    fn value(&mut self) -> Vec<u8> {
        let length = self.seed.below(40) as usize;
        (0..length).map(|_| self.seed.number() as u8).collect()
    }

    /// A compare that holds more often than not.
    fn compare(&mut self) -> Compare {
        let key = self.key();
        let now = self.model.now().get(&key).cloned();
        match (self.seed.chance(80), now) {
            (true, None) => Compare::Absent(key),
            (true, Some(entry)) => match self.seed.below(3) {
                0 => Compare::Present(key),
                1 => Compare::Unchanged(key, entry.mod_revision),
                _ => Compare::Value(key, entry.value),
            },
            (false, _) => match self.seed.below(4) {
                0 => Compare::Absent(key),
                1 => Compare::Present(key),
                2 => {
                    let revision = Revision::new(self.seed.below(self.model.revision().get() + 2));
                    Compare::Unchanged(key, revision)
                }
                _ => Compare::Value(key, self.value().into()),
            },
        }
    }

    async fn txn(&mut self) {
        let mut txn = Txn::new();
        for _ in 0..self.seed.below(4) {
            txn = txn.when(self.compare());
        }
        for _ in 0..self.seed.below(5) {
            let key = self.key();
            if txn.ops().iter().all(|op| *op.key() != key) {
                let op = if self.seed.chance(70) {
                    Op::Put {
                        key,
                        value: self.value().into(),
                        lease: None,
                    }
                } else {
                    Op::Delete(key)
                };
                txn = txn.then(op);
            }
        }
        let expected = self.model.txn(&txn);
        let outcome = self
            .engine
            .store
            .txn(txn.clone())
            .await
            .expect("the store takes it");
        assert_eq!(outcome, expected, "{txn:?}");
        assert_eq!(
            self.engine.store.revision().await.expect("it answers"),
            self.model.revision()
        );
    }

    async fn get(&mut self) {
        let key = self.key();
        let found = self.engine.store.get(&key).await.expect("the store answers");
        assert_eq!(found.as_ref(), self.model.now().get(&key), "{key}");
    }

    /// Begins a list, or goes on with one begun earlier.
    async fn list(&mut self) {
        let limit = 1 + self.seed.below(6) as usize;
        let (prefix, token) = if self.lists.is_empty() || self.seed.chance(30) {
            (self.prefix(), None)
        } else {
            let at = self.seed.below(self.lists.len() as u64) as usize;
            let (prefix, token) = self.lists.swap_remove(at);
            (prefix, Some(token))
        };
        let (request, revision, after) = match token {
            None => (PageRequest::first(limit), self.model.revision(), None),
            Some(token) => (
                PageRequest::after(token.clone(), limit),
                token.revision(),
                Some(token.last().clone()),
            ),
        };
        let page = match self.engine.store.list(&prefix, request).await {
            Err(StoreError::Compacted { .. }) => {
                assert!(revision < self.model.compacted, "{revision} is still kept");
                return;
            }
            page => page.expect("the store answers"),
        };
        assert!(
            revision >= self.model.compacted,
            "{revision} is compacted to {}",
            self.model.compacted
        );
        assert_eq!(page.revision, revision);
        let mut expected = self.model.list(&prefix, revision);
        expected.retain(|entry| after.as_ref().is_none_or(|after| entry.key > *after));
        let more = expected.len() > limit;
        expected.truncate(limit);
        assert_eq!(page.entries, expected, "{prefix} at {revision} after {after:?}");
        assert_eq!(
            page.next.is_some(),
            more,
            "{prefix} at {revision} after {after:?}"
        );
        self.lists.extend(page.next.map(|token| (prefix, token)));
    }

    fn watch(&mut self) {
        let prefix = self.prefix();
        let from = Revision::new(self.seed.below(self.model.revision().get() + 3));
        let watch = self.engine.store.watch(&prefix, from);
        self.watches.push((prefix, from, watch));
    }

    async fn compact(&mut self) {
        // Mostly the distant past, as a caller would.
        let to = Revision::new(self.seed.below(self.model.revision().get() / 2 + 1));
        self.engine
            .store
            .compact(to)
            .await
            .expect("what is past can be compacted");
        self.model.compacted = self.model.compacted.max(to);
    }

    async fn drain(&mut self) {
        let end = Txn::new()
            .put(key("s/a/end"), "")
            .put(key("s/b/end"), "")
            .put(key("h/end"), "");
        let end = end.put(key("s/none/end"), "");
        assert_eq!(
            self.engine.store.txn(end.clone()).await.expect("it is taken"),
            self.model.txn(&end)
        );
        for (prefix, from, mut watch) in std::mem::take(&mut self.watches) {
            let told = read_until(&mut watch, self.model.revision()).await;
            let mut expected = self.model.told(&prefix, from);
            if told.compacted {
                let next = told.batches.last().map_or(from, |(revision, _)| revision.next());
                assert!(
                    next <= self.model.compacted,
                    "{prefix:?} from {from}: {next} is still kept"
                );
                expected.truncate(told.batches.len());
            } else {
                assert!(from > self.model.compacted, "{prefix:?} from {from} is compacted");
            }
            assert_eq!(told.batches, expected, "{prefix:?} from {from}");
        }
    }
}
