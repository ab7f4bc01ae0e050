//! The supported versions of runtime-spec (config.md, "Specification version").

/// The `ociVersion` in the output of `state`, the state passed to hooks, and the configuration made by `spec`.
pub const CURRENT: &str = "1.3.0";

/// The oldest supported version of a configuration.
pub const OLDEST: &str = "1.0.0";

/// The version of a configuration without the `v` of git tags, if it is supported: any with major version 1, within
/// which the specification is compatible. It should have the form of SemVer 2.0, such as `1.0.2-dev`; `1.0` is
/// accepted as well, as in runc and crun.
pub(crate) fn supported(version: &str) -> Option<&str> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = core.split('.');
    let major = numbers.next() == Some("1");
    let others = numbers.clone().count() <= 2 && numbers.all(is_number);
    (major && others).then_some(version)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions() {
        for good in ["1.0.0", "1.0.2-dev", "1.3.0", "1.10.0+build", "1", "1.0", "1.0-rc1"] {
            assert_eq!(super::supported(good), Some(good));
        }
        assert_eq!(super::supported("v1.0.2"), Some("1.0.2"));
        for bad in
            ["", "v", "2.0.0", "0.5.0", "1.0.0.0", "1.a.0", "vv1.0.0", "1.00.0", "1.-1.0", "1.", "11.0.0"]
        {
            assert_eq!(super::supported(bad), None, "{bad}");
        }
    }
}
