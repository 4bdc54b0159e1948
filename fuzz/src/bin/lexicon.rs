//! Feeds [`ttsfleet_fuzz::lexicon`].
#![cfg_attr(fuzzing, no_main)]

ttsfleet_fuzz::target!(ttsfleet_fuzz::lexicon);
