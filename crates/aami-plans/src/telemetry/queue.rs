//! What waits to be told: bounded, and each series in the order of time.

use std::collections::{HashMap, VecDeque};

use aami_install::render::Sample;
use aami_model::Timestamp;

use super::standing::Series;

/// The most samples that wait. A run of twenty steps makes about two hundred.
pub(super) const MOST: usize = 10_000;

/// Samples that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Sample>,
    /// When each series was last told something. Its keys are families and steps, and a plan has few.
    last: HashMap<Series, Timestamp>,
    dropped: u64,
}

impl Queue {
    /// Adds a sample. Those who keep numbers take each series forward only: where the clock was set back
    /// meanwhile, or two things happened in one millisecond, the sample counts as a millisecond younger than the
    /// one before.
    pub(super) fn add(&mut self, mut sample: Sample) {
        let series = (sample.name, sample.labels.clone());
        if let Some(last) = self.last.get(&series)
            && sample.at <= *last
        {
            sample.at = Timestamp::from_millis(last.millis() + 1);
        }
        self.last.insert(series, sample.at);
        self.waiting.push_back(sample);
        if self.waiting.len() > MOST {
            self.waiting.pop_front();
            self.dropped += 1;
        }
    }

    /// The oldest samples, at most `most`; they stay until they are [taken off](Self::take_off).
    pub(super) fn front(&self, most: usize) -> Vec<Sample> {
        self.waiting.iter().take(most).cloned().collect()
    }

    /// Takes off those that [`front`](Self::front) gave; what was dropped meanwhile is not taken off twice.
    pub(super) fn take_off(&mut self, told: &[Sample], dropped_before: u64) {
        let gone = usize::try_from(self.dropped - dropped_before).unwrap_or(usize::MAX);
        let left = told.len().saturating_sub(gone);
        self.waiting.drain(..left.min(self.waiting.len()));
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many went because there were too many.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Forgets all that waits; answers with how many that were.
    pub(super) fn clear(&mut self) -> usize {
        let many = self.waiting.len();
        self.waiting.clear();
        many
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(step: &str, at: i64) -> Sample {
        Sample {
            name: "aami_install_step_status",
            labels: vec![("step", step.into())],
            value: 1.0,
            at: Timestamp::from_millis(at),
        }
    }

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let mut queue = Queue::default();
        for at in 0..i64::try_from(MOST).unwrap() {
            queue.add(sample("a", at));
        }
        // Given a batch on its way, when more comes in than there is room for,
        let (batch, before) = (queue.front(3), queue.dropped());
        queue.add(sample("a", 1_000_000));
        queue.add(sample("a", 1_000_001));
        assert_eq!((queue.dropped(), queue.len()), (2, MOST));
        // then only what is still there of the batch is taken off.
        queue.take_off(&batch, before);
        assert_eq!(queue.len(), MOST - 1);
        assert_eq!(queue.front(1)[0].at, Timestamp::from_millis(3));
    }

    proptest! {
        #[test]
        fn every_series_only_goes_forward(times in proptest::collection::vec((0..3_u8, 0..50_i64), 0..60)) {
            let mut queue = Queue::default();
            for (step, at) in times {
                queue.add(sample(&step.to_string(), at));
            }
            let mut last: HashMap<String, Timestamp> = HashMap::new();
            for sample in queue.front(usize::MAX) {
                let before = last.insert(sample.labels[0].1.clone(), sample.at);
                prop_assert!(before.is_none_or(|before| before < sample.at));
            }
        }
    }
}
