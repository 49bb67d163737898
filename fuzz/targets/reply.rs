//! See the module of this name in the library.

#![no_main]

use falconqueue_fuzz::{reply, seeds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seeds::lay(&reply::seeds()), |input: &[u8]| reply::run(input));
