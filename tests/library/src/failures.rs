//! Errors: their kind, field and errno; and nothing remains of what failed.

use mote::{Document, Kind, Runtime};

use crate::{Result, Scene};

pub fn test(scene: &Scene) -> Result {
    let options = scene.quiet()?;
    let run = |config: String| {
        let bundle = scene.bundle.clone().config(Document::Bytes(config.into()));
        scene.runtime.run(&scene.id, &bundle, &options).map(drop)
    };
    let cases = [
        ("\"cwd\":\"/\"", "\"cwd\":7", Kind::Invalid, Some("process.cwd")),
        ("\"/payload\"", "\"/none\"", Kind::NoProgram, Some("process.args[0]")),
        ("\"/payload\"", "\"/tmp\"", Kind::Program, Some("process.args[0]")),
        ("\"path\":\"rootfs\"", "\"path\":\"none\"", Kind::System, Some("root.path")),
    ];
    for (from, to, kind, field) in cases {
        let config = scene.config.replace(from, to);
        if config == scene.config {
            return Err(format!("config.json has no {from}").into());
        }
        let Err(error) = run(config) else { return Err(format!("{to}: no error").into()) };
        if error.kind() != kind || error.field() != field {
            return Err(format!("{to}: {:?}, {:?}: {error}", error.kind(), error.field()).into());
        }
    }
    for (path, text) in [
        ("relative", "root: \"relative\" is not an absolute path"),
        ("/a\0b", "root: \"/a\" is followed by a NUL byte"),
    ] {
        match Runtime::new(path) {
            Err(error) if error.kind() == Kind::Invalid && error.to_string() == text => {}
            other => return Err(format!("{path:?}: {other:?}").into()),
        }
    }
    match Runtime::with_program("/run/none", "/etc/passwd") {
        Err(error) if error.kind() == Kind::System && error.errno() == 13 => {}
        other => return Err(format!("a program that cannot be executed: {other:?}").into()),
    }
    match Runtime::with_program("/run/none", "/bin/true") {
        Err(error) if error.kind() == Kind::State => {}
        other => return Err(format!("another program: {other:?}").into()),
    }
    match scene.runtime.list()?.is_empty() {
        true => Ok(()),
        false => Err("a container remains".into()),
    }
}
