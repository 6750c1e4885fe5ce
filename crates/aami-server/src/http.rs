//! The HTTP surface: requests in, use cases called, answers out. No rule of the domain lives here.
//!
//! [`routes`] is the one table of what there is and who may call it; [`router`] leads each route to its
//! function. A route that is not in the table is not answered, so nothing can be reachable by accident.
//! Every refusal is `application/problem+json`.

mod alerts;
mod batches;
pub(crate) mod call;
mod checks;
mod commands;
mod dashboards;
mod deliveries;
mod dist;
mod events;
mod exporters;
mod found;
pub(crate) mod gate;
mod groups;
mod health;
mod inventory;
mod keys;
mod limits;
mod link;
mod node_tokens;
mod nodes;
pub(crate) mod openapi;
mod pages;
mod problem;
mod prometheuses;
mod reply;
mod rollout;
pub(crate) mod router;
pub(crate) mod routes;
mod rules;
mod runs;
mod scripts;
mod sd;
mod tokens;
mod webhooks;

pub(crate) use call::STRANGERS_ROOM;
pub(crate) use dist::Checksums;
pub(crate) use gate::Peer;
pub(crate) use limits::Bucket;
