//! Reads the initialisers of an ONNX graph.

use std::collections::HashMap;

use anyhow::{Context, bail};
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

/// The part of an ONNX graph that weights are taken from.
#[derive(Debug)]
pub struct Graph {
    /// The operations, in their order.
    pub nodes: Vec<Node>,
    /// The initialisers by the exporter's names.
    pub tensors: HashMap<String, Tensor>,
}

/// One operation.
#[derive(Debug)]
pub struct Node {
    /// What it does, as in `MatMul`.
    pub operation: String,
    /// Names of what goes in.
    pub inputs: Vec<String>,
    /// Names of what comes out.
    pub outputs: Vec<String>,
}

/// A tensor on its way from one file format to the other.
#[derive(Debug)]
pub struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    /// The values, little-endian, in row-major order.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Graph {
    /// Reads an ONNX file.
    ///
    /// # Errors
    /// When it is none, or has initialisers other than f32 and i8.
    pub fn read(onnx: &[u8]) -> anyhow::Result<Self> {
        let model = ModelProto::decode(onnx).context("not an ONNX model")?;
        let graph = model.graph.context("the model has no graph")?;
        let mut tensors = HashMap::new();
        for proto in &graph.initializer {
            let tensor = convert(proto).with_context(|| format!("tensor {}", proto.name))?;
            tensors.insert(proto.name.clone(), tensor);
        }
        let nodes = graph.node.into_iter().map(|NodeProto { input, output, op_type }| Node {
            operation: op_type,
            inputs: input,
            outputs: output,
        });
        Ok(Self { nodes: nodes.collect(), tensors })
    }
}

/// Writes tensors under these names.
///
/// # Errors
/// When a tensor has fewer or more values than its shape says.
pub fn to_safetensors<'a>(named: impl IntoIterator<Item = (String, &'a Tensor)>) -> anyhow::Result<Vec<u8>> {
    let views = named.into_iter().map(|(name, tensor)| {
        TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).map(|view| (name, view))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    Ok(safetensors::serialize(views, None)?)
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
