//! D-Bus calls to systemd (org.freedesktop.systemd1(5), "The Manager Object").

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use rustix::process::Pid;

use super::name::object;
use super::property::Property;
use super::scope::Scope;
use super::unreachable;
use crate::error::{Error, Kind, Result};
use crate::os::dbus::message::{Call, ERROR, RETURN, SIGNAL, Value, Writer};
use crate::os::dbus::read::Message;
use crate::os::dbus::{Address, Connection, ErrorReply, Server};

const SERVICE: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const OBJECT: &str = "/org/freedesktop/systemd1";

/// The match rule for the signal that a job has finished.
const JOBS: &str = "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',\
    interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";

/// A connection to a systemd instance.
pub struct Systemd {
    connection: Connection,
    /// The cgroup that contains its units; empty for the root.
    pub root: String,
    /// Whether it is a user instance (`systemd --user`).
    pub is_user: bool,
    /// Properties that it has rejected as unknown; they are not sent.
    pub unsupported: Vec<String>,
    /// Whether `unsupported` was extended on this connection.
    pub has_new_unsupported: bool,
}

/// The result of a job or call.
type Outcome = core::result::Result<(), ErrorReply>;

impl Systemd {
    /// Connects to the first address at which systemd replies. Errors: none does; the error has the reason of each, and
    /// what a `user` has to do.
    pub fn connect(addresses: &[Address], user: bool) -> Result<Self> {
        let mut errors = Vec::new();
        for address in addresses {
            match Self::connect_to(address, user) {
                Err(error) => errors.push(error),
                systemd => return systemd,
            }
        }
        // The recorded address of an existing container has no origin.
        let is_new = addresses.is_empty() || addresses.iter().any(|address| !address.origin.is_empty());
        Err(unreachable::error(errors, user, is_new))
    }

    fn connect_to(address: &Address, user: bool) -> Result<Self> {
        let mut connection = Connection::open(address)?;
        connection.add_match(JOBS);
        let root = get(&mut connection, OBJECT.into(), MANAGER, "ControlGroup")?;
        let root = root.map_err(|reply| refused(address, "Get ControlGroup", "", &reply))?;
        Ok(Systemd {
            connection,
            root: root.trim_end_matches('/').into(),
            is_user: user,
            unsupported: Vec::new(),
            has_new_unsupported: false,
        })
    }

    /// The address to which it is connected.
    pub fn address(&self) -> &Address {
        &self.connection.address
    }

    /// The address to which it is connected, as text.
    #[cold]
    #[inline(never)]
    pub fn address_text(&self) -> String {
        self.address().to_string()
    }

    /// Creates a scope that contains a process, and waits for the job. An older systemd does not support every
    /// property: those that were not requested by annotations are then omitted, since they are written to cgroup files
    /// as well.
    pub fn start(&mut self, scope: &Scope, description: &str, pid: Pid) -> Result<()> {
        loop {
            let number = self.connection.queue(&self.transient(scope, description, pid));
            match self.job(number)? {
                Ok(()) => return Ok(()),
                Err(reply) if self.record_unsupported(&reply, &scope.properties, &scope.from_annotations) => {
                }
                Err(reply) => return Err(self.refused("StartTransientUnit", &scope.name, &reply)),
            }
        }
    }

    /// Records the property that an error reply rejects as unsupported, if it was `sent` and is not in `requested`.
    /// Returns whether there is one, and the call is to be repeated without it.
    fn record_unsupported(&mut self, reply: &ErrorReply, sent: &[Property], requested: &[Property]) -> bool {
        let missing = reply.property().filter(|name| {
            self.supported(sent).any(|(known, _)| known == name)
                && !requested.iter().any(|(requested, _)| requested == name)
        });
        self.unsupported.extend(missing.map(String::from));
        self.has_new_unsupported |= missing.is_some();
        missing.is_some()
    }

    fn transient(&self, scope: &Scope, description: &str, pid: Pid) -> Call {
        let mut body = Writer::default();
        body.text(&scope.name);
        body.text("fail");
        body.array(8, &mut |body| {
            body.named("Description", &Value::Text(description.into()));
            body.named("PIDs", &Value::Numbers([pid.as_raw_nonzero().get() as u32].into()));
            let properties = self.supported(&scope.properties).chain(&scope.from_annotations);
            properties.for_each(|(name, value)| body.named(name, value));
        });
        // No auxiliary units.
        body.array(8, &mut |_| {});
        manager("StartTransientUnit", "ssa(sv)a(sa(sv))", body)
    }

    /// The properties that were not rejected as unsupported.
    fn supported<'p>(&self, properties: &'p [Property]) -> impl Iterator<Item = &'p Property> {
        properties.iter().filter(|(name, _)| !self.unsupported.iter().any(|unknown| unknown == name))
    }

    /// Changes properties of a unit at runtime, until the next boot.
    pub fn change(&mut self, unit: &str, properties: &[Property]) -> Result<()> {
        const CALL: &str = "SetUnitProperties";
        while self.supported(properties).next().is_some() {
            let mut body = Writer::default();
            body.text(unit);
            body.bool(true);
            body.array(8, &mut |body| {
                self.supported(properties).for_each(|(name, value)| body.named(name, value))
            });
            match self.order(CALL, "sba(sv)", body)? {
                Ok(()) => break,
                Err(reply) if self.record_unsupported(&reply, properties, &[]) => {}
                Err(reply) => return Err(self.refused(CALL, unit, &reply)),
            }
        }
        Ok(())
    }

    /// Moves a process into a cgroup of a unit: its own, or `/a` below it.
    pub fn attach(&mut self, unit: &str, below: &str, pid: Pid) -> Result<()> {
        let mut body = Writer::default();
        body.text(unit);
        body.text(if below.is_empty() { "/" } else { below });
        body.array(4, &mut |body| body.u32(pid.as_raw_nonzero().get() as u32));
        const CALL: &str = "AttachProcessesToUnit";
        self.order(CALL, "ssau", body)?.map_err(|reply| self.refused(CALL, unit, &reply))
    }

    #[cold]
    fn refused(&self, call: &str, unit: &str, reply: &ErrorReply) -> Error {
        refused(self.address(), call, unit, reply)
    }

    /// Makes a call that is complete when it is replied to, without a job.
    fn order(&mut self, member: &'static str, signature: &'static str, body: Writer) -> Result<Outcome> {
        let number = self.connection.queue(&manager(member, signature, body));
        self.connection.call_result(number, |_| Some(()))
    }

    /// Stops a unit and waits for the job. It is not an error if there is no such unit.
    pub fn stop(&mut self, unit: &str) -> Result<()> {
        let mut body = Writer::default();
        body.text(unit);
        body.text("replace");
        let number = self.connection.queue(&manager("StopUnit", "ss", body));
        match self.job(number)? {
            Err(reply) if !reply.is("NoSuchUnit") => Err(self.refused("StopUnit", unit, &reply)),
            _ => Ok(()),
        }
    }

    /// The Description= of a unit.
    pub fn description(&mut self, unit: &str) -> Result<String> {
        let description =
            get(&mut self.connection, object(unit), "org.freedesktop.systemd1.Unit", "Description")?;
        description.map_err(|reply| self.refused("Get Description", unit, &reply))
    }

    /// Waits until the job that a queued call starts has finished.
    fn job(&mut self, number: u32) -> Result<Outcome> {
        let (mut job, mut outcome) = (None, None);
        self.connection.receive_until(&mut |message| {
            match message.kind {
                RETURN if message.reply_to == number => {
                    let path = message.body("o").and_then(|mut body| body.text()).unwrap_or_default();
                    job = Some((String::from(path), String::from(message.sender)));
                }
                ERROR if message.reply_to == number => outcome = Some(Err(ErrorReply::of(message))),
                SIGNAL if message.member == "JobRemoved" => {
                    // On a bus any client can send this signal, so the sender is compared.
                    let own = job.as_ref().filter(|(_, sender)| sender == message.sender);
                    if let (Some((path, _)), Some([of, _, result])) = (own, removed(message))
                        && path == of
                    {
                        outcome = Some(done(result));
                    }
                }
                _ => {}
            }
            Ok(outcome.is_some())
        })?;
        Ok(outcome.unwrap_or(Ok(())))
    }
}

/// The arguments of JobRemoved: the job's path, its unit and its result.
fn removed<'m>(message: &Message<'m>) -> Option<[&'m str; 3]> {
    let mut body = message.body("uoss")?;
    body.u32()?;
    Some([body.text()?, body.text()?, body.text()?])
}

fn done(result: &str) -> Outcome {
    match result {
        "done" => Ok(()),
        other => Err(ErrorReply { name: "JobRemoved".into(), text: format!("job result \"{other}\"") }),
    }
}

impl ErrorReply {
    fn is(&self, name: &str) -> bool {
        self.name.strip_suffix(name).is_some_and(|above| above.ends_with('.'))
    }

    /// The property that this error rejects, as unknown or for its value: CPUWeight=0 is newer than CPUWeight.
    fn property(&self) -> Option<&str> {
        if self.is("InvalidArgs") && self.text.split(' ').any(|word| word == "CPUWeight") {
            return Some("CPUWeight");
        }
        let name = self.text.strip_prefix("Cannot set property ")?.split([',', ' ']).next();
        name.filter(|_| self.is("PropertyReadOnly"))
    }
}

#[cold]
fn refused(address: &Address, call: &str, unit: &str, reply: &ErrorReply) -> Error {
    let (address, blank) = (Server(address), if unit.is_empty() { "" } else { " " });
    Error::new(Kind::System, format_args!("{address}: {call}{blank}{unit}: {reply}"))
}

fn manager(member: &'static str, signature: &'static str, body: Writer) -> Call {
    Call {
        destination: SERVICE,
        path: OBJECT.into(),
        interface: MANAGER,
        member,
        signature,
        body,
        silent: false,
    }
}

/// Gets a property of type string.
fn get(
    connection: &mut Connection,
    path: String,
    interface: &str,
    property: &str,
) -> Result<core::result::Result<String, ErrorReply>> {
    let mut body = Writer::default();
    body.text(interface);
    body.text(property);
    let interface = "org.freedesktop.DBus.Properties";
    let call =
        Call { destination: SERVICE, path, interface, member: "Get", signature: "ss", body, silent: false };
    let number = connection.queue(&call);
    connection.call_result(number, |message| Some(String::from(message.body("v")?.text_variant()?)))
}
