//! Whether the admin server could listen.
//!
//! In: its address. Out: a finding. Never: an answer to anybody; the address is let go at once.

use super::finding::Finding;
use std::io;
use std::net::{SocketAddr, TcpListener};

pub(super) fn examine(address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok("admin", format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Finding::fail(
            "admin",
            format!("{address} is in use"),
            "if that is this node's agent, all is well; else stop what listens there, or set another address as admin",
        ),
        Err(error) => Finding::fail(
            "admin",
            format!("{address}: {error}"),
            "set an address of this machine and a port that the agent may take as admin",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn an_address_that_run_could_not_take_is_told_with_its_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let finding = examine(address);
        assert!(finding.level == Level::Fail && finding.detail.contains("in use"), "{finding:?}");
        drop(taken);
        assert_eq!(examine(address).level, Level::Ok);
        assert_eq!(TcpListener::bind(address).map(|_| ()).ok(), Some(()), "it was let go");
        let elsewhere = examine("192.0.2.1:9598".parse().unwrap());
        assert!(elsewhere.level == Level::Fail && elsewhere.remedy.unwrap().contains("of this machine"));
    }
}
