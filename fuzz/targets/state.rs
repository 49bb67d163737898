//! See the module of this name in the library.

#![no_main]

use falconqueue_fuzz::{seeds, state};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seeds::lay(&state::seeds()), |input: &[u8]| state::run(input));
