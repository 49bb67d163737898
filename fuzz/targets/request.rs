//! See the module of this name in the library.

#![no_main]

use falconqueue_fuzz::{request, seeds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seeds::lay(&request::seeds()), |input: &[u8]| request::run(input));
