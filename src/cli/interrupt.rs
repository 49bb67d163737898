//! Ctrl-C in the midst of a command that takes long: it ends between two steps, and says how far it came. A second one
//! ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::exit::{self, Failure};

#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on Ctrl-C only asks for the end.
    pub fn on_ctrl_c() -> Result<Interrupt, Failure> {
        let asked = Arc::new(AtomicBool::new(false));
        let system = |error| Failure::new(exit::SYSTEM, format!("waiting for Ctrl-C: {error}"));
        flag::register_conditional_default(SIGINT, Arc::clone(&asked)).map_err(system)?;
        flag::register(SIGINT, Arc::clone(&asked)).map_err(system)?;
        Ok(Interrupt(asked))
    }

    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
