//! The most a proxy can do: callers that send as soon as they are answered.

use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::load::keeping_client;

const CALLERS: usize = 32;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURE: Duration = Duration::from_secs(3);

/// Requests a second.
pub(crate) async fn knee(url: &str) -> f64 {
    let client = keeping_client();
    let url = format!("{url}/v1/audio/speech");
    let begun = Instant::now();
    let callers = (0..CALLERS).map(|_| async {
        let mut counted = 0u32;
        while begun.elapsed() < WARM_UP + MEASURE {
            let body = serde_json::json!({"input": crate::TEXT, "response_format": "pcm"});
            let answer = client.post(&url).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            answer.bytes().await.unwrap();
            counted += u32::from(begun.elapsed() > WARM_UP);
        }
        counted
    });
    let counted: u32 = join_all(callers).await.into_iter().sum();
    f64::from(counted) / MEASURE.as_secs_f64()
}
