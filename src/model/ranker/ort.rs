//! Ort: a ranker in an ONNX file, computed by ONNX Runtime, a library that is found when it is needed. The
//! only file that names the crate.
#![allow(unsafe_code)] // Loading a library runs its code: whoever calls must say that it is trusted.

use super::{
    batch::RankBatch,
    caught::caught,
    features::Features,
    feeds::{self, Declared, Feed, Numbers, SCORES},
    hook::Ranker,
};
use crate::error::{Error, Result};
use ::ort::{
    environment::Environment,
    ep::{self, ExecutionProviderDispatch},
    session::{Session, SessionInputValue},
    value::{Outlet, Tensor, TensorElementType, ValueType},
};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};

/// Where ONNX Runtime computes.
///
/// ```
/// use bowerbird::model::ranker::OrtOn;
/// assert_ne!(OrtOn::Cpu, OrtOn::Cuda(0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OrtOn {
    /// On the processor.
    Cpu,
    /// On a card, by its number, with CUDA.
    Cuda(i32),
    /// On a card, by its number, with TensorRT.
    TensorRt(i32),
}

/// A ranker in an ONNX file, computed by ONNX Runtime. Its inputs and outputs are those of `Onnx`.
///
/// A process has one ONNX Runtime: the library that is loaded first is the one. Its functions are called
/// one at a time.
///
/// ```no_run
/// use bowerbird::model::ranker::{Features, Ort, OrtOn};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bytes = std::fs::read("ranker.onnx")?;
/// let features = Features::new().query("text").item("text");
/// // SAFETY: it is the library that we ship.
/// let ranker =
///     unsafe { Ort::load("/opt/shop/libonnxruntime.so", &bytes, features, OrtOn::Cuda(0)) }?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Ort {
    session: Mutex<Session>,
    features: Features,
    feeds: Vec<(String, Feed, TensorElementType)>,
    on: OrtOn,
}

/// The library that is loaded.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

fn refuse(what: impl Into<String>, why: impl std::fmt::Display) -> Error {
    Error::invalid(what, why.to_string())
}

impl Ort {
    /// Reads the bytes of a model, to be run by the library at an absolute path.
    ///
    /// # Errors
    /// `Invalid` if the library is not there, is too old, or is another than the one that is loaded; if it
    /// cannot compute there; for bytes that are no model; and for inputs and outputs that do not fit.
    ///
    /// # Safety
    /// Loading a library runs its code, with all rights of this process. The caller trusts the file.
    pub unsafe fn load(
        library: impl AsRef<Path>,
        model: &[u8],
        features: Features,
        on: OrtOn,
    ) -> Result<Ort> {
        features.check()?;
        let environment = environment(library.as_ref())?;
        let session = caught("ONNX model", || session(&environment, model, on))??;
        let outputs: Vec<Declared> = session.outputs().iter().map(declared).collect();
        let mut feeds = Vec::with_capacity(session.inputs().len());
        for input in session.inputs() {
            let ty = input.dtype().tensor_type().unwrap_or(TensorElementType::Undefined);
            feeds.push((input.name().to_owned(), Feed::of(&declared(input), &features)?, ty));
        }
        feeds::scores_of(&outputs)?;
        Ok(Ort { session: Mutex::new(session), features, feeds, on })
    }
}

impl Ranker for Ort {
    fn name(&self) -> String {
        match self.on {
            OrtOn::Cpu => "onnx runtime on cpu".into(),
            OrtOn::Cuda(card) => format!("onnx runtime on cuda {card}"),
            OrtOn::TensorRt(card) => format!("onnx runtime on tensorrt {card}"),
        }
    }

    fn rank(&self, batch: &RankBatch, scores: &mut [f32]) -> Result<()> {
        feeds::check(batch, &self.features, scores)?;
        if batch.is_empty() {
            return Ok(());
        }
        let fails = |why: ::ort::Error| refuse("ONNX model", format!("fails: {why}"));
        let mut inputs = Vec::with_capacity(self.feeds.len());
        for (name, feed, ty) in &self.feeds {
            inputs.push((name.as_str(), tensor(*feed, *ty, batch).map_err(fails)?));
        }
        let mut session = self.session.lock();
        let all = session.run(inputs).map_err(fails)?;
        let out = all.get(SCORES).ok_or_else(|| refuse("ONNX model", "made no scores"))?;
        let (shape, numbers) = out.try_extract_tensor::<f32>().map_err(fails)?;
        let shape: Vec<usize> = shape.iter().map(|axis| *axis as usize).collect();
        feeds::put(&shape, numbers, scores)
    }
}

/// What an input is fed with, in the numbers that it wants.
fn tensor(
    feed: Feed,
    ty: TensorElementType,
    batch: &RankBatch,
) -> ::ort::Result<SessionInputValue<'static>> {
    let (shape, numbers) = feed.take(batch);
    Ok(match ty {
        TensorElementType::Int64 => {
            let whole: Vec<i64> = numbers.iter().map(|number| *number as i64).collect();
            Tensor::from_array((shape, whole))?.into()
        }
        TensorElementType::Int32 => {
            let whole: Vec<i32> = numbers.iter().map(|number| *number as i32).collect();
            Tensor::from_array((shape, whole))?.into()
        }
        _ => Tensor::from_array((shape, numbers))?.into(),
    })
}

/// The environment of the library, which is loaded once.
fn environment(path: &Path) -> Result<Environment> {
    let place = format!("ONNX Runtime {}", path.display());
    if !path.is_absolute() {
        let why = "is not an absolute path, so it would be another file in another folder";
        return Err(refuse(place, why));
    }
    let mut loaded = LOADED.lock();
    if let Some((first, environment)) = &*loaded {
        if first == path {
            return Ok(environment.clone());
        }
        let why = format!("cannot be loaded: {} is, and a process has one", first.display());
        return Err(refuse(place, why));
    }
    let library = caught(&place, || ::ort::init_from(path))?.map_err(|why| {
        let hint = "It is the file libonnxruntime.so of a release of ONNX Runtime.";
        refuse(&place, format!("cannot be loaded: {why}. {hint}"))
    })?;
    let library = library.with_name("bowerbird").with_telemetry(false);
    let environment = caught(&place, || library.build())?;
    let environment =
        environment.map_err(|why| refuse(&place, format!("cannot be started: {why}")))?;
    *loaded = Some((path.to_owned(), environment.clone()));
    Ok(environment)
}

fn session(environment: &Environment, model: &[u8], on: OrtOn) -> Result<Session> {
    let provider: Option<ExecutionProviderDispatch> = match on {
        OrtOn::Cpu => None,
        OrtOn::Cuda(card) => Some(ep::CUDA::default().with_device_id(card).build()),
        OrtOn::TensorRt(card) => Some(ep::TensorRT::default().with_device_id(card).build()),
    };
    let mut builder = Session::builder(environment)
        .map_err(|why| refuse("ONNX Runtime", format!("makes no session: {why}")))?;
    if let Some(provider) = provider {
        // Without this it would silently compute on the processor.
        builder = builder
            .with_execution_providers([provider.error_on_failure()])
            .map_err(|why| refuse("ONNX Runtime", format!("has no {on:?} here: {why}")))?;
    }
    builder
        .commit_from_memory(model)
        .map_err(|why| refuse("ONNX model", format!("cannot be read: {why}")))
}

/// What the model says of an input or an output.
fn declared(outlet: &Outlet) -> Declared {
    let name = outlet.name().to_owned();
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return Declared { name, numbers: Some(Numbers::Other), shape: None };
    };
    let numbers = match ty {
        TensorElementType::Float32 => Numbers::Float,
        TensorElementType::Int32 | TensorElementType::Int64 => Numbers::Whole,
        _ => Numbers::Other,
    };
    let shape = shape.iter().map(|axis| usize::try_from(*axis).ok()).collect();
    Declared { name, numbers: Some(numbers), shape: Some(shape) }
}
