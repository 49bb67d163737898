//! `falcon-cli top`: a live view on a terminal, from which queues, jobs and workers can be looked after.
//!
//! The view is a value (`view`): what the master told (`data`, in `rows`) and `keys` go in, what is to be asked comes
//! out, and `draw` draws it. Around that is a thin shell: the terminal and the time here, the client in `asker`. What a
//! key would do is looked at first (`deeds`), and asked back.

mod asker;
mod data;
mod deeds;
mod draw;
mod keys;
mod rows;
mod view;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::args::{Common, Output, Top};
use super::{Stop, connect};
use crate::exit::{self, Failure};
use asker::Asker;
use keys::Key;
use view::{Action, Told, View};

/// How often it is looked for what was told, and for signals.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long an answer may take before the master is called away.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

pub fn run(common: &Common, args: &Top) -> Result<(), Stop> {
    let usage = |text: &str| Err(Failure::new(exit::USAGE, text).into());
    if common.output != Output::Table {
        return usage("top is for people: `falcon-cli stats --watch -o json` is the same for programs");
    }
    if !io::stdout().is_terminal() {
        return usage("top needs a terminal, and stdout is none: `falcon-cli stats --watch` writes to files and pipes");
    }
    // A master that is not there, or a wrong token, is told as by any command, before the screen is taken.
    connect::client(common)?.stats()?.read::<crate::protocol::Stats>()?;
    let mut client = connect::impatient_client(common)?;
    client.set_timeout(ANSWER_WAIT);
    let system = |error: io::Error| Failure::new(exit::SYSTEM, format!("the terminal: {error}"));
    let left = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register(signal, Arc::clone(&left)).map_err(system)?;
    }
    let ((actions, asked), (tell, told)) = (channel(), channel());
    asker::begin(Asker { client, every: args.every.into(), actions: asked, told: tell }).map_err(system)?;
    let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut view = View::new(common.master.to_string(), colours);
    // A panic gives the terminal back, too: `try_init` sees to that.
    let mut terminal = ratatui::try_init().map_err(system)?;
    let outcome = show(&mut terminal, &mut view, &Wires { actions, told, left });
    let restored = ratatui::try_restore();
    outcome.and(restored).map_err(system)?;
    if let Some(underway) = &view.underway {
        exit::say(&format!("left before it was all done: {underway}"));
    }
    Ok(())
}

/// What the shell is connected with.
struct Wires {
    actions: Sender<Action>,
    told: Receiver<Told>,
    /// Whether a signal said to leave.
    left: Arc<AtomicBool>,
}

/// Waits for a key; says whether the terminal is gone. Whoever reads from one that is gone is told of an end again and
/// again, and the reader of keys would never come back from that.
fn is_hung_up(most: Duration) -> io::Result<bool> {
    let stdout = io::stdout();
    let mut terminal = [PollFd::new(&stdout, PollFlags::IN)];
    let most = Timespec::try_from(most).map_err(io::Error::other)?;
    match poll(&mut terminal, Some(&most)) {
        Ok(_) => Ok(terminal[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Draws what changed, until it is left.
fn show(terminal: &mut DefaultTerminal, view: &mut View, wires: &Wires) -> io::Result<()> {
    let mut is_drawn = false;
    while !wires.left.load(Ordering::Relaxed) {
        if !std::mem::replace(&mut is_drawn, true) {
            terminal.draw(|frame| draw::draw(view, frame))?;
        }
        if is_hung_up(LOOK_EVERY)? {
            return Ok(());
        }
        if event::poll(Duration::ZERO)? {
            is_drawn = false;
            match Key::of(&event::read()?).and_then(|key| view.key(key)) {
                None => {}
                Some(Action::Leave) => return Ok(()),
                Some(action) => wires.actions.send(action).map_err(io::Error::other)?,
            }
        }
        while let Ok(told) = wires.told.try_recv() {
            is_drawn = false;
            view.take(told);
        }
    }
    Ok(())
}
