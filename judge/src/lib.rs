//! Listens to pairs of audio and says how far the second is from the first.
