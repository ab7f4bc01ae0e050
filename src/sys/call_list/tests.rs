//! Lists that child processes run.

use super::*;
use linux_raw_sys::general::{__NR_close, __NR_write, PROT_EXEC};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;

/// Makes the calls in a child process, with the code in memory of its own, and returns what they write, and how the
/// process ends.
fn output(build: impl FnOnce(&mut CallList, First)) -> (std::string::String, std::process::ExitStatus) {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut list = CallList::new(0).unwrap();
    build(&mut list, First::Is(writer.as_raw_fd() as usize));
    let (protection, flags) = (PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
    // SAFETY: new memory.
    let page = unsafe { mmap(0, page_size(), protection, flags, usize::MAX, 0) };
    let page = super::super::check(page).unwrap();
    let to = with_exposed_provenance_mut::<u8>(page);
    // SAFETY: the code is shorter than the page.
    unsafe { copy_nonoverlapping(code().as_ptr(), to, code().len()) };
    // SAFETY: the child only makes the calls of the list.
    let child = unsafe { libc::fork() };
    if child == 0 {
        list.run(page);
    }
    drop(writer);
    let (mut text, mut status) = (std::string::String::new(), 0);
    reader.read_to_string(&mut text).unwrap();
    // SAFETY: the status outlives the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    (text, std::process::ExitStatus::from_raw(status))
}

fn write(list: &mut CallList, to: First, text: &str) -> ListedCall {
    let place = list.bytes(text.as_bytes());
    ListedCall::new(__NR_write, to, [place.number(), text.len(), 0, 0])
}

fn close(fd: First) -> ListedCall {
    ListedCall::new(__NR_close, fd, [0; 4])
}

#[test]
fn calls_follow_their_results() {
    let (text, status) = output(|list, to| {
        let exit = Next::Entry(list.exit());
        let cell = list.bytes(&[0; 8]);
        let [a, b, none] = ["a", "bc", ""].map(|text| write(list, to, text));
        list.add(a);
        list.add(ListedCall { result: Some(cell), zero: exit, failed: exit, ..b });
        // Closes the fd with the number 2: the length of the text.
        list.add(ListedCall { positive: exit, failed: exit, ..close(First::At(cell)) });
        // The number is not open any more.
        list.add(ListedCall {
            zero: exit,
            on_error: Some((Errno::BADF, Next::Following)),
            failed: exit,
            ..close(First::At(cell))
        });
        list.add(ListedCall { positive: exit, failed: exit, ..none });
        let last = write(list, to, "d").to(exit);
        list.add(last);
    });
    assert_eq!((text.as_str(), status.code()), ("abcd", Some(1)));
}

#[test]
fn errors_are_stored_and_distinguished() {
    let bad = if cfg!(target_endian = "big") { "\0\tbad" } else { "\t\0bad" };
    for (fd, expected) in [(First::Is(usize::MAX), bad), (First::Is(0), "fine")] {
        let (text, _) = output(|list, to| {
            let exit = Next::Entry(list.exit());
            let stored = list.bytes(b"..bad");
            let [bad, fine, other] = ["bad", "fine", "other"].map(|text| write(list, to, text).to(exit));
            let bad = ListedCall { more: [stored.number(), 5, 0, 0], ..bad };
            let [bad, other] = [bad, other].map(|call| list.aside(call));
            let other = Failure { entry: other, errno: list.bytes(&[0; 8]) };
            let chosen = list.aside_for(Errno::BADF, bad, other);
            let entry = list.aside_for(Errno::NOSYS, list.exit(), Failure { entry: chosen, ..other });
            list.add(close(fd).or(Failure { entry, errno: stored }));
            list.add(fine);
        });
        assert_eq!(text, expected);
    }
}

#[test]
fn the_last_entry_is_an_invalid_instruction() {
    let (_, status) = output(|list, to| {
        let end = write(list, to, "").to(Next::Entry(Address(0)));
        list.add(end);
    });
    assert_eq!(status.signal(), Some(libc::SIGILL));
}
