//! Valid and invalid container ids: an id is the name of the state directory.

use std::fs;

use crate::check::{Outcome, holds, same};
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "commands",
    id_of_unusual_valid_characters,
    id_that_is_invalid_is_rejected,
    id_that_is_invalid_accesses_no_file
];

fn id_of_unusual_valid_characters(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "good"]);
    for id in ["a", "0", "A-b_c.d+9", &"x".repeat(100)] {
        let dir = bundle.dir.display().to_string();
        bundle.write()?;
        let output = rig.mote(&["run", "--bundle", &dir, "--", id])?;
        output.success()?.report().is("say", "good")?;
    }
    Ok(())
}

fn id_that_is_invalid_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.write()?;
    let dir = bundle.dir.display().to_string();
    let long = "x".repeat(2000);
    let mut invalid =
        vec!["", "../x", "a/b", "/a", "..", "a b", "a\nb", "a\tb", "\u{e9}", "a*", "a\\b", "a:b"];
    if rig.is(Runtime::Mote) {
        invalid.extend([".x", ".", &long]);
    }
    for id in invalid {
        for verb in ["create", "run"] {
            let output = rig.mote(&[verb, "--bundle", &dir, id])?;
            same(&format!("exit code for {id:?}"), output.code(), 1)?;
            rig.failure(&output, &[])?;
        }
        let made = fs::read_dir(&rig.state).map_or(0, Iterator::count);
        holds(&format!("no directory is created for {id:?}"), made == 0 || !rig.is(Runtime::Mote))?;
    }
    rig.nothing_left()
}

/// Commands for existing containers must find no directory outside of the state root.
fn id_that_is_invalid_accesses_no_file(rig: &mut Rig) -> Outcome {
    let outside = rig.dir.join("outside");
    fs::create_dir_all(&rig.state)?;
    fs::create_dir(&outside)?;
    fs::write(outside.join("status"), "{}")?;
    fs::write(outside.join("state.json"), "{}")?;
    for id in ["../outside", "x/../../outside", "/../outside"] {
        for words in [&["state", id][..], &["kill", id, "KILL"], &["start", id], &["delete", id]] {
            rig.failure(&rig.mote(words)?, &[])?;
        }
        let output = rig.mote(&["delete", "--force", id])?;
        holds("exit code of delete --force", output.code() <= 1)?;
        holds("the file still exists", outside.join("status").exists())?;
    }
    Ok(())
}
