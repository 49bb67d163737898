//! The master driven by hand.
