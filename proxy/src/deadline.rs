//! Times by which something has to have happened: one list for each thread, looked through when the first is due.
//!
//! Every request and every connection has such times, and nearly none comes to them. The runtime's own timers are put
//! into a wheel and taken out of it under a lock each time; here, one is a number in its place, and the one task that
//! reads them all wakes when the earliest may be over.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::mem::take;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Least time from one look through the list to the next, by which a deadline may be noticed late. A look at 10,000
/// idle connections takes some tens of microseconds.
const LOOKS_APART: Duration = Duration::from_millis(50);

thread_local! {
    static DEADLINES: Rc<Deadlines> = Rc::new(Deadlines::new());
}

/// The deadlines of one thread.
#[derive(Debug)]
struct Deadlines {
    /// Which thread's: a deadline that has come to another thread does not touch the places there.
    list: u64,
    places: RefCell<Places>,
    /// When they are looked through next; never, as long as none is set.
    next_look: Cell<Option<Instant>>,
    /// One was set that is due before the next look.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct Places {
    all: Vec<Place>,
    free: Vec<usize>,
}

#[derive(Debug, Default)]
struct Place {
    due: Due,
    /// The task that waits for it.
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Due {
    #[default]
    Never,
    At(Instant),
    Over,
}

impl Places {
    fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.all.push(Place::default());
            self.all.len() - 1
        })
    }

    fn give_back(&mut self, place: usize) {
        if let Some(left) = self.all.get_mut(place) {
            take(left);
            self.free.push(place);
        }
    }

    /// Marks what is over by now and answers who waited for it, and the earliest of the rest.
    fn look(&mut self, now: Instant) -> (Vec<Waker>, Option<Instant>) {
        let (mut over, mut earliest) = (Vec::new(), None);
        for place in &mut self.all {
            match place.due {
                Due::At(at) if at <= now => {
                    place.due = Due::Over;
                    over.extend(place.waker.take());
                }
                Due::At(at) => earliest = Some(earliest.map_or(at, |earliest| at.min(earliest))),
                Due::Never | Due::Over => {}
            }
        }
        (over, earliest)
    }
}

impl Deadlines {
    fn new() -> Deadlines {
        static LISTS: AtomicU64 = AtomicU64::new(0);
        Deadlines {
            list: LISTS.fetch_add(1, Ordering::Relaxed),
            places: RefCell::default(),
            next_look: Cell::new(None),
            sooner: Notify::new(),
        }
    }

    fn set(&self, place: usize, due: Due) {
        if let Some(place) = self.places.borrow_mut().all.get_mut(place) {
            place.due = due;
        }
        if let Due::At(at) = due
            && self.next_look.get().is_none_or(|look| at < look)
        {
            self.next_look.set(Some(at));
            self.sooner.notify_one();
        }
    }

    fn poll_over(&self, place: usize, cx: &Context<'_>) -> Poll<()> {
        let mut places = self.places.borrow_mut();
        let Some(place) = places.all.get_mut(place) else {
            return Poll::Pending;
        };
        if place.due == Due::Over {
            return Poll::Ready(());
        }
        // A task keeps its waker: nearly always it is here already.
        match &mut place.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn look(&self, now: Instant) {
        let (over, earliest) = self.places.borrow_mut().look(now);
        let next = earliest.map(|earliest| earliest.max(now + LOOKS_APART));
        self.next_look.set(next);
        over.into_iter().for_each(Waker::wake);
    }
}

/// Looks after the deadlines of this thread for as long as it runs. Sleeps for good while none is set.
pub(crate) async fn watch() {
    let deadlines = DEADLINES.with(Rc::clone);
    loop {
        let Some(next_look) = deadlines.next_look.get() else {
            deadlines.sooner.notified().await;
            continue;
        };
        tokio::select! {
            () = sleep_until(next_look) => deadlines.look(Instant::now()),
            () = deadlines.sooner.notified() => {}
        }
    }
}

/// A time by which something has to have happened, on a thread that has [`watch`] running.
#[derive(Debug)]
pub(crate) struct Deadline {
    list: u64,
    place: usize,
}

impl Deadline {
    /// One that is due after this time; one too far to be told is never due.
    pub(crate) fn after(limit: Duration) -> Deadline {
        Deadline::due(Instant::now().checked_add(limit))
    }

    /// One that is never due before it is set.
    pub(crate) fn never() -> Deadline {
        Deadline::due(None)
    }

    fn due(at: Option<Instant>) -> Deadline {
        DEADLINES.with(|deadlines| {
            let place = deadlines.places.borrow_mut().take();
            deadlines.set(place, at.map_or(Due::Never, Due::At));
            Deadline {
                list: deadlines.list,
                place,
            }
        })
    }

    /// Makes it due after this time from now, whatever it was before.
    pub(crate) fn set_after(&self, limit: Duration) {
        let at = Instant::now().checked_add(limit);
        self.with(|deadlines| deadlines.set(self.place, at.map_or(Due::Never, Due::At)));
    }

    /// It is not due any more.
    pub(crate) fn lift(&self) {
        self.with(|deadlines| deadlines.set(self.place, Due::Never));
    }

    /// Ready once it is over; the task is woken then.
    pub(crate) fn poll_over(&self, cx: &Context<'_>) -> Poll<()> {
        self.with(|deadlines| deadlines.poll_over(self.place, cx))
            .unwrap_or(Poll::Pending)
    }

    /// `None` on another thread than its own, and when the thread is at its end.
    fn with<T>(&self, then: impl FnOnce(&Deadlines) -> T) -> Option<T> {
        let then = |deadlines: &Rc<Deadlines>| {
            (deadlines.list == self.list).then(|| then(deadlines.as_ref()))
        };
        DEADLINES.try_with(then).ok().flatten()
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.with(|deadlines| deadlines.places.borrow_mut().give_back(self.place));
    }
}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_over(cx)
    }
}

/// What the future comes to, if it does so within the limit.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let deadline = Deadline::after(limit);
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => deadline.poll_over(cx).map(|()| None),
    })
    .await
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{DEADLINES, Deadline, LOOKS_APART, watch, within};
    use std::future::{Future, pending, ready};
    use std::rc::Rc;
    use std::time::Duration;
    use tokio::runtime::{Builder, LocalOptions};
    use tokio::task::spawn_local;
    use tokio::time::{Instant, sleep};

    const SECOND: Duration = Duration::from_secs(1);

    /// Runs on a thread of its own with its watcher, where time passes only while nothing else goes on.
    pub(crate) fn on_paused_time<F: Future<Output = ()> + 'static>(test: impl FnOnce() -> F) {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build_local(LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            spawn_local(watch());
            test().await;
        });
    }

    /// How long it took, given that deadlines may be noticed late.
    fn assert_took(begun: Instant, expected: Duration) {
        let took = begun.elapsed();
        let late = LOOKS_APART + Duration::from_millis(2);
        assert!(expected <= took && took <= expected + late, "{took:?}");
    }

    #[test]
    fn what_is_done_in_time_is_done_and_what_is_not_is_given_up() {
        on_paused_time(|| async {
            let begun = Instant::now();
            assert_eq!(within(SECOND, ready(5)).await, Some(5));
            assert_eq!(within(SECOND, sleep(SECOND / 2)).await, Some(()));
            assert_took(begun, SECOND / 2);
            assert_eq!(within(SECOND, pending::<()>()).await, None);
            assert_took(begun, SECOND * 3 / 2);
        });
    }

    #[test]
    fn a_deadline_that_is_set_while_a_later_one_is_waited_for_is_due_first() {
        on_paused_time(|| async {
            let begun = Instant::now();
            let later = spawn_local(async move {
                Deadline::after(9 * SECOND).await;
                assert_took(begun, 9 * SECOND);
            });
            sleep(SECOND).await;
            Deadline::after(2 * SECOND).await;
            assert_took(begun, 3 * SECOND);
            later.await.unwrap();
        });
    }

    #[test]
    fn a_deadline_can_be_moved_and_lifted() {
        on_paused_time(|| async {
            let begun = Instant::now();
            let (moved, lifted) = (Deadline::after(SECOND), Deadline::after(SECOND));
            moved.set_after(5 * SECOND);
            lifted.lift();
            moved.await;
            assert_took(begun, 5 * SECOND);
            let over = std::future::poll_fn(|cx| lifted.poll_over(cx));
            assert_eq!(within(SECOND, over).await, None);
            // Too far to be told.
            assert_eq!(within(SECOND, Deadline::after(Duration::MAX)).await, None);
        });
    }

    #[test]
    fn places_are_used_again_and_nothing_is_looked_at_while_none_is_set() {
        on_paused_time(|| async {
            for _ in 0..100 {
                let _ = within(SECOND, ready(())).await;
            }
            let deadlines = DEADLINES.with(Rc::clone);
            assert!(deadlines.places.borrow().all.len() < 3);
            sleep(2 * SECOND).await;
            assert_eq!(deadlines.next_look.get(), None);
        });
    }

    #[test]
    fn one_that_comes_to_another_thread_leaves_the_places_there_alone() {
        on_paused_time(|| async {
            let strange = std::thread::spawn(|| Deadline::after(SECOND))
                .join()
                .unwrap();
            let own = Deadline::after(SECOND);
            assert_eq!(strange.place, own.place);
            strange.lift();
            drop(strange);
            own.await;
        });
    }
}
