//! `kubectl ttsfleet`.

fn main() {}
