//! Gives the tensors of the voice's networks names to load by.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use ttsfleet_convert::{Graph, Node, Tensor};

/// Turns an ONNX file into safetensors: every float initialiser under its own
/// name, and every matrix, which the exporter left nameless, under the name of
/// the bias added to its product (`x.bias` gives `x.weight`). Matrices stay
/// `[in, out]`; those of 8 bits come with a scalar `x.weight_scale`.
pub(crate) fn to_safetensors(onnx: &[u8]) -> anyhow::Result<Vec<u8>> {
    let graph = Graph::read(onnx)?;
    let mut named: BTreeMap<String, &Tensor> = BTreeMap::new();
    for node in &graph.nodes {
        let matrix = node.inputs.get(1).and_then(|name| graph.tensors.get(name));
        let (Some(matrix), "MatMul" | "MatMulInteger") = (matrix, node.operation.as_str()) else { continue };
        let name = name_of_product(&graph, node)?;
        if node.operation == "MatMulInteger" {
            let stem =
                node.inputs[1].strip_suffix("_quantized").context("a quantised matrix of another name")?;
            let find = |part: &str| graph.tensors.get(&format!("{stem}_{part}"));
            let zero = find("zero_point").with_context(|| format!("{stem} has no zero point"))?;
            ensure!(zero.bytes().iter().all(|byte| *byte == 0), "{stem} has a zero point other than 0");
            let scale = find("scale").with_context(|| format!("{stem} has no scale"))?;
            named.insert(format!("{name}_scale"), scale);
        }
        named.insert(name, matrix);
    }
    for (name, tensor) in &graph.tensors {
        if is_parameter_name(name) {
            named.insert(name.clone(), tensor);
        }
    }
    ttsfleet_convert::to_safetensors(named)
}

/// Names the exporter invented have slashes or colons; parameters' own do not.
fn is_parameter_name(name: &str) -> bool {
    !name.contains(['/', ':'])
}

/// Follows a product through casts and scalings to the addition of its bias.
fn name_of_product(graph: &Graph, product: &Node) -> anyhow::Result<String> {
    let mut value = product.outputs.first().context("a product without output")?;
    for _ in 0..4 {
        let next =
            graph.nodes.iter().find(|node| node.inputs.contains(value)).context("a product nobody uses")?;
        if next.operation == "Add" {
            let bias = next.inputs.iter().find(|name| *name != value).context("an addition of one value")?;
            let stem = bias.strip_suffix("bias").with_context(|| format!("{bias} is not a bias"))?;
            return Ok(format!("{stem}weight"));
        }
        value = next.outputs.first().context("a node without output")?;
    }
    bail!("found no bias after {}", product.outputs.join(", "))
}
