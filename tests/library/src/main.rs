//! A program that links the library, with threads, children and signal handlers of its own. Each test gets the directory of a bundle
//! whose program is the payload of the live tests, and one for the state of containers. It exits with code 0, or prints why not.

mod allocator;
mod asynchronous;
mod failures;
mod snapshot;
mod threads;
mod unchanged;
mod wait;

use std::process::ExitCode;

use mote::{Bundle, CreateOptions, Document, Runtime};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What a test gets.
pub struct Scene {
    pub runtime: Runtime,
    pub bundle: Bundle,
    /// The text of config.json.
    pub config: String,
    /// The prefix of the IDs of containers.
    pub id: String,
}

impl Scene {
    /// The bundle for a container, with arguments for the payload.
    pub fn bundle_of(&self, id: &str, words: &[&str]) -> Bundle {
        let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        let config = self.config.replace("\"WORDS\"", &words.join(", ")).replace("CONTAINER", id);
        self.bundle.clone().config(Document::Bytes(config.into()))
    }

    /// Options with /dev/null as standard streams.
    pub fn quiet(&self) -> Result<CreateOptions> {
        let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
        let null = mote::Descriptor::from(null);
        let mut options = CreateOptions::default();
        options.streams.stdin = Some(null.clone());
        options.streams.stdout = Some(null.clone());
        options.streams.stderr = Some(null);
        Ok(options)
    }
}

fn run() -> Result {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [test, bundle, root, id] = words.as_slice() else { return Err("four arguments".into()) };
    let scene = Scene {
        runtime: Runtime::new(root)?,
        bundle: Bundle::open(bundle)?,
        config: std::fs::read_to_string(format!("{bundle}/config.json"))?,
        id: id.clone(),
    };
    match test.as_str() {
        "unchanged" => unchanged::test(&scene),
        "failures" => failures::test(&scene),
        "abandon" => failures::abandon(&scene),
        "threads" => threads::test(&scene),
        "asynchronous" => asynchronous::test(&scene),
        "wait" => wait::test(&scene),
        other => Err(format!("no test {other}").into()),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
