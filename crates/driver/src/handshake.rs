//! How a driver's process and the core find each other: variables of the environment, and one line on standard output.
//! The comment of `plugin.proto` is the reference.

use std::fmt;
use std::path::PathBuf;

/// Variable that says that a core starts the program. No secret: it keeps people from starting a driver by mistake.
pub const COOKIE_VARIABLE: &str = "MACHINE_DRIVER_COOKIE";
/// Its value.
pub const COOKIE: &str = "machine.driver.v1";
/// Variable with the directory of the socket.
pub const SOCKET_DIR_VARIABLE: &str = "MACHINE_DRIVER_SOCKET_DIR";
/// Variable with the minor versions that the core speaks.
pub const MINORS_VARIABLE: &str = "MACHINE_DRIVER_MINORS";
/// Minor versions of the contract that this crate speaks.
pub const MINORS: &[u32] = &[0];
/// Exit status of a driver that was started without the cookie (EX_USAGE).
pub const EXIT_NO_COOKIE: u8 = 64;
/// Exit status of a driver that speaks none of the minor versions (EX_DATAERR).
pub const EXIT_NO_MINOR: u8 = 65;

/// First and second field of the line: what it is, and its own version.
const PREFIX: [&str; 2] = ["machine-driver", "1"];

/// The line that a driver writes when it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// Minor version in which it speaks.
    pub minor: u32,
    /// Where it listens.
    pub socket: PathBuf,
    /// Build of the driver's release.
    pub build_id: String,
}

impl Handshake {
    /// Reads the line.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(line: &str) -> Result<Self, String> {
        let fields: Vec<&str> = line.trim_end_matches(['\r', '\n']).split('|').collect();
        let [name, version, minor, transport, socket, build_id] = fields.as_slice() else {
            return Err(format!("it has {} fields and not six", fields.len()));
        };
        if [*name, *version] != PREFIX {
            return Err(format!("it does not begin with {}", PREFIX.join("|")));
        }
        if *transport != "unix" {
            return Err(format!("its transport is {transport:?}, and only unix is known"));
        }
        Ok(Self {
            minor: minor
                .parse()
                .map_err(|_| format!("its minor version {minor:?} is no number"))?,
            socket: PathBuf::from(socket),
            build_id: (*build_id).to_owned(),
        })
    }
}

impl fmt::Display for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [name, version] = PREFIX;
        let Self {
            minor,
            socket,
            build_id,
        } = self;
        write!(f, "{name}|{version}|{minor}|unix|{}|{build_id}", socket.display())
    }
}

/// The highest minor version that is also in `offered`.
#[must_use]
pub fn common_minor(offered: &[u32]) -> Option<u32> {
    MINORS
        .iter()
        .filter(|minor| offered.contains(minor))
        .max()
        .copied()
}

/// Minor versions as they stand in the variable.
#[must_use]
pub fn parse_minors(text: &str) -> Vec<u32> {
    text.split(',')
        .filter_map(|minor| minor.trim().parse().ok())
        .collect()
}

/// Minor versions as they stand in the variable.
#[must_use]
pub fn print_minors(minors: &[u32]) -> String {
    let minors: Vec<String> = minors.iter().map(u32::to_string).collect();
    minors.join(",")
}

#[cfg(test)]
mod tests {
    use super::{Handshake, common_minor, parse_minors, print_minors};

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let line = Handshake {
            minor: 3,
            socket: "/run/d/driver.sock".into(),
            build_id: "abc".to_owned(),
        };
        assert_eq!(Handshake::parse(&format!("{line}\n")), Ok(line));
    }

    #[test]
    fn other_lines_are_refused() {
        for (line, problem) in [
            ("", "fields"),
            ("hello", "fields"),
            ("machine-driver|1|0|unix|/x|b|more", "fields"),
            ("core|1|0|unix|/x|b", "begin"),
            ("machine-driver|2|0|unix|/x|b", "begin"),
            ("machine-driver|1|0|tcp|127.0.0.1:1|b", "transport"),
            ("machine-driver|1|-1|unix|/x|b", "minor"),
        ] {
            let error = Handshake::parse(line).expect_err(line);
            assert!(error.contains(problem), "{line}: {error}");
        }
    }

    #[test]
    fn minors_are_agreed_on() {
        assert_eq!(common_minor(&parse_minors("0,7")), Some(0));
        assert_eq!(common_minor(&parse_minors("7, x")), None);
        assert_eq!(parse_minors(&print_minors(&[1, 2])), [1, 2]);
    }
}
