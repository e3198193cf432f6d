//! A machine in memory behind a server on loopback: for tests and load.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use ipmi::{BootFlags, Completion, Control, Identify, SelRecord};
use tokio::net::UdpSocket;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::chassis::{Account, Chassis, Identity, Profile, Sensor};
use crate::server::{Handle, Server};

/// A machine that only remembers. It is off at first.
#[derive(Debug)]
pub struct MemoryMachine {
    identity: Identity,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    on: bool,
    boot: BootFlags,
    done: Vec<Control>,
    forgets: u32,
    refuses: u32,
    ignores: u32,
    lag: u32,
    /// What is still shown, and how often, of the state before a control.
    stale: Option<(bool, u32)>,
    sensors: Vec<Sensor>,
    events: Vec<SelRecord>,
    identifies: bool,
}

impl MemoryMachine {
    /// Everything that was done to its power, in order.
    #[must_use]
    pub fn done(&self) -> Vec<Control> {
        self.state().done.clone()
    }

    /// So many power commands are refused because the BMC is busy.
    pub fn refuse_controls(&self, count: u32) {
        self.state().refuses = count;
    }

    /// So many power commands are accepted and not done.
    pub fn ignore_controls(&self, count: u32) {
        self.state().ignores = count;
    }

    /// After each power command from now on the state before it is shown so many times.
    pub fn lag(&self, reads: u32) {
        let mut state = self.state();
        state.stale = None;
        state.lag = reads;
    }

    /// Whether it is on in truth, whatever its BMC shows.
    #[must_use]
    pub fn is_really_on(&self) -> bool {
        self.state().on
    }

    /// Gives it sensors and an event log.
    pub fn equip(&self, sensors: Vec<Sensor>, events: Vec<SelRecord>) {
        let mut state = self.state();
        state.sensors = sensors;
        state.events = events;
    }

    /// Switches it as a power button does, past its BMC.
    pub fn press(&self, on: bool) {
        self.state().on = on;
    }

    /// So many boot flags are accepted and dropped, as some BMCs do.
    pub fn forget_boot_flags(&self, count: u32) {
        self.state().forgets = count;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chassis for MemoryMachine {
    fn is_on(&self) -> bool {
        let mut state = self.state();
        match state.stale.take() {
            Some((shown, left)) if left > 0 => {
                state.stale = Some((shown, left.saturating_sub(1)));
                shown
            }
            _ => state.on,
        }
    }

    fn control(&self, control: Control, _: SocketAddr) -> BoxFuture<'_, Result<(), Completion>> {
        let mut state = self.state();
        if let Some(left) = state.refuses.checked_sub(1) {
            state.refuses = left;
            return Box::pin(std::future::ready(Err(Completion::NODE_BUSY)));
        }
        if let Some(left) = state.ignores.checked_sub(1) {
            state.ignores = left;
            return Box::pin(std::future::ready(Ok(())));
        }
        state.done.push(control);
        state.stale = (state.lag > 0).then_some((state.on, state.lag));
        state.on = match control {
            Control::On | Control::Cycle => true,
            Control::Off | Control::Soft => false,
            Control::Reset | Control::DiagnosticInterrupt => state.on,
        };
        Box::pin(std::future::ready(Ok(())))
    }

    fn boot_flags(&self) -> BootFlags {
        self.state().boot
    }

    fn set_boot_flags(&self, flags: BootFlags, _: SocketAddr) -> BoxFuture<'_, Result<(), Completion>> {
        let mut state = self.state();
        match state.forgets.checked_sub(1) {
            Some(left) => state.forgets = left,
            None => state.boot = flags,
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn sensors(&self) -> Vec<Sensor> {
        self.state().sensors.clone()
    }

    fn events(&self) -> Vec<SelRecord> {
        self.state().events.clone()
    }

    fn identifies(&self) -> bool {
        self.state().identifies
    }

    fn identify(&self, identify: Identify, _: SocketAddr) -> BoxFuture<'_, Result<(), Completion>> {
        // How long it shows itself is not counted here.
        self.state().identifies = identify != Identify::Off;
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A BMC that runs until it is dropped.
#[derive(Debug)]
pub struct SimulatedBmc {
    pub port: u16,
    pub machine: Arc<MemoryMachine>,
    pub handle: Handle,
    _stop: DropGuard,
}

impl SimulatedBmc {
    /// Starts one on a free port of loopback.
    pub async fn start(account: Account, profile: Profile, identity: Identity) -> io::Result<Self> {
        let machine = Arc::new(MemoryMachine {
            identity,
            state: Mutex::new(State {
                on: false,
                boot: BootFlags::NONE,
                done: Vec::new(),
                forgets: 0,
                refuses: 0,
                ignores: 0,
                lag: 0,
                stale: None,
                sensors: Vec::new(),
                events: Vec::new(),
                identifies: false,
            }),
        });
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = socket.local_addr()?.port();
        let server = Server::new(account, profile, Arc::clone(&machine) as Arc<dyn Chassis>);
        let (handle, cancel) = (server.handle(), CancellationToken::new());
        tokio::spawn(server.run(socket, cancel.clone()));
        Ok(Self {
            port,
            machine,
            handle,
            _stop: cancel.drop_guard(),
        })
    }
}
