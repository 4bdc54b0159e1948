//! Feeds [`ttsfleet_fuzz::request`].
#![cfg_attr(fuzzing, no_main)]

ttsfleet_fuzz::target!(ttsfleet_fuzz::request);
