//! A slice of which several threads fill different parts.

use core::{marker::PhantomData, ops::Range};

/// A slice that is lent out in parts that do not overlap.
pub(crate) struct Parts<'a, T> {
    start: *mut T,
    length: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a `&mut [T]` whose parts go to different threads; a part is all that a thread gets.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    pub fn new(whole: &'a mut [T]) -> Self {
        Self {
            start: whole.as_mut_ptr(),
            length: whole.len(),
            lifetime: PhantomData,
        }
    }

    /// One part.
    ///
    /// # Safety
    /// No two parts that are in use at a time overlap.
    pub unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.length);
        // SAFETY: the range is inside the slice, which is borrowed for 'a; that nobody else uses it
        // is the caller's part.
        unsafe {
            core::slice::from_raw_parts_mut(
                self.start.add(range.start),
                range.end.wrapping_sub(range.start),
            )
        }
    }
}
