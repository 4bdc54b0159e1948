//! What callers of the incident sent: mostly a sentence or two, and some texts
//! of more than 800 characters.

const SENTENCES: [&str; 6] = [
    "Please call me back tomorrow morning before nine.",
    "The train to the city leaves from the second platform.",
    "It is never too late to learn something new.",
    "The old bridge was closed because of the heavy rain.",
    "Thank you for your help, and have a nice evening.",
    "The mountain was covered with fresh white snow.",
];
/// Every so many texts one is long.
const LONG_EVERY: usize = 12;
/// Sentences of a long text: some 1,200 characters.
const LONG: usize = 24;

/// An endless, always equal row of texts.
pub(crate) struct Texts(usize);

impl Texts {
    pub(crate) fn new() -> Self {
        Self(0)
    }

    /// The same row from another place on.
    pub(crate) fn from(place: usize) -> Self {
        Self(place)
    }
}

impl Iterator for Texts {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.0 += 1;
        let sentences = if self.0.is_multiple_of(LONG_EVERY) { LONG } else { 1 + self.0 % 2 };
        let chosen: Vec<&str> =
            (0..sentences).map(|place| SENTENCES[(self.0 + place) % SENTENCES.len()]).collect();
        Some(chosen.join(" "))
    }
}
