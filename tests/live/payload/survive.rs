//! Payload verbs for processes that are dumped and restored: at each signal they print what has become of their state.

use std::fs::OpenOptions;
use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{number, print, print_result};
use crate::sys;

/// 1 MiB of memory with a pattern.
fn pattern() -> Vec<u8> {
    (0..1 << 20u32).map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Waits for signals, and prints `state=COUNT MEMORY THREAD OFFSET PIPE` for each: the number of signals, whether the
/// memory is as it was, whether another thread has run since, the position in an open file, and what came through a pair
/// of sockets.
pub fn survive(words: &[&str]) {
    sys::block_signals();
    // khugepaged would make all of the memory one page of 2 MB, and this page one that was written since the last dump.
    sys::prctl(libc::PR_SET_THP_DISABLE, 1);
    let (memory, runs) = (pattern(), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&runs);
    // It sleeps, so that CRIU finds it in a system call.
    std::thread::spawn(move || {
        loop {
            counter.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let opened = OpenOptions::new().create(true).write(true).truncate(true).open(words.concat());
    let (Ok(mut file), Ok((mut here, mut there))) = (opened, UnixStream::pair()) else {
        return print("survive", "!");
    };
    print("waiting", "1");
    for count in 1..=u8::MAX {
        sys::next_signal();
        let before = runs.load(Ordering::SeqCst);
        let mut same = memory == pattern();
        let _ = file.write_all(b"x");
        let _ = here.write_all(&[count]);
        let mut received = [0];
        same &= there.read(&mut received).is_ok() && received == [count];
        // Ends only when the other thread runs.
        while runs.load(Ordering::SeqCst) == before {
            std::thread::sleep(Duration::from_millis(1));
        }
        print("state", format_args!("{count} {same} {}", file.stream_position().unwrap_or(0)));
    }
}

/// Listens at a TCP port of the loopback interface, accepts one connection, and sends back each byte that it receives.
pub fn echo(words: &[&str]) {
    let port = words.first().map_or(0, |word| number(word)) as u16;
    let listener = TcpListener::bind(("127.0.0.1", port));
    print_result(
        "listening",
        listener
            .as_ref()
            .map(|_| "ok")
            .map_err(|error| std::io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(0))),
    );
    let Ok((mut stream, _)) = listener.and_then(|listener| listener.accept()) else { return };
    print("accepted", "1");
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte) {
        let _ = stream.write_all(&byte);
    }
    print("closed", "1");
}

/// Connects to itself over TCP, and sends a byte at each signal.
pub fn connection(_: &[&str]) {
    sys::block_signals();
    let listener = TcpListener::bind(("127.0.0.1", 0));
    let address =
        listener.as_ref().map_err(|_| ()).and_then(|listener| listener.local_addr().map_err(|_| ()));
    let pair = listener.ok().zip(address.ok()).and_then(|(listener, address)| {
        let client = TcpStream::connect(address).ok()?;
        Some((client, listener.accept().ok()?.0))
    });
    let Some((mut client, mut server)) = pair else { return print("connection", "!") };
    print("waiting", "1");
    for count in 1..=u8::MAX {
        sys::next_signal();
        let mut byte = [0];
        let sent = client.write_all(&[count]).and_then(|()| server.read_exact(&mut byte));
        print_result("bytes", sent.map(|()| byte[0]));
    }
}

/// Locks a file, and prints at each signal whether another open file of the same path can lock it.
pub fn lock(words: &[&str]) {
    sys::block_signals();
    let open = || OpenOptions::new().create(true).append(true).open(words.concat());
    let Ok(held) = open() else { return print("lock", "!") };
    print_result("lock", sys::flock(held.as_raw_fd()).map(|()| "ok"));
    print("waiting", "1");
    loop {
        sys::next_signal();
        print_result("second", open().and_then(|file| sys::flock(file.as_raw_fd())).map(|()| "ok"));
    }
}

/// Prints each line that it reads, as `got=LINE SIZE`, with the size of the terminal.
pub fn tty_lines(_: &[&str]) {
    print("waiting", "1");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let size = sys::pty::size(0)
            .map_or_else(|_| String::from("none"), |(rows, columns)| format!("{rows} {columns}"));
        print("got", format_args!("{line} {size}"));
    }
}

/// Connects a datagram socket to the one at a path, and sends `still` at each signal.
pub fn datagrams(words: &[&str]) {
    sys::block_signals();
    let socket = std::os::unix::net::UnixDatagram::unbound();
    let connected = socket.and_then(|socket| socket.connect(words.concat()).map(|()| socket));
    match connected {
        Ok(socket) => {
            print("waiting", "1");
            loop {
                sys::next_signal();
                print_result("sent", socket.send(b"still"));
            }
        }
        Err(error) => print_result("datagrams", Err::<&str, _>(error)),
    }
}
