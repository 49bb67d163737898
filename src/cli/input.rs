//! What a command reads: a file, or stdin.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::exit::{self, Failure};

/// How long a signal may go unnoticed that comes just before a wait.
const MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

pub struct InputFile {
    pub reader: BufReader<File>,
    pub name: String,
    /// A file on disk, which nobody is waited for.
    is_file: bool,
}

impl InputFile {
    /// Opens a file, or stdin for `-`.
    pub fn open(path: &Path) -> Result<InputFile, Failure> {
        if path.as_os_str() == "-" {
            let name = "stdin".to_owned();
            // The descriptor itself, without the buffer that std keeps around stdin: `is_ready` looks at it.
            let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(|error| cannot_read(&name, &error))?;
            return InputFile::new(stdin.into(), name);
        }
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => InputFile::new(file, name),
            Err(error) => Err(cannot_read(&name, &error)),
        }
    }

    fn new(file: File, name: String) -> Result<InputFile, Failure> {
        let is_file = file.metadata().map_err(|error| cannot_read(&name, &error))?.is_file();
        Ok(InputFile { reader: BufReader::new(file), name, is_file })
    }

    pub fn failure(&self, error: &io::Error) -> Failure {
        cannot_read(&self.name, error)
    }

    /// Whether a whole line, or the end, can be read without waiting for somebody to write it.
    pub fn has_line(&mut self) -> io::Result<bool> {
        if self.is_file || self.reader.buffer().contains(&b'\n') {
            return Ok(true);
        }
        let mut fds = [PollFd::new(self.reader.get_ref(), PollFlags::IN)];
        let waits = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? == 0;
        if waits || !self.reader.buffer().is_empty() {
            return Ok(false);
        }
        let buffer = self.reader.fill_buf()?;
        Ok(buffer.is_empty() || buffer.contains(&b'\n'))
    }
}

impl InputFile {
    /// Waits until there is something to read, or for a moment: a signal may have come just before the wait, which
    /// then does not end it. Says whether there is nothing yet.
    pub fn wait(&self) -> io::Result<bool> {
        match poll(&mut [PollFd::new(self.reader.get_ref(), PollFlags::IN)], Some(&MOMENT)) {
            Ok(ready) => Ok(ready == 0),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

fn cannot_read(name: &str, error: &io::Error) -> Failure {
    let status = if error.kind() == io::ErrorKind::NotFound { exit::NOT_FOUND } else { exit::USAGE };
    Failure::new(status, format!("{name} cannot be read: {error}"))
}
