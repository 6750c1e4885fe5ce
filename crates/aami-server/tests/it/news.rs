//! What a node may say about itself by its own credential, and who may take it out again.

use aami_api::register::ExporterInfo;
use aami_model::exporter::ExporterKind;
use aami_model::node_status::NodeStatus;

use crate::house::{House, Machine, code_of};

#[test]
fn a_node_tells_of_a_new_exporter_by_its_own_credential() {
    let house = House::new();
    let token = house.token(|t| t.labels.0.extend([("team".into(), "ml".into())]));
    let machine = Machine::new("gpu-01", 1);
    let first = machine.register(&house.stranger(), &token.token).unwrap();
    // Its token is gone by now.
    house
        .admin()
        .delete(&format!("/api/v1/bootstrap-tokens/{}", token.view.id))
        .unwrap();

    let grown = Machine::new("gpu-01", 1).with(|r| {
        r.exporters
            .push(ExporterInfo::new(ExporterKind::DcgmExporter, 9400))
    });
    let told = grown.register(&house.stranger(), &machine.credential).unwrap();

    assert_eq!(told.node.id, first.node.id);
    assert!(told.known && told.credential_confirmed && told.credential.is_none());
    let kinds: Vec<_> = told.node.exporters.iter().map(|e| e.exporter.kind).collect();
    assert_eq!(kinds, [ExporterKind::NodeExporter, ExporterKind::DcgmExporter]);
    assert_eq!(told.node.labels.0["team"], "ml", "what was said before stays");
    // And takes it back.
    let told = machine.register(&house.stranger(), &machine.credential).unwrap();
    assert_eq!(told.node.exporters.len(), 1);
    // The credential is the same as before.
    let own = house.stranger().with_bearer(&machine.credential);
    assert_eq!(own.node(&first.node.id).unwrap().body.exporters.len(), 1);
}

#[test]
fn a_credential_tells_nothing_of_another_machine() {
    let house = House::new();
    let token = house.token(|t| t.max_uses = Some(5));
    let machine = Machine::new("gpu-01", 1);
    let node = machine.register(&house.stranger(), &token.token).unwrap().node.id;
    Machine::new("gpu-02", 2)
        .register(&house.stranger(), &token.token)
        .unwrap();

    // Another key, another's name, no credential at all, one that does not exist.
    for (liar, credential) in [
        (Machine::new("gpu-01", 3), machine.credential.clone()),
        (Machine::new("gpu-02", 1), machine.credential.clone()),
        (Machine::new("gpu-01", 1), "aamin_abc_def".to_owned()),
        (Machine::new("gpu-01", 1), Machine::new("x", 9).credential),
    ] {
        let refused = liar.register(&house.stranger(), &credential);
        assert!(refused.is_err(), "{refused:?}");
    }
    // One that was retired is told so.
    house.admin().retire(&node).unwrap();
    let refused = code_of(machine.register(&house.stranger(), &machine.credential));
    assert!(
        ["NODE_DECOMMISSIONED", "UNAUTHENTICATED"].contains(&refused.as_str()),
        "{refused}"
    );
}

#[test]
fn a_bootstrap_token_takes_out_only_what_enrolled_with_it() {
    let house = House::new();
    let (token, other) = (house.token(|t| t.max_uses = Some(2)), house.token(|_| {}));
    let mine = Machine::new("gpu-01", 1);
    let mine = mine.register(&house.stranger(), &token.token).unwrap().node.id;
    let theirs = Machine::new("gpu-02", 2);
    let theirs = theirs.register(&house.stranger(), &other.token).unwrap().node.id;
    let holder = house.stranger().with_bearer(&token.token);

    // It reads and changes nothing, and takes out nobody else's.
    assert_eq!(code_of(holder.node(&mine)), "UNAUTHENTICATED");
    assert_eq!(code_of(holder.verify(&mine)), "UNAUTHENTICATED");
    assert_eq!(code_of(holder.retire(&theirs)), "FORBIDDEN");
    assert_eq!(
        house.admin().node(&theirs).unwrap().body.status,
        NodeStatus::Installing
    );

    holder.retire(&mine).unwrap();
    let gone = house.admin().node(&mine).unwrap().body;
    assert_eq!(gone.status, NodeStatus::Inactive);
    // Its former token does not purge it, and once revoked opens nothing.
    assert_eq!(code_of(holder.retire(&mine)), "NODE_DECOMMISSIONED");
    house
        .admin()
        .delete(&format!("/api/v1/bootstrap-tokens/{}", token.view.id))
        .unwrap();
    assert_eq!(code_of(holder.retire(&mine)), "TOKEN_REVOKED");
}
