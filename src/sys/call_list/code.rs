//! The code of a list, for each architecture. The offsets are those of `Entry`.

use core::arch::naked_asm;

/// The machine code that makes the calls of a list: independent of the address that it is copied to.
pub fn code() -> &'static [u8] {
    let start = (interpreter as *const ()).cast::<u32>();
    // SAFETY: the function begins with its length in bytes.
    let length = unsafe { start.read_unaligned() } as usize;
    // SAFETY: and so many bytes follow.
    unsafe { core::slice::from_raw_parts(start.wrapping_add(1).cast(), length) }
}

/// The length, as a word of four bytes, and the code: a function of the address of the first entry, which the code
/// keeps in a register that system calls preserve, as it does the last error.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn interpreter() {
    naked_asm!(
        ".long 9f - 1f",
        "1: mov r12, rdi",
        "2: test r12, r12",
        "jz 7f",
        "mov rax, [r12]",
        "test rax, rax",
        "js 5f",
        "mov rdi, [r12 + 8]",
        "mov rdi, [rdi]",
        "mov rsi, [r12 + 24]",
        "mov rdx, [r12 + 32]",
        "mov r10, [r12 + 40]",
        "mov r8, [r12 + 48]",
        "xor r9d, r9d",
        "syscall",
        "test rax, rax",
        "js 4f",
        "jz 3f",
        "mov rcx, [r12 + 56]",
        "mov [rcx], rax",
        "mov r12, [r12 + 64]",
        "jmp 2b",
        "3: mov r12, [r12 + 72]",
        "jmp 2b",
        "4: neg rax",
        "mov r13, rax",
        "5: cmp r13, [r12 + 80]",
        "je 6f",
        "mov rcx, [r12 + 96]",
        "mov [rcx], r13w",
        "mov r12, [r12 + 104]",
        "jmp 2b",
        "6: mov r12, [r12 + 88]",
        "jmp 2b",
        "7: ud2",
        "9:",
    )
}

#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn interpreter() {
    naked_asm!(
        ".long 9f - 1f",
        "1: mov x19, x0",
        "2: cbz x19, 7f",
        "ldr x8, [x19]",
        "tbnz x8, #63, 5f",
        "ldr x0, [x19, #8]",
        "ldr x0, [x0]",
        "ldp x1, x2, [x19, #24]",
        "ldp x3, x4, [x19, #40]",
        "mov x5, xzr",
        "svc #0",
        "cmp x0, #0",
        "b.lt 4f",
        "b.eq 3f",
        "ldp x9, x19, [x19, #56]",
        "str x0, [x9]",
        "b 2b",
        "3: ldr x19, [x19, #72]",
        "b 2b",
        "4: neg x20, x0",
        "5: ldr x9, [x19, #80]",
        "cmp x20, x9",
        "b.eq 6f",
        "ldp x9, x19, [x19, #96]",
        "strh w20, [x9]",
        "b 2b",
        "6: ldr x19, [x19, #88]",
        "b 2b",
        "7: udf #0",
        "9:",
    )
}

#[cfg(target_arch = "riscv64")]
#[unsafe(naked)]
unsafe extern "C" fn interpreter() {
    naked_asm!(
        ".word 9f - 1f",
        "1: mv s2, a0",
        "2: beqz s2, 7f",
        "ld a7, 0(s2)",
        "bltz a7, 5f",
        "ld a0, 8(s2)",
        "ld a0, 0(a0)",
        "ld a1, 24(s2)",
        "ld a2, 32(s2)",
        "ld a3, 40(s2)",
        "ld a4, 48(s2)",
        "li a5, 0",
        "ecall",
        "bltz a0, 4f",
        "beqz a0, 3f",
        "ld t0, 56(s2)",
        "sd a0, 0(t0)",
        "ld s2, 64(s2)",
        "j 2b",
        "3: ld s2, 72(s2)",
        "j 2b",
        "4: neg s3, a0",
        "5: ld t0, 80(s2)",
        "beq s3, t0, 6f",
        "ld t0, 96(s2)",
        "sh s3, 0(t0)",
        "ld s2, 104(s2)",
        "j 2b",
        "6: ld s2, 88(s2)",
        "j 2b",
        "7: unimp",
        "9:",
    )
}

#[cfg(target_arch = "arm")]
#[unsafe(naked)]
unsafe extern "C" fn interpreter() {
    naked_asm!(
        ".word 9f - 1f",
        "1: mov r8, r0",
        "2: cmp r8, #0",
        "beq 7f",
        "ldr r7, [r8]",
        "cmp r7, #0",
        "blt 5f",
        "ldr r0, [r8, #4]",
        "ldr r0, [r0]",
        "ldr r1, [r8, #12]",
        "ldr r2, [r8, #16]",
        "ldr r3, [r8, #20]",
        "ldr r4, [r8, #24]",
        "mov r5, #0",
        "svc #0",
        "cmp r0, #0",
        "blt 4f",
        "beq 3f",
        "ldr r9, [r8, #28]",
        "str r0, [r9]",
        "ldr r8, [r8, #32]",
        "b 2b",
        "3: ldr r8, [r8, #36]",
        "b 2b",
        "4: rsb r10, r0, #0",
        "5: ldr r9, [r8, #40]",
        "cmp r10, r9",
        "beq 6f",
        "ldr r9, [r8, #48]",
        "strh r10, [r9]",
        "ldr r8, [r8, #52]",
        "b 2b",
        "6: ldr r8, [r8, #44]",
        "b 2b",
        "7: udf #0",
        "9:",
    )
}

/// The stack pointer holds the address of the entry: there is no stack, and the calls need all other registers.
#[cfg(target_arch = "x86")]
#[unsafe(naked)]
unsafe extern "C" fn interpreter() {
    naked_asm!(
        ".long 9f - 1f",
        "1: mov esp, [esp + 4]",
        "2: test esp, esp",
        "jz 7f",
        "mov eax, [esp]",
        "test eax, eax",
        "js 5f",
        "mov ebx, [esp + 4]",
        "mov ebx, [ebx]",
        "mov ecx, [esp + 12]",
        "mov edx, [esp + 16]",
        "mov esi, [esp + 20]",
        "mov edi, [esp + 24]",
        "xor ebp, ebp",
        "int 0x80",
        "test eax, eax",
        "js 4f",
        "jz 3f",
        "mov ecx, [esp + 28]",
        "mov [ecx], eax",
        "mov esp, [esp + 32]",
        "jmp 2b",
        "3: mov esp, [esp + 36]",
        "jmp 2b",
        "4: neg eax",
        "mov ebp, eax",
        "5: cmp ebp, [esp + 40]",
        "je 6f",
        "mov ecx, [esp + 48]",
        "mov [ecx], bp",
        "mov esp, [esp + 52]",
        "jmp 2b",
        "6: mov esp, [esp + 44]",
        "jmp 2b",
        "7: ud2",
        "9:",
    )
}

#[cfg(target_arch = "powerpc64")]
#[unsafe(naked)]
unsafe extern "C" fn interpreter() {
    naked_asm!(
        ".long 9f - 1f",
        "1: mr 30, 3",
        "2: cmpdi 30, 0",
        "beq 7f",
        "ld 0, 0(30)",
        "cmpdi 0, 0",
        "blt 5f",
        "ld 3, 8(30)",
        "ld 3, 0(3)",
        "ld 4, 24(30)",
        "ld 5, 32(30)",
        "ld 6, 40(30)",
        "ld 7, 48(30)",
        "li 8, 0",
        "sc",
        "bso 4f",
        "cmpdi 3, 0",
        "beq 3f",
        "ld 9, 56(30)",
        "std 3, 0(9)",
        "ld 30, 64(30)",
        "b 2b",
        "3: ld 30, 72(30)",
        "b 2b",
        "4: mr 29, 3",
        "5: ld 9, 80(30)",
        "cmpd 29, 9",
        "beq 6f",
        "ld 9, 96(30)",
        "sth 29, 0(9)",
        "ld 30, 104(30)",
        "b 2b",
        "6: ld 30, 88(30)",
        "b 2b",
        "7: .long 0",
        "9:",
    )
}

#[cfg(target_arch = "s390x")]
#[unsafe(naked)]
unsafe extern "C" fn interpreter() {
    naked_asm!(
        ".long 9f - 1f",
        "1: lgr %r8, %r2",
        "2: ltgr %r8, %r8",
        "jz 7f",
        "lg %r1, 0(%r8)",
        "ltgr %r1, %r1",
        "jl 5f",
        "lg %r2, 8(%r8)",
        "lg %r2, 0(%r2)",
        "lg %r3, 24(%r8)",
        "lg %r4, 32(%r8)",
        "lg %r5, 40(%r8)",
        "lg %r6, 48(%r8)",
        "lghi %r7, 0",
        "svc 0",
        "ltgr %r2, %r2",
        "jl 4f",
        "jz 3f",
        "lg %r9, 56(%r8)",
        "stg %r2, 0(%r9)",
        "lg %r8, 64(%r8)",
        "j 2b",
        "3: lg %r8, 72(%r8)",
        "j 2b",
        "4: lcgr %r10, %r2",
        "5: lg %r9, 80(%r8)",
        "cgr %r10, %r9",
        "je 6f",
        "lg %r9, 96(%r8)",
        "sth %r10, 0(%r9)",
        "lg %r8, 104(%r8)",
        "j 2b",
        "6: lg %r8, 88(%r8)",
        "j 2b",
        "7: .long 0",
        "9:",
    )
}
