//! Fuzz target: any bytes as a reply of CRIU. Decoding must not panic, and fields that are encoded again must be decoded to
//! the same.

#![no_main]

use mote::internal::criu::message::Reply;
use mote::internal::criu::wire::{Value, Writer, fields};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Reply::decode(bytes);
    let mut writer = Writer::default();
    let mut first = Vec::new();
    let whole = fields(bytes, &mut |field, value| {
        first.push((field, value));
        match value {
            Value::Number(number) => writer.number(field, number),
            Value::Bytes(bytes) => writer.bytes(field, bytes),
        }
    });
    if whole.is_some() {
        let mut second = Vec::new();
        fields(writer.as_bytes(), &mut |field, value| second.push((field, value))).expect("well-formed");
        assert_eq!(first, second);
    }
});
