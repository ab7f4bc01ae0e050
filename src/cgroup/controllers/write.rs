//! Limits as files and their contents: pure, for either layout (cgroups(7), the kernel's
//! admin-guide/cgroup-v1 and cgroup-v2.rst; config-linux.md, "Control groups"). What a controller's files are
//! is in a file for each: `memory.rs`, `cpu.rs`, `block.rs` and so on.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use rustix::io::Errno;

use crate::config::resources::{Cpu, Memory, Resources};
use crate::error::{Error, Result};
use crate::host::Cgroups;

/// One write to one file of the container's cgroup.
#[derive(Clone, PartialEq, Eq)]
pub struct Write {
    pub file: Cow<'static, str>,
    pub value: String,
    pub field: Field,
    pub if_missing: IfMissing,
}

/// The configuration's name for a limit, for errors: a list, an index and a member, or a name alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field(pub &'static str, pub Option<(usize, &'static str)>);

/// What to do when the kernel has no such file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// An error: the limit cannot be set.
    Error,
    /// What it limits is not there either; of a rule of devices: nobody asked for it.
    Ignore,
    /// The next write is for such a kernel, or for a device that does not take this one, and for no other.
    TryNext,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        self.1.map_or(Ok(()), |(index, member)| write!(f, "[{index}]{member}"))
    }
}

impl Write {
    pub fn new(file: &'static str, value: &dyn fmt::Display, field: &'static str) -> Self {
        Write {
            file: file.into(),
            value: value.to_string(),
            field: Field(field, None),
            if_missing: IfMissing::Error,
        }
    }

    /// The controller: on v1 the hierarchy, on v2 what must be enabled above. Every file is named after its own;
    /// `cgroup` is none, and everywhere on v2.
    pub fn controller(&self) -> &str {
        controller(&self.file)
    }

    /// Whether it may fail so. A rule that nobody asked for may be refused.
    pub fn ignores(&self, error: &Error) -> bool {
        match self.if_missing {
            IfMissing::Error => false,
            IfMissing::Ignore if self.controller() == "devices" => {
                error.is(Errno::PERM) || error.is(Errno::ACCESS)
            }
            IfMissing::TryNext if self.controller() == "io" && error.is(Errno::OPNOTSUPP) => true,
            IfMissing::Ignore | IfMissing::TryNext => error.is(Errno::NOENT),
        }
    }

    /// Whether the kernel may refuse it (EINVAL) for what another file of the controller says.
    pub fn depends(&self) -> bool {
        matches!(self.controller(), "memory" | "cpu")
    }

    /// The kernel does not take it.
    #[cold]
    pub fn write_error(&self, errno: Errno) -> Error {
        let Write { file, value, field, .. } = self;
        match self.controller() {
            // v1 says so when it has reclaimed what it could; v2 calls the killer.
            "memory" if errno == Errno::BUSY => {
                Error::system(errno, format_args!("linux.resources.{field}: {value} is below what is in use"))
            }
            _ => Error::system(errno, format_args!("linux.resources.{field}: write {value} to {file}")),
        }
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Write");
        fields.field("controller", &self.controller()).field("file", &self.file);
        fields.field("value", &self.value).field("field", &self.field.to_string());
        fields.field("optional", &(self.if_missing == IfMissing::Ignore));
        if self.if_missing == IfMissing::TryNext {
            fields.field("or", &"the next");
        }
        fields.finish()
    }
}

/// A file's controller, by its name.
pub fn controller(file: &str) -> &str {
    file.split('.').next().unwrap_or_default()
}

/// Writes in the making, for one layout.
pub struct Writes<'l> {
    layout: &'l Cgroups,
    list: Vec<Write>,
}

/// Everything to write but rules of devices, in order; for a new cgroup as it is, for one in use see
/// [`crate::cgroup::Cgroup::update`].
pub fn plan(resources: &Resources<'_>, layout: &Cgroups) -> Result<Vec<Write>> {
    plan_with(resources, &resources.memory, &resources.cpu, layout)
}

/// The same, with limits of memory and CPU in the place of those.
pub fn plan_with(
    resources: &Resources<'_>,
    memory: &Memory,
    cpu: &Cpu<'_>,
    layout: &Cgroups,
) -> Result<Vec<Write>> {
    let mut writes = Writes { layout, list: Vec::with_capacity(16) };
    writes.memory(memory)?;
    writes.cpu(cpu)?;
    writes.cpuset(cpu);
    if let Some(limit) = resources.pids {
        writes.put("pids.max", &Limit(limit), "pids.limit");
    }
    if resources.has_rare() {
        writes.rare(resources)?;
    }
    Ok(writes.list)
}

/// A limit as v2 and pids have it: -1 is none.
pub struct Limit(pub i64);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 { f.write_str("max") } else { write!(f, "{}", self.0) }
    }
}

/// Zero is what engines write for "not set".
pub fn nonzero(value: Option<i64>) -> Option<i64> {
    value.filter(|value| *value != 0)
}

impl Writes<'_> {
    /// Whether a controller is on v2; by its v1 name, where it has two.
    pub fn is_v2(&self, controller: &str) -> bool {
        self.layout.is_v2(controller)
    }

    /// What few containers have, and its code not among what all need.
    #[cold]
    #[inline(never)]
    fn rare(&mut self, resources: &Resources<'_>) -> Result<()> {
        self.block(&resources.block_io)?;
        self.hugetlb(&resources.hugepage_limits);
        self.network(&resources.network)?;
        self.rdma(&resources.rdma);
        // Last, for it has the last word.
        self.unified(&resources.unified)
    }

    pub fn put(&mut self, file: &'static str, value: &dyn fmt::Display, field: &'static str) {
        self.push(file.into(), value, Field(field, None), IfMissing::Error);
    }

    /// A number, if there is one.
    pub fn put_some(&mut self, file: &'static str, value: Option<i64>, field: &'static str) {
        if let Some(value) = value {
            self.put(file, &value, field);
        }
    }

    pub fn put_some_v1(&mut self, file: &'static str, value: Option<i64>, field: &'static str) -> Result<()> {
        value.map_or(Ok(()), |value| self.put_v1(file, &value, Field(field, None)))
    }

    pub fn push(
        &mut self,
        file: Cow<'static, str>,
        value: &dyn fmt::Display,
        field: Field,
        absent: IfMissing,
    ) {
        self.list.push(Write { file, value: value.to_string(), field, if_missing: absent });
    }

    /// A file that only v1 has.
    pub fn put_v1(&mut self, file: &'static str, value: &dyn fmt::Display, field: Field) -> Result<()> {
        match self.is_v2(controller(file)) {
            true => Err(no_such_limit(field)),
            false => {
                self.push(file.into(), value, field, IfMissing::Error);
                Ok(())
            }
        }
    }

    /// A file that only v2 has.
    pub fn put_v2(&mut self, file: &str, value: &str) -> Result<()> {
        let name = controller(file);
        if !self.layout.has_v2() || self.layout.has_v1(name) {
            return Err(Error::invalid(format_args!(
                "linux.resources.unified.{file}: {name} is not on cgroup v2 on this host"
            )));
        }
        self.push(String::from(file).into(), &value, Field("unified", None), IfMissing::Error);
        Ok(())
    }
}

#[cold]
pub fn no_such_limit(field: Field) -> Error {
    Error::invalid(format_args!("linux.resources.{field}: cgroup v2 has no such limit"))
}

#[cfg(test)]
pub mod table {
    //! How tests show what is written: `file=value`, `file=value?` where the file may be absent, `file=value or`
    //! where the next is for kernels without it. An error is itself.

    use super::*;
    use alloc::format;

    /// A layout by its v1 hierarchies and whether there is a v2 one.
    pub fn hierarchies(names: &[&str], unified: bool) -> Cgroups {
        Cgroups::Hierarchies { names: names.iter().map(|name| String::from(*name)).collect(), unified }
    }

    pub fn v1() -> Cgroups {
        let all = ["blkio", "cpu,cpuacct", "cpuset", "hugetlb", "memory", "net_cls,net_prio", "pids", "rdma"];
        hierarchies(&all, false)
    }

    pub fn show(resources: &Resources<'_>, layout: &Cgroups) -> String {
        let mark = |absent| match absent {
            IfMissing::Error => "",
            IfMissing::Ignore => "?",
            IfMissing::TryNext => " or",
        };
        match plan(resources, layout) {
            Ok(list) => {
                let lines = list.iter().map(|w| format!("{}={}{}", w.file, w.value, mark(w.if_missing)));
                lines.collect::<Vec<_>>().join("\n")
            }
            Err(error) => error.to_string(),
        }
    }

    /// Compares with what is expected on v1 and on v2.
    pub fn check(resources: &Resources<'_>, on_v1: &[&str], on_v2: &[&str]) {
        assert_eq!(show(resources, &v1()), on_v1.join("\n"), "v1: {resources:?}");
        assert_eq!(show(resources, &Cgroups::Unified), on_v2.join("\n"), "v2: {resources:?}");
    }

    #[test]
    fn pids() {
        for (limit, text) in [(-1, "max"), (0, "0"), (1, "1"), (i64::MAX, "9223372036854775807")] {
            let line = format!("pids.max={text}");
            let resources = Resources { pids: Some(limit), ..Resources::default() };
            check(&resources, &[&line], &[&line]);
        }
        check(&Resources::default(), &[], &[]);
    }
}
