//! Seccomp programs that deny system calls: an old kernel, or a sandbox around the runtime.

#![allow(unsafe_code)]

use std::io::Result;

use super::check;

/// A system call: its number, and its first argument if only calls with this one are meant.
#[derive(Clone, Copy)]
pub struct Call {
    pub number: libc::c_long,
    pub argument: Option<u32>,
}

/// A system call that old kernels lack or sandboxes deny, by its name: `prctl PR_SET_MM` is prctl(2) with this operation.
pub fn call_named(name: &str) -> Option<Call> {
    let number = match name {
        "bpf" => libc::SYS_bpf,
        "clone3" => libc::SYS_clone3,
        "close_range" => libc::SYS_close_range,
        "faccessat2" => libc::SYS_faccessat2,
        "fsconfig" => libc::SYS_fsconfig,
        "fsmount" => libc::SYS_fsmount,
        "fsopen" => libc::SYS_fsopen,
        "memfd_create" => libc::SYS_memfd_create,
        "mknodat" => libc::SYS_mknodat,
        "mount_setattr" => libc::SYS_mount_setattr,
        "move_mount" => libc::SYS_move_mount,
        "open_tree" => libc::SYS_open_tree,
        "openat2" => libc::SYS_openat2,
        "pidfd_getfd" => libc::SYS_pidfd_getfd,
        "pidfd_open" => libc::SYS_pidfd_open,
        "pidfd_send_signal" => libc::SYS_pidfd_send_signal,
        "prctl PR_SET_MM" => {
            return Some(Call { number: libc::SYS_prctl, argument: Some(libc::PR_SET_MM as u32) });
        }
        "process_madvise" => libc::SYS_process_madvise,
        "seccomp" => libc::SYS_seccomp,
        "sendfile" => libc::SYS_sendfile,
        "statx" => libc::SYS_statx,
        "userfaultfd" => libc::SYS_userfaultfd,
        _ => return None,
    };
    Some(Call { number, argument: None })
}

/// Makes a system call with invalid arguments.
pub fn invalid_call(number: libc::c_long) -> Result<libc::c_long> {
    let nothing = std::ptr::null::<u8>();
    // SAFETY: with fd -1, null pointers and size 0 the call changes nothing.
    check(unsafe { libc::syscall(number, -1, nothing, nothing, 0, nothing) })
}

/// A seccomp program that denies system calls with an error number each, and allows all others.
pub fn filter(denied: &[(Call, i32)]) -> Vec<libc::sock_filter> {
    // Offsets in struct seccomp_data: the number, and the low half of the first argument.
    const ARGUMENT: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };
    let line = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let load = |offset| line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let unless = |k, skipped| libc::sock_filter {
        jf: skipped,
        ..line(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k)
    };
    let mut program = Vec::new();
    for (call, errno) in denied {
        let deny = line(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned());
        let number = call.number as u32;
        match call.argument {
            Some(argument) => {
                program.extend([load(0), unless(number, 3), load(ARGUMENT), unless(argument, 1), deny]);
            }
            None => program.extend([load(0), unless(number, 1), deny]),
        }
    }
    program.push(line(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    program
}

/// Loads a seccomp program for this process and its children.
pub fn load_filter(program: &mut [libc::sock_filter]) -> Result<()> {
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the kernel copies the program, which outlives the call.
    check(unsafe { libc::syscall(libc::SYS_seccomp, mode, 0, &raw const filter) }).map(drop)
}
