use super::{
    codes::Codes,
    grid::Grid,
    layers::Layers,
    pass::Network,
    quantizer::Quantizer,
    run::{Learned, Run},
    *,
};
use crate::{
    Db, Error, Item, Key, Metric, Provenance, Schema,
    model::{
        Training,
        semantic::{
            Figures, Fit,
            fit::points::{Given, Points},
        },
        train::dice::Dice,
        weights::Tensors,
    },
    semantic::{Codebook, Level},
};

fn normal(count: usize, dice: &mut Dice) -> Vec<f32> {
    (0..count).map(|_| dice.normal()).collect()
}

/// A network from 6 numbers over hidden ones to `dim` and back.
fn network(dim: usize) -> Network {
    let (encoder, decoder) = (Layers(vec![6, 5, 4, dim]), Layers(vec![dim, 4, 5, 6]));
    Network { encoder, decoder, commitment: 0.3 }
}

fn quantizers(dice: &mut Dice) -> [Quantizer; 2] {
    let level = |dice: &mut Dice, codes: usize| Level::new(3, normal(codes * 3, dice));
    let levels = [level(dice, 7), level(dice, 5)];
    let codes = Codes::new(3, &levels, 200);
    [Quantizer::Codes(codes), Quantizer::Grid(Grid(vec![vec![4, 5], vec![2]]))]
}

/// The answer of a network, number by number, in double precision.
fn plainly(widths: &[usize], theta: &mut &[f64], row: &[f64]) -> Vec<f64> {
    let mut now = row.to_vec();
    for (at, two) in widths.windows(2).enumerate() {
        let (weights, rest) = theta.split_at(two[0] * two[1]);
        let (biases, rest) = rest.split_at(two[1]);
        *theta = rest;
        let dot = |weights: &[f64]| weights.iter().zip(&now).map(|(w, x)| w * x).sum::<f64>();
        let sums = weights.chunks_exact(two[0]).zip(biases).map(|(w, bias)| dot(w) + bias);
        let last = at + 2 == widths.len();
        now = sums.map(|x| if last { x } else { x.max(0.0) }).collect();
    }
    now
}

/// What the straight-through estimator takes for the loss: what rounding adds stays as it is at `said`,
/// and so do centroids.
fn surrogate(network: &Network, theta: &[f64], points: &Points, said: &quantizer::Said) -> f64 {
    let dim = network.decoder.0[0];
    let mut loss = 0.0;
    for (at, row) in points.rows.chunks_exact(points.dim).enumerate() {
        let row: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
        let mut rest = theta;
        let latent = plainly(&network.encoder.0, &mut rest, &row);
        let held = |numbers: &[f32]| -> Vec<f64> {
            numbers[at * dim..(at + 1) * dim].iter().map(|x| f64::from(*x)).collect()
        };
        let (read, base) = (held(&said.read), held(&said.given.last().unwrap().1));
        let mut moved = read;
        for ((moved, latent), base) in moved.iter_mut().zip(&latent).zip(&base) {
            // Of a grid `base` is the latent; its tangent moves.
            let by = |x: f64| if said.slope.is_empty() { x } else { x.tanh() };
            *moved += by(*latent) - by(*base);
        }
        let answer = plainly(&network.decoder.0, &mut rest, &moved);
        let lost: f64 = answer.iter().zip(&row).map(|(a, x)| (a - x).powi(2)).sum();
        loss += lost / row.len() as f64;
        if said.slope.is_empty() {
            // On each level the sum of centroids so far is what the latent is to be near.
            for level in &said.given[..said.given.len() - 1] {
                let left = held(&level.1);
                let far = latent.iter().zip(&base).zip(&left).map(|((l, b), left)| l - b + left);
                loss += 0.3 * far.map(|x| x * x).sum::<f64>() / dim as f64;
            }
        }
    }
    loss / points.len() as f64
}

/// Goal: the hand-written gradients are those of the loss, where rounding counts as adding a constant;
/// the same for any number of threads. Method: central differences of a plain twin in double precision,
/// for a batch of more than one part.
#[test]
fn the_gradient_is_that_of_the_loss() {
    let mut dice = Dice::new(5, 1);
    for quantizer in quantizers(&mut dice) {
        let network = network(3);
        let points = Points { dim: 6, rows: normal(150 * 6, &mut dice) };
        let mut theta = network.encoder.draw(&mut dice);
        theta.extend(network.decoder.draw(&mut dice));
        theta.iter_mut().for_each(|x| *x += 0.1 * dice.normal());
        let batch: Vec<usize> = (0..150).collect();
        let pass = |threads| network.batch(&theta, &quantizer, (&points, &batch), threads).unwrap();
        let parts = pass(1);
        assert_eq!(parts.len(), 2);
        for (a, b) in parts.iter().zip(&pass(3)) {
            assert!(a.grads == b.grads && a.loss == b.loss);
        }
        // All rows at once, with before every level what is left, and in the end what the last leaves.
        let encoded = network.encoder.forward(&theta[..network.encoder.size()], &points.rows);
        let latents = encoded.last().unwrap();
        let mut said = quantizer.quantize(latents);
        if let Quantizer::Codes(_) = quantizer {
            // What is left after level n is what level n + 1 is given; the latent itself comes last.
            let last = latents.iter().zip(&said.read).map(|(x, read)| x - read).collect();
            said.given.remove(0);
            said.given.push((Vec::new(), last));
        }
        said.given.push((Vec::new(), latents.clone()));
        let wide: Vec<f64> = theta.iter().map(|x| f64::from(*x)).collect();
        let loss = parts.iter().map(|part| part.loss).sum::<f64>() / 150.0;
        let plain = surrogate(&network, &wide, &points, &said);
        assert!((loss - plain).abs() < 1e-5 * plain, "{loss}, but {plain}");
        let grads: Vec<f32> =
            (0..theta.len()).map(|at| parts.iter().map(|part| part.grads[at]).sum()).collect();
        let most = grads.iter().fold(0f64, |most, x| most.max(f64::from(x.abs())));
        for (at, grad) in grads.iter().enumerate() {
            let moved = |by: f64| {
                let mut theta = wide.clone();
                theta[at] += by;
                surrogate(&network, &theta, &points, &said)
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((slope - f64::from(*grad)).abs() < 1e-3 * most, "{at}: {slope} and {grad}");
        }
    }
}

/// Goal: losses, gradients, parameters and codes of some steps are those of PyTorch, which
/// `tests/parity/make_autoencoder.py` wrote.
#[test]
fn steps_are_those_of_pytorch() {
    let rqvae =
        include_bytes!("../../../../tests/fixtures/semantic/autoencoder/rqvae/steps.safetensors");
    let fsq =
        include_bytes!("../../../../tests/fixtures/semantic/autoencoder/fsq/steps.safetensors");
    for (name, file) in [("rqvae", &rqvae[..]), ("fsq", &fsq[..])] {
        let mut tensors = Tensors::read(file).unwrap();
        let (rows, wide, hidden, widths) = (300, 12, [10, 7], [8usize, 6]);
        let dim = if name == "fsq" { 4 } else { 5 };
        let encoder = Layers(vec![wide, hidden[0], hidden[1], dim]);
        let decoder = Layers(vec![dim, hidden[1], hidden[0], wide]);
        let network = Network { encoder, decoder, commitment: 0.25 };
        let mut take = |name: &str, shape: &[usize]| tensors.take(name, shape).unwrap();
        let points = Points { dim: wide, rows: take("points", &[rows, wide]) };
        let size = network.size();
        let mut levels = |of: &str| -> Vec<Level> {
            let level = |(at, codes)| {
                Level::new(dim, tensors.take(&format!("{of}.{at}"), &[codes, dim]).unwrap())
            };
            widths.into_iter().enumerate().map(level).collect()
        };
        let (quantizer, wanted) = match name {
            "fsq" => (Quantizer::Grid(Grid(vec![vec![4, 5], vec![2, 3]])), Vec::new()),
            _ => (Quantizer::Codes(Codes::new(dim, &levels("level"), rows)), levels("after")),
        };
        let mut take = |name: &str, count: usize| tensors.take(name, &[count]).unwrap();
        let mut learned = Learned { theta: take("theta", size), quantizer };
        let (losses, grad, after) = (take("loss", 6), take("grad", size), take("after", size));
        tensors.finish().unwrap();
        let near = |ours: &[f32], theirs: &[f32], most: f32| {
            assert_eq!(ours.len(), theirs.len());
            let far = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far < most, "{name}: {far}");
        };
        let batch: Vec<usize> = (0..rows).collect();
        let (quantizer, of) = (&learned.quantizer, (&points, batch.as_slice()));
        let parts = network.batch(&learned.theta, quantizer, of, 2).unwrap();
        let sum = |at: usize| parts.iter().map(|part| part.grads[at]).sum();
        near(&(0..size).map(sum).collect::<Vec<f32>>(), &grad, 1e-6);
        let options =
            Autoencoder { learning_rate: 1e-2, weight_decay: 1e-2, ..Autoencoder::default() };
        let mut run = Run::new(&network, &options, (1, 2));
        for theirs in losses {
            let loss = run.step(&mut learned, (&points, &batch), (1e-2, 0.0)).unwrap();
            assert!((loss as f32 / rows as f32 - theirs).abs() < 1e-5, "{name}: {loss}, {theirs}");
        }
        near(&learned.theta, &after, 1e-4);
        if let Quantizer::Codes(codes) = &learned.quantizer {
            for (ours, theirs) in codes.done().iter().zip(&wanted) {
                near(ours.centroids(), theirs.centroids(), 2e-4);
            }
        }
    }
}

/// Goal: the codes of a grid in a codebook are those that its rounding says, though a codebook knows no
/// tangent.
#[test]
fn prices_stand_for_tangents() {
    let (grid, mut dice) = (Grid(vec![vec![4, 5], vec![2], vec![3, 7, 2]]), Dice::new(2, 1));
    let (levels, mut room, mut seen) = (grid.done(), Vec::new(), 0);
    assert_eq!(levels.iter().map(Level::codes).collect::<Vec<_>>(), [20, 2, 42]);
    for _ in 0..2000 {
        let latent: Vec<f32> = (0..grid.dim()).map(|_| 1.5 * dice.normal()).collect();
        let wanted = grid.quantize(&latent).read;
        let mut left = latent.clone();
        levels.iter().for_each(|level| {
            level.take(&mut left, &mut room);
        });
        for ((latent, left), wanted) in latent.iter().zip(&left).zip(&wanted) {
            assert!((latent - left - wanted).abs() < 1e-5, "{latent} is {wanted}");
            seen += usize::from(wanted.abs() < 0.99);
        }
    }
    assert!(seen > 2000, "values between -1 and 1 were met {seen} times");
}

/// Goal: a code that nobody has goes where an item is, and is used from then on.
#[test]
fn codes_that_nobody_has_are_revived() {
    let far = Level::new(1, vec![0.0, 1.0, 50.0]);
    let mut codes = Codes::new(1, &[far], 3);
    let batch = [0.1, 0.9, 4.0];
    for step in 0..400 {
        let said = codes.quantize(&batch);
        codes.follow(std::slice::from_ref(&said));
        if step < 300 {
            codes.revive(&[said], 0.1, &mut Dice::new(step, 1));
        }
    }
    let mut used = codes.quantize(&batch).given.remove(0).0;
    used.sort_unstable();
    assert_eq!(used, [0, 1, 2]);
}

/// Items whose content is made of three numbers, by a layer of waves.
fn items(count: usize) -> Vec<Given> {
    let mut dice = Dice::new(11, 3);
    let waves: Vec<[f32; 3]> = (0..24).map(|_| [0; 3].map(|_| 1.5 * dice.normal())).collect();
    let item = |_| {
        let cause: [f32; 3] = [0; 3].map(|_| dice.normal());
        let wave = |w: &[f32; 3]| w.iter().zip(&cause).map(|(w, x)| w * x).sum::<f32>().sin();
        vec![Some(waves.iter().map(wave).collect())]
    };
    (0..count).map(item).collect()
}

fn rq_vae() -> RqVae {
    let fit = Fit { levels: vec![16, 16], ..Fit::of(["x"]) };
    let network = Autoencoder {
        hidden: vec![48],
        epochs: 60,
        batch: 64,
        learning_rate: 3e-3,
        ..Autoencoder::default()
    };
    RqVae { fit, network, dim: 6, commitment: 0.25 }
}

/// Goal: networks and codes learn together what to keep of content that a few causes have made, the
/// same on any number of threads; new items get IDs as they are written, and IDs say content.
#[test]
fn networks_and_codes_learn_together() {
    let db = Db::in_memory(Schema::new().space("x", 24, Metric::Dot)).unwrap();
    let (all, mut batch) = (items(1500), db.batch());
    for (key, given) in (0u64..).zip(&all[..1400]) {
        batch.put(Item::new(key).vector("x", given[0].clone().unwrap()));
    }
    batch.commit().unwrap();
    let snapshot = db.snapshot();
    let make = |how: Training<'_>| rq_vae().fit(&snapshot, &mut how.threads(2)).unwrap();
    let made = make(Training::new(3));
    assert_eq!(made, rq_vae().fit(&snapshot, &mut Training::new(3)).unwrap());
    assert_ne!(made.codebook, make(Training::new(4)).codebook);
    let short = Autoencoder { epochs: 2, ..rq_vae().network };
    let short = RqVae { network: short, ..rq_vae() };
    let begun = short.fit(&snapshot, &mut Training::new(3)).unwrap();
    println!("{:.3} of the content lost, {:.3} at first", made.error, begun.error);
    assert!(made.error < 0.55 && made.error < 0.7 * begun.error, "{} {}", made.error, begun.error);
    let version = db.publish("sid", &made.codebook, Provenance::default()).unwrap();
    db.activate("sid", version).unwrap();
    let mut silent = crate::Progress::silent();
    let said = Figures::of_codebook(&db.snapshot(), "sid", version, &mut silent).unwrap();
    assert!(said.perplexity.iter().all(|p| *p > 8.0) && said.items == 1400, "{said:?}");
    let new = all[1450][0].clone().unwrap();
    db.batch().put(Item::new(9999u64).vector("x", new.clone())).commit().unwrap();
    let id = db.snapshot().semantic_id("sid", &Key::Id(9999)).unwrap().unwrap();
    assert_eq!(Some(id), made.codebook.encode(&[Some(&new)]).unwrap());
    let (content, mut read) = (made.content(&id).unwrap(), Vec::new());
    made.codebook.inputs()[0].push(Some(&new), &mut read);
    let square = |numbers: &[f32]| numbers.iter().map(|x| x * x).sum::<f32>();
    let left: Vec<f32> = read.iter().zip(&content).map(|(a, b)| a - b).collect();
    assert!(square(&left) < square(&read), "content is nearer than the mean");
    let (weights, manifest) = made.codebook.export().unwrap();
    assert_eq!(Codebook::import(&weights, &manifest).unwrap(), made.codebook);
}

/// Goal: codes that are balanced in the end are used about equally; the loss falls; a grid learns, too.
#[test]
fn balanced_codes_and_grids_are_learned() {
    let all = items(1200);
    let rq_vae = RqVae { fit: Fit { balanced: true, ..rq_vae().fit }, ..rq_vae() };
    let mut how = Training::new(3).threads(2);
    let balanced = rq_vae.fit_vectors(&all, &mut how).unwrap();
    let (first, last) = (how.curve().first().unwrap(), how.curve().last().unwrap());
    assert!(how.curve().len() == 60 && last.loss < 0.7 * first.loss, "{first:?}, {last:?}");
    let grid = Fsq { values: vec![vec![4, 4]; 3], network: rq_vae.network, ..Fsq::of(["x"]) };
    let fit = |threads| grid.fit_vectors(&all, &mut Training::new(3).threads(threads)).unwrap();
    let rounded = fit(1);
    assert_eq!(rounded, fit(2));
    let ids = |made: &Autoencoded| {
        let id = |given: &Given| made.codebook.encode(&[given[0].as_deref()]).unwrap().unwrap();
        Figures::of(&all.iter().map(id).collect::<Vec<_>>())
    };
    let (even, round) = (ids(&balanced), ids(&rounded));
    println!("{even:?}, error {:.3}; {round:?}, error {:.3}", balanced.error, rounded.error);
    assert!(even.perplexity.iter().all(|p| *p > 15.0), "{even:?}");
    assert!(balanced.error < 0.6 && rounded.error < 0.6 && round.unique > 600, "{round:?}");
}

#[test]
fn bad_options_are_refused_and_training_can_be_cancelled() {
    let all = items(40);
    let network = Autoencoder { epochs: 3, ..rq_vae().network };
    let good = RqVae { network: network.clone(), ..rq_vae() };
    let fit = |rq_vae: &RqVae| rq_vae.fit_vectors(&all, &mut Training::new(1));
    assert!(fit(&good).is_ok());
    for wrong in [
        RqVae { dim: 0, ..good.clone() },
        RqVae { dim: 5000, ..good.clone() },
        RqVae { commitment: f32::NAN, ..good.clone() },
        RqVae { commitment: -1.0, ..good.clone() },
        RqVae { fit: Fit::of([]), ..good.clone() },
    ] {
        assert!(matches!(fit(&wrong), Err(Error::Invalid { .. })), "{wrong:?}");
    }
    for network in [
        Autoencoder { hidden: vec![0], ..network.clone() },
        Autoencoder { hidden: vec![8; 9], ..network.clone() },
        Autoencoder { epochs: 0, ..network.clone() },
        Autoencoder { batch: 0, ..network.clone() },
        Autoencoder { learning_rate: 0.0, ..network.clone() },
        Autoencoder { weight_decay: f32::NAN, ..network.clone() },
    ] {
        let wrong = RqVae { network, ..good.clone() };
        assert!(matches!(fit(&wrong), Err(Error::Invalid { .. })), "{wrong:?}");
    }
    let grid = Fsq { network, ..Fsq::of(["x"]) };
    for values in [vec![], vec![vec![]], vec![vec![4]; 9], vec![vec![1, 8]], vec![vec![300, 300]]] {
        let wrong = Fsq { values, ..grid.clone() };
        let refused = wrong.fit_vectors(&all, &mut Training::new(1));
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{wrong:?}");
    }
    // While codes begin, which is two iterations on each level, and between epochs.
    let short = RqVae { fit: Fit { iterations: 2, ..good.fit.clone() }, ..good };
    for most in [2, 5] {
        let progress = crate::Progress::to(|done, _| done < most);
        let mut how = Training::new(1).progress(progress);
        assert!(matches!(short.fit_vectors(&all, &mut how), Err(Error::Cancelled)), "{most}");
    }
}

/// Goal: an epoch ends where it is cancelled. It never asked: it had nothing to report.
#[test]
fn an_epoch_can_be_cancelled_before_its_end() {
    let items: Vec<_> = (0..40_000).map(|n| vec![Some(vec![n as f32, 1.0])]).collect();
    let network = Autoencoder { hidden: vec![16], epochs: 1, batch: 2, ..Autoencoder::default() };
    let fsq = Fsq { network, ..Fsq::of(["x"]) };
    let (begun, mut last) = (std::time::Instant::now(), 0);
    let progress = crate::Progress::to(|done, _| {
        last = done;
        begun.elapsed() < std::time::Duration::from_millis(50)
    });
    let mut how = Training::new(1).progress(progress);
    assert!(matches!(fsq.fit_vectors(&items, &mut how), Err(crate::Error::Cancelled)));
    drop(how);
    assert_eq!(last, 0);
}
