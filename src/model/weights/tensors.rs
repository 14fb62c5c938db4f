//! Tensors of a safetensors file: the only file that names the crate.

use crate::{
    error::{Error, Result},
    model::semantic::Array,
};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;

/// Tensors by name, taken out one by one: what nobody takes is an error, too.
#[derive(Debug, Default)]
pub(crate) struct Tensors {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Tensors {
    /// Reads a file. Tensors of `F32`, `F16` and `BF16` become `f32`.
    ///
    /// # Errors
    /// `Invalid` for bytes that are no such file, another type, or a number that is not finite.
    pub(crate) fn read(bytes: &[u8]) -> Result<Tensors> {
        let file = SafeTensors::deserialize(bytes)
            .map_err(|why| Error::invalid("weights", format!("are no safetensors file: {why}")))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let numbers = numbers(name, &view)?;
            if let Some(at) = numbers.iter().position(|number| !number.is_finite()) {
                let why = format!("number {at} is {}; weights must be finite", numbers[at]);
                return Err(Error::invalid(format!("tensor {name:?}"), why));
            }
            tensors.insert(name.to_owned(), (view.shape().to_vec(), numbers));
        }
        Ok(Tensors { tensors })
    }

    /// Whether there is one.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Takes out a tensor of exactly this shape.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let found = self.tensors.remove(name);
        let (is, numbers) = found.ok_or_else(|| Error::missing("tensor", name))?;
        if is != shape {
            let why = format!("has shape {is:?}, but the manifest says {shape:?}");
            return Err(Error::invalid(format!("tensor {name:?}"), why));
        }
        Ok(numbers)
    }

    /// Takes out a matrix of `[rows, columns]`, transposed.
    pub(crate) fn take_turned(
        &mut self,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Vec<f32>> {
        let numbers = self.take(name, &[rows, columns])?;
        Ok(turned(&numbers, rows, columns))
    }

    /// Nothing may be left: a tensor that is not used means that the architecture is another one.
    pub(crate) fn finish(self) -> Result<()> {
        match self.tensors.into_keys().next() {
            None => Ok(()),
            Some(name) => {
                let why = "is no part of this architecture. Is its tag right?";
                Err(Error::invalid(format!("tensor {name:?}"), why))
            }
        }
    }

    /// Adds a tensor.
    pub(crate) fn put(&mut self, name: impl Into<String>, shape: &[usize], numbers: Vec<f32>) {
        self.tensors.insert(name.into(), (shape.to_vec(), numbers));
    }

    /// The bytes of a file.
    pub(crate) fn write(&self) -> Result<Vec<u8>> {
        let wrong = |why: safetensors::SafeTensorError| Error::invalid("weights", why.to_string());
        let mut views = Vec::with_capacity(self.tensors.len());
        for (name, (shape, numbers)) in &self.tensors {
            let bytes = crate::format::columns::raw(numbers);
            views.push((name, TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(wrong)?));
        }
        safetensors::serialize(views, None).map_err(wrong)
    }
}

impl Tensors {
    /// The bytes of a file of arrays as they are, with metadata.
    pub(crate) fn write_arrays(arrays: &[Array], metadata: &[(&str, String)]) -> Result<Vec<u8>> {
        let wrong = |why: safetensors::SafeTensorError| Error::invalid("arrays", why.to_string());
        let mut views = Vec::with_capacity(arrays.len());
        for array in arrays {
            let dtype = if array.numbers().is_some() { Dtype::I32 } else { Dtype::BOOL };
            let view = TensorView::new(dtype, array.shape().to_vec(), array.bytes());
            views.push((array.name(), view.map_err(wrong)?));
        }
        let notes = metadata.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let notes: BTreeMap<String, String> = notes.collect();
        let unordered = Some(notes.clone().into_iter().collect());
        let mut file = safetensors::serialize(views, unordered).map_err(wrong)?;
        put_in_order(&mut file, &notes);
        Ok(file)
    }
}

/// The crate writes metadata in any order, another one each time; the same arrays make the same bytes.
fn put_in_order(file: &mut [u8], notes: &BTreeMap<String, String>) {
    const BEFORE: &[u8] = b"{\"__metadata__\":";
    let Ok(ordered) = serde_json::to_vec(notes) else { return };
    let place = file.get_mut(8..).and_then(|header| {
        let has = header.starts_with(BEFORE);
        header.get_mut(BEFORE.len()..)?.get_mut(..ordered.len()).filter(|_| has)
    });
    // As long as what is there: the same members.
    if let Some(place) = place.filter(|place| place.ends_with(b"\"}")) {
        place.copy_from_slice(&ordered);
    }
}

/// The transpose of a matrix with so many rows.
pub(crate) fn turned(numbers: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns).map(|at| numbers[at % rows * columns + at / rows]).collect()
}

fn numbers(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>> {
    let bytes = view.data();
    Ok(match view.dtype() {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::F16 => {
            bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()
        }
        Dtype::BF16 => {
            bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()
        }
        other => {
            let why = format!("is of type {other:?}; F32, F16 and BF16 can be read");
            return Err(Error::invalid(format!("tensor {name:?}"), why));
        }
    })
}
