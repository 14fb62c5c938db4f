//! Many segments into one. A batch, a flush and a compaction are all this function.
//!
//! What is dead is left out, so erased bytes do not reach the new segment, in no column and no
//! dictionary. Rows come out by key, events by user, time and arrival: sources are given oldest
//! first, and equal events keep that order.

use crate::{
    error::Result,
    format::{
        Kind,
        archive::{self, Meta},
        batch::EventRow,
        sink::Sink,
    },
    key::{Key, KeyKind},
    progress::Progress,
    schema::Schema,
    segment::{
        events::{Details, HAS_POSITION, HAS_REQUEST, HAS_VALUE, Stored},
        gather,
        source::Source,
    },
};

/// What goes where: for each new row and event, its source and its place there.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) rows: Vec<(u32, u32)>,
    pub(crate) events: Vec<(u32, u32)>,
}

/// Orders all live rows by key and all live events by user, time and arrival.
///
/// Reads every byte of sources on disk, so it asks after each whether to go on.
pub(crate) fn plan(sources: &[Source<'_>], progress: &mut Progress<'_>) -> Result<Plan> {
    for source in sources {
        progress.check()?;
        if let Source::Part { segment, .. } = source
            && segment.file().is_some()
        {
            segment.check_deep()?;
        }
    }
    let rows = plan_rows(sources)?;
    progress.check()?;
    Ok(Plan { rows, events: plan_events(sources)? })
}

fn plan_rows(sources: &[Source<'_>]) -> Result<Vec<(u32, u32)>> {
    if let [Source::Fresh { rows, .. }] = sources {
        return Ok((0..rows.len() as u32).map(|row| (0, row)).collect());
    }
    let mut ids: Vec<(u64, u32, u32)> = Vec::new();
    let mut names: Vec<(Key, u32, u32)> = Vec::new();
    for (source, from) in (0..).zip(sources) {
        let Source::Part { segment, dead } = from else { continue };
        let keys = segment.keys()?;
        let column = keys.id_column()?;
        for row in (0..segment.rows()).filter(|row| !dead.rows.contains(*row)) {
            match &column {
                Some(ids_here) => ids.push((ids_here[row as usize], source, row)),
                None => names.push((keys.key(row)?, source, row)),
            }
        }
    }
    // Stable: sources are runs that are already in order, which the sort only has to merge.
    ids.sort_by_key(|row| row.0);
    names.sort_by(|a, b| a.0.cmp(&b.0));
    let ids = ids.into_iter().map(|(_, source, row)| (source, row));
    Ok(ids.chain(names.into_iter().map(|(_, source, row)| (source, row))).collect())
}

fn plan_events(sources: &[Source<'_>]) -> Result<Vec<(u32, u32)>> {
    let mut order: Vec<((u64, i64, i64), u32, u32)> = Vec::new();
    for (source, from) in (0..).zip(sources) {
        match from {
            Source::Fresh { events, .. } => {
                let place = |e: &EventRow| (e.user.0, e.at.0, e.recorded.0);
                order.extend((0..).zip(*events).map(|(at, e)| (place(e), source, at)));
            }
            Source::Part { segment, dead } => {
                let Some(events) = segment.events()? else { continue };
                for index in 0..events.user_count() {
                    let (user, range) = events.user(index)?;
                    let (block, first) = (events.block(range.clone())?, range.start);
                    for at in range.filter(|at| !dead.events.contains(*at)) {
                        let i = (at - first) as usize;
                        order.push(((user.0, block.at[i], block.recorded[i]), source, at));
                    }
                }
            }
        }
    }
    order.sort_by_key(|event| event.0);
    Ok(order.into_iter().map(|(_, source, at)| (source, at)).collect())
}

/// Writes the planned segment, section by section.
pub(crate) fn write(
    schema: &Schema,
    sources: &[Source<'_>],
    plan: &Plan,
    (first_seq, last_seq): (u64, u64),
    (sink, progress): (&mut Sink, &mut Progress<'_>),
) -> Result<()> {
    let columns = schema.spaces().len() + schema.attrs().len() + 2;
    progress.begin((columns * plan.rows.len() + plan.events.len()) as u64)?;
    let key_kind = u32::from(schema.key_kind() == KeyKind::Name);
    let rows = plan.rows.len() as u32;
    let mut meta = Meta { first_seq, last_seq, rows, key_kind, ..Meta::default() };
    write_keys(sources, plan, sink, progress)?;
    for space in schema.spaces() {
        let field = gather::vectors(space, sources, &plan.rows, sink, progress)?;
        meta.fields.extend(field);
    }
    for attr in schema.attrs() {
        let field = gather::attribute(attr, sources, &plan.rows, sink)?;
        meta.fields.extend(field);
        progress.advance(plan.rows.len() as u64)?;
    }
    meta.fields.sort_by_key(|field| field.id);
    if !plan.events.is_empty() {
        write_events(sources, plan, sink, &mut meta)?;
    }
    progress.advance((plan.events.len() + plan.rows.len()) as u64)?;
    let bytes = archive::save(&meta).map_err(|why| crate::error::Error::invalid("META", why))?;
    sink.section(Kind::META, 0, &bytes)
}

fn key_of(sources: &[Source<'_>], (source, row): (u32, u32)) -> Result<Key> {
    match &sources[source as usize] {
        Source::Fresh { rows, .. } => Ok(rows[row as usize].key.clone()),
        Source::Part { segment, .. } => segment.key(row),
    }
}

fn write_keys(
    sources: &[Source<'_>],
    plan: &Plan,
    sink: &mut Sink,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let mut keys = Vec::with_capacity(plan.rows.len());
    for place in &plan.rows {
        keys.push(key_of(sources, *place)?);
        progress.advance(1)?;
    }
    let named = matches!(keys.first(), Some(Key::Name(_))) || is_named(sources);
    save_keys((Kind::KEYS, Kind::KEY_STARTS, Kind::KEY_BYTES), named, &keys, sink)
}

/// Whether keys are names, as the sources tell: an empty segment still has the sections of its kind.
fn is_named(sources: &[Source<'_>]) -> bool {
    sources.iter().any(|source| match source {
        Source::Fresh { events, .. } => {
            events.first().is_some_and(|e| matches!(e.item, Key::Name(_)))
        }
        Source::Part { segment, .. } => segment.meta.key_kind == 1,
    })
}

fn save_keys(
    (ids, starts, bytes): (Kind, Kind, Kind),
    named: bool,
    keys: &[Key],
    sink: &mut Sink,
) -> Result<()> {
    if !named {
        sink.begin(ids, 0)?;
        for key in keys {
            let Key::Id(id) = key else { continue };
            sink.write(&id.to_le_bytes())?;
        }
        return Ok(());
    }
    let texts = keys.iter().map(|key| match key {
        Key::Name(name) => name.as_bytes(),
        Key::Id(_) => &[],
    });
    gather::strings((starts, bytes), 0, texts, sink)
}

/// The events of one source, ready to be read one by one.
enum Loaded<'a> {
    Fresh(&'a [&'a EventRow]),
    Part(Box<Details<'a>>),
    None,
}

impl<'a> Loaded<'a> {
    fn all(sources: &'a [Source<'a>]) -> Result<Vec<Loaded<'a>>> {
        let load = |source: &'a Source<'a>| match source {
            Source::Fresh { events, .. } => Ok(Loaded::Fresh(events)),
            Source::Part { segment, .. } => Ok(match segment.events()? {
                Some(events) => Loaded::Part(Box::new(events.details(0..events.count)?)),
                None => Loaded::None,
            }),
        };
        sources.iter().map(load).collect()
    }

    /// The event at a place that the plan has found.
    fn get(&self, at: u32) -> Stored {
        match self {
            Loaded::Fresh(events) => {
                let EventRow { kind, at, recorded, value, request, position, .. } =
                    *events[at as usize];
                // In a batch, every event has an item of its own.
                Stored { item: 0, kind, at, recorded, value, request, position }
            }
            Loaded::Part(details) => details.get(at as usize),
            Loaded::None => unreachable!("the plan has events of a source without any"),
        }
    }
}

fn write_events(
    sources: &[Source<'_>],
    plan: &Plan,
    sink: &mut Sink,
    meta: &mut Meta,
) -> Result<()> {
    let loaded = Loaded::all(sources)?;
    let (codes, items) = item_codes(sources, &loaded, plan)?;
    let mut all = Vec::with_capacity(plan.events.len());
    for ((source, at), code) in plan.events.iter().zip(&codes) {
        all.push(Stored { item: *code, ..loaded[*source as usize].get(*at) });
    }
    let (users, starts) = user_ranges(sources, plan)?;
    meta.events = all.len() as u32;
    meta.users = users.len() as u32;
    meta.event_items = items.len() as u32;
    let clocks = || all.iter().flat_map(|e| [e.at.0, e.recorded.0]);
    meta.clock_min = clocks().min().unwrap_or(0);
    meta.clock_max = clocks().max().unwrap_or(0);
    gather::column(Kind::EVENT_USERS, users, sink)?;
    gather::column(Kind::EVENT_STARTS, starts, sink)?;
    write_event_columns(&all, sink)?;
    let kinds = (Kind::ITEM_KEYS, Kind::ITEM_KEY_STARTS, Kind::ITEM_KEY_BYTES);
    save_keys(kinds, matches!(items.first(), Some(Key::Name(_))), &items, sink)
}

fn write_event_columns(all: &[Stored], sink: &mut Sink) -> Result<()> {
    let flags = |e: &Stored| {
        let flag = |has: bool, flag: u8| if has { flag } else { 0 };
        flag(e.value.is_some(), HAS_VALUE)
            | flag(e.request.is_some(), HAS_REQUEST)
            | flag(e.position.is_some(), HAS_POSITION)
    };
    let any = all.iter().map(flags).fold(0, |a, b| a | b);
    gather::column(Kind::EVENT_ITEMS, all.iter().map(|e| e.item), sink)?;
    gather::column(Kind::EVENT_KINDS, all.iter().map(|e| e.kind), sink)?;
    gather::column(Kind::EVENT_AT, all.iter().map(|e| e.at.0), sink)?;
    gather::column(Kind::EVENT_RECORDED, all.iter().map(|e| e.recorded.0), sink)?;
    // What no event has takes no room.
    if any != 0 {
        gather::column(Kind::EVENT_FLAGS, all.iter().map(flags), sink)?;
    }
    if any & HAS_VALUE != 0 {
        gather::column(Kind::EVENT_VALUES, all.iter().map(|e| e.value.unwrap_or(0.0)), sink)?;
    }
    if any & HAS_REQUEST != 0 {
        gather::column(Kind::EVENT_REQUESTS, all.iter().map(|e| e.request.unwrap_or(0)), sink)?;
    }
    if any & HAS_POSITION != 0 {
        gather::column(Kind::EVENT_POSITIONS, all.iter().map(|e| e.position.unwrap_or(0)), sink)?;
    }
    Ok(())
}

/// The distinct users, ascending, and where each one's events begin.
fn user_ranges(sources: &[Source<'_>], plan: &Plan) -> Result<(Vec<u64>, Vec<u32>)> {
    let owners = owners(sources)?;
    let (mut users, mut starts) = (Vec::new(), Vec::new());
    for (place, (source, at)) in (0u32..).zip(&plan.events) {
        let user = owners[*source as usize][*at as usize];
        if users.last() != Some(&user) {
            users.push(user);
            starts.push(place);
        }
    }
    starts.push(plan.events.len() as u32);
    Ok((users, starts))
}

/// The user of every event of every source.
fn owners(sources: &[Source<'_>]) -> Result<Vec<Vec<u64>>> {
    let mut all = Vec::with_capacity(sources.len());
    for source in sources {
        all.push(match source {
            Source::Fresh { events, .. } => events.iter().map(|e| e.user.0).collect(),
            Source::Part { segment, .. } => {
                let mut owners = vec![0; segment.meta.events as usize];
                if let Some(events) = segment.events()? {
                    for index in 0..events.user_count() {
                        let (user, range) = events.user(index)?;
                        owners[range.start as usize..range.end as usize].fill(user.0);
                    }
                }
                owners
            }
        });
    }
    Ok(all)
}

/// For each source that is a segment, which of its items planned events refer to. Items that only dead
/// events refer to are left out.
fn used_items(sources: &[Source<'_>], loaded: &[Loaded<'_>], plan: &Plan) -> Vec<Vec<bool>> {
    let none = |source: &Source<'_>| match source {
        Source::Part { segment, .. } => vec![false; segment.meta.event_items as usize],
        Source::Fresh { .. } => Vec::new(),
    };
    let mut used: Vec<Vec<bool>> = sources.iter().map(none).collect();
    for (source, at) in &plan.events {
        if let Loaded::Part(details) = &loaded[*source as usize] {
            used[*source as usize][details.block.items[*at as usize] as usize] = true;
        }
    }
    used
}

/// For each planned event the number of its item, and the list that the numbers refer to.
fn item_codes(
    sources: &[Source<'_>],
    loaded: &[Loaded<'_>],
    plan: &Plan,
) -> Result<(Vec<u32>, Vec<Key>)> {
    let mut used: Vec<Vec<u32>> = Vec::with_capacity(sources.len());
    let mut keys: Vec<Vec<Key>> = Vec::with_capacity(sources.len());
    for (source, is_used) in sources.iter().zip(used_items(sources, loaded, plan)) {
        let codes = (0u32..).zip(&is_used).filter(|(_, used)| **used);
        let wanted: Vec<u32> = codes.map(|(code, _)| code).collect();
        match source {
            Source::Fresh { events, .. } => {
                used.push((0..events.len() as u32).collect());
                keys.push(events.iter().map(|e| e.item.clone()).collect());
            }
            Source::Part { segment, .. } => {
                keys.push(match segment.events()? {
                    Some(events) => {
                        let items = events.items()?;
                        wanted.iter().map(|code| items.key(*code)).collect::<Result<_>>()?
                    }
                    None => Vec::new(),
                });
                used.push(wanted);
            }
        }
    }
    let mut all: Vec<Key> = keys.iter().flatten().cloned().collect();
    all.sort();
    all.dedup();
    let place = |key: &Key| all.binary_search(key).unwrap_or(0) as u32;
    let maps: Vec<Vec<u32>> = keys.iter().map(|keys| keys.iter().map(place).collect()).collect();
    let code = |(source, at): &(u32, u32)| {
        let s = *source as usize;
        let old = match &loaded[s] {
            Loaded::Fresh(_) => *at,
            other => other.get(*at).item,
        };
        maps[s][used[s].binary_search(&old).unwrap_or(0)]
    };
    let codes = plan.events.iter().map(code).collect();
    Ok((codes, all))
}
