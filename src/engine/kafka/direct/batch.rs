//! The items of one call: what is still to be sent, in which portions, and the answers so far.

use std::collections::HashMap;
use std::hash::Hash;

use crate::engine::kafka::{BrokerError, Results};

/// The answers of a call, one per item.
pub struct Batch<T> {
    slots: Vec<Slot<T>>,
}

enum Slot<T> {
    /// Not answered yet.
    Open,
    /// Answered.
    Done(Result<T, BrokerError>),
    /// The same as an earlier item, whose answer it gets.
    SameAs(usize),
}

impl<T: Clone> Batch<T> {
    /// All items, except those that `check` refuses: these are answered. Equal items are sent once; of
    /// two with one key that differ the second is refused, for their order would decide.
    pub fn new<'a, I: PartialEq, K: Hash + Eq + ToString>(
        items: &'a [I],
        key: impl Fn(&'a I) -> K,
        check: impl Fn(&I) -> Result<(), BrokerError>,
    ) -> Self {
        let mut first: HashMap<K, (usize, &I)> = HashMap::with_capacity(items.len());
        let slots = items.iter().enumerate().map(|(index, item)| match first.get(&key(item)) {
            Some((before, same)) if *same == item => Slot::SameAs(*before),
            Some(_) => {
                let text = format!("{} is named twice in one request", key(item).to_string());
                Slot::Done(Err(BrokerError::Other(text)))
            }
            None => {
                first.insert(key(item), (index, item));
                match check(item) {
                    Ok(()) => Slot::Open,
                    Err(error) => Slot::Done(Err(error)),
                }
            }
        });
        Self { slots: slots.collect() }
    }

    /// Positions of what is to be sent, in portions of at most so many.
    pub fn portions(&self, most: usize) -> Vec<Vec<usize>> {
        let open = self.slots.iter().enumerate().filter(|(_, slot)| matches!(slot, Slot::Open));
        let open: Vec<usize> = open.map(|(index, _)| index).collect();
        open.chunks(most.max(1)).map(<[usize]>::to_vec).collect()
    }

    /// Answers one item.
    pub fn answer(&mut self, index: usize, result: Result<T, BrokerError>) {
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Slot::Done(result);
        }
    }

    /// One result per item, in their order.
    pub fn finish(self) -> Results<T> {
        let done = |slot: &Slot<T>| match slot {
            Slot::Done(result) => result.clone(),
            Slot::Open | Slot::SameAs(_) => Err(BrokerError::Other("it was not answered".into())),
        };
        let answer = |slot| match slot {
            &Slot::SameAs(before) => self.slots.get(before).map_or_else(|| done(slot), done),
            slot => done(slot),
        };
        self.slots.iter().map(answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(items: &[(&'static str, i32)]) -> Batch<i32> {
        Batch::new(
            items,
            |item| item.0,
            |item| match item.1 {
                0 => Err(BrokerError::InvalidPartitions("none".into())),
                _ => Ok(()),
            },
        )
    }

    #[test]
    fn items_are_sent_in_portions_and_answered_in_their_order() {
        let items: Vec<(&str, i32)> = vec![("a", 1), ("b", 0), ("c", 1), ("a", 1), ("c", 2), ("d", 1)];
        let mut batch = batch(&items);
        let portions = batch.portions(2);
        assert_eq!(portions, [vec![0, 2], vec![5]]);
        for index in portions.concat() {
            batch.answer(index, Ok(i32::try_from(index).expect("small")));
        }
        let twice = BrokerError::Other("c is named twice in one request".into());
        let none = BrokerError::InvalidPartitions("none".into());
        assert_eq!(batch.finish(), [Ok(0), Err(none), Ok(2), Ok(0), Err(twice), Ok(5)]);
    }

    #[test]
    fn two_hundred_and_fifty_items_are_three_portions_and_none_is_none() {
        let names: Vec<String> = (0..250).map(|number| format!("topic-{number}")).collect();
        let batch = Batch::<()>::new(&names, |name| name, |_| Ok(()));
        let sizes: Vec<usize> = batch.portions(100).iter().map(Vec::len).collect();
        assert_eq!(sizes, [100, 100, 50]);
        assert!(Batch::<()>::new(&[] as &[String], |name| name, |_| Ok(())).portions(100).is_empty());
    }
}
