//! Who is asking: a credential in clear becomes a [`Caller`].

use aami_model::access::{Caller, Orgs, Role, Scope};
use aami_model::secret::{NotASecret, Secret, SecretKind};
use aami_model::token::BootstrapToken;
use aami_model::{KeyId, NodeId, RunId, TokenId, code};
use aami_store::Revision;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{App, Refusal};
use crate::view::Snapshot;

/// SHA-256 of a secret, lower-case hex: the only form in which one is kept.
pub(crate) fn hash(secret: &Secret) -> String {
    HEXLOWER.encode(&Sha256::digest(secret.reveal().as_bytes()))
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

impl App {
    /// Signs in with an API key, a node's or a run's credential. What exactly was wrong is not said.
    pub(crate) fn sign_in(&self, bearer: &str) -> Result<Caller, Refusal> {
        let refused = || Refusal::plain(code::UNAUTHENTICATED);
        let secret = Secret::parse(bearer).map_err(|_| refused())?;
        let snapshot = self.view.current();
        let hashed = hash(&secret);
        let now = self.world.now();
        match secret.kind() {
            SecretKind::ApiKey => {
                let id: KeyId = secret.id().parse().map_err(|_| refused())?;
                let key = &snapshot.key(&id).ok_or_else(refused)?.doc;
                if !same(&key.hash, &hashed) {
                    return Err(refused());
                }
                Caller::of_key(key, now).ok_or_else(refused)
            }
            SecretKind::NodeCredential => {
                let node = &snapshot.by_credential(&hashed).ok_or_else(refused)?.doc;
                if !node
                    .identity
                    .credential_hash
                    .as_deref()
                    .is_some_and(|kept| same(kept, &hashed))
                {
                    return Err(refused());
                }
                Ok(Caller {
                    id: format!("node:{}", node.id),
                    role: None,
                    scopes: vec![Scope::Node(node.id.clone())],
                    orgs: Orgs::Only(vec![node.org.clone()]),
                    user: None,
                })
            }
            SecretKind::RunCredential => {
                let id: RunId = secret.id().parse().map_err(|_| refused())?;
                let run = &snapshot.run(&id).ok_or_else(refused)?.doc;
                if !same(&run.credential_hash, &hashed) || now >= run.expires_at || run.status.is_final() {
                    return Err(refused());
                }
                let token = run.token.as_ref().and_then(|token| snapshot.token(token));
                if token.is_some_and(|held| held.doc.revoked_at.is_some()) {
                    return Err(refused());
                }
                let mut scopes = vec![Scope::Run(id.clone())];
                let node = snapshot.node_of(run).filter(|_| !run.announced);
                scopes.extend(node.map(|held| Scope::Node(held.doc.id.clone())));
                Ok(Caller {
                    id: format!("run:{id}"),
                    role: None,
                    scopes,
                    orgs: Orgs::Only(vec![run.org.clone()]),
                    user: None,
                })
            }
            // A bootstrap token opens two routes, which judge it themselves.
            SecretKind::BootstrapToken => Err(refused()),
        }
    }

    /// Lets the holder of a bootstrap token speak for a node that enrolled with it: only to take it out again,
    /// and only while the token is good. A token for one node opens nothing here: it is used up once its node is in,
    /// stands in a script that lies on that machine, and may last a year.
    pub(crate) fn sign_in_to_leave(&self, bearer: &str, node: &NodeId) -> Result<Caller, Refusal> {
        let snapshot = self.view.current();
        let (token, _) = self.find_token(&snapshot, bearer)?;
        if token.revoked_at.is_some() {
            return Err(Refusal::plain(code::TOKEN_REVOKED));
        }
        if self.world.now() >= token.expires_at {
            return Err(Refusal::plain(code::TOKEN_EXPIRED));
        }
        if token.only_node.is_some() {
            return Err(Refusal::new(
                code::FORBIDDEN,
                "a token for one node brings that node in and does not take it out; use its own credential, or an \
                 operator's key",
            ));
        }
        let orgs = Orgs::Only(vec![token.org.clone()]);
        let enrolled = snapshot
            .node(node, &orgs)
            .is_some_and(|held| held.doc.token.as_ref() == Some(&token.id));
        if !enrolled {
            return Err(Refusal::new(
                code::FORBIDDEN,
                "a bootstrap token takes out only nodes that enrolled with it",
            ));
        }
        Ok(Caller {
            id: format!("token:{}", token.id),
            role: None,
            scopes: vec![Scope::Node(node.clone())],
            orgs,
            user: None,
        })
    }

    /// Reads a bootstrap token and finds its record, whatever it is good for.
    pub(crate) fn find_token(
        &self,
        snapshot: &Snapshot,
        text: &str,
    ) -> Result<(BootstrapToken, Revision), Refusal> {
        let secret = read_token(text)?;
        let unknown = || Refusal::plain(code::TOKEN_INVALID);
        let id: TokenId = secret.id().parse().map_err(|_| unknown())?;
        let held = snapshot.token(&id).ok_or_else(unknown)?;
        if same(&held.doc.hash, &hash(&secret)) {
            Ok((held.doc.clone(), held.revision))
        } else {
            Err(unknown())
        }
    }
}

/// Reads the shape of a bootstrap token.
pub(crate) fn read_token(text: &str) -> Result<Secret, Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::plain(code::TOKEN_REQUIRED));
    }
    match Secret::parse(text) {
        Ok(secret) if secret.kind() == SecretKind::BootstrapToken => Ok(secret),
        Ok(secret) => {
            let kind = secret.kind().name();
            Err(Refusal::new(
                code::TOKEN_FOREIGN,
                format!("what was given is {kind}, not a bootstrap token"),
            ))
        }
        Err(NotASecret::Prefix) => Err(Refusal::plain(code::TOKEN_FOREIGN)),
        Err(NotASecret::Shape) => Err(Refusal::new(
            code::TOKEN_INVALID,
            "the bootstrap token is cut off or has characters that do not belong there",
        )),
    }
}

/// Refuses unless the caller has at least this role.
pub(crate) fn require(caller: &Caller, role: Role) -> Result<(), Refusal> {
    if caller.has_role(role) {
        return Ok(());
    }
    Err(Refusal::new(
        code::FORBIDDEN,
        format!("this needs the role {}", role.name()),
    ))
}
