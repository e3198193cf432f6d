//! From a Machine's connection and its Secret to a BMC client of the protocol that the BMC speaks.
//!
//! Where several protocols are allowed, the first that answers is taken, and kept until it does not answer any more.
//! Whether one answers is asked without user and password. A BMC that refuses the login or shows a certificate that is not
//! the pinned one has answered: nothing else is tried then.

use std::time::{Duration, Instant};

use bmc::{Bmc, Ipmi, IpmiConnection, Login, Redfish, Trust};
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::{Api, Client};
use resources::Secret;
use resources::bmc::{self as api, BmcProtocol};

use crate::Error;
use crate::contacts::Turn;
use crate::engine::protocol::{allowed, cipher_suites};

const HTTPS: u16 = 443;
const REQUEST_LIMIT: Duration = Duration::from_secs(20);
/// To find out whether a protocol is spoken at all.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
const ONLY: &str = "the only protocol that the Machine's settings allow";
const FIRST: &str = "the first of the allowed protocols that answers";

/// A BMC that can be spoken to, and the turn to do so.
pub(crate) struct Link {
    pub(crate) client: Box<dyn Bmc>,
    pub(crate) protocol: BmcProtocol,
    /// Why this protocol.
    pub(crate) reason: String,
    turn: Turn,
}

/// Why there is no [`Link`].
pub(crate) enum NoLink {
    /// What the user has to fix, or why the BMC does not answer.
    Problem(String),
    /// The BMC has not answered so often that it is left alone for a while.
    Paused(Duration, String),
}

/// User and password of a BMC.
struct Account {
    username: String,
    password: Secret<String>,
}

/// A client in the way of being chosen.
enum Candidate {
    Redfish(Box<Redfish>),
    Ipmi(Box<Ipmi>),
}

impl Link {
    /// Ends the session and takes note of whether the BMC answered.
    pub(crate) async fn close(mut self, failure: Option<&bmc::Error>) {
        self.client.close().await;
        match failure {
            Some(error) if is_silence(error) => silent(&mut self.turn, causes::line(error)),
            _ => self.turn.breaker.answered(),
        }
    }
}

/// Takes note of a BMC that did not answer.
fn silent(turn: &mut Turn, why: String) {
    turn.breaker.failed(Instant::now(), rand::random());
    turn.chosen = None;
    turn.silence = Some(why);
}

fn is_silence(error: &bmc::Error) -> bool {
    matches!(error, bmc::Error::Unreachable { .. } | bmc::Error::Timeout { .. })
}

/// Whether an error of a probe means that the protocol is not spoken here, and not that it is spoken and refused.
fn is_absence(error: &bmc::Error) -> bool {
    use bmc::Error as E;
    is_silence(error)
        || matches!(
            error,
            E::Status { .. }
                | E::Malformed { .. }
                | E::Redirect { .. }
                | E::TooLong { .. }
                | E::IpmiRefused { .. }
        )
}

/// Opens a link. Nothing is sent in it yet, but where several protocols are allowed one of them has answered.
pub(crate) async fn open(
    client: &Client,
    connection: &api::Connection,
    turn: Turn,
) -> Result<Result<Link, NoLink>, Error> {
    let account = match account(client, connection).await? {
        Ok(account) => account,
        Err(problem) => return Ok(Err(NoLink::Problem(problem))),
    };
    Ok(choose(connection, &account, turn).await)
}

async fn choose(connection: &api::Connection, account: &Account, mut turn: Turn) -> Result<Link, NoLink> {
    let protocols = allowed(connection).map_err(NoLink::Problem)?;
    if let Some(pause) = turn.breaker.pause(Instant::now()) {
        let last = turn.silence.as_deref().unwrap_or("no reason is known");
        let times = turn.breaker.failures();
        let text = format!("no answer {times} times in a row, asked again after a pause: {last}");
        return Err(NoLink::Paused(pause, text));
    }
    let made = |protocol, limit| candidate(protocol, connection, account, limit);
    if let [protocol] = protocols.as_slice() {
        let candidate = made(*protocol, REQUEST_LIMIT).map_err(NoLink::Problem)?;
        return Ok(candidate.link(ONLY.to_owned(), turn));
    }
    if let Some((protocol, reason)) = turn
        .chosen
        .clone()
        .filter(|(chosen, _)| protocols.contains(chosen))
    {
        let candidate = made(protocol, REQUEST_LIMIT).map_err(NoLink::Problem)?;
        return Ok(candidate.link(reason, turn));
    }
    let mut absent = Vec::new();
    for protocol in protocols {
        let probe = match made(protocol, PROBE_LIMIT) {
            Ok(probe) => probe.detect().await,
            Err(problem) => {
                absent.push(format!("{protocol} is not used: {problem}"));
                continue;
            }
        };
        match probe {
            Ok(()) => {
                let reason = if absent.is_empty() {
                    FIRST.to_owned()
                } else {
                    absent.join("; ")
                };
                turn.chosen = Some((protocol, reason.clone()));
                let candidate = made(protocol, REQUEST_LIMIT).map_err(NoLink::Problem)?;
                return Ok(candidate.link(reason, turn));
            }
            Err(error) if is_absence(&error) => {
                absent.push(format!("no {protocol}: {}", causes::line(&error)))
            }
            Err(error) => return Err(NoLink::Problem(causes::line(&error))),
        }
    }
    let why = absent.join("; ");
    silent(&mut turn, why.clone());
    Err(NoLink::Problem(why))
}

/// The silence of a BMC in one line. Where IPMI is not allowed and yet answers, the line says so.
pub(crate) async fn explained(connection: &api::Connection, error: &bmc::Error) -> String {
    let line = causes::line(error);
    let only_redfish = allowed(connection).is_ok_and(|protocols| protocols == [BmcProtocol::Redfish]);
    if !is_silence(error) || !only_redfish {
        return line;
    }
    let nobody = Account {
        username: String::new(),
        password: Secret::new(String::new()),
    };
    match ipmi(connection, &nobody, PROBE_LIMIT) {
        Ok(probe) if probe.detect().await.is_ok() => format!(
            "{line}; it answers by IPMI, which this Machine does not allow: add ipmitool to \
             providerOptions.preferredOrder, or bmc_protocol ipmi to hardware.csv"
        ),
        _ => line,
    }
}

impl Candidate {
    async fn detect(&self) -> Result<(), bmc::Error> {
        match self {
            Self::Redfish(client) => client.detect().await,
            Self::Ipmi(client) => client.detect().await,
        }
    }

    fn link(self, reason: String, turn: Turn) -> Link {
        let (protocol, client): (_, Box<dyn Bmc>) = match self {
            Self::Redfish(client) => (BmcProtocol::Redfish, client),
            Self::Ipmi(client) => (BmcProtocol::Ipmi, client),
        };
        Link {
            client,
            protocol,
            reason,
            turn,
        }
    }
}

fn candidate(
    protocol: BmcProtocol,
    connection: &api::Connection,
    account: &Account,
    limit: Duration,
) -> Result<Candidate, String> {
    match protocol {
        BmcProtocol::Redfish => redfish(connection, account, limit)
            .and_then(|connection| Redfish::new(connection).map_err(|error| causes::line(&error)))
            .map(|client| Candidate::Redfish(Box::new(client))),
        BmcProtocol::Ipmi => ipmi(connection, account, limit).map(|client| Candidate::Ipmi(Box::new(client))),
    }
}

async fn account(client: &Client, connection: &api::Connection) -> Result<Result<Account, String>, Error> {
    let Some(reference) = &connection.auth_secret_ref else {
        return Ok(Err("spec.connection.authSecretRef is missing".to_owned()));
    };
    let secrets: Api<SecretObject> = Api::namespaced(client.clone(), &reference.namespace);
    let place = format!("{}/{}", reference.namespace, reference.name);
    let found = secrets.get_opt(&reference.name).await;
    let found = found.map_err(|source| Error::Read {
        kind: "Secret",
        name: place.clone(),
        source,
    })?;
    Ok(match found {
        Some(secret) => account_of(&secret, &place),
        None => Err(format!("Secret {place} does not exist")),
    })
}

fn account_of(secret: &SecretObject, place: &str) -> Result<Account, String> {
    let value = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key));
        let text = bytes.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| format!("Secret {place} has no text in key {key}"))
    };
    Ok(Account {
        username: value("username")?,
        password: Secret::new(value("password")?),
    })
}

fn redfish(
    connection: &api::Connection,
    account: &Account,
    timeout: Duration,
) -> Result<bmc::Connection, String> {
    let options = connection.provider_options.as_ref();
    let redfish = options
        .and_then(|options| options.redfish.clone())
        .unwrap_or_default();
    let trust = match redfish.certificate_digest {
        Some(digest) => Trust::Fingerprint(digest.octets()),
        None if connection.insecure_tls => Trust::Insecure,
        None => {
            return Err(
                "the BMC's certificate is not pinned: set providerOptions.redfish.certificateDigest, \
                        or insecureTLS to accept any"
                    .to_owned(),
            );
        }
    };
    Ok(bmc::Connection {
        host: connection.host.clone(),
        // spec.connection.port is IPMI's.
        port: redfish.port.unwrap_or(HTTPS),
        username: account.username.clone(),
        password: account.password.clone(),
        login: if redfish.use_basic_auth {
            Login::Basic
        } else {
            Login::Session
        },
        trust,
        timeout,
        system: redfish.system_name,
    })
}

fn ipmi(connection: &api::Connection, account: &Account, timeout: Duration) -> Result<Ipmi, String> {
    let options = connection.provider_options.as_ref();
    let ipmi = options
        .and_then(|options| options.ipmitool.clone())
        .unwrap_or_default();
    let port = match (ipmi.port, connection.port) {
        (Some(port), _) => port,
        (None, None) => IpmiConnection::PORT,
        (None, Some(port)) => u16::try_from(port)
            .map_err(|_| format!("spec.connection.port {port} is no port: use 1 to 65535"))?,
    };
    let connection = IpmiConnection {
        host: connection.host.clone(),
        port,
        username: account.username.clone(),
        password: account.password.clone(),
        suites: cipher_suites(ipmi.cipher_suite.as_deref())?,
        timeout,
    };
    Ipmi::new(connection).map_err(|error| causes::line(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn secret(pairs: &[(&str, &str)]) -> SecretObject {
        let data: BTreeMap<String, ByteString> = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())))
            .collect();
        SecretObject {
            data: Some(data),
            ..SecretObject::default()
        }
    }

    fn connection(value: serde_json::Value) -> api::Connection {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn accounts() {
        let full = secret(&[("username", "ops"), ("password", "fake-password")]);
        let account = account_of(&full, "ns/s").ok().unwrap();
        assert_eq!(
            (account.username.as_str(), account.password.reveal().as_str()),
            ("ops", "fake-password")
        );
        for half in [
            secret(&[("username", "ops")]),
            secret(&[("username", ""), ("password", "fake-password")]),
        ] {
            let error = account_of(&half, "ns/s").err().unwrap();
            assert!(error.contains("ns/s") && !error.contains("fake-password"));
        }
    }

    #[test]
    fn connections() {
        let account = Account {
            username: "ops".to_owned(),
            password: Secret::new("fake-password".to_owned()),
        };
        let of = |value| redfish(&connection(value), &account, REQUEST_LIMIT);
        let made = of(json!({"host": "h", "insecureTLS": true})).unwrap();
        assert_eq!(
            (made.port, made.login, made.trust),
            (443, Login::Session, Trust::Insecure)
        );
        let strict = of(json!({"host": "h"}));
        assert!(strict.unwrap_err().contains("certificateDigest"));
        let made = of(
            json!({"host": "h", "providerOptions": {"redfish": {"port": 8443, "useBasicAuth": true,
            "certificateDigest": format!("sha256:{}", "11".repeat(32))}}}),
        )
        .unwrap();
        assert_eq!(
            (made.port, made.login, made.trust),
            (8443, Login::Basic, Trust::Fingerprint([0x11; 32]))
        );
        for (value, part) in [
            (json!({"host": "h"}), None),
            (json!({"host": "h", "port": 6230}), None),
            (json!({"host": "h", "port": 70_000}), Some("70000")),
            (
                json!({"host": "h", "port": -1, "providerOptions": {"ipmitool": {"port": 6230}}}),
                None,
            ),
            (
                json!({"host": "h", "providerOptions": {"ipmitool": {"cipherSuite": "0"}}}),
                Some("cipherSuite"),
            ),
        ] {
            let made = ipmi(&connection(value.clone()), &account, REQUEST_LIMIT);
            assert_eq!(made.as_ref().err().is_some(), part.is_some(), "{value}");
            assert!(
                made.err()
                    .is_none_or(|error| error.contains(part.unwrap_or_default()))
            );
        }
    }
}
