//! Lines on their way to a stream. Whoever reads a log may stop reading: then
//! the pipe fills, and who writes to it stands still. So only a thread of its
//! own writes, and what does not fit the queue before it is dropped and counted.

use std::{
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Bytes that wait to be written, at most.
const MOST_BYTES: usize = 1 << 20;
/// How long lines gather before they are written together. A thread that is woken
/// for each of them takes as much from those who write them as its own work.
const GATHER: Duration = Duration::from_millis(5);

/// The way to one stream; clones lead to the same.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Queue>);

struct Queue {
    waiting: Mutex<Waiting>,
    /// There is something to write.
    more: Condvar,
    /// All of it has been written.
    written: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    lines: u64,
    /// Lines that the thread has taken and not written yet.
    at_work: bool,
    /// The thread waits to be woken.
    asleep: bool,
}

impl Lines {
    /// Starts the thread that writes to `out`, the stream of that name. It lives
    /// as long as the process.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(crate) fn start(name: &'static str, out: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            more: Condvar::new(),
            written: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let taken = Arc::clone(&queue);
        thread::Builder::new().name(name.to_owned()).spawn(move || taken.write_all(name, out))?;
        Ok(Self(queue))
    }

    /// Hands over a line, its end included; never waits for the stream.
    pub(crate) fn put(&self, line: &[u8]) {
        let mut waiting = self.0.lock();
        if waiting.bytes.len() + line.len() > MOST_BYTES {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes.extend_from_slice(line);
        waiting.lines += 1;
        // To wake a thread is a system call, also where it does not sleep.
        let wakes = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if wakes {
            self.0.more.notify_one();
        }
    }

    /// Lines dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all has been written, but not longer than that.
    pub(crate) fn flush(&self, longest: Duration) {
        let waiting = self.0.lock();
        let unwritten = |waiting: &mut Waiting| waiting.at_work || waiting.lines > 0;
        drop(self.0.written.wait_timeout_while(waiting, longest, unwritten));
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, name: &'static str, mut out: impl Write) {
        let mut told = 0;
        loop {
            self.wait_for_lines();
            thread::sleep(GATHER);
            let (bytes, lines) = self.take();
            // Lines that cannot be written are as good as dropped.
            if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
                self.dropped.fetch_add(lines, Ordering::Relaxed);
            }
            let dropped = self.dropped.load(Ordering::Relaxed);
            if dropped > told {
                tracing::warn!(stream = name, lines = dropped - told, "log lines dropped: nobody took them");
                told = dropped;
            }
        }
    }

    fn wait_for_lines(&self) {
        let mut waiting = self.lock();
        waiting.at_work = false;
        if waiting.lines == 0 {
            waiting.asleep = true;
            self.written.notify_all();
        }
        drop(self.more.wait_while(waiting, |waiting| waiting.asleep));
    }

    /// Takes all there are.
    fn take(&self) -> (Vec<u8>, u64) {
        let mut waiting = self.lock();
        waiting.at_work = true;
        let lines = std::mem::take(&mut waiting.lines);
        (std::mem::take(&mut waiting.bytes), lines)
    }
}

impl Write for Lines {
    /// Takes what it is given as one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A stream that takes nothing until told, and then everything.
    struct Stalled {
        go: Option<Receiver<()>>,
        taken: Sender<Vec<u8>>,
    }

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(go) = self.go.take() {
                _ = go.recv();
            }
            _ = self.taken.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn stalled() -> (Lines, Sender<()>, Receiver<Vec<u8>>) {
        let (go, gone) = channel();
        let (taken, seen) = channel();
        (Lines::start("test", Stalled { go: Some(gone), taken }).unwrap(), go, seen)
    }

    #[test]
    fn a_stream_that_nobody_reads_holds_up_nobody_and_what_is_lost_is_counted() {
        let (lines, go, seen) = stalled();
        let line = [b'x'; 1 << 10];
        let put = 4 * MOST_BYTES / line.len();
        for _ in 0..put {
            lines.put(&line);
        }
        let dropped = lines.dropped();
        assert!(dropped >= (put / 2) as u64, "{dropped} of {put}");
        go.send(()).unwrap();
        lines.flush(LONG);
        let written: usize = seen.try_iter().map(|bytes| bytes.len()).sum();
        assert_eq!(written as u64, (put as u64 - dropped) * line.len() as u64);
    }

    #[test]
    fn lines_come_out_in_their_order_and_all_before_the_end() {
        let (lines, go, seen) = stalled();
        drop(go);
        for number in 0..1000 {
            lines.put(format!("{number}\n").as_bytes());
        }
        lines.flush(LONG);
        let written = String::from_utf8(seen.try_iter().flatten().collect()).unwrap();
        assert!(written.lines().map(|line| line.parse::<u32>().unwrap()).eq(0..1000));
    }

    #[test]
    fn the_end_does_not_wait_for_a_stream_for_ever() {
        let (lines, _go, _seen) = stalled();
        lines.put(b"never\n");
        lines.flush(Duration::from_millis(10));
    }

    #[test]
    fn lines_that_cannot_be_written_count_as_dropped() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::start("test", Broken).unwrap();
        lines.put(b"one\n");
        lines.put(b"two\n");
        lines.flush(LONG);
        assert_eq!(lines.dropped(), 2);
    }
}
