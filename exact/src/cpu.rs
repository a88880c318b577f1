//! What an engine runs on: an instruction set, and threads that share the work.

mod parts;
mod pool;

use std::sync::{Mutex, PoisonError};

pub(crate) use self::parts::Parts;
use self::pool::Pool;
use crate::{
    kernel::{Backend, BackendError, Kernels},
    rows::Rows,
};

/// Most threads of one [`Cpu`].
pub const MAX_THREADS: usize = 1024;

/// A backend and a pool of threads. Several engines may share one; their work takes turns.
pub struct Cpu {
    backend: Backend,
    pub(crate) kernels: Kernels,
    pub(crate) rows: Rows,
    /// None for one thread.
    pool: Option<Pool>,
}

/// Why a [`Cpu`] cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CpuError {
    /// This machine lacks the backend's instructions.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// No threads, or too many.
    #[error("{0} threads cannot run anything: choose from 1 to {MAX_THREADS}")]
    Threads(usize),
    /// The system refused to start a thread.
    #[error("cannot start {threads} threads: {error}")]
    Spawn {
        threads: usize,
        error: std::io::Error,
    },
}

impl Cpu {
    /// A backend of this machine, and a number of threads; the caller's is one of them.
    pub fn new(backend: Backend, threads: usize) -> Result<Self, CpuError> {
        if !(1..=MAX_THREADS).contains(&threads) {
            return Err(CpuError::Threads(threads));
        }
        let pool = match threads.saturating_sub(1) {
            0 => None,
            helpers => {
                Some(Pool::new(helpers).map_err(|error| CpuError::Spawn { threads, error })?)
            }
        };
        Ok(Self {
            backend,
            kernels: Kernels::of(backend)?,
            rows: Rows::of(backend),
            pool,
        })
    }

    /// The best backend of this machine on all of its cores, or on one where the system refuses
    /// threads.
    pub fn detect() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let backend = Backend::best();
        match Self::new(backend, cores.min(MAX_THREADS)).or_else(|_| Self::new(backend, 1)) {
            Ok(cpu) => cpu,
            Err(error) => unreachable!("{error}: one thread of an available backend needs nothing"),
        }
    }

    /// Its instruction set.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Threads that work, the caller's among them.
    pub fn threads(&self) -> usize {
        self.pool
            .as_ref()
            .map_or(1, |pool| pool.helpers().saturating_add(1))
    }

    /// Calls `work` for every unit below `units`, in any order and on any thread, with something of
    /// its own for each thread. After an error no new unit is begun, and the first error is given.
    pub(crate) fn each<S, E: Send>(
        &self,
        units: usize,
        scratch: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, usize) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let pool = match &self.pool {
            Some(pool) if units > 1 => pool,
            _ => {
                let mut scratch = scratch();
                return (0..units).try_for_each(|unit| work(&mut scratch, unit));
            }
        };
        let next = pool::Counter::default();
        let failed = Mutex::new(None);
        pool.run(&|| {
            let mut scratch = scratch();
            while let Some(unit) = next.below(units) {
                if let Err(error) = work(&mut scratch, unit) {
                    next.exhaust();
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.get_or_insert(error);
                }
            }
        });
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.map_or(Ok(()), Err)
    }
}

impl core::fmt::Debug for Cpu {
    fn fmt(&self, f: &mut core::fmt::Formatter) -> core::fmt::Result {
        write!(f, "Cpu({}, {} threads)", self.backend, self.threads())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_unit_is_done_once_on_any_number_of_threads() {
        for threads in [1, 2, 5] {
            let cpu = Cpu::new(Backend::Portable, threads).unwrap();
            assert_eq!(cpu.threads(), threads);
            for units in [0, 1, 2, 3, 100, 1000] {
                let done: Vec<_> = (0..units).map(|_| AtomicUsize::new(0)).collect();
                let made = AtomicUsize::new(0);
                let result = cpu.each(
                    units,
                    || made.fetch_add(1, Ordering::Relaxed),
                    |_, unit| {
                        done[unit].fetch_add(1, Ordering::Relaxed);
                        Ok::<_, ()>(())
                    },
                );
                assert_eq!(result, Ok(()));
                assert!(done.iter().all(|done| done.load(Ordering::Relaxed) == 1));
                assert!(made.into_inner() <= threads);
            }
        }
    }

    #[test]
    fn an_error_comes_back_and_the_next_region_runs() {
        for threads in [1, 3] {
            let cpu = Cpu::new(Backend::Portable, threads).unwrap();
            let run = |bad: usize| {
                let work = |_: &mut (), unit| if unit == bad { Err(unit) } else { Ok(()) };
                cpu.each(50, || (), work)
            };
            assert_eq!(run(7), Err(7));
            assert_eq!(run(50), Ok(()));
        }
    }

    /// The helpers' own panic must not leave the caller waiting, nor be lost.
    #[test]
    fn a_panic_reaches_the_caller() {
        let cpu = Cpu::new(Backend::Portable, 2).unwrap();
        let panicked = |unit: usize| {
            let work = move |_: &mut (), other| {
                assert_ne!(other, unit, "on purpose");
                std::thread::sleep(std::time::Duration::from_micros(50));
                Ok::<_, ()>(())
            };
            let run = || cpu.each(8, || (), work);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
        };
        for unit in 0..8 {
            assert!(panicked(unit));
        }
        assert!(!panicked(8));
    }

    #[test]
    fn callers_take_turns() {
        let cpu = Cpu::new(Backend::Portable, 2).unwrap();
        let sum = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let add = |_: &mut (), unit| {
                            sum.fetch_add(unit, Ordering::Relaxed);
                            Ok::<_, ()>(())
                        };
                        cpu.each(5, || (), add).unwrap();
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 4 * 200 * 10);
    }

    #[test]
    fn a_cpu_without_threads_is_refused() {
        let error = |threads| {
            Cpu::new(Backend::Portable, threads)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(0),
            "0 threads cannot run anything: choose from 1 to 1024"
        );
        assert!(error(1025).starts_with("1025 threads"));
    }
}
