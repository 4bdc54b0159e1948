//! What callers may ask for is not taken from them unasked.

use rstest::rstest;
use ttsfleet_crds::conditions::Reason;
use ttsfleet_crds::{Promotion, RolloutPhase};
use ttsfleet_wire::judge::Report;

use super::fixture::*;
use crate::rollout::{Decision, PodView, PoolRecord, PoolSpec, PoolView, decide};

/// A candidate that is loaded and then passes, in a shadow like this.
fn passing(spec: &PoolSpec, shadow: PodView) -> (PoolRecord, Decision) {
    let staged = under_way(RolloutPhase::Staging);
    let loaded = decided(spec, &staged, &view(pods([1; 4]), vec![shadow.clone()], 10));
    assert_eq!(line(&staged, &loaded), "Shadowing sjm");
    // What was heard when it was loaded counts, also if it says nothing now.
    let report =
        Report { session: loaded.record.rollout.clone().expect("a rollout").trial, ..report(100, -0.5, 0.5) };
    let view = PoolView { report: Some(report), ..view(pods([1; 4]), vec![shadow.dark()], 20) };
    let decision = decided(spec, &loaded.record, &view);
    (loaded.record, decision)
}

#[rstest]
#[case::a_voice(shadow().offering(|of| of.offers = offers(&["sky"])), "voice heart")]
#[case::a_language(shadow().offering(|of| of.offers.languages = vec!["fr-FR".to_owned()]), "language en-US")]
#[case::its_name(shadow().offering(|of| of.name = "kestrel".to_owned()), "model hibari")]
#[case::its_rate(shadow().offering(|of| of.offers.sample_rate = 16_000), "pcm at 24000 samples a second (it has 16000)")]
fn what_would_be_taken_from_callers_is_held_and_named(
    #[values(Promotion::Automatic, Promotion::Manual)] promotion: Promotion,
    #[case] shadow: PodView,
    #[case] missing: &str,
) {
    let spec = PoolSpec { promotion, ..spec(2) };
    let (before, held) = passing(&spec, shadow);
    assert_eq!(line(&before, &held), "Paused");
    assert_eq!((held.quality.status, held.quality.reason), (None, Reason::OffersLess));
    for words in ["passed every gate", missing, "promote it by hand if that is meant"] {
        assert!(message(&held).contains(words), "{}", message(&held));
    }
    assert_eq!(held.notes.last().map(|note| (note.warning, note.reason)), Some((true, "OffersLess")));
    let later = view(pods([1; 4]), vec![], 30);
    assert_eq!(
        line(&held.record, &decided(&spec, &held.record, &later)),
        "Paused",
        "for as long as it takes"
    );
    let promoted = decide(&spec, &commands(&[("promote", "main/hibari@2")]), &held.record, &later);
    assert!(line(&held.record, &promoted).starts_with("Promoting"), "{}", line(&held.record, &promoted));
}

#[rstest]
#[case::the_same(shadow())]
#[case::more(shadow().offering(|of| of.offers = offers(&["sky", "heart", "bella"])))]
#[case::not_known(shadow().offering(|of| of.offers = Default::default()))]
fn a_candidate_that_offers_no_less_is_promoted(#[case] shadow: PodView) {
    let (before, decision) = passing(&spec(2), shadow);
    assert!(line(&before, &decision).starts_with("Promoting"), "{}", line(&before, &decision));
}
