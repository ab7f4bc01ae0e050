//! The version of runtime-spec that mote speaks (config.md, "Specification version").

/// What `state`, hooks and `spec` say.
pub const CURRENT: &str = "1.3.0";

/// The oldest version whose configurations are understood.
pub const OLDEST: &str = "1.0.0";

/// Whether a configuration of this version can be read: any 1.x in the form of SemVer 2.0. The
/// specification is compatible within a major version, and engines write `1.0.2-dev`.
pub fn is_supported(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = core.split('.');
    let major = numbers.next() == Some("1");
    let (minor, patch) = (is_number(numbers.next()), is_number(numbers.next()));
    major && minor && patch && numbers.next().is_none()
}

fn is_number(text: Option<&str>) -> bool {
    let good =
        |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()) && (t == "0" || !t.starts_with('0'));
    text.is_some_and(good)
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions() {
        for good in ["1.0.0", "1.0.2-dev", "1.3.0", "1.10.0+build"] {
            assert!(super::is_supported(good), "{good}");
        }
        for bad in ["", "1", "1.0", "2.0.0", "0.5.0", "1.0.0.0", "1.a.0", "v1.0.0", "1.00.0", "1.-1.0"] {
            assert!(!super::is_supported(bad), "{bad}");
        }
    }
}
