//! Whole rollouts in a world in which things go wrong.

use proptest::prelude::*;
use rstest::rstest;
use ttsfleet_crds::RolloutPhase;
use ttsfleet_wire::admin::Headroom;

use super::fixture::model;
use super::server::Nature;
use super::world::{Fault, World};
use crate::rollout::{Outcome, PoolRecord};

/// Ticks within which a world without faults comes to rest: more than the
/// deadline, the soak and everybody's patience together.
const LONG: usize = 2500;

/// Runs until nothing changes any more; the ticks that it took.
fn rest(world: &mut World) -> usize {
    for ticks in 0..LONG {
        let (ready, recycled) = (world.ready(), world.recycled);
        world.tick(&[]);
        if world.spec.swap.headroom == Headroom::Overlap && ready == 4 && world.recycled == recycled {
            assert_eq!(world.ready(), 4, "a pod stops speaking in {:?}", world.record.rollout);
        }
        if world.quiet > 5 {
            return ticks;
        }
    }
    panic!("no rest: {:?}", world.record);
}

fn outcome(record: &PoolRecord) -> Option<Outcome> {
    record.history.first().map(|entry| entry.outcome)
}

#[rstest]
#[case(Nature::Good, 2, Some(Outcome::Promoted))]
#[case(Nature::WillNotLoad, 1, Some(Outcome::Rejected))]
#[case(Nature::Crashes, 1, Some(Outcome::Rejected))]
#[case(Nature::Hangs, 1, Some(Outcome::Rejected))]
#[case(Nature::OtherBytes, 1, Some(Outcome::Rejected))]
#[case(Nature::BadVoice, 1, Some(Outcome::Rejected))]
#[case(Nature::Unclear, 1, None)]
#[case(Nature::FailsCallers, 1, Some(Outcome::Reverted))]
#[case(Nature::FailsInThePool, 1, Some(Outcome::Reverted))]
#[case(Nature::HangsInThePool, 1, Some(Outcome::Reverted))]
fn each_kind_of_model_ends_where_it_should(
    #[case] nature: Nature,
    #[case] stable: u32,
    #[case] expected: Option<Outcome>,
    #[values(Headroom::Overlap, Headroom::DrainFirst)] headroom: Headroom,
) {
    let mut world = World::new(&[(2, nature)]);
    world.spec.swap.headroom = headroom;
    rest(&mut world);
    assert!(world.is_settled(), "{world:#?}");
    assert_eq!((&world.record.stable, outcome(&world.record)), (&model(stable), expected));
    let held = world.record.rollout.as_ref().map(|rollout| rollout.phase);
    assert_eq!(held, (nature == Nature::Unclear).then_some(RolloutPhase::Paused));
}

/// Faults at one tick of an otherwise undisturbed rollout, at every tick in turn.
fn at_every_step(nature: Nature, faults: &[(usize, Fault)], expect: impl Fn(&World, usize)) {
    for headroom in [Headroom::Overlap, Headroom::DrainFirst] {
        let mut plain = World::new(&[(2, nature)]);
        plain.spec.swap.headroom = headroom;
        // A hang takes until the deadline, during which every tick is like the one before.
        let steps = rest(&mut plain).min(60);
        for step in 0..=steps {
            let mut world = World::new(&[(2, nature)]);
            world.spec.swap.headroom = headroom;
            let end = step + faults.iter().map(|(after, _)| after).max().unwrap_or(&0);
            for tick in 0..=end {
                let now = faults.iter().filter(|(after, _)| step + after == tick);
                let now: Vec<_> = now.map(|(_, fault)| *fault).collect();
                world.tick(&now);
            }
            rest(&mut world);
            assert!(world.is_settled(), "after {faults:?} at {step}: {world:#?}");
            expect(&world, step);
        }
    }
}

#[rstest]
#[case::write_lost(Fault::LoseWrite)]
#[case::operator_killed_after_it(Fault::KillOperator)]
#[case::orders_lost(Fault::LoseOrders)]
#[case::orders_twice(Fault::DoubleOrders)]
#[case::old_view(Fault::OldView)]
#[case::judge_restarted(Fault::RestartJudge)]
#[case::shadow_deleted(Fault::DeleteShadow)]
#[case::pod_deleted(Fault::DeletePod(0))]
#[case::last_pod_deleted(Fault::DeletePod(3))]
#[case::pod_killed(Fault::KillPod(1))]
#[case::pod_silent(Fault::Silence(1, 20))]
fn a_fault_at_any_step_changes_nothing_in_the_end(
    #[case] fault: Fault,
    #[values(Nature::Good, Nature::BadVoice, Nature::FailsCallers, Nature::FailsInThePool)] nature: Nature,
) {
    let stable = if nature == Nature::Good { 2 } else { 1 };
    at_every_step(nature, &[(0, fault)], |world, step| {
        assert_eq!(world.record.stable, model(stable), "{fault:?} at {step}: {:?}", world.record);
    });
}

#[rstest]
#[case::back_to_the_first(1)]
#[case::on_to_the_third(3)]
fn a_spec_that_changes_at_any_step_is_followed(
    #[case] version: u32,
    #[values(Nature::Good, Nature::BadVoice, Nature::FailsCallers, Nature::Hangs)] nature: Nature,
) {
    at_every_step(nature, &[(0, Fault::Spec(version))], |world, step| {
        assert_eq!(world.record.stable, model(version), "at {step}: {:?}", world.record);
        assert!(world.record.rollout.is_none());
    });
}

#[test]
fn a_spec_that_turns_back_and_forth_at_any_step_is_followed() {
    let turns = [(0, Fault::Spec(1)), (2, Fault::Spec(2)), (3, Fault::Spec(3)), (9, Fault::Spec(2))];
    at_every_step(Nature::Good, &turns, |world, step| {
        assert_eq!(world.record.stable, model(2), "at {step}: {:?}", world.record);
    });
}

#[test]
fn a_pause_at_any_step_only_delays() {
    at_every_step(Nature::Good, &[(0, Fault::Pause), (30, Fault::Resume)], |world, step| {
        assert_eq!(world.record.stable, model(2), "at {step}: {:?}", world.record);
    });
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0..4_usize).prop_map(Fault::DeletePod),
        (0..4_usize).prop_map(Fault::KillPod),
        (0..4_usize, 1..20_u32).prop_map(|(pod, ticks)| Fault::Silence(pod, ticks)),
        Just(Fault::DeleteShadow),
        Just(Fault::RestartJudge),
        Just(Fault::LoseWrite),
        Just(Fault::KillOperator),
        Just(Fault::LoseOrders),
        Just(Fault::DoubleOrders),
        Just(Fault::OldView),
        (1..5_u32).prop_map(Fault::Spec),
        Just(Fault::Pause),
        Just(Fault::Resume),
    ]
}

fn nature() -> impl Strategy<Value = Nature> {
    prop_oneof![
        3 => Just(Nature::Good),
        1 => Just(Nature::WillNotLoad),
        1 => Just(Nature::Crashes),
        1 => Just(Nature::Hangs),
        1 => Just(Nature::OtherBytes),
        1 => Just(Nature::BadVoice),
        1 => Just(Nature::Unclear),
        1 => Just(Nature::FailsCallers),
        1 => Just(Nature::FailsInThePool),
        1 => Just(Nature::HangsInThePool),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_goes_wrong_the_pods_come_to_serve_one_good_model(
        natures in proptest::collection::vec(nature(), 3),
        faults in proptest::collection::vec((0..120_usize, fault()), 0..24),
        drains in any::<bool>(),
    ) {
        let natures: Vec<_> = (2..5).zip(natures).collect();
        let mut world = World::new(&natures);
        if drains {
            world.spec.swap.headroom = Headroom::DrainFirst;
        }
        for tick in 0..120 {
            let now: Vec<_> = faults.iter().filter(|(at, _)| *at == tick).map(|(_, fault)| *fault).collect();
            world.tick(&now);
        }
        world.tick(&[Fault::Resume]);
        rest(&mut world);
        prop_assert!(world.is_settled(), "{:#?}", world);
        let stable: u32 = world.record.stable.version.parse().unwrap();
        prop_assert_eq!(world.nature(stable), Nature::Good);
        let killed = faults.iter().any(|(_, fault)| matches!(fault, Fault::KillPod(_)));
        let wanted: u32 = world.spec.model.version.parse().unwrap();
        if !killed && world.nature(wanted) == Nature::Good {
            prop_assert_eq!(stable, wanted, "{:?}", world.record);
        }
    }
}
