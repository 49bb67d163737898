//! See the module of this name in the library.

#![no_main]

use falconqueue_fuzz::{event, seeds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seeds::lay(&event::seeds()), |input: &[u8]| event::run(input));
