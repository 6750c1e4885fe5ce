//! What every backend must do. Each story is given a fresh, empty store.

pub(crate) mod leases;
pub(crate) mod limits;
pub(crate) mod lists;
pub(crate) mod random;
pub(crate) mod transactions;
pub(crate) mod watches;
