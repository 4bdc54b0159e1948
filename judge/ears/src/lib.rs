//! What can be heard in audio: words, quality, melody.
