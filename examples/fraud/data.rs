//! Card payments: the Fraud Detection Handbook's file, or a small world like it.

use super::Outcome;
use bowerbird::{Event, Timestamp, days};
use std::{fs, path::Path};

/// One payment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payment {
    pub(crate) id: u64,
    /// Seconds since 2018-04-01, a Sunday.
    pub(crate) seconds: i64,
    pub(crate) card: u64,
    pub(crate) terminal: u64,
    pub(crate) amount: f32,
    pub(crate) fraud: bool,
}

/// 2018-04-01 00:00 in seconds.
const EPOCH: i64 = 1_522_540_800;
/// How long it takes until a fraud is known.
pub(crate) const DELAY_DAYS: u64 = 7;

impl Payment {
    pub(crate) fn at(&self) -> Timestamp {
        Timestamp::from_secs(EPOCH + self.seconds)
    }

    pub(crate) fn day(&self) -> i64 {
        self.seconds.div_euclid(86_400)
    }

    pub(crate) fn weekend(&self) -> bool {
        matches!(self.day().rem_euclid(7), 0 | 6)
    }

    /// From midnight to the end of the hour of six, as the handbook has it.
    pub(crate) fn night(&self) -> bool {
        self.seconds.rem_euclid(86_400) < 7 * 3_600
    }

    pub(crate) fn event(&self) -> Event {
        Event::new(self.card, self.terminal, "pay", self.at()).value(self.amount).request(self.id)
    }

    /// What becomes known of it later.
    pub(crate) fn mark(&self) -> Option<Event> {
        let mark = Event::new(self.card, self.terminal, "fraud", self.at()).request(self.id);
        self.fraud.then(|| mark.recorded(self.at().plus(days(DELAY_DAYS))))
    }
}

/// All events in the order in which they became known.
pub(crate) fn events(payments: &[Payment]) -> Vec<Event> {
    let mut events: Vec<Event> = payments.iter().map(Payment::event).collect();
    events.extend(payments.iter().filter_map(Payment::mark));
    events.sort_by_key(|event| (event.recorded, event.at, event.request));
    events
}

/// The handbook's columns: TRANSACTION_ID, TX_TIME_SECONDS, CUSTOMER_ID, TERMINAL_ID, TX_AMOUNT, TX_FRAUD.
/// Others are passed over.
pub(crate) fn read(path: &Path) -> Outcome<Vec<Payment>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or("").split(',').map(str::trim).collect();
    let place = |name: &str| {
        let place = head.iter().position(|column| *column == name);
        place.ok_or_else(|| format!("{}: there is no column {name}", path.display()))
    };
    let columns = [
        place("TRANSACTION_ID")?,
        place("TX_TIME_SECONDS")?,
        place("CUSTOMER_ID")?,
        place("TERMINAL_ID")?,
        place("TX_AMOUNT")?,
        place("TX_FRAUD")?,
    ];
    let mut payments = Vec::new();
    for (at, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        let cells: Vec<&str> = line.split(',').collect();
        let wrong = |what: &str| format!("{}, line {}: {what}", path.display(), at + 2);
        let cell = |column: usize| {
            cells.get(columns[column]).map(|cell| cell.trim()).ok_or_else(|| wrong("is too short"))
        };
        let number = |column: usize| -> Outcome<u64> {
            Ok(cell(column)?.parse().map_err(|_| wrong("has a number that is none"))?)
        };
        let amount: f32 = cell(4)?.parse().map_err(|_| wrong("has an amount that is none"))?;
        payments.push(Payment {
            id: number(0)?,
            seconds: i64::try_from(number(1)?)?,
            card: number(2)?,
            terminal: number(3)?,
            amount,
            fraud: number(5)? == 1,
        });
    }
    payments.sort_by_key(|payment| (payment.seconds, payment.id));
    Ok(payments)
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.number() % n
    }

    /// Above 0, below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.number() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }
}

/// A world like the handbook's, for machines without its file: cards with habits and ten terminals each;
/// terminals that are compromised for 28 days, cards whose number is stolen and that pay five times as
/// much as usual for 14 days, a third of the time, and amounts above 220.
pub(crate) fn small(seed: u64) -> Vec<Payment> {
    const CARDS: u64 = 2_000;
    const TERMINALS: u64 = 4_000;
    const DAYS: i64 = 60;
    let mut dice = Dice(seed);
    let mut payments = Vec::new();
    for card in 0..CARDS {
        let (mean, often) = (5.0 + 95.0 * dice.unit(), 4.0 * dice.unit());
        let usual: Vec<u64> = (0..10).map(|_| dice.below(TERMINALS)).collect();
        for day in 0..DAYS {
            let mut left = (-often).exp();
            let mut chance = dice.unit();
            // A Poisson number of payments.
            let mut count = 0;
            while chance > left && count < 20 {
                count += 1;
                chance -= left;
                left *= often / f64::from(count);
            }
            for _ in 0..count {
                let second = 43_200.0 + 20_000.0 * dice.normal();
                let amount = (mean + mean / 2.0 * dice.normal()).abs().max(0.5);
                payments.push(Payment {
                    id: 0,
                    seconds: day * 86_400 + (second.clamp(0.0, 86_399.0) as i64),
                    card,
                    terminal: usual[dice.below(10) as usize],
                    amount: (amount * 100.0).round() as f32 / 100.0,
                    fraud: amount > 220.0,
                });
            }
        }
    }
    for day in 0..DAYS {
        let (terminal, card) = (dice.below(TERMINALS), dice.below(CARDS));
        for payment in &mut payments {
            let since = payment.day() - day;
            if payment.terminal == terminal && (0..28).contains(&since) {
                payment.fraud = true;
            }
            if payment.card == card && (0..14).contains(&since) && dice.below(3) == 0 {
                (payment.amount, payment.fraud) = (payment.amount * 5.0, true);
            }
        }
    }
    payments.sort_by_key(|payment| (payment.seconds, payment.card, payment.terminal));
    payments.iter_mut().zip(0..).for_each(|(payment, id)| payment.id = id);
    payments
}
