//! Plain HTTP.

use listeners::Reason;

use super::*;

/// Nobody accepts, so every connection waits in the kernel.
#[tokio::test]
async fn a_storm_finds_room_before_it_is_accepted() {
    const STORM: usize = 600;
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    if most.trim().parse::<usize>().unwrap() < STORM {
        println!("skipped: needs net.core.somaxconn of at least {STORM}");
        return;
    }
    let listener = listeners::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut open = Vec::new();
    for number in 0..STORM {
        let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await;
        let connected = connected.unwrap_or_else(|_| panic!("no room for connection {number}"));
        open.push(connected.unwrap());
    }
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let running = start(Limits {
        first_request: 100 * MILLISECOND,
        ..LIMITS
    })
    .await;
    let mut stream = from([127, 0, 0, 1], running.address).await;
    assert_eq!(rest(&mut stream).await, b"");
    until("its place is free", || running.gate.taken() == (0, 0)).await;
}

#[tokio::test]
async fn a_program_on_this_machine_is_no_stranger() {
    let running = start(LIMITS).await;
    let _own = from([127, 0, 0, 1], running.address).await;
    let _other = from([127, 0, 0, 2], running.address).await;
    until("one of two is a stranger", || running.gate.taken() == (1, 2)).await;
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off() {
    let running = start(Limits {
        first_request: 300 * MILLISECOND,
        ..LIMITS
    })
    .await;
    for preface in ["GET /", "PRI * HTTP/2.0\r\n"] {
        let (mut read, mut write) = from([127, 0, 0, 1], running.address).await.into_split();
        let trickle = async {
            let _ = write.write_all(preface.as_bytes()).await;
            loop {
                tokio::time::sleep(20 * MILLISECOND).await;
                if write.write_all(b"a").await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            _ = rest(&mut read) => {}
            () = trickle => {}
        }
    }
}

#[tokio::test]
async fn an_idle_connection_ends_and_an_open_request_does_not() {
    let running = start(Limits {
        idle: 200 * MILLISECOND,
        ..LIMITS
    })
    .await;
    let mut idle = from([127, 0, 0, 1], running.address).await;
    let mut waiting = from([127, 0, 0, 1], running.address).await;
    waiting
        .write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(ask(&mut idle, "/").await, Some(200));
    assert!(rest(&mut idle).await.ends_with(b"here"));
    assert!(stays(&mut waiting, 800 * MILLISECOND).await);
}

#[tokio::test]
async fn a_second_head_that_trickles_in_is_cut_off_as_well() {
    let running = start(Limits {
        idle: 300 * MILLISECOND,
        ..LIMITS
    })
    .await;
    let mut stream = from([127, 0, 0, 1], running.address).await;
    assert_eq!(ask(&mut stream, "/").await, Some(200));
    let (mut read, mut write) = stream.into_split();
    let trickle = async {
        let _ = write.write_all(b"GET /").await;
        loop {
            tokio::time::sleep(20 * MILLISECOND).await;
            if write.write_all(b"a").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        _ = rest(&mut read) => {}
        () = trickle => {}
    }
}

#[tokio::test]
async fn a_reader_that_stalls_is_cut_off_and_a_slow_one_is_served() {
    let limits = Limits {
        stall: 1000 * MILLISECOND,
        ..LIMITS
    };
    let running = start(limits).await;
    let mut stalled = from([127, 0, 0, 3], running.address).await;
    let mut slow = from([127, 0, 0, 4], running.address).await;
    let mut busy = from(KNOWN, running.address).await;
    let request = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stalled.write_all(request).await.unwrap();
    busy.write_all(request).await.unwrap();
    slow.write_all(request).await.unwrap();
    // The slow one takes several times as long as a stalled one may.
    let (mut read, begin) = (0, std::time::Instant::now());
    let mut buffer = vec![0; 512 << 10];
    loop {
        let count = slow.read(&mut buffer).await.unwrap();
        if count == 0 {
            break;
        }
        read += count;
        tokio::time::sleep(60 * MILLISECOND).await;
    }
    assert!(read > LARGE, "{read}");
    assert!(begin.elapsed() > 2 * limits.stall, "{:?}", begin.elapsed());
    until("only the known one has a place", || {
        running.gate.taken() == (0, 1)
    })
    .await;
    assert!(rest(&mut stalled).await.len() < LARGE);
    assert!(
        rest(&mut busy).await.len() > LARGE,
        "a machine may stall for longer"
    );
}

#[tokio::test]
async fn a_request_body_has_to_come_in_time() {
    let running = start(Limits {
        body: 300 * MILLISECOND,
        ..LIMITS
    })
    .await;
    let mut stream = from([127, 0, 0, 1], running.address).await;
    stream
        .write_all(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123")
        .await
        .unwrap();
    let text = String::from_utf8(rest(&mut stream).await).unwrap();
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
}

#[tokio::test]
async fn a_known_peer_is_served_at_once_while_strangers_hold_their_share() {
    let running = start(LIMITS).await;
    let mut floods = Vec::new();
    for number in 1..60 {
        for _ in 0..2 {
            floods.push(from([127, 0, 1, number], running.address).await);
        }
    }
    until("the share is full", || running.gate.taken() == (6, 6)).await;
    let mut machines = Vec::new();
    for _ in 0..3 {
        let mut machine = from(KNOWN, running.address).await;
        assert_eq!(ask(&mut machine, "/").await, Some(200));
        machines.push(machine);
    }
    // A lone stranger is served too: it displaces one of those who hold more.
    let mut stranger = from([127, 0, 2, 1], running.address).await;
    assert_eq!(ask(&mut stranger, "/").await, Some(200));
    for number in 1..60 {
        floods.push(from([127, 0, 3, number], running.address).await);
    }
    for machine in &mut machines {
        let mut body = [0; 4096];
        let read = machine.read(&mut body).await.unwrap();
        assert!(body[..read].ends_with(b"here"));
        assert_eq!(ask(machine, "/").await, Some(200), "nobody takes its place");
    }
    let notices = running.notices.lock().unwrap();
    assert!(notices.iter().all(|notice| notice.reason == Reason::Crowded));
    assert!(notices.len() <= 65, "{}", notices.len());
}

#[tokio::test]
async fn an_address_has_a_limit_and_comes_back_after_a_reset() {
    let running = start(LIMITS).await;
    let own = [127, 0, 0, 5];
    let mut first = from(own, running.address).await;
    let mut second = from(own, running.address).await;
    assert_eq!(ask(&mut second, "/").await, Some(200));
    let mut third = from(own, running.address).await;
    assert_eq!(rest(&mut third).await, b"", "two are its limit");
    assert_eq!(running.notices.lock().unwrap()[0].reason, Reason::PerAddress);
    // As after a power cycle: the old connections are open for the listener, and nothing moves on them.
    tokio::time::sleep(SHARES.quiet).await;
    let mut again = from(own, running.address).await;
    assert_eq!(ask(&mut again, "/").await, Some(200));
    assert_eq!(rest(&mut first).await, b"", "the quietest gave way");
}

#[tokio::test]
async fn what_runs_may_end_when_the_listener_stops() {
    let (listener, address) = listen().await;
    let (gate, _) = gate(SHARES);
    let cancel = CancellationToken::new();
    let service = |_: Peer<'_>| Some(hyper::service::service_fn(answer));
    let running = tokio::spawn(listeners::run_http(
        listener,
        gate.clone(),
        LIMITS,
        service,
        cancel.clone(),
    ));
    let mut idle = from([127, 0, 0, 1], address).await;
    let mut large = from([127, 0, 0, 1], address).await;
    large
        .write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut head = [0; 12];
    large.read_exact(&mut head).await.unwrap();
    cancel.cancel();
    assert!(rest(&mut large).await.len() > LARGE - 12);
    assert_eq!(rest(&mut idle).await, b"");
    running.await.unwrap();
}
