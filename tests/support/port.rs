//! Ports for what a test starts.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

/// A port of loopback that is free and that this process has not given out: what it was given to may have
/// to start yet, or be down for a while. It is below those that the launcher of the control plane takes, and
/// those that the system gives to outgoing connections: one of them could get it meanwhile.
pub fn free_port() -> u16 {
    static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let port = rand::random_range(10_000..20_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && taken.insert(port) {
            return port;
        }
    }
}
