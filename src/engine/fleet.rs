//! Changes of the whole fleet, by a class or a release, go out at a bounded rate: so many objects a
//! second, so many services rolling at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::live::Key;

/// A service that has not finished rolling by then no longer keeps others waiting.
const GIVE_UP: Duration = Duration::from_mins(10);

/// Who may change next.
#[derive(Debug)]
pub struct Turns {
    rate: f64,
    max_rolling: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    filled: Instant,
    waiting: BTreeSet<Key>,
    rolling: BTreeMap<Key, Instant>,
}

impl Turns {
    /// `rate` objects a second, and at most `max_rolling` services with a rollout under way.
    pub fn new(rate: f64, max_rolling: usize) -> Self {
        let rate = rate.max(0.001);
        let state = State {
            tokens: rate.max(1.0),
            filled: Instant::now(),
            waiting: BTreeSet::new(),
            rolling: BTreeMap::new(),
        };
        Self { rate, max_rolling: max_rolling.max(1), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a turn, or says after what time to ask again. `rolls` = its pods will be replaced.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&self, key: &Key, rolls: bool) -> Result<(), Duration> {
        let mut state = self.state();
        let now = Instant::now();
        state.rolling.retain(|_, since| now.duration_since(*since) < GIVE_UP);
        let gained = now.duration_since(state.filled).as_secs_f64() * self.rate;
        state.tokens = (state.tokens + gained).min(self.rate.max(1.0));
        state.filled = now;
        let full = rolls && !state.rolling.contains_key(key) && state.rolling.len() >= self.max_rolling;
        if full || state.tokens < 1.0 {
            state.waiting.insert(key.clone());
            // Spread over the time that the queue needs, so that a long one does not poll itself hot.
            let queue = Duration::from_secs_f64(state.waiting.len() as f64 / self.rate);
            let share = 0.5 + rand::random::<f64>() / 2.0;
            return Err(queue.mul_f64(share).clamp(Duration::from_millis(200), Duration::from_mins(1)));
        }
        state.tokens -= 1.0;
        state.waiting.remove(key);
        if rolls {
            state.rolling.insert(key.clone(), now);
        }
        Ok(())
    }

    /// The service is available again, or gone.
    pub fn settled(&self, key: &Key) {
        let mut state = self.state();
        state.rolling.remove(key);
        state.waiting.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    #[test]
    fn no_more_than_the_rate_go_at_once() {
        let turns = Turns::new(5.0, 100);
        let gone = (0..50).filter(|n| turns.take(&key(&n.to_string()), false).is_ok()).count();
        assert_eq!(gone, 5);
        assert!(turns.take(&key("late"), false).is_err_and(|wait| wait >= Duration::from_millis(200)));
    }

    #[test]
    fn rolling_services_keep_the_next_one_waiting() {
        let turns = Turns::new(1000.0, 2);
        assert!(turns.take(&key("a"), true).is_ok());
        assert!(turns.take(&key("b"), true).is_ok());
        assert!(turns.take(&key("c"), true).is_err());
        assert!(turns.take(&key("d"), false).is_ok(), "without new pods there is nothing to wait for");
        turns.settled(&key("a"));
        assert!(turns.take(&key("c"), true).is_ok());
    }
}
