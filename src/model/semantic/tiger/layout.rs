//! Layout: which tensors there are, under the names that T5ForConditionalGeneration gives them.

use super::shape::{Activation, Shape};

/// The tensors of a network, in the order of the artifact, and who is where in it.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) parts: Vec<Part>,
    pub(crate) encoder: Stack,
    pub(crate) decoder: Stack,
    /// The vectors of tokens, to read them by.
    pub(crate) tokens: usize,
    /// And to score them by: the same, if they are tied.
    pub(crate) head: usize,
}

/// A tensor.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// As T5 has it: a product is `[outputs, inputs]`.
    pub(crate) shape: Vec<usize>,
    /// Whether it is held transposed, `[inputs, outputs]`: products are then read as they lie.
    pub(crate) turned: bool,
}

/// Blocks one after the other. Numbers are places in [`Layout::parts`].
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) blocks: Vec<Block>,
    /// What relative positions add to attention: made in the first block, used in all.
    pub(crate) positions: usize,
    pub(crate) norm: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) attention: Attention,
    /// To what the encoder says; only in the decoder.
    pub(crate) cross: Option<Attention>,
    pub(crate) feed: Feed,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention {
    pub(crate) query: usize,
    pub(crate) key: usize,
    pub(crate) value: usize,
    pub(crate) output: usize,
    pub(crate) norm: usize,
}

/// A feed-forward network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feed {
    /// Through the activation, and, where it is gated, what it is multiplied by.
    pub(crate) inner: usize,
    pub(crate) gate: Option<usize>,
    pub(crate) outer: usize,
    pub(crate) norm: usize,
}

impl Layout {
    pub(crate) fn new(shape: &Shape) -> Layout {
        let mut parts = Vec::new();
        let table = [shape.vocab, shape.d_model];
        let tokens = add(&mut parts, "shared.weight".into(), &table, false);
        let encoder = stack(&mut parts, shape, "encoder", shape.layers);
        let decoder = stack(&mut parts, shape, "decoder", shape.decoder_layers);
        let head = match shape.tied {
            true => tokens,
            false => add(&mut parts, "lm_head.weight".into(), &table, true),
        };
        Layout { parts, encoder, decoder, tokens, head }
    }
}

fn add(parts: &mut Vec<Part>, name: String, shape: &[usize], turned: bool) -> usize {
    parts.push(Part { name, shape: shape.to_vec(), turned });
    parts.len() - 1
}

fn stack(parts: &mut Vec<Part>, shape: &Shape, name: &str, layers: usize) -> Stack {
    let positions = format!("{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
    let positions = add(parts, positions, &[shape.buckets, shape.heads], false);
    let mut blocks = Vec::with_capacity(layers);
    for block in 0..layers {
        let layer = |at: usize| format!("{name}.block.{block}.layer.{at}");
        let crosses = name == "decoder";
        blocks.push(Block {
            attention: attention(parts, shape, &layer(0), "SelfAttention"),
            cross: crosses.then(|| attention(parts, shape, &layer(1), "EncDecAttention")),
            feed: feed(parts, shape, &layer(1 + usize::from(crosses))),
        });
    }
    let norm = add(parts, format!("{name}.final_layer_norm.weight"), &[shape.d_model], false);
    Stack { blocks, positions, norm }
}

fn attention(parts: &mut Vec<Part>, shape: &Shape, layer: &str, kind: &str) -> Attention {
    let (dim, inner) = (shape.d_model, shape.inner());
    let mut part = |name: &str, shape: [usize; 2]| {
        add(parts, format!("{layer}.{kind}.{name}.weight"), &shape, true)
    };
    let (query, key) = (part("q", [inner, dim]), part("k", [inner, dim]));
    let (value, output) = (part("v", [inner, dim]), part("o", [dim, inner]));
    let norm = add(parts, format!("{layer}.layer_norm.weight"), &[dim], false);
    Attention { query, key, value, output, norm }
}

fn feed(parts: &mut Vec<Part>, shape: &Shape, layer: &str) -> Feed {
    let (dim, inner) = (shape.d_model, shape.d_ff);
    let mut part = |name: &str, shape: [usize; 2]| {
        add(parts, format!("{layer}.DenseReluDense.{name}.weight"), &shape, true)
    };
    let (into, gate) = match shape.activation {
        Activation::Relu => (part("wi", [inner, dim]), None),
        Activation::GatedGelu => (part("wi_0", [inner, dim]), Some(part("wi_1", [inner, dim]))),
    };
    let outer = part("wo", [dim, inner]);
    let norm = add(parts, format!("{layer}.layer_norm.weight"), &[dim], false);
    Feed { inner: into, gate, outer, norm }
}
