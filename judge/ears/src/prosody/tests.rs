use std::f32::consts::TAU;

use super::*;

/// Four syllables of vowels, the voice gliding from one pitch to the other.
struct Song {
    from: f32,
    to: f32,
    syllable: f32,
    syllables: usize,
    strength: f32,
}

const SONG: Song = Song { from: 180.0, to: 240.0, syllable: 0.25, syllables: 4, strength: 0.2 };

impl Song {
    fn sing(&self) -> Clip {
        let per_syllable = (self.syllable * RATE as f32) as usize;
        let total = per_syllable * self.syllables;
        let mut turns = 0.0;
        let samples = (0..total).map(|n| {
            let pitch = self.from + (self.to - self.from) * n as f32 / total as f32;
            turns += pitch / RATE as f32;
            let inside = (n % per_syllable) as f32 / per_syllable as f32;
            if inside > 0.8 {
                return 0.0;
            }
            let formant = [600.0, 1_000.0, 1_600.0, 2_200.0][n / per_syllable % 4];
            let voice: f32 = (1..=14)
                .map(|harmonic| {
                    let place = (harmonic as f32 * pitch - formant) / 400.0;
                    ((-place * place).exp() + 0.1) * (TAU * (turns * harmonic as f32).fract()).sin()
                })
                .sum();
            self.strength * (inside / 0.8 * TAU / 2.0).sin() * voice
        });
        Clip { samples: samples.collect(), rate: RATE }
    }

    fn contour(&self) -> Contour {
        analyse(&self.sing())
    }
}

fn hiss(count: usize, strength: f32) -> Vec<f32> {
    let mut state = 7_u32;
    let sample = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        strength * ((state >> 8) as f32 / 8_388_608.0 - 1.0)
    };
    (0..count).map(sample).collect()
}

#[test]
fn pitch_is_found_within_a_quarter_of_a_semitone() {
    for hertz in [70.0, 110.0, 220.0, 330.0, 480.0] {
        let contour = Song { from: hertz, to: hertz, ..SONG }.contour();
        let found = contour.pitch().unwrap();
        assert!((12.0 * (found / hertz).log2()).abs() < 0.25, "{found} instead of {hertz}");
        assert!(contour.voiced() > 0.65, "{hertz}: {}", contour.voiced());
    }
}

#[test]
fn noise_has_no_pitch() {
    let contour = analyse(&Clip { samples: hiss(16_000, 0.3), rate: RATE });
    assert!(contour.voiced() < 0.05, "{}", contour.voiced());
    assert!((contour.seconds() - 1.0).abs() < 0.02);
}

#[test]
fn equals_are_no_distance_apart() {
    let contour = SONG.contour();
    assert_eq!(distance(&contour, &contour), Distance::NONE);
}

#[test]
fn loudness_of_the_whole_silence_before_and_another_rate_do_not_count() {
    let clip = SONG.sing();
    let padding = vec![0.0; 4_000];
    let softer = clip.samples.iter().map(|sample| sample * 0.3);
    let samples = padding.into_iter().chain(softer).collect();
    let other = Clip { samples, rate: RATE }.at(24_000).into_owned();
    let (bare, padded) = (analyse(&clip), analyse(&other));
    let found = distance(&bare, &padded);
    assert!(found.total < 0.15, "{found:?}");
    let later = padded.lead().unwrap() - bare.lead().unwrap();
    assert!((later - 0.25).abs() < 0.02, "{later}");
}

#[test]
fn silence_after_counts_where_there_is_more_of_it() {
    let followed_by = |seconds: f32| {
        let mut clip = SONG.sing();
        clip.samples.extend(vec![0.0; (seconds * RATE as f32) as usize]);
        analyse(&clip)
    };
    let (short, long) = (followed_by(0.2), followed_by(1.4));
    let longer = distance(&short, &long);
    assert!((longer.trailing - 1.2).abs() < 0.02 && (longer.total - 0.6).abs() < 0.05, "{longer:?}");
    assert_eq!(distance(&long, &short).trailing, 0.0);
}

#[test]
fn noise_before_and_after_is_not_taken_for_speech() {
    let clip = SONG.sing();
    let padding = vec![0.0; 8_000];
    let samples: Vec<f32> = padding.iter().chain(&clip.samples).chain(&padding).copied().collect();
    let samples = samples.iter().zip(hiss(samples.len(), 0.02)).map(|(sample, hiss)| sample + hiss).collect();
    let contour = analyse(&Clip { samples, rate: RATE });
    assert!((contour.seconds() - SONG.contour().seconds()).abs() < 0.1, "{}", contour.seconds());
}

#[test]
fn each_difference_shows_in_its_part() {
    let contour = SONG.contour();
    let to = |song: Song| distance(&contour, &song.contour());

    let higher = to(Song { from: SONG.from * 1.12, to: SONG.to * 1.12, ..SONG });
    assert!((higher.pitch - 1.96).abs() < 0.3 && higher.melody < 0.5, "{higher:?}");

    let falling = to(Song { from: SONG.to, to: SONG.from, ..SONG });
    assert!(falling.melody > 2.0 && falling.pitch < 0.5, "{falling:?}");

    let slower = to(Song { syllable: SONG.syllable * 1.2, ..SONG });
    assert!((slower.pace - 1.2).abs() < 0.02 && slower.melody < 0.5, "{slower:?}");

    let shorter = to(Song { syllables: 2, ..SONG });
    assert!(shorter.pace > 1.9 && shorter.total > 1.0, "{shorter:?}");

    let voice = SONG.sing().samples;
    let whisper = voice.iter().zip(hiss(voice.len(), 1.0)).map(|(voice, hiss)| voice.abs() * hiss).collect();
    let whispered = distance(&contour, &analyse(&Clip { samples: whisper, rate: RATE }));
    assert!(whispered.voicing > 0.5 && whispered.melody >= 6.0, "{whispered:?}");
}

#[test]
fn silence_is_as_far_from_speech_as_anything_and_near_to_silence() {
    let silence = analyse(&Clip { samples: vec![0.0; 16_000], rate: RATE });
    assert_eq!(silence.seconds(), 0.0);
    assert_eq!((silence.lead(), silence.pitch()), (None, None));
    assert_eq!(distance(&silence, &silence).total, 0.0);
    let apart = distance(&SONG.contour(), &silence);
    assert!((apart.total - 5.0_f32.sqrt()).abs() < 1e-4, "{apart:?}");
}

#[test]
fn the_order_of_the_two_does_not_count() {
    let other = Song { from: 200.0, to: 190.0, syllable: 0.3, ..SONG }.contour();
    let (there, back) = (distance(&SONG.contour(), &other), distance(&other, &SONG.contour()));
    assert!((there.total - back.total).abs() < 0.1, "{there:?} {back:?}");
}

#[test]
fn what_is_no_audio_has_nothing_to_compare() {
    for (samples, rate) in [(vec![], RATE), (vec![f32::NAN; 16_000], RATE), (vec![0.1; 16_000], 0)] {
        assert_eq!(analyse(&Clip { samples, rate }).seconds(), 0.0);
    }
}

proptest::proptest! {
    #[test]
    fn any_two_clips_have_a_distance_that_is_a_number(
        a in proptest::collection::vec(-1.0_f32..1.0, 0..4_000),
        b in proptest::collection::vec(-1.0_f32..1.0, 0..4_000),
    ) {
        let contour = |samples| analyse(&Clip { samples, rate: 8_000 });
        let found = distance(&contour(a), &contour(b));
        proptest::prop_assert!((0.0..=2.45).contains(&found.total), "{:?}", found);
    }
}
