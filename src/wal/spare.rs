//! The spare segment: one is made ready ahead by a helper thread, so that the next segment costs the
//! loop a rename and not the writing of 64 MiB.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::storage::LogDevice;

/// The spare, or the way to it.
#[derive(Debug)]
pub struct Spare {
    device: Arc<dyn LogDevice>,
    bytes: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Missing,
    Making(JoinHandle<io::Result<()>>),
    Ready,
}

impl Spare {
    /// No spare yet.
    pub fn new(device: Arc<dyn LogDevice>, bytes: u32) -> Self {
        Spare { device, bytes, state: State::Missing }
    }

    /// Begins to make the spare, unless it is there or being made.
    pub fn begin(&mut self) {
        if matches!(self.state, State::Missing) {
            let (device, bytes) = (Arc::clone(&self.device), self.bytes);
            let making = std::thread::Builder::new()
                .name(String::from("falcon-spare"))
                .spawn(move || device.make_spare(bytes));
            match making {
                Ok(making) => self.state = State::Making(making),
                Err(error) => log::warn!("no thread to make a spare segment: {error}; made later"),
            }
        }
    }

    /// Whether the spare is ready, without waiting; an attempt that failed is forgotten after it was told.
    pub fn poll(&mut self) -> io::Result<bool> {
        match &self.state {
            State::Making(making) if making.is_finished() => self.wait().map(|()| true),
            State::Making(_) | State::Missing => Ok(false),
            State::Ready => Ok(true),
        }
    }

    /// Waits until the spare is ready, making it if nobody does.
    pub fn wait(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.state, State::Missing) {
            State::Ready => {}
            State::Missing => self.device.make_spare(self.bytes)?,
            State::Making(making) => {
                making.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")))?;
            }
        }
        self.state = State::Ready;
        Ok(())
    }

    /// Notes that the spare was used.
    pub fn used(&mut self) {
        self.state = State::Missing;
    }
}

/// A thread that still makes a spare is waited for, so that no file appears after the lock was given up.
impl Drop for Spare {
    fn drop(&mut self) {
        if let State::Making(making) = std::mem::replace(&mut self.state, State::Missing) {
            let _ = making.join();
        }
    }
}
