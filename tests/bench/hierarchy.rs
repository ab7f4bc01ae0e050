//! The mounted cgroup hierarchies, and the container's cgroup in each, for floor.rs.

use crate::kernel::{self, Done, check, fail};
use crate::sys;
use core::ffi::CStr;

const AT_FDCWD: isize = -100;
const O_RDONLY: usize = 0o2000000; // and O_CLOEXEC
const O_WRONLY: usize = 0o2000001;
const O_PATH_DIRECTORY: usize = 0o12200000; // O_PATH | O_DIRECTORY | O_CLOEXEC
const AT_REMOVEDIR: usize = 0x200;
const EBUSY: isize = -16;
const MS_RDONLY: usize = 1;
const MS_REMOUNT_BIND: usize = 0x1020;
const MS_BIND: usize = 0x1000;

/// A path with a terminating NUL.
#[derive(Clone, Copy)]
struct Path([u8; 256]);

impl Path {
    fn new(parts: &[&[u8]]) -> Path {
        let mut path = Path([0; 256]);
        for (at, &byte) in parts.iter().copied().flatten().enumerate() {
            match path.0.get_mut(at) {
                Some(slot) if at < 255 => *slot = byte,
                _ => fail(b"a path is too long:", parts[0], 0),
            }
        }
        path
    }

    fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    fn bytes(&self) -> &[u8] {
        self.0.split(|b| *b == 0).next().unwrap_or_default()
    }

    fn join(&self, name: &[u8]) -> Path {
        Path::new(&[self.bytes(), b"/", name])
    }
}

/// A cgroup hierarchy of the host and the container's directory in it.
#[derive(Clone, Copy)]
struct Hierarchy {
    device: &'static [u8],
    mounted: &'static [u8],
    options: &'static [u8],
    unified: bool,
    cgroup: Path,
}

impl Hierarchy {
    /// One line of mountinfo(5): "ID PARENT DEVICE ROOT MOUNTED OPTIONS [TAG...] - TYPE SOURCE OPTIONS".
    fn parse(line: &'static [u8], name: &[u8]) -> Option<Hierarchy> {
        let mut words = line.split(|b| *b == b' ');
        let (device, mounted) = (words.nth(2)?, words.nth(1)?);
        let mut words = words.skip_while(|w| *w != b"-").skip(1);
        let unified = match words.next()? {
            b"cgroup" => false,
            b"cgroup2" => true,
            _ => return None,
        };
        let cgroup = Path::new(&[mounted, b"/", name]);
        cgroup.join(b"devices.allow"); // the longest: a path that is too long fails before anything is made
        Some(Hierarchy { device, mounted, options: words.nth(1)?, unified, cgroup })
    }

    fn has(&self, controller: &[u8]) -> bool {
        !self.unified && self.options.split(|b| *b == b',').any(|o| o == controller)
    }

    fn write(&self, file: &[u8], lines: &[&[u8]]) -> Done<()> {
        let path = self.cgroup.join(file);
        let fd = check("open of a cgroup file", sys!(OPENAT, AT_FDCWD, path.as_ptr(), O_WRONLY))?;
        for line in lines {
            check("write to a cgroup file", sys!(WRITE, fd, line.as_ptr(), line.len()))?;
        }
        sys!(CLOSE, fd);
        Ok(())
    }

    fn inherit(&self, file: &[u8]) -> Done<()> {
        let from = Path::new(&[self.mounted, b"/", file]);
        let from = CStr::from_bytes_until_nul(&from.0).unwrap_or_default();
        let mut buffer = [0; 256];
        let value = kernel::read_file(from, &mut buffer).map_err(|errno| ("read of a cpuset", errno))?;
        self.write(file, &[value])
    }

    fn bind(&self, flags: usize) -> Done<()> {
        let name = self.mounted.rsplit(|b| *b == b'/').next().unwrap_or_default();
        let target = Path::new(&[b"sys/fs/cgroup/", name]);
        let target = target.as_ptr();
        check("mkdir", sys!(MKDIRAT, AT_FDCWD, target, 0o755))?;
        check("bind of a cgroup", sys!(MOUNT, self.cgroup.as_ptr(), target, 0, MS_BIND, 0))?;
        check("remount", sys!(MOUNT, 0, target, 0, flags | MS_REMOUNT_BIND | MS_RDONLY, 0))?;
        for controller in name.split(|b| *b == b',').filter(|_| name.contains(&b',')) {
            let link = Path::new(&[b"sys/fs/cgroup/", controller]);
            let to = Path::new(&[name]);
            check("symlink", sys!(SYMLINKAT, to.as_ptr(), AT_FDCWD, link.as_ptr()))?;
        }
        Ok(())
    }

    fn attach_device_program(&self) -> Done<()> {
        // union bpf_attr for BPF_PROG_LOAD (5)
        let code = DEVICE_PROGRAM.as_ptr() as u64;
        let license = c"".as_ptr() as u64;
        let load = [
            15 | (DEVICE_PROGRAM.len() as u64) << 32, // BPF_PROG_TYPE_CGROUP_DEVICE
            code,
            license,
            0, // log_level, log_size
            0, // log_buf
            0, // kern_version, prog_flags
            0, // prog_name
            0,
            6 << 32, // prog_ifindex, expected_attach_type: BPF_CGROUP_DEVICE
        ];
        let program = check("BPF_PROG_LOAD", sys!(BPF, 5, load.as_ptr(), size_of_val(&load)))?;
        let cgroup = check("open of a cgroup", sys!(OPENAT, AT_FDCWD, self.cgroup.as_ptr(), O_RDONLY))?;
        let attach = [cgroup as u64 | (program as u64) << 32, 6];
        check("BPF_PROG_ATTACH", sys!(BPF, 8, attach.as_ptr(), size_of_val(&attach)))?;
        sys!(CLOSE, program);
        sys!(CLOSE, cgroup);
        Ok(())
    }
}

/// All hierarchies.
pub struct Cgroups {
    list: [Option<Hierarchy>; 20],
    made: usize,
}

impl Cgroups {
    /// Every cgroup mount of /proc/self/mountinfo, each hierarchy once.
    pub fn mounted(name: &[u8]) -> Cgroups {
        static mut MOUNTINFO: [u8; 65536] = [0; 65536];
        // SAFETY: called once, in a process of one thread.
        let buffer = unsafe { core::slice::from_raw_parts_mut((&raw mut MOUNTINFO).cast(), 65536) };
        let content = match kernel::read_file(c"/proc/self/mountinfo", buffer) {
            Ok(content) => content,
            Err(errno) => fail(b"open", b"/proc/self/mountinfo", errno),
        };
        let mut cgroups = Cgroups { list: [None; 20], made: 0 };
        let mut free = 0;
        for hierarchy in content.split(|b| *b == b'\n').filter_map(|line| Hierarchy::parse(line, name)) {
            if cgroups.iter().any(|h| h.device == hierarchy.device) {
                continue;
            }
            if let Some(slot) = cgroups.list.get_mut(free) {
                *slot = Some(hierarchy);
                free += 1;
            }
        }
        cgroups
    }

    fn iter(&self) -> impl Iterator<Item = &Hierarchy> {
        self.list.iter().flatten()
    }

    fn v1(&self) -> impl Iterator<Item = &Hierarchy> {
        self.iter().filter(|h| !h.unified)
    }

    fn unified(&self) -> Option<&Hierarchy> {
        self.iter().find(|h| h.unified)
    }

    /// The cgroups and the bundle's one limit: no devices but the default ones.
    pub fn make(&mut self) -> Done<()> {
        for h in self.list.iter().flatten() {
            check("mkdir of a cgroup", sys!(MKDIRAT, AT_FDCWD, h.cgroup.as_ptr(), 0o755))?;
            self.made += 1;
            if h.has(b"cpuset") {
                // A v1 cpuset starts empty, and an empty one cannot be joined.
                h.inherit(b"cpuset.cpus")?;
                h.inherit(b"cpuset.mems")?;
            }
            if h.has(b"devices") {
                h.write(b"devices.deny", &[b"a"])?;
                h.write(b"devices.allow", &DEVICE_RULES)?;
            }
        }
        match self.unified() {
            Some(h) if !self.iter().any(|h| h.has(b"devices")) => h.attach_device_program(),
            _ => Ok(()),
        }
    }

    /// A descriptor for CLONE_INTO_CGROUP, where there is a v2 hierarchy.
    pub fn open_unified(&self) -> Done<Option<usize>> {
        let open = |h: &Hierarchy| sys!(OPENAT, AT_FDCWD, h.cgroup.as_ptr(), O_PATH_DIRECTORY);
        self.unified().map(|h| check("open of a cgroup", open(h))).transpose()
    }

    /// Moves the caller into the v1 cgroups.
    pub fn join(&self, file: &[u8]) -> Done<()> {
        self.v1().try_for_each(|h| h.write(file, &[b"0"]))
    }

    /// v2: one mount. v1: a tmpfs with every hierarchy, and links for controllers that share one. Bind mounts, as they
    /// cost less than new mounts and show the same in the new cgroup namespace.
    pub fn mount(&self, flags: usize) -> Done<()> {
        let top = c"sys/fs/cgroup".as_ptr();
        if self.v1().next().is_none() {
            let kind = c"cgroup2".as_ptr();
            check("mount of cgroup2", sys!(MOUNT, kind, top, kind, flags | MS_RDONLY, 0))?;
            return Ok(());
        }
        let kind = c"tmpfs".as_ptr();
        check("mount of a tmpfs", sys!(MOUNT, kind, top, kind, flags, c"mode=755".as_ptr()))?;
        for h in self.v1() {
            h.bind(flags)?;
        }
        check("remount", sys!(MOUNT, 0, top, 0, flags | MS_REMOUNT_BIND | MS_RDONLY, 0))?;
        Ok(())
    }

    pub fn remove(&self) {
        for h in self.iter().take(self.made) {
            // Since Linux 6.19, a dead task may leave its cgroup shortly after it was waited for.
            let remove = || sys!(UNLINKAT, AT_FDCWD, h.cgroup.as_ptr(), AT_REMOVEDIR);
            (0..100_000).find(|_| remove() != EBUSY);
        }
    }
}

/// null, zero, full, random, urandom, tty, ptmx, pts.
const DEVICE_RULES: [&[u8]; 8] = [
    b"c 1:3 rwm",
    b"c 1:5 rwm",
    b"c 1:7 rwm",
    b"c 1:8 rwm",
    b"c 1:9 rwm",
    b"c 5:0 rwm",
    b"c 5:2 rwm",
    b"c 136:* rwm",
];

/// One BPF instruction as the kernel reads it.
const fn bpf(code: u64, to: u64, from: u64, jump: u16, value: u64) -> u64 {
    code | to << 8 | from << 12 | (jump as u64) << 16 | value << 32
}

/// The same rules for cgroup v2: characters 136:*, 5:0-2, and 1:{3,5,7,8,9} as a set of bits.
const DEVICE_PROGRAM: [u64; 19] = [
    bpf(0x61, 2, 1, 0, 0),      // r2 = access << 16 | type
    bpf(0x57, 2, 0, 0, 0xffff), // r2 &= 0xffff
    bpf(0x55, 2, 0, 14, 2),     // not a character device: deny
    bpf(0x61, 3, 1, 4, 0),      // r3 = major
    bpf(0x61, 4, 1, 8, 0),      // r4 = minor
    bpf(0x15, 3, 0, 9, 136),    // a terminal: allow
    bpf(0x55, 3, 0, 2, 5),
    bpf(0x25, 4, 0, 9, 2), // 5:3 and above: deny
    bpf(0x05, 0, 0, 6, 0), // allow
    bpf(0x55, 3, 0, 7, 1), // major neither 1 nor 5: deny
    bpf(0x25, 4, 0, 6, 9), // 1:10 and above: deny
    bpf(0xb7, 0, 0, 0, 0x3a8),
    bpf(0x7f, 0, 4, 0, 0),
    bpf(0x57, 0, 0, 0, 1),
    bpf(0x95, 0, 0, 0, 0),
    bpf(0xb7, 0, 0, 0, 1), // allow
    bpf(0x95, 0, 0, 0, 0),
    bpf(0xb7, 0, 0, 0, 0), // deny
    bpf(0x95, 0, 0, 0, 0),
];
