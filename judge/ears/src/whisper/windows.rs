use std::ops::Range;

/// Share of a window, at its end, in which the cut may be.
const CUT_WITHIN: usize = 6;
/// Pieces of which the quietest is cut through, 0.1 s.
const QUIET: usize = 1_600;

/// Parts the samples into windows of at most `most`, each but the last cut in
/// the middle of the quietest tenth of a second of its last sixth, so that
/// hardly a word is cut.
pub(super) fn cut(samples: &[f32], most: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    while samples.len() - start > most {
        let earliest = start + most - most / CUT_WITHIN;
        let power = |piece: &[f32]| piece.iter().map(|sample| sample * sample).sum::<f32>();
        let pieces = samples[earliest..start + most].chunks_exact(QUIET).map(power);
        let quietest = pieces.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
        let end = earliest + quietest.map_or(0, |(place, _)| place * QUIET + QUIET / 2);
        ranges.push(start..end);
        start = end;
    }
    ranges.push(start..samples.len());
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_clip_is_one_window() {
        assert_eq!(cut(&[1.0; 100], 480_000), vec![0..100]);
        assert_eq!(cut(&[1.0; 480_000], 480_000), vec![0..480_000]);
    }

    #[test]
    fn a_long_clip_is_cut_where_it_is_quiet_and_nothing_is_lost() {
        let mut samples = vec![0.5; 1_000_000];
        let pause = 420_000..424_000;
        samples[pause.clone()].fill(0.0);
        let ranges = cut(&samples, 480_000);
        assert_eq!(ranges.len(), 3);
        assert!(pause.contains(&ranges[0].end), "{ranges:?}");
        assert_eq!((ranges[0].start, ranges[2].end), (0, 1_000_000));
        assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert!(ranges.iter().all(|range| range.len() <= 480_000));
    }
}
