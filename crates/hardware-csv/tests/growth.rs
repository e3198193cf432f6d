//! What a comparison costs grows as the file does, counted in allocated bytes.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::fmt::Write as _;

use hardware_csv::{Existing, Row, diff, parse, to_objects};
use sim::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn rows(count: usize) -> Vec<Row> {
    let mut file = String::from("hostname,ip_address,netmask,gateway,nameservers,mac,disk,labels\n");
    for number in 0..count {
        let (high, low) = (number / 200, number % 200 + 1);
        writeln!(
            file,
            "node-{number},10.1.{high}.{low},255.255.0.0,10.1.255.254,10.1.255.254,02:00:00:00:{high:02x}:{low:02x},/dev/sda,"
        )
        .unwrap();
    }
    parse(file.as_bytes(), "x").unwrap()
}

/// Bytes for a file half of which is imported already.
fn cost(count: usize) -> u64 {
    let rows = rows(count);
    let known = to_objects(&rows, "ns", "a.csv").take(count / 2);
    let known: Vec<Existing> = known.map(|row| Existing::new(row.hardware)).collect();
    let before = CountingAllocator::allocated();
    let found = diff(&known, &rows, "ns", "a.csv");
    let cost = CountingAllocator::allocated() - before;
    assert_eq!(
        (found.unchanged.len(), found.create.len()),
        (count / 2, count / 2)
    );
    cost
}

#[test]
fn ten_times_the_rows_cost_ten_times_as_much() {
    let (few, many) = (cost(1_000), cost(10_000));
    assert!(many < few * 12, "{few} bytes for 1,000 rows, {many} for 10,000");
}
