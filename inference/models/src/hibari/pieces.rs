//! How much of a text is made at once.

/// Frames of the first piece of a text: half a second, so that it is soon heard.
const FIRST: usize = 40;
/// Frames of the largest piece, 2 s: whoever waits for the next one, or for the
/// thread, does not wait long.
const LARGEST: usize = 160;

/// The lengths of a text's pieces, in frames: each is twice the one before, as
/// by then there is more to listen to.
pub(super) struct Lengths {
    next: usize,
}

impl Lengths {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The length of the next piece.
    pub(super) fn next(&mut self) -> usize {
        let length = self.next;
        self.next = (length * 2).min(LARGEST);
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_grow_from_half_a_second_to_two() {
        let mut lengths = Lengths::new();
        assert_eq!([(); 5].map(|()| lengths.next()), [40, 80, 160, 160, 160]);
    }
}
