//! Network interfaces (netdevice(7)).

use std::io::Result;

use super::check;

/// Brings up a network interface.
pub fn set_up(name: &str) -> Result<()> {
    // SAFETY: as below.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(15)) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
        let socket =
            check(i64::from(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)))? as i32;
        let answer = check(i64::from(libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &mut request)));
        libc::close(socket);
        answer.map(drop)
    }
}

/// The flags of a network interface.
pub fn flags(name: &str) -> Result<i16> {
    // SAFETY: the request is a plain structure with a terminated name; the socket is closed again.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(15)) {
            *to = from as libc::c_char;
        }
        let socket =
            check(i64::from(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)))? as i32;
        let answer = libc::ioctl(socket, libc::SIOCGIFFLAGS as _, &mut request);
        let error = check(i64::from(answer));
        libc::close(socket);
        error.map(|_| request.ifr_ifru.ifru_flags)
    }
}
