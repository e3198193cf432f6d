//! The calls that strace wrote down. A call may be split over two lines when another thread came between.

use std::collections::HashMap;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// What the first argument, a descriptor, stands for: a path or a socket.
    pub(super) on: String,
    /// All bytes that it was given.
    pub(super) data: Vec<u8>,
    pub(super) begin: usize,
    /// Not there while it runs.
    pub(super) end: Option<usize>,
    pub(super) failed: bool,
}

/// The calls of a trace.
pub(super) fn calls(text: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut running: HashMap<(&str, String), usize> = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((name, rest)) = resumed.split_once(" resumed>") else {
                continue;
            };
            let Some(call) = running.remove(&(thread, name.to_owned())) else {
                continue;
            };
            let call = &mut calls[call];
            call.data.extend(strings(rest));
            call.end = Some(number);
            call.failed = rest.contains(" = -1 ");
            continue;
        }
        let Some((name, arguments)) = rest.split_once('(') else {
            continue;
        };
        let unfinished = rest.ends_with("<unfinished ...>");
        if unfinished {
            running.insert((thread, name.to_owned()), calls.len());
        }
        calls.push(Call {
            name: name.to_owned(),
            on: descriptor(arguments),
            data: strings(arguments),
            begin: number,
            end: (!unfinished).then_some(number),
            failed: arguments.contains(" = -1 "),
        });
    }
    calls
}

/// `7</path>, ...` and `7<TCP:[a->b]>, ...` name what is between the outer brackets.
fn descriptor(arguments: &str) -> String {
    let Some((_, rest)) = arguments.split_once('<') else {
        return String::new();
    };
    let ends = [">,", ">)", "> "];
    let end = ends.iter().filter_map(|end| rest.find(end)).min();
    rest[..end.unwrap_or(rest.len())].to_owned()
}

/// The bytes of all quoted texts of a line.
fn strings(line: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = line.bytes().peekable();
    let mut inside = false;
    while let Some(octet) = rest.next() {
        match (inside, octet) {
            (_, b'"') => inside = !inside,
            (true, b'\\') => octets.extend(escaped(&mut rest)),
            (true, octet) => octets.push(octet),
            (false, _) => {}
        }
    }
    octets
}

fn escaped(rest: &mut std::iter::Peekable<std::str::Bytes<'_>>) -> Option<u8> {
    let first = rest.next()?;
    Some(match first {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'0'..=b'7' => {
            let mut value = u32::from(first - b'0');
            for _ in 0..2 {
                match rest.peek() {
                    Some(digit @ b'0'..=b'7') => value = value * 8 + u32::from(digit - b'0'),
                    _ => break,
                }
                rest.next();
            }
            u8::try_from(value & 0xff).unwrap_or_default()
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_read_as_strace_writes_them() {
        let call = &calls(r#"7 sendto(3<UDP:[0.0.0.0:67]>, "c\202Sc5\1\5\"\\\r", 10, 0) = 10"#)[0];
        assert_eq!(call.on, "UDP:[0.0.0.0:67]");
        assert_eq!(
            call.data,
            [b'c', 0o202, b'S', b'c', b'5', 1, 5, b'"', b'\\', b'\r']
        );
    }
}
