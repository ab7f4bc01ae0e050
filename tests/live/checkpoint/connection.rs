//! TCP connections of restored containers.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use super::{container, cycle, dump, needs_criu, signal};
use crate::check::{Outcome, fail, same};
use crate::namespaces::holder;
use crate::rig::Rig;
use crate::{sys, tests};

tests!["checkpoint", tcp_connection_inside, tcp_client_outside,];

fn tcp_connection_inside(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["connection"])?;
    signal(rig)?;
    same("the payload's output", running.lines.next()?.as_str(), "bytes=1")?;
    let refused = dump(rig, &[])?;
    refused.failure(&["criu: dump failed", "dump.log"])?;
    rig.status_is("running")?;
    signal(rig)?;
    same("the payload's output", running.lines.next()?.as_str(), "bytes=2")?;
    let mut running = cycle(rig, &bundle, (&["--tcp-established"], &["--tcp-established"]))?;
    signal(rig)?;
    same("the payload's output", running.lines.next()?.as_str(), "bytes=3")?;
    rig.delete()
}

/// The client is outside of the container, in the same network namespace, and stays connected.
fn tcp_client_outside(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let (_holder, report) = holder(rig, &["unshare", "net", "raise_lo", "child"])?;
    let pid: i32 = report.get("child").parse()?;
    let path = format!("/proc/{pid}/ns/net");
    let mut bundle = rig.bundle()?;
    bundle.namespace("network", Some(Path::new(&path)));
    bundle.verbs(&["echo", "7777"]);
    let mut running = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("listening=ok")?;
    let network = fs::File::open(&path)?;
    let mut client = connect_in(&network, 7777)?;
    let mut exchange = |byte: u8| -> Outcome {
        client.write_all(&[byte])?;
        let mut answer = [0];
        client.read_exact(&mut answer)?;
        same("the echo", answer, [byte])
    };
    exchange(1)?;
    let mut running = cycle(rig, &bundle, (&["--tcp-established"], &["--tcp-established"]))?;
    exchange(2)?;
    exchange(3)?;
    drop(client);
    running.lines.until("closed=1")?;
    rig.delete()
}

/// Connects, in a thread of its own, in another network namespace.
fn connect_in(network: &fs::File, port: u16) -> Outcome<TcpStream> {
    use std::os::fd::AsRawFd;
    let fd = network.as_raw_fd();
    let connected = std::thread::spawn(move || {
        sys::setns(fd)?;
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(crate::command::LIMIT))?;
        Ok::<_, std::io::Error>(stream)
    });
    match connected.join() {
        Ok(stream) => Ok(stream?),
        Err(_) => fail("the thread panicked"),
    }
}
