//! WAV files whose length is known only once they are complete.

use std::time::Duration;

const BEFORE_CHUNKS: usize = 12;
const HEAD: usize = 8;

/// Puts the lengths right that a stream could not tell, and answers how long its
/// sound is; none, and nothing is changed, if this is no WAV file.
pub(super) fn make_whole(file: &mut [u8]) -> Option<Duration> {
    if file.get(..4)? != b"RIFF" || file.get(8..BEFORE_CHUNKS)? != b"WAVE" {
        return None;
    }
    let (mut at, mut bytes_a_second) = (BEFORE_CHUNKS, None);
    loop {
        let content = at + HEAD;
        let length = number(file, at + 4)?;
        match file.get(at..at + 4)? {
            b"data" => {
                let data = file.len() - content;
                let length = Duration::try_from_secs_f64(data as f64 / f64::from(bytes_a_second?)).ok()?;
                let (whole, data) = (u32::try_from(file.len() - HEAD).ok()?, u32::try_from(data).ok()?);
                file[4..HEAD].copy_from_slice(&whole.to_le_bytes());
                file[at + 4..content].copy_from_slice(&data.to_le_bytes());
                return Some(length);
            }
            b"fmt " => bytes_a_second = Some(number(file, content + 8)?),
            _ => {}
        }
        // A chunk begins at an even place.
        at = content.checked_add(length as usize)?.checked_next_multiple_of(2)?;
    }
}

fn number(file: &[u8], at: usize) -> Option<u32> {
    let bytes = file.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}
