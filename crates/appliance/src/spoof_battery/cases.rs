//! The table: who tries what, and when.

use agent_protocol::v1::{ClaimRequest, Inventory};

use self::Host::{Neighbour, OtherMachine, OwnAddress, Routed};
use self::Stage::{Armed, Booted, Claimed, Disarmed, Over, Started};
use self::Try::{Claim, Http, MappedHttp, Post, Replay, Tftp};

/// Where the machine's installation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Armed and off: no packet of it was heard.
    Armed,
    /// Its firmware was heard.
    Started,
    /// It has fetched the installer.
    Booted,
    /// Its agent holds the session.
    Claimed,
    /// It boots what was installed; its system has a first-boot certificate.
    Disarmed,
    /// The attempt has ended, and the first boot is done.
    Over,
}

/// A host on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// In another subnet, behind a router.
    Routed,
    /// On the machine's network, with an address of its own.
    Neighbour,
    /// Another machine of the site.
    OtherMachine,
    /// Whoever has the machine's address and is not the agent that Gantry booted.
    OwnAddress,
}

impl Host {
    pub(super) const fn address(self) -> &'static str {
        match self {
            Self::Routed => "127.88.0.9",
            Self::Neighbour => "127.0.0.77",
            Self::OtherMachine => super::rack::OTHER_ADDRESS,
            Self::OwnAddress => super::rack::ADDRESS,
        }
    }
}

/// A client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// None.
    Nothing,
    /// That of the agent that holds the session.
    Agent,
    /// The one that the agent had before it renewed.
    Replaced,
    /// For another key of the same machine and attempt, as an earlier boot had.
    EarlierBoot,
    /// Of an earlier attempt of the machine.
    EarlierAttempt,
    /// Of another machine's attempt.
    OtherMachine,
    /// Of the installed system.
    System,
    /// Of the system of an earlier attempt.
    EarlierSystem,
    /// Of another machine's system.
    OtherSystem,
}

/// A call of the agent endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Next,
    Report,
    Renew,
    FirstBoot,
}

pub(super) enum Try {
    /// GET from the boot services, with these further lines in its head.
    Http(&'static str, &'static str),
    /// As [`Self::Http`], to the appliance's address in its IPv6 form.
    MappedHttp(&'static str),
    /// A file over TFTP.
    Tftp(&'static str),
    /// The machine's own claim with this change, for a new key.
    Claim(fn(&mut ClaimRequest)),
    /// The machine's own claim, as it was sent.
    Replay,
    /// A call with this certificate.
    Call(Shown, Call),
    /// POST with this certificate.
    Post(Shown, &'static str),
}

pub(super) struct Case {
    pub(super) stage: Stage,
    pub(super) from: Host,
    pub(super) what: Try,
}

const SCRIPT: &str = "/ipxe/script/52:54:00:00:00:01/auto.ipxe";
const USER_DATA: &str = "/2009-04-04/user-data";
const FIRST_BOOT: &str = "/v1/first-boot";
/// By the SHA-256 of [`super::FILE`].
pub(super) const FILE: &str =
    "/v1/first-boot/file/bac2b702cc7b29da112b9751e2a68367298249a1fa847ce854b9d0f0db509c9c";
const STAGE: &str = "/v1/first-boot/stage";
const FAILED: &str = "/v1/first-boot/failed";
const DONE: &str = "/v1/first-boot/done";

fn as_it_is(_: &mut ClaimRequest) {}

fn of_board(request: &mut ClaimRequest, uuid: &str, serial: &str) {
    request.inventory = request.inventory.take().map(|inventory| Inventory {
        uuid: uuid.to_owned(),
        serial: serial.to_owned(),
        ..inventory
    });
}

fn false_nics(request: &mut ClaimRequest) {
    for nic in request
        .inventory
        .iter_mut()
        .flat_map(|inventory| &mut inventory.nics)
    {
        nic.mac = "02:00:00:00:00:99".to_owned();
    }
}

pub(super) fn cases() -> Vec<Case> {
    let case = |(stage, from, what)| Case { stage, from, what };
    [boot_ids(), sessions(), work(), first_boot()]
        .into_iter()
        .flatten()
        .map(case)
        .collect()
}

type Row = (Stage, Host, Try);

const fn call(shown: Shown, call: Call) -> Try {
    Try::Call(shown, call)
}

/// For the boot id.
fn boot_ids() -> Vec<Row> {
    vec![
        (Armed, Routed, Http(SCRIPT, "")),
        (Armed, Neighbour, Http(SCRIPT, "")),
        (Armed, OtherMachine, Http(SCRIPT, "")),
        (Armed, Neighbour, MappedHttp(SCRIPT)),
        (
            Armed,
            Neighbour,
            Http("/ipxe/script/52-54-00-00-00-01/auto.ipxe", ""),
        ),
        (Armed, Neighbour, Http("/ipxe/script/auto.ipxe", "")),
        (Armed, OtherMachine, Http("/ipxe/script/auto.ipxe", "")),
        (Armed, Neighbour, Http(SCRIPT, "X-Forwarded-For: 127.0.0.11\r\n")),
        (Armed, Neighbour, Http(SCRIPT, "X-Real-IP: 127.0.0.11\r\n")),
        (
            Armed,
            Neighbour,
            Http(SCRIPT, "Forwarded: for=127.0.0.11;by=127.0.0.1\r\n"),
        ),
        (
            Armed,
            Neighbour,
            Http("http://127.0.0.11/ipxe/script/52:54:00:00:00:01/auto.ipxe", ""),
        ),
        (Armed, Neighbour, Tftp("52:54:00:00:00:01/auto.ipxe")),
    ]
}

/// For the session, with a boot id that leaked.
fn sessions() -> Vec<Row> {
    vec![
        (Armed, Routed, Claim(as_it_is)),
        (Armed, Neighbour, Claim(as_it_is)),
        (Armed, OtherMachine, Claim(as_it_is)),
        (
            Armed,
            Routed,
            Claim(|request| request.boot_mac = "aa:bb:cc:dd:ee:ff".into()),
        ),
        (Armed, OwnAddress, Claim(as_it_is)),
        (
            Armed,
            Neighbour,
            Claim(|request| request.boot_id = "00".repeat(16)),
        ),
        (Armed, Neighbour, Claim(|request| request.boot_id = String::new())),
        (Armed, OwnAddress, Claim(|request| request.boot_id.truncate(16))),
        (
            Armed,
            Neighbour,
            Claim(|request| request.csr_pem = "no request".into()),
        ),
        (Started, Routed, Claim(as_it_is)),
        (Started, Neighbour, Claim(as_it_is)),
        (Started, OwnAddress, Claim(as_it_is)),
        (Booted, Neighbour, Http(SCRIPT, "")),
        (Booted, Routed, Claim(as_it_is)),
        (Booted, OtherMachine, Claim(as_it_is)),
        (
            Booted,
            OwnAddress,
            Claim(|request| request.boot_mac = "aa:bb:cc:dd:ee:ff".into()),
        ),
        (
            Booted,
            OwnAddress,
            Claim(|request| request.boot_mac = super::rack::OTHER_MAC.into()),
        ),
        (
            Booted,
            OwnAddress,
            Claim(|request| request.boot_mac = String::new()),
        ),
        (Booted, OwnAddress, Claim(|request| request.inventory = None)),
        (
            Booted,
            OwnAddress,
            Claim(|request| request.inventory = Some(Inventory::default())),
        ),
        (Booted, OwnAddress, Claim(false_nics)),
        (
            Booted,
            OwnAddress,
            Claim(|request| of_board(request, "dead-beef", "S1")),
        ),
        (
            Booted,
            OwnAddress,
            Claim(|request| of_board(request, "4c4c4544-0001", "S9")),
        ),
        (Booted, OwnAddress, Claim(|request| of_board(request, "", ""))),
    ]
}

/// For what the agent has while it works, and for user data.
fn work() -> Vec<Row> {
    vec![
        (Claimed, Routed, Http(SCRIPT, "")),
        (Claimed, Neighbour, Claim(as_it_is)),
        (Claimed, Neighbour, Replay),
        (Claimed, OtherMachine, Replay),
        (Claimed, Neighbour, call(Shown::Nothing, Call::Next)),
        (Claimed, OwnAddress, call(Shown::Nothing, Call::Next)),
        (Claimed, Neighbour, call(Shown::Nothing, Call::Report)),
        (Claimed, Neighbour, call(Shown::Nothing, Call::FirstBoot)),
        (Claimed, Neighbour, call(Shown::Nothing, Call::Renew)),
        (Claimed, Neighbour, call(Shown::Agent, Call::Next)),
        (Claimed, Routed, call(Shown::Agent, Call::FirstBoot)),
        (Claimed, OtherMachine, call(Shown::Agent, Call::Renew)),
        (Claimed, OwnAddress, call(Shown::Replaced, Call::Renew)),
        (Claimed, OwnAddress, call(Shown::Replaced, Call::Next)),
        (Claimed, OwnAddress, call(Shown::EarlierBoot, Call::Next)),
        (Claimed, OwnAddress, call(Shown::EarlierAttempt, Call::Next)),
        (Claimed, OwnAddress, call(Shown::EarlierAttempt, Call::FirstBoot)),
        (Claimed, OtherMachine, call(Shown::OtherMachine, Call::Next)),
        (Claimed, OtherMachine, call(Shown::OtherMachine, Call::Report)),
        (Claimed, OwnAddress, call(Shown::OtherMachine, Call::Next)),
        (Claimed, OwnAddress, call(Shown::EarlierSystem, Call::Next)),
        (Claimed, Neighbour, Http(USER_DATA, "")),
        (Claimed, OtherMachine, Http(USER_DATA, "")),
        (Claimed, OwnAddress, Http(USER_DATA, "")),
        (
            Claimed,
            Neighbour,
            Http(USER_DATA, "X-Forwarded-For: 127.0.0.11\r\n"),
        ),
        (Claimed, Neighbour, MappedHttp(USER_DATA)),
        (Claimed, Neighbour, Http("/latest/meta-data/hostname", "")),
    ]
}

/// For the data of the first boot, and after everything.
fn first_boot() -> Vec<Row> {
    vec![
        (Disarmed, Neighbour, Post(Shown::Nothing, FIRST_BOOT)),
        (Disarmed, OwnAddress, Post(Shown::Nothing, FIRST_BOOT)),
        (Disarmed, OwnAddress, Post(Shown::Agent, FIRST_BOOT)),
        (Disarmed, Neighbour, Post(Shown::System, FIRST_BOOT)),
        (Disarmed, Routed, Post(Shown::System, DONE)),
        (Disarmed, Neighbour, Post(Shown::System, FAILED)),
        (Disarmed, OwnAddress, Post(Shown::Agent, FAILED)),
        (Disarmed, OwnAddress, Post(Shown::OtherSystem, FAILED)),
        (Disarmed, OwnAddress, Post(Shown::EarlierSystem, FAILED)),
        (Disarmed, Neighbour, Post(Shown::System, STAGE)),
        (Disarmed, Neighbour, Post(Shown::Nothing, FILE)),
        (Disarmed, OwnAddress, Post(Shown::Nothing, FILE)),
        (Disarmed, OwnAddress, Post(Shown::Agent, FILE)),
        (Disarmed, Neighbour, Post(Shown::System, FILE)),
        (Disarmed, OtherMachine, Post(Shown::OtherSystem, FILE)),
        (Disarmed, OwnAddress, Post(Shown::OtherSystem, FILE)),
        (Disarmed, OwnAddress, Post(Shown::EarlierSystem, FILE)),
        (Disarmed, OtherMachine, Post(Shown::OtherSystem, FIRST_BOOT)),
        (Disarmed, OwnAddress, Post(Shown::OtherSystem, FIRST_BOOT)),
        (Disarmed, OwnAddress, Post(Shown::EarlierSystem, FIRST_BOOT)),
        (Disarmed, OwnAddress, call(Shown::System, Call::Next)),
        (Disarmed, Routed, Claim(as_it_is)),
        (Disarmed, OwnAddress, Claim(as_it_is)),
        (Over, Neighbour, Http(SCRIPT, "")),
        (Over, OwnAddress, Claim(as_it_is)),
        (Over, OwnAddress, call(Shown::Agent, Call::Next)),
        (Over, OwnAddress, call(Shown::Agent, Call::FirstBoot)),
        (Over, OwnAddress, Post(Shown::System, FIRST_BOOT)),
        (Over, Neighbour, Post(Shown::System, FIRST_BOOT)),
        (Over, OwnAddress, Post(Shown::System, FAILED)),
        (Over, OwnAddress, Post(Shown::System, FILE)),
    ]
}
