//! Reads the initialisers of an ONNX graph and gives them names to load by.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, bail, ensure};
use prost::Message;
use safetensors::tensor::{Dtype, TensorView};

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "4")]
    op_type: String,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(float, repeated, tag = "4")]
    float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    int32_data: Vec<i32>,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

/// A tensor on its way from one file format to the other.
struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Turns an ONNX file into safetensors: every float initialiser under its own
/// name, and every matrix, which the exporter left nameless, under the name of
/// the bias added to its product (`x.bias` gives `x.weight`). Matrices stay
/// `[in, out]`; those of 8 bits come with a scalar `x.weight_scale`.
pub(crate) fn to_safetensors(onnx: &[u8]) -> anyhow::Result<Vec<u8>> {
    let graph =
        ModelProto::decode(onnx).context("not an ONNX model")?.graph.context("the model has no graph")?;
    let mut tensors = HashMap::new();
    for proto in &graph.initializer {
        let tensor = convert(proto).with_context(|| format!("tensor {}", proto.name))?;
        tensors.insert(proto.name.as_str(), tensor);
    }
    let mut named: BTreeMap<String, &Tensor> = BTreeMap::new();
    for node in &graph.node {
        let matrix = node.input.get(1).and_then(|name| tensors.get(name.as_str()));
        let (Some(matrix), "MatMul" | "MatMulInteger") = (matrix, node.op_type.as_str()) else { continue };
        let name = name_of_product(&graph, node)?;
        if node.op_type == "MatMulInteger" {
            let stem =
                node.input[1].strip_suffix("_quantized").context("a quantised matrix of another name")?;
            let find = |part: &str| tensors.get(format!("{stem}_{part}").as_str());
            let zero = find("zero_point").with_context(|| format!("{stem} has no zero point"))?;
            ensure!(zero.bytes.iter().all(|byte| *byte == 0), "{stem} has a zero point other than 0");
            let scale = find("scale").with_context(|| format!("{stem} has no scale"))?;
            named.insert(format!("{name}_scale"), scale);
        }
        named.insert(name, matrix);
    }
    for (name, tensor) in &tensors {
        if is_parameter_name(name) {
            named.insert((*name).to_owned(), tensor);
        }
    }
    let views = named.iter().map(|(name, tensor)| {
        TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).map(|view| (name.clone(), view))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    Ok(safetensors::serialize(views, None)?)
}

/// Names the exporter invented have slashes or colons; parameters' own do not.
fn is_parameter_name(name: &str) -> bool {
    !name.contains(['/', ':'])
}

/// Follows a product through casts and scalings to the addition of its bias.
fn name_of_product(graph: &GraphProto, product: &NodeProto) -> anyhow::Result<String> {
    let mut value = product.output.first().context("a product without output")?;
    for _ in 0..4 {
        let next =
            graph.node.iter().find(|node| node.input.contains(value)).context("a product nobody uses")?;
        if next.op_type == "Add" {
            let bias = next.input.iter().find(|name| *name != value).context("an addition of one value")?;
            let stem = bias.strip_suffix("bias").with_context(|| format!("{bias} is not a bias"))?;
            return Ok(format!("{stem}weight"));
        }
        value = next.output.first().context("a node without output")?;
    }
    bail!("found no bias after {}", product.output.join(", "))
}

fn convert(proto: &TensorProto) -> anyhow::Result<Tensor> {
    let shape = proto.dims.iter().map(|dim| usize::try_from(*dim)).collect::<Result<Vec<_>, _>>()?;
    let (dtype, bytes) = match proto.data_type {
        1 if proto.raw_data.is_empty() => {
            (Dtype::F32, proto.float_data.iter().flat_map(|value| value.to_le_bytes()).collect())
        }
        1 => (Dtype::F32, proto.raw_data.clone()),
        3 if proto.raw_data.is_empty() => {
            let narrow = |value: &i32| i8::try_from(*value).map(|value| value.to_le_bytes()[0]);
            (Dtype::I8, proto.int32_data.iter().map(narrow).collect::<Result<_, _>>()?)
        }
        3 => (Dtype::I8, proto.raw_data.clone()),
        other => bail!("data type {other} is not expected here"),
    };
    Ok(Tensor { dtype, shape, bytes })
}
