//! What is asked of systemd (org.freedesktop.systemd1(5), "The Manager Object").

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use rustix::process::Pid;

use super::name::object;
use super::property::Property;
use super::scope::Scope;
use crate::error::{Error, Kind, Result};
use crate::os::dbus::message::{Call, ERROR, RETURN, SIGNAL, Value, Writer};
use crate::os::dbus::read::Message;
use crate::os::dbus::{Address, Connection, ErrorReply};

const SERVICE: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const OBJECT: &str = "/org/freedesktop/systemd1";

/// Its jobs' ends.
const JOBS: &str = "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',\
    interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";

/// A connection to it.
pub struct Systemd {
    connection: Connection,
    /// The cgroup in which it has its units; empty for the root.
    pub root: String,
    /// It is a user's.
    pub is_user: bool,
    /// Properties that it has rejected as unknown; they are not sent.
    pub unsupported: Vec<String>,
    /// Some of it has been told on this connection.
    pub has_new_unsupported: bool,
}

/// How a job went.
type Outcome = core::result::Result<(), ErrorReply>;

impl Systemd {
    /// A connection by the first of the addresses where systemd answers; the error is the first's.
    pub fn connect(addresses: &[Address], user: bool) -> Result<Self> {
        let mut first = None;
        for address in addresses {
            match Self::connect_to(address, user) {
                Err(error) => drop(first.get_or_insert(error)),
                systemd => return systemd,
            }
        }
        Err(first.unwrap_or_else(|| {
            Error::invalid(format_args!(
                "no bus of systemd: XDG_RUNTIME_DIR and DBUS_SESSION_BUS_ADDRESS are not set"
            ))
        }))
    }

    fn connect_to(address: &Address, user: bool) -> Result<Self> {
        let mut connection = Connection::open(address)?;
        connection.add_match(JOBS);
        let root = get(&mut connection, OBJECT.into(), MANAGER, "ControlGroup")?;
        let root = root.map_err(|reply| refused("Get ControlGroup", "", &reply))?;
        Ok(Systemd {
            connection,
            root: root.trim_end_matches('/').into(),
            is_user: user,
            unsupported: Vec::new(),
            has_new_unsupported: false,
        })
    }

    /// Where it was found.
    pub fn address(&self) -> &Address {
        &self.connection.address
    }

    /// The same, in words.
    #[cold]
    #[inline(never)]
    pub fn address_text(&self) -> String {
        self.address().to_string()
    }

    /// Makes a scope around a process. An older systemd does not know every property: what is not asked for by name
    /// is left out then, for it is written to the cgroup's files as well.
    pub fn start(&mut self, scope: &Scope, description: &str, pid: Pid) -> Result<()> {
        loop {
            let number = self.connection.queue(&self.transient(scope, description, pid));
            match self.job(number)? {
                Ok(()) => return Ok(()),
                Err(reply) if self.record_unsupported(&reply, &scope.properties, &scope.from_annotations) => {
                }
                Err(reply) => return Err(refused("StartTransientUnit", &scope.name, &reply)),
            }
        }
    }

    /// Whether there is something to be left out, the next time: a property that was sent and is not `asked` for.
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
        // No other units beside it.
        body.array(8, &mut |_| {});
        manager("StartTransientUnit", "ssa(sv)a(sa(sv))", body)
    }

    fn supported<'p>(&self, properties: &'p [Property]) -> impl Iterator<Item = &'p Property> {
        properties.iter().filter(|(name, _)| !self.unsupported.iter().any(|unknown| unknown == name))
    }

    /// Changes properties until the next boot.
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
                Err(reply) => return Err(refused(CALL, unit, &reply)),
            }
        }
        Ok(())
    }

    /// Moves a process into a cgroup of a unit: `/a` below its own.
    pub fn attach(&mut self, unit: &str, below: &str, pid: Pid) -> Result<()> {
        let mut body = Writer::default();
        body.text(unit);
        body.text(if below.is_empty() { "/" } else { below });
        body.array(4, &mut |body| body.u32(pid.as_raw_nonzero().get() as u32));
        const CALL: &str = "AttachProcessesToUnit";
        self.order(CALL, "ssau", body)?.map_err(|reply| refused(CALL, unit, &reply))
    }

    /// What is done when it is answered.
    fn order(&mut self, member: &'static str, signature: &'static str, body: Writer) -> Result<Outcome> {
        let number = self.connection.queue(&manager(member, signature, body));
        self.connection.call_result(number, |_| Some(()))
    }

    /// Ends a unit. One that is not there is as good as ended.
    pub fn stop(&mut self, unit: &str) -> Result<()> {
        let mut body = Writer::default();
        body.text(unit);
        body.text("replace");
        let number = self.connection.queue(&manager("StopUnit", "ss", body));
        match self.job(number)? {
            Err(reply) if !reply.is("NoSuchUnit") => Err(refused("StopUnit", unit, &reply)),
            _ => Ok(()),
        }
    }

    /// How systemd describes a unit.
    pub fn description(&mut self, unit: &str) -> Result<String> {
        let description =
            get(&mut self.connection, object(unit), "org.freedesktop.systemd1.Unit", "Description")?;
        description.map_err(|reply| refused("Get Description", unit, &reply))
    }

    /// Waits until the job that a call gives is done.
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
                    // Anybody may send signals to anybody on a bus.
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

/// A job's path, its unit and its result.
fn removed<'m>(message: &Message<'m>) -> Option<[&'m str; 3]> {
    let mut body = message.body("uoss")?;
    body.u32()?;
    Some([body.text()?, body.text()?, body.text()?])
}

fn done(result: &str) -> Outcome {
    match result {
        "done" => Ok(()),
        other => Err(ErrorReply { name: "JobRemoved".into(), text: format!("its result is \"{other}\"") }),
    }
}

impl ErrorReply {
    fn is(&self, name: &str) -> bool {
        self.name.strip_suffix(name).is_some_and(|above| above.ends_with('.'))
    }

    /// The property that is not known, or whose value is not: weight 0 is newer than weights.
    fn property(&self) -> Option<&str> {
        if self.is("InvalidArgs") && self.text.split(' ').any(|word| word == "CPUWeight") {
            return Some("CPUWeight");
        }
        let name = self.text.strip_prefix("Cannot set property ")?.split([',', ' ']).next();
        name.filter(|_| self.is("PropertyReadOnly"))
    }
}

#[cold]
fn refused(call: &str, unit: &str, reply: &ErrorReply) -> Error {
    let blank = if unit.is_empty() { "" } else { " " };
    Error::new(Kind::System, format_args!("{call}{blank}{unit}: {reply}"))
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

/// A property that is a text.
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
