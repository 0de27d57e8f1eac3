//! Notices work that does not end. A thread that is stuck cannot be stopped: who is told ends the process.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Looks after the work of one thread, with something that describes it.
pub struct Watchdog<T> {
    current: Arc<Mutex<Option<(Instant, T)>>>,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Watchdog<T> {
    /// `late` is told of work that has taken longer than the limit.
    pub fn start(limit: Duration, late: impl Fn(T) + Send + 'static) -> Self {
        let current = Arc::new(Mutex::new(None::<(Instant, T)>));
        let (end, ended) = channel::<()>();
        let watched = current.clone();
        let thread = std::thread::spawn(move || {
            while ended.recv_timeout(limit / 4) == Err(RecvTimeoutError::Timeout) {
                let stuck = watched.lock().unwrap().take_if(|(since, _)| since.elapsed() > limit);
                if let Some((_, work)) = stuck {
                    late(work);
                }
            }
        });
        Self { current, end: Some(end), thread: Some(thread) }
    }

    /// Does the work.
    pub fn guard<R>(&self, description: T, work: impl FnOnce() -> R) -> R {
        *self.current.lock().unwrap() = Some((Instant::now(), description));
        let result = work();
        *self.current.lock().unwrap() = None;
        result
    }
}

impl<T> Drop for Watchdog<T> {
    fn drop(&mut self) {
        drop(self.end.take());
        // It only ends early by ending the process.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
