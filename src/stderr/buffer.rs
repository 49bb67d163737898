//! Lines that wait to be written, in bounded room, and the thread that writes them.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};

/// Bytes that may wait: some thousand lines.
const WAITING_BYTES_MAX: usize = 256 << 10;

#[derive(Debug, Default)]
pub struct Buffer {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines that found no room since the last that did.
    dropped: u64,
    is_writing: bool,
}

/// The way in, as `env_logger` wants it: each call is a line.
pub struct Entrance(pub Arc<Buffer>);

impl Write for Entrance {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    /// Tells of what was dropped, in its place among the lines.
    fn tell_dropped(&mut self) {
        if self.dropped > 0 {
            let text = format!("[{} lines were dropped here: nobody read stderr]\n", self.dropped);
            self.waiting.extend_from_slice(text.as_bytes());
            self.dropped = 0;
        }
    }
}

impl Buffer {
    /// Puts a line behind those that wait, or drops it.
    pub fn put(&self, line: &[u8]) {
        let mut state = self.locked();
        if state.waiting.len() + line.len() > WAITING_BYTES_MAX {
            state.dropped += 1;
            return;
        }
        state.tell_dropped();
        state.waiting.extend_from_slice(line);
        self.changed.notify_all();
    }

    /// Writes what comes, for ever. What cannot be written is lost: there is nobody to tell.
    pub fn write_all_to(&self, out: &mut (impl Write + std::os::fd::AsFd)) {
        loop {
            let mut state = self.locked();
            state.is_writing = false;
            self.changed.notify_all();
            while state.waiting.is_empty() && state.dropped == 0 {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.tell_dropped();
            let bytes = std::mem::take(&mut state.waiting);
            state.is_writing = true;
            drop(state);
            write_patiently(out, &bytes);
        }
    }

    pub fn wait_until_empty(&self, deadline: Instant) {
        let mut state = self.locked();
        while state.is_writing || !state.waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stderr that others have may be set not to block; then it is waited for.
fn write_patiently(out: &mut (impl Write + std::os::fd::AsFd), mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if poll(&mut [PollFd::new(out, PollFlags::OUT)], None)
                    .is_err_and(|error| error != rustix::io::Errno::INTR)
                {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::time::Duration;

    #[test]
    fn what_finds_no_room_is_dropped_and_told_of_once_somebody_reads() {
        let (mut read, mut write) = io::pipe().unwrap();
        let buffer = Arc::new(Buffer::default());
        let writer = Arc::clone(&buffer);
        std::thread::spawn(move || writer.write_all_to(&mut write));
        // More than the pipe and the buffer hold.
        let line = [[b'x'; 1023].as_slice(), b"\n"].concat();
        for _ in 0..2000 {
            buffer.put(&line);
        }
        buffer.wait_until_empty(Instant::now() + Duration::from_millis(10));
        assert!(buffer.locked().waiting.len() <= WAITING_BYTES_MAX + 100);
        let (mut got, mut piece) = (String::new(), vec![0; 65536]);
        let told = |got: &str| {
            let counts =
                got.lines().filter_map(|line| line.strip_prefix('[')?.split(' ').next()?.parse::<usize>().ok());
            got.lines().filter(|line| line.len() == 1023).count() + counts.sum::<usize>()
        };
        while told(&got) < 2000 {
            let came = read.read(&mut piece).unwrap();
            got.push_str(std::str::from_utf8(&piece[..came]).unwrap());
        }
        assert_eq!(told(&got), 2000);
        assert!(got.contains("dropped here"));
    }
}
