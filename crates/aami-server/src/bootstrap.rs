//! What must be there before the first request: the data folder, the first documents, the first key.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use aami_model::access::{ApiKey, Caller, Role};
use aami_model::event::{self, MOST_EVENTS_A_TRANSACTION};
use aami_model::secret::{Secret, SecretKind};
use aami_model::{EventId, KeyId};
use aami_store::history::{History, Kind};
use aami_store::{Store, Txn, TxnOutcome, keys};
use serde_json::json;

use crate::app::commit::{Change, Wanted};
use crate::app::{App, Asking, access};
use crate::config::Config;
use crate::view::document::{AuditDocument, ClusterDocument, EpochDocument, OutboxDocument, decode, encode};
use crate::world::World;
use crate::{StartError, reach, secret_file};

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
/// its place. What happens from now on has numbers above all that were told.
pub(crate) async fn later_than_told(
    store: &Arc<dyn Store>,
    history: &dyn History,
    world: &World,
) -> Result<(), StartError> {
    let key = keys::epoch();
    let Some(entry) = store.get(&key).await? else {
        return Ok(());
    };
    let known: EpochDocument =
        decode(&key, &entry.value).map_err(|error| StartError::Prepare(error.to_string()))?;
    let given = event::seq(
        known.base,
        store.revision().await?.get(),
        MOST_EVENTS_A_TRANSACTION - 1,
    );
    let told = history
        .reached(Kind::Event)
        .await?
        .max(history.reached(Kind::Audit).await?);
    if told <= given {
        return Ok(());
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
        // Whoever was quicker saw the same.
        TxnOutcome::Committed(_) | TxnOutcome::Conflict(_) => Ok(()),
        TxnOutcome::Unknown => Err(StartError::Prepare("its answer was lost; start again".to_owned())),
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
        let change = Change::new(aami_model::OrgId::default(), "key.create", format!("key:{id}"))
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
        org: aami_model::OrgId::default(),
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
