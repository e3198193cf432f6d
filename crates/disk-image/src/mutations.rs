//! Partition tables changed at random: no parser of this crate may panic, whatever a disk or an image says.

use std::io::Cursor;

use gptman::{GPT, GPTPartitionEntry};

use crate::boot_loader::{boot_loader, partitions_end};
use crate::{gpt, signatures};

const DISK: usize = 1 << 20;
const ROUNDS: u32 = 20_000;
/// Numbers at which arithmetic breaks.
const EXTREMES: [u64; 8] = [0, 1, 33, 34, 1 << 31, 1 << 55, u64::MAX - 1, u64::MAX];

/// A small generator (xorshift64*): the same rounds in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap() % limit
    }
}

/// The start of a disk with a GPT, or with an ordinary master boot record alone.
fn table(guid: bool) -> Vec<u8> {
    let mut file = Cursor::new(vec![0; DISK]);
    if guid {
        GPT::write_protective_mbr_into(&mut file, 512).unwrap();
        let mut table = GPT::new_from(&mut file, 512, [7; 16]).unwrap();
        table[1] = GPTPartitionEntry {
            partition_type_guid: [9; 16],
            unique_partition_guid: [1; 16],
            starting_lba: 64,
            ending_lba: 1023,
            attribute_bits: 0,
            partition_name: "test".into(),
        };
        table.write_into(&mut file).unwrap();
    }
    let mut head = file.into_inner();
    head[0] = 0xeb;
    head[510..512].copy_from_slice(&[0x55, 0xaa]);
    if !guid {
        head[446 + 4] = 0x83;
        head[446 + 8] = 64;
        head[446 + 12] = 64;
    }
    head.truncate(34 * 512);
    head
}

/// Makes the header's checksum right again, so that what it says is believed.
fn seal(head: &mut [u8]) {
    head[512 + 16..512 + 20].fill(0);
    let size = u32::from_le_bytes(head[512 + 12..512 + 16].try_into().unwrap());
    let size = usize::try_from(size).unwrap_or(92).clamp(92, 512);
    let sum = crc32fast::hash(&head[512..512 + size]);
    head[512 + 16..512 + 20].copy_from_slice(&sum.to_le_bytes());
}

fn check(head: &[u8], disk: u64) {
    let _ = boot_loader(head);
    partitions_end(head);
    let _ = crate::detect(head);
    let mut end = 0;
    for stretch in signatures::stretches(disk, head) {
        assert!(end <= stretch.start && stretch.start < stretch.end && stretch.end <= disk);
        end = stretch.end;
    }
    for seed in [None, Some(&b"seed"[..])] {
        let Ok(placed) = gpt::relocate(head, disk, seed) else {
            continue;
        };
        assert_eq!(placed.head.len(), head.len());
        let Some(table) = gpt::parse(head) else {
            assert_eq!(placed.head, head);
            continue;
        };
        let moved = gpt::parse(&placed.head).expect("a table that fits its disk is valid");
        assert_eq!(moved.partitions.len(), table.partitions.len());
        assert!(placed.backup_at + placed.backup.len() as u64 <= disk);
    }
}

#[test]
fn no_table_makes_a_parser_panic() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (ordinary, guid) = (table(false), table(true));
    let mut believed = 0;
    for round in 0..ROUNDS {
        let mut head = if round % 4 == 0 {
            ordinary.clone()
        } else {
            guid.clone()
        };
        for _ in 0..=numbers.below(6) {
            // Most changes hit the records: MBR entries, the header, the first two entries.
            let start = [446, 512, 1024, numbers.below(head.len() - 8)][numbers.below(4)];
            let at = (start + numbers.below(128)).min(head.len() - 8);
            match numbers.below(3) {
                0 => head[at] ^= 1 << numbers.below(8),
                1 => head[at] = u8::try_from(numbers.below(256)).unwrap(),
                _ => {
                    let extreme = EXTREMES[numbers.below(EXTREMES.len())];
                    let at = at - at % 8;
                    head[at..at + 8].copy_from_slice(&extreme.to_le_bytes());
                }
            }
        }
        if numbers.below(4) != 0 {
            seal(&mut head);
        }
        head.truncate(if numbers.below(8) == 0 {
            numbers.below(34 * 512)
        } else {
            34 * 512
        });
        believed += u32::from(gpt::parse(&head).is_some());
        let disk = [0, 511, 1 << 20, (1 << 30) + 512, u64::MAX][numbers.below(5)];
        check(&head, disk);
    }
    assert!(
        believed > ROUNDS / 10,
        "only {believed} of {ROUNDS} tables were believed"
    );
}

#[test]
fn a_partition_that_ends_at_the_last_number_is_no_overflow() {
    let mut head = table(true);
    head[1024 + 40..1024 + 48].copy_from_slice(&u64::MAX.to_le_bytes());
    seal(&mut head);
    assert_eq!(partitions_end(&head), Some(u64::MAX));
    assert!(gpt::relocate(&head, 1 << 40, None).is_err());
}
