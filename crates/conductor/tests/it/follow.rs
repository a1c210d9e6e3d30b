//! What a server keeps in memory follows what another one on the same database changes.

use access::token::{self, NewToken};
use access::{Credential, Role, Secret};
use rondo_conductor::follow::Follower;
use rondo_conductor::{House, TABLES};
use serving::deployment::{Config, NewDeployment};
use testkit::TestDb;

async fn two_houses() -> (TestDb, [(House, tempfile::TempDir); 2]) {
    let database = tokio::task::spawn_blocking(TestDb::postgres).await.unwrap().unwrap();
    let houses = [database.open(&TABLES).await.unwrap(), database.open(&TABLES).await.unwrap()].map(super::house);
    (database, houses)
}

#[tokio::test]
async fn a_token_that_one_revokes_opens_nothing_on_the_other() {
    let (_database, [(one, _dir), (other, _other_dir)]) = two_houses().await;
    let secret = Secret::random().unwrap();
    let credential = Credential::Token(secret.reveal().to_owned());
    let new = NewToken { name: "ci".to_owned(), user: None, role: Role::Editor, scopes: Vec::new(), expires_us: None };
    let ctx = one.conductor_ctx();
    one.db.write(move |tx| token::create(tx, &ctx, &new, &secret)).await.unwrap();

    other.access.verify(&credential).await.unwrap();
    let mut follower = Follower::start(&other).await.unwrap();
    let ctx = one.conductor_ctx();
    one.db.write(move |tx| token::revoke(tx, &ctx, "ci")).await.unwrap();
    assert!(other.access.lookup(&credential).is_some(), "it is remembered until somebody looks");
    follower.look(&other).await.unwrap();
    assert!(other.access.lookup(&credential).is_none());
    assert!(other.access.verify(&credential).await.is_err());
}

#[tokio::test]
async fn deployments_come_and_go_with_those_of_the_others() {
    let (_database, [(one, _dir), (other, _other_dir)]) = two_houses().await;
    let mut follower = Follower::start(&other).await.unwrap();
    let names = |house: &House| house.fleet.list().into_iter().map(|one| one.deployment).collect::<Vec<_>>();
    let ctx = one.conductor_ctx();
    let new = NewDeployment {
        name: "d".to_owned(),
        pointer: "models:/m@live".to_owned(),
        model: "m".to_owned(),
        config: Config::default(),
    };
    one.db.write(move |tx| serving::deployment::create(tx, &ctx, new)).await.unwrap();
    follower.look(&other).await.unwrap();
    assert_eq!(names(&other), ["d"]);

    // What cannot be loaded is said, and is not tried again at each event.
    let ctx = one.conductor_ctx();
    one.db.write(move |tx| serving::deployment::set_target(tx, &ctx, "d", "7")).await.unwrap();
    let restarted = Follower::start(&other).await.unwrap();
    let reason = other.fleet.status("d").unwrap().last_failure.unwrap();
    assert!(reason.contains('m'), "{reason}");
    drop(restarted);

    let ctx = one.conductor_ctx();
    one.db.write(move |tx| serving::deployment::delete(tx, &ctx, "d")).await.unwrap();
    follower.look(&other).await.unwrap();
    assert!(names(&other).is_empty());
}
