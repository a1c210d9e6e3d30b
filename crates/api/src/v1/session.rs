//! The session of a browser; what it is made of is in `sign_in`.

use access::Permission::Public;

use super::Routes;
use crate::route::get;
use crate::sign_in::session::{create, end, ways};

pub(super) fn routes() -> Routes {
    Routes::new().route("/session", get(Public, ways).post(Public, create).delete(Public, end))
}
