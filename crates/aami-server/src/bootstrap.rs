//! What must be there before the first request: the data folder, the first documents, the first key.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use aami_model::access::{ApiKey, Caller, Role};
use aami_model::event::{self, MOST_EVENTS_A_TRANSACTION};
use aami_model::secret::{Secret, SecretKind};
use aami_model::{EventId, KeyId, OrgId};
use aami_store::history::{History, Kind};
use aami_store::{Store, Txn, TxnOutcome, keys};
use serde_json::json;

use crate::app::commit::{Change, Wanted};
use crate::app::{App, Asking, access};
use crate::config::Config;
use crate::view::Snapshot;
use crate::view::document::{AuditDocument, ClusterDocument, EpochDocument, OutboxDocument, decode, encode};
use crate::world::World;
use crate::{StartError, reach, secret_file};

/// How many may be quicker to begin an epoch; each began one above all that it was told.
const MOST_REPLICAS_AT_ONCE: u32 = 32;

/// Makes the data folder for us alone.
pub(crate) fn make_data_dir(path: &Path) -> io::Result<()> {
    if !path.exists() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    if !path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a folder"));
    }
    Ok(())
}

/// Writes cluster and epoch where they are missing. Whoever comes first names them.
pub(crate) async fn first_documents(
    store: &Arc<dyn Store>,
    config: &Config,
    world: &World,
) -> Result<(), StartError> {
    let cluster = ClusterDocument {
        name: config.cluster.clone(),
        created_at: world.now(),
    };
    let epoch = EpochDocument {
        epoch: EventId::from_random(world.random()).to_string(),
        base: 0,
    };
    for (key, document) in [
        (keys::cluster(), encode(&cluster)),
        (keys::epoch(), encode(&epoch)),
    ] {
        match store
            .txn(Txn::new().when_absent(key.clone()).put(key, document))
            .await?
        {
            TxnOutcome::Committed(_) | TxnOutcome::Conflict(_) => {}
            TxnOutcome::Unknown => {
                return Err(StartError::Prepare("its answer was lost; start again".to_owned()));
            }
        }
    }
    Ok(())
}

/// Begins another epoch where the history has numbers that this store never gave: an older copy of the store was put in
/// its place. What happens from now on has numbers above all that were told, by whichever replica.
pub(crate) async fn later_than_told(
    store: &Arc<dyn Store>,
    history: &dyn History,
    world: &World,
) -> Result<(), StartError> {
    let told = history
        .reached(Kind::Event)
        .await?
        .max(history.reached(Kind::Audit).await?);
    for _ in 0..MOST_REPLICAS_AT_ONCE {
        if is_later(store, told, world).await? {
            return Ok(());
        }
        // Whoever was quicker has another history, which may have been told of less.
    }
    Err(StartError::Prepare(
        "many control planes start at once on an older copy of it; start this one again".to_owned(),
    ))
}

/// Sees to it that what happens from now on has numbers above `told`; false where somebody else began an epoch meanwhile,
/// and it is to be looked at again.
async fn is_later(store: &Arc<dyn Store>, told: u64, world: &World) -> Result<bool, StartError> {
    let key = keys::epoch();
    let Some(entry) = store.get(&key).await? else {
        return Ok(true);
    };
    let known: EpochDocument =
        decode(&key, &entry.value).map_err(|error| StartError::Prepare(error.to_string()))?;
    let given = event::seq(
        known.base,
        store.revision().await?.get(),
        MOST_EVENTS_A_TRANSACTION - 1,
    );
    if told <= given {
        return Ok(true);
    }
    let epoch = EpochDocument {
        epoch: EventId::from_random(world.random()).to_string(),
        base: told / MOST_EVENTS_A_TRANSACTION + 1,
    };
    tracing::warn!(
        told,
        given,
        "the history is newer than the store, of which an older copy was put in its place: a new epoch begins"
    );
    let txn = Txn::new()
        .when_unchanged(key.clone(), entry.mod_revision)
        .put(key, encode(&epoch));
    match store.txn(txn).await? {
        TxnOutcome::Committed(_) => Ok(true),
        TxnOutcome::Conflict(_) => Ok(false),
        TxnOutcome::Unknown => Err(StartError::Prepare("its answer was lost; start again".to_owned())),
    }
}

/// Says so where an organisation has, from an earlier version, the name that means all of them by now.
pub(crate) fn no_organisation_means_all(snapshot: &Snapshot) {
    let every = OrgId::every();
    if let Some(has) = snapshot.belongings(&every) {
        tracing::error!(
            org = every.as_str(),
            has,
            "this name stands for all organisations now: keys, tokens and agents of the one that is called so are let in \
             nowhere. Who sees every organisation still sees what it has: make it anew under another name, remove its \
             nodes there, and enrol them again with a token of that"
        );
    }
}

/// The names and addresses the certificate is for.
pub(crate) fn subjects(public_url: &str, listen: SocketAddr) -> (Vec<String>, Vec<IpAddr>) {
    let mut names = vec!["localhost".to_owned()];
    let mut addresses = vec![
        IpAddr::from([127, 0, 0, 1]),
        IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    if let Ok(hostname) = rustix::system::uname().nodename().to_str() {
        names.push(hostname.to_ascii_lowercase());
    }
    if let Some(host) = public_url
        .parse::<::http::Uri>()
        .ok()
        .as_ref()
        .and_then(|uri| uri.host())
    {
        let host = host.trim_matches(['[', ']']);
        match host.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => names.push(host.to_ascii_lowercase()),
        }
    }
    addresses.extend(reach::outward_address());
    if !listen.ip().is_unspecified() {
        addresses.push(listen.ip());
    }
    names.sort();
    names.dedup();
    addresses.sort();
    addresses.dedup();
    (names, addresses)
}

/// Makes the first admin key, where there is none. The file is written before the store knows the key,
/// so a crash in between is mended by the next start, which finds the file.
pub(crate) async fn admin_key(app: &App) -> Result<(), StartError> {
    if app.has_admin_key() {
        return Ok(());
    }
    let path = app.config.admin_key_path();
    let unusable = |source| StartError::DataDir {
        path: path.clone(),
        source,
    };
    let known = std::fs::read_to_string(&path)
        .ok()
        .and_then(|text| Secret::parse(&text).ok());
    let secret = match known.filter(|secret| secret.kind() == SecretKind::ApiKey) {
        Some(secret) => secret,
        None => {
            let id = KeyId::from_random(app.world.random());
            let secret = Secret::from_random(SecretKind::ApiKey, id.as_str(), app.world.random());
            secret_file::write(&path, format!("{}\n", secret.reveal()).as_bytes(), 0o600)
                .map_err(unusable)?;
            secret
        }
    };
    let id: KeyId = secret
        .id()
        .parse()
        .map_err(|_| StartError::Prepare("admin.key holds no key".to_owned()))?;
    app.write(&Asking::by(Caller::system()), |snapshot, now| {
        if snapshot.key(&id).is_some() {
            return Ok(Wanted::Nothing(()));
        }
        let key = admin(&id, &secret, "first admin key", now);
        let change = Change::new(OrgId::default(), "key.create", format!("key:{id}"))
            .noting(json!({ "name": key.name, "role": key.role }))
            .transact(|txn| {
                txn.when_absent(keys::api_key(&id))
                    .put(keys::api_key(&id), encode(&key))
            });
        Ok(Wanted::Write(Box::new(change), ()))
    })
    .await
    .map_err(|refusal| StartError::Prepare(refusal.to_string()))?;
    Ok(())
}

fn admin(id: &KeyId, secret: &Secret, name: &str, now: aami_model::Timestamp) -> ApiKey {
    ApiKey {
        id: id.clone(),
        name: name.to_owned(),
        role: Some(Role::Admin),
        scopes: Vec::new(),
        orgs: Vec::new(),
        user: None,
        hash: access::hash(secret),
        created_at: now,
        expires_at: None,
    }
}

/// Makes an admin key directly in the store: the way back when all are lost. Needs what only the
/// server machine has, the store itself; leaves an audit entry. The embedded store must not be in use.
pub async fn recover_admin_key(store_url: &str, name: &str, world: &World) -> Result<Secret, StartError> {
    let store = aami_store::open(store_url).await?;
    let id = KeyId::from_random(world.random());
    let secret = Secret::from_random(SecretKind::ApiKey, id.as_str(), world.random());
    let now = world.now();
    let audit = AuditDocument {
        action: "key.recover".to_owned(),
        subject: format!("key:{id}"),
        data: json!({ "name": name, "role": "admin" }),
    };
    let outbox = OutboxDocument {
        at: now,
        org: OrgId::default(),
        actor: "store".to_owned(),
        events: Vec::new(),
        audit: Some(audit),
    };
    let mark = keys::outbox(EventId::at(now, world.random()).as_str());
    let txn = Txn::new()
        .when_absent(keys::api_key(&id))
        .put(keys::api_key(&id), encode(&admin(&id, &secret, name, now)))
        .put(mark, encode(&outbox));
    match store.txn(txn).await? {
        TxnOutcome::Committed(_) => Ok(secret),
        TxnOutcome::Conflict(_) | TxnOutcome::Unknown => Err(StartError::Prepare(
            "the key was not written; try again".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use aami_store::history::MemoryHistory;

    use super::*;

    #[tokio::test]
    async fn of_two_that_start_at_once_on_an_older_store_the_one_that_was_told_more_decides_what_follows() {
        let (world, folder) = (World::system(), tempfile::tempdir().unwrap());
        let config = Config::for_data_dir(folder.path().join("data")).unwrap();
        for round in 0..10 {
            // Given a store that gave no number yet, and two histories that have some,
            let url = format!("sqlite:{}", folder.path().join(format!("{round}.db")).display());
            let store = aami_store::open(&url).await.unwrap();
            first_documents(&store, &config, &world).await.unwrap();
            let (less, more) = (MemoryHistory::new(), MemoryHistory::new());
            less.lack(Kind::Event, 100_000).await.unwrap();
            more.lack(Kind::Audit, 200_000).await.unwrap();

            // when both are looked at at once, whoever is quicker,
            let (one, other) = tokio::join!(
                later_than_told(&store, &less, &world),
                later_than_told(&store, &more, &world),
            );
            one.and(other).unwrap();

            // then what follows has numbers above all that either was told.
            let key = keys::epoch();
            let epoch: EpochDocument = decode(&key, &store.get(&key).await.unwrap().unwrap().value).unwrap();
            let next = event::seq(epoch.base, store.revision().await.unwrap().get(), 0);
            assert!(next > 200_000, "{round}: {epoch:?} {next}");
        }
    }
}
