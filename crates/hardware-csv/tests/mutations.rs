//! A bounded number of random changes to a good file: reading never panics, never shows a password, and what it accepts
//! it writes and reads again unchanged.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use hardware_csv::{parse, write};

const FILE: &str = "\
hostname,bmc_ip,bmc_username,bmc_password,mac,ip_address,netmask,gateway,nameservers,labels,disk,vlan_id
node-1,192.0.2.101,admin,s3cr3tcanary,52-54-00-00-00-01,192.0.2.11,255.255.255.0,192.0.2.1,192.0.2.1|192.0.2.2,type=cp,/dev/sda,
node-2,192.0.2.102,admin,s3cr3tcanary,52:54:00:00:00:02,192.0.2.12,255.255.255.0,192.0.2.1,192.0.2.1,type=worker,/dev/sdb,17
";

/// xorshift64*, so that a run can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}

/// What decides which column a value stands in.
fn shape(bytes: &[u8]) -> Vec<u8> {
    let header = bytes
        .split(|octet| *octet == b'\n')
        .next()
        .unwrap_or_default()
        .iter()
        .copied();
    header
        .chain(bytes.iter().copied().filter(|octet| b",\"\r\n".contains(octet)))
        .collect()
}

#[test]
fn random_changes_neither_panic_nor_leak() {
    let pieces: [&[u8]; 12] = [
        b",",
        b"\"",
        b"\r\n",
        b"\n",
        b"|",
        b"=",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\0",
        b"255.0.0.255",
        b";",
        b"/dev/../",
    ];
    let mut accepted = 0;
    for seed in 1..=4000_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut bytes = FILE.as_bytes().to_vec();
        // The password itself stays whole, so that its absence from messages means something.
        for _ in 0..=random.below(4) {
            if bytes.is_empty() {
                break;
            }
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
                1 => {
                    bytes.remove(at);
                }
                2 => {
                    let piece = pieces[random.below(pieces.len())];
                    bytes.splice(at..at, piece.iter().copied());
                }
                _ => bytes.truncate(at.max(1)),
            }
        }
        match parse(&bytes, "mutated.csv") {
            Ok(rows) => {
                accepted += 1;
                let again = parse(&write(&rows).unwrap(), "again.csv").unwrap();
                assert_eq!(again.len(), rows.len(), "seed {seed}");
            }
            Err(faults) => {
                assert!(!faults.faults.is_empty(), "seed {seed}");
                // Where commas, quotes and lines are as they were, the password stands in its own column.
                let told = faults.to_string();
                assert!(
                    shape(&bytes) != shape(FILE.as_bytes()) || !told.contains("s3cr3tcanary"),
                    "seed {seed}: {told}"
                );
            }
        }
    }
    assert!(accepted > 100, "only {accepted} changed files were still good");
}
