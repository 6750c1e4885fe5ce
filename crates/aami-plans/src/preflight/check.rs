//! The checks: pure functions from what was asked and what was found to what is said, a file a category.

mod hardware;
mod hosts;
mod identity;
mod limits;
mod network;
mod permissions;
mod ports;
mod software;
mod storage;
mod system;

use super::facts::Facts;
use super::report::Check;
use super::request::Request;

/// Every check, in the order shown.
pub(super) fn all(request: &Request, facts: &Facts) -> Vec<Check> {
    let mut checks = system::checks(facts);
    checks.extend(storage::checks(request, facts));
    checks.extend(system::deeper(facts));
    checks.extend(limits::checks(facts));
    checks.extend(identity::checks(facts));
    checks.extend(software::checks(facts));
    checks.extend(network::checks(request, facts));
    checks.extend(ports::checks(request, facts));
    checks.extend(permissions::checks(request, facts));
    checks.extend(hardware::checks(request, facts));
    checks
}
