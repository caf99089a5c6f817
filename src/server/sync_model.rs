//! The primitives of `sync` as a model checker needs them: in a model, every operation is a point at which another
//! thread may run; elsewhere they are those of the standard library.
//!
//! shuttle runs the threads of a model one at a time on one thread of the system, and switches between them only inside
//! its own primitives. It explores sequentially consistent executions: that fits here, because each order that matters
//! is one of `SeqCst` operations. loom would explore weaker orders, but does not implement `SeqCst` (it reports
//! executions that cannot happen).

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::sync::{LockResult, MutexGuard, PoisonError, TryLockError};

thread_local! {
    static IN_MODEL: Cell<bool> = const { Cell::new(false) };
}

/// Runs `model` under `iterations` random schedules; panics where one of them panics, deadlocks or does not end.
pub fn check(iterations: usize, model: impl Fn() + Send + Sync + 'static) {
    IN_MODEL.set(true);
    shuttle::check_random(model, iterations);
    IN_MODEL.set(false);
}

/// In a model, a point at which another thread may run.
fn switch_point() {
    if IN_MODEL.get() {
        shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
    }
}

/// See [`std::sync::Mutex`].
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        switch_point();
        if !IN_MODEL.get() {
            return self.0.lock();
        }
        loop {
            match self.0.try_lock() {
                Ok(guard) => return Ok(guard),
                Err(TryLockError::Poisoned(error)) => return Err(PoisonError::new(error.into_inner())),
                Err(TryLockError::WouldBlock) => shuttle::thread::yield_now(),
            }
        }
    }
}

/// An atomic type with `load`, `store` and the named operations of one argument.
macro_rules! atomic {
    ($name:ident, $value:ty $(, $operation:ident)*) => {
        #[doc = concat!("See [`std::sync::atomic::", stringify!($name), "`].")]
        #[derive(Debug, Default)]
        pub struct $name(std::sync::atomic::$name);

        impl $name {
            pub fn new(value: $value) -> Self {
                Self(std::sync::atomic::$name::new(value))
            }

            pub fn load(&self, order: Ordering) -> $value {
                switch_point();
                self.0.load(order)
            }

            pub fn store(&self, value: $value, order: Ordering) {
                switch_point();
                self.0.store(value, order);
            }

            $(pub fn $operation(&self, value: $value, order: Ordering) -> $value {
                switch_point();
                self.0.$operation(value, order)
            })*
        }
    };
}

atomic!(AtomicBool, bool, swap);
atomic!(AtomicU64, u64, fetch_add);
atomic!(AtomicUsize, usize, fetch_add, fetch_sub);

impl AtomicUsize {
    pub fn fetch_update(
        &self,
        set_order: Ordering,
        fetch_order: Ordering,
        update: impl FnMut(usize) -> Option<usize>,
    ) -> Result<usize, usize> {
        switch_point();
        self.0.fetch_update(set_order, fetch_order, update)
    }
}
