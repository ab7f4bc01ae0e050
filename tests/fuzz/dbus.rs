//! Fuzz target: any bytes as a message of D-Bus, read as what is waited for. It must not end in a panic, and what is
//! taken for a message must be as long as its head says.

#![no_main]

use mote::os::dbus::read::{HEAD, Message, length};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let said = bytes.get(..HEAD).and_then(length);
    let Some(message) = Message::decode(bytes) else { return };
    assert_eq!(said, Some(bytes.len()));
    let _ = message.body("v").and_then(|mut body| body.text_variant().map(str::len));
    let _ = message.body("s").and_then(|mut body| body.text().map(str::len));
    if let Some(mut body) = message.body("uoss") {
        let _ = body.u32();
        while body.text().is_some() {}
    }
});
