//! The events of a container.

use alloc::vec::Vec;

use rustix::fd::BorrowedFd;

use super::exchange::{Exchange, Message, decode};
use super::stats::Stats;
use crate::error::{Error, Result};

/// An event.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The statistics, at the interval.
    Stats(Stats),
    /// A process of the container was killed because its cgroup had no memory left.
    OomKill,
}

/// The events of a container, as an iterator that ends when the container init has ended. Its file descriptor becomes readable
/// with the next event.
#[derive(Debug)]
pub struct Events {
    exchange: Option<Exchange>,
}

impl Events {
    pub(super) fn new(exchange: Exchange) -> Self {
        Events { exchange: Some(exchange) }
    }

    fn take(&mut self) -> Result<Option<Event>> {
        let Some(exchange) = &mut self.exchange else { return Ok(None) };
        match exchange.next(&mut Vec::new())? {
            Message::Event(line) => match line.contains("\"type\":\"oom\"") {
                true => Ok(Some(Event::OomKill)),
                false => Stats::decode(line).map(Event::Stats).map(Some),
            },
            Message::Done(content) => {
                decode(content, &mut Vec::new(), |_| Ok(()))?;
                Ok(None)
            }
        }
    }

    /// The only event of statistics that are reported once.
    pub(super) fn statistics(mut self) -> Result<Stats> {
        match self.next().transpose()? {
            Some(Event::Stats(stats)) => Ok(stats),
            _ => Err(Error::invalid(format_args!("no statistics"))),
        }
    }

    /// The file descriptor; `None` after the end.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.exchange.as_ref().map(Exchange::socket)
    }
}

impl Iterator for Events {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        let taken = self.take();
        if !matches!(taken, Ok(Some(_))) {
            self.exchange = None;
        }
        taken.transpose()
    }
}
