//! Threads that join the caller in a job, again and again.
//!
//! A token's decoding has some hundred jobs of a few microseconds to a millisecond, so a helper
//! looks for the next one for a moment before it sleeps, and the caller waits only for the helpers
//! that have begun: one that is still asleep, or that the system does not run, delays nobody.

use std::{
    any::Any,
    cell::UnsafeCell,
    hint::spin_loop,
    panic::{catch_unwind, resume_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicU64, AtomicUsize, Ordering},
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
    },
    thread::{self, JoinHandle},
};

/// How often a helper looks for a job before it sleeps: some tens of microseconds.
const LOOKS: usize = 2_000;

/// What every thread of a job calls once.
type Job<'a> = dyn Fn() + Sync + 'a;

/// Helpers, and the job they are at.
pub(super) struct Pool {
    shared: Arc<Shared>,
    /// Callers from several threads wait here for each other.
    turn: Mutex<()>,
    helpers: Vec<JoinHandle<()>>,
}

struct Shared {
    gate: AtomicU64,
    /// Written only while the gate is closed and nobody is inside.
    job: UnsafeCell<Option<*const Job<'static>>>,
    /// The first panic of a helper in this job.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    asleep: AtomicUsize,
    bed: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `job` is read only by helpers inside the gate, and points to something `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

/// The gate's word: the job's number in the upper half, then two flags, then the helpers inside.
mod gate {
    pub const OPEN: u64 = 1 << 31;
    pub const ENDED: u64 = 1 << 30;
    pub const INSIDE: u64 = ENDED - 1;
    pub const NUMBER: u64 = 1 << 32;
}

/// A job's number, without what changes while it runs.
fn number(word: u64) -> u64 {
    word >> 32
}

impl Pool {
    pub fn new(helpers: usize) -> Result<Self, std::io::Error> {
        let mut pool = Self {
            shared: Arc::new(Shared {
                gate: AtomicU64::new(0),
                job: UnsafeCell::new(None),
                panic: Mutex::new(None),
                asleep: AtomicUsize::new(0),
                bed: Mutex::new(()),
                wake: Condvar::new(),
            }),
            turn: Mutex::new(()),
            helpers: Vec::new(),
        };
        for _ in 0..helpers {
            let shared = pool.shared.clone();
            let builder = thread::Builder::new().name("exact".into());
            // On an error the pool is dropped, which ends the helpers that are there.
            pool.helpers.push(builder.spawn(move || shared.help())?);
        }
        Ok(pool)
    }

    pub fn helpers(&self) -> usize {
        self.helpers.len()
    }

    /// Calls `job` on this thread and on every helper that comes before it returns here. A job must
    /// not start another one.
    pub fn run(&self, job: &Job) {
        let _turn = lock(&self.turn);
        // One may be left from a job whose caller panicked too.
        *lock(&self.shared.panic) = None;
        let job: *const Job = job;
        // SAFETY: only the lifetime changes. Nobody has the pointer after `Closing` is dropped.
        let job = unsafe { core::mem::transmute::<*const Job<'_>, *const Job<'static>>(job) };
        // SAFETY: the gate is closed, nobody is inside, and the turn is ours.
        unsafe { *self.shared.job.get() = Some(job) };
        self.shared.open();
        let closing = Closing(&self.shared);
        // SAFETY: it is the caller's reference.
        unsafe { (*job)() };
        drop(closing);
        let panic = lock(&self.shared.panic).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.gate.fetch_or(gate::ENDED, Ordering::SeqCst);
        self.shared.wake_all();
        for helper in self.helpers.drain(..) {
            // A helper catches the panics of its jobs.
            let _ = helper.join();
        }
    }
}

/// Closes the gate and waits for those inside, also when the caller's own share panics.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let gate = &self.0.gate;
        gate.fetch_and(!gate::OPEN, Ordering::AcqRel);
        let mut looks = 0usize;
        while gate.load(Ordering::Acquire) & gate::INSIDE != 0 {
            looks = looks.saturating_add(1);
            if looks < LOOKS {
                spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }
}

impl Shared {
    fn open(&self) {
        let before = self.gate.load(Ordering::Relaxed);
        let word = before.wrapping_add(gate::NUMBER) | gate::OPEN;
        // Ordered before the look at `asleep`, as a helper counts itself before it looks at the gate:
        // one of the two sees the other.
        self.gate.store(word, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) > 0 {
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        drop(lock(&self.bed));
        self.wake.notify_all();
    }

    /// A helper's life.
    fn help(&self) {
        let mut seen = 0;
        while let Some(word) = self.next(seen) {
            seen = number(word);
            if !self.enter(seen) {
                continue;
            }
            // SAFETY: the gate was open when we entered, so the job is there, and its caller waits
            // until we have left.
            let result = catch_unwind(AssertUnwindSafe(|| unsafe {
                if let Some(job) = *self.job.get() {
                    (*job)();
                }
            }));
            if let Err(panic) = result {
                let mut first = lock(&self.panic);
                match *first {
                    None => *first = Some(panic),
                    // Its drop could panic again, and then nobody would leave.
                    Some(_) => std::mem::forget(panic),
                }
            }
            self.gate.fetch_sub(1, Ordering::Release);
        }
    }

    /// The gate's word once it is open with another number than `seen`; none at the end.
    fn next(&self, seen: u64) -> Option<u64> {
        let look = || {
            let word = self.gate.load(Ordering::SeqCst);
            let ready = word & gate::OPEN != 0 && number(word) != seen;
            (ready || word & gate::ENDED != 0).then_some(word)
        };
        let ended = |word: &u64| word & gate::ENDED == 0;
        for _ in 0..LOOKS {
            if let Some(word) = look() {
                return Some(word).filter(ended);
            }
            spin_loop();
        }
        let mut bed = lock(&self.bed);
        self.asleep.fetch_add(1, Ordering::SeqCst);
        let word = loop {
            match look() {
                Some(word) => break word,
                None => bed = self.wake.wait(bed).unwrap_or_else(PoisonError::into_inner),
            }
        };
        self.asleep.fetch_sub(1, Ordering::SeqCst);
        Some(word).filter(ended)
    }

    /// Whether the gate was still open for the job.
    fn enter(&self, job: u64) -> bool {
        let inside = |word: u64| {
            let open = word & gate::OPEN != 0 && number(word) == job;
            open.then(|| word.wrapping_add(1))
        };
        self.gate
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, inside)
            .is_ok()
    }
}

/// Nothing is left half done under any of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands out the numbers from 0 up.
#[derive(Default)]
pub(super) struct Counter(AtomicUsize);

impl Counter {
    /// The next number, if it is below `end`.
    pub fn below(&self, end: usize) -> Option<usize> {
        let next = self.0.fetch_add(1, Ordering::Relaxed);
        (next < end).then_some(next)
    }

    /// No number is below anything from now on.
    pub fn exhaust(&self) {
        // Room for the calls that are still to come.
        self.0.store(usize::MAX >> 1, Ordering::Relaxed);
    }
}
