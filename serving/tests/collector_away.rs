//! Who asks for speech does not feel that traces go nowhere.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod traced;

use traced::{args, ask};
use ttsfleet_serving::traces;

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_fails_no_request_and_holds_up_no_end() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    traces::start("narrator", &args(&format!("http://{nobody}"))).unwrap();
    for _ in 0..3000 {
        assert_eq!(ask("/speak", None).await, 200);
    }
    traces::finish().await;
    assert_eq!(ask("/speak", None).await, 200);
}
