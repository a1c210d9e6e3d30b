//! What a server keeps in memory follows what others on the same database change.
//!
//! Two things are kept: the models that deployments serve, and who was let in lately. Both follow the events, which every change
//! writes: a server looks four times a second whether there are new ones. The rest is read from the database when it is needed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use kernel::task::Shutdown;
use serving::deployment::Deployment;
use tokio::time::{Instant, sleep};

use crate::{Error, House, rollout};

/// How often a server looks for what others did: it is out of date by no more than this and the time to load a model.
pub const POLL: Duration = Duration::from_millis(250);
/// The wait before a model that could not be loaded is tried again: doubled each time, at most the second.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// The beginnings of the kinds of events after which somebody may do more or less than before.
const CHANGE_ACCESS: [&str; 4] = ["user.", "token.", "member.", "workspace."];

/// A workspace and a deployment in it.
type Place = (String, String);

/// What is known of models that could not be loaded.
#[derive(Debug, Default)]
pub struct Follower {
    failed: HashMap<Place, Failed>,
    /// The events up to this one have been followed.
    seen: i64,
}

#[derive(Debug)]
struct Failed {
    version: String,
    wait: Duration,
    again: Instant,
}

impl Follower {
    /// Loads what each deployment of each workspace serves; called before the server says that it is ready.
    pub async fn start(house: &House) -> Result<Self, Error> {
        let mut follower = Self { seen: house.db.look_for_events().await?, ..Self::default() };
        follower.round_of_one(house).await?;
        // Those of the others are loaded as their workspaces are opened.
        house.all().await?;
        Ok(follower)
    }

    /// Follows the others until the shutdown.
    pub async fn run(mut self, house: &House, mut shutdown: Shutdown) {
        let mut reachable = true;
        loop {
            tokio::select! {
                () = shutdown.wait() => return,
                () = sleep(POLL) => {}
            }
            match self.look(house).await {
                Ok(()) => reachable = true,
                Err(error) => {
                    if std::mem::take(&mut reachable) {
                        tracing::warn!(%error, "cannot look for what other servers changed; trying again");
                    }
                }
            }
        }
    }

    /// Follows the events since the last look, if there are any.
    pub async fn look(&mut self, house: &House) -> Result<(), Error> {
        let (seen, head) = (self.seen, house.db.look_for_events().await?);
        let kinds = if head > seen {
            house.nudge();
            house.db.read(move |tx| db::events::kinds_after(tx, seen)).await?
        } else {
            Vec::new()
        };
        if kinds.iter().any(|kind| CHANGE_ACCESS.iter().any(|one| kind.starts_with(one))) {
            house.access.forget();
        }
        let retry = self.failed.values().any(|failed| failed.again <= Instant::now());
        if retry || kinds.iter().any(|kind| kind.starts_with("deployment.")) {
            self.round(house).await?;
        }
        self.seen = head.max(seen);
        Ok(())
    }

    async fn round(&mut self, house: &House) -> Result<(), Error> {
        for house in house.opened() {
            self.round_of_one(&house).await?;
        }
        Ok(())
    }

    /// Brings every deployment of a workspace to what is written down of it.
    async fn round_of_one(&mut self, house: &House) -> Result<(), Error> {
        let ctx = house.conductor_ctx();
        let all = house.db.read(move |tx| serving::deployment::list(tx, &ctx)).await?;
        let names: HashSet<String> = all.into_iter().map(|deployment| deployment.name).collect();
        let gone = house.fleet.list().into_iter().map(|status| status.deployment).filter(|name| !names.contains(name));
        for name in names.iter().cloned().chain(gone) {
            self.bring(house, &name).await?;
        }
        self.failed.retain(|(workspace, name), _| **workspace != *house.workspace || names.contains(name));
        Ok(())
    }

    async fn bring(&mut self, house: &House, name: &str) -> Result<(), Error> {
        // Nobody else switches it meanwhile, so what is written down is what it should serve.
        let _switching = house.switching().await;
        let (ctx, wanted) = (house.conductor_ctx(), name.to_owned());
        let Some(deployment) = house.db.read(move |tx| serving::deployment::find(tx, &ctx, &wanted)).await? else {
            house.fleet.remove(name);
            return Ok(());
        };
        let Some(target) = deployment.target_version.clone() else {
            if house.fleet.get(name).is_some() {
                house.fleet.remove(name);
            }
            house.fleet.declare(name, deployment.config);
            return Ok(());
        };
        let place = (house.workspace.to_string(), name.to_owned());
        if serves(house, &deployment, &target) || !self.may_try(&place, &target) {
            return Ok(());
        }
        match rollout::bring(house, &deployment, &target).await {
            Ok(()) => {
                self.failed.remove(&place);
            }
            Err(error) => {
                tracing::error!(deployment.name = name, %error, "a deployment cannot be brought to what it should serve");
                house.fleet.note_failure(name, &error.to_string());
                self.note(place, target);
            }
        }
        Ok(())
    }

    fn may_try(&self, place: &Place, target: &str) -> bool {
        self.failed.get(place).is_none_or(|failed| failed.version != target || failed.again <= Instant::now())
    }

    fn note(&mut self, place: Place, version: String) {
        let before = self.failed.get(&place).filter(|failed| failed.version == version);
        let wait = before.map_or(FIRST_WAIT, |failed| (failed.wait * 2).min(LONGEST_WAIT));
        self.failed.insert(place, Failed { version, wait, again: Instant::now() + wait });
    }
}

/// Loads what the deployments of a workspace serve, once.
pub(crate) async fn restore(house: &House) -> Result<(), Error> {
    Follower::default().round_of_one(house).await
}

fn serves(house: &House, deployment: &Deployment, target: &str) -> bool {
    house.fleet.get(&deployment.name).is_some_and(|live| {
        live.model_name() == deployment.model && live.version() == target && *live.config() == deployment.config
    })
}
