//! Limits as writes to cgroup files: a pure function of the configuration and the layout (cgroups(7), the kernel's
//! admin-guide/cgroup-v1 and cgroup-v2.rst; config-linux.md, "Control groups"). The files of each controller are in a
//! module of its own: `memory.rs`, `cpu.rs`, `block.rs` and so on.

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

/// The field of config.json that a limit comes from, for errors: a list, an index and a member, or a name alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field(pub &'static str, pub Option<(usize, &'static str)>);

/// What to do if the kernel has no such file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// Fail: the limit cannot be set.
    Error,
    /// Continue, because there is nothing to limit without the file. Also for default device rules, which may be
    /// denied.
    Ignore,
    /// Do the next write in the list, which is the alternative for a kernel or device without this file. If the file
    /// exists, the next write is skipped.
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

    /// The controller of the file, which is the beginning of its name: on v1 it determines the hierarchy, on v2 it must
    /// be enabled in the cgroups above. Files of `cgroup` are in every v2 cgroup without a controller.
    pub fn controller(&self) -> &str {
        controller(&self.file)
    }

    /// The field of config.json, for errors: `linux.resources.memory.limit`. In `unified` it is the name of the file.
    pub fn name(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| match self.field {
            Field("unified", _) => write!(f, "linux.resources.unified.{}", self.file),
            field => write!(f, "linux.resources.{field}"),
        })
    }

    /// Whether this error is ignored. A default device rule may be denied.
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

    /// Whether the kernel may reject it (EINVAL) because of the value of another file of the controller.
    pub fn depends(&self) -> bool {
        matches!(self.controller(), "memory" | "cpu")
    }

    /// The error of a failed write.
    #[cold]
    pub fn write_error(&self, errno: Errno) -> Error {
        let Write { file, value, .. } = self;
        let name = self.name();
        match self.controller() {
            // v1 returns EBUSY if it could not reclaim enough; v2 kills processes instead (OOM).
            "memory" if errno == Errno::BUSY => {
                Error::system(errno, format_args!("{name}: {value} is below the current usage"))
            }
            _ => Error::system(errno, format_args!("{name}: write {value} to {file}")),
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

/// The controller of a file: the part of its name before the first dot.
pub fn controller(file: &str) -> &str {
    file.split('.').next().unwrap_or_default()
}

/// Collects writes for one layout.
pub struct Writes<'l> {
    layout: &'l Cgroups,
    list: Vec<Write>,
}

/// Plans all writes except device rules, in order, for a new cgroup; for one in use see
/// [`crate::cgroup::Cgroup::update`].
///
/// Errors: limits that are invalid, or that the layout does not have.
pub fn plan(resources: &Resources<'_>, layout: &Cgroups) -> Result<Vec<Write>> {
    plan_with(resources, &resources.memory, &resources.cpu, layout)
}

/// Plans all writes like [`plan`], with other limits of memory and CPU than those in `resources`.
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

/// A limit in the format of v2 and of pids: a negative number is printed as `max`.
pub struct Limit(pub i64);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 { f.write_str("max") } else { write!(f, "{}", self.0) }
    }
}

/// The value unless it is zero, which engines write for "not set".
pub fn nonzero(value: Option<i64>) -> Option<i64> {
    value.filter(|value| *value != 0)
}

impl Writes<'_> {
    /// Whether a controller is on v2; `blkio`, not `io`, if it has two names.
    pub fn is_v2(&self, controller: &str) -> bool {
        self.layout.is_v2(controller)
    }

    /// Adds the limits that few containers have; out of line, so that the common path uses fewer pages of code.
    #[cold]
    #[inline(never)]
    fn rare(&mut self, resources: &Resources<'_>) -> Result<()> {
        self.block(&resources.block_io)?;
        self.hugetlb(&resources.hugepage_limits);
        self.network(&resources.network)?;
        self.rdma(&resources.rdma);
        // Last, so that `unified` overrides the other fields.
        self.unified(&resources.unified)
    }

    /// Adds a write to a file that must exist.
    pub fn put(&mut self, file: &'static str, value: &dyn fmt::Display, field: &'static str) {
        self.push(file.into(), value, Field(field, None), IfMissing::Error);
    }

    /// Adds a write of a number, if there is one.
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

    /// Adds a write to a file that only v1 has. Errors: the controller is on v2.
    pub fn put_v1(&mut self, file: &'static str, value: &dyn fmt::Display, field: Field) -> Result<()> {
        match self.is_v2(controller(file)) {
            true => Err(no_such_limit(field)),
            false => {
                self.push(file.into(), value, field, IfMissing::Error);
                Ok(())
            }
        }
    }

    /// Adds a write to a file of v2 (`linux.resources.unified`). Errors: the controller is not on v2.
    pub fn put_v2(&mut self, file: &str, value: &str) -> Result<()> {
        let name = controller(file);
        if !self.layout.has_v2() || self.layout.has_v1(name) {
            return Err(Error::invalid(format_args!(
                "linux.resources.unified.{file}: cgroup v2 has no {name} controller on this host"
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
    //! Prints planned writes for tests: `file=value`, `file=value?` if the file may be missing, `file=value or` if the
    //! next write is for kernels without it; or the error.

    use super::*;
    use alloc::format;

    /// A layout with these v1 hierarchies, and a v2 one if `unified`.
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

    /// Compares the writes with those expected on v1 and on v2.
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
