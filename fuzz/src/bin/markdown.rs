//! Feeds [`ttsfleet_fuzz::markdown`].
#![cfg_attr(fuzzing, no_main)]

ttsfleet_fuzz::target!(ttsfleet_fuzz::markdown);
