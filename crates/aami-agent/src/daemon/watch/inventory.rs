//! What the machine is: told when the control plane does not know it, and when it changed.

use std::sync::PoisonError;
use std::time::Duration;

use aami_api::link::Told;
use aami_inventory::{Host, Inventory};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::super::state::{Shared, Wishes};

/// How often it is looked whether something was plugged in or fell out.
const GLANCE: Duration = Duration::from_secs(60);
/// How often everything is looked at, whatever the glances say: a driver may have been replaced.
const WHOLE: Duration = Duration::from_secs(6 * 3600);

/// The inventory as it is told.
#[derive(Debug, Clone)]
pub(in super::super) struct Document {
    /// Of its bytes, lower-case hex.
    pub(in super::super) sha256: String,
    /// JSON.
    text: String,
}

impl Document {
    fn of(inventory: &Inventory) -> Option<Self> {
        let text = serde_json::to_string(inventory).ok()?;
        Some(Self {
            sha256: HEXLOWER.encode(&Sha256::digest(text.as_bytes())),
            text,
        })
    }

    #[cfg(test)]
    pub(in super::super) fn on_stage(sha256: &str) -> Self {
        let (sha256, text) = (sha256.to_owned(), "{}".to_owned());
        Self { sha256, text }
    }

    fn told(&self) -> Option<Told> {
        Some(Told::Inventory {
            sha256: self.sha256.clone(),
            inventory: serde_json::from_str(&self.text).ok()?,
        })
    }
}

/// What was seen last.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What a glance saw when the whole was looked at.
    known: Option<Vec<String>>,
    /// What the last glance saw, where that is something else: it must stay so for one more.
    changing: Option<Vec<String>>,
    glance: Duration,
    whole: Duration,
    /// The report that carries the newest document.
    report: Option<u64>,
}

impl Watch {
    pub(super) fn turn(&mut self, shared: &Shared, host: &Host<'_>, wishes: Wishes) {
        let now = shared.now();
        let mut look = wishes.refresh || self.known.is_none() || now >= self.whole;
        if !look && now >= self.glance {
            self.glance = now + GLANCE;
            look = self.has_changed(glance(host));
        }
        if look {
            shared.vitals.looks.begin();
            self.whole = now + WHOLE;
            self.known = Some(glance(host));
            self.changing = None;
            self.look(shared, host);
            shared.vitals.looks.end();
        }
        if wishes.inventory {
            self.tell_again(shared);
        }
    }

    /// Whether a glance differs from what is known, twice the same: what is being plugged in changes for a while.
    fn has_changed(&mut self, seen: Vec<String>) -> bool {
        if self.known.as_ref() == Some(&seen) {
            self.changing = None;
            return false;
        }
        if self.changing.as_ref() == Some(&seen) {
            return true;
        }
        self.changing = Some(seen);
        false
    }

    fn look(&mut self, shared: &Shared, host: &Host<'_>) {
        let document = match Inventory::collect(host) {
            Ok(inventory) => Document::of(&inventory),
            Err(error) => {
                shared.say(&format!("the hardware cannot be looked at: {error}"));
                None
            }
        };
        let Some(document) = document else { return };
        let is_news = shared.memory.noted().inventory.as_ref() != Some(&document.sha256);
        *shared.inventory.lock().unwrap_or_else(PoisonError::into_inner) = Some(document.clone());
        if is_news {
            self.tell(shared, &document);
        }
    }

    fn tell(&mut self, shared: &Shared, document: &Document) {
        let Some(what) = document.told() else { return };
        let Ok(seq) = shared.report(shared.wall(), what) else {
            return;
        };
        self.report = Some(seq);
        let sha256 = document.sha256.clone();
        // Where it cannot be noted, the next start tells it again.
        let _ = shared.memory.change(|noted| noted.inventory = Some(sha256));
    }

    /// The control plane does not have it, unless it is on its way.
    fn tell_again(&mut self, shared: &Shared) {
        if self.report.is_some_and(|seq| shared.spool().waits(seq)) {
            return;
        }
        let document = shared
            .inventory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(document) = document {
            self.tell(shared, &document);
        }
    }
}

/// The names of what is plugged in, and how much memory there is.
fn glance(host: &Host<'_>) -> Vec<String> {
    let mut seen = host.list("/sys/bus/pci/devices");
    let is_real = |folder: &str, name: &str| host.exists(&format!("{folder}/{name}/device"));
    for folder in ["/sys/block", "/sys/class/net"] {
        let names = host.list(folder);
        seen.extend(names.into_iter().filter(|name| is_real(folder, name)));
    }
    let memory = host.read("/proc/meminfo").unwrap_or_default();
    seen.extend(memory.lines().next().map(str::to_owned));
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_it_stays() {
        let seen = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        let mut watch = Watch {
            known: Some(seen(&["a", "b"])),
            ..Watch::default()
        };
        assert!(!watch.has_changed(seen(&["a", "b"])));
        assert!(!watch.has_changed(seen(&["a"])), "it may come back");
        assert!(!watch.has_changed(seen(&["a", "b"])));
        assert!(!watch.has_changed(seen(&["a"])));
        assert!(watch.has_changed(seen(&["a"])));
    }
}
