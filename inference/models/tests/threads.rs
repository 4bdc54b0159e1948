//! Alone in its file, so that no other test starts threads meanwhile.

use std::{fs, ops::ControlFlow};

use ttsfleet_models::{ModelFolder, Utterance, load};

/// Many workers speak side by side; an inner pool would only get in the way.
#[test]
fn speaking_starts_no_threads() {
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let model = load(&ModelFolder::embedded(ttsfleet_voice::FILES).unwrap()).unwrap();
    let before = threads();
    let text =
        "The brontosaur Zyxgrobulon read a very long and very quiet book about the weather in the valley.";
    let utterance = Utterance { text, voice: "heart", speed: 1.0, lexicon: &[] };
    model.speak(&utterance, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(threads(), before);
}
