//! What an error of etcd says about the request it answers.
//!
//! Codes and messages are those of etcd's `api/v3rpc/rpctypes/error.go`; how they come about was read
//! in `server/etcdserver/v3_server.go` and `apply.go`.

use std::error::Error as _;
use std::io;

use etcd_client::Error;

use crate::lease::LeaseId;
use crate::txn::{Op, Txn};

/// gRPC's numbers (`google/rpc/code.proto`).
const INVALID_ARGUMENT: i32 = 3;
const NOT_FOUND: i32 = 5;
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const OUT_OF_RANGE: i32 = 11;
const UNIMPLEMENTED: i32 = 12;
const UNAUTHENTICATED: i32 = 16;

/// What became of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// etcd does not want it, and would not want it again.
    Refused,
    /// No member has seen it.
    NotSent,
    /// It was answered with more than is decoded.
    TooLarge,
    /// It may have been carried out.
    Unclear,
}

pub(super) fn judge(error: &Error) -> Verdict {
    let Error::GRpcStatus(status) = error else {
        return match error {
            Error::LeaseKeepAliveError(_) | Error::InvalidArgs(_) | Error::InvalidUri(_) => Verdict::Refused,
            _ => Verdict::Unclear,
        };
    };
    match i32::from(status.code()) {
        OUT_OF_RANGE if status.message().contains("message length too large") => Verdict::TooLarge,
        INVALID_ARGUMENT | NOT_FOUND | PERMISSION_DENIED | RESOURCE_EXHAUSTED | OUT_OF_RANGE
        | UNIMPLEMENTED | UNAUTHENTICATED => Verdict::Refused,
        // Said before the request is looked at.
        _ if status.message().contains("etcdserver: no leader") => Verdict::NotSent,
        _ if was_refused_a_connection(status.source()) => Verdict::NotSent,
        _ => Verdict::Unclear,
    }
}

/// Whether there was nobody at the address: then nothing was sent.
fn was_refused_a_connection(mut source: Option<&(dyn std::error::Error + 'static)>) -> bool {
    while let Some(error) = source {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        {
            return true;
        }
        source = error.source();
    }
    false
}

fn says(error: &Error, code: i32, message: &str) -> bool {
    matches!(error, Error::GRpcStatus(status)
        if i32::from(status.code()) == code && status.message().contains(message))
}

/// The quota is used up.
pub(super) fn is_no_space(error: &Error) -> bool {
    says(error, RESOURCE_EXHAUSTED, "database space exceeded")
}

/// The revision asked for is compacted; or not made yet, as after a restore from a backup, which comes
/// to the same for whoever asks.
pub(super) fn is_out_of_history(error: &Error) -> bool {
    says(error, OUT_OF_RANGE, "compacted") || says(error, OUT_OF_RANGE, "future revision")
}

/// There is no such lease.
pub(super) fn is_not_found(error: &Error) -> bool {
    says(error, NOT_FOUND, "")
}

/// The lease a transaction failed for: etcd does not say which, but it is nearly always the only one.
pub(super) fn ended_lease(error: &Error, txn: &Txn) -> Option<LeaseId> {
    if !says(error, NOT_FOUND, "lease not found") {
        return None;
    }
    txn.ops().iter().find_map(|op| {
        if let Op::Put { lease, .. } = op {
            *lease
        } else {
            None
        }
    })
}
