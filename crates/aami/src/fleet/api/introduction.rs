//! How a node is introduced to its control plane: by a token of its own, and the pin of the control plane's key.
//!
//! The control plane knows how nodes reach it, and this machine may reach it otherwise (over loopback, say). So both
//! are taken from the line it prints for people, whose form is its interface.

use aami_api::client::Client;
use aami_api::token::{CreateToken, CreatedToken};
use aami_model::code::{self, Code};
use aami_model::secret::Secret;

use crate::cli::session::Session;
use crate::fleet::{Introduce, Introduction, Member};

/// How long a node has from its turn to its registration.
const LASTS: u64 = 3_600;

/// Makes a token for each node that only it can use, once.
pub(super) struct Tokens {
    client: Client,
}

impl Tokens {
    pub(super) fn of(session: &Session) -> Self {
        Self {
            client: session.client.clone(),
        }
    }
}

impl Introduce for Tokens {
    fn introduce(&self, node: &Member) -> Result<Introduction, (Code, String)> {
        let wanted = CreateToken {
            name: format!("ssh-{}", node.name),
            max_uses: Some(1),
            ttl_seconds: Some(LASTS),
            only_node: node.id.clone(),
            ..CreateToken::default()
        };
        let made: CreatedToken = (self.client.create_token(&wanted))
            .map_err(|error| (error.code(), format!("no token could be made for it: {error}")))?;
        let strange = || {
            let what = "the control plane's line for new nodes is not one this program can read";
            (code::NOT_AAMI, what.to_owned())
        };
        let (server, pin) = read(&made.one_line).ok_or_else(strange)?;
        let token = Secret::parse(&made.token).map_err(|_| strange())?;
        Ok(Introduction::Register { server, pin, token })
    }
}

/// Address and pin from `curl ... --pinnedpubkey 'sha256//...' ... https://S:8080/bootstrap.sh | sudo sh`.
fn read(one_line: &str) -> Option<(String, Option<String>)> {
    let words: Vec<&str> = one_line
        .split_whitespace()
        .map(|word| word.trim_matches('\''))
        .collect();
    let server = words.iter().find_map(|word| word.strip_suffix("/bootstrap.sh"))?;
    if !(server.starts_with("https://") || server.starts_with("http://")) {
        return None;
    }
    let pin = words.iter().find(|word| word.starts_with("sha256//"));
    Some((server.to_owned(), pin.map(|pin| (*pin).to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_and_pin_are_read_from_the_line_people_paste() {
        let line = "curl -fsSLk --pinnedpubkey 'sha256//abc=' -H 'Authorization: Bearer aami_x' \
                    https://cp.example:8080/bootstrap.sh | sudo sh";
        assert_eq!(
            read(line),
            Some((
                "https://cp.example:8080".to_owned(),
                Some("sha256//abc=".to_owned())
            ))
        );
        let line = "curl -fsSL -H 'Authorization: Bearer aami_x' https://cp.example/bootstrap.sh | sudo sh";
        assert_eq!(read(line), Some(("https://cp.example".to_owned(), None)));
        assert_eq!(read("curl ftp://x/bootstrap.sh"), None);
        assert_eq!(read(""), None);
    }
}
