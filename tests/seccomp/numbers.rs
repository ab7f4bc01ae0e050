//! The syscall table, compared with the numbers of libseccomp and of the kernel's headers with which mote is compiled.

use mote::internal::seccomp::ARCHS;

use crate::headers::NUMBERS;
use crate::library::Library;
use crate::rows::{column, rows};

#[test]
fn every_row_is_read() {
    let rows = rows();
    assert!(rows.len() > 500, "{}", rows.len());
    assert!(rows.iter().is_sorted_by_key(|(name, _)| name));
    let read = rows.iter().find(|(name, _)| *name == "read").unwrap();
    assert_eq!(
        (read.1[0], read.1[1], read.1[2], read.1[8]),
        (Some(0), Some(3), Some(0x4000_0000), Some(4003))
    );
}

/// Older versions have fewer names, and some errors; every number that libseccomp has must be the same.
#[test]
fn libseccomp_has_the_same_numbers() {
    let Some(mut library) = Library::start("libseccomp_has_the_same_numbers") else { return };
    let (mut compared, mut found) = (0, Vec::new());
    for arch in ARCHS.iter().map(|arch| arch.name) {
        for (name, numbers) in rows() {
            let Some(theirs) = library.resolve(arch, name) else { continue };
            // libseccomp 2.5 has it; the kernel has it on 32-bit architectures only.
            if (arch, name) == ("PARISC64", "_llseek") {
                continue;
            }
            compared += 1;
            if numbers[column(arch)] != Some(theirs) {
                found.push(format!("{arch} {name}: {theirs}, not {:?}", numbers[column(arch)]));
            }
        }
    }
    println!("{compared} numbers are those of libseccomp {}", library.version);
    assert!(compared > 5000, "{compared}");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_kernels_headers_have_the_same_numbers() {
    let native = mote::internal::seccomp::Arch::native().name;
    let rows = rows();
    for (name, number) in NUMBERS {
        let name = name.trim_start_matches("__NR_");
        let (_, numbers) = rows.iter().find(|row| row.0 == name).unwrap();
        assert_eq!(numbers[column(native)], Some(*number), "{name}");
    }
}
