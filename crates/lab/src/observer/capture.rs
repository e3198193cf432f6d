//! Packets of one interface into a pcap file (the libpcap format, microseconds, Ethernet).

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::packet_socket;
use crate::Error;
use crate::process::{inside, open_namespace};

/// Longest frame.
const FRAME: usize = 65_535;
const WAIT: Duration = Duration::from_millis(200);

/// A capture that runs until stopped or dropped.
#[derive(Debug)]
pub struct Capture {
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Capture {
    /// Starts to write the first `octets` of all frames of an interface in a namespace to a file.
    pub fn start(namespace: &str, interface: &str, path: &Path, octets: u16) -> Result<Self, Error> {
        let failed = |source| Error::Namespace {
            name: namespace.to_owned(),
            source,
        };
        let name = interface.to_owned();
        let descriptor = open_namespace(namespace).map_err(failed)?;
        let socket = inside(descriptor, move || packet_socket::open(&name, WAIT)).map_err(failed)?;
        let file = File::create(path).map_err(Error::file("creating", path))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || {
                if let Err(error) = record(socket, file, octets.into(), &stopped) {
                    tracing::error!(error = %error, "packet capture ended");
                }
            });
        let thread = thread.map_err(Error::file("capturing to", path))?;
        Ok(Self {
            stop,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Ends it; the file is complete when this returns.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop();
    }
}

fn record(mut socket: socket2::Socket, file: File, octets: usize, stop: &AtomicBool) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    out.write_all(&file_header())?;
    let mut frame = vec![0u8; FRAME];
    while !stop.load(Ordering::SeqCst) {
        match socket.read(&mut frame) {
            Ok(length) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let kept = length.min(octets);
                out.write_all(&frame_header(now, kept, length))?;
                out.write_all(frame.get(..kept).unwrap_or_default())?;
            }
            // Quiet: a good moment to let readers see what is there.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                out.flush()?
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The interface is gone.
            Err(_) => break,
        }
    }
    out.flush()
}

fn file_header() -> [u8; 24] {
    let mut header = [0u8; 24];
    header[0..4].copy_from_slice(&0xa1b2_c3d4u32.to_le_bytes());
    header[4..6].copy_from_slice(&2u16.to_le_bytes());
    header[6..8].copy_from_slice(&4u16.to_le_bytes());
    header[16..20].copy_from_slice(&65_535u32.to_le_bytes());
    header[20..24].copy_from_slice(&1u32.to_le_bytes());
    header
}

fn frame_header(now: Duration, kept: usize, length: usize) -> [u8; 16] {
    let mut header = [0u8; 16];
    let seconds = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
    let octets = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes();
    header[0..4].copy_from_slice(&seconds.to_le_bytes());
    header[4..8].copy_from_slice(&now.subsec_micros().to_le_bytes());
    header[8..12].copy_from_slice(&octets(kept));
    header[12..16].copy_from_slice(&octets(length));
    header
}
