//! Three times the load that the pods can bear, with queues as real pods have.

use std::{collections::HashMap, rc::Rc};

use rstest::rstest;
use tokio::sync::Semaphore;

use super::{
    traffic::{Seen, traffic},
    *,
};

/// Requests that may wait for a thread before a pod refuses all; it does so
/// until half of them have been served.
const DEEPEST: usize = 20;

/// A pod with some threads, each of which speaks a text in a fixed time.
struct Pod {
    threads: Semaphore,
    service: Duration,
    /// How long a refusal takes.
    refusal: Duration,
    waiting: Cell<usize>,
    refuses: Cell<bool>,
    refused: Cell<u32>,
}

impl Pod {
    fn new(threads: usize, service: Duration, refusal: Duration) -> Self {
        let (waiting, refuses, refused) = (Cell::new(0), Cell::new(false), Cell::new(0));
        Self { threads: Semaphore::new(threads), service, refusal, waiting, refuses, refused }
    }

    async fn speak(&self) -> Outcome<()> {
        if self.refuses.get() {
            self.refused.update(|count| count + 1);
            tokio::time::sleep(self.refusal).await;
            let failure = Failure::new(ErrorCode::SystemBusy, "on purpose").retry_after(1);
            return Outcome::Full(Refusal { failure, over_share: false });
        }
        let place = Place::take(self);
        let thread = self.threads.acquire().await.unwrap();
        drop(place);
        tokio::time::sleep(self.service).await;
        drop(thread);
        Outcome::Answer(())
    }
}

/// A place in a pod's queue.
struct Place<'a>(&'a Pod);

impl<'a> Place<'a> {
    fn take(pod: &'a Pod) -> Self {
        pod.waiting.update(|waiting| waiting + 1);
        if pod.waiting.get() > DEEPEST {
            pod.refuses.set(true);
        }
        Self(pod)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.update(|waiting| waiting - 1);
        if self.0.waiting.get() <= DEEPEST / 2 {
            self.0.refuses.set(false);
        }
    }
}

const SECONDS: u32 = 20;

#[rstest]
#[case::a_slow_pod(1, 1, 50)]
#[case::a_quick_pod(1, 8, 50)]
#[case::two_pods(2, 2, 50)]
#[case::four_pods_of_long_texts(4, 8, 300)]
#[tokio::test(start_paused = true)]
async fn at_three_times_the_load_pods_have_work_all_the_time_and_few_callers_wait_for_a_refusal(
    #[case] pods: u8,
    #[case] threads: usize,
    #[case] service: u64,
    #[values(2, 100)] refusal: u64,
) {
    let (service, refusal) = (Duration::from_millis(service), Duration::from_millis(refusal));
    let main = pool("main", &(1..=pods).collect::<Vec<_>>());
    let by_address: HashMap<_, _> =
        (1..=pods).map(|pod| (address(pod), Rc::new(Pod::new(threads, service, refusal)))).collect();
    let capacity = f64::from(pods) * threads as f64 / service.as_secs_f64();
    let load = 3.0 * capacity;
    let callers = (load * f64::from(SECONDS)) as u32;
    let send = |pod: SocketAddr, time| {
        let pod = Rc::clone(&by_address[&pod]);
        async move {
            let late = Failure::new(ErrorCode::UpstreamTimeout, "on purpose");
            tokio::time::timeout(time, pod.speak()).await.unwrap_or(Outcome::Failed(late))
        }
    };
    let callers = traffic(sample(), &main, (callers, load), send).await;
    let answered: Vec<&Seen> = callers.iter().filter(|caller| caller.answered).collect();
    let share = answered.len() as f64 / (capacity * f64::from(SECONDS));
    assert!(share >= 0.9, "{share} of what they could");
    for second in 0..SECONDS {
        let in_it = |caller: &&&Seen| (caller.came + caller.took).as_secs() == u64::from(second);
        assert!(answered.iter().filter(in_it).count() > 0, "none in second {second}");
    }
    let refused: Vec<_> = callers.iter().filter(|caller| caller.refused).collect();
    assert_eq!(refused.len() + answered.len(), callers.len(), "nobody fails");
    let asked = refused.iter().filter(|caller| caller.took >= refusal).count();
    assert!(asked * 4 <= refused.len(), "{asked} of {} waited for a refusal", refused.len());
}
