//! Autoencoders: codebooks behind a network that has learned what to keep of the content.
//!
//! | file | it owns |
//! |---|---|
//! | `rqvae` | RqVae: codes of what is left by the codes before, which follow the encoder |
//! | `fsq` | Fsq: numbers that are rounded one by one |
//! | `network` | Autoencoder, how its networks look and learn; Autoencoded, what comes of it |
//! | `run` | epochs over batches |
//! | `pass` | a batch through encoder, quantizer and decoder, and back |
//! | `layers` | the networks: layers with ReLU between them |
//! | `quantizer`, `codes`, `grid` | what is between them |

mod codes;
mod fsq;
mod grid;
mod layers;
mod network;
mod pass;
mod quantizer;
mod rqvae;
mod run;
#[cfg(test)]
mod tests;

pub use fsq::Fsq;
pub use network::{Autoencoded, Autoencoder};
pub use rqvae::RqVae;
