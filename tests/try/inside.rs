//! The program that `scripts/try` runs in a container: prints what it sees there, as read from files.

use std::fs;
use std::process;

fn main() {
    let status = read("/proc/self/status");
    let limits = read("/proc/self/limits");
    print("process", &format!("pid {}; {} visible in /proc", process::id(), processes()));
    print("user", &user(&status));
    print("hostname", &line_of("/proc/sys/kernel/hostname"));
    print("network", &network());
    print("files", &format!("{} in /; creating a file there: {}", names("/"), error_of_creating("/new")));
    print_all("mounts", &mounts());
    print("memory", &cgroup_limit("memory.max", "memory/memory.limit_in_bytes"));
    print("processes", &cgroup_limit("pids.max", "pids/pids.max"));
    print("open files", &format!("limit {} (rlimit)", column(&limits, "Max open files", 3)));
    print("privileges", &rights(&status));
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn line_of(path: &str) -> String {
    read(path).trim().to_string()
}

fn print(what: &str, value: &str) {
    println!("  {what:<11} {value}");
}

fn print_all(what: &str, values: &[String]) {
    for (index, value) in values.iter().enumerate() {
        print(if index == 0 { what } else { "" }, value);
    }
}

/// The word at `index` of the first line that begins with `begin`.
fn column<'a>(text: &'a str, begin: &str, index: usize) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(begin)).unwrap_or_default();
    line.split_whitespace().nth(index).unwrap_or("?")
}

fn processes() -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok()).count()
}

fn user(status: &str) -> String {
    let map = line_of("/proc/self/uid_map");
    let outside = match map.split_whitespace().collect::<Vec<_>>()[..] {
        ["0", first, _] => format!("uid {first} on the host"),
        _ => format!("uid_map {map}"),
    };
    format!("uid {}, gid {}; {outside}", column(status, "Uid:", 1), column(status, "Gid:", 1))
}

fn network() -> String {
    let table = read("/proc/net/dev");
    let names = table.lines().skip(2).filter_map(|line| line.split(':').next());
    names.map(str::trim).collect::<Vec<_>>().join(", ")
}

fn names(directory: &str) -> String {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.join(", ")
}

fn error_of_creating(path: &str) -> String {
    fs::write(path, "").err().map_or("permitted".to_string(), |error| format!("{:?}", error.kind()))
}

/// Directories whose mounts are counted, not listed.
const MANY: [(&str, &str); 2] = [("/dev/", "devices"), ("/sys/fs/cgroup/", "hierarchies")];

/// The mount point, filesystem type and options of each mount.
fn mounts() -> Vec<String> {
    let table = read("/proc/self/mountinfo");
    let mut mounts = Vec::new();
    let mut counts = [0; MANY.len()];
    for line in table.lines() {
        let (mount, source) = line.split_once(" - ").unwrap_or((line, ""));
        let words: Vec<&str> = mount.split(' ').collect();
        let (place, options) = (words.get(4).unwrap_or(&""), words.get(5).unwrap_or(&""));
        let kind = source.split(' ').next().unwrap_or_default();
        match MANY.iter().zip(&mut counts).find(|((directory, _), _)| place.starts_with(directory)) {
            Some((_, count)) => *count += 1,
            None => mounts.push(format!("{place:<15} {kind:<8} {options}")),
        }
    }
    let counted = MANY.iter().zip(counts).filter(|(_, count)| *count > 0);
    mounts.extend(counted.map(|((directory, what), count)| format!("{directory:<15} {count} {what}")));
    mounts
}

/// A limit of the cgroup, on v2 or v1.
fn cgroup_limit(unified: &str, hierarchy: &str) -> String {
    let limit = |file: &str| Some(line_of(&format!("/sys/fs/cgroup/{file}"))).filter(|text| !text.is_empty());
    match limit(unified).or_else(|| limit(hierarchy)).map(|text| (text.parse::<u64>(), text)) {
        Some((Ok(bytes), _)) if bytes >= 1 << 20 => format!("limit {} MiB (cgroup)", bytes >> 20),
        Some((_, text)) => format!("limit {text} (cgroup)"),
        None => "no limit (no cgroup of its own)".to_string(),
    }
}

fn rights(status: &str) -> String {
    let own = u64::from_str_radix(column(status, "CapEff:", 1), 16).map_or(0, u64::count_ones);
    let all = line_of("/proc/sys/kernel/cap_last_cap").parse().map_or(0, |last: u32| last + 1);
    let more = if column(status, "NoNewPrivs:", 1) == "1" { "set" } else { "not set" };
    format!("{own} of {all} capabilities; no_new_privs {more}")
}
