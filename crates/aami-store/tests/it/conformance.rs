//! Every story on every backend.

use crate::engine::Engine;
use crate::stories;

macro_rules! conformance {
    ($($room:ident: $($story:ident)+;)+) => {
        mod memory {
            use super::*;
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    stories::$room::$story(&Engine::memory()).await;
                }
            )+)+
        }
        mod sqlite {
            use super::*;
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    stories::$room::$story(&Engine::sqlite().await).await;
                }
            )+)+
        }
        #[cfg(feature = "etcd")]
        mod etcd {
            use super::*;
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    if let Some(engine) = Engine::etcd().await {
                        stories::$room::$story(&engine).await;
                    }
                }
            )+)+
        }
    };
}

conformance! {
    random:
        random_operations_do_what_the_model_does;
    transactions:
        a_conflict_shows_every_compared_key_as_it_is
        a_conflict_over_large_values_shows_them_all
        fifty_racing_for_one_key_have_one_winner
        several_keys_change_together_or_not_at_all
        nothing_to_do_makes_no_revision
        values_and_keys_come_back_as_they_were;
    limits:
        a_transaction_at_the_limit_is_taken_and_one_beyond_is_not
        too_many_compares_operations_or_one_key_twice_are_refused;
    lists:
        all_pages_of_a_list_show_one_moment
        a_list_that_was_compacted_starts_again
        pages_of_large_values_stay_small;
    watches:
        every_revision_is_told_once_under_concurrent_writers
        a_large_revision_is_told_whole
        a_watch_that_slept_catches_up
        a_watch_from_before_compaction_is_told_so_and_relists
        a_sleeper_overtaken_by_compaction_has_no_silent_gap
        a_bookmark_says_how_far_a_quiet_prefix_has_been_told
        compacting_what_is_not_made_yet_is_refused;
    leases:
        what_a_lease_holds_goes_with_it_in_one_revision
        a_lease_kept_alive_outlives_its_time
        a_put_without_the_lease_takes_the_key_off_it
        nothing_is_put_on_a_lease_that_is_over;
}
