//! Fuzz target: any bytes through the decoder and through the tests' own reader of JSON. They must agree.

#![no_main]

#[path = "../json/reference.rs"]
mod reference;

libfuzzer_sys::fuzz_target!(|document: &[u8]| reference::compare(document));
