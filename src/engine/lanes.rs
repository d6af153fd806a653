//! Which action may run next. Pure: ids and keys in, ids out; no clock, no journal.
//!
//! Actions that share a key run in order of arrival; others do not wait for each other. A RESET or
//! PURGE that has not begun stays in its place but lets the CLEANUP of its participant pass.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use crate::domain::{ActionId, Participant, StudentRange, Time, WorkshopName};

/// What an action has for itself while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// Local student number.
    Student(u32),
    /// The appliance that the seats of a workshop share.
    Backend(WorkshopName),
}

/// What the lanes know of an action.
#[derive(Debug, Clone)]
pub struct Claim {
    pub students: StudentRange,
    pub backend: Option<WorkshopName>,
    /// It is the CLEANUP of this participant.
    pub cleans: Option<Participant>,
    /// It is to come after the CLEANUP of this participant.
    pub awaits: Option<Participant>,
}

impl Claim {
    fn keys(&self) -> impl Iterator<Item = Key> {
        self.students
            .students()
            .map(|student| Key::Student(student.number()))
            .chain(self.backend.clone().map(Key::Backend))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Ready,
    Running,
    /// Not before this; keeps its place.
    Until(Time),
    /// Waits for its CLEANUP; looks again at this time at the latest.
    Guarded(Time),
}

#[derive(Debug)]
struct Entry {
    claim: Claim,
    status: Status,
    /// It went past its guard, so its CLEANUP comes too late to pass it.
    begun: bool,
    /// Somebody wants it looked at again, while it was running.
    hurried: bool,
}

impl Entry {
    fn is_running(&self) -> bool {
        self.status == Status::Running
    }

    /// Whether something behind it may start before it.
    fn can_be_passed(&self) -> bool {
        self.claim.awaits.is_some() && !self.is_running() && !self.begun
    }

    /// Whether the CLEANUP of this participant may go before it, and before all that wait behind it.
    fn waits_for(&self, cleans: Option<Participant>) -> bool {
        self.can_be_passed() && cleans.is_some() && cleans == self.claim.awaits
    }
}

/// All actions that are not over or held.
#[derive(Debug, Default)]
pub struct Lanes {
    entries: HashMap<ActionId, Entry>,
    queues: HashMap<Key, VecDeque<ActionId>>,
    /// Ready, and nothing in front of them.
    free: BTreeSet<ActionId>,
    timers: BTreeMap<Time, Vec<ActionId>>,
    /// Who runs with each key.
    running: HashMap<Key, ActionId>,
    /// How many CLEANUPs of each participant are here.
    cleaners: HashMap<Participant, u32>,
}

impl Lanes {
    /// Ids grow with arrival; an action that comes back (retried by the admin) takes the place
    /// that its id gives it.
    pub fn add(&mut self, id: ActionId, claim: Claim) {
        if self.entries.contains_key(&id) {
            return;
        }
        for key in claim.keys() {
            let queue = self.queues.entry(key).or_default();
            let place = queue.partition_point(|&other| other < id);
            queue.insert(place, id);
        }
        if let Some(participant) = claim.cleans {
            *self.cleaners.entry(participant).or_default() += 1;
        }
        self.entries.insert(
            id,
            Entry {
                claim,
                status: Status::Ready,
                begun: false,
                hurried: false,
            },
        );
        self.look_at(id);
    }

    pub fn contains(&self, id: ActionId) -> bool {
        self.entries.contains_key(&id)
    }

    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// The oldest action that may run; it counts as running from now on.
    pub fn start(&mut self, now: Time) -> Option<ActionId> {
        self.wake(now);
        while let Some(id) = self.free.pop_first() {
            // A PURGE and the CLEANUP that may pass it can be free both; one of them starts.
            // Whoever was passed over is looked at again when the other pauses or ends.
            let entry = self.entries.get(&id);
            if !entry.is_some_and(|entry| self.is_free(id, entry)) {
                continue;
            }
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.status = Status::Running;
                self.running.extend(entry.claim.keys().map(|key| (key, id)));
            }
            return Some(id);
        }
        None
    }

    /// The next point in time at which `start` may give more than now.
    pub fn next_timer(&self) -> Option<Time> {
        self.timers.keys().next().copied()
    }

    /// It did not get to its end; it is due again at `at`.
    pub fn delay(&mut self, id: ActionId, at: Time) {
        self.pause(id, Status::Until(at), at, true);
    }

    /// It waits for its CLEANUP, until `at` at the latest.
    pub fn guard(&mut self, id: ActionId, at: Time) {
        self.pause(id, Status::Guarded(at), at, false);
    }

    /// Whether the CLEANUP that this action is to come after is here.
    pub fn cleaner_of(&self, id: ActionId) -> bool {
        let awaited = self.entries.get(&id).and_then(|entry| entry.claim.awaits);
        awaited.is_some_and(|participant| self.cleaners.contains_key(&participant))
    }

    /// It is over, or held: out of the way of those behind it.
    pub fn remove(&mut self, id: ActionId) {
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        self.free.remove(&id);
        self.forget_cleaner(entry.claim.cleans);
        let mut behind = BTreeSet::new();
        for key in entry.claim.keys() {
            if self.running.get(&key) == Some(&id) {
                self.running.remove(&key);
            }
            let Some(queue) = self.queues.get_mut(&key) else {
                continue;
            };
            if let Ok(place) = queue.binary_search(&id) {
                queue.remove(place);
            }
            match queue.is_empty() {
                true => {
                    self.queues.remove(&key);
                }
                false => behind.extend(front(queue, &self.entries)),
            }
        }
        for other in behind {
            self.unguard(other, entry.claim.cleans);
            self.look_at(other);
        }
    }

    /// It may be tried at once (the admin asked for it); if it runs, right after that.
    pub fn hurry(&mut self, id: ActionId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        match entry.status {
            Status::Running => entry.hurried = true,
            Status::Ready => {}
            Status::Until(_) | Status::Guarded(_) => {
                entry.status = Status::Ready;
                self.look_at(id);
            }
        }
    }

    /// The clock shows so much less than before.
    pub fn set_back(&mut self, by: Duration) {
        let earlier = |at: Time| Time(0) + at.since(Time(0)).saturating_sub(by);
        for entry in self.entries.values_mut() {
            if let Status::Until(at) | Status::Guarded(at) = &mut entry.status {
                *at = earlier(*at);
            }
        }
        let mut timers: BTreeMap<Time, Vec<ActionId>> = BTreeMap::new();
        for (at, ids) in std::mem::take(&mut self.timers) {
            timers.entry(earlier(at)).or_default().extend(ids);
        }
        self.timers = timers;
    }

    fn forget_cleaner(&mut self, cleans: Option<Participant>) {
        if let Some(participant) = cleans
            && let Some(count) = self.cleaners.get_mut(&participant)
        {
            *count -= 1;
            if *count == 0 {
                self.cleaners.remove(&participant);
            }
        }
    }

    fn pause(&mut self, id: ActionId, status: Status, at: Time, begun: bool) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.begun = begun;
        entry.status = match std::mem::take(&mut entry.hurried) {
            true => Status::Ready,
            false => status,
        };
        for key in entry.claim.keys() {
            // Others may run with it: an action can come back after it lost its place.
            if self.running.get(&key) == Some(&id) {
                self.running.remove(&key);
            }
        }
        if entry.status == status {
            self.timers.entry(at).or_default().push(id);
        }
        self.look_at(id);
        self.look_behind(id);
    }

    fn wake(&mut self, now: Time) {
        while let Some((&at, _)) = self.timers.first_key_value()
            && at <= now
        {
            for id in self.timers.remove(&at).unwrap_or_default() {
                let due = self.entries.get_mut(&id).filter(|entry| {
                    matches!(entry.status, Status::Until(t) | Status::Guarded(t) if t == at)
                });
                if let Some(entry) = due {
                    entry.status = Status::Ready;
                    self.look_at(id);
                }
            }
        }
    }

    /// A guarded action whose CLEANUP is over looks again at once.
    fn unguard(&mut self, id: ActionId, cleaned: Option<Participant>) {
        if let Some(entry) = self.entries.get_mut(&id)
            && matches!(entry.status, Status::Guarded(_))
            && cleaned.is_some()
            && cleaned == entry.claim.awaits
        {
            entry.status = Status::Ready;
        }
    }

    fn look_behind(&mut self, id: ActionId) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        let behind: BTreeSet<ActionId> = entry
            .claim
            .keys()
            .filter_map(|key| self.queues.get(&key))
            .flat_map(|queue| front(queue, &self.entries))
            .collect();
        for other in behind {
            self.look_at(other);
        }
    }

    /// Notes whether the action is ready and has nothing in front of it that it must wait for.
    fn look_at(&mut self, id: ActionId) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        match self.is_free(id, entry) {
            true => self.free.insert(id),
            false => self.free.remove(&id),
        };
    }

    fn is_free(&self, id: ActionId, entry: &Entry) -> bool {
        let mut keys = entry.claim.keys();
        entry.status == Status::Ready && keys.all(|key| self.may_pass(id, entry.claim.cleans, &key))
    }

    fn may_pass(&self, id: ActionId, cleans: Option<Participant>, key: &Key) -> bool {
        let alone = self.running.get(key).is_none_or(|&other| other == id);
        let first = self.queues.get(key).and_then(VecDeque::front);
        let first = first.filter(|&&first| first != id);
        let in_front = first.and_then(|first| self.entries.get(first));
        alone && in_front.is_none_or(|first| first.waits_for(cleans))
    }
}

/// The first of a queue and, if it waits for a CLEANUP, those that may pass it.
fn front(queue: &VecDeque<ActionId>, entries: &HashMap<ActionId, Entry>) -> Vec<ActionId> {
    let Some(first) = queue.front() else {
        return Vec::new();
    };
    let waits = entries.get(first).filter(|entry| entry.can_be_passed());
    let passing = waits.into_iter().flat_map(|waits| {
        queue.iter().skip(1).filter(|id| {
            let entry = entries.get(id);
            entry.is_some_and(|entry| waits.waits_for(entry.claim.cleans))
        })
    });
    std::iter::once(first).chain(passing).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Student;
    use proptest::prelude::*;

    fn claim(first: u32, last: u32) -> Claim {
        Claim {
            students: StudentRange::new(Student::new(first).unwrap(), Student::new(last).unwrap())
                .unwrap(),
            backend: None,
            cleans: None,
            awaits: None,
        }
    }

    fn after(student: u32, participant: u32) -> Claim {
        Claim {
            awaits: Some(Participant::new(participant)),
            ..claim(student, student)
        }
    }

    fn cleanup(student: u32, participant: u32) -> Claim {
        Claim {
            cleans: Some(Participant::new(participant)),
            ..claim(student, student)
        }
    }

    const NOW: Time = Time(0);

    fn all(lanes: &mut Lanes, now: Time) -> Vec<i64> {
        std::iter::from_fn(|| lanes.start(now))
            .map(|id| id.0)
            .collect()
    }

    #[test]
    fn one_seat_in_order_others_beside_it() {
        let mut lanes = Lanes::default();
        lanes.add(ActionId(1), claim(1, 1));
        lanes.add(ActionId(2), claim(1, 1));
        lanes.add(ActionId(3), claim(2, 2));
        lanes.add(ActionId(4), claim(1, 3));
        lanes.add(ActionId(5), claim(3, 3));
        assert_eq!(all(&mut lanes, NOW), [1, 3]);
        lanes.remove(ActionId(3));
        assert_eq!(all(&mut lanes, NOW), [0i64; 0]);
        lanes.remove(ActionId(1));
        assert_eq!(all(&mut lanes, NOW), [2]);
        lanes.remove(ActionId(2));
        assert_eq!(all(&mut lanes, NOW), [4]);
        lanes.remove(ActionId(4));
        assert_eq!(all(&mut lanes, NOW), [5]);
    }

    #[test]
    fn a_shared_appliance_is_a_lane_too() {
        let mut lanes = Lanes::default();
        let shared = |n| Claim {
            backend: Some("WKSHP-X".parse().unwrap()),
            ..claim(n, n)
        };
        lanes.add(ActionId(1), shared(1));
        lanes.add(ActionId(2), shared(2));
        assert_eq!(all(&mut lanes, NOW), [1]);
        lanes.remove(ActionId(1));
        assert_eq!(all(&mut lanes, NOW), [2]);
    }

    #[test]
    fn a_guarded_action_lets_its_cleanup_pass_and_nobody_else() {
        let mut lanes = Lanes::default();
        lanes.add(ActionId(1), after(1, 7));
        lanes.add(ActionId(2), claim(1, 1));
        lanes.add(ActionId(3), cleanup(1, 8));
        assert_eq!(all(&mut lanes, NOW), [1]);
        lanes.guard(ActionId(1), Time(100));
        assert_eq!(
            all(&mut lanes, NOW),
            [0i64; 0],
            "nobody that it does not wait for"
        );
        lanes.remove(ActionId(2));
        lanes.remove(ActionId(3));
        lanes.add(ActionId(4), cleanup(1, 7));
        assert!(lanes.cleaner_of(ActionId(1)));
        assert_eq!(all(&mut lanes, NOW), [4]);
        assert_eq!(
            all(&mut lanes, Time(100)),
            [0i64; 0],
            "not beside the one that overtook it"
        );
        lanes.remove(ActionId(4));
        assert_eq!(all(&mut lanes, NOW), [1]);
    }

    #[test]
    fn a_cleanup_passes_the_purge_and_the_reset_that_came_first() {
        let mut lanes = Lanes::default();
        lanes.add(ActionId(1), after(1, 7));
        lanes.add(ActionId(2), after(1, 7));
        assert_eq!(all(&mut lanes, NOW), [1]);
        lanes.add(ActionId(3), cleanup(1, 7));
        assert_eq!(all(&mut lanes, NOW), [0i64; 0], "the first is running");
        lanes.guard(ActionId(1), Time(100));
        assert_eq!(all(&mut lanes, NOW), [3]);
        lanes.remove(ActionId(3));
        assert_eq!(all(&mut lanes, NOW), [1]);
        lanes.remove(ActionId(1));
        assert_eq!(all(&mut lanes, NOW), [2]);
    }

    #[test]
    fn a_purge_and_its_cleanup_never_run_together() {
        let mut lanes = Lanes::default();
        lanes.add(ActionId(1), claim(1, 1));
        lanes.add(ActionId(2), after(1, 7));
        lanes.add(ActionId(3), cleanup(1, 7));
        assert_eq!(all(&mut lanes, NOW), [1]);
        lanes.remove(ActionId(1));
        assert_eq!(all(&mut lanes, NOW), [2], "both are free, one may start");
        assert!(lanes.cleaner_of(ActionId(2)));
        lanes.guard(ActionId(2), Time(100));
        assert_eq!(all(&mut lanes, NOW), [3]);
        lanes.remove(ActionId(3));
        assert_eq!(all(&mut lanes, NOW), [2]);
    }

    #[test]
    fn a_cleanup_goes_before_the_purge_and_all_that_waits_behind_it() {
        let mut lanes = Lanes::default();
        lanes.add(ActionId(1), after(1, 7));
        lanes.add(ActionId(2), claim(1, 1));
        assert_eq!(all(&mut lanes, NOW), [1]);
        lanes.guard(ActionId(1), Time(100));
        lanes.add(ActionId(3), cleanup(1, 7));
        assert_eq!(all(&mut lanes, NOW), [3], "before the newcomer's CREATE");
        lanes.remove(ActionId(3));
        assert_eq!(all(&mut lanes, NOW), [1]);
        lanes.remove(ActionId(1));
        assert_eq!(all(&mut lanes, NOW), [2]);
    }

    #[test]
    fn a_purge_that_has_begun_is_not_passed() {
        let mut lanes = Lanes::default();
        lanes.add(ActionId(1), after(1, 7));
        assert_eq!(all(&mut lanes, NOW), [1]);
        lanes.delay(ActionId(1), Time(50));
        lanes.add(ActionId(2), cleanup(1, 7));
        assert_eq!(all(&mut lanes, Time(49)), [0i64; 0]);
        assert_eq!(all(&mut lanes, Time(50)), [1]);
    }

    #[test]
    fn a_wish_that_comes_while_it_runs_is_not_lost() {
        let mut lanes = Lanes::default();
        lanes.add(ActionId(1), claim(1, 1));
        assert_eq!(all(&mut lanes, NOW), [1]);
        lanes.hurry(ActionId(1));
        assert_eq!(all(&mut lanes, NOW), [0i64; 0]);
        lanes.delay(ActionId(1), Time(50));
        assert_eq!(all(&mut lanes, NOW), [1], "at once, not at its time");
        lanes.delay(ActionId(1), Time(50));
        assert_eq!(all(&mut lanes, NOW), [0i64; 0], "once");
        lanes.guard(ActionId(1), Time(60));
        lanes.hurry(ActionId(1));
        assert_eq!(all(&mut lanes, NOW), [1], "a guarded one, too");
    }

    #[test]
    fn who_is_added_late_and_delayed_takes_nothing_from_who_runs() {
        let mut lanes = Lanes::default();
        lanes.add(ActionId(5), claim(1, 1));
        assert_eq!(all(&mut lanes, NOW), [5]);
        lanes.add(ActionId(2), claim(1, 1));
        lanes.delay(ActionId(2), Time(50));
        lanes.add(ActionId(6), claim(1, 1));
        assert_eq!(all(&mut lanes, Time(60)), [0i64; 0]);
        lanes.remove(ActionId(5));
        assert_eq!(all(&mut lanes, Time(60)), [2]);
        let mut lanes = Lanes::default();
        lanes.add(ActionId(2), claim(1, 1));
        lanes.delay(ActionId(2), Time(50));
        assert_eq!(
            all(&mut lanes, NOW),
            [0i64; 0],
            "its time counts from the start"
        );
    }

    #[test]
    fn a_clock_that_is_set_back_delays_nothing() {
        let mut lanes = Lanes::default();
        lanes.add(ActionId(1), claim(1, 1));
        lanes.add(ActionId(2), after(2, 7));
        assert_eq!(all(&mut lanes, Time(10_000)), [1, 2]);
        lanes.delay(ActionId(1), Time(10_050));
        lanes.guard(ActionId(2), Time(10_060));
        lanes.set_back(Duration::from_secs(10));
        assert_eq!(lanes.next_timer(), Some(Time(50)));
        assert_eq!(all(&mut lanes, Time(49)), [0i64; 0]);
        assert_eq!(all(&mut lanes, Time(50)), [1]);
        assert_eq!(all(&mut lanes, Time(60)), [2]);
    }

    #[test]
    fn a_delayed_action_keeps_its_place() {
        let mut lanes = Lanes::default();
        lanes.add(ActionId(1), claim(1, 1));
        lanes.add(ActionId(2), claim(1, 1));
        assert_eq!(all(&mut lanes, NOW), [1]);
        lanes.delay(ActionId(1), Time(50));
        assert_eq!(lanes.next_timer(), Some(Time(50)));
        assert_eq!(all(&mut lanes, Time(49)), [0i64; 0]);
        assert_eq!(all(&mut lanes, Time(50)), [1]);
    }

    proptest! {
        /// Whatever comes and goes: no two running actions share a key, each ends, and of two
        /// that share a key the older one starts first.
        #[test]
        fn every_action_runs_once_and_in_order(ranges in prop::collection::vec((1u32..6, 0u32..3), 1..40)) {
            let mut lanes = Lanes::default();
            let claims: Vec<Claim> = ranges.iter().map(|&(first, more)| claim(first, first + more)).collect();
            for (id, claim) in (1..).zip(&claims) {
                lanes.add(ActionId(id), claim.clone());
            }
            let mut order = Vec::new();
            while lanes.count() > 0 {
                let running = all(&mut lanes, NOW);
                prop_assert!(!running.is_empty());
                for &a in &running {
                    for &b in &running {
                        let (x, y) = (&claims[a as usize - 1], &claims[b as usize - 1]);
                        prop_assert!(a == b || x.keys().all(|k| y.keys().all(|l| k != l)));
                    }
                    order.push(a);
                }
                for id in running {
                    lanes.remove(ActionId(id));
                }
            }
            prop_assert_eq!(order.len(), claims.len());
            for (i, &a) in order.iter().enumerate() {
                for &b in &order[i + 1..] {
                    let share = claims[a as usize - 1].keys().any(|k| claims[b as usize - 1].keys().any(|l| k == l));
                    prop_assert!(!share || a < b);
                }
            }
        }
    }
}
