mod changes;
mod standing;

use arx_connectors::ALL;
use arx_gateway::ConnectorSpec;
use arx_workflow::bundle::{Manifest, parse};

fn catalogue() -> Vec<&'static ConnectorSpec> {
    ALL.iter().map(|vendor| vendor.spec).collect()
}

fn manifest(yaml: &str) -> Manifest {
    let operations: Vec<_> = catalogue().iter().map(|spec| (spec.name, spec.operations)).collect();
    parse("arx.yaml", yaml, &operations).unwrap()
}
