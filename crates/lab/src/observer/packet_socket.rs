//! A socket that sees every frame of one interface (packet(7)). The unsafe code fills in the two structures that no
//! safe wrapper has.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// All protocols, in network byte order.
const ALL: u16 = (libc::ETH_P_ALL as u16).to_be();

/// Opens the socket in the calling thread's network namespace. Reads give up after `wait`.
pub(super) fn open(interface: &str, wait: Duration) -> io::Result<Socket> {
    let index = if_nametoindex(interface)?;
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ALL))))?;
    let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let signed_index = i32::try_from(index).map_err(too_large)?;
    // SAFETY: the storage is zeroed, larger than sockaddr_ll and aligned for it; all fields that bind(2) reads are set
    // and the length is that of the structure.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let link = storage.cast::<libc::sockaddr_ll>();
            (*link).sll_family = libc::AF_PACKET as libc::sa_family_t;
            (*link).sll_protocol = ALL;
            (*link).sll_ifindex = signed_index;
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })?
    };
    socket.bind(&address)?;
    let membership = libc::packet_mreq {
        mr_ifindex: signed_index,
        mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    // SAFETY: the pointer is to a live packet_mreq and the length is its size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const membership).cast(),
            size_of::<libc::packet_mreq>() as libc::socklen_t,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    socket.set_read_timeout(Some(wait))?;
    Ok(socket)
}
