//! Whether a reply left only after what it promises was synced, by the order of the calls.

use super::calls::Call;

const SYNCS: [&str; 2] = ["fdatasync", "fsync"];
/// Bytes before the content of a page that a row goes on in.
const PAGE_NUMBER: usize = 4;

/// What has to hold for one reply.
#[derive(Debug, Clone)]
pub(crate) struct Promise {
    /// What is replied, for messages.
    pub(crate) what: &'static str,
    /// End of the path of the file that holds what is promised.
    pub(crate) file: &'static str,
    /// Text of the commit, and of nothing that was written before it.
    pub(crate) committed: String,
    /// Part of the name of the socket; empty where the reply alone tells.
    pub(crate) socket: String,
    /// Bytes of the reply; none where it is encrypted: then the first bytes that are sent count.
    pub(crate) reply: Vec<u8>,
    /// Shorter sends are none: a connection's own housekeeping.
    pub(crate) at_least: usize,
}

/// The write that holds what was promised. A long row goes on in pages of its own, which begin with a number: where its
/// text is cut in two there, the write of the longer piece counts.
fn commit<'a>(calls: &'a [Call], promise: &Promise) -> Option<&'a Call> {
    let text = promise.committed.as_bytes();
    let writes = || {
        let calls = calls.iter().filter(|call| call.name.contains("write"));
        calls.filter(|call| call.on.ends_with(promise.file))
    };
    let holds = |part: &[u8]| writes().find(|call| contains(&call.data, part));
    let goes_on = |part: &[u8]| {
        writes().find(|call| {
            let page = call.data.get(PAGE_NUMBER..);
            page.is_some_and(|page| page.starts_with(part))
        })
    };
    let cut = |at: usize| {
        let (head, tail) = text.split_at(at);
        let (first, second) = (holds(head)?, goes_on(tail)?);
        Some(if head.len() < tail.len() { second } else { first })
    };
    holds(text).or_else(|| (1..text.len()).find_map(cut))
}

/// Whether a reply left only after the sync of its commit. The text says what happened when it did not.
pub(super) fn check(calls: &[Call], promise: &Promise) -> Result<(), String> {
    let what = promise.what;
    let sends = |call: &&Call| call.name.starts_with("send") || call.name.starts_with("write");
    let reply = calls
        .iter()
        .filter(sends)
        .filter(|call| call.data.len() >= promise.at_least)
        .find(|call| call.on.contains(&promise.socket) && contains(&call.data, &promise.reply))
        .ok_or_else(|| format!("{what}: no reply on {}", promise.socket))?;
    let commit = commit(calls, promise)
        .ok_or_else(|| format!("{what}: {} has no {:?}", promise.file, promise.committed))?;
    let written = commit
        .end
        .filter(|end| *end < reply.begin)
        .ok_or_else(|| format!("{what}: the reply left before its commit was written"))?;
    let synced = calls.iter().any(|call| {
        SYNCS.contains(&call.name.as_str())
            && call.on == commit.on
            && !call.failed
            && call.begin > written
            && call.end.is_some_and(|end| end < reply.begin)
    });
    match synced {
        true => Ok(()),
        false => Err(format!(
            "{what}: the reply left before the sync of {}",
            promise.file
        )),
    }
}

fn contains(octets: &[u8], part: &[u8]) -> bool {
    part.is_empty() || octets.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::super::calls::calls;
    use super::*;

    const WRITE: &str = r#"101 pwrite64(14</data/state.db-wal>, "x\"\0012{claim}\n", 4096, 32) = 4096"#;
    const SYNC: &str = "101 fdatasync(14</data/state.db-wal>) = 0";
    const SEND: &str =
        r#"102 writev(20<TCP:[10.0.0.1:7443->10.0.0.2:5000]>, [{iov_base="\27\3\3", iov_len=3}], 1) = 3"#;
    const OTHER_SYNC: &str = "101 fdatasync(15</data/records.db-wal>) = 0";

    fn promise() -> Promise {
        Promise {
            what: "claim",
            file: "state.db-wal",
            committed: "{claim}".into(),
            socket: ":7443->".into(),
            reply: Vec::new(),
            at_least: 3,
        }
    }

    fn judged(lines: &[&str]) -> Result<(), String> {
        check(&calls(&lines.join("\n")), &promise())
    }

    #[track_caller]
    fn broken(lines: &[&str], part: &str) {
        let error = judged(lines).unwrap_err();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn the_right_order_is_kept() {
        assert_eq!(judged(&[WRITE, SYNC, SEND]), Ok(()));
        assert_eq!(judged(&[OTHER_SYNC, WRITE, OTHER_SYNC, SYNC, SEND]), Ok(()));
    }

    #[test]
    fn an_inverted_order_is_found() {
        broken(&[SEND, WRITE, SYNC], "before its commit was written");
        broken(&[WRITE, SEND, SYNC], "before the sync of state.db-wal");
        broken(&[SYNC, WRITE, SEND], "before the sync of state.db-wal");
    }

    #[test]
    fn housekeeping_of_the_connection_is_no_reply() {
        let pong = SEND.replace(r"\27\3\3", r"\27\3");
        assert_eq!(judged(&[&pong, WRITE, SYNC, SEND]), Ok(()));
        broken(&[WRITE, SYNC, &pong], "no reply on");
    }

    #[test]
    fn another_files_sync_or_a_failed_one_does_not_count() {
        broken(&[WRITE, OTHER_SYNC, SEND], "before the sync");
        let failed = SYNC.replace("= 0", "= -1 EIO (Input/output error)");
        broken(&[WRITE, &failed, SEND], "before the sync");
    }

    #[test]
    fn a_call_that_was_interrupted_counts_from_its_begin_to_its_end() {
        let (begins, ends) = (
            "101 fdatasync(14</data/state.db-wal> <unfinished ...>",
            "101 <... fdatasync resumed>) = 0",
        );
        assert_eq!(judged(&[WRITE, begins, ends, SEND]), Ok(()));
        broken(&[WRITE, begins, SEND, ends], "before the sync");
        let (sending, sent) = (
            r#"102 sendto(20<TCP:[10.0.0.1:7443->10.0.0.2:5000]>, "abc", 3, 0, NULL, 0 <unfinished ...>"#,
            "102 <... sendto resumed>) = 3",
        );
        broken(&[WRITE, begins, sending, ends, sent], "before the sync");
    }

    #[test]
    fn a_commit_that_two_pages_hold_is_found() {
        let first = WRITE.replace("{claim}", "{cla");
        let second = WRITE.replace(r#"x\"\0012{claim}"#, r"\0\0\1\2im}");
        assert_eq!(judged(&[&first, &second, SYNC, SEND]), Ok(()));
        broken(&[&first, &second, SEND, SYNC], "before the sync");
        broken(&[&first, SYNC, SEND], "state.db-wal has no");
        let elsewhere = second.replace(r"\2im}", r"\2_im}");
        broken(&[&first, &elsewhere, SYNC, SEND], "state.db-wal has no");
    }

    #[test]
    fn what_is_missing_is_told() {
        broken(&[WRITE, SYNC], "no reply on");
        broken(&[SYNC, SEND], "state.db-wal has no");
        let elsewhere = SEND.replace("7443", "6443");
        broken(&[WRITE, SYNC, &elsewhere], "no reply on");
    }

    #[test]
    fn a_reply_is_told_from_others_by_its_octets() {
        let mut ack = promise();
        ack.reply = vec![53, 1, 5];
        ack.socket = "UDP:".into();
        let (offer, lease) = (
            r#"7 sendto(3<UDP:[0.0.0.0:67]>, "c\202Sc5\1\2", 7, 0) = 7"#,
            r#"7 sendto(3<UDP:[0.0.0.0:67]>, "c\202Sc5\1\5", 7, 0) = 7"#,
        );
        let found = |lines: &[&str]| check(&calls(&lines.join("\n")), &ack);
        assert_eq!(
            found(&[offer, WRITE, SYNC, lease]),
            Ok(()),
            "an offer promises nothing"
        );
        assert!(found(&[WRITE, SYNC, offer]).is_err());
    }
}
