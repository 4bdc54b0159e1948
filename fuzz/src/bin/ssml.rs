//! Feeds [`ttsfleet_fuzz::ssml`].
#![cfg_attr(fuzzing, no_main)]

ttsfleet_fuzz::target!(ttsfleet_fuzz::ssml);
