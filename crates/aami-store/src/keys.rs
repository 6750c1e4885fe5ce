//! Where everything is kept: the layout of the keys, in the order of the design. State lives under
//! `s/`; the view watches that and nothing else.
//!
//! Every function is total: whatever text it is given becomes one part of a key and stays one.

use std::fmt::Display;

use aami_model::{
    CheckId, CommandId, GroupId, KeyId, NodeId, OrgId, PrometheusId, RuleSetId, RunId, TaskId, TokenId,
};

use crate::key::{Key, Prefix};

fn key(parts: &[&str]) -> Key {
    let mut path = vec!["s"];
    path.extend_from_slice(parts);
    Key::from_parts(&path)
}

fn under(parts: &[&str]) -> Prefix {
    let mut path = vec!["s"];
    path.extend_from_slice(parts);
    Prefix::from_parts(&path)
}

/// All state.
pub fn state() -> Prefix {
    under(&[])
}

/// A node with its exporters, groups, labels and status.
pub fn node(id: &NodeId) -> Key {
    key(&["nodes", id.as_str()])
}

/// All nodes.
pub fn nodes() -> Prefix {
    under(&["nodes"])
}

/// Who has a hostname in an organisation. `hostname` is lower case, without the trailing dot.
pub fn hostname_index(org: &OrgId, hostname: &str) -> Key {
    key(&["idx", "hostname", org.as_str(), hostname])
}

/// Which node a machine is, by its fingerprint.
pub fn machine_index(machine: &str) -> Key {
    key(&["idx", "machine", machine])
}

/// Which node has a node key.
pub fn node_key_index(node_key: &str) -> Key {
    key(&["idx", "nodekey", node_key])
}

/// A run: node or token, plan, steps, hash of its credential.
pub fn run(id: &RunId) -> Key {
    key(&["runs", id.as_str()])
}

/// All runs.
pub fn runs() -> Prefix {
    under(&["runs"])
}

/// What is known about a machine's hardware.
pub fn machine(id: &str) -> Key {
    key(&["machines", id])
}

/// All machines.
pub fn machines() -> Prefix {
    under(&["machines"])
}

/// One installation of one machine.
pub fn task(id: &TaskId) -> Key {
    key(&["tasks", id.as_str()])
}

/// All tasks.
pub fn tasks() -> Prefix {
    under(&["tasks"])
}

/// The one active task of a machine.
pub fn task_index(machine: &str) -> Key {
    key(&["idx", "task", machine])
}

/// A bootstrap token. Changes only when it is edited or revoked: its mod revision fences registration.
pub fn token(id: &TokenId) -> Key {
    key(&["tokens", id.as_str()])
}

/// All bootstrap tokens and their uses.
pub fn tokens() -> Prefix {
    under(&["tokens"])
}

/// One use of a token: created once, never counted.
pub fn token_use(id: &TokenId, slot: u32) -> Key {
    // Padded, so that the order of the keys is the order of the slots.
    key(&["tokens", id.as_str(), "uses", &format!("{slot:05}")])
}

/// All uses of a token.
pub fn token_uses(id: &TokenId) -> Prefix {
    under(&["tokens", id.as_str(), "uses"])
}

/// A group. Its members are not here: a node names its groups.
pub fn group(id: &GroupId) -> Key {
    key(&["groups", id.as_str()])
}

/// All groups.
pub fn groups() -> Prefix {
    under(&["groups"])
}

/// A check.
pub fn check(id: &CheckId) -> Key {
    key(&["checks", id.as_str()])
}

/// All checks.
pub fn checks() -> Prefix {
    under(&["checks"])
}

/// An API key.
pub fn api_key(id: &KeyId) -> Key {
    key(&["keys", id.as_str()])
}

/// All API keys.
pub fn api_keys() -> Prefix {
    under(&["keys"])
}

/// A user.
pub fn user(id: &str) -> Key {
    key(&["users", id])
}

/// All users.
pub fn users() -> Prefix {
    under(&["users"])
}

/// A webhook.
pub fn webhook(id: &str) -> Key {
    key(&["webhooks", id])
}

/// All webhooks.
pub fn webhooks() -> Prefix {
    under(&["webhooks"])
}

/// The alerts of one scope.
pub fn rule(id: &RuleSetId) -> Key {
    key(&["rules", id.as_str()])
}

/// All of them.
pub fn rules() -> Prefix {
    under(&["rules"])
}

/// A Prometheus that is told what to alert on.
pub fn prometheus(id: &PrometheusId) -> Key {
    key(&["prometheuses", id.as_str()])
}

/// What was last said of loading rules there.
pub fn prometheus_loaded(id: &PrometheusId) -> Key {
    key(&["prometheuses", id.as_str(), "loaded"])
}

/// All Prometheuses.
pub fn prometheuses() -> Prefix {
    under(&["prometheuses"])
}

/// Which replica holds a node's socket. Its mod revision is the connection's generation.
pub fn conn(node: &NodeId) -> Key {
    key(&["conn", node.as_str()])
}

/// All connections.
pub fn conns() -> Prefix {
    under(&["conn"])
}

/// What a node's host is, as the node last reported it.
pub fn inventory(node: &NodeId) -> Key {
    key(&["inventories", node.as_str()])
}

/// All inventories.
pub fn inventories() -> Prefix {
    under(&["inventories"])
}

/// Something a node was told to do, and how that went.
pub fn command(id: &CommandId) -> Key {
    key(&["commands", id.as_str()])
}

/// All commands.
pub fn commands() -> Prefix {
    under(&["commands"])
}

/// The update of a group's agents: what is wanted, and how far it is.
pub fn rollout(group: &GroupId) -> Key {
    key(&["rollouts", group.as_str()])
}

/// All of them.
pub fn rollouts() -> Prefix {
    under(&["rollouts"])
}

/// What one transaction leaves for History: entry, audit, events.
pub fn outbox(ulid: &str) -> Key {
    key(&["outbox", ulid])
}

/// Everything not yet copied to History.
pub fn outboxes() -> Prefix {
    under(&["outbox"])
}

/// A bulk action and its progress.
pub fn batch(id: &str) -> Key {
    key(&["batches", id])
}

/// A page of what came of the nodes of a bulk action.
pub fn batch_page(id: &str, page: u32) -> Key {
    key(&["batches", id, "pages", &format!("{page:06}")])
}

/// All bulk actions.
pub fn batches() -> Prefix {
    under(&["batches"])
}

/// What this cluster is.
pub fn cluster() -> Key {
    key(&["meta", "cluster"])
}

/// Which life of the store this is, and where its event numbers begin.
pub fn epoch() -> Key {
    key(&["meta", "epoch"])
}

/// How far the outbox was copied to the history.
pub fn copied() -> Key {
    key(&["meta", "copied"])
}

/// Which versions of documents are written.
pub fn schema() -> Key {
    key(&["meta", "schema"])
}

/// Who leads. Held on a lease.
pub fn leader() -> Key {
    key(&["meta", "leader"])
}

/// A replica of the control plane. Held on a lease.
pub fn replica(id: &str) -> Key {
    key(&["replicas", id])
}

/// All replicas.
pub fn replicas() -> Prefix {
    under(&["replicas"])
}

/// The answer to a request that may be repeated. Both parts are the caller's own text.
pub fn idem(caller: &str, idempotency_key: &str) -> Key {
    key(&["idem", caller, idempotency_key])
}

/// All answers kept for repetition.
pub fn idems() -> Prefix {
    under(&["idem"])
}

/// A ticket that opens one dashboard's socket, under its SHA-256.
pub fn ticket(sha256: &str) -> Key {
    key(&["tickets", sha256])
}

/// All tickets.
pub fn tickets() -> Prefix {
    under(&["tickets"])
}

/// A session of a person.
pub fn session(id: &str) -> Key {
    key(&["sessions", id])
}

/// All sessions.
pub fn sessions() -> Prefix {
    under(&["sessions"])
}

/// A place with a provisioner.
pub fn region(id: &str) -> Key {
    key(&["regions", id])
}

/// All regions.
pub fn regions() -> Prefix {
    under(&["regions"])
}

/// An operating system image.
pub fn image(id: &str) -> Key {
    key(&["images", id])
}

/// All images.
pub fn images() -> Prefix {
    under(&["images"])
}

/// What was found about a node's health.
pub fn finding(node: &NodeId) -> Key {
    key(&["findings", node.as_str()])
}

/// All findings.
pub fn findings() -> Prefix {
    under(&["findings"])
}

/// What Alertmanager was told about a node in maintenance.
pub fn silence(node: &NodeId) -> Key {
    key(&["silences", node.as_str()])
}

/// All silences.
pub fn silences() -> Prefix {
    under(&["silences"])
}

/// How far a lane of a destination has been told.
pub fn cursor(destination: &str, lane: impl Display) -> Key {
    key(&["cursors", destination, &lane.to_string()])
}

/// Up to where a destination was told that events are gone which it was never told of.
pub fn lost(destination: &str) -> Key {
    key(&["cursors", destination, "lost"])
}

/// All cursors.
pub fn cursors() -> Prefix {
    under(&["cursors"])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every constructor by its name, in the order of this file, with what it makes.
    fn layout() -> Vec<(&'static str, String)> {
        fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
            text.parse().expect("it is an id")
        }
        let node_id: NodeId = id("n1");
        macro_rules! made {
            ($($name:ident($($with:expr),*);)+) => { vec![$((stringify!($name), $name($($with),*).to_string())),+] };
        }
        made! {
            state();
            node(&node_id);
            nodes();
            hostname_index(&OrgId::default(), "gpu-1.lab");
            machine_index("f00d");
            node_key_index("a+b/c=");
            run(&id("r1"));
            runs();
            machine("m1");
            machines();
            task(&id("t1"));
            tasks();
            task_index("m1");
            token(&id("t1"));
            tokens();
            token_use(&id("t1"), 7);
            token_uses(&id("t1"));
            group(&id("g1"));
            groups();
            check(&id("c1"));
            checks();
            api_key(&id("k1"));
            api_keys();
            user("u1");
            users();
            webhook("w1");
            webhooks();
            rule(&id("r1"));
            rules();
            prometheus(&id("p1"));
            prometheus_loaded(&id("p1"));
            prometheuses();
            conn(&node_id);
            conns();
            inventory(&node_id);
            inventories();
            command(&id("c1"));
            commands();
            rollout(&id("g1"));
            rollouts();
            outbox("e1");
            outboxes();
            batch("b1");
            batch_page("b1", 3);
            batches();
            cluster();
            epoch();
            copied();
            schema();
            leader();
            replica("r1");
            replicas();
            idem("key:k1", "a/b c");
            idems();
            ticket("f00d");
            tickets();
            session("s1");
            sessions();
            region("r1");
            regions();
            image("i1");
            images();
            finding(&node_id);
            findings();
            silence(&node_id);
            silences();
            cursor("hook", 3);
            lost("hook");
            cursors();
        }
    }

    #[test]
    fn the_layout_is_this_and_no_other() {
        let expected = "\
            s/ s/nodes/n1 s/nodes/ s/idx/hostname/default/gpu-1.lab s/idx/machine/f00d s/idx/nodekey/a+b%2fc= \
            s/runs/r1 s/runs/ s/machines/m1 s/machines/ s/tasks/t1 s/tasks/ s/idx/task/m1 \
            s/tokens/t1 s/tokens/ s/tokens/t1/uses/00007 s/tokens/t1/uses/ \
            s/groups/g1 s/groups/ s/checks/c1 s/checks/ s/keys/k1 s/keys/ s/users/u1 s/users/ \
            s/webhooks/w1 s/webhooks/ s/rules/r1 s/rules/ \
            s/prometheuses/p1 s/prometheuses/p1/loaded s/prometheuses/ \
            s/conn/n1 s/conn/ s/inventories/n1 s/inventories/ s/commands/c1 s/commands/ s/rollouts/g1 s/rollouts/ \
            s/outbox/e1 s/outbox/ s/batches/b1 s/batches/b1/pages/000003 s/batches/ \
            s/meta/cluster s/meta/epoch s/meta/copied s/meta/schema s/meta/leader s/replicas/r1 s/replicas/ \
            s/idem/key:k1/a%2fb%20c s/idem/ s/tickets/f00d s/tickets/ s/sessions/s1 s/sessions/ \
            s/regions/r1 s/regions/ s/images/i1 s/images/ s/findings/n1 s/findings/ s/silences/n1 s/silences/ \
            s/cursors/hook/3 s/cursors/hook/lost s/cursors/";
        let made: Vec<String> = layout().into_iter().map(|(_, path)| path).collect();
        assert_eq!(made, expected.split_whitespace().collect::<Vec<_>>());
        assert!(made.iter().all(|path| path.starts_with(state().as_str())));
    }

    #[test]
    fn no_constructor_is_left_out_of_the_layout() {
        let code = include_str!("keys.rs")
            .split("#[cfg(test)]")
            .next()
            .unwrap_or_default();
        let declared = code.lines().filter_map(|line| line.strip_prefix("pub fn "));
        let declared: Vec<&str> = declared.filter_map(|rest| rest.split('(').next()).collect();
        let listed: Vec<&str> = layout().into_iter().map(|(name, _)| name).collect();
        assert_eq!(listed, declared);
    }

    #[test]
    fn what_belongs_to_a_thing_is_under_it() {
        let id: TokenId = "t1".parse().expect("it is an id");
        assert!(token_uses(&id).holds(&token_use(&id, 99_999)));
        assert!(tokens().holds(&token(&id)) && tokens().holds(&token_use(&id, 7)));
        assert!(!token_uses(&id).holds(&token(&id)));
        assert!(batches().holds(&batch_page("b1", 1)));
    }
}
