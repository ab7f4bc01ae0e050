//! Fuzz target: any bytes as a D-Bus message that mote waits for. Parsing must not panic, and an accepted message must
//! have the length of its header.

#![no_main]

use mote::internal::os::dbus::read::{HEAD, Message, length};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let given = bytes.get(..HEAD).and_then(length);
    let Some(message) = Message::decode(bytes) else { return };
    assert_eq!(given, Some(bytes.len()));
    let _ = message.body("v").and_then(|mut body| body.text_variant().map(str::len));
    let _ = message.body("s").and_then(|mut body| body.text().map(str::len));
    if let Some(mut body) = message.body("uoss") {
        let _ = body.u32();
        while body.text().is_some() {}
    }
});
