//! Nvidia: a card by CUDA. The only file that names the crate, and all that is unsafe about cards.
//!
//! Nothing of CUDA is linked: the driver, cuBLAS and NVRTC are looked for when a card is opened.
#![allow(unsafe_code)] // Kernels are launched.

use super::card::{Card, Place};
use crate::error::{Error, Result};
use cudarc::{
    cublas::{self, CudaBlas, Gemm, GemmConfig, sys::cublasOperation_t::CUBLAS_OP_N},
    driver::{
        self, CudaContext, CudaFunction, CudaSlice, CudaStream, LaunchArgs, LaunchConfig,
        PushKernelArg,
    },
    nvrtc,
};
use std::{fmt::Display, sync::Arc};

/// A card, and one queue of work on it.
pub(super) struct Nvidia {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    blas: CudaBlas,
    nulls: CudaFunction,
    pick: CudaFunction,
    product: CudaFunction,
    relu: CudaFunction,
    cross: CudaFunction,
}

const KERNELS: &str = include_str!("kernels.cu");
/// Threads of a block, and most blocks; kernels go on where there are more numbers.
const THREADS: u32 = 256;
const BLOCKS_MAX: u32 = 65_535;

fn refuse(ordinal: usize, why: impl Display) -> Error {
    Error::invalid(format!("CUDA card {ordinal}"), why.to_string())
}

fn failed(why: impl Display) -> Error {
    Error::invalid("CUDA", format!("fails: {why}"))
}

fn int(size: usize) -> Result<i32> {
    i32::try_from(size).map_err(|_| Error::invalid("batch", "is too large for a card; send less"))
}

impl Nvidia {
    pub(super) fn open(ordinal: usize) -> Result<Nvidia> {
        // SAFETY: libraries of these names are the system's, as for any program that uses CUDA.
        let driver = unsafe { driver::sys::is_culib_present() };
        // SAFETY: as above.
        let blas = unsafe { cublas::sys::is_culib_present() };
        // SAFETY: as above.
        let compiler = unsafe { nvrtc::sys::is_culib_present() };
        for (there, name) in
            [(driver, "driver (libcuda)"), (blas, "cuBLAS (libcublas)"), (compiler, "NVRTC")]
        {
            if !there {
                let hint = "Is CUDA 13 installed, and its folder in LD_LIBRARY_PATH?";
                return Err(refuse(
                    ordinal,
                    format!("needs the {name}, which is not here. {hint}"),
                ));
            }
        }
        let wrong = |why: &dyn Display| refuse(ordinal, format!("cannot be opened: {why}"));
        let context = CudaContext::new(ordinal).map_err(|why| wrong(&why))?;
        let stream = context.new_stream().map_err(|why| wrong(&why))?;
        let blas = CudaBlas::new(stream.clone()).map_err(|why| wrong(&why))?;
        let code = nvrtc::compile_ptx(KERNELS).map_err(|why| wrong(&why))?;
        let module = context.load_module(code).map_err(|why| wrong(&why))?;
        let kernel = |name: &str| module.load_function(name).map_err(|why| wrong(&why));
        Ok(Nvidia {
            nulls: kernel("nulls")?,
            pick: kernel("pick")?,
            product: kernel("product")?,
            relu: kernel("relu")?,
            cross: kernel("cross")?,
            context,
            stream,
            blas,
        })
    }

    pub(super) fn name(&self) -> Result<String> {
        self.context.name().map_err(failed)
    }
}

/// Starts a kernel that goes over so many numbers.
///
/// # Safety
/// The arguments are those of the kernel, and what it reaches is in its buffers.
unsafe fn launch(mut args: LaunchArgs<'_>, count: usize) -> Result<()> {
    let blocks = count.div_ceil(THREADS as usize).min(BLOCKS_MAX as usize).max(1) as u32;
    let config =
        LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 };
    // SAFETY: the caller says so.
    unsafe { args.launch(config) }.map(drop).map_err(failed)
}

/// What must be true before a kernel may run.
fn within(count: usize, buffer: usize) {
    assert!(count <= buffer, "a kernel stays in its buffer: {count} of {buffer}");
}

impl Card for Nvidia {
    type Floats = CudaSlice<f32>;
    type Words = CudaSlice<u32>;

    fn floats(&self, numbers: &[f32]) -> Result<CudaSlice<f32>> {
        match numbers.is_empty() {
            true => self.zeros(0),
            false => self.stream.clone_htod(numbers).map_err(failed),
        }
    }

    fn words(&self, numbers: &[u32]) -> Result<CudaSlice<u32>> {
        let numbers = if numbers.is_empty() { &[0] } else { numbers };
        self.stream.clone_htod(numbers).map_err(failed)
    }

    fn zeros(&self, count: usize) -> Result<CudaSlice<f32>> {
        self.stream.alloc_zeros(count.max(1)).map_err(failed)
    }

    fn read(&self, from: &CudaSlice<f32>, count: usize) -> Result<Vec<f32>> {
        let mut numbers = self.stream.clone_dtoh(from).map_err(failed)?;
        self.stream.synchronize().map_err(failed)?;
        numbers.truncate(count);
        Ok(numbers)
    }

    fn times(
        &self,
        (n, k, m): (usize, usize, usize),
        a: &CudaSlice<f32>,
        b: &CudaSlice<f32>,
        beta: f32,
        out: &mut CudaSlice<f32>,
    ) -> Result<()> {
        within(n * k, a.len());
        within(k * m, b.len());
        within(n * m, out.len());
        self.context.bind_to_thread().map_err(failed)?;
        // cuBLAS goes column by column: to it these are transposed, and so is their product.
        let config = GemmConfig {
            transa: CUBLAS_OP_N,
            transb: CUBLAS_OP_N,
            m: int(m)?,
            n: int(n)?,
            k: int(k)?,
            alpha: 1.0,
            lda: int(m)?,
            ldb: int(k)?,
            beta,
            ldc: int(m)?,
        };
        // SAFETY: sizes were compared with the buffers.
        unsafe { self.blas.gemm(config, b, a, out) }.map_err(failed)
    }

    fn nulls(
        &self,
        out: &mut CudaSlice<f32>,
        there: &CudaSlice<u32>,
        null: &CudaSlice<f32>,
        (rows, wide): (usize, usize),
    ) -> Result<()> {
        within(rows * wide, out.len());
        within(rows, there.len());
        within(wide, null.len());
        let (wide, count) = (wide as u64, (rows * wide) as u64);
        let mut args = self.stream.launch_builder(&self.nulls);
        args.arg(out).arg(there).arg(null).arg(&wide).arg(&count);
        // SAFETY: these are the kernel's arguments, and sizes were compared with the buffers.
        unsafe { launch(args, count as usize) }
    }

    fn pick(
        &self,
        held: Option<(&CudaSlice<f32>, usize)>,
        fresh: &CudaSlice<f32>,
        rows: &CudaSlice<u32>,
        to: Place,
        out: &mut CudaSlice<f32>,
    ) -> Result<()> {
        let (held, many) = held.unwrap_or((fresh, 0));
        within(to.rows * to.stride, out.len());
        within(to.at + to.wide, to.stride);
        within(to.rows, rows.len());
        within(many * to.wide, held.len());
        let (many, wide, at) = (many as u64, to.wide as u64, to.at as u64);
        let (stride, count) = (to.stride as u64, (to.rows * to.wide) as u64);
        let mut args = self.stream.launch_builder(&self.pick);
        args.arg(out).arg(held).arg(&many).arg(fresh).arg(rows);
        args.arg(&wide).arg(&at).arg(&stride).arg(&count);
        // SAFETY: these are the kernel's arguments, sizes were compared with the buffers, and the rows of a
        // batch are those of its table, of its fresh columns, of its requests, or of its tasks.
        unsafe { launch(args, count as usize) }
    }

    fn product(&self, out: &mut CudaSlice<f32>, a: usize, b: usize, to: Place) -> Result<()> {
        within(to.rows * to.stride, out.len());
        within(a.max(b).max(to.at) + to.wide, to.stride);
        let (a, b, at) = (a as u64, b as u64, to.at as u64);
        let (wide, stride, count) = (to.wide as u64, to.stride as u64, (to.rows * to.wide) as u64);
        let mut args = self.stream.launch_builder(&self.product);
        args.arg(out).arg(&a).arg(&b).arg(&at).arg(&wide).arg(&stride).arg(&count);
        // SAFETY: these are the kernel's arguments, and sizes were compared with the buffers.
        unsafe { launch(args, count as usize) }
    }

    fn relu(
        &self,
        out: &mut CudaSlice<f32>,
        bias: &CudaSlice<f32>,
        (rows, wide): (usize, usize),
    ) -> Result<()> {
        within(rows * wide, out.len());
        within(wide, bias.len());
        let (wide, count) = (wide as u64, (rows * wide) as u64);
        let mut args = self.stream.launch_builder(&self.relu);
        args.arg(out).arg(bias).arg(&wide).arg(&count);
        // SAFETY: these are the kernel's arguments, and sizes were compared with the buffers.
        unsafe { launch(args, count as usize) }
    }

    fn cross(
        &self,
        (rows, wide): (usize, usize),
        whole: &CudaSlice<f32>,
        (high, bias): (&CudaSlice<f32>, &CudaSlice<f32>),
        now: &CudaSlice<f32>,
    ) -> Result<CudaSlice<f32>> {
        let mut out = self.zeros(rows * wide)?;
        for buffer in [whole, high, now] {
            within(rows * wide, buffer.len());
        }
        within(wide, bias.len());
        let (wide, count) = (wide as u64, (rows * wide) as u64);
        let mut args = self.stream.launch_builder(&self.cross);
        args.arg(&mut out).arg(whole).arg(high).arg(bias).arg(now).arg(&wide).arg(&count);
        // SAFETY: these are the kernel's arguments, and sizes were compared with the buffers.
        unsafe { launch(args, count as usize) }?;
        Ok(out)
    }
}
