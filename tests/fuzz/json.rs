//! Fuzz target: any bytes for the decoder and for the reference reader of the tests. They must agree.

#![no_main]

#[path = "../json/reference.rs"]
mod reference;

libfuzzer_sys::fuzz_target!(|document: &[u8]| reference::compare(document));
