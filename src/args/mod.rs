//! Values of command-line arguments: durations, regular expressions, signal names.

pub mod duration;
pub mod regex;
pub mod signal_name;
