//! The one writer of the log: a thread that owns the output.
//!
//! Nobody else waits for the output. Lines are handed over in memory; when its reader is slower
//! than the log for long, lines are dropped and counted instead of holding the agent up.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most bytes that wait for the output.
const MOST_PENDING: usize = 8 << 20;

/// How long to wait when a non-blocking output has no room.
const RETRY: Duration = Duration::from_millis(5);

/// Where finished lines go. Clones share one output.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    idle: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<u8>,
    dropped: u64,
    writing: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Starts the thread. `notice` makes the line that tells how many were dropped.
    pub(super) fn start(
        output: impl Write + Send + 'static,
        notice: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let sink = Self { shared: Arc::clone(&shared) };
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_forever(&shared, output, notice))?;
        Ok(sink)
    }

    /// Hands over one line, its line end included. Never waits for the output.
    pub(super) fn write(&self, line: &[u8]) {
        if !self.try_write(line) {
            self.shared.lock().dropped += 1;
        }
    }

    /// Hands over one line if there is room for it. One that is refused is not counted as dropped.
    pub(super) fn try_write(&self, line: &[u8]) -> bool {
        let mut state = self.shared.lock();
        let room = state.pending.len() + line.len() <= MOST_PENDING;
        if room {
            let idle = state.pending.is_empty();
            state.pending.extend_from_slice(line);
            drop(state);
            if idle {
                self.shared.work.notify_one();
            }
        }
        room
    }

    /// Waits until everything handed over is written, at most `longest`. Says whether it is.
    pub(super) fn flush(&self, longest: Duration) -> bool {
        let deadline = Instant::now() + longest;
        let mut state = self.shared.lock();
        while !state.pending.is_empty() || state.writing || state.dropped > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.idle.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

fn write_forever(shared: &Shared, mut output: impl Write, notice: impl Fn(u64) -> Vec<u8>) {
    let mut batch = Vec::new();
    loop {
        let mut state = shared.lock();
        while state.pending.is_empty() && state.dropped == 0 {
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut batch, &mut state.pending);
        let dropped = std::mem::take(&mut state.dropped);
        state.writing = true;
        drop(state);

        write_all(&mut output, &batch);
        if dropped > 0 {
            write_all(&mut output, &notice(dropped));
        }
        batch.clear();
        batch.shrink_to(1 << 16);

        shared.lock().writing = false;
        shared.idle.notify_all();
    }
}

/// Writes everything. Waits as long as it takes, and gives up only when nobody can read it any
/// more: a closed log must not end the agent.
fn write_all(output: &mut impl Write, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return,
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(RETRY),
            Err(_) => return,
        }
    }
    let _ = output.flush();
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// An output that writes nothing until it is opened, then collects.
    struct Gate {
        open: mpsc::Receiver<()>,
        opened: bool,
        collected: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.opened {
                self.open.recv().map_err(io::Error::other)?;
                self.opened = true;
            }
            self.collected.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Sink, mpsc::Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (sender, open) = mpsc::channel();
        let collected = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate { open, opened: false, collected: Arc::clone(&collected) };
        let sink = Sink::start(gate, |dropped| format!("dropped {dropped}\n").into_bytes()).unwrap();
        (sink, sender, collected)
    }

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let (sink, open, collected) = gated();
        open.send(()).unwrap();

        for number in 0..1000 {
            sink.write(format!("line {number}\n").as_bytes());
        }

        assert!(sink.flush(Duration::from_secs(10)));
        let text = String::from_utf8(collected.lock().unwrap().clone()).unwrap();
        let expected: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        assert_eq!(text, expected);
    }

    /// Hostile 184.
    #[test]
    fn a_stuck_output_holds_nobody_up_and_lost_lines_are_counted() {
        let (sink, open, collected) = gated();
        let line = vec![b'x'; MOST_PENDING / 4];

        for _ in 0..12 {
            sink.write(&line);
        }
        assert!(!sink.flush(Duration::from_millis(1)));
        open.send(()).unwrap();
        assert!(sink.flush(Duration::from_secs(10)));

        let collected = collected.lock().unwrap();
        let text = String::from_utf8_lossy(&collected);
        let kept = text.bytes().filter(|byte| *byte == b'x').count() / line.len();
        let dropped: usize = text
            .split_terminator('\n')
            .map(|line| line.trim_start_matches('x').trim_start_matches("dropped ").parse::<usize>().unwrap())
            .sum();
        assert_eq!(kept + dropped, 12);
        assert!((4..=8).contains(&kept), "{kept}");
    }

    /// Hostile 184.
    #[test]
    fn a_closed_output_ends_nothing() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let sink = Sink::start(Closed, |_| Vec::new()).unwrap();

        sink.write(b"one\n");
        assert!(sink.flush(Duration::from_secs(10)));
        sink.write(b"two\n");
        assert!(sink.flush(Duration::from_secs(10)));
    }
}
