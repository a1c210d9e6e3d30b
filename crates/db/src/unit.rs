//! A unit of work on its way: the closure, then its result, then the answer to who waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use crate::{Error, Tx};

/// What the threads of an engine see of a unit of work.
pub(crate) trait Work: Send {
    /// Runs the closure. `Ok(true)`: it wants to commit; `Ok(false)`: it returned an error of its own.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<bool, Error>;
    /// Answers: with the closure's result, or with `Err` if the database failed it.
    fn finish(self: Box<Self>, outcome: Result<(), Error>);
}

pub(crate) struct Unit<T, E, F> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Unit<T, E, F> {
    pub(crate) fn new(work: F) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (reply, receiver) = oneshot::channel();
        (Self { work: Some(work), result: None, reply }, receiver)
    }
}

impl<T, E, F> Work for Unit<T, E, F>
where
    T: Send,
    E: From<Error> + Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<bool, Error> {
        let Some(work) = self.work.take() else { return Ok(false) };
        match catch_unwind(AssertUnwindSafe(|| work(tx))) {
            Ok(result) => {
                let wants_commit = result.is_ok();
                self.result = Some(result);
                if wants_commit { tx.check_sound().map(|()| true) } else { Ok(false) }
            }
            Err(panic) => Err(Error::Panicked { reason: panic_text(panic.as_ref()) }),
        }
    }

    fn finish(self: Box<Self>, outcome: Result<(), Error>) {
        let answer = match (outcome, self.result) {
            (_, Some(Err(error))) => Err(error),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Err(error), _) => Err(E::from(error)),
            (Ok(()), None) => Err(E::from(Error::Closed)),
        };
        // Nobody waits any more: the work is done all the same.
        let _ = self.reply.send(answer);
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without text".to_owned())
}
