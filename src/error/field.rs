//! The field that an error is about, from its text: contexts that end with a colon (see [`Error::within`]).

use super::Error;

/// The members of config.json.
const MEMBERS: [&str; 9] =
    ["ociVersion", "process", "root", "hostname", "domainname", "mounts", "hooks", "annotations", "linux"];

impl Error {
    /// The field of the configuration that the error is about, such as `process.rlimits[2].type` or `mounts[3]`; relative to
    /// the document in one that is not config.json.
    pub fn field(&self) -> Option<&str> {
        let mut contexts = self.text().split(": ");
        let mut follows_location = false;
        let mut context = contexts.next()?;
        // The last part is the reason.
        for next in contexts {
            // It may be followed by what it names, as in `mounts[3] /sys`.
            let field = context.split(' ').next().unwrap_or_default();
            let first = field.split(['.', '[']).next().unwrap_or_default();
            if MEMBERS.contains(&first) || follows_location && field == context {
                return Some(field);
            }
            follows_location = ends_in_location(context);
            context = next;
        }
        None
    }
}

/// Whether a text ends in `:LINE:COLUMN`, as the decoder writes before a field.
fn ends_in_location(text: &str) -> bool {
    let mut parts = text.rsplit(':');
    let mut is_number = || parts.next().is_some_and(|part| part.parse::<u32>().is_ok());
    is_number() && is_number()
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn fields() {
        for (text, field) in [
            (
                "config.json:3:9: process.rlimits[2].type: unknown limit \"X\"",
                Some("process.rlimits[2].type"),
            ),
            ("resources:1:12: memory.limit: not a number", Some("memory.limit")),
            ("mounts[3] /sys: fsmount: operation not permitted", Some("mounts[3]")),
            ("linux.resources.memory.limit: below 64 KiB", Some("linux.resources.memory.limit")),
            ("container \"x\": hooks.prestart[0] /bin/a: exit code 1", Some("hooks.prestart[0]")),
            ("openat config.json: no such file or directory", None),
            ("config.json:1:1: expected an object", None),
            ("config.json:1:1: truncated", None),
            ("", None),
        ] {
            assert_eq!(Error::invalid(format_args!("{text}")).field(), field, "{text}");
        }
    }
}
