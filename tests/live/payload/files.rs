//! Payload verbs for files: each makes one system call on a path and reports the result.

use super::{print, print_result};
use std::fs;
use std::io::{Result, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::sys;

fn with(verb: &str, words: &[&str], act: impl FnOnce(&Path) -> Result<String>) {
    let path = words.first().copied().unwrap_or("");
    print_result(&format!("{verb}:{path}"), act(Path::new(path)));
}

fn done<T>(result: Result<T>) -> Result<String> {
    result.map(|_| "ok".to_string())
}

/// `kind mode uid gid major:minor` of the path, without following a symlink.
pub fn stat(words: &[&str]) {
    with("stat", words, |path| {
        let meta = fs::symlink_metadata(path)?;
        let kind = meta.file_type();
        let letter = if kind.is_symlink() {
            'l'
        } else if kind.is_dir() {
            'd'
        } else if kind.is_char_device() {
            'c'
        } else if kind.is_block_device() {
            'b'
        } else if kind.is_fifo() {
            'p'
        } else {
            'f'
        };
        Ok(format!(
            "{letter} {:o} {} {} {}:{}",
            meta.mode() & 0o7777,
            meta.uid(),
            meta.gid(),
            libc::major(meta.rdev()),
            libc::minor(meta.rdev())
        ))
    });
}

pub fn link(words: &[&str]) {
    with("link", words, |path| Ok(fs::read_link(path)?.display().to_string()));
}

/// The names in a directory, sorted, separated by spaces.
pub fn list(words: &[&str]) {
    with("list", words, |path| {
        let mut names = fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names.join(" "))
    });
}

pub fn read(words: &[&str]) {
    with("read", words, |path| Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned()));
}

pub fn open(words: &[&str]) {
    with("open", words, |path| done(fs::File::open(path)));
}

/// Opens for reading and writing.
pub fn open_rw(words: &[&str]) {
    with("open_rw", words, |path| done(fs::OpenOptions::new().read(true).write(true).open(path)));
}

/// Appends a byte to an existing file.
pub fn write(words: &[&str]) {
    with("write", words, |path| {
        let mut file = fs::OpenOptions::new().append(true).open(path)?;
        done(file.write_all(b"x"))
    });
}

/// Writes a word to an existing file.
pub fn put(words: &[&str]) {
    with("put", words, |path| {
        let mut file = fs::OpenOptions::new().write(true).open(path)?;
        done(file.write_all(words.get(1).copied().unwrap_or("").as_bytes()))
    });
}

/// Creates a file of this many KiB, which is then on the disk and in the page cache.
pub fn fill(words: &[&str]) {
    with("fill", words, |path| {
        let size = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let mut file = fs::File::create_new(path)?;
        for _ in 0..size {
            file.write_all(&[7; 1024])?;
        }
        done(file.sync_all())
    });
}

/// Creates a new file.
pub fn create(words: &[&str]) {
    with("create", words, |path| done(fs::File::create_new(path)));
}

pub fn mkdir(words: &[&str]) {
    with("mkdir", words, |path| done(fs::create_dir(path)));
}

/// Creates a second null device and opens it: the cgroup or a mount option may deny either.
pub fn mknod(words: &[&str]) {
    with("mknod", words, |path| done(sys::mknod(path, libc::S_IFCHR | 0o666, 1, 3)));
}

/// Creates a device of this type (`b` or `c`) with these numbers.
pub fn device(words: &[&str]) {
    let number = |index: usize| words.get(index).and_then(|word| word.parse().ok()).unwrap_or(0);
    let kind = if words.get(1) == Some(&"b") { libc::S_IFBLK } else { libc::S_IFCHR };
    with("device", words, |path| done(sys::mknod(path, kind | 0o666, number(2), number(3))));
}

/// Bind-mounts one file over another.
pub fn bind(words: &[&str]) {
    if let [source, target] = words {
        let bound = sys::mount(source, std::path::Path::new(target), "", libc::MS_BIND, "");
        print_result(&format!("bind:{target}"), bound.map(|()| "ok"));
    }
}

/// Mounts a tmpfs.
pub fn mount(words: &[&str]) {
    with("mount", words, |path| done(sys::mount("none", path, "tmpfs", 0, "")));
}

/// Every open file descriptor, with the target of its link if /proc is mounted.
pub fn fds(_: &[&str]) {
    let open: Vec<i32> = (0..4096).filter(|fd| sys::is_open(*fd)).collect();
    let list: Vec<String> = open.iter().map(i32::to_string).collect();
    print("fds", list.join(" "));
    for fd in open {
        let target = fs::read_link(format!("/proc/self/fd/{fd}"));
        print_result(&format!("fd:{fd}"), target.map(|target| target.display().to_string()));
    }
}
