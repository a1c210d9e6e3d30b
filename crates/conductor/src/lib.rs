//! The loop itself: one table of event and reaction, gates and the scheduler.
