use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn id(n: usize) -> NodeId {
    format!("n{n:03}").parse().unwrap()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(seconds * 1000).unwrap())
}

fn group(standings: &[NodeStanding]) -> Vec<(NodeId, NodeStanding)> {
    standings
        .iter()
        .copied()
        .enumerate()
        .map(|(n, s)| (id(n), s))
        .collect()
}

const WAITING: NodeStanding = NodeStanding::Waiting;

fn updated(since: u64) -> NodeStanding {
    NodeStanding::Updated { since: at(since) }
}

#[test]
fn canaries_go_first_and_the_others_follow_when_they_have_stood() {
    let plan = RolloutPlan {
        canaries: 2,
        soak_seconds: 60,
        at_once: 3,
        ..RolloutPlan::to("2.0.0")
    };
    let nodes = group(&[WAITING; 6]);
    let due = judge(&plan, RolloutStatus::Canary, &nodes, at(0));
    assert_eq!(due, Due::Tell(vec![id(0), id(1)]));
    // One is there, one is at work: nobody else is told.
    let nodes = group(&[updated(10), NodeStanding::Updating, WAITING, WAITING]);
    assert!(matches!(
        judge(&plan, RolloutStatus::Canary, &nodes, at(500)),
        Due::Wait(_)
    ));
    // Both are there, the second for too short a time.
    let nodes = group(&[updated(10), updated(20), WAITING, WAITING]);
    assert!(matches!(
        judge(&plan, RolloutStatus::Canary, &nodes, at(79)),
        Due::Wait(_)
    ));
    let due = judge(&plan, RolloutStatus::Canary, &nodes, at(80));
    assert_eq!(due, Due::Move(RolloutTrigger::CanariesStood));
    let due = judge(&plan, RolloutStatus::Rolling, &nodes, at(80));
    assert_eq!(due, Due::Tell(vec![id(2), id(3)]));
}

#[test]
fn it_halts_at_the_failure_rate_and_not_before() {
    let plan = RolloutPlan {
        max_failed_percent: 20,
        ..RolloutPlan::to("2.0.0")
    };
    let of = |good: usize, bad: usize| {
        let mut all = vec![updated(0); good];
        all.extend(vec![NodeStanding::Failed; bad]);
        all.push(WAITING);
        judge(&plan, RolloutStatus::Rolling, &group(&all), at(10))
    };
    assert!(matches!(of(4, 1), Due::Tell(_)), "one in five is a fifth");
    assert_eq!(of(3, 1), Due::Move(RolloutTrigger::TooManyFailed));
    assert_eq!(of(0, 1), Due::Move(RolloutTrigger::TooManyFailed));
    let never = RolloutPlan {
        max_failed_percent: 100,
        ..plan
    };
    let all = group(&[NodeStanding::Failed, WAITING]);
    assert!(matches!(
        judge(&never, RolloutStatus::Rolling, &all, at(10)),
        Due::Tell(_)
    ));
}

#[test]
fn who_had_the_version_already_is_no_canary_and_no_success() {
    let plan = RolloutPlan {
        soak_seconds: 0,
        ..RolloutPlan::to("2.0.0")
    };
    // Given nodes that were never told, with the version: a canary is needed all the same.
    let mut all = vec![NodeStanding::Untried; 20];
    all.push(WAITING);
    let canary = |all: &[NodeStanding]| judge(&plan, RolloutStatus::Canary, &group(all), at(10));
    assert_eq!(canary(&all), Due::Tell(vec![id(20)]));
    all[20] = NodeStanding::Silent { until: at(50) };
    assert!(matches!(canary(&all), Due::Wait(_)), "nothing has stood");
    // One that went back is the only one that tried.
    all[20] = NodeStanding::Failed;
    all.push(WAITING);
    let rolling = judge(&plan, RolloutStatus::Rolling, &group(&all), at(10));
    assert_eq!(rolling, Due::Move(RolloutTrigger::TooManyFailed));
    // Where everybody has it already, nothing is left to be tried.
    let all = [NodeStanding::Untried; 3];
    assert_eq!(canary(&all), Due::Move(RolloutTrigger::CanariesStood));
    let rolling = judge(&plan, RolloutStatus::Rolling, &group(&all), at(10));
    assert_eq!(rolling, Due::Move(RolloutTrigger::AllUpdated));
}

#[test]
fn who_is_away_holds_nobody_up_and_gets_its_turn_later() {
    let plan = RolloutPlan::to("2.0.0");
    let nodes = group(&[updated(0), NodeStanding::Away]);
    let due = judge(&plan, RolloutStatus::Rolling, &nodes, at(10));
    assert_eq!(due, Due::Move(RolloutTrigger::AllUpdated));
    let nodes = group(&[updated(0), WAITING]);
    let due = judge(&plan, RolloutStatus::Done, &nodes, at(10));
    assert_eq!(due, Due::Move(RolloutTrigger::NodeBehind));
    let nobody = group(&[NodeStanding::Away]);
    for status in [RolloutStatus::Canary, RolloutStatus::Rolling] {
        assert!(matches!(judge(&plan, status, &nobody, at(10)), Due::Wait(_)));
    }
}

#[test]
fn who_does_not_take_what_it_is_told_goes_last_and_is_told_again() {
    let plan = RolloutPlan {
        at_once: 2,
        ..RolloutPlan::to("2.0.0")
    };
    let silent = |until: u64| NodeStanding::Silent { until: at(until) };
    // Given nodes that took nothing, first in the order, then others go first, as canaries and later.
    let nodes = group(&[silent(5), silent(0), WAITING, updated(10)]);
    let due = |status, nodes: &[(NodeId, NodeStanding)], now| judge(&plan, status, nodes, at(now));
    assert_eq!(
        due(RolloutStatus::Rolling, &nodes, 20),
        Due::Tell(vec![id(2), id(1)])
    );
    let nodes = group(&[silent(5), silent(0), WAITING]);
    assert_eq!(due(RolloutStatus::Canary, &nodes, 20), Due::Tell(vec![id(2)]));
    // When nobody else is left they are told again, in their time; until then it says so, and is not done.
    let nodes = group(&[silent(30), silent(40), updated(10)]);
    assert_eq!(due(RolloutStatus::Rolling, &nodes, 29), Due::Wait(SILENT));
    assert_eq!(due(RolloutStatus::Rolling, &nodes, 30), Due::Tell(vec![id(0)]));
    let nodes = group(&[silent(30)]);
    assert_eq!(due(RolloutStatus::Canary, &nodes, 29), Due::Wait(SILENT));
    assert_eq!(due(RolloutStatus::Canary, &nodes, 30), Due::Tell(vec![id(0)]));
    // One that is silent makes nothing of what is done, before it is told again.
    let nodes = group(&[silent(30), updated(10)]);
    assert!(matches!(due(RolloutStatus::Done, &nodes, 29), Due::Wait(_)));
    assert_eq!(
        due(RolloutStatus::Done, &nodes, 30),
        Due::Move(RolloutTrigger::NodeBehind)
    );
}

#[test]
fn a_canary_that_goes_silent_keeps_its_place_and_no_other_is_told() {
    let plan = RolloutPlan::to("2.0.0");
    // A new agent that dies after it was connected:
    let nodes = group(&[NodeStanding::Lost, WAITING, WAITING]);
    assert_eq!(
        judge(&plan, RolloutStatus::Canary, &nodes, at(0)),
        Due::Wait(LOST)
    );
    // written off, it has failed,
    let nodes = group(&[NodeStanding::Failed, WAITING, WAITING]);
    let halt = Due::Move(RolloutTrigger::TooManyFailed);
    assert_eq!(judge(&plan, RolloutStatus::Canary, &nodes, at(0)), halt);
    // and among the others it takes a place of those at work.
    let plan = RolloutPlan { at_once: 2, ..plan };
    let nodes = group(&[NodeStanding::Lost, updated(0), WAITING, WAITING]);
    let due = judge(&plan, RolloutStatus::Rolling, &nodes, at(0));
    assert_eq!(due, Due::Tell(vec![id(2)]));
    let nodes = group(&[NodeStanding::Lost, NodeStanding::Lost, WAITING]);
    let due = judge(&plan, RolloutStatus::Rolling, &nodes, at(0));
    assert!(matches!(due, Due::Wait(_)), "{due:?}");
}

#[test]
fn a_silent_node_is_left_alone_for_longer_each_time() {
    let seconds: Vec<u64> = [1, 2, 3, 8, u32::MAX]
        .map(|times| silence_after(times).as_secs())
        .into();
    assert_eq!(seconds, [30, 60, 120, 3600, 3600]);
}

#[test]
fn a_pin_takes_a_newer_agent_back_and_a_wish_leaves_it() {
    let mut plan = RolloutPlan::to("2.0.0");
    assert!(plan.is_met_by("2.0.0") && plan.is_met_by("2.1.0"));
    assert!(!plan.is_met_by("1.9.0") && !plan.is_met_by("2.0.0-rc.1") && !plan.is_met_by("dev"));
    plan.pinned = true;
    assert!(plan.is_met_by("2.0.0") && !plan.is_met_by("2.1.0"));
}

#[test]
fn a_plan_is_checked() {
    assert!(RolloutPlan::to("2.0.0").check().is_ok());
    for bad in [
        RolloutPlan::to("../../etc"),
        RolloutPlan {
            at_once: 0,
            ..RolloutPlan::to("2.0.0")
        },
        RolloutPlan {
            max_failed_percent: 101,
            ..RolloutPlan::to("2.0.0")
        },
        RolloutPlan {
            soak_seconds: u32::MAX,
            ..RolloutPlan::to("2.0.0")
        },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
}

#[test]
fn what_an_operator_holds_goes_on_only_at_an_operators_word() {
    for held in [RolloutStatus::Paused, RolloutStatus::Halted] {
        for trigger in [
            RolloutTrigger::CanariesStood,
            RolloutTrigger::AllUpdated,
            RolloutTrigger::NodeBehind,
        ] {
            assert!(next(held, trigger).is_err(), "{held:?} {trigger:?}");
        }
        let on = RolloutTrigger::Resumed { past_canaries: true };
        assert_eq!(next(held, on), Ok(Some(RolloutStatus::Rolling)));
    }
    assert!(next(RolloutStatus::Done, RolloutTrigger::Paused).is_err());
    // What failed within bounds is tried again at that word as well.
    let on = RolloutTrigger::Resumed { past_canaries: true };
    assert_eq!(next(RolloutStatus::Done, on), Ok(Some(RolloutStatus::Rolling)));
}

fn plan() -> impl Strategy<Value = RolloutPlan> {
    (0_u32..4, 0_u32..50, 1_u32..5, 0_u32..=100).prop_map(|(canaries, soak_seconds, at_once, percent)| {
        RolloutPlan {
            canaries,
            soak_seconds,
            at_once,
            max_failed_percent: percent,
            ..RolloutPlan::to("2.0.0")
        }
    })
}

proptest! {
    /// A whole rollout, with nodes that come up, do not, or take nothing at first as chance has it, judged each second.
    #[test]
    fn a_rollout_ends_and_never_breaks_its_own_rules(
        plan in plan(),
        mut good in prop::collection::vec(prop::option::weighted(0.7, any::<bool>()), 1..30),
    ) {
        let mut nodes: BTreeMap<NodeId, NodeStanding> =
            (0..good.len()).map(|n| (id(n), WAITING)).collect();
        let mut status = if plan.canaries == 0 { RolloutStatus::Rolling } else { RolloutStatus::Canary };
        let mut told = std::collections::BTreeSet::new();
        let mut ended = false;
        for second in 0..4000 {
            let list: Vec<_> = nodes.iter().map(|(id, s)| (id.clone(), *s)).collect();
            match judge(&plan, status, &list, at(second)) {
                Due::Wait(_) => {
                    if !status.is_moving() {
                        ended = true;
                        break;
                    }
                }
                Due::Move(trigger) => {
                    let to = next(status, trigger);
                    prop_assert!(matches!(to, Ok(Some(_))), "{status:?} {trigger:?} {to:?}");
                    status = to.unwrap().unwrap();
                }
                Due::Tell(who) => {
                    for id in who {
                        prop_assert!(told.insert(id.clone()), "{id} is told twice");
                        nodes.insert(id, NodeStanding::Updating);
                    }
                    let tally = Tally::of(nodes.values());
                    prop_assert!(tally.updating <= plan.at_once);
                    if status == RolloutStatus::Canary {
                        prop_assert!(tally.updating + tally.updated <= plan.canaries);
                    }
                }
            }
            // Each that is at work ends after a moment.
            if second % 3 == 2 {
                for (n, (_, standing)) in nodes.iter_mut().enumerate() {
                    if *standing == NodeStanding::Updating {
                        *standing = match good[n] {
                            Some(true) => updated(second),
                            Some(false) => NodeStanding::Failed,
                            None => NodeStanding::Silent { until: at(second + 30) },
                        };
                        // What took nothing may be told once more, and does as it is told then.
                        if good[n].is_none() {
                            good[n] = Some(true);
                            told.remove(&id(n));
                        }
                    }
                }
            }
        }
        let tally = Tally::of(nodes.values());
        // Where every canary failed and failures do not matter, nothing is left to be watched.
        let stuck = status == RolloutStatus::Canary && tally.updated == 0 && tally.waiting == 0;
        prop_assert!(ended || stuck || tally.updated == 0, "{status:?} {tally:?}");
        match status {
            RolloutStatus::Done => prop_assert_eq!(tally.waiting + tally.updating + tally.silent, 0),
            RolloutStatus::Halted => prop_assert!(tally.is_over(plan.max_failed_percent)),
            RolloutStatus::Canary | RolloutStatus::Rolling | RolloutStatus::Paused => {}
        }
    }

    /// A fleet whose new agents come up, go silent and come back as chance has it: while the canaries are watched, never
    /// more nodes were told than there are canaries, and never more are under way than may be.
    #[test]
    fn agents_that_come_and_go_never_let_more_canaries_begin(
        plan in plan(),
        count in 1_usize..30,
        chance in prop::collection::vec((0_usize..30, any::<bool>()), 0..300),
    ) {
        let plan = RolloutPlan { canaries: plan.canaries.max(1), soak_seconds: 10_000, ..plan };
        let mut nodes: BTreeMap<NodeId, NodeStanding> = (0..count).map(|n| (id(n), WAITING)).collect();
        let mut told = 0;
        for (second, (n, up)) in (0..).zip(chance) {
            let list: Vec<_> = nodes.iter().map(|(id, s)| (id.clone(), *s)).collect();
            match judge(&plan, RolloutStatus::Canary, &list, at(second)) {
                Due::Tell(who) => {
                    told += who.len();
                    nodes.extend(who.into_iter().map(|id| (id, NodeStanding::Updating)));
                    prop_assert!(told <= plan.canaries as usize, "{told} were told");
                    let tally = Tally::of(nodes.values());
                    prop_assert!(tally.updating + tally.lost <= plan.at_once.max(tally.lost));
                }
                Due::Wait(_) => {}
                Due::Move(trigger) => prop_assert!(false, "{trigger:?}"),
            }
            if let Some(standing) = nodes.get_mut(&id(n % count)) {
                *standing = match *standing {
                    NodeStanding::Updating | NodeStanding::Lost if up => updated(second),
                    NodeStanding::Updated { .. } | NodeStanding::Updating if !up => NodeStanding::Lost,
                    other => other,
                };
            }
        }
    }

    #[test]
    fn held_is_held(plan in plan(), all in prop::collection::vec(0_u8..8, 0..20)) {
        let nodes: Vec<_> = all.iter().enumerate().map(|(n, kind)| (id(n), match kind {
            0 => updated(0),
            1 => NodeStanding::Updating,
            2 => NodeStanding::Failed,
            3 => WAITING,
            4 => NodeStanding::Silent { until: at(0) },
            5 => NodeStanding::Untried,
            6 => NodeStanding::Lost,
            _ => NodeStanding::Away,
        })).collect();
        for status in [RolloutStatus::Paused, RolloutStatus::Halted] {
            prop_assert!(matches!(judge(&plan, status, &nodes, at(10)), Due::Wait(_)));
        }
    }
}
