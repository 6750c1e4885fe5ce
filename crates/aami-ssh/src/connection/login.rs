//! Signing in, in OpenSSH's order: the agent's keys that stand among the host's key files, its other keys, the key
//! files, and only where it was asked for a password.
//!
//! A key is offered before anything is signed with it, so a passphrase is only asked for when the host takes the
//! key. Nothing is tried twice, but for what a host that wants several things would not look at before it had another.

mod agent;
mod password;
mod patience;
mod signer;

use std::sync::Arc;

use russh::client::AuthResult;
use russh::keys::agent::AgentIdentity;
use russh::keys::{Certificate, HashAlg, PublicKey};
use russh::{MethodKind, MethodSet};

use super::Role;
use super::handshake::Session;
use crate::client::Shared;
use crate::identities::KeyFile;
use crate::{Host, Identities, Known, SshError};
use agent::Agent;
use patience::Patience;
use signer::{Signing, Unsigned};

/// How many times a host may take something and want another thing as well.
const FACTORS: usize = 8;
/// How many of the keys tried are named in an error.
const NAMED: usize = 8;

/// Something to offer.
#[derive(Debug)]
enum Candidate {
    Agent(AgentIdentity),
    Certificate(Certificate, Arc<KeyFile>),
    File(Arc<KeyFile>),
}

impl Candidate {
    fn shown(&self) -> String {
        match self {
            Self::Agent(identity) => {
                let key = identity.public_key();
                format!("{} of the agent", key.fingerprint(HashAlg::Sha256))
            }
            Self::Certificate(certificate, file) => {
                format!(
                    "certificate {:?} of {}",
                    certificate.key_id(),
                    file.path().display()
                )
            }
            Self::File(file) => file.path().display().to_string(),
        }
    }
}

/// One login under way.
struct Login<'a> {
    identities: &'a Identities,
    host: &'a Host,
    role: Role,
    session: &'a mut Session,
    patience: Patience,
    /// By what RSA keys sign, once it was asked.
    rsa: Option<Option<HashAlg>>,
    /// What the host would still take; none before its first answer.
    methods: Option<MethodSet>,
    tried: Vec<String>,
    unusable: Option<SshError>,
}

/// What came of one offer.
enum Step {
    In,
    /// It took it, and wants something else as well.
    Partly,
    Next,
}

/// Signs in to a host whose key is judged.
pub(super) async fn sign_in(
    shared: &Arc<Shared>,
    host: &Host,
    role: Role,
    session: &mut Session,
) -> Result<(), SshError> {
    let mut login = Login {
        identities: &shared.identities,
        host,
        role,
        session,
        patience: Patience::new(shared.settings.login_timeout),
        rsa: None,
        methods: None,
        tried: Vec::new(),
        unusable: None,
    };
    // Boxed: the states of all methods together are large, and there is one of them for every host under way.
    Box::pin(login.run()).await
}

impl Login<'_> {
    async fn run(&mut self) -> Result<(), SshError> {
        let mut agent = self.agent().await;
        let candidates = self.candidates(&mut agent).await;
        for _ in 0..FACTORS {
            match self.round(&candidates, &mut agent).await? {
                Step::In => return Ok(()),
                // Now it may look at the keys it would not look at before.
                Step::Partly => {}
                Step::Next => break,
            }
        }
        Err(self.refused())
    }

    /// Tries everything once: the keys, then what a person knows.
    async fn round(&mut self, candidates: &[Candidate], agent: &mut Option<Agent>) -> Result<Step, SshError> {
        for candidate in candidates {
            if !self.may(MethodKind::PublicKey) {
                break;
            }
            if matches!(self.offer(candidate, agent).await?, Step::In) {
                return Ok(Step::In);
            }
        }
        if self.methods.is_none() {
            // Nothing was offered: who asks for nothing learns what is accepted, or is let in.
            let answer = self.session.handle.authenticate_none(self.host.user.clone());
            let answer = self.patience.within(answer).await?;
            if matches!(self.answered(answer)?, Step::In) {
                return Ok(Step::In);
            }
        }
        if self.host.password && self.unchecked() {
            self.tried
                .push("(no password: nobody looked at the host's key)".to_owned());
        } else if self.host.password {
            return self.by_password().await;
        }
        Ok(Step::Next)
    }

    /// Whether nobody can say who this is.
    const fn unchecked(&self) -> bool {
        matches!(self.session.known, Known::Unchecked { .. })
    }

    /// The agent, bound to this session; one that cannot be reached is noted and done without.
    async fn agent(&mut self) -> Option<Agent> {
        let socket = match &self.host.agent {
            crate::AgentSocket::Usual => self.identities.agent_socket()?.to_owned(),
            crate::AgentSocket::None => return None,
            crate::AgentSocket::At(path) => path.clone(),
        };
        match Agent::connect(&socket, self.session.handle.agent_session_binding()).await {
            Ok(agent) => Some(agent),
            Err(why) => {
                self.tried
                    .push(format!("the agent at {} ({why})", socket.display()));
                None
            }
        }
    }

    async fn candidates(&mut self, agent: &mut Option<Agent>) -> Vec<Candidate> {
        let files = self.identities.keys_of(&self.host.keys);
        let mut held = match agent {
            Some(agent) => agent.identities().await,
            None => Vec::new(),
        };
        let mut first = Vec::new();
        let mut last = Vec::new();
        for file in files {
            let public = file.public.as_ref().map(PublicKey::key_data);
            let in_agent = held
                .iter()
                .position(|identity| Some(identity.public_key().key_data()) == public);
            if let Some(certificate) = &file.certificate {
                let candidate = Candidate::Certificate(certificate.clone(), Arc::clone(&file));
                match in_agent {
                    Some(_) => first.push(candidate),
                    None => last.push(candidate),
                }
            }
            match in_agent {
                Some(at) => first.push(Candidate::Agent(held.remove(at))),
                None => last.push(Candidate::File(file)),
            }
        }
        if !self.host.identities_only {
            first.extend(held.into_iter().map(Candidate::Agent));
        }
        first.extend(last);
        first
    }

    async fn offer(&mut self, candidate: &Candidate, agent: &mut Option<Agent>) -> Result<Step, SshError> {
        let user = self.host.user.clone();
        let (public, certificate, file) = match candidate {
            Candidate::Agent(identity) => {
                let certificate = match identity {
                    AgentIdentity::Certificate { certificate, .. } => Some(certificate.clone()),
                    AgentIdentity::PublicKey { .. } => None,
                };
                (identity.public_key().into_owned(), certificate, None)
            }
            Candidate::Certificate(certificate, file) => (
                PublicKey::new(certificate.public_key().clone(), ""),
                Some(certificate.clone()),
                Some(file),
            ),
            Candidate::File(file) => match &file.public {
                Some(public) => (public.clone(), None, Some(file)),
                // Its public half can only be had by unlocking it.
                None => match self.patience.asking(file.key(self.identities)).await {
                    Ok(key) => (key.public_key().clone(), None, Some(file)),
                    Err(error) => {
                        self.cannot_use(error);
                        return Ok(Step::Next);
                    }
                },
            },
        };
        self.tried.push(candidate.shown());
        let hash = if public.algorithm().is_rsa() {
            match self.rsa_hash().await? {
                Some(hash) => Some(hash),
                None => {
                    self.tried
                        .push("(not offered: the host takes it only with SHA-1)".to_owned());
                    return Ok(Step::Next);
                }
            }
        } else {
            None
        };
        let mut signing = match (file, agent) {
            (Some(file), _) => Signing::File {
                file: Arc::clone(file),
                identities: self.identities,
                patience: self.patience.clone(),
            },
            (None, Some(agent)) => Signing::Agent {
                agent,
                patience: self.patience.clone(),
            },
            (None, None) => return Ok(Step::Next),
        };
        let patience = self.patience.clone();
        let handle = &mut self.session.handle;
        let answer = match certificate {
            Some(certificate) => {
                let answer = handle.authenticate_certificate_with(user, certificate, hash, &mut signing);
                patience.within(answer).await?
            }
            None => {
                let answer = handle.authenticate_publickey_with(user, public, hash, &mut signing);
                patience.within(answer).await?
            }
        };
        match answer {
            Ok(answer) => self.answered(Ok(answer)),
            Err(Unsigned::Key(error)) => {
                self.cannot_use(error);
                Ok(Step::Next)
            }
            Err(Unsigned::Agent(why)) => {
                self.tried.push(format!("({why})"));
                Ok(Step::Next)
            }
            Err(Unsigned::Ended) => Err(self.ended()),
        }
    }

    /// By what an RSA key may sign here; none where only SHA-1 would do.
    async fn rsa_hash(&mut self) -> Result<Option<HashAlg>, SshError> {
        if let Some(known) = self.rsa {
            return Ok(known);
        }
        let asked = self
            .patience
            .within(self.session.handle.best_supported_rsa_hash())
            .await?;
        let hash = match asked {
            Ok(Some(hash)) => hash,
            // It does not say. What every server of the last ten years can.
            Ok(None) => Some(HashAlg::Sha256),
            Err(_) => return Err(self.ended()),
        };
        self.rsa = Some(hash);
        Ok(hash)
    }

    fn answered(&mut self, answer: Result<AuthResult, russh::Error>) -> Result<Step, SshError> {
        match answer {
            Ok(AuthResult::Success) => Ok(Step::In),
            Ok(AuthResult::Failure { .. }) if self.session.handle.is_closed() => Err(self.ended()),
            Ok(AuthResult::Failure {
                remaining_methods,
                partial_success,
            }) => {
                self.methods = Some(remaining_methods);
                Ok(if partial_success { Step::Partly } else { Step::Next })
            }
            Err(_) => Err(self.ended()),
        }
    }

    fn may(&self, method: MethodKind) -> bool {
        self.methods
            .as_ref()
            .is_none_or(|methods| methods.contains(&method))
    }

    fn cannot_use(&mut self, error: SshError) {
        self.tried.push(format!("({error})"));
        self.unusable.get_or_insert(error);
    }

    /// The host ended it in the middle of the login.
    fn ended(&self) -> SshError {
        let said = self.session.ending.get();
        let too_many = said
            .as_ref()
            .is_some_and(|said| said.to_lowercase().contains("too many authentication"));
        if too_many {
            SshError::Authentication {
                user: self.host.user.clone(),
                why: format!("the host gave up after {}", self.tried_shown()),
            }
        } else {
            self.session.lost(false)
        }
    }

    fn refused(&mut self) -> SshError {
        let accepted: Vec<&str> = self
            .methods
            .iter()
            .flat_map(|methods| methods.iter())
            .map(Into::into)
            .collect();
        let offered = self.tried.iter().any(|tried| !tried.starts_with('('));
        match self.unusable.take() {
            // Nothing but a key that could not even be read.
            Some(error) if !offered => error,
            _ => SshError::Authentication {
                user: self.host.user.clone(),
                why: format!(
                    "tried {}; the host accepts {}",
                    self.tried_shown(),
                    if accepted.is_empty() {
                        "nothing else".to_owned()
                    } else {
                        accepted.join(", ")
                    }
                ),
            },
        }
    }

    fn tried_shown(&self) -> String {
        if self.tried.is_empty() {
            return "nothing, for there is neither an agent nor a key file".to_owned();
        }
        let mut shown = self
            .tried
            .iter()
            .take(NAMED)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        if self.tried.len() > NAMED {
            shown.push_str(&format!(" and {} more", self.tried.len() - NAMED));
        }
        shown
    }
}
