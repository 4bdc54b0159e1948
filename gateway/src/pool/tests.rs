use std::time::Duration;

use rand::{SeedableRng, rngs::SmallRng};
use ttsfleet_wire::error::ErrorCode;

use super::*;

use crate::{
    breaker::Verdict,
    call::Call,
    health::{Check, Health},
    outcome::Refusal,
    route::{Route, sample},
};

fn endpoint(number: u8) -> Endpoint {
    Endpoint::new(([10, 0, 0, number], 8080).into(), format!("uid-{number}"))
}

fn pool_of(pods: u8) -> (Arc<Pool>, Arc<Route>, SmallRng) {
    let pool = Arc::new(Pool::new("main"));
    pool.set_endpoints((1..=pods).map(endpoint).collect());
    (pool, Arc::new(Route::new(sample()).unwrap()), SmallRng::seed_from_u64(7))
}

fn call(
    pool: &Arc<Pool>,
    route: &Arc<Route>,
    tried: &[Arc<Endpoint>],
    random: &mut SmallRng,
) -> Result<Call, NoCall> {
    let is_tried = |pod: &Arc<Endpoint>| tried.iter().any(|other| Arc::ptr_eq(other, pod));
    Call::begin(pool, route, Flow::default(), Purpose::Answer, is_tried, random)
}

fn lose(pod: &Endpoint) {
    pod.unreachable(now());
    assert_eq!(pod.health(), Health::Lost);
}

fn full() -> Refusal {
    Refusal {
        failure: Failure::new(ErrorCode::TooManyRequests, "on purpose").retry_after(1),
        over_share: false,
    }
}

#[test]
fn the_less_busy_pod_gets_the_call() {
    let (pool, route, mut random) = pool_of(2);
    let first = call(&pool, &route, &[], &mut random).unwrap();
    let second = call(&pool, &route, &[], &mut random).unwrap();
    assert_ne!(first.endpoint.address, second.endpoint.address);
    assert_eq!(first.endpoint.outstanding(), 1);
    let endpoint = Arc::clone(&first.endpoint);
    drop(first);
    assert_eq!(endpoint.outstanding(), 0);
}

#[test]
fn a_pod_that_was_tried_is_not_chosen_again() {
    let (pool, route, mut random) = pool_of(2);
    let first = Arc::clone(&call(&pool, &route, &[], &mut random).unwrap().endpoint);
    for _ in 0..20 {
        let call = call(&pool, &route, std::slice::from_ref(&first), &mut random).unwrap();
        assert!(!Arc::ptr_eq(&call.endpoint, &first));
    }
    let all = pool.endpoints();
    assert_eq!(call(&pool, &route, &all, &mut random).err(), Some(NoCall::Empty));
}

#[test]
fn an_unhealthy_pod_is_chosen_only_if_all_are() {
    let (pool, route, mut random) = pool_of(2);
    let all = pool.endpoints();
    lose(&all[0]);
    for _ in 0..20 {
        assert_eq!(call(&pool, &route, &[], &mut random).unwrap().endpoint.address, all[1].address);
    }
    lose(&all[1]);
    assert!(call(&pool, &route, &[], &mut random).is_ok());
}

#[test]
fn a_pod_known_to_be_full_is_not_asked() {
    let (pool, route, mut random) = pool_of(2);
    let first = call(&pool, &route, &[], &mut random).unwrap();
    first.refused(&full());
    let second = call(&pool, &route, &[], &mut random).unwrap();
    assert_ne!(first.endpoint.address, second.endpoint.address);
    second.refused(&full());
    assert_eq!(call(&pool, &route, &[], &mut random).err(), Some(NoCall::Full(full().failure)));
}

#[test]
fn one_bad_pod_is_left_alone_and_does_not_condemn_the_pool() {
    let (pool, route, mut random) = pool_of(2);
    let bad = pool.endpoints()[0].address;
    for _ in 0..200 {
        let mut call = call(&pool, &route, &[], &mut random).unwrap();
        let verdict = if call.endpoint.address == bad { Verdict::Bad } else { Verdict::Good };
        call.report(verdict);
    }
    let now = Instant::now();
    assert_eq!(pool.endpoints()[0].state(now), State::Open);
    assert_eq!(pool.state(now), State::Closed);
}

#[test]
fn a_pool_with_all_pods_bad_refuses_and_says_how_long() {
    let (pool, route, mut random) = pool_of(3);
    let refused = (0..100).find_map(|_| {
        let call = call(&pool, &route, &[], &mut random);
        call.map(|mut call| call.report(Verdict::Bad)).err()
    });
    let Some(NoCall::Open(wait)) = refused else { panic!("{refused:?}") };
    assert!(wait > Duration::from_secs(4) && wait <= Duration::from_secs(5), "{wait:?}");
}

#[test]
fn what_is_known_of_a_pod_stays_until_another_has_its_address() {
    let (pool, ..) = pool_of(2);
    lose(&pool.endpoints()[0]);
    pool.set_endpoints(vec![endpoint(1), endpoint(3)]);
    assert_eq!(pool.endpoints()[0].health(), Health::Lost);
    pool.set_endpoints(vec![Endpoint::new(endpoint(1).address, "another".to_owned())]);
    assert_eq!(pool.endpoints()[0].health(), Health::Ready);
}

#[test]
fn a_pod_that_is_not_ready_gets_no_new_calls_and_what_it_has_begun_counts_nothing_against_it() {
    let (pool, route, mut random) = pool_of(2);
    let leaves: [fn(&Endpoint); 2] = [|pod| pod.checked(Check::Unready, now()), |pod| pod.offer(false)];
    for leave in leaves {
        let pods = pool.endpoints();
        let mut begun: Vec<_> =
            (0..20).map(|_| call(&pool, &route, &pods[1..], &mut random).unwrap()).collect();
        leave(&pods[0]);
        for _ in 0..20 {
            assert_eq!(call(&pool, &route, &[], &mut random).unwrap().endpoint.address, pods[1].address);
        }
        begun.iter_mut().for_each(|call| call.report(Verdict::Bad));
        begun.iter().for_each(Call::broke);
        assert_eq!((pods[0].state(now()), pool.state(now())), (State::Closed, State::Closed));
        pods[0].offer(true);
        pods[0].checked(Check::Ready, now());
    }
}

#[test]
fn what_is_known_of_a_pod_outlasts_its_being_away() {
    let (pool, route, mut random) = pool_of(1);
    for _ in 0..5 {
        call(&pool, &route, &[], &mut random).unwrap().report(Verdict::Bad);
    }
    let away = endpoint(1);
    away.offer(false);
    pool.set_endpoints(vec![away]);
    assert_eq!(call(&pool, &route, &[], &mut random).err(), Some(NoCall::Empty));
    pool.set_endpoints(vec![endpoint(1)]);
    assert!(matches!(call(&pool, &route, &[], &mut random).err(), Some(NoCall::Open(_))));
}

#[test]
fn a_pod_that_comes_back_is_not_held_to_what_was_heard_before() {
    let (pool, ..) = pool_of(1);
    lose(&pool.endpoints()[0]);
    let away = endpoint(1);
    away.offer(false);
    pool.set_endpoints(vec![away]);
    assert_eq!(pool.endpoints()[0].health(), Health::Lost);
    pool.set_endpoints(vec![endpoint(1)]);
    assert_eq!(pool.endpoints()[0].health(), Health::Ready);
}

#[test]
fn a_pod_that_is_named_twice_is_one_pod() {
    let (pool, ..) = pool_of(0);
    let away = endpoint(1);
    away.offer(false);
    pool.set_endpoints(vec![away, endpoint(1), endpoint(2)]);
    let pods = pool.endpoints();
    assert_eq!(pods.len(), 2);
    assert!(pods.iter().all(|pod| pod.is_offered()));
}

#[test]
fn a_pod_that_refuses_as_it_stops_is_not_asked_until_it_says_that_it_is_ready() {
    let (pool, route, mut random) = pool_of(2);
    let failure = Failure::new(ErrorCode::Draining, "on purpose").retry_after(1);
    let leaving = call(&pool, &route, &[], &mut random).unwrap();
    leaving.refused(&Refusal { failure, over_share: false });
    assert_eq!(leaving.endpoint.health(), Health::Unready);
    let pod = Arc::clone(&leaving.endpoint);
    drop(leaving);
    assert!(!Arc::ptr_eq(&call(&pool, &route, &[], &mut random).unwrap().endpoint, &pod));
    pod.checked(Check::Ready, now());
    assert_eq!(pod.health(), Health::Ready);
}

#[test]
fn a_caller_beyond_its_share_of_a_pod_leaves_it_to_others() {
    let (pool, route, mut random) = pool_of(1);
    let [greedy, other] = ["a", "b"].map(|caller| Flow::new("gold", caller.as_bytes(), false));
    let mut begin = |flow| Call::begin(&pool, &route, flow, Purpose::Answer, |_| false, &mut random);
    begin(greedy).unwrap().refused(&Refusal { over_share: true, ..full() });
    assert_eq!(begin(greedy).err(), Some(NoCall::Full(full().failure)));
    assert!(begin(other).is_ok());
}

#[test]
fn no_second_pod_is_asked_that_something_is_held_against() {
    let (pool, route, mut random) = pool_of(2);
    let pods = pool.endpoints();
    for _ in 0..5 {
        call(&pool, &route, &pods[1..], &mut random).unwrap().report(Verdict::Bad);
    }
    let later = now() + 2 * route.pod_rule.recovery;
    let is_late = |pod: &Arc<Endpoint>| Arc::ptr_eq(pod, &pods[1]);
    let mut choose = |purpose| pool.choose(Flow::default(), purpose, is_late, later, &mut random);
    assert!(choose(Purpose::Hedge).is_err());
    assert!(Arc::ptr_eq(&choose(Purpose::Answer).unwrap().endpoint, &pods[0]));
}
