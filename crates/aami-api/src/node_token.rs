//! The install token of one node, with the script that installs its agent. This family is `camelCase`, as its document
//! shows it.

use aami_model::Timestamp;
use serde::{Deserialize, Serialize};

/// How long a token lasts unless said otherwise, in seconds.
pub const USUAL_EXPIRES_IN: u64 = 86_400;
/// The shortest and the longest it may last.
pub const EXPIRES_IN: std::ops::RangeInclusive<u64> = 3_600..=31_536_000;
/// The only system there is an agent for.
pub const OS_TYPE: &str = "linux";
/// The only way it is installed.
pub const INSTALL_METHOD: &str = "systemd";

/// POST `/api/v1/nodes/{id}/token` and `/rotate`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GenerateToken {
    /// How long the token lasts, in seconds: 3600 to 31536000; 86400 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// `linux`, which it is where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_type: Option<String>,
    /// `systemd`, which it is where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install_method: Option<String>,
    /// Which version of the agent; the configured one where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daemon_version: Option<String>,
}

/// The answer: the one time the token is shown, also inside the script.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GeneratedToken {
    /// The token. It enrols this node, once.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What to run as root on the node.
    pub install_script: String,
    /// `systemd`.
    pub install_method: String,
    /// The agent's version, as it was asked for or configured.
    pub daemon_version: String,
    /// Where the agent is downloaded from, for the node's processor, or amd64 while that is not known.
    pub download_url: String,
    /// What it must be: `sha256:` and lower-case hex.
    pub checksum: String,
    /// A page that explains the installation.
    pub documentation_url: String,
}

impl std::fmt::Debug for GeneratedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GeneratedToken")
            .field("expires_at", &self.expires_at)
            .field("daemon_version", &self.daemon_version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_are_those_of_the_document() {
        let asked: GenerateToken = serde_json::from_str(
            r#"{"expiresIn":3600,"osType":"linux","installMethod":"systemd","daemonVersion":"v1.0.0"}"#,
        )
        .unwrap();
        assert_eq!(asked.expires_in, Some(3600));
        let answer = GeneratedToken {
            token: "aami_secret".into(),
            expires_at: Timestamp::EPOCH,
            install_script: "aami_secret".into(),
            install_method: INSTALL_METHOD.into(),
            daemon_version: "v1.0.0".into(),
            download_url: String::new(),
            checksum: String::new(),
            documentation_url: String::new(),
        };
        let json = serde_json::to_value(&answer).unwrap();
        let names: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            [
                "checksum",
                "daemonVersion",
                "documentationUrl",
                "downloadUrl",
                "expiresAt",
                "installMethod",
                "installScript",
                "token"
            ]
        );
        assert!(!format!("{answer:?}").contains("secret"));
    }
}
