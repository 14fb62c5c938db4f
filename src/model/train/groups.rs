//! Groups: a batch in parts that threads share. They are cut by sizes alone, and what they add up to is
//! added in their order, so any number of threads makes the same bits.

/// Most groups of a batch, which is how many threads can share it.
pub(crate) const GROUPS: usize = 8;
/// Tokens of a group, if there are enough of them.
const GROUP: usize = 512;

/// Deals windows to groups of about the same number of tokens, at most `most` of them: for each group
/// its windows, in their order.
pub(crate) fn deal(
    batch: &[usize],
    tokens: impl Fn(usize) -> usize,
    most: usize,
) -> Vec<Vec<usize>> {
    let all: usize = batch.iter().map(|window| tokens(*window)).sum();
    let count = (all / GROUP).clamp(2, GROUPS).min(most).min(batch.len());
    let mut groups = vec![Vec::new(); count];
    let (mut dealt, mut at) = (0, 0);
    for window in batch {
        groups[at].push(*window);
        dealt += tokens(*window);
        if dealt * count >= all * (at + 1) && at + 1 < count {
            at += 1;
        }
    }
    groups
}

/// Works on all groups, each with the room of the worker that does it; a worker for each thread. The
/// calling thread is one of them.
pub(crate) fn work_on<G: Send, W: Send>(
    groups: &mut [G],
    workers: &mut [W],
    work: impl Fn(usize, &mut G, &mut W) + Sync,
) {
    let each = groups.len().div_ceil(workers.len()).max(1);
    let parts = groups.chunks_mut(each).enumerate().zip(workers);
    std::thread::scope(|scope| {
        let mut last = None;
        for ((at, part), worker) in parts {
            let work = &work;
            let run = move || {
                for (group, number) in part.iter_mut().zip(at * each..) {
                    work(number, group, worker);
                }
            };
            if let Some(run) = last.replace(run) {
                scope.spawn(run);
            }
        }
        if let Some(mut run) = last {
            run();
        }
    });
}
