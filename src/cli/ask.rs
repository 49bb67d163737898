//! Asking a person before something is done that cannot be taken back.

use std::io::{self, BufRead, IsTerminal};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::exit::{self, Failure};

/// Asks on stderr, unless it was said that nothing needs to be asked. This is the exit status if nobody is there.
pub fn confirm(question: &str, yes: bool, nobody: u8) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let refused = |status, why: &str| Failure::new(status, format!("nothing was changed: {why}"));
    if !io::stdin().is_terminal() {
        return Err(refused(nobody, "there is nobody to ask; with --yes it is done without asking"));
    }
    exit::say(&format!("{question} Write yes to go on:"));
    // Where Ctrl-C is caught, it ends the wait for an answer.
    if poll(&mut [PollFd::new(&io::stdin(), PollFlags::IN)], None) == Err(Errno::INTR) {
        return Err(refused(exit::FAILED, "stopped by Ctrl-C"));
    }
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && answer.trim() == "yes" {
        return Ok(());
    }
    Err(refused(exit::FAILED, "the answer was not yes"))
}
