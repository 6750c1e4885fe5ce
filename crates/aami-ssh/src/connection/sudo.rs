//! What sudo says before it runs a command, or does not.

use super::stranger::printable;
use crate::error::SudoRefusal;

/// How much of its words is kept.
const KEPT: usize = 8 * 1024;
/// How much of them stands in an error.
const SHOWN: usize = 300;

/// Listens to standard error until the command begins.
#[derive(Debug)]
pub(super) struct SudoTalk {
    before: String,
    prompt: String,
    text: Vec<u8>,
    /// How many prompts were answered or refused.
    seen: usize,
}

impl SudoTalk {
    pub(super) fn new(before: String, prompt: String) -> Self {
        Self {
            before,
            prompt,
            text: Vec::new(),
            seen: 0,
        }
    }

    /// Takes a piece of standard error. Out: the number of a prompt that stands there now, from 1.
    pub(super) fn feed(&mut self, data: &[u8]) -> Option<usize> {
        let room = KEPT.saturating_sub(self.text.len()).min(data.len());
        self.text.extend_from_slice(&data[..room]);
        let prompts = count(&self.text, self.prompt.as_bytes());
        (prompts > self.seen).then(|| {
            self.seen = prompts;
            prompts
        })
    }

    /// Why sudo did not run the command, with its words; none where it was not even reached.
    pub(super) fn refusal(&self) -> Option<(SudoRefusal, String)> {
        let text = String::from_utf8_lossy(&self.text);
        let (_, behind) = text.split_once(&self.before)?;
        let missing = behind.starts_with(" missing");
        let words = behind.trim_start_matches(" missing").replace(&self.prompt, "");
        let refusal = if missing {
            SudoRefusal::Missing
        } else {
            read(&words, self.seen)
        };
        Some((refusal, printable(&words, SHOWN)))
    }
}

/// What is said in which words, by sudo and by sudo-rs, in lower case.
const WORDS: &[(SudoRefusal, &[&str])] = &[
    (
        SudoRefusal::Terminal,
        &["you must have a tty", "must be run from a terminal"],
    ),
    (
        SudoRefusal::Forbidden,
        &[
            "not in the sudoers",
            "is not allowed to",
            "may not run sudo",
            "i'm afraid i can't do that",
            "account validation failure",
            "account expired",
            "not permitted",
        ],
    ),
    (
        SudoRefusal::WrongPassword,
        &[
            "incorrect password",
            "sorry, try again",
            "incorrect authentication",
            "authentication failed",
            "authentication failure",
        ],
    ),
    (
        SudoRefusal::PasswordNeeded,
        &[
            "a password is required",
            "no password was provided",
            "interactive authentication is required",
            "a terminal is required to read the password",
            "no askpass program",
        ],
    ),
];

fn read(words: &str, prompts: usize) -> SudoRefusal {
    let words = words.to_lowercase();
    let said = WORDS
        .iter()
        .find(|(_, phrases)| phrases.iter().any(|phrase| words.contains(phrase)))
        .map_or(SudoRefusal::Other, |(refusal, _)| *refusal);
    match said {
        // It asked, got one, and did not like it.
        SudoRefusal::PasswordNeeded if prompts > 0 => SudoRefusal::WrongPassword,
        other => other,
    }
}

fn count(text: &[u8], word: &[u8]) -> usize {
    let mut at = 0;
    let mut found = 0;
    while let Some(next) = text
        .get(at..)
        .and_then(|rest| rest.windows(word.len()).position(|w| w == word))
    {
        found += 1;
        at += next + word.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "AAMI-aa";
    const PROMPT: &str = "AAMI-bb:";

    fn said(words: &str) -> SudoRefusal {
        let mut talk = SudoTalk::new(BEFORE.to_owned(), PROMPT.to_owned());
        talk.feed(format!("noise: sorry, try again\n{BEFORE}\n{words}").as_bytes());
        talk.refusal().expect("sudo was reached").0
    }

    #[test]
    fn the_words_of_sudo_and_sudo_rs_are_understood() {
        for (words, refusal) in [
            ("sudo: a password is required\n", SudoRefusal::PasswordNeeded),
            (
                "sudo: interactive authentication is required\n",
                SudoRefusal::PasswordNeeded,
            ),
            (
                "AAMI-bb:Sorry, try again.\nAAMI-bb:sudo: no password was provided\nsudo: 1 incorrect password attempt\n",
                SudoRefusal::WrongPassword,
            ),
            (
                "AAMI-bb:\nsudo: no password was provided\n",
                SudoRefusal::WrongPassword,
            ),
            (
                "sudo: Authentication failed, try again.\n",
                SudoRefusal::WrongPassword,
            ),
            (
                "sudo: sorry, you must have a tty to run sudo\n",
                SudoRefusal::Terminal,
            ),
            ("ada is not in the sudoers file.\n", SudoRefusal::Forbidden),
            (
                "Sorry, user ada is not allowed to execute '/bin/sh -c x' as root on gpu-1.\n",
                SudoRefusal::Forbidden,
            ),
            (
                "sudo: I'm sorry ada. I'm afraid I can't do that\n",
                SudoRefusal::Forbidden,
            ),
            ("sudo: error in /etc/sudo.conf\n", SudoRefusal::Other),
        ] {
            assert_eq!(said(words), refusal, "{words}");
        }
    }

    #[test]
    fn a_host_without_sudo_is_told_from_one_whose_shell_never_ran() {
        let mut talk = SudoTalk::new(BEFORE.to_owned(), PROMPT.to_owned());
        talk.feed(b"This account is not available.\n");
        assert!(talk.refusal().is_none());
        talk.feed(b"\nAAMI-aa missing\n");
        assert_eq!(talk.refusal().expect("reached").0, SudoRefusal::Missing);
    }

    #[test]
    fn each_prompt_is_seen_once_however_it_is_cut() {
        let mut talk = SudoTalk::new(BEFORE.to_owned(), PROMPT.to_owned());
        assert_eq!(talk.feed(b"\nAAMI-aa\nAAMI"), None);
        assert_eq!(talk.feed(b"-bb:"), Some(1));
        assert_eq!(talk.feed(b"Sorry, try again.\n"), None);
        assert_eq!(talk.feed(b"AAMI-bb:"), Some(2));
        for _ in 0..10_000 {
            assert_eq!(talk.feed(&[b'x'; 100]), None);
        }
        assert!(talk.text.len() <= KEPT);
    }
}
