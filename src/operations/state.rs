//! The results of operations in a message.

use alloc::string::String;
use alloc::vec::Vec;

use super::wire::{Decoder, Encoder, Wire};
use crate::container::outcome::Outcome;
use crate::container::state::{Report, State};
use crate::error::Result;
use crate::os::descriptor::Descriptor;

impl Wire for Outcome {
    fn put(&self, to: &mut Encoder) {
        match self {
            Outcome::Running(pid, pidfd) => {
                to.number(0);
                pid.put(to);
                pidfd.put(to);
            }
            Outcome::Ended(code) => {
                to.number(1);
                code.put(to);
            }
        }
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        match from.number()? {
            0 => Ok(Outcome::Running(i32::take(from)?, Descriptor::take(from)?)),
            _ => i32::take(from).map(Outcome::Ended),
        }
    }
}

const STATES: [State; 5] = [State::Creating, State::Created, State::Running, State::Paused, State::Stopped];

impl Wire for State {
    fn put(&self, to: &mut Encoder) {
        to.number(STATES.iter().position(|state| state == self).unwrap_or_default() as u64);
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        let number = from.number()?;
        let mut known = (0..).zip(STATES);
        Ok(known.find(|(index, _)| *index == number).map_or(State::Stopped, |(_, state)| state))
    }
}

impl Wire for Report {
    fn put(&self, to: &mut Encoder) {
        let Report { oci_version, id, state, pid, bundle, rootfs, created, owner, annotations } = self;
        [oci_version, id, bundle, rootfs, created].iter().for_each(|text| text.put(to));
        state.put(to);
        pid.put(to);
        owner.put(to);
        annotations.put(to);
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        let mut text = || String::take(from);
        let [oci_version, id, bundle, rootfs, created] = [text()?, text()?, text()?, text()?, text()?];
        let (state, pid, owner) = (State::take(from)?, i32::take(from)?, u32::take(from)?);
        let annotations = Vec::take(from)?;
        Ok(Report { oci_version, id, state, pid, bundle, rootfs, created, owner, annotations })
    }
}
