//! One text on its synthesis thread: spoken, encoded, handed over, turn by turn.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use ttsfleet_models::Script;
use ttsfleet_serving::Failure;
use ttsfleet_wire::{audio::AudioFormat, error::ErrorCode};

use crate::{
    audio::{EncodeError, Encoder, encoder, marks::Marks},
    http::failures::{inference, of_model},
    outbox::{Event, Refused, Sender, Spoken},
    pool::Seat,
    scheduler::SHORT_TURN,
    slot::Served,
    state::App,
};

/// What is to be spoken, and by what.
pub(crate) struct Synthesis {
    pub(crate) app: Arc<App>,
    pub(crate) served: Arc<Served>,
    pub(crate) script: Script,
    pub(crate) format: AudioFormat,
    /// Samples a second that are sent.
    pub(crate) sample_rate: u32,
    /// What the file says of itself.
    pub(crate) marks: Option<Arc<Marks>>,
}

/// Why a synthesis ended before its end.
enum Stop {
    Refused(Refused),
    Failed(Failure),
    /// The time for one request is up.
    Late,
}

impl From<EncodeError> for Stop {
    fn from(error: EncodeError) -> Self {
        Self::Failed(inference(error.to_string()))
    }
}

impl Synthesis {
    /// Speaks into `sender`. Holds a turn from the first moment on.
    pub(crate) fn run(self, sender: Sender, seat: &Seat) {
        let started = Instant::now();
        let mut outlet = Outlet {
            sender,
            seat,
            rate: f64::from(self.served.model().manifest().sample_rate),
            unpaid: 0,
            waited: Duration::ZERO,
        };
        let ended = match self.encode(&mut outlet) {
            Ok(samples) => {
                let seconds = samples as f64 / outlet.rate;
                let work = started.elapsed().saturating_sub(outlet.waited);
                self.app.metrics.audio.inc_by(seconds);
                self.app.metrics.real_time_factor.observe(work.as_secs_f64() / seconds);
                self.app.learn_seconds(&self.script, seconds, work.as_secs_f64());
                Event::Done(Spoken { audio: Duration::from_secs_f64(seconds) })
            }
            Err(Stop::Refused(Refused::Gone)) => return,
            Err(Stop::Refused(Refused::TooSlow)) => Event::Failed(too_slow()),
            Err(Stop::Failed(failure)) => Event::Failed(failure),
            Err(Stop::Late) if outlet.sender.waited() > started.elapsed() / 2 => Event::Failed(too_slow()),
            Err(Stop::Late) => Event::Failed(late(self.app.limits.longest_request)),
        };
        outlet.sender.end(ended);
    }

    /// Speaks, encodes, hands over; answers the number of samples.
    fn encode(&self, outlet: &mut Outlet<'_>) -> Result<usize, Stop> {
        let model = self.served.model();
        let mut encoder =
            encoder(self.format, model.manifest().sample_rate, self.sample_rate, self.marks.as_deref())?;
        let mut samples = 0;
        let mut stop = None;
        let spoken = model.say(&self.script, &mut |audio| {
            samples += audio.len();
            match outlet.take(audio, &mut *encoder) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => {
                    stop = Some(reason);
                    ControlFlow::Break(())
                }
            }
        });
        if let Some(reason) = stop {
            return Err(reason);
        }
        spoken.map_err(|error| Stop::Failed(of_model(error)))?;
        if samples == 0 {
            return Err(Stop::Failed(inference("the model made no audio")));
        }
        let mut bytes = Vec::new();
        encoder.finish(&mut bytes)?;
        outlet.send(bytes)?;
        Ok(samples)
    }
}

/// Where a synthesis leaves its audio, and its turn.
struct Outlet<'a> {
    sender: Sender,
    seat: &'a Seat,
    /// Samples a second.
    rate: f64,
    /// Samples made in this turn.
    unpaid: usize,
    /// Time spent waiting, for the client or for a turn.
    waited: Duration,
}

impl Outlet<'_> {
    /// Takes a piece of audio, and lets others have their turn before the next.
    fn take(&mut self, audio: &[f32], encoder: &mut dyn Encoder) -> Result<(), Stop> {
        self.unpaid += audio.len();
        let mut bytes = Vec::new();
        encoder.push(audio, &mut bytes)?;
        self.send(bytes)?;
        if self.made() >= SHORT_TURN {
            let waiting = Instant::now();
            self.seat.pass(self.made());
            self.waited += waiting.elapsed();
            self.unpaid = 0;
        }
        if self.sender.is_late() {
            return Err(Stop::Late);
        }
        self.still_wanted()
    }

    /// Hands bytes over. A client that has to be waited for is not waited for in
    /// one's turn.
    fn send(&mut self, bytes: Vec<u8>) -> Result<(), Stop> {
        self.still_wanted()?;
        if self.sender.has_room(bytes.len()) {
            return self.sender.audio(bytes).map_err(Stop::Refused);
        }
        let waiting = Instant::now();
        self.seat.park(self.made());
        self.unpaid = 0;
        self.sender.audio(bytes).map_err(Stop::Refused)?;
        self.seat.resume();
        self.waited += waiting.elapsed();
        Ok(())
    }

    /// Notices that the client has gone even where an encoder has no bytes yet.
    fn still_wanted(&self) -> Result<(), Stop> {
        if self.sender.is_closed() { Err(Stop::Refused(Refused::Gone)) } else { Ok(()) }
    }

    fn made(&self) -> f64 {
        self.unpaid as f64 / self.rate
    }
}

fn too_slow() -> Failure {
    Failure::new(ErrorCode::ClientTooSlow, "The answer was read too slowly, and has been cut off.")
}

/// The failure of a text that takes longer than a request may.
pub(crate) fn late(longest: Duration) -> Failure {
    let message = format!(
        "Speaking this text took longer than {} s, and was ended; send it in shorter parts.",
        longest.as_secs_f32()
    );
    Failure::new(ErrorCode::InferenceFailed, message).because("the synthesis exceeded its deadline")
}
