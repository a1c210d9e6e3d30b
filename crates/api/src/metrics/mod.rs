//! `GET /metrics`: everything worth a graph, as Prometheus text.
//!
//! Names follow the conventions of Prometheus (base units, `_total`, no ids as labels); `promtool check metrics` accepts the page. The
//! numbers are read from where they are kept at the moment of the scrape; nothing is counted here.

mod monitors;
mod process;
mod serving;
mod text;

use access::Permission::View;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use conductor::House;

use self::text::Page;
use crate::route::get;

/// Routes of this protocol.
type Routes = crate::route::Routes<crate::route::Plain>;

/// The routes of this protocol.
pub(crate) fn routes() -> Routes {
    Routes::new().route("/metrics", get(View, metrics))
}

async fn metrics(State(house): State<House>) -> impl IntoResponse {
    let mut page = Page::default();
    serving::write(&house.fleet.list(), &mut page);
    monitors::write(&house, &mut page).await;
    process::write(&house, &mut page);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page.finish())
}
