//! From the tensors of each architecture to a method.

use super::{
    manifest::Manifest,
    tensors::{Tensors, turned},
};
use crate::{
    error::{Error, Result},
    model::{
        method::Method,
        sequence::{
            gru4rec::{Gru, Parts},
            transformer::{
                Activation, Architecture, Content, Layout, Order, Padding, Place, Tag, Transformer,
            },
        },
    },
};
use serde_json::Value;
use std::sync::Arc;

/// Reads the tensors of the manifest's architecture.
pub(super) fn read(
    manifest: &Manifest,
    items: usize,
    tensors: &mut Tensors,
) -> Result<Arc<dyn Method>> {
    match manifest.architecture.as_str() {
        "bowerbird" => own(manifest, items, tensors),
        "gru4rec" => gru4rec(manifest, items, tensors),
        name => {
            let architecture = foreign(name, manifest, items, tensors)?;
            Ok(Arc::new(transformer(architecture, tensors)?))
        }
    }
}

/// A transformer of somebody else's code.
fn foreign(
    name: &str,
    manifest: &Manifest,
    items: usize,
    tensors: &Tensors,
) -> Result<Architecture> {
    let (dim, length) = (manifest.size("dim")?, manifest.size("max_len")?);
    let base = Architecture {
        layers: manifest.size("layers")? as u32,
        heads: manifest.size("heads")? as u32,
        inner: manifest.size("ffn")? as u32,
        untied: tensors.has("output.weight"),
        ..Architecture::new(Tag::PreLn, items, dim, length)?
    };
    let scale = (dim as f32).sqrt();
    // Padding is looked at as if it were an item; after the first block it is no longer zeros.
    let pmixer = Architecture { eps: 1e-8, scale, padding: Padding::Unplaced, ..base.clone() };
    Ok(match name {
        "pmixer" => {
            Architecture { tag: Tag::Kang, order: Order::Kang, padding: Padding::Zero, ..pmixer }
        }
        "pmixer-pre-ln" => pmixer,
        "pmixer-post-ln" => Architecture { order: Order::Post, ..pmixer },
        "gsasrec" => {
            Architecture { tag: Tag::Gsasrec, order: Order::Kang, projection: false, ..base }
        }
        "gpt2" => Architecture { activation: Activation::GeluTanh, place: Place::Left, ..base },
        "bert4rec" => Architecture {
            padding: Padding::Placed,
            layers: base.layers,
            heads: base.heads,
            inner: base.inner,
            ..Architecture::new(Tag::Bert4rec, items, dim, length)?
        },
        other => {
            let why = "is not known here. It is one of pmixer, pmixer-pre-ln, pmixer-post-ln, \
                       gsasrec, gpt2, bert4rec, gru4rec and bowerbird.";
            return Err(Error::invalid(format!("architecture {other:?}"), why));
        }
    })
}

/// Reads the tensors of a transformer by the names that the export scripts give them.
fn transformer(a: Architecture, tensors: &mut Tensors) -> Result<Transformer> {
    // Before anything is asked of memory: the sizes may be anybody's.
    a.check()?;
    let (dim, items) = (a.dim as usize, a.items as usize);
    let mut parts: Vec<(String, Vec<f32>)> = Vec::new();
    let mut table = tensors.take("item.weight", &[items, dim])?;
    if !a.causal {
        table.extend(tensors.take("mask.weight", &[dim])?);
    }
    if a.pads() {
        table.extend(tensors.take("pad.weight", &[dim])?);
    } else if a.padding == Padding::Zero && tensors.has("pad.weight") {
        // Zeros take its place before anything is computed.
        tensors.take("pad.weight", &[dim])?;
    }
    parts.push(("items".into(), table));
    if a.untied {
        parts.push(("outputs".into(), tensors.take("output.weight", &[items, dim])?));
    }
    if a.bias {
        parts.push(("bias".into(), tensors.take("output.bias", &[items])?));
    }
    parts.push(("positions".into(), positions(&a, tensors)?));
    for (ours, theirs, there) in [
        ("embed_norm", "embedding_norm", a.embed_norm),
        ("final_norm", "final_norm", a.final_norm),
        ("head_norm", "head_norm", a.head),
    ] {
        if there {
            norm(&mut parts, ours, tensors, theirs, dim)?;
        }
    }
    if a.head {
        dense(&mut parts, "head", tensors, "head", (dim, dim))?;
    }
    for layer in 0..a.layers {
        let (ours, theirs) =
            (|part: &str| format!("layers.{layer}.{part}"), format!("layer.{layer}"));
        let (first, second) =
            if a.order == Order::Post { ("norm2", "norm3") } else { ("norm1", "norm2") };
        norm(&mut parts, &ours(first), tensors, &format!("{theirs}.attention_norm"), dim)?;
        norm(&mut parts, &ours(second), tensors, &format!("{theirs}.ffn_norm"), dim)?;
        attention(&mut parts, &ours("attention"), tensors, &theirs, dim)?;
        if a.projection {
            dense(&mut parts, &ours("output"), tensors, &format!("{theirs}.out"), (dim, dim))?;
        }
        let inner = a.inner as usize;
        dense(&mut parts, &ours("inner"), tensors, &format!("{theirs}.ffn_in"), (dim, inner))?;
        dense(&mut parts, &ours("outer"), tensors, &format!("{theirs}.ffn_out"), (inner, dim))?;
    }
    Transformer::from_parts(a, parts)
}

/// Rows of positions. Where padding has no position, or positions count from 1, row 0 is not used.
fn positions(a: &Architecture, tensors: &mut Tensors) -> Result<Vec<f32>> {
    let (length, dim) = (a.positions as usize, a.dim as usize);
    match a.pads() {
        true => Ok(tensors.take("position.weight", &[length + 1, dim])?.split_off(dim)),
        false => tensors.take("position.weight", &[length, dim]),
    }
}

type Named = Vec<(String, Vec<f32>)>;

fn norm(parts: &mut Named, ours: &str, from: &mut Tensors, theirs: &str, dim: usize) -> Result<()> {
    for part in ["weight", "bias"] {
        parts.push((format!("{ours}.{part}"), from.take(&format!("{theirs}.{part}"), &[dim])?));
    }
    Ok(())
}

fn dense(
    parts: &mut Named,
    ours: &str,
    from: &mut Tensors,
    theirs: &str,
    (inputs, outputs): (usize, usize),
) -> Result<()> {
    let weight = from.take_turned(&format!("{theirs}.weight"), outputs, inputs)?;
    parts.push((format!("{ours}.weight"), weight));
    parts.push((format!("{ours}.bias"), from.take(&format!("{theirs}.bias"), &[outputs])?));
    Ok(())
}

/// Queries, keys and values, side by side.
fn attention(
    parts: &mut Named,
    ours: &str,
    from: &mut Tensors,
    theirs: &str,
    dim: usize,
) -> Result<()> {
    let (mut rows, mut biases) = (Vec::new(), Vec::new());
    for part in ["query", "key", "value"] {
        rows.extend(from.take(&format!("{theirs}.{part}.weight"), &[dim, dim])?);
        biases.extend(from.take(&format!("{theirs}.{part}.bias"), &[dim])?);
    }
    parts.push((format!("{ours}.weight"), turned(&rows, 3 * dim, dim)));
    parts.push((format!("{ours}.bias"), biases));
    Ok(())
}

/// The official GRU4Rec, of one layer, that reads and scores items by the same vectors.
fn gru4rec(manifest: &Manifest, items: usize, tensors: &mut Tensors) -> Result<Arc<dyn Method>> {
    let dim = manifest.size("dim")?;
    let wide = dim.saturating_mul(3);
    let parts = Parts {
        dim,
        wy: tensors.take("output.weight", &[items, dim])?,
        by: tensors.take("output.bias", &[items])?,
        weight_ih: tensors.take("gru.weight_ih", &[wide, dim])?,
        weight_hh: tensors.take("gru.weight_hh", &[wide, dim])?,
        bias_ih: tensors.take("gru.bias_ih", &[wide])?,
        bias_hh: tensors.take("gru.bias_hh", &[wide])?,
    };
    Ok(Arc::new(Gru::from_parts(parts, items)?))
}

/// What [`Model::export`](crate::model::Model::export) wrote.
fn own(manifest: &Manifest, items: usize, tensors: &mut Tensors) -> Result<Arc<dyn Method>> {
    let config = Value::Object(manifest.config.clone());
    let a: Architecture = serde_json::from_value(config)
        .map_err(|why| Error::invalid("config of the manifest", why.to_string()))?;
    a.check()?;
    if a.items as usize != items {
        let why = format!("says {} items, but lists {items}", a.items);
        return Err(Error::invalid("manifest", why));
    }
    let dim = a.dim as usize;
    let mut parts = vec![("items".to_owned(), tensors.take("items", &[a.rows(), dim])?)];
    if a.untied {
        parts.push(("outputs".into(), tensors.take("outputs", &[items, dim])?));
    }
    if a.bias {
        parts.push(("bias".into(), tensors.take("bias", &[items])?));
    }
    for (name, shape, _) in Layout::new(&a).parts {
        let numbers = tensors.take(&name, &shape)?;
        parts.push((name, numbers));
    }
    let transformer = Transformer::from_parts(a, parts)?;
    Ok(Arc::new(match manifest.config.get("content") {
        Some(said) => {
            let content =
                Content::from_weights(said, dim, |name, shape| tensors.take(name, shape))?;
            transformer.reading(content)?
        }
        None => transformer,
    }))
}
