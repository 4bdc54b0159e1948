//! The most a proxy can do: callers that send as soon as they are answered.

use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::callers::Callers;

const CALLERS: usize = 32;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURE: Duration = Duration::from_secs(3);

/// Requests a second.
pub(crate) async fn knee(callers: &Callers) -> f64 {
    let begun = Instant::now();
    let all = (0..CALLERS).map(|_| {
        let callers = callers.clone();
        async move {
            let mut counted = 0u32;
            while begun.elapsed() < WARM_UP + MEASURE {
                callers.call().await.unwrap();
                counted += u32::from(begun.elapsed() > WARM_UP);
            }
            counted
        }
    });
    let counted = join_all(all.map(tokio::spawn)).await;
    f64::from(counted.into_iter().map(Result::unwrap).sum::<u32>()) / MEASURE.as_secs_f64()
}
