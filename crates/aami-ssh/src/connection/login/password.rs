//! Signing in with what a person knows: a password, or answers to what the host asks.
//!
//! The password of a user is asked for once for all hosts and lent to one host first (`identities/password.rs`). No host
//! gets it twice, in whichever of the two ways it is asked for, unless it took it and wants another thing as well. One
//! that ends the connection once it has it gets it no more either: it may have been counted as a failed attempt.

use russh::MethodKind;
use russh::client::{AuthResult, KeyboardInteractiveAuthResponse as Response, Prompt};

use super::{Login, Step};
use crate::connection::Role;
use crate::connection::stranger::printable;
use crate::identities::{Account, Lending, Lent, Opens};
use crate::{Question, SshError};

/// How many times a host may ask in one challenge, and how much at once.
const ROUNDS: usize = 10;
const PROMPTS: usize = 16;
/// How much of what a host asks is shown.
const SHOWN: usize = 200;

/// What there is to say to a host's questions.
enum Answers {
    /// These; the password among them, if it is.
    Given(Vec<String>, Option<Lent>),
    /// Nobody says anything.
    None,
}

impl Login<'_> {
    /// Tries what the host still takes of what a person knows.
    pub(super) async fn by_password(&mut self) -> Result<Step, SshError> {
        let mut had_password = false;
        if self.may(MethodKind::KeyboardInteractive) {
            let step = self.challenge(&mut had_password).await?;
            if matches!(step, Step::In | Step::Partly) {
                return Ok(step);
            }
        }
        if had_password || !self.may(MethodKind::Password) {
            return Ok(Step::Next);
        }
        let Some(lent) = self.lent().await else {
            return Ok(Step::Next);
        };
        self.tried.push("a password".to_owned());
        let answer = self
            .session
            .handle
            .authenticate_password(self.host.user.clone(), lent.reveal());
        let answer = match self.patience.within(answer).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.unanswered(Some(lent), error)),
        };
        // One that says no and goes away has said no.
        let is_no = matches!(&answer, Ok(AuthResult::Failure { remaining_methods, partial_success: false })
            if !remaining_methods.is_empty());
        match self.answered(answer) {
            Ok(step @ (Step::In | Step::Partly)) => {
                lent.accepted();
                Ok(step)
            }
            Ok(Step::Next) => {
                lent.refused();
                Ok(Step::Next)
            }
            Err(error) if is_no => {
                lent.refused();
                Err(self.unanswered(None, error))
            }
            Err(error) => Err(self.unanswered(Some(lent), error)),
        }
    }

    /// It ended when the password was sent. Out: an error on which it is not sent there once more.
    fn unanswered(&self, lent: Option<Lent>, error: SshError) -> SshError {
        if matches!(error, SshError::Authentication { .. }) {
            // That attempt was one too many: it was not taken.
            if let Some(lent) = lent {
                lent.refused();
            }
            return error;
        }
        SshError::Authentication {
            user: self.host.user.clone(),
            why: format!("it ended when the password was sent, which is not sent again: {error}"),
        }
    }

    /// The password of this user, if there is one that no host refused.
    async fn lent(&mut self) -> Option<Lent> {
        let account = Account {
            opens: Opens::Login,
            user: self.host.user.clone(),
            host: match self.role {
                Role::Target => None,
                Role::Jump => Some(self.host.name.clone()),
            },
        };
        match self.patience.asking(self.identities.lend(&account)).await {
            Lending::Known(lent) => Some(lent),
            Lending::None => None,
            Lending::Refused => {
                self.tried
                    .push("(no password: another host refused it)".to_owned());
                None
            }
        }
    }

    /// Answers what the host asks.
    async fn challenge(&mut self, had_password: &mut bool) -> Result<Step, SshError> {
        self.tried.push("answers to its questions".to_owned());
        let begun = self
            .session
            .handle
            .authenticate_keyboard_interactive_start(self.host.user.clone(), None::<String>);
        let mut response = self.patience.within(begun).await?;
        let mut used: Option<Lent> = None;
        for _ in 0..ROUNDS {
            let prompts = match response {
                Ok(Response::Success) => {
                    if let Some(lent) = used {
                        lent.accepted();
                    }
                    return Ok(Step::In);
                }
                Ok(Response::Failure {
                    remaining_methods,
                    partial_success: true,
                }) => {
                    if let Some(lent) = used {
                        lent.accepted();
                    }
                    self.methods = Some(remaining_methods);
                    return Ok(Step::Partly);
                }
                Ok(Response::Failure {
                    remaining_methods,
                    partial_success: false,
                }) => {
                    // Of several answers it may have been another one that was wrong; the account is what counts.
                    if let Some(lent) = used {
                        lent.refused();
                    }
                    self.methods = Some(remaining_methods);
                    return Ok(Step::Next);
                }
                Ok(Response::InfoRequest { prompts, .. }) => prompts,
                Err(_) if *had_password => return Err(self.unanswered(used, self.ended())),
                Err(_) => return Err(self.ended()),
            };
            if *had_password && prompts.iter().any(wants_password) {
                // It asks again, so it was wrong. It gets no second chance.
                if let Some(lent) = used {
                    lent.refused();
                }
                return Ok(Step::Next);
            }
            let answers = match self.answers(&prompts).await {
                Answers::Given(answers, lent) => {
                    *had_password |= lent.is_some();
                    used = used.or(lent);
                    answers
                }
                Answers::None => return Ok(Step::Next),
            };
            let answered = self
                .session
                .handle
                .authenticate_keyboard_interactive_respond(answers);
            response = match self.patience.within(answered).await {
                Ok(response) => response,
                Err(error) if *had_password => return Err(self.unanswered(used, error)),
                Err(error) => return Err(error),
            };
        }
        Ok(Step::Next)
    }

    /// What there is to say: to the question for the password the one of all hosts, to every other one what a person
    /// says to this host.
    async fn answers(&mut self, prompts: &[Prompt]) -> Answers {
        let (mut answers, mut lent) = (Vec::new(), None);
        for prompt in prompts.iter().take(PROMPTS) {
            if wants_password(prompt) && lent.is_none() {
                let Some(password) = self.lent().await else {
                    return Answers::None;
                };
                answers.push(password.reveal().to_owned());
                lent = Some(password);
                continue;
            }
            let question = Question::Challenge {
                host: self.host.name.clone(),
                prompt: printable(&prompt.prompt, SHOWN),
                echo: prompt.echo,
            };
            match self.patience.asking(self.identities.ask(question)).await {
                Some(answer) => answers.push(answer.reveal().to_owned()),
                None => return Answers::None,
            }
        }
        Answers::Given(answers, lent)
    }
}

/// Whether it is the question that PAM asks for the password of the account, and no other secret.
fn wants_password(prompt: &Prompt) -> bool {
    let asks = prompt.prompt.to_ascii_lowercase();
    let other = [
        "one-time", "one time", "otp", "new ", "retype", "expired", "token", "code",
    ];
    !prompt.echo && asks.contains("password") && !other.iter().any(|word| asks.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_all_hosts_goes_to_no_other_question() {
        let wants = |text: &str, echo| {
            wants_password(&Prompt {
                prompt: text.to_owned(),
                echo,
            })
        };
        assert!(wants("Password: ", false));
        assert!(wants("(ada@gpu-01) Password: ", false));
        for other in [
            "Verification code: ",
            "One-time password (OATH) for `ada': ",
            "New password: ",
            "Retype new password: ",
            "Duo passcode or option: ",
        ] {
            assert!(!wants(other, false), "{other}");
        }
        // What is shown is no password.
        assert!(!wants("Password: ", true));
    }
}
