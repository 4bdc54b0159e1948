//! The way from a synthesis thread to the response: bounded in bytes, so that
//! a client that reads slowly holds neither unbounded memory nor, beyond the
//! deadline, a thread.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{error::Elapsed, timeout_at},
};
use ttsfleet_serving::Failure;

/// What a synthesis reports.
#[derive(Debug)]
pub(crate) enum Event {
    /// The next bytes of the file.
    Audio(Bytes),
    /// All has been said.
    Done(Spoken),
    /// No more will come.
    Failed(Failure),
}

/// What was made for one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spoken {
    /// Length of the audio.
    pub(crate) audio: Duration,
}

/// Why audio was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nobody waits for it any more.
    Gone,
    /// The client did not make room in time.
    TooSlow,
}

/// Bytes to one event.
const PIECE: usize = 64 << 10;

/// The synthesis thread's end.
pub(crate) struct Sender {
    events: mpsc::UnboundedSender<(Event, Option<OwnedSemaphorePermit>)>,
    room: Arc<Semaphore>,
    runtime: Handle,
    deadline: Instant,
    waited: Duration,
}

/// The response's end.
pub(crate) struct Receiver {
    events: mpsc::UnboundedReceiver<(Event, Option<OwnedSemaphorePermit>)>,
    deadline: Instant,
}

/// How long after the deadline the thread may take to say that it has passed.
const GRACE: Duration = Duration::from_secs(5);

/// Both ends, with room for `bytes`. Called on the runtime.
pub(crate) fn channel(bytes: usize, deadline: Instant) -> (Sender, Receiver) {
    let (events, receiver) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(bytes.max(PIECE)));
    let sender = Sender { events, room, runtime: Handle::current(), deadline, waited: Duration::ZERO };
    (sender, Receiver { events: receiver, deadline })
}

impl Sender {
    /// Whether the client has gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.events.is_closed()
    }

    /// Whether the time for the request is up.
    pub(crate) fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Whether so many bytes can be handed over without waiting for the client.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.room.available_permits() >= bytes
    }

    /// Time spent waiting for the client.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Hands over audio, waiting for room. Never called on the runtime.
    pub(crate) fn audio(&mut self, bytes: Vec<u8>) -> Result<(), Refused> {
        let mut rest = Bytes::from(bytes);
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE));
            let room = self.wait_for_room(piece.len() as u32)?;
            self.events.send((Event::Audio(piece), Some(room))).map_err(|_| Refused::Gone)?;
        }
        Ok(())
    }

    /// Ends the answer. If nobody waits for it, so be it.
    pub(crate) fn end(self, event: Event) {
        _ = self.events.send((event, None));
    }

    fn wait_for_room(&mut self, bytes: u32) -> Result<OwnedSemaphorePermit, Refused> {
        let start = Instant::now();
        let room = Arc::clone(&self.room).acquire_many_owned(bytes);
        let deadline = self.deadline.into();
        // The timer has to be made on the runtime.
        let room = self.runtime.block_on(async move { timeout_at(deadline, room).await });
        self.waited += start.elapsed();
        room.map_err(|_| Refused::TooSlow)?.map_err(|_| Refused::Gone)
    }
}

impl Receiver {
    /// The next event, making room for more; none if the thread broke off. Fails
    /// if it has not even said that the request's time is up.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Elapsed> {
        let event = timeout_at((self.deadline + GRACE).into(), self.events.recv()).await?;
        Ok(event.map(|(event, _room)| event))
    }
}
